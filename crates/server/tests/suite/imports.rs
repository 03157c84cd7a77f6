//! `keystead import`: from a file to somebody who signs in, and whatever may be wrong with a file.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use keystead_domain::TokenDigest;
use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";
/// Of that password, by Python's bcrypt.
const HASH: &str = "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";

/// The lines of the documentation's examples: of users, and of keys.
fn documented(example: usize) -> &'static str {
    let page = include_str!("../../../../docs/moving-in.md");
    page.split("```json\n").nth(example).and_then(|rest| rest.split("```").next()).unwrap()
}

fn documented_lines() -> &'static str {
    documented(1)
}

/// Keys as other systems make them; the documentation's example has the digests of the first two.
const KEYS: [&str; 4] = [
    "acme_live_51f2c8e07b3a4d96a1e5",
    "SG.acme-test.Zm9yZWlnbg",
    // Like ours as far as it goes.
    "ks_live_9d3c51f2c8e07b3a",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
];

fn key_line(key: &str, more: &Value) -> String {
    let digest: String = TokenDigest::of(key).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut line =
        json!({"sha256": digest, "email": "ada@example.com", "name": "CI", "scopes": ["user:read", "read"]});
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string()
}

/// A person with an organization `ada` on a plan that opens the bearer API.
fn ada(host: &Host, server: &Server) {
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada"});
    assert_eq!(server.post("/api/auth/sign-up/email", None, &body).unwrap().0, 200);
    assert_eq!(host.run(&["tenant", "set-plan", "ada", "studio"]).code, 0);
}

/// What a key is answered on each surface that takes one, in each way that it is sent.
fn everywhere(server: &Server, app: &(String, String), key: &str) -> [Value; 7] {
    let (bearer, url) = (format!("Bearer {key}"), |path: &str| format!("{}{path}", server.url));
    let ask = |path: &str, header: (&str, &str)| json!(server.request("GET", &url(path), &[header], "").0);
    let introspected = {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("token={key}&client_id={}&client_secret={}", app.0, app.1);
        let (status, text) = server.request("POST", &url("/oauth/introspect"), &form, &body);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["active"].clone()
    };
    [
        ask("/api/user/me", ("x-api-key", key)),
        ask("/api/user/me", ("authorization", &bearer)),
        ask("/api/v1/me", ("x-api-key", key)),
        ask("/api/v1/me", ("authorization", &bearer)),
        ask("/forward-auth?scope=read", ("x-api-key", key)),
        ask("/forward-auth?scope=read", ("authorization", &bearer)),
        introspected,
    ]
}

fn accepted() -> [Value; 7] {
    [200.into(), 200.into(), 200.into(), 200.into(), 200.into(), 200.into(), true.into()]
}

