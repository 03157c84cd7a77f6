//! Two servers on one database: what is revoked through one, or by a command, is refused by the other
//! within a second, though both remember what they verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::{TestDatabase, both_backends};
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";
const SECOND: Duration = Duration::from_secs(1);

/// How often each is tried; the promise is 200 times, which takes minutes.
fn rounds() -> usize {
    std::env::var("KEYSTEAD_TEST_REVOCATION_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

/// A host with a user that signs in through an app; its servers share their name, so that each accepts
/// the other's tokens.
struct Deployment {
    host: Host,
    app: (String, String),
}

impl Deployment {
    fn on(database: &TestDatabase) -> Self {
        let mut host = Host::new(database);
        host.set("KEYSTEAD_PUBLIC_URL", "http://127.0.0.1:8000");
        host.set("KEYSTEAD_RATE_LIMITS__ENABLED", "false");
        let app = tenant_with_app(&host, "acme");
        let this = Self { host, app };
        this.user(&["create"], &["--email", "ada@example.com", "--password-stdin", "--verified"]);
        this
    }

    /// A command about the tenant's users.
    fn user(&self, command: &[&str], arguments: &[&str]) {
        let line = [&["user"], command, &["--tenant", "acme"], arguments].concat();
        let output = self.host.run_with(&line, &format!("{PASSWORD}\n"));
        assert_eq!(output.code, 0, "{output:?}");
    }
}

/// Signs Ada in: the session's token.
fn sign_in(server: &Server, token: &str) -> String {
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let (status, body) = server.post("/v2/auth/login", Some(token), &body).unwrap();
    assert_eq!(status, 200, "{body}");
    body["session_token"].as_str().unwrap().to_owned()
}

/// The status of `GET /v2/auth/me`, or of another request for the session.
fn ask(server: &Server, method: &str, path: &str, token: &str, session: &str) -> u16 {
    let (bearer, url) = (format!("Bearer {token}"), format!("{}{path}", server.url));
    let headers = [("authorization", bearer.as_str()), ("x-session-token", session)];
    server.request(method, &url, &headers, "").0
}

fn me(server: &Server, token: &str, session: &str) -> u16 {
    ask(server, "GET", "/v2/auth/me", token, session)
}

/// Waits until the session is refused; how long that took since `ended`.
#[track_caller]
fn refused_after(server: &Server, token: &str, session: &str, ended: Instant) -> Duration {
    loop {
        // Asked before the time is looked at.
        let over = ended.elapsed() >= SECOND;
        match me(server, token, session) {
            401 => return ended.elapsed(),
            200 if !over => thread::sleep(Duration::from_millis(5)),
            other => panic!("{other} a second after the revocation"),
        }
    }
}

fn end_presented(server: &Server, token: &str, session: &str) {
    assert_eq!(ask(server, "POST", "/v2/auth/sessions/revoke", token, session), 204);
    assert_eq!(me(server, token, session), 401, "the next request on the same process");
}

/// A person on two servers, whose organization is on a plan that opens the bearer API.
struct Person {
    cookie: String,
    slug: &'static str,
}

/// Signs a person of the platform in: its cookie.
fn sign_in_person(server: &Server, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD});
    let (status, body) = server.post("/api/auth/sign-in/email", None, &body).unwrap();
    assert_eq!(status, 200, "{body}");
    format!("keystead_session={}", body["token"].as_str().unwrap())
}

impl Person {
    fn on(deployment: &Deployment, server: &Server) -> Self {
        let body = json!({"email": "grace@example.com", "password": PASSWORD, "name": "Grace"});
        let (status, body) = server.post("/api/auth/sign-up/email", None, &body).unwrap();
        assert_eq!(status, 200, "{body}");
        let this =
            Self { cookie: format!("keystead_session={}", body["token"].as_str().unwrap()), slug: "grace" };
        this.command(deployment, &["tenant", "set-plan", this.slug, "studio"]);
        this
    }

    fn command(&self, deployment: &Deployment, line: &[&str]) {
        let output = deployment.host.run(line);
        assert_eq!(output.code, 0, "{output:?}");
    }

