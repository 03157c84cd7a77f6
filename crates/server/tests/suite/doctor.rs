//! `doctor`: what it says of a deployment, and that it leaves it as it is.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use keystead_storage::Database;
use keystead_testkit::smtp::{SmtpOptions, SmtpServer, python, skip};
use keystead_testkit::{TestDatabase, both_backends};
use serde_json::{Value, json};

use crate::process::{Host, Output, tenant_with_app};

/// The status of each check.
fn statuses(output: &Output) -> BTreeMap<String, String> {
    let findings: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let word = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
    let findings = findings.as_array().unwrap();
    for finding in findings {
        assert!(!finding["message"].as_str().unwrap().is_empty(), "{finding}");
        assert_eq!(finding.get("advice").is_some(), finding["status"] != "ok", "{finding}");
    }
    findings.iter().map(|finding| (word(finding, "check"), word(finding, "status"))).collect()
}

/// Runs doctor; how it ended, and what is not well. The cluster of the tests does not sync, and we are
/// its superuser, which doctor rightly does not like.
#[track_caller]
fn unwell(host: &Host, database: &TestDatabase, settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let output =
        crate::process::finish(host.command(&["doctor", "--json"]).envs(settings.iter().copied()), "");
    let mut statuses = statuses(&output);
    let failed = statuses.values().filter(|status| *status == "fail").count();
    assert_eq!(output.code, i32::from(failed > 0), "{output:?}");
    let told =
        output.stderr.lines().find_map(|line| line.strip_prefix("keystead: this is wrong: ")).unwrap_or("");
    for (check, status) in &statuses {
        assert_eq!(told.split(", ").any(|one| one == check), status == "fail", "{check}: {told}");
    }
    if matches!(database.database(), Database::Postgres(_)) {
        statuses.remove("postgres_durability");
        statuses.remove("postgres_role");
    }
    statuses.retain(|_, status| status != "ok");
    statuses
}

fn one(check: &str, status: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(check.to_owned(), status.to_owned())])
}

/// The names, modes, times and contents of all files below a folder.
fn files(folder: &Path) -> Vec<(String, u32, i64, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, found) = (entry.path(), entry.metadata().unwrap());
        let content = if found.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        all.push((path.display().to_string(), found.mode(), found.mtime_nsec(), content));
        if found.is_dir() {
            all.extend(files(&path));
        }
    }
    all.sort();
    all
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

