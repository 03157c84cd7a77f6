//! Threads that look up who calls, where that is not remembered.
//!
//! They are few: as many as there are connections that read. A request that finds all of them busy waits in a
//! queue, and they take the next from it without sleeping in between. Among the many threads of
//! `web::block` each look-up wakes one of its own, and that costs about as much as the look-up. Whatever waits for a
//! hash or for a commit belongs there all the same, not here, where it would hold up the others.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use keystead_service::{Engine, Error, Result};
use tokio::runtime::{Builder, Runtime};
use tracing::Span;

use crate::run;

/// The threads of one worker. They begin when they are needed, and end when they were not for a while.
pub(crate) struct LookUps(Option<Runtime>);

impl LookUps {
    /// At most this many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let mut builder = Builder::new_current_thread();
        // Where the machine has no room for a runtime, look-ups go where everything else does.
        Self(builder.thread_name("look-up").max_blocking_threads(threads.max(1)).build().ok())
    }
}

impl Drop for LookUps {
    /// A runtime must not be waited for where async tasks are driven.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Crosses over from the event loop to a thread where `f` may look things up, and writes nothing.
pub(crate) async fn look_up<T: Send + 'static>(
    request: &HttpRequest,
    engine: &Data<Engine>,
    f: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
) -> Result<T> {
    let threads = request.app_data::<Data<LookUps>>().and_then(|threads| threads.0.as_ref());
    let Some(threads) = threads else { return run(engine, f).await };
    // What happens on the other thread belongs to the request's span, where there is one.
    let (engine, span) = (Arc::clone(engine), Span::current());
    match threads.spawn_blocking(move || span.in_scope(|| f(&engine))).await {
        Ok(result) => result,
        // The closure panicked; the panic's own message is in the log.
        Err(error) => Err(Error::internal(error)),
    }
}
