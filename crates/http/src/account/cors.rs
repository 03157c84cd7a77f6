//! Pages at trusted origins may call the account API with the user's cookie (Fetch, "CORS protocol"). No other
//! origin may, and no other surface lets them.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use keystead_service::Engine;

use crate::layers::Answered;

/// What such pages may do.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
/// What they may send beside what any page may.
const SENT: &str = "content-type, x-organization-id";
/// What they may read of an answer beside its body.
const READ: &str = "retry-after, ratelimit, ratelimit-policy, ratelimit-limit, ratelimit-remaining, \
                    ratelimit-reset, x-request-id";

/// Answers preflights of trusted origins, and lets their pages read the answers.
pub(crate) async fn trusted(
    request: ServiceRequest,
    inner: impl AsyncFnOnce(ServiceRequest) -> Answered,
) -> Answered {
    let origin = trusted_origin(request.request());
    let is_preflight =
        *request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if is_preflight => request.into_response(HttpResponse::NoContent().finish()),
        _ => inner(request).await?,
    };
    let headers = response.headers_mut();
    // Caches must not give one origin's answer to another.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        allow(headers, origin, is_preflight);
    }
    Ok(response)
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, is_preflight: bool) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    }
}

/// The origin that the request names, if it is one and trusted.
fn trusted_origin(request: &HttpRequest) -> Option<HeaderValue> {
    let engine = request.app_data::<Data<Engine>>()?;
    let mut origins = request.headers().get_all(ORIGIN);
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    let trusted = &engine.settings().trusted_origins;
    trusted.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}
