//! The example of an API behind `keystead-guard`, beside a server that runs.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::TestDatabase;
use serde_json::{Value, json};

use crate::process::{Host, Server, token};

#[path = "../../../guard/examples/protected_api.rs"]
mod protected_api;

/// Starts the example as its variables say; where it listens.
fn protected_api(server: &Server, (id, secret): (String, String)) -> String {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (url, address) = (server.url.clone(), listen.clone());
    // It runs until the tests end.
    thread::spawn(move || {
        let variable = |name: &str| match name {
            "KEYSTEAD_URL" => Some(url.clone()),
            "KEYSTEAD_CLIENT_ID" => Some(id.clone()),
            "KEYSTEAD_CLIENT_SECRET" => Some(secret.clone()),
            "LISTEN" => Some(address.clone()),
            _ => None,
        };
        actix_web::rt::System::new().block_on(protected_api::serve(variable)).unwrap();
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&listen).is_err() {
        assert!(Instant::now() < deadline, "the example does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    format!("http://{listen}")
}

fn created(host: &Host, arguments: &[&str]) -> (String, String) {
    let app = host.run(&[&["app", "create", "--json", "--name", "App"], arguments].concat()).json();
    let text = |member: &str| app[member].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

#[test]
fn the_example_lets_in_whom_it_should() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    // Roles are changed behind the server's back.
    let server = host.serve_with(&[], &[("KEYSTEAD_CACHE__MAX_ENTRIES", "0")]);
    let api = protected_api(&server, created(&host, &["--platform", "--introspect", "platform"]));
    let signed_up =
        json!({"email": "ada@example.com", "password": "correct horse battery staple", "name": "Ada"});
    let ada = server.post("/api/auth/sign-up/email", None, &signed_up).unwrap().1;
    let cookie = format!("keystead_session={}", ada["token"].as_str().unwrap());
    let slug = host.run(&["tenant", "list", "--json"]).json()[0]["slug"].as_str().unwrap().to_owned();
    let key = |body: Value| {
        let headers = [("content-type", "application/json"), ("cookie", cookie.as_str())];
        let url = format!("{}/api/auth/api-key/create", server.url);
        let (status, made) = server.request("POST", &url, &headers, &body.to_string());
        assert_eq!(status, 200, "{made}");
        serde_json::from_str::<Value>(&made).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let reads = key(json!({"scopes": ["read"]}));
    let reads_nothing = key(json!({"scopes": ["user:read"]}));
    let tries = key(json!({"scopes": ["read"], "environment": "test"}));
    let ask = |path: &str, header: (&str, &str)| {
        let (status, body) = server.request("GET", &format!("{api}{path}"), &[header], "");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 200 || body["error"]["message"].is_string(), "{body}");
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let (agents, clients) = ("/v1/agents", "/api/v1/clients");
    let ok = refused(200, "");

    // By scope.
    assert_eq!(ask(agents, ("x-api-key", &reads)), ok);
    assert_eq!(ask(agents, ("authorization", &format!("Bearer {reads}"))), ok);
    assert_eq!(ask(agents, ("x-api-key", &reads_nothing)), refused(403, "forbidden_scope"));
    assert_eq!(ask(agents, ("x-api-key", &tries)), refused(403, "forbidden_scope"), "a key for testing");
    assert_eq!(ask(agents, ("x-api-key", "nonsense")), refused(401, "unauthenticated"));
    assert_eq!(ask(agents, ("cookie", &cookie)), refused(401, "unauthenticated"));
    assert_eq!(ask("/nothing", ("x-api-key", &reads)), refused(404, "not_found"));

    // By plan and by role, for keys.
    assert_eq!(ask(clients, ("x-api-key", &reads_nothing)), refused(402, "forbidden_plan"));
    assert_eq!(host.run(&["tenant", "set-plan", &slug, "studio"]).code, 0);
    let remembered = Duration::from_millis(1_050);
    thread::sleep(remembered);
    for (role, expected) in [
        ("owner", ok.clone()),
        ("admin", ok.clone()),
        ("manager", ok.clone()),
        ("member", refused(403, "forbidden_scope")),
    ] {
        database.execute(&format!("UPDATE memberships SET role = '{role}'"));
        thread::sleep(remembered);
        assert_eq!(ask(clients, ("x-api-key", &reads_nothing)), expected, "{role}");
    }
    // By scope, for access tokens.
    let (with, without) =
        (created(&host, &["--tenant", &slug, "--scope", "read"]), created(&host, &["--tenant", &slug]));
    let bearer = |app| format!("Bearer {}", token(&server, app));
    for path in [agents, clients] {
        assert_eq!(ask(path, ("authorization", &bearer(&with))), ok);
        assert_eq!(ask(path, ("authorization", &bearer(&without))), refused(403, "forbidden_scope"));
    }
    // Without a Keystead nobody gets in.
    server.stop();
    thread::sleep(remembered);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut answer = agent.get(format!("{api}{agents}")).header("x-api-key", &reads).call().unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = answer.body_mut().read_json().unwrap();
    assert_eq!(body["error"]["code"], "unavailable");
}
