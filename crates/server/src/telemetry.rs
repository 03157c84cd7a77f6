//! What the process tells of itself: its log on stderr, and traces to an OpenTelemetry collector where
//! there is one.
//!
//! Spans of traces have the target [`TRACE`] and the level `TRACE`, so where nothing is traced they cost
//! one comparison and make nothing. They have no more of a request than its log line has; log lines
//! themselves are not sent along.

mod client;
mod lines;
mod plain;
mod requests;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry::trace::{SpanKind, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::lines::Lines;
use self::plain::Plain;
pub(crate) use self::requests::trace;

use crate::config::{self, Config};
use crate::failure::Failure;

/// The target of the spans that traces are made of.
const TRACE: &str = "keystead::trace";

/// How long stopping waits for the collector to take what is left.
const FLUSH: Duration = Duration::from_secs(5);

/// Logging and tracing, from the start of the process to its end.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    /// What was logged last is written when this goes.
    _lines: Lines,
}

/// Starts logging and, where there is a collector, tracing. Logs go to stderr; stdout is for what a
/// command answers.
pub(crate) fn start(config: &Config) -> Result<Telemetry, Failure> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| Failure::new(format!("{}: {error}", Config::log.key)))?;
    let lines = Lines::begin(Box::new(io::stderr()))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.gathered());
    let layer = if config.log_format == "json" {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        layer.with_ansi(io::stderr().is_terminal()).event_format(Plain::default()).boxed()
    };
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![layer.with_filter(filter).boxed()];

    let traces = provider(&config.telemetry)?;
    if let Some(provider) = &traces {
        let spans = filter_fn(|metadata| metadata.is_span() && metadata.target() == TRACE)
            .with_max_level_hint(LevelFilter::TRACE);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        layers.push(layer.with_filter(spans).boxed());
    }
    tracing_subscriber::registry().with(layers).init();
    Ok(Telemetry { traces, _lines: lines })
}

impl Telemetry {
    /// Whether requests are traced.
    pub(crate) const fn is_tracing(&self) -> bool {
        self.traces.is_some()
    }

    /// Hands the collector what is left, if it takes it soon.
    pub(crate) fn stop(&self) {
        let sent = self.traces.as_ref().map(|traces| traces.shutdown_with_timeout(FLUSH));
        if let Some(Err(error)) = sent {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Batches spans in a bounded queue and sends them on a thread of its own. What does not fit while the
/// collector is slow or away is dropped.
fn provider(telemetry: &config::Telemetry) -> Result<Option<SdkTracerProvider>, Failure> {
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(None) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client::Client::new())
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .build()
        .map_err(|error| Failure::new(format!("{}: {error}", config::Telemetry::otlp_endpoint.key)))?;
    let resource = Resource::builder_empty()
        .with_service_name(telemetry.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Requests(Sampler::TraceIdRatioBased(telemetry.sample_ratio.as_f64())))
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

/// Traces begin with requests: what the worker does by itself, many times a minute, is none. Within a
/// trace that the caller began, the caller has decided.
#[derive(Clone, Debug)]
struct Requests(Sampler);

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        let parent = parent.filter(|context| context.has_active_span());
        let decision = match parent.map(|context| context.span().span_context().clone()) {
            Some(parent) if parent.is_sampled() => SamplingDecision::RecordAndSample,
            None if *kind == SpanKind::Server => {
                return self.0.should_sample(None, trace, name, kind, attributes, links);
            }
            Some(_) | None => SamplingDecision::Drop,
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: Default::default() }
    }
}
