//! Keystead over HTTP: one folder a surface, one file a noun. A surface parses the request, calls
//! the service, and renders the answer in its own format; it decides nothing.

mod app;
mod body;
mod credentials;
mod error;
mod oauth;
mod ops;
mod origin;
mod pages;
mod resource;

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig, block, to};
use keystead_service::{Engine, Error, Result};

use crate::error::{Fault, Problem};

/// Every surface, on the port that the world talks to.
pub fn configure(cfg: &mut ServiceConfig, engine: Data<Engine>) {
    cfg.app_data(engine)
        .configure(ops::health::routes)
        .configure(oauth::routes)
        .configure(app::routes)
        .configure(pages::routes)
        .default_service(to(nothing_here));
}

/// What operators' machines ask, on a port of its own.
pub fn configure_admin(cfg: &mut ServiceConfig, engine: Data<Engine>) {
    cfg.app_data(engine).configure(ops::health::routes).default_service(to(nothing_here));
}

/// Outside every surface, errors are problems.
async fn nothing_here() -> std::result::Result<&'static str, Problem> {
    Err(Fault::NoSuchPath.into())
}

/// Crosses over from the event loop to a thread where the service may block.
async fn run<T: Send + 'static>(
    engine: &Data<Engine>,
    f: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
) -> Result<T> {
    let engine = Arc::clone(engine);
    match block(move || f(&engine)).await {
        Ok(result) => result,
        // The thread pool is gone, or the closure panicked; the panic's own message is in the log.
        Err(error) => Err(Error::internal(error)),
    }
}
