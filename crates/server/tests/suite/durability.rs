//! An acknowledged write survives `kill -9`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use keystead_testkit::both_backends;
use serde_json::json;

use crate::process::{Host, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";

both_backends! {
    fn no_sign_up_that_was_answered_is_lost(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let mut answered = Vec::new();
        for round in 0..3 {
            let mut server = host.serve(&[]);
            let token = token(&server, &app);
            let count = AtomicUsize::new(0);
            thread::scope(|scope| {
                let (server, token, count) = (&server, &token, &count);
                let clients: Vec<_> = (0..4).map(|client| {
                    scope.spawn(move || {
                        let mut answered = Vec::new();
                        for number in 0.. {
                            let email = format!("u{round}.{client}.{number}@example.com");
                            let body = json!({"email": email, "password": PASSWORD});
                            match server.post("/v2/auth/signup", Some(token), &body) {
                                Some((201, _)) => answered.push(email),
                                Some(other) => panic!("{other:?}"),
                                None => break,
                            }
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        answered
                    })
                }).collect();
                while count.load(Ordering::Relaxed) < 40 {
                    thread::sleep(Duration::from_millis(1));
                }
                server.signal("KILL");
                for client in clients {
                    answered.extend(client.join().unwrap());
                }
            });
            assert!(!server.wait().success());
        }
        assert!(answered.len() >= 120);

        // Each waits for its code: its password is right, and its address not verified.
        let server = host.serve(&[]);
        let token = token(&server, &app);
        for email in &answered {
            let body = json!({"email": email, "password": PASSWORD});
            let (status, answer) = server.post("/v2/auth/login", Some(&token), &body).unwrap();
            assert_eq!((status, &answer["code"]), (403, &"email_not_verified".into()), "{email}");
        }
        // So does the mail that each was promised. What a killed server was about to send is left
        // to it for a minute, which the test does not wait for.
        database.execute("UPDATE outbox SET next_attempt_at = 0 WHERE next_attempt_at IS NOT NULL");
        let waiting = host.run(&["mail", "list", "--json"]).json();
        let mailed: Vec<_> = waiting.as_array().unwrap().iter().map(|mail| mail["to"].as_str().unwrap()).collect();
        for email in &answered {
            assert!(mailed.contains(&email.as_str()), "{email} got no mail");
        }
    }
}
