//! What is told of each request: one log line, and figures for Prometheus.
//!
//! Neither has anything of the request but its method, the pattern of the path that answered (never
//! the path itself, which may hold a link's token), its status, and an id that we made.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use keystead_service::Engine;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing::Span;

#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    path: String,
    status: u16,
}

#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
struct Timed {
    method: &'static str,
    path: String,
}

/// The figures of one process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Timed, Histogram>,
}

/// Upper bounds of the histogram's buckets.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<Answered, Counter>::default();
        let seconds = Family::<Timed, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let mut registry = Registry::with_prefix("keystead");
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("http_request_duration_seconds", "How long answering took", seconds.clone());
        Self { registry, requests, seconds }
    }
}

impl Metrics {
    /// The figures of the answers of one kind.
    fn of(&self, method: &'static str, path: &str, status: u16) -> Figures {
        let timed = Timed { method, path: path.to_owned() };
        let answered = Answered { method, path: path.to_owned(), status };
        Figures {
            method,
            status,
            requests: self.requests.get_or_create_owned(&answered),
            seconds: self.seconds.get_or_create_owned(&timed),
        }
    }

    /// In the text format that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// What is counted of the answers of one kind.
struct Figures {
    method: &'static str,
    status: u16,
    requests: Counter,
    seconds: Histogram,
}

impl Figures {
    fn count(&self, took: Duration) {
        self.requests.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

/// The pattern of a path, and the figures of what it answered so far: they are looked up once in each worker
/// and not for each request. It is mounted beside the routes of the path.
pub(crate) struct Observed {
    pattern: String,
    figures: RefCell<Vec<Figures>>,
}

impl Observed {
    pub(crate) fn new(pattern: &str) -> Self {
        Self { pattern: pattern.to_owned(), figures: RefCell::default() }
    }

    fn count(&self, metrics: &Metrics, method: &'static str, status: u16, took: Duration) {
        let mut known = self.figures.borrow_mut();
        match known.iter().find(|figures| figures.status == status && figures.method == method) {
            Some(figures) => figures.count(took),
            None => {
                let figures = metrics.of(method, &self.pattern, status);
                figures.count(took);
                known.push(figures);
            }
        }
    }
}

/// Methods are a small closed set here, so that nobody can make figures without end.
pub fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A middleware that logs each request and counts it. The answer carries the id that the log line
/// has, in `X-Request-Id`.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let method = known_method(request.method().as_str());
    let id = request.app_data::<Data<Engine>>().map(|engine| engine.request_id());
    let metrics = request.app_data::<Data<Metrics>>().cloned();
    let mut response = next.call(request).await?;
    let took = began.elapsed();
    let status = response.status().as_u16();
    let answered = response.request();
    let unknown;
    let observed = match answered.app_data::<Observed>() {
        Some(observed) => observed,
        // What is not mounted as an endpoint or a page.
        None => {
            unknown = Observed::new(answered.match_pattern().as_deref().unwrap_or("none"));
            &unknown
        }
    };
    if let Some(metrics) = metrics {
        observed.count(&metrics, method, status, took);
    }
    let id = id.unwrap_or_default();
    Span::current().record("keystead.request_id", &*id);
    tracing::info!(
        request = &*id,
        method,
        path = &*observed.pattern,
        status,
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    if let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(id)) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}
