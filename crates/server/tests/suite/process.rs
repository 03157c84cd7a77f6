//! Running the binary.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keystead_testkit::TestDatabase;
use serde_json::Value;

/// A folder with a configuration that points at a test's database, and the binary to run in it.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    database_url: String,
    variables: Vec<(&'static str, String)>,
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
        Self { folder: tempfile::tempdir().unwrap(), database_url: database.url(), variables: Vec::new() }
    }

    /// A variable for all that runs from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
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
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
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
        self.start(command)
    }

    /// Starts a server as `command` says, and waits until it listens.
    pub(crate) fn start(&self, command: Command) -> Server {
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
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
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
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let reader = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in stderr.lines().map_while(Result::ok) {
                    log.lock().unwrap().extend([&line, "\n"]);
                }
            })
        };
        let Ok(first) = printed.recv_timeout(Duration::from_secs(30)) else {
            let _ = child.kill();
            reader.join().unwrap();
            panic!("the server did not start: {}", log.lock().unwrap());
        };
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // What is printed next comes in the same write.
        let rest: Vec<_> =
            std::iter::from_fn(|| printed.recv_timeout(Duration::from_millis(200)).ok()).collect();
        let server =
            Self { child, log, reader: Some(reader), url, banner: format!("{first}\n{}", rest.join("\n")) };
        let deadline = Instant::now() + Duration::from_secs(10);
        while server.get("/health/ready").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "the server is not ready");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// The address of health and metrics.
    pub(crate) fn admin_url(&self) -> &str {
        self.banner.lines().find_map(|line| line.strip_prefix("Health and metrics are at ")).unwrap()
    }

    /// Status and body of any request, with these headers.
    pub(crate) fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let answer = self.exchange(method, url, headers, body);
        (answer.status().as_u16(), answer.into_body())
    }

    /// The whole answer to any request.
    pub(crate) fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> ureq::http::Response<String> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .build()
            .into();
        let (parts, mut body) = agent.run(request).unwrap().into_parts();
        ureq::http::Response::from_parts(parts, body.read_to_string().unwrap())
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

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Stops the server as an operator would; what it logged.
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        assert!(self.wait().success());
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap();
        log.clone()
    }

    /// Waits until the log has this text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log.lock().unwrap().contains(text) {
            assert!(Instant::now() < deadline, "no {text} in: {}", self.log.lock().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
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
