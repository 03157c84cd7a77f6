//! The TypeScript client that people already use, as it is published, against the server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keystead_testkit::{TestDatabase, both_backends, tools};

use crate::process::Host;

/// The client and what it needs, where `npm ci` was run in its folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/better-auth")
}

/// Runs a script of that folder against a server of its own, and answers what it asks. `test` is who does.
fn play(script: &str, database: &TestDatabase, test: &str) {
    let Some([node]) = tools::find(test, ["node"]) else { return };
    if !tools::installed(test, &folder().join("node_modules/better-auth/package.json")) {
        return;
    }
    let host = Host::new(database);
    let settings = [
        ("KEYSTEAD_RATE_LIMITS__ACCOUNT_SIGN_IN", "1000/1m"),
        ("KEYSTEAD_RATE_LIMITS__ACCOUNT_SIGN_UP", "1000/1m"),
        ("KEYSTEAD_RATE_LIMITS__ACCOUNT_TWO_FACTOR", "1000/1m"),
        ("KEYSTEAD_RATE_LIMITS__SIGN_IN", "1000/1m"),
        ("KEYSTEAD_RATE_LIMITS__FAILED_BEARER", "1000/1m"),
    ];
    let server = host.serve_with(&[], &settings);
    let mut child = Command::new(node)
        .arg(script)
        .arg(&server.url)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = child.stdin.take().unwrap();
    let mut is_done = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("mail", address)) => {
                let mail = host.run(&["mail", "show", "--to", address, "--latest"]);
                let text = (mail.code == 0).then_some(mail.stdout);
                writeln!(answers, "{}", serde_json::to_string(&text).unwrap()).unwrap();
            }
            _ if line == "done" => is_done = true,
            _ => panic!("the script says {line}"),
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success() && is_done, "{script} ended with {status}; see above");
}

both_backends! {
    fn accounts_work_unchanged(database: TestDatabase) {
        play("accounts.mjs", &database, "better_auth::accounts_work_unchanged");
    }

    fn keys_work_unchanged(database: TestDatabase) {
        play("keys.mjs", &database, "better_auth::keys_work_unchanged");
    }

    fn organizations_work_unchanged(database: TestDatabase) {
        play("organizations.mjs", &database, "better_auth::organizations_work_unchanged");
    }
}
