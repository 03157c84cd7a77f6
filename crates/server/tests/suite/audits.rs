//! The audit trail, as an operator sees it.

use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Output, Server, tenant_with_app, token};

fn verify(host: &Host) -> (i32, Value) {
    let output = host.run(&["audit", "verify", "--json"]);
    let report = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code, report)
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Signs somebody up, which is an event.
fn sign_up(server: &Server, token: &str, name: &str) {
    let body = json!({"email": format!("{name}@example.com"), "password": "correct horse battery staple"});
    assert_eq!(server.post("/v2/auth/signup", Some(token), &body).unwrap().0, 201);
}

both_backends! {
    fn commands_and_servers_seal_what_they_did(database: TestDatabase) {
        let host = Host::new(&database);
        assert_eq!(verify(&host), (0, json!({
            "sound": true, "seals": 0, "events": 0, "removed_ranges": 0, "altered": 0, "missing": 0,
            "unsealed": 0, "unaccounted": 0, "findings": [],
        })));
        let app = tenant_with_app(&host, "acme");
        let (code, report) = verify(&host);
        assert_eq!((code, &report["seals"], &report["events"]), (0, &json!(2), &json!(2)), "one for each command");
        // Two that share the database, as far as it can be shared.
        let servers = [host.serve(&[]), host.serve(&[])];
        for (number, server) in servers.iter().enumerate() {
            let token = token(server, &app);
            thread::scope(|scope| {
                for client in 0..4 {
                    let token = &token;
                    scope.spawn(move || sign_up(server, token, &format!("u{number}.{client}")));
                }
            });
        }
        let text = host.run(&["audit", "verify"]);
        assert_eq!(text.code, 0, "unsealed events are no reason to fail");
        assert!(text.stdout.contains("unsealed"), "{text:?}");
        servers.into_iter().for_each(|server| drop(server.stop()));
        let (code, report) = verify(&host);
        assert_eq!((code, &report["unsealed"], &report["findings"]), (0, &json!(0), &json!([])));
        assert_eq!(report["events"], 10);
    }

    fn a_server_seals_while_it_runs(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        sign_up(&server, &token(&server, &app), "ada");
        let deadline = Instant::now() + Duration::from_secs(30);
        while verify(&host).1["unsealed"] != 0 {
            assert!(Instant::now() < deadline, "it does not seal");
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn what_a_killed_server_left_is_reported_and_no_alarm(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let mut server = host.serve(&[]);
        let token = token(&server, &app);
        (0..3).for_each(|number| sign_up(&server, &token, &format!("u{number}")));
        server.signal("KILL");
        server.wait();
        let again = host.serve(&[]);
        let (code, report) = verify(&host);
        assert_eq!((code, &report["sound"], &report["events"]), (0, &json!(true), &json!(5)));
        let unsealed = report["unsealed"].as_u64().unwrap();
        assert!(unsealed <= 3, "{report}");
        again.stop();
        assert_eq!(verify(&host).0, 0);
    }

    fn raw_sql_is_found_out(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        tenant_with_app(&host, "other");
        database.execute("UPDATE audit_events SET target = 'ten_x' WHERE action = 'tenant.created'");
        let (code, report) = verify(&host);
        assert_eq!((code, &report["altered"], &report["missing"]), (1, &json!(2), &json!(0)), "{report}");
        assert_eq!(report["findings"][0]["problem"], "altered");
        database.execute("DELETE FROM audit_events WHERE action = 'app.created'");
        let (code, report) = verify(&host);
        assert_eq!((code, &report["altered"], &report["missing"]), (1, &json!(2), &json!(2)), "{report}");
        let text = host.run(&["audit", "verify"]);
        assert_eq!(text.code, 1);
        assert!(text.stdout.contains("missing") && text.stderr.contains("altered"), "{text:?}");
    }

    fn an_export_is_lines_or_one_document(database: TestDatabase) {
        let host = Host::new(&database);
        assert_eq!(host.run(&["audit", "export", "--json"]).json(), json!([]));
        tenant_with_app(&host, "acme");
        tenant_with_app(&host, "other");
        let all = lines(&host.run(&["audit", "export", "--format", "jsonl"]));
        let kinds: Vec<_> = all.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["event", "seal", "event", "seal", "event", "seal", "event", "seal"]);
        assert_eq!(host.run(&["audit", "export", "--json"]).json(), json!(all));
        assert_eq!((&all[0]["action"], &all[0]["actor_kind"]), (&json!("tenant.created"), &json!("host")));
        assert_eq!(all[3]["previous"], all[1]["mac"], "each seal names the one before");
        assert_eq!((&all[1]["process"], &all[1]["last"]), (&all[0]["process"], &all[0]["number"]));
        let acme = lines(&host.run(&["audit", "export", "--tenant", "acme"]));
        assert_eq!(acme.iter().filter(|line| line["type"] == "event").count(), 2);
        assert!(lines(&host.run(&["audit", "export", "--platform"])).is_empty());
        assert!(lines(&host.run(&["audit", "export", "--since", "2100-01-01T00:00:00Z"])).is_empty());
        assert_eq!(lines(&host.run(&["audit", "export", "--until", "2100-01-01T00:00:00Z"])).len(), 8);
        assert_eq!(host.run(&["audit", "export", "--tenant", "nobody"]).code, 1);
        for usage in [&["--since", "yesterday"][..], &["--format", "xml"], &["--tenant", "acme", "--platform"]] {
            assert_eq!(host.run(&[&["audit", "export"], usage].concat()).code, 2, "{usage:?}");
        }
    }
}