    /// A call of the account surface with the session.
    fn call(&self, server: &Server, path: &str, body: &Value) -> Value {
        let headers = [("cookie", self.cookie.as_str()), ("content-type", "application/json")];
        let (status, text) =
            server.request("POST", &format!("{}{path}", server.url), &headers, &body.to_string());
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a key that is pinned to the organization: its id and itself.
    fn key(&self, server: &Server, organization: &str) -> (String, String) {
        let pin = json!({"organizationId": organization});
        let body = json!({"metadata": pin, "scopes": ["user:read", "api-keys:delete"]});
        let made = self.call(server, "/api/auth/api-key/create", &body);
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    fn organization(&self, server: &Server) -> String {
        let (_, text) = server.request(
            "GET",
            &format!("{}/api/auth/get-session", server.url),
            &[("cookie", &self.cookie)],
            "",
        );
        let session: Value = serde_json::from_str(&text).unwrap();
        session["session"]["activeOrganizationId"].as_str().unwrap().to_owned()
    }
}

fn with_key(server: &Server, method: &str, path: &str, key: &str) -> u16 {
    server.request(method, &format!("{}{path}", server.url), &[("x-api-key", key)], "").0
}

/// Waits until the key is refused like this; how long that took since `ended`.
#[track_caller]
fn key_refused_after(server: &Server, key: &str, refused: u16, ended: Instant) -> Duration {
    loop {
        let over = ended.elapsed() >= SECOND;
        match with_key(server, "GET", "/api/v1/me", key) {
            status if status == refused => return ended.elapsed(),
            200 if !over => thread::sleep(Duration::from_millis(5)),
            other => panic!("{other} a second after the revocation"),
        }
    }
}

both_backends! {
    fn a_key_that_is_ended_is_refused_everywhere_within_a_second(database: TestDatabase) {
        let deployment = Deployment::on(&database);
        let servers = [deployment.host.serve(&[]), deployment.host.serve(&[])];
        let grace = Person::on(&deployment, &servers[0]);
        let organization = grace.organization(&servers[0]);
        let mut slowest = Duration::ZERO;
        for round in 0..rounds().max(4) {
            let (here, there) = (&servers[round % 2], &servers[(round + 1) % 2]);
            let (id, key) = grace.key(here, &organization);
            for server in [here, there, here, there] {
                assert_eq!(with_key(server, "GET", "/api/v1/me", &key), 200);
            }
            match round % 4 {
                // By its holder's session, by itself, and by a new secret in its place.
                0 => drop(grace.call(here, "/api/auth/api-key/delete", &json!({"keyId": id}))),
                1 => assert_eq!(with_key(here, "DELETE", &format!("/api/v1/tokens/{id}"), &key), 204),
                2 => drop(grace.call(here, "/api/auth/api-key/rotate", &json!({"keyId": id, "keepOldFor": 0}))),
                _ => {
                    grace.command(&deployment, &["key", "revoke", &id]);
                    let ended = Instant::now();
                    slowest = slowest.max(key_refused_after(here, &key, 401, ended));
                    slowest = slowest.max(key_refused_after(there, &key, 401, ended));
                    continue;
                }
            }
            let ended = Instant::now();
            assert_eq!(with_key(here, "GET", "/api/v1/me", &key), 401, "the next request on the same process");
            slowest = slowest.max(key_refused_after(there, &key, 401, ended));
        }
        // A plan that lapses is noticed as fast.
        let (_, key) = grace.key(&servers[0], &organization);
        for server in &servers {
            assert_eq!(with_key(server, "GET", "/api/v1/me", &key), 200);
        }
        grace.command(&deployment, &["tenant", "set-plan", grace.slug, "free"]);
        let ended = Instant::now();
        for server in &servers {
            slowest = slowest.max(key_refused_after(server, &key, 402, ended));
        }
        grace.command(&deployment, &["tenant", "set-plan", grace.slug, "studio"]);
        assert!(slowest < SECOND, "the slowest took {slowest:?}");
    }

    fn a_membership_that_is_ended_ends_its_keys_everywhere_within_a_second(database: TestDatabase) {
        let deployment = Deployment::on(&database);
        let servers = [deployment.host.serve(&[]), deployment.host.serve(&[])];
        let grace = Person::on(&deployment, &servers[0]);
        let organization = grace.organization(&servers[0]);
        let create = ["user", "create", "--platform", "--email", "linus@example.com", "--password-stdin", "--verified"];
        assert_eq!(deployment.host.run_with(&create, &format!("{PASSWORD}\n")).code, 0);
        let linus = Person { cookie: sign_in_person(&servers[0], "linus@example.com"), slug: "grace" };
        let member = ["--tenant", linus.slug, "--email", "linus@example.com"];
        let mut slowest = Duration::ZERO;
        for round in 0..rounds().max(4) {
            let (here, there) = (&servers[round % 2], &servers[(round + 1) % 2]);
            let add = [&["member", "add", "--role", "member", "--json"], &member[..]].concat();
            let membership = deployment.host.run(&add).json();
            let path = format!("/api/user/organizations/{organization}");
            let added = Instant::now();
            while here.request("GET", &format!("{}{path}", here.url), &[("cookie", &linus.cookie)], "").0 != 200 {
                assert!(added.elapsed() < SECOND, "a membership is known within a second, too");
            }
            let (_, key) = linus.key(here, &organization);
            for server in [here, there, here, there] {
                assert_eq!(with_key(server, "GET", "/api/v1/me", &key), 200);
            }
            if round % 4 < 2 {
                grace.command(&deployment, &[&["member", "remove"], &member[..]].concat());
            } else {
                let url = format!("{}{path}/members/{}", here.url, membership["id"].as_str().unwrap());
                let (status, text) = here.request("DELETE", &url, &[("cookie", &grace.cookie)], "");
                assert_eq!(status, 200, "{text}");
                assert_eq!(with_key(here, "GET", "/api/v1/me", &key), 401, "the next request on the same process");
            }
            let ended = Instant::now();
            for server in [here, there] {
                slowest = slowest.max(key_refused_after(server, &key, 401, ended));
            }
        }
        assert!(slowest < SECOND, "the slowest took {slowest:?}");
    }

    fn what_is_revoked_is_refused_everywhere_within_a_second(database: TestDatabase) {
        let deployment = Deployment::on(&database);
        let servers = [deployment.host.serve(&[]), deployment.host.serve(&[])];
        let token = token(&servers[0], &deployment.app);
        let mut slowest = Duration::ZERO;
        for round in 0..rounds() {
            let (here, there) = (&servers[round % 2], &servers[(round + 1) % 2]);
            let session = sign_in(here, &token);
            for server in [here, there, here, there] {
                assert_eq!(me(server, &token, &session), 200);
            }
            if round % 3 == 2 {
                deployment.user(&["lock"], &["ada@example.com"]);
                let ended = Instant::now();
                slowest = slowest.max(refused_after(here, &token, &session, ended));
                slowest = slowest.max(refused_after(there, &token, &session, ended));
                deployment.user(&["unlock"], &["ada@example.com"]);
            } else {
                end_presented(here, &token, &session);
                slowest = slowest.max(refused_after(there, &token, &session, Instant::now()));
            }
        }
        assert!(slowest < SECOND, "the slowest of {} took {slowest:?}", rounds());
    }

    fn who_was_restarted_or_stood_still_refuses_too(database: TestDatabase) {
        let deployment = Deployment::on(&database);
        let (here, mut there) = (deployment.host.serve(&[]), deployment.host.serve(&[]));
        let token = token(&here, &deployment.app);
        for round in 0..rounds().min(50) / 2 {
            let session = sign_in(&here, &token);
            assert_eq!((me(&there, &token, &session), me(&there, &token, &session)), (200, 200));
            if round % 2 == 0 {
                // It starts while the session ends.
                let started = thread::scope(|scope| {
                    let starting = scope.spawn(|| deployment.host.serve(&[]));
                    end_presented(&here, &token, &session);
                    starting.join().unwrap()
                });
                there.stop();
                there = started;
                assert_eq!(me(&there, &token, &session), 401);
            } else {
                there.signal("STOP");
                end_presented(&here, &token, &session);
                thread::sleep(Duration::from_millis(1_100));
                there.signal("CONT");
                assert_eq!(me(&there, &token, &session), 401, "the first request after it stood still");
            }
        }
    }
}

#[test]
fn a_cut_notification_delays_nothing_past_a_second() {
    let Some(database) = TestDatabase::postgres() else {
        return keystead_testkit::postgres::skip(
            "revocations::a_cut_notification_delays_nothing_past_a_second",
        );
    };
    let deployment = Deployment::on(&database);
    let (here, there) = (deployment.host.serve(&[]), deployment.host.serve(&[]));
    let token = token(&here, &deployment.app);
    let done = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let cutter = Arc::clone(&done);
        let database = &database;
        scope.spawn(move || {
            while !cutter.load(Ordering::Acquire) {
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query ~ '^(LISTEN|NOTIFY)'",
                );
                thread::sleep(Duration::from_millis(150));
            }
        });
        for _ in 0..rounds() {
            let session = sign_in(&here, &token);
            assert_eq!((me(&there, &token, &session), me(&there, &token, &session)), (200, 200));
            end_presented(&here, &token, &session);
            refused_after(&there, &token, &session, Instant::now());
        }
        done.store(true, Ordering::Release);
    });
}
