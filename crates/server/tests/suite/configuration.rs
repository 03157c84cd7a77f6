//! The configuration, as the binary reads it.

use keystead_testkit::TestDatabase;
use serde_json::json;

use crate::process::Host;

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
