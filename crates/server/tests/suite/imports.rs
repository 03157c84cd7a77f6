//! `keystead import`: from a file to somebody who signs in, and whatever may be wrong with a file.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";
/// Of that password, by Python's bcrypt.
const HASH: &str = "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";

/// The lines of the documentation's example.
fn documented_lines() -> &'static str {
    let page = include_str!("../../../../docs/moving-in.md");
    page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

fn users(count: usize) -> String {
    (0..count)
        .map(|n| format!("{{\"email\":\"user{n}@example.com\",\"password_hash\":\"{HASH}\"}}\n"))
        .collect()
}

both_backends! {
    fn the_documented_lines_are_users_who_can_sign_in(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        fs::write(host.folder().join("users.jsonl"), documented_lines()).unwrap();
        let count = documented_lines().lines().count();
        let report = host.run(&["import", "users", "users.jsonl", "--tenant", "acme", "--json"]).json();
        assert_eq!(report, json!({"accepted": count, "exists": 0, "exists_lines": [], "refused": 0, "refusals": []}));
        let again = host.run(&["import", "users", "users.jsonl", "--tenant", "acme", "--json"]).json();
        let all = json!([{"first": 1, "last": count}]);
        assert_eq!((&again["accepted"], &again["exists"], &again["exists_lines"]), (&json!(0), &json!(count), &all));
        let token = token(&server, &app);
        for line in documented_lines().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let body = json!({"email": line["email"], "password": PASSWORD});
            let (status, answer) = server.post("/v2/auth/login", Some(&token), &body).unwrap();
            let can = line.get("password_hash").is_some() && line["email_verified"] == json!(true);
            assert_eq!(status == 200, can, "{line}: {answer}");
        }
        let ada = host.run(&["user", "show", "--tenant", "acme", "ada@example.com", "--json"]).json();
        assert_eq!((&ada["name"], &ada["email_verified"]), (&json!("Ada Lovelace"), &json!(true)));
        assert_eq!(ada["created_at"], json!("2021-03-01T12:00:00Z"));
        assert_eq!(host.run(&["audit", "verify", "--json"]).json()["sound"], json!(true));
    }

    fn each_refused_line_is_told_and_leaves_nothing_behind(database: TestDatabase) {
        let host = Host::new(&database);
        let long = format!("{{\"email\":\"long@example.com\",\"name\":\"{}\"}}", "x".repeat(70_000));
        let salted = "$2b$15$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";
        let lines = [
            r#"{"email":"ada@example.com","email_verified":true}"#.to_owned(),
            "{not json".to_owned(),
            String::new(),
            r#"{"email":"no address","name":"","email_verified":"yes","created_at":"yesterday"}"#.to_owned(),
            r#"{"email":"bob@example.com","passwort":"hunter2","password_hash":"$1$md5$crypt"}"#.to_owned(),
            long,
            r#"["email","eve@example.com"]"#.to_owned(),
            format!(r#"{{"email":"eve@example.com","password_hash":"{salted}"}}"#),
            r#"{"email":"eve@example.com","email":"mallory@example.com"}"#.to_owned(),
            r#"{"email":"ADA@example.com"}"#.to_owned(),
            r#"{"email":"eve@example.com","created_at":"9999-01-01T00:00:00Z"}"#.to_owned(),
            r#"{"name":"Nobody"}"#.to_owned(),
            r#"{"email":"last@example.com","name":null}"#.to_owned(),
        ];
        let file = lines.join("\r\n");
        let import = |format: &[&str]| host.run_with(&[&["import", "users", "-", "--platform"], format].concat(), &file);
        let text = import(&[]);
        assert_eq!(text.code, 1);
        for expected in [
            "line 2: is no JSON from character 2 on\n",
            "line 4: email: not an e-mail address\n",
            "line 4: email_verified: must be true or false\n",
            "line 4: name: must not be empty\n",
            "line 4: created_at: must be an instant such as 2026-06-29T00:00:00Z\n",
            "line 5: passwort: is not known\n",
            "line 5: password_hash: is in no form that is known: argon2, bcrypt, PBKDF2 and scrypt are\n",
            "line 6: is longer than 64 KiB\n",
            "line 7: is no JSON object\n",
            "line 8: password_hash: costs too much to be checked: a cost of 14 at most\n",
            "line 9: email: is there more than once\n",
            "line 11: created_at: is in the future\n",
            "line 12: email: is missing\n",
            "accepted       2\nalready there  1 (lines 10)\nrefused        9\n",
        ] {
            assert!(text.stdout.contains(expected), "{expected}{}", text.stdout);
        }
        assert!(text.stderr.contains("9 of 12 lines were refused; the others are in"), "{}", text.stderr);
        for secret in ["hunter2", "$1$", "OJhSyufd1", "no address", "yesterday"] {
            assert!(!text.stdout.contains(secret) && !text.stderr.contains(secret), "{secret}");
        }
        let users = host.run(&["user", "list", "--platform", "--json"]).json();
        let mut emails: Vec<_> = users.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
        emails.sort_unstable();
        assert_eq!(emails, ["ada@example.com", "last@example.com"]);

        let report = import(&["--json"]);
        assert_eq!(report.code, 1);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        assert_eq!((&report["accepted"], &report["exists"], &report["refused"]), (&json!(0), &json!(3), &json!(9)));
        assert_eq!(report["exists_lines"], json!([{"first": 1, "last": 1}, {"first": 10, "last": 10}, {"first": 13, "last": 13}]));
        assert_eq!(report["refusals"][0], json!({"line": 2, "field": null, "reason": "is no JSON from character 2 on"}));
        assert_eq!(report["refusals"][1], json!({"line": 4, "field": "email", "reason": "not an e-mail address"}));
    }

    fn an_import_that_was_killed_is_completed_by_the_next(database: TestDatabase) {
        let host = Host::new(&database);
        host.run(&["migrate"]);
        let (file, half) = (users(1_300), users(700));
        let mut child = host.command(&["import", "users", "-", "--platform"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // The first batch goes in, and the second waits for lines that do not come.
        input.write_all(half.as_bytes()).unwrap();
        let count = || host.run(&["user", "list", "--platform", "--json"]).json().as_array().unwrap().len();
        let deadline = Instant::now() + Duration::from_secs(30);
        while count() == 0 {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(50));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        drop(input);
        assert_eq!(count(), 500, "a batch is whole");
        let rest = host.run_with(&["import", "users", "-", "--platform", "--json"], &file).json();
        assert_eq!((&rest["accepted"], &rest["exists"], &rest["refused"]), (&json!(800), &json!(500), &json!(0)));
        assert_eq!(count(), 1_300);
        let events = host.run(&["audit", "export"]).stdout;
        assert_eq!(events.matches("\"action\":\"user.imported\"").count(), 1_300);
        assert!(!events.contains("OJhSyufd1"));
    }

    fn what_makes_no_sense_is_refused(database: TestDatabase) {
        let host = Host::new(&database);
        for usage in [&["import"][..], &["import", "users", "-"], &["import", "users", "--platform"], &["import", "users", "-", "--platform", "--tenant", "acme"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
        for refused in [&["import", "users", "nowhere.jsonl", "--platform"][..], &["import", "users", "-", "--tenant", "nobody"], &["import", "users", ".", "--platform"]] {
            let output = host.run(refused);
            assert_eq!(output.code, 1, "{refused:?} {output:?}");
        }
        let empty = host.run(&["import", "users", "-", "--platform", "--json"]).json();
        assert_eq!(empty["accepted"], json!(0));
    }
}
