//! Running the binary.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::TestDatabase;
use serde_json::Value;

/// A folder with a configuration that points at a test's database, and the binary to run in it.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    database_url: String,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// What it printed as JSON, given that it succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Host {
    pub(crate) fn new(database: &TestDatabase) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database_url: database.url() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("keystead-data")
    }

    /// The binary with these arguments, in the host's folder, with none of our own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYSTEAD_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("KEYSTEAD_DATABASE_URL", &self.database_url)
            // Hashing at the real cost is measured elsewhere.
            .env("KEYSTEAD_PASSWORD__MEMORY_KIB", "8")
            .env("KEYSTEAD_PASSWORD__ITERATIONS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a command to its end with this text on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        finish(self.command(arguments).stdin(Stdio::piped()), stdin)
    }

    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with(arguments, &[])
    }

    /// The same, with these settings.
    pub(crate) fn serve_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Server {
        let mut command = self.command(&[&["serve"], arguments].concat());
        command.envs(settings.iter().copied());
        command.env("KEYSTEAD_LISTEN", "127.0.0.1:0").env("KEYSTEAD_ADMIN_LISTEN", "127.0.0.1:0");
        Server::start(command)
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command, stdin: &str) -> Output {
    let mut child = command.spawn().unwrap();
    if let Some(mut input) = child.stdin.take() {
        // A command that reads nothing may be gone already.
        let _ = input.write_all(stdin.as_bytes());
    }
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    log: Option<thread::JoinHandle<String>>,
    pub(crate) url: String,
    /// What it had printed when it was ready.
    pub(crate) banner: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (lines, printed) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let Ok(first) = printed.recv_timeout(Duration::from_secs(30)) else {
            let _ = child.kill();
            panic!("the server did not start: {}", log.join().unwrap());
        };
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // What is printed next comes in the same write.
        let rest: Vec<_> =
            std::iter::from_fn(|| printed.recv_timeout(Duration::from_millis(200)).ok()).collect();
        let banner = format!("{first}\n{}", rest.join("\n"));
        let server = Self { child, log: Some(log), url, banner };
        let deadline = Instant::now() + Duration::from_secs(10);
        while server.get("/health/ready").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "the server is not ready");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
    }

    /// Status and body of a `GET`; nothing where the server does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = Self::agent().get(format!("{}{path}", self.url)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// Status and body of a `POST` of JSON; nothing where the server does not answer.
    pub(crate) fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Option<(u16, Value)> {
        let mut request =
            Self::agent().post(format!("{}{path}", self.url)).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.send(body.to_string()).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).ok()?))
    }

    /// Ends the server; what it had logged.
    pub(crate) fn into_log(mut self) -> String {
        let _ = self.child.kill();
        self.log.take().unwrap().join().unwrap()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tenant with an app, made by commands: client id and secret.
pub(crate) fn tenant_with_app(host: &Host, slug: &str) -> (String, String) {
    host.run(&["tenant", "create", "--name", slug, "--slug", slug, "--json"]).json();
    let app = host.run(&["app", "create", "--tenant", slug, "--name", "Web", "--json"]).json();
    let text = |member: &str| app[member].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

/// An access token of an app.
pub(crate) fn token(server: &Server, (client_id, client_secret): &(String, String)) -> String {
    let request = serde_json::json!({
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret
    });
    let (status, body) = server.post("/oauth/token", None, &request).unwrap();
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}
