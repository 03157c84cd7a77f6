//! Requests to a deployment in the test's own process, through the real surfaces.

#![expect(clippy::panic, reason = "a test that cannot send its request fails")]

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{App, test};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_service::Engine;
use serde_json::Value;

/// A request to be sent.
#[must_use]
pub struct Call {
    engine: Arc<Engine>,
    method: String,
    path: String,
    peer: IpAddr,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(engine: Arc<Engine>, method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        let peer = IpAddr::from([127, 0, 0, 1]);
        Self { engine, method, path, peer, headers: Vec::new(), body: Vec::new() }
    }

    /// Connects from this address instead of loopback.
    pub fn from(mut self, peer: &str) -> Self {
        self.peer = peer.parse().unwrap_or_else(|error| panic!("{peer}: {error}"));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Presents an access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Presents client credentials.
    pub fn basic(self, client_id: &str, client_secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{client_id}:{client_secret}"));
        self.header("authorization", format!("Basic {credentials}"))
    }

    /// Presents an end user's session.
    pub fn session(self, token: &str) -> Self {
        self.header("x-session-token", token)
    }

    /// Presents a person's session, as its browser does.
    pub fn cookie(self, token: &str) -> Self {
        self.header("cookie", format!("__Host-keystead_session={token}"))
    }

    /// Presents an API key.
    pub fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// Sends these bytes as they are.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// Sends JSON.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sends a form.
    pub fn form(self, body: &str) -> Self {
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Sends the request.
    pub fn send(self) -> Answer {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let mut request = test::TestRequest::with_uri(&self.path)
            .method(method)
            .peer_addr((self.peer, 40_000).into())
            .set_payload(self.body);
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).unwrap_or_else(|error| panic!("{error}"));
            let value = HeaderValue::from_bytes(&value).unwrap_or_else(|error| panic!("{error}"));
            request = request.append_header((name, value));
        }
        let data = Data::from(self.engine);
        actix_web::rt::System::new().block_on(async move {
            let app = App::new().configure(|cfg| keystead_http::configure(cfg, data));
            let service = test::init_service(app).await;
            let response = test::call_service(&service, request.to_request()).await;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, body: test::read_body(response).await.to_vec() }
        })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body, given that the status is as expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The stable code of an envelope, given that the answer is a refusal of this status.
    #[track_caller]
    pub fn refusal(self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!((&body["success"], &body["status"]), (&Value::Bool(false), &status.into()), "{body}");
        assert!(body["message"].is_string(), "{body}");
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The stable code of a refusal of the bearer API, given that the answer is one of this status.
    #[track_caller]
    pub fn bearer_error(self, status: u16) -> String {
        let body = self.expect(status);
        assert!(body["error"]["message"].is_string(), "{body}");
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The stable code of a problem, given that the answer is one of this status.
    #[track_caller]
    pub fn problem(self, status: u16) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.expect(status);
        assert_eq!(body["status"], status);
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}
