//! Rate limits as answers show them.
//!
//! A surface that is wrapped here counts a request that proved nothing by where it came from,
//! unless a use case has counted it already, and tells each caller how its quotas stand: in the
//! fields of draft-ietf-httpapi-ratelimit-headers-11, and in the three of its earlier versions
//! that most clients read, with and without `X-`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use keystead_domain::rate_limit::{Standing, seconds_until};
use keystead_service::{Arrival, Engine, Error, Meter, rate_limits};

use crate::credentials;
use crate::error::{BearerError, Envelope, OAuthError, Problem};

/// Wraps a surface whose errors are problems.
pub(crate) async fn problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    metered(request, next, |error| Problem::from(error).error_response()).await
}

/// Wraps endpoints whose errors are RFC 6749's.
pub(crate) async fn oauth(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    metered(request, next, |error| OAuthError::from(error).error_response()).await
}

/// Wraps the account API.
pub(crate) async fn envelopes(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    metered(request, next, |error| Envelope::from(error).error_response()).await
}

/// Wraps the bearer API.
pub(crate) async fn bearer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    metered(request, next, |error| BearerError::from(error).error_response()).await
}

async fn metered(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    refuse: fn(Error) -> HttpResponse,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    request.extensions_mut().insert(Meter::default());
    let (request, response) = next.call(request).await?.into_parts();
    let response = finish(&request, response.map_into_boxed_body(), refuse);
    Ok(ServiceResponse::new(request, response))
}

/// Counts a request that nobody has counted, and adds the fields to its answer.
pub(crate) fn finish(
    request: &HttpRequest,
    mut response: HttpResponse,
    refuse: fn(Error) -> HttpResponse,
) -> HttpResponse {
    let Some(engine) = request.app_data::<Data<Engine>>() else { return response };
    let meter = credentials::meter(request);
    if meter.standings().is_empty() {
        let arrival = credentials::arrival(request, engine);
        if let Err(error) = rate_limits::anonymous(engine, &Arrival { meter: meter.clone(), ..arrival }) {
            response = refuse(error);
        }
    }
    show(&meter.standings(), response.headers_mut());
    response
}

/// The fields. Each quota is in the lists; the older fields have room for one, the tightest.
fn show(standings: &[Standing], headers: &mut HeaderMap) {
    let tightest = |standing: &&Standing| (standing.remaining, std::cmp::Reverse(standing.reset));
    let Some(tightest) = standings.iter().min_by_key(tightest) else { return };
    let mut add = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let (limit, remaining, reset) = (tightest.quota.max(), tightest.remaining, seconds_until(tightest.reset));
    for (bare, prefixed, value) in [
        ("ratelimit-limit", "x-ratelimit-limit", u64::from(limit)),
        ("ratelimit-remaining", "x-ratelimit-remaining", u64::from(remaining)),
        ("ratelimit-reset", "x-ratelimit-reset", reset),
    ] {
        add(bare, value.to_string());
        add(prefixed, value.to_string());
    }
    // Structured Fields (RFC 9651): lists of strings with parameters.
    let list = |item: &dyn Fn(&Standing) -> String| standings.iter().map(item).collect::<Vec<_>>().join(", ");
    let policy = |one: &Standing| {
        format!("\"{}\";q={};w={}", one.policy, one.quota.max(), one.quota.window().as_secs())
    };
    let limit =
        |one: &Standing| format!("\"{}\";r={};t={}", one.policy, one.remaining, seconds_until(one.reset));
    add("ratelimit-policy", list(&policy));
    add("ratelimit", list(&limit));
}