fn refused() -> [Value; 7] {
    [401.into(), 401.into(), 401.into(), 401.into(), 401.into(), 401.into(), false.into()]
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

    fn keys_from_elsewhere_work_wherever_ours_do_until_they_are_ended(database: TestDatabase) {
        let mut host = Host::new(&database);
        host.set("KEYSTEAD_RATE_LIMITS__ENABLED", "false");
        let server = host.serve(&[]);
        ada(&host, &server);
        let app = host.run(&["app", "create", "--platform", "--name", "API", "--introspect", "platform", "--json"]).json();
        let text = |member: &str| app[member].as_str().unwrap().to_owned();
        let app = (text("client_id"), text("client_secret"));
        let own = host.run(&["app", "create", "--tenant", "ada", "--name", "Own", "--json"]).json();
        let own = (own["client_id"].as_str().unwrap().to_owned(), own["client_secret"].as_str().unwrap().to_owned());
        for key in KEYS {
            assert_eq!(everywhere(&server, &app, key), refused(), "{key}");
        }
        // The first two as documented, one of them pinned.
        let file = documented(2).to_owned()
            + &key_line(KEYS[2], &json!({"tenant": "ada"})) + "\n"
            + &key_line(KEYS[3], &json!({"tenant": null, "expires_at": "2999-01-01T00:00:00Z"})) + "\n";
        let import = |file: &str| host.run_with(&["import", "keys", "-", "--json"], file);
        let report = import(&file).json();
        assert_eq!(report, json!({"accepted": 4, "exists": 0, "exists_lines": [], "refused": 0, "refusals": []}));
        for key in KEYS {
            assert_eq!(everywhere(&server, &app, key), accepted(), "{key}");
            assert_eq!(everywhere(&server, &own, key), accepted(), "asked about by an app of the tenant: {key}");
        }
        let again = import(&file).json();
        assert_eq!((&again["accepted"], &again["exists"]), (&json!(0), &json!(4)));
        let list = host.run(&["key", "list", "--json"]).json();
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 4);
        let of = |start: &str| list.iter().find(|key| key["start"].as_str().unwrap().starts_with(start)).unwrap();
        assert_eq!((&of("acme_live_51f2")["name"], &of("acme_live_51f2")["environment"]), (&json!("Deploys"), &json!("live")));
        assert_eq!(of("sha256:")["email"], "ada@example.com");
        let events = host.run(&["audit", "export"]).stdout;
        assert_eq!(events.matches("\"action\":\"api_key.imported\"").count(), 4);
        assert_eq!(host.run(&["audit", "verify", "--json"]).json()["sound"], json!(true));

        // Ended by a command, and by somebody's report of it: neither comes back.
        let id = of("acme_live_51f2")["id"].as_str().unwrap();
        assert_eq!(host.run(&["key", "revoke", id]).code, 0);
        let (leaked, found) = (format!("{}/v1/leaked-keys", server.url), json!([KEYS[1]]).to_string());
        assert_eq!(server.request("POST", &leaked, &[("content-type", "application/json")], &found).0, 202);
        let patience = Instant::now();
        while KEYS[..2].iter().any(|key| everywhere(&server, &app, key) != refused()) {
            assert!(patience.elapsed() < Duration::from_secs(5));
        }
        let last = import(&file);
        assert_eq!(last.code, 1);
        let last: Value = serde_json::from_str(&last.stdout).unwrap();
        assert_eq!((&last["accepted"], &last["exists"], &last["refused"]), (&json!(0), &json!(2), &json!(2)));
        assert_eq!(last["refusals"][0], json!({"line": 1, "field": "sha256", "reason": "was imported before and has ended since"}));
        assert_eq!(everywhere(&server, &app, KEYS[0]), refused());
        assert_eq!(everywhere(&server, &app, KEYS[2]), accepted());
    }

    fn each_refused_key_is_told_and_leaves_nothing_behind(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        ada(&host, &server);
        host.run(&["tenant", "create", "--name", "Acme", "--json"]).json();
        let bob = ["user", "create", "--platform", "--email", "bob@example.com", "--password-stdin", "--json"];
        host.run_with(&bob, PASSWORD).json();
        host.run(&["member", "add", "--tenant", "acme", "--email", "bob@example.com", "--role", "member", "--json"]).json();
        let lines = [
            key_line(KEYS[0], &json!({"tenant": "ada"})),
            key_line(KEYS[0], &json!({"email": "bob@example.com"})),
            key_line(KEYS[1], &json!({"email": "nobody@example.com"})),
            key_line(KEYS[1], &json!({"tenant": "nowhere"})),
            key_line(KEYS[1], &json!({"tenant": "acme"})),
            key_line(KEYS[1], &json!({"email": "bob@example.com", "tenant": "acme"})),
            key_line(KEYS[1], &json!({"scopes": ["read", "moon"]})),
            key_line(KEYS[1], &json!({"scopes": []})),
            key_line(KEYS[1], &json!({"scopes": "read"})),
            key_line(KEYS[1], &json!({"scopes": ["two words"]})),
            key_line(KEYS[1], &json!({"expires_at": "2020-01-01T00:00:00Z"})),
            key_line(KEYS[1], &json!({"created_at": "2999-01-01T00:00:00Z"})),
            key_line(KEYS[1], &json!({"env": "prod", "name": "", "start": "a b"})),
            key_line(KEYS[1], &json!({"key": KEYS[1]})),
            json!({"sha256": KEYS[1]}).to_string(),
        ];
        let text = host.run_with(&["import", "keys", "-"], &lines.join("\n"));
        assert_eq!(text.code, 1, "{text:?}");
        for expected in [
            "line 2: sha256: is somebody else's key\n",
            "line 3: email: is nobody's of the platform\n",
            "line 4: tenant: there is none with this slug\n",
            "line 5: tenant: the holder is no member\n",
            "line 6: tenant: the holder's address is not confirmed, and another made the tenant\n",
            "line 7: scopes: names a scope that there is none of\n",
            "line 8: scopes: must not be empty\n",
            "line 9: scopes: must be a list of texts\n",
            "line 10: scopes: not a scope\n",
            "line 11: expires_at: is in the past\n",
            "line 12: created_at: is in the future\n",
            "line 13: env: must be live or test\n",
            "line 13: name: must not be empty\n",
            "line 13: start: must be 1 to 40 characters of visible ASCII\n",
            "line 14: key: is not known\n",
            "line 15: sha256: must be the 64 hexadecimal digits of a SHA-256\n",
            "line 15: email: is missing\n",
            "line 15: name: is missing\n",
            "line 15: scopes: is missing\n",
            "accepted       1\nalready there  0\nrefused        14\n",
        ] {
            assert!(text.stdout.contains(expected), "{expected}{}", text.stdout);
        }
        assert!(!text.stdout.contains(KEYS[1]) && !text.stderr.contains(KEYS[1]));
        assert_eq!(host.run(&["key", "list", "--json"]).json().as_array().unwrap().len(), 1);
        assert_eq!(host.run(&["import", "keys"]).code, 2);
        assert_eq!(host.run(&["import", "keys", "nowhere.jsonl"]).code, 1);
    }

    fn many_keys_are_brought_in_once(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        ada(&host, &server);
        let lines = |count: usize| -> String {
            (0..count).map(|n| key_line(&format!("key number {n}"), &json!({"tenant": "ada"})) + "\n").collect()
        };
        // Two at once bring each in once.
        let (file, half) = (lines(1_200), lines(700));
        let import = |file: &str| host.run_with(&["import", "keys", "-", "--json"], file).json();
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(|| import(&half));
            (import(&file), other.join().unwrap())
        });
        let sum = one["accepted"].as_u64().unwrap() + other["accepted"].as_u64().unwrap();
        assert_eq!((sum, &one["refused"], &other["refused"]), (1_200, &json!(0), &json!(0)), "{one} {other}");
        assert_eq!(host.run(&["key", "list", "--json"]).json().as_array().unwrap().len(), 1_200);
        let events = host.run(&["audit", "export", "--tenant", "ada"]).stdout;
        assert_eq!(events.matches("\"action\":\"api_key.imported\"").count(), 1_200);
    }
}
