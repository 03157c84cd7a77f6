//! Keystead over HTTP: one folder a surface, one file a noun. A surface parses the request, calls
//! the service, and renders the answer in its own format; it decides nothing.

mod account;
mod app;
mod bearer;
mod body;
mod credentials;
mod error;
mod forward_auth;
mod layers;
mod leaks;
mod limits;
mod oauth;
mod openapi;
mod ops;
mod origin;
mod pages;
mod path;
mod person;
mod query;
mod resource;
mod telemetry;

use std::rc::Rc;
use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig, block, to};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use keystead_service::{AsyncReader, Engine, Error, Result};
use tracing::Span;

use crate::error::{Fault, Problem};

pub use crate::pages::PAGES;
pub use crate::telemetry::{Metrics, known_method, observe};

/// Every surface, on the port that the world talks to. They are tried in this order, so those that programs
/// call all the time come first.
pub fn configure(cfg: &mut ServiceConfig, engine: Data<Engine>) {
    // This is called once for each worker.
    let reader = Rc::new(engine.reader());
    cfg.app_data(engine)
        .app_data(reader)
        .configure(oauth::routes)
        .configure(app::routes)
        .configure(bearer::routes)
        .configure(account::routes)
        .configure(forward_auth::routes)
        .configure(ops::health::routes)
        .configure(openapi::routes)
        .configure(leaks::routes)
        .configure(pages::routes)
        .default_service(to(nothing_here));
}

/// What operators' machines ask, on a port of its own that the world does not reach.
pub fn configure_admin(cfg: &mut ServiceConfig, engine: Data<Engine>, metrics: Data<Metrics>) {
    cfg.app_data(engine)
        .app_data(metrics)
        .configure(ops::health::routes)
        .configure(ops::metrics::routes)
        .default_service(to(nothing_here));
}

/// Outside every surface, errors are problems, and whoever looks around is a stranger.
async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let problem = |problem: Problem| problem.error_response();
    limits::finish(&request, problem(Fault::NoSuchPath.into()), |error| Problem::from(error).error_response())
}

/// The deployment's engine, which the server puts beside every route.
fn engine(request: &HttpRequest) -> Result<Data<Engine>> {
    let engine = request.app_data::<Data<Engine>>().cloned();
    engine.ok_or_else(|| Error::internal("a surface was mounted without an engine"))
}

/// What looks up who calls on this event loop.
fn reader(request: &HttpRequest) -> Result<Rc<AsyncReader>> {
    let reader = request.app_data::<Rc<AsyncReader>>().cloned();
    reader.ok_or_else(|| Error::internal("a surface was mounted without a reader"))
}

/// Crosses over from the event loop to a thread where the service may block.
async fn run<T: Send + 'static>(
    engine: &Data<Engine>,
    f: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
) -> Result<T> {
    // What happens on the other thread belongs to the request's span, where there is one.
    let (engine, span) = (Arc::clone(engine), Span::current());
    match block(move || span.in_scope(|| f(&engine))).await {
        Ok(result) => result,
        // The thread pool is gone, or the closure panicked; the panic's own message is in the log.
        Err(error) => Err(Error::internal(error)),
    }
}
