//! What surrounds the handlers of a surface.
//!
//! A surface has one wrapper of the web framework, and calls what surrounds it as functions, one within the other: each
//! wrapper of its own would put the future of everything inside it on the heap.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::Next;

/// What comes out of a layer.
pub(crate) type Answered = Result<ServiceResponse<BoxBody>, actix_web::Error>;

/// What is inside the innermost layer: the routes.
pub(crate) fn routes(next: Next<impl MessageBody + 'static>) -> impl AsyncFnOnce(ServiceRequest) -> Answered {
    async move |request| Ok(next.call(request).await?.map_into_boxed_body())
}

/// Answers hold credentials and personal data: none is to be stored (RFC 9111 §5.2.2.5), but for those that say
/// otherwise.
pub(crate) fn not_stored(mut answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let headers = answer.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}
