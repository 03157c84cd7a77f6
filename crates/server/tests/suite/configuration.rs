//! The configuration, as the binary reads it.

use keystead_testkit::{TestDatabase, both_backends};
use serde_json::{Value, json};

use crate::process::{Host, Server, token};

fn host() -> (TestDatabase, Host) {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    (database, host)
}

#[test]
fn what_is_in_force_is_shown_with_its_source_and_without_secrets() {
    let (_database, host) = host();
    std::fs::write(host.folder().join("keystead.toml"), "default_plan = \"studio\"\n").unwrap();
    let mut command = host.command(&["config", "show", "--json"]);
    command.env("KEYSTEAD_DATABASE_URL", "postgres://ks:hunter2@db.internal/ks");
    let output = crate::process::finish(&mut command, "");
    assert!(!output.stdout.contains("hunter2"), "{output:?}");
    let shown = output.json();
    let of = |key: &str| shown.as_array().unwrap().iter().find(|line| line["key"] == key).unwrap().clone();
    assert_eq!(of("default_plan")["value"], "studio");
    assert!(of("default_plan")["source"].as_str().unwrap().starts_with("file"));
    assert!(of("database_url")["source"].as_str().unwrap().contains("KEYSTEAD_DATABASE_URL"));
    assert_eq!(of("listen")["source"], json!("default"));
    assert!(!host.data_dir().exists(), "looking changes nothing");
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    let (_database, host) = host();
    std::fs::write(host.folder().join("keystead.toml"), "lisen = \"127.0.0.1:1\"\n").unwrap();
    let output = host.run(&["config", "show"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("lisen") && output.stderr.contains("listen"), "{}", output.stderr);
}

#[test]
fn an_unknown_variable_is_a_warning_that_names_the_nearest() {
    let (_database, host) = host();
    let mut command = host.command(&["config", "show"]);
    command.env("KEYSTEAD_LISTEM", "127.0.0.1:1");
    let output = crate::process::finish(&mut command, "");
    assert_eq!(output.code, 0);
    assert!(
        output.stderr.contains("KEYSTEAD_LISTEM") && output.stderr.contains("KEYSTEAD_LISTEN"),
        "{output:?}"
    );
}

#[test]
fn plain_http_is_for_loopback() {
    let (_database, host) = host();
    let output = host.run(&["serve", "--listen", "127.0.0.1:0", "--public-url", "http://id.example"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("public_url") && output.stderr.contains("--insecure-http"), "{output:?}");
    let output =
        host.run(&["serve", "--demo", "--listen", "127.0.0.1:0", "--public-url", "https://id.example"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("--demo"), "{output:?}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let (_database, host) = host();
    assert_eq!(host.run(&["config", "show", "--config", "missing.toml"]).code, 1);
}

#[test]
fn a_log_for_machines_is_one_object_a_line() {
    let (_database, host) = host();
    let server = host.serve_with(&[], &[("KEYSTEAD_LOG_FORMAT", "json")]);
    assert_eq!(server.get("/nothing").unwrap().0, 404);
    let log = server.stop();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let answered = lines.iter().find(|line| line["message"] == "answered" && line["status"] == 404).unwrap();
    assert_eq!(answered["level"], "INFO");
    assert_eq!(answered["method"], "GET");
    assert!(answered["request"].as_str().is_some_and(|id| id.len() == 16), "{answered}");
    assert!(answered["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{answered}");
}

#[test]
fn nist_asks_for_longer_passwords() {
    let (_database, mut host) = host();
    host.run(&["tenant", "create", "--name", "Acme", "--json"]).json();
    let create = |host: &Host, email: &str| {
        let arguments = ["user", "create", "--tenant", "acme", "--email", email, "--password-stdin"];
        host.run_with(&arguments, "fourteen chars\n")
    };
    assert_eq!(create(&host, "ada@example.com").code, 0);
    host.set("KEYSTEAD_PASSWORD__POLICY", "nist");
    let refused = create(&host, "bob@example.com");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("must have at least 15 characters"), "{refused:?}");
    host.set("KEYSTEAD_PASSWORD__POLICY", "strict");
    let unknown = create(&host, "bob@example.com");
    assert!(unknown.stderr.contains("`password.policy`"), "{unknown:?}");
}

#[test]
fn plans_are_those_of_the_configuration() {
    let (_database, host) = host();
    let free = json!({"name": "free", "default": true, "entitlements": [], "rate_limits": {"burst": "10/10s", "sustained": "300/1m"}});
    let studio = json!({"name": "studio", "default": false, "entitlements": ["apiAccess"], "rate_limits": {"burst": "30/10s", "sustained": "600/1m"}});
    let list = host.run(&["plan", "list", "--json"]).json();
    assert_eq!((&list[0], &list[1], list.as_array().unwrap().len()), (&free, &studio, 3));
    assert_eq!(host.run(&["plan", "show", "studio", "--json"]).json(), studio);
    assert!(!host.data_dir().exists(), "looking changes nothing");
    let text = host.run(&["plan", "list"]).stdout;
    assert!(text.contains("apiAccess") && text.contains("1200/1m"), "{text}");
    let unknown = host.run(&["plan", "show", "gold"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert!(unknown.stderr.contains("free, studio, agency"), "{}", unknown.stderr);
    for usage in [&["plan"][..], &["plan", "show"], &["plan", "show", "No Plan"]] {
        assert_eq!(host.run(usage).code, 2, "{usage:?}");
    }
}

/// The configuration that the page about scopes, roles and plans shows, with the plan's quotas small.
const CUSTOM: &str = "default_plan = 'trial'\n[plan.trial]\napi_access = true\nburst = '3/10s'\nsustained = '60/1m'\n\
                      [plan.closed]\napi_access = false\nburst = '3/10s'\nsustained = '50/1m'\n\
                      [scopes.'reports:run']\nsentence = 'Run reports'\nmin_role = 'manager'\n";

/// The custom configuration on a running server, with an organization `ada` whose only owner is Ada.
struct Customized {
    host: Host,
    server: Server,
    app: (String, String),
}

impl Customized {
    fn on(database: &TestDatabase) -> Self {
        let host = Host::new(database);
        std::fs::write(host.folder().join("keystead.toml"), CUSTOM).unwrap();
        let server = host.serve(&[]);
        let ada =
            json!({"email": "ada@example.com", "password": "correct horse battery staple", "name": "Ada"});
        assert_eq!(server.post("/api/auth/sign-up/email", None, &ada).unwrap().0, 200);
        let app = [
            "app",
            "create",
            "--platform",
            "--name",
            "API",
            "--introspect",
            "platform",
            "--scope",
            "reports:run",
            "--json",
        ];
        let app = host.run(&app).json();
        assert_eq!(app["allowed_scopes"], json!(["reports:run"]));
        let text = |member: &str| app[member].as_str().unwrap().to_owned();
        Self { app: (text("client_id"), text("client_secret")), host, server }
    }

    fn key(&self, email: &str, more: &[&str]) -> String {
        let line = ["key", "create", "--tenant", "ada", "--email", email, "--name", "CI", "--json"];
        let key = self.host.run(&[&line[..], more].concat()).json();
        key["key"].as_str().unwrap().to_owned()
    }

    fn introspected(&self, token: &str) -> Value {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("token={token}&client_id={}&client_secret={}", self.app.0, self.app.1);
        let (_, text) =
            self.server.request("POST", &format!("{}/oauth/introspect", self.server.url), &form, &body);
        serde_json::from_str(&text).unwrap()
    }

    fn get(&self, path: &str, key: &str) -> (u16, String) {
        self.server.request("GET", &format!("{}{path}", self.server.url), &[("x-api-key", key)], "")
    }
}

both_backends! {
    fn a_scope_of_the_file_is_granted_cut_by_role_and_told(database: TestDatabase) {
        let custom = Customized::on(&database);
        let token = token(&custom.server, &custom.app);
        assert_eq!(custom.introspected(&token)["scope"], "reports:run");
        let owners = custom.key("ada@example.com", &["--scope", "reports:run", "--scope", "read"]);
        assert_eq!(custom.introspected(&owners)["scope"], "read reports:run");
        assert_eq!(custom.get("/forward-auth?scope=reports:run", &owners).0, 200);
        let all = custom.key("ada@example.com", &[]);
        assert!(custom.introspected(&all)["scope"].as_str().unwrap().contains("reports:run"), "what the role allows");
        let bob = ["user", "create", "--platform", "--email", "bob@example.com", "--password-stdin", "--verified", "--json"];
        custom.host.run_with(&bob, "correct horse battery staple\n").json();
        custom.host.run(&["member", "add", "--tenant", "ada", "--email", "bob@example.com", "--role", "member", "--json"]).json();
        let members = custom.key("bob@example.com", &["--scope", "reports:run", "--scope", "read"]);
        assert_eq!(custom.introspected(&members)["scope"], "read", "a member's role is too low");
        assert_eq!(custom.get("/forward-auth?scope=reports:run", &members).0, 403);
        assert_eq!(custom.get("/forward-auth?scope=read", &members).0, 200);
        for refused in [
            &["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "x", "--scope", "moon"][..],
            &["app", "create", "--platform", "--name", "x", "--scope", "user:read"],
        ] {
            assert_eq!(custom.host.run(refused).code, 1, "{refused:?}");
        }
        // Taken out of the file, it counts for nothing.
        let Customized { host, server, app } = custom;
        server.stop();
        std::fs::write(host.folder().join("keystead.toml"), CUSTOM.split("[scopes").next().unwrap()).unwrap();
        let custom = Customized { server: host.serve(&[]), host, app };
        assert_eq!(custom.introspected(&owners)["scope"], "read");
    }

    fn a_plan_of_the_file_opens_and_limits(database: TestDatabase) {
        let custom = Customized::on(&database);
        assert_eq!(custom.host.run(&["tenant", "show", "ada", "--json"]).json()["plan"], "trial");
        let (first, second) = (custom.key("ada@example.com", &[]), custom.key("ada@example.com", &[]));
        let asked: Vec<_> = (0..4).map(|_| custom.get("/api/v1/me", &first).0).collect();
        assert_eq!(asked, [200, 200, 200, 429]);
        let set = |plan: &str| custom.host.run(&["tenant", "set-plan", "ada", plan, "--json"]);
        assert_eq!(set("closed").json()["plan"], "closed");
        std::thread::sleep(std::time::Duration::from_secs(1));
        let (status, text) = custom.get("/api/v1/me", &second);
        assert_eq!(status, 402, "{text}");
        let refused: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&refused["error"]["code"], &refused["error"]["requiredPlan"]), (&json!("forbidden_plan"), &json!("trial")));
        assert_eq!(set("gold").code, 2);
        assert_eq!(custom.host.run(&["tenant", "create", "--name", "New", "--json"]).json()["plan"], "trial");
        let names: Vec<_> = custom.host.run(&["plan", "list", "--json"]).json().as_array().unwrap().iter().map(|plan| plan["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["closed", "trial", "free", "studio", "agency"], "the smallest first");
        let shown = custom.host.run(&["config", "show"]).stdout;
        assert!(shown.contains("plan.trial.burst") && shown.contains("scopes.reports:run.sentence"), "{shown}");
    }
}
