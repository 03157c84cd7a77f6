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
