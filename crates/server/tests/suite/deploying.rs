//! The files of `docs/deploy/`, as they are.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{fs, thread};

use keystead_testkit::smtp::Certificate;
use keystead_testkit::{TestDatabase, tools};

use crate::process::Host;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy").join(name);
    fs::read_to_string(path).unwrap()
}

/// Puts what holds on a test's machine in the place of what holds on an operator's.
pub(crate) fn adapt(mut text: String, places: &[(&str, String)]) -> String {
    for (theirs, ours) in places {
        assert!(text.contains(theirs), "{theirs}");
        text = text.replace(theirs, ours);
    }
    text
}

#[test]
fn systemd_understands_the_unit() {
    let Some([analyze]) = tools::find("deploying::systemd_understands_the_unit", ["systemd-analyze"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("keystead.service");
    let binary = env!("CARGO_BIN_EXE_keystead").to_owned();
    fs::write(&unit, adapt(file("keystead.service"), &[("/usr/local/bin/keystead", binary)])).unwrap();
    let verified = Command::new(analyze).arg("verify").arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_ours: Vec<_> = said.lines().filter(|line| line.contains("keystead")).collect();
    assert!(verified.status.success() && about_ours.is_empty(), "{said}");
}

/// nginx, stopped at the end.
pub(crate) struct Nginx(Child);

impl Nginx {
    pub(crate) fn start(program: &Path, folder: &Path, site: &str) -> Self {
        let folder_name = folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder_name}/{kind};"))
            .join("\n");
        let whole = format!(
            "daemon off; master_process off; pid {folder_name}/pid; error_log {folder_name}/error.log info;\n\
             events {{}}\nhttp {{\naccess_log {folder_name}/access.log;\n{temporary}\n{site}\n}}\n"
        );
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, whole).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(configuration);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client behind the proxy.
struct Client {
    curl: PathBuf,
    url: String,
}

impl Client {
    /// The status of a request from an address, with a header of the client's own making.
    fn ask(&self, from: &str, path: &str, header: &str) -> String {
        let mut command = Command::new(&self.curl);
        command.args(["-sk", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "--interface", from]);
        let done = command.args(["-H", header]).arg(format!("{}{path}", self.url)).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    }
}

#[test]
fn behind_nginx_clients_are_who_they_are() {
    let programs = ["nginx", "curl", "openssl"];
    let Some([nginx, curl, _]) = tools::find("deploying::behind_nginx_clients_are_who_they_are", programs)
    else {
        return;
    };
    let site = file("nginx.conf");
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    // The settings that the file names, and a limit that a few requests reach.
    let settings: Vec<_> = site.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert_eq!(settings.len(), 3, "{settings:?}");
    let settings = settings.join("\n") + "\n[rate_limits]\nanonymous = \"2/15m\"\n";
    fs::write(host.folder().join("keystead.toml"), settings).unwrap();
    let server = host.serve(&[]);

    let folder = tempfile::tempdir().unwrap();
    let _certificate = Certificate::make(folder.path(), "proxy");
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (https, http) = (free(), free());
    let of = |name: &str| folder.path().join(name).display().to_string();
    let site = adapt(
        site,
        &[
            ("listen 80;", format!("listen 127.0.0.1:{http};")),
            ("listen 443 ssl;", format!("listen 127.0.0.1:{https} ssl;")),
            ("/etc/ssl/auth.example.com/fullchain.pem", of("proxy.crt")),
            ("/etc/ssl/auth.example.com/privkey.pem", of("proxy.key")),
            ("http://127.0.0.1:8000", server.url.clone()),
        ],
    );
    let _nginx = Nginx::start(&nginx, folder.path(), &site);
    let client = Client { curl, url: format!("https://127.0.0.1:{https}") };
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.ask("127.0.0.1", "/health/ready", "a: b") != "200" {
        let log = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "nginx does not answer: {log}");
        thread::sleep(Duration::from_millis(50));
    }

    // One client, whatever it says; another one.
    let forged = ["X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 203.0.113.2", "X-Real-IP: 203.0.113.3"];
    let statuses = forged.map(|header| client.ask("127.0.0.2", "/nothing", header));
    assert_eq!(statuses, ["404", "404", "429"]);
    assert_eq!(client.ask("127.0.0.3", "/nothing", "X-Forwarded-For: 127.0.0.2"), "404");
    // Figures are not for the world.
    assert_eq!(client.ask("127.0.0.4", "/metrics", "a: b"), "404");
    let plain = Client { url: format!("http://127.0.0.1:{http}"), ..client };
    assert_eq!(plain.ask("127.0.0.1", "/health/live", "a: b"), "301");

    // The path of a link is in no log, the address of a client is in nginx's own.
    let client = Client { url: format!("https://127.0.0.1:{https}"), ..plain };
    assert_eq!(client.ask("127.0.0.5", "/claim/link_canary", "a: b"), "200");
    let logs =
        ["access.log", "error.log"].map(|log| fs::read_to_string(folder.path().join(log)).unwrap()).concat();
    assert!(logs.contains("/nothing") && !logs.contains("link_canary"), "{logs}");
    let log = server.stop();
    assert!(!log.contains("link_canary"), "{log}");
}