both_backends! {
    fn a_deployment_that_is_well_is_left_as_it_is(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        let before = (files(host.folder()), files(database.folder()), database.dump("signing_keys"), database.dump("audit_events"));
        assert_eq!(unwell(&host, &database, &[]), BTreeMap::new());
        let text = host.run(&["doctor"]).stdout;
        assert!(text.contains("ok    master_key ") && text.contains("ok    signing_keys "), "{text}");
        assert!(before == (files(host.folder()), files(database.folder()), database.dump("signing_keys"), database.dump("audit_events")));
        let server = host.serve(&[]);
        assert_eq!(unwell(&host, &database, &[]), BTreeMap::new(), "nor while a server runs");
        server.stop();
    }

    fn what_is_there_before_the_first_start(database: TestDatabase) {
        let host = Host::new(&database);
        let before = files(host.folder());
        assert_eq!(unwell(&host, &database, &[]), one("data_dir", "warn"));
        assert!(before == files(host.folder()), "nothing is made");
    }

    fn keys_that_do_not_fit(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        let key = host.data_dir().join("master.key");
        set_mode(&key, 0o640);
        assert_eq!(unwell(&host, &database, &[]), one("master_key_file", "fail"));
        set_mode(&key, 0o600);
        set_mode(&host.data_dir(), 0o755);
        assert_eq!(unwell(&host, &database, &[]), one("data_dir", "fail"));
        set_mode(&host.data_dir(), 0o700);

        let wrong = "17".repeat(32);
        assert_eq!(unwell(&host, &database, &[("KEYSTEAD_MASTER_KEY", &wrong)]), one("master_key", "fail"));
        let text = crate::process::finish(host.command(&["doctor"]).env("KEYSTEAD_MASTER_KEY", &wrong), "").stdout;
        assert!(!text.contains(&wrong) && text.contains("-> put the key "), "{text}");
        let moved = host.folder().join("elsewhere");
        fs::rename(&key, &moved).unwrap();
        assert_eq!(unwell(&host, &database, &[]), one("master_key", "fail"));
        assert!(!key.exists(), "none is made");
        set_mode(&moved, 0o644);
        let elsewhere = [("KEYSTEAD_MASTER_KEY_FILE", moved.to_str().unwrap())];
        assert_eq!(unwell(&host, &database, &elsewhere), BTreeMap::new(), "the operator's own place and modes");
        fs::rename(&moved, &key).unwrap();
        set_mode(&key, 0o600);

        database.execute("UPDATE signing_keys SET kid = 'another' WHERE state = 'next'");
        assert_eq!(unwell(&host, &database, &[]), one("signing_keys", "fail"));
    }

    fn another_schema(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
        assert_eq!(unwell(&host, &database, &[]), one("schema", "fail"));
    }

    fn settings_that_are_unsafe(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        let public = ("KEYSTEAD_PUBLIC_URL", "https://id.example");
        let proxies = [("KEYSTEAD_TRUSTED_PROXIES", "10.0.0.1"), ("KEYSTEAD_CLIENT_IP_HEADER", "X-Forwarded-For")];
        let mut expected = one("mail", "warn");
        assert_eq!(unwell(&host, &database, &[public, proxies[0], proxies[1]]), expected);
        expected.extend(one("client_ip_header", "warn"));
        assert_eq!(unwell(&host, &database, &[public]), expected);
        assert_eq!(unwell(&host, &database, &[public, proxies[0]]), expected);
        expected.extend(one("client_ip_header", "fail"));
        assert_eq!(unwell(&host, &database, &[public, ("KEYSTEAD_TRUSTED_PROXIES", "10.0.0.1,0.0.0.0/0"), proxies[1]]), expected);
        expected.remove("client_ip_header");
        expected.extend(one("rate_limits", "fail"));
        assert_eq!(unwell(&host, &database, &[public, proxies[0], proxies[1], ("KEYSTEAD_RATE_LIMITS__ENABLED", "false")]), expected);
        expected.remove("rate_limits");
        expected.extend(one("public_url", "fail"));
        assert_eq!(unwell(&host, &database, &[("KEYSTEAD_PUBLIC_URL", "http://id.example"), proxies[0], proxies[1]]), expected);

        assert_eq!(unwell(&host, &database, &[("KEYSTEAD_LISTNE", "127.0.0.1:1")])["configuration"], "warn");
        let broken = crate::process::finish(host.command(&["doctor", "--json"]).env("KEYSTEAD_LISTEN", "nowhere"), "");
        let findings: Value = serde_json::from_str(&broken.stdout).unwrap();
        assert_eq!((broken.code, findings.as_array().unwrap().len()), (1, 1));
        assert_eq!((&findings[0]["check"], &findings[0]["status"]), (&json!("configuration"), &json!("fail")));
        assert!(findings[0]["message"].as_str().unwrap().contains("listen"), "{findings}");
    }

    fn a_mail_server_that_is_there_or_away(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let away = format!("smtp://127.0.0.1:{free}");
        assert_eq!(unwell(&host, &database, &[("KEYSTEAD_MAIL", &away)]), one("mail", "fail"));
        let Some(python) = python() else { return skip(module_path!()) };
        let mail_server = SmtpServer::start(python, &SmtpOptions { port: 0, tls: None, login: None });
        let there = format!("smtp://127.0.0.1:{}", mail_server.port());
        assert_eq!(unwell(&host, &database, &[("KEYSTEAD_MAIL", &there)]), BTreeMap::new());
        assert!(mail_server.seen("mail").is_empty(), "none is sent");
    }
}

#[test]
fn a_new_folder_stays_empty_and_sqlite_is_looked_into() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    let elsewhere = host.folder().join("new.db");
    let url = format!("sqlite:{}", elsewhere.display());
    let new = host.run(&["doctor", "--json", "--database-url", &url]);
    assert_eq!((new.code, statuses(&new)["database"].as_str()), (0, "warn"), "{new:?}");
    assert_eq!(fs::read_dir(host.folder()).unwrap().count(), 0);

    tenant_with_app(&host, "acme");
    let Database::Sqlite(file) = database.database() else { return };
    set_mode(file, 0o644);
    assert_eq!(unwell(&host, &database, &[]), one("database_file", "fail"));
    set_mode(file, 0o600);
    // In the middle of the pages, where rows and indexes are.
    let mut bytes = fs::read(file).unwrap();
    bytes[8192..].chunks_mut(4096).for_each(|page| page[0..64].fill(0x5a));
    fs::write(file, bytes).unwrap();
    let damaged = host.run(&["doctor", "--json"]);
    assert_eq!(damaged.code, 1, "{damaged:?}");
    assert!(statuses(&damaged).values().any(|status| status == "fail"));
}

#[test]
fn a_postgresql_that_does_not_sync_is_refused() {
    let Some(database) = TestDatabase::postgres() else { return };
    let host = Host::new(&database);
    tenant_with_app(&host, "acme");
    database.execute("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronous_commit = off'; END $$");
    let output = host.run(&["doctor", "--json"]);
    assert_eq!(output.code, 1);
    let findings: Value = serde_json::from_str(&output.stdout).unwrap();
    let durability =
        findings.as_array().unwrap().iter().find(|one| one["check"] == "postgres_durability").unwrap();
    assert!(durability["message"].as_str().unwrap().contains("synchronous_commit"), "{durability}");
    assert_eq!(durability["status"], "fail");
    // More connections than the server has.
    let pool =
        crate::process::finish(host.command(&["doctor", "--json"]).env("KEYSTEAD_DATABASE_POOL", "1000"), "");
    assert_eq!(statuses(&pool)["postgres_connections"], "fail");
}
