//! Rate limits as answers show them.
//!
//! A surface that is wrapped here counts a request that proved nothing by where it came from,
//! unless a use case has counted it already, and tells each caller how its quotas stand: in the
//! fields of draft-ietf-httpapi-ratelimit-headers-11, and in the three of its earlier versions
//! that most clients read, with and without `X-`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use keystead_domain::rate_limit::{Standing, seconds_until};
use keystead_service::{Arrival, Engine, Error, Meter, rate_limits};

use crate::credentials;
use crate::layers::{self, Answered};

/// Surrounds a surface whose errors are `E`, and which nothing else surrounds.
pub(crate) async fn alone<E: ResponseError + From<Error>>(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Answered {
    metered::<E>(request, layers::routes(next)).await
}

/// Surrounds a surface whose errors are `E`.
pub(crate) async fn metered<E: ResponseError + From<Error>>(
    request: ServiceRequest,
    inner: impl AsyncFnOnce(ServiceRequest) -> Answered,
) -> Answered {
    request.extensions_mut().insert(Meter::default());
    let (request, response) = inner(request).await?.into_parts();
    let response = finish(&request, response, |error| E::from(error).error_response());
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
    if meter.read(<[Standing]>::is_empty) {
        let arrival = credentials::arrival(request, engine);
        if let Err(error) = rate_limits::anonymous(engine, &Arrival { meter: meter.clone(), ..arrival }) {
            response = refuse(error);
        }
    }
    meter.read(|standings| show(standings, response.headers_mut()));
    response
}

/// The older fields, as some clients read them and as others do.
const LIMIT: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-limit"), HeaderName::from_static("x-ratelimit-limit")];
const REMAINING: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-remaining"), HeaderName::from_static("x-ratelimit-remaining")];
const RESET: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-reset"), HeaderName::from_static("x-ratelimit-reset")];
const POLICY: [HeaderName; 1] = [HeaderName::from_static("ratelimit-policy")];
const STATE: [HeaderName; 1] = [HeaderName::from_static("ratelimit")];

/// The fields. Each quota is in the lists; the older fields have room for one, the tightest.
///
/// They are on every answer, so they are written without the machinery of `format!`, and into one piece of memory
/// that all of them share.
fn show(standings: &[Standing], headers: &mut HeaderMap) {
    let tightest = |standing: &&Standing| (standing.remaining, std::cmp::Reverse(standing.reset));
    let Some(tightest) = standings.iter().min_by_key(tightest) else { return };
    let mut text = String::with_capacity(64 + 96 * standings.len());
    let mut digits = itoa::Buffer::new();
    let mut number = |text: &mut String, number: u64| {
        text.push_str(digits.format(number));
        text.len()
    };
    let limit = number(&mut text, tightest.quota.max().into());
    let remaining = number(&mut text, tightest.remaining.into());
    let reset = number(&mut text, seconds_until(tightest.reset));
    let policies = |one: &Standing| [("q", u64::from(one.quota.max())), ("w", one.quota.window().as_secs())];
    let policies = list(&mut text, standings, policies);
    let states = |one: &Standing| [("r", u64::from(one.remaining)), ("t", seconds_until(one.reset))];
    let states = list(&mut text, standings, states);

    let text = Bytes::from(text);
    let mut begin = 0;
    for (names, end) in
        [(&LIMIT[..], limit), (&REMAINING, remaining), (&RESET, reset), (&POLICY, policies), (&STATE, states)]
    {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(begin..end)) {
            for name in names {
                headers.insert(name.clone(), value.clone());
            }
        }
        begin = end;
    }
}

/// Adds a list of strings with parameters (Structured Fields, RFC 9651 §3.1): the policies with two numbers each.
/// Says where it ends.
fn list(
    text: &mut String,
    standings: &[Standing],
    parameters: impl Fn(&Standing) -> [(&'static str, u64); 2],
) -> usize {
    let mut digits = itoa::Buffer::new();
    for (n, standing) in standings.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        text.push('"');
        text.push_str(standing.policy);
        text.push('"');
        for (name, number) in parameters(standing) {
            text.push(';');
            text.push_str(name);
            text.push('=');
            text.push_str(digits.format(number));
        }
    }
    text.len()
}
