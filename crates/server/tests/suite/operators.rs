//! What operators change by commands while the server runs: it honours that within a second.

use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";

/// A second, and what a loaded machine may add to it.
const SOON: Duration = Duration::from_secs(1);

/// What the server answers when a second has passed since a command ended, or as soon as it is this.
#[track_caller]
fn soon<T: PartialEq + std::fmt::Debug>(expected: T, ask: impl Fn() -> T) {
    let since = Instant::now();
    loop {
        // Asked before the time is looked at: the last question is asked when the second is over.
        let (over, answer) = (since.elapsed() >= SOON, ask());
        if answer == expected {
            return;
        }
        assert!(!over, "{answer:?} instead of {expected:?} a second later");
        thread::sleep(Duration::from_millis(20));
    }
}

fn exchange(server: &Server, (client_id, client_secret): (&str, &str)) -> (u16, Value) {
    let request = json!({
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret
    });
    let (status, body) = server.post("/oauth/token", None, &request).unwrap();
    (status, body["error"].clone())
}

/// Status and code of `GET /v2/apps/me`, or with a session of `GET /v2/auth/me`.
fn me(server: &Server, token: &str, session: Option<&str>) -> (u16, Value) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let path = if session.is_some() { "/v2/auth/me" } else { "/v2/apps/me" };
    let mut request = ureq::Agent::from(agent)
        .get(format!("{}{path}", server.url))
        .header("authorization", format!("Bearer {token}"));
    if let Some(session) = session {
        request = request.header("x-session-token", session);
    }
    let mut answer = request.call().unwrap();
    let body: Value = answer.body_mut().read_json().unwrap();
    (answer.status().as_u16(), body["code"].clone())
}

fn login(server: &Server, token: &str) -> (u16, Value) {
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    server.post("/v2/auth/login", Some(token), &body).unwrap()
}

fn make_ada(host: &Host, tenant: &str) {
    let create = [
        "user",
        "create",
        "--tenant",
        tenant,
        "--email",
        "ada@example.com",
        "--password-stdin",
        "--verified",
    ];
    assert_eq!(host.run_with(&create, &format!("{PASSWORD}\n")).code, 0);
}

