//! Pages of any origin may call the bearer API: nothing but a key that they have to know lets them in, and no
//! browser adds one by itself (Fetch Standard, CORS protocol, without credentials).

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN,
};

use crate::layers::Answered;

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
const HEADERS: &str = "Authorization, X-Api-Key, X-Organization-Id, Idempotency-Key, Content-Type";
const EXPOSED: &str = "Idempotent-Replayed, Retry-After, WWW-Authenticate, RateLimit-Limit, RateLimit-Remaining, \
                       RateLimit-Reset, RateLimit, RateLimit-Policy";

/// Answers what browsers ask before a request of another origin, and lets their pages read the answers.
pub(crate) async fn any_origin(
    request: ServiceRequest,
    inner: impl AsyncFnOnce(ServiceRequest) -> Answered,
) -> Answered {
    let headers = request.headers();
    let asks = *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if asks {
        let answer = HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "86400"))
            .finish();
        return Ok(request.into_response(answer));
    }
    let mut answer = inner(request).await?;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    Ok(answer)
}
