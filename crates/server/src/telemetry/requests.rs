//! A span for each request.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A middleware that traces each request, as part of the trace that it names (W3C Trace Context).
///
/// The span has the method, the pattern of the path and the status (named as OpenTelemetry's conventions
/// for HTTP have them), and what `keystead_http` fills in: the id of the request and the app that called.
pub(crate) async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let method = keystead_http::known_method(request.method().as_str());
    let span = tracing::trace_span!(
        target: "keystead::trace",
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        keystead.request_id = Empty,
        keystead.client_id = Empty,
    );
    // A span that nobody takes has no parent to be told.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Traceparent(request.headers())));
    let answered = next.call(request).instrument(span.clone()).await;
    if let Ok(response) = &answered {
        describe(&span, method, response);
    }
    answered
}

/// The name of a span that has begun is changed past `tracing`, which takes its fields as attributes.
fn describe(span: &Span, method: &str, response: &ServiceResponse<impl MessageBody>) {
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    let name = match response.request().match_pattern() {
        Some(route) => {
            span.record("http.route", route.as_str());
            format!("{method} {route}")
        }
        None => method.to_owned(),
    };
    span.context().span().update_name(name);
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Of what a caller says about its trace, only `traceparent` is read: its form leaves no room for
/// anything else, while `tracestate` and `baggage` would carry text of the caller's into the traces.
struct Traceparent<'a>(&'a HeaderMap);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|_| key == "traceparent")?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
