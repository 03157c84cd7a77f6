//! A collector of traces, as far as the server notices: OTLP over HTTP on loopback, which keeps what it
//! gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

pub(crate) struct Collector {
    pub(crate) url: String,
    got: Arc<Mutex<Got>>,
}

#[derive(Default)]
struct Got {
    heads: String,
    requests: Vec<ExportTraceServiceRequest>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Got>>::default();
        let keep = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let keep = Arc::clone(&keep);
                thread::spawn(move || while receive(&stream, &keep).is_some() {});
            }
        });
        Self { url, got }
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = scopes.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// All that came, as text to search.
    pub(crate) fn text(&self) -> String {
        let got = self.got.lock().unwrap();
        format!("{}\n{:#?}", got.heads, got.requests)
    }
}

/// Reads one request and answers it; nothing where there are no more.
fn receive(stream: &TcpStream, keep: &Mutex<Got>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(&*body).unwrap();
    let mut got = keep.lock().unwrap();
    got.heads.push_str(&head);
    got.requests.push(request);
    drop(got);
    (&*stream)
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .ok()
}

/// Attributes as text, in the order of their names.
pub(crate) fn attributes(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut shown: Vec<_> =
        attributes.iter().map(|one| (one.key.clone(), show(one.value.as_ref()))).collect();
    shown.sort();
    shown
}

fn show(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
