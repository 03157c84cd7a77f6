//! Traces, as a collector gets them.

use std::time::{Duration, Instant};

use keystead_testkit::{TestDatabase, both_backends};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::collector::{Collector, attributes};
use crate::process::{Host, Server, tenant_with_app, token};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The ids of a span, in hexadecimal: trace, parent, itself.
fn ids(span: &Span) -> [String; 3] {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
    [hex(&span.trace_id), hex(&span.parent_span_id), hex(&span.span_id)]
}

/// Signs somebody up within a trace of the caller's; the id of the request.
fn sign_up(server: &Server, token: &str, sampled: bool) -> u16 {
    let traceparent = format!("00-{TRACE}-{PARENT}-0{}", u8::from(sampled));
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("traceparent", &traceparent),
        ("tracestate", "canary=state"),
        ("baggage", "canary=baggage"),
    ];
    let body = r#"{"email":"ada@example.com","password":"correct horse battery staple"}"#;
    server.request("POST", &format!("{}/v2/auth/signup?canary=query", server.url), &headers, body).0
}

both_backends! {
    fn a_request_is_a_span_of_the_callers_trace(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let collector = Collector::start();
        let settings = [
            ("KEYSTEAD_TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
            ("KEYSTEAD_TELEMETRY__SERVICE_NAME", "auth-of-acme"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=let-me-in"),
        ];
        let server = host.serve_with(&[], &settings);
        let token = token(&server, &app);
        assert_eq!(sign_up(&server, &token, true), 201);
        assert_eq!(server.get("/claim/canary-in-the-path").unwrap().0, 200);
        server.stop();

        let spans = collector.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
        let [request] = *named("POST /v2/auth/signup") else { panic!("{spans:#?}") };
        let [trace, parent, id] = ids(request);
        assert_eq!([trace.as_str(), parent.as_str()], [TRACE, PARENT]);
        assert_eq!(request.kind, SpanKind::Server as i32);
        assert!(request.events.is_empty() && request.links.is_empty() && request.trace_state.is_empty(), "{request:?}");
        let mut told = attributes(&request.attributes);
        let request_id = told.iter().position(|(name, _)| name == "keystead.request_id").unwrap();
        assert_eq!(told.remove(request_id).1.len(), 16);
        let expected = [
            ("http.request.method", "POST"),
            ("http.response.status_code", "201"),
            ("http.route", "/v2/auth/signup"),
            ("keystead.client_id", app.0.as_str()),
        ];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

        // What took its time stands below it.
        let system = if database.url().starts_with("sqlite:") { "sqlite" } else { "postgresql" };
        for child in ["read", "write", "password hash"] {
            let below = named(child).into_iter().filter(|span| ids(span)[..2] == [TRACE.to_owned(), id.clone()]).collect::<Vec<_>>();
            assert!(!below.is_empty(), "{child}: {spans:#?}");
            for span in below {
                let told = attributes(&span.attributes);
                let expected: &[_] = &[("db.system.name".to_owned(), system.to_owned())];
                assert_eq!(told, if child == "password hash" { &[] } else { expected });
            }
        }

        // Other requests begin traces of their own, and nothing else does.
        let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
        assert!(roots.iter().all(|span| span.kind == SpanKind::Server as i32), "{roots:#?}");
        assert_eq!(named("GET /claim/{token}").len(), 1);
        let text = collector.text();
        assert!(text.contains("auth-of-acme") && text.contains("x-collector-key: let-me-in"), "{text}");
        assert!(text.contains("POST /v1/traces HTTP/1.1"), "{text}");
        assert!(!text.contains("canary") && !text.contains("127.0.0.1\""), "{text}");
    }
}

#[test]
fn without_a_sample_only_the_callers_traces_are_told() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    let app = tenant_with_app(&host, "acme");
    let collector = Collector::start();
    let settings = [
        ("KEYSTEAD_TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
        ("KEYSTEAD_TELEMETRY__SAMPLE_RATIO", "0"),
    ];
    let server = host.serve_with(&[], &settings);
    let token = token(&server, &app);
    assert_eq!(sign_up(&server, &token, false), 201);
    assert_eq!(sign_up(&server, &token, true), 201);
    server.stop();
    let spans = collector.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    assert!(spans.iter().all(|span| ids(span)[0] == TRACE), "{spans:#?}");
}

#[test]
fn a_collector_that_is_away_delays_nothing() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    let app = tenant_with_app(&host, "acme");
    // One takes connections and says nothing, the other takes none.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), gone] {
        let endpoint = format!("http://{address}");
        let server = host.serve_with(&[], &[("KEYSTEAD_TELEMETRY__OTLP_ENDPOINT", &endpoint)]);
        let token = token(&server, &app);
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(
                server
                    .request(
                        "GET",
                        &format!("{}/v2/apps/me", server.url),
                        &[("authorization", &format!("Bearer {token}"))],
                        ""
                    )
                    .0,
                200
            );
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let began = Instant::now();
        let log = server.stop();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(log.contains("stopped"), "{log}");
    }
}
