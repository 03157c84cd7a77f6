//! A mail server for tests, started by a test and gone with it: aiosmtpd, in Python, on loopback.
//!
//! [`python`] says how to run it, or `None` where the machine cannot: the test then calls [`skip`] and
//! returns. With a not empty `KEYSTEAD_TEST_REQUIRE_SMTP` such a machine fails the tests.

#![expect(clippy::panic, reason = "a test that cannot have its mail server has to fail, and to say why")]

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Turns "no mail server here" from a skip into a failure.
const REQUIRE: &str = "KEYSTEAD_TEST_REQUIRE_SMTP";
/// How long what a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server.
const SCRIPT: &str = include_str!("smtp/server.py");

/// The Python that has aiosmtpd: the one on `PATH`, else the machine's own; `None` without it or
/// without openssl, which makes certificates.
///
/// # Panics
/// When the mail server is required and not there.
pub fn python() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let succeeds = |command: &mut Command| {
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok_and(|status| status.success())
        };
        let has_aiosmtpd =
            |python: &&str| succeeds(Command::new(python).args(["-c", "import aiosmtpd.smtp"]));
        let python = ["python3", "/usr/bin/python3"].into_iter().find(has_aiosmtpd).map(PathBuf::from);
        python.filter(|_| succeeds(Command::new("openssl").arg("version")))
    });
    if found.is_none() && env::var_os(REQUIRE).is_some_and(|value| !value.is_empty()) {
        panic!("{REQUIRE} is set, but there is no openssl, or no python3 with aiosmtpd");
    }
    found.as_deref()
}

/// Reports that a test did not run for want of a mail server, past libtest's capturing.
pub fn skip(test: &str) {
    let line = format!("test … skipped: {test} (no mail server: install python3-aiosmtpd and openssl)\n");
    // A closed stderr is no reason for a test to fail.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// A key and a certificate for `localhost` that nobody else has signed.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Makes one in this folder.
    pub fn make(folder: &Path, name: &str) -> Self {
        let [certificate, key] = ["crt", "key"].map(|kind| folder.join(format!("{name}.{kind}")));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output();
        match made {
            Ok(output) if output.status.success() => Self { certificate, key },
            failed => panic!("openssl made no certificate: {failed:?}"),
        }
    }

    /// The file to trust.
    pub fn path(&self) -> &Path {
        &self.certificate
    }
}

/// What a mail server does.
pub struct SmtpOptions<'a> {
    /// Its port; 0 takes a free one.
    pub port: u16,
    /// Its certificate, and `starttls` or `tls`; without, it is in clear.
    pub tls: Option<(&'a Certificate, &'static str)>,
    /// User, password, and how to present them (`PLAIN` or `LOGIN`); without, anybody may send.
    pub login: Option<(&'a str, &'a str, &'static str)>,
}

/// A running mail server. It takes every mail, but none to `refused@…`.
pub struct SmtpServer {
    child: Child,
    port: u16,
    seen: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl SmtpServer {
    /// Starts one and waits until it listens.
    pub fn start(python: &Path, options: &SmtpOptions<'_>) -> Self {
        let (certificate, mode) = options.tls.unzip();
        let (user, password, mechanism) = match options.login {
            Some((user, password, mechanism)) => (Some(user), Some(password), mechanism),
            None => (None, None, "PLAIN"),
        };
        let arguments = json!({
            "port": options.port,
            "mode": mode.unwrap_or("plain"),
            "certificate": certificate.map(|it| &it.certificate),
            "key": certificate.map(|it| &it.key),
            "user": user,
            "password": password,
            "mechanism": mechanism,
        });
        let spawned = Command::new(python)
            .args(["-W", "ignore", "-c", SCRIPT, &arguments.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {}: {error}", python.display()));
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        if let Some(printed) = child.stdout.take() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || {
                for line in BufReader::new(printed).lines().map_while(Result::ok) {
                    let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    seen.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                    seen.1.notify_all();
                }
            });
        }
        let mut server = Self { child, port: 0, seen };
        let port = server.wait_for("listening", 1)[0]["port"].as_u64();
        server.port = port.and_then(|port| port.try_into().ok()).unwrap_or_default();
        server
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it has seen of a kind so far: `connection`, `auth`, `recipient` or `mail`.
    pub fn seen(&self, kind: &str) -> Vec<Value> {
        of_kind(&self.seen.0.lock().unwrap_or_else(PoisonError::into_inner), kind)
    }

    /// Waits until it has seen so many of a kind.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait_for(&self, kind: &str, count: usize) -> Vec<Value> {
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.seen.1.wait_timeout_while(seen, PATIENCE, |seen| of_kind(seen, kind).len() < count);
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "no {count} of {kind}: {seen:?}");
        of_kind(&seen, kind)
    }
}

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["kind"] == kind).cloned().collect()
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
