//! Two servers on one database: what is revoked through one, or by a command, is refused by the other
//! within a second, though both remember what they verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::{TestDatabase, both_backends};
use serde_json::json;

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

both_backends! {
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
