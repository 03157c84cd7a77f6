//! Keystead as a process: a release server as it is shipped, with its limits enabled but so high that
//! none is reached, and its log in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::deployment::progress;
use crate::failure::{Failure, Result};
use crate::process::{Process, free_port};
use crate::requests::Request;

/// The setting that bounds the cache of verified principals, if this version has one.
const CACHE: &str = "cache.max_entries";
/// A cache that no working set of misses fits into.
const SMALL_CACHE: &str = "100";
/// As high as a quota can be.
const PLENTY: &str = "1000000000/1m";
/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many threads hash, whatever the machine.
pub(crate) const HASHING_THREADS: usize = 2;

/// The binary, and what it can be told.
pub(crate) struct Binary {
    path: PathBuf,
    settings: Vec<(String, String)>,
    /// Whether it has a cache whose size can be set.
    pub(crate) has_cache: bool,
}

impl Binary {
    /// Builds the `keystead` of the same profile as the bench itself, and asks it for its settings.
    pub(crate) fn build() -> Result<Self> {
        let bench = std::env::current_exe()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "keystead-server"]);
        // Beside the bench, wherever that was built: `target/release/keystead-bench`.
        if let Some(target) = bench.ancestors().nth(2) {
            build.arg("--target-dir").arg(target);
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What the cargo that runs us tells us of ourselves would make build scripts run again.
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        for (name, _) in std::env::vars_os() {
            if ours.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                build.env_remove(name);
            }
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).stdin(Stdio::null());
        progress("building keystead");
        let built = build.status().map_err(|error| Failure::while_doing("cargo", error))?;
        if !built.success() {
            return Err(Failure::new("keystead cannot be built"));
        }
        let path = bench.with_file_name("keystead");
        let settings = known_settings(&path)?;
        let quotas = settings.iter().filter(|(key, value)| {
            (key.starts_with("rate_limits.") || key.starts_with("plan."))
                && value.as_str().is_some_and(|value| value.contains('/'))
        });
        let mut raised: Vec<_> = quotas.map(|(key, _)| (variable(key), PLENTY.to_owned())).collect();
        raised.extend([
            // The servers listen at other ports, and take each other's tokens.
            (variable("public_url"), "http://127.0.0.1:8000".to_owned()),
            (variable("tokens.app_access_token_seconds"), "86400".to_owned()),
            (variable("hashing.threads"), HASHING_THREADS.to_string()),
        ]);
        let has_cache = settings.contains_key(CACHE);
        Ok(Self { path, settings: raised, has_cache })
    }

    fn command(&self, database_url: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYSTEAD_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(folder)
            .env(variable("database_url"), database_url)
            .env(variable("data_dir"), folder.join("keystead-data"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// The settings and their values, as the binary lists them.
fn known_settings(path: &Path) -> Result<BTreeMap<String, Value>> {
    let output = Command::new(path).args(["config", "show", "--json"]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::while_doing(&path.to_string_lossy(), error))?;
    let list: Vec<Value> = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::while_doing("keystead config show --json", error))?;
    let key =
        |setting: &Value| Some((setting.get("key")?.as_str()?.to_owned(), setting.get("value")?.clone()));
    Ok(list.iter().filter_map(key).collect())
}

fn variable(key: &str) -> String {
    format!("KEYSTEAD_{}", key.to_uppercase().replace('.', "__"))
}

/// A running server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
    admin_port: u16,
    /// How long it took from its start to the first 200 of `/health/ready`.
    pub(crate) first_200: Duration,
}

impl Server {
    /// Starts one on this database, in this folder, and waits until it is ready.
    pub(crate) fn start(binary: &Binary, database_url: &str, folder: &Path) -> Result<Self> {
        Self::run(binary.command(database_url, folder), folder)
    }

    /// Starts one whose cache is too small for anything to be found in it again, where this version
    /// has a cache.
    pub(crate) fn start_forgetful(binary: &Binary, database_url: &str, folder: &Path) -> Result<Self> {
        let mut command = binary.command(database_url, folder);
        if binary.has_cache {
            command.env(variable(CACHE), SMALL_CACHE);
        }
        Self::run(command, folder)
    }

    fn run(mut command: Command, folder: &Path) -> Result<Self> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let log = folder.join(format!("log-{port}"));
        command
            .arg("serve")
            .env(variable("listen"), format!("127.0.0.1:{port}"))
            .env(variable("admin_listen"), format!("127.0.0.1:{admin_port}"))
            .stderr(File::create(&log)?);
        let health = Request::get("/health/ready", &[], String::new()).bytes;
        let began = Instant::now();
        let mut process = Process::spawn(&mut command)?;
        loop {
            let answer = Client::connect(port).and_then(|mut client| client.ask(&health));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(Self { process, port, admin_port, first_200: began.elapsed() });
            }
            if !process.runs() || began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::new(format!("keystead is not ready; it printed: {log}")));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many answers of each status it has given, as its own figures say.
    pub(crate) fn statuses(&self) -> Result<BTreeMap<u16, u64>> {
        let request = Request::get("/metrics", &[], String::new());
        let answer = Client::connect(self.admin_port)?.ask(&request.bytes)?;
        let mut counts = BTreeMap::new();
        for line in answer.body.lines().filter(|line| line.starts_with("keystead_http_requests_total{")) {
            let status = line.split_once("status=\"").and_then(|(_, rest)| rest.split('"').next());
            let count = line.rsplit(' ').next();
            match (
                status.and_then(|status| status.parse().ok()),
                count.and_then(|count| count.parse::<u64>().ok()),
            ) {
                (Some(status), Some(count)) => *counts.entry(status).or_insert(0) += count,
                _ => return Err(Failure::new(format!("cannot read the figure {line}"))),
            }
        }
        if counts.is_empty() {
            return Err(Failure::new(format!("no keystead_http_requests_total in: {}", answer.body)));
        }
        Ok(counts)
    }
}

/// The statuses of which there are more now, other than 200.
pub(crate) fn unexpected(before: &BTreeMap<u16, u64>, after: &BTreeMap<u16, u64>) -> Vec<(u16, u64)> {
    let more = after.iter().map(|(status, count)| (*status, count - before.get(status).unwrap_or(&0)));
    more.filter(|(status, more)| *status != 200 && *more > 0).collect()
}