both_backends! {
    fn secrets(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        token(&server, &app);
        let rotated = host.run(&["app", "rotate-secret", &app.0, "--json"]).json();
        let second = rotated["client_secret"].as_str().unwrap().to_owned();
        assert_ne!(second, app.1);
        assert_eq!(rotated["client_id"], app.0.as_str());
        assert_eq!(exchange(&server, (&app.0, &second)).0, 200);
        assert_eq!(exchange(&server, (&app.0, &app.1)).0, 200, "for a day");
        let shown = host.run(&["app", "show", &app.0, "--json"]).json();
        assert!(shown.get("client_secret").is_none(), "shown once");
        let secrets = shown["secrets"].as_array().unwrap();
        let old = secrets.iter().find(|secret| !secret["ends_at"].is_null()).unwrap();
        let new = secrets.iter().find(|secret| secret["ends_at"].is_null()).unwrap();
        assert!(secrets.len() == 2 && new["created_at"].as_str() >= old["created_at"].as_str());
        assert!(secrets.iter().all(|secret| secret["last_used_at"].is_string()), "{secrets:?}");

        let leaked = host.run(&["app", "rotate-secret", &app.0, "--keep-old-for", "0"]);
        let third = leaked.stdout.lines().find_map(|line| line.strip_prefix("client secret")).unwrap().trim().to_owned();
        assert!(leaked.stdout.contains(", ends "), "{}", leaked.stdout);
        for old in [&app.1, &second] {
            soon((401, json!("invalid_client")), || exchange(&server, (&app.0, old)));
        }
        assert_eq!(exchange(&server, (&app.0, &third)).0, 200);

        for _ in 0..4 {
            host.run(&["app", "rotate-secret", &app.0, "--json"]).json();
        }
        let full = host.run(&["app", "rotate-secret", &app.0, "--json"]);
        assert_eq!((full.code, full.stdout.as_str()), (1, ""));
        assert!(full.stderr.contains("5 secrets"), "{}", full.stderr);
        assert_eq!(exchange(&server, (&app.0, &third)).0, 200, "a refusal ends nothing");

        assert_eq!(host.run(&["app", "rotate-secret", "ksc_unknown"]).code, 1);
        for usage in [&["app", "rotate-secret"][..], &["app", "rotate-secret", &app.0, "--keep-old-for", "-1"], &["app", "rotate-secret", &app.0, "--keep-old-for", "2592001"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
    }

    fn a_disabled_app(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        let token = token(&server, &app);
        let credentials = (app.0.as_str(), app.1.as_str());
        assert_eq!(host.run(&["app", "disable", &app.0, "--json"]).json()["active"], false);
        soon((401, json!("invalid_token")), || me(&server, &token, None));
        soon((401, json!("invalid_client")), || exchange(&server, credentials));
        assert_eq!(host.run(&["app", "enable", &app.0, "--json"]).json()["active"], true);
        soon((200, Value::Null), || me(&server, &token, None));
        soon(200, || exchange(&server, credentials).0);
        assert_eq!(host.run(&["app", "disable", "ksc_unknown"]).code, 1);
        assert_eq!(host.run(&["app", "enable"]).code, 2);
    }

    fn a_suspended_tenant(database: TestDatabase) {
        let host = Host::new(&database);
        let (app, other) = (tenant_with_app(&host, "acme"), tenant_with_app(&host, "other"));
        make_ada(&host, "acme");
        let server = host.serve(&[]);
        let (credentials, others) = ((app.0.as_str(), app.1.as_str()), token(&server, &other));
        let token = token(&server, &app);
        let session = login(&server, &token).1["session_token"].as_str().unwrap().to_owned();

        let suspended = host.run(&["tenant", "suspend", "acme", "--json"]).json();
        assert_eq!((&suspended["slug"], &suspended["status"]), (&json!("acme"), &json!("suspended")));
        assert_eq!(host.run(&["tenant", "show", "acme", "--json"]).json(), suspended);
        soon((403, json!("tenant_suspended")), || me(&server, &token, None));
        soon((403, json!("tenant_suspended")), || me(&server, &token, Some(&session)));
        let (status, body) = login(&server, &token);
        assert_eq!((status, &body["code"]), (403, &json!("tenant_suspended")));
        soon((400, json!("unauthorized_client")), || exchange(&server, credentials));
        assert_eq!(me(&server, &others, None).0, 200, "another tenant goes on");

        assert_eq!(host.run(&["tenant", "resume", "acme", "--json"]).json()["status"], "active");
        soon((200, Value::Null), || me(&server, &token, Some(&session)));
        soon(200, || exchange(&server, credentials).0);

        assert_eq!(host.run(&["tenant", "set-plan", "acme", "agency", "--json"]).json()["plan"], "agency");
        assert!(host.run(&["tenant", "show", "acme"]).stdout.contains("agency"));
        for refused in [&["tenant", "suspend", "nobody"][..], &["tenant", "resume", "nobody"], &["tenant", "set-plan", "nobody", "free"]] {
            assert_eq!(host.run(refused).code, 1, "{refused:?}");
        }
        for usage in [&["tenant", "suspend"][..], &["tenant", "set-plan", "acme", "gold"], &["tenant", "set-plan", "acme"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
    }

    fn signing_keys(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        let old = token(&server, &app);
        let published = || -> Vec<String> {
            let jwks: Value = serde_json::from_str(&server.get("/.well-known/jwks.json").unwrap().1).unwrap();
            jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        let before = published();
        let listed = host.run(&["signing-key", "list", "--json"]).json();
        let told: Vec<_> = listed.as_array().unwrap().iter().map(|key| (&key["kid"], &key["state"])).collect();
        assert_eq!(told, [(&json!(before[0]), &json!("current")), (&json!(before[1]), &json!("next"))]);

        let rotated = host.run(&["signing-key", "rotate", "--json"]).json();
        assert_eq!((&rotated["kid"], &rotated["state"], &rotated["algorithm"]), (&json!(before[1]), &json!("current"), &json!("EdDSA")));
        // The key set follows, and with it what signs.
        soon((3, before[1].clone()), || (published().len(), published().remove(0)));
        assert_eq!(me(&server, &token(&server, &app), None).0, 200);
        assert_eq!(me(&server, &old, None).0, 200, "what was signed before stays good");
        let listed = host.run(&["signing-key", "list", "--json"]).json();
        assert_eq!((&listed[2]["state"], listed[2]["verifies_until"].is_string()), (&json!("retired"), true));

        let fresh = host.run(&["signing-key", "rotate", "--compromised"]).stdout;
        soon((401, json!("invalid_token")), || me(&server, &old, None));
        let after = published();
        assert!(after.len() == 2 && fresh.contains(&after[0]), "{after:?} {fresh}");
        assert_eq!(me(&server, &token(&server, &app), None).0, 200);
        assert_eq!(host.run(&["signing-key"]).code, 2);
    }

    fn a_locked_user(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        make_ada(&host, "acme");
        let server = host.serve(&[]);
        let token = token(&server, &app);
        let (_, body) = login(&server, &token);
        let session = body["session_token"].as_str().unwrap().to_owned();

        let locked = host.run(&["user", "lock", "--tenant", "acme", "ADA@example.com", "--json"]).json();
        assert_eq!(locked["status"], "locked");
        soon((401, json!("invalid_session")), || me(&server, &token, Some(&session)));
        let (status, refusal) = login(&server, &token);
        let wrong = json!({"email": "ada@example.com", "password": "some other password"});
        let (wrong_status, wrong) = server.post("/v2/auth/login", Some(&token), &wrong).unwrap();
        assert_eq!((status, &refusal), (wrong_status, &wrong), "as with a wrong password");
        assert_eq!(refusal["code"], "invalid_credentials");

        let id = locked["id"].as_str().unwrap();
        assert_eq!(host.run(&["user", "unlock", "--tenant", "acme", id, "--json"]).json()["status"], "active");
        assert_eq!(me(&server, &token, Some(&session)).0, 401, "its sessions have ended");
        assert_eq!(login(&server, &token).0, 200);

        let operator = ["user", "create", "--platform", "--email", "op@example.com", "--password-stdin", "--operator"];
        assert_eq!(host.run_with(&operator, &format!("{PASSWORD}\n")).code, 0);
        let last = host.run(&["user", "lock", "--platform", "op@example.com", "--json"]);
        assert_eq!((last.code, last.stdout.as_str()), (1, ""));
        assert!(last.stderr.contains("last active operator"), "{}", last.stderr);
        assert_eq!(host.run(&["user", "lock", "--tenant", "acme", "op@example.com"]).code, 1, "of another directory");
        assert_eq!(host.run(&["user", "lock", "op@example.com"]).code, 2, "whose?");
    }
}
