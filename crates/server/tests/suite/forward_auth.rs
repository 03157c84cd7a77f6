//! The proxies of `docs/forward-auth.md`, with what stands there, in front of a service that says what it was told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use keystead_testkit::{TestDatabase, tools};
use serde_json::{Value, json};

use crate::deploying::{Nginx, adapt};
use crate::process::{Host, Server, tenant_with_app, token};

/// The block of the page that this marks.
fn snippet(mark: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/forward-auth.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- {mark} -->\n")).unwrap();
    let (_, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A service that answers each request with the fields in it that concern who calls. It runs until the tests end.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut told = String::new();
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if line.starts_with("x-auth") || line.starts_with("x_auth") {
            told.push_str(&line);
            told.push('\n');
        }
    }
    let length = told.len();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{told}");
}

/// A program that is stopped at the end.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = || fs::File::create(log).unwrap();
        Self(command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Apache's other processes end with it only where it is asked to end.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.0.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Keystead with a person's key that carries `read`, pinned to its organization.
struct Behind {
    host: Host,
    server: Server,
    _database: TestDatabase,
    key: String,
    user: String,
    organization: String,
    app: (String, String),
}

impl Behind {
    fn start() -> Self {
        let database = TestDatabase::sqlite();
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        let signed_up =
            json!({"email": "ada@example.com", "password": "correct horse battery staple", "name": "Ada"});
        let ada = server.post("/api/auth/sign-up/email", None, &signed_up).unwrap().1;
        let cookie = format!("keystead_session={}", ada["token"].as_str().unwrap());
        let shown = host.run(&["tenant", "list", "--json"]).json();
        let own = shown.as_array().unwrap().iter().find(|tenant| tenant["slug"] != "acme").unwrap();
        let organization = own["id"].as_str().unwrap().to_owned();
        let new = json!({"name": "CI", "scopes": ["read"], "metadata": {"organizationId": organization}});
        let headers = [("content-type", "application/json"), ("cookie", cookie.as_str())];
        let url = format!("{}/api/auth/api-key/create", server.url);
        let made = server.request("POST", &url, &headers, &new.to_string()).1;
        let made: Value = serde_json::from_str(&made).unwrap();
        let (key, user) =
            (made["key"].as_str().unwrap().to_owned(), ada["user"]["id"].as_str().unwrap().to_owned());
        let user = format!("usr_{}", user.trim_start_matches("usr_").to_ascii_lowercase());
        Self { host, server, _database: database, key, user, organization, app }
    }

    fn address(&self) -> String {
        self.server.url.strip_prefix("http://").unwrap().to_owned()
    }

    fn ask(&self, url: &str, headers: &[(&str, &str)]) -> (u16, String) {
        self.server.request("GET", &format!("{url}/reports?x=1"), headers, "")
    }

    /// What each proxy has to do, whatever its clients send.
    fn check(&self, url: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let there = |url: &str| TcpStream::connect(url.strip_prefix("http://").unwrap()).is_ok();
        while !there(url) {
            assert!(Instant::now() < deadline, "the proxy does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        let forged = [
            ("X-Auth-Subject", "usr_forged"),
            ("x-auth-tenant", "ten_forged"),
            ("X-AUTH-SCOPES", "admin forged"),
            ("X-Auth-Role", "forged"),
            ("X-Auth-Role", "forged twice"),
            ("X-Auth-Kind", "forged"),
            ("X-Auth-Env", "forged"),
            ("X_Auth_Subject", "forged"),
            ("X_Auth_Role", "forged"),
        ];
        let with = |credential: &[(&'static str, &str)]| {
            let mut headers: Vec<_> = forged.to_vec();
            headers.extend(credential.iter().map(|(name, value)| (*name, *value)));
            let headers: Vec<(&str, &str)> = headers;
            self.ask(url, &headers)
        };
        let told = |subject: &str, tenant: &str, scopes: &str, role: &str, kind: &str, env: &str| {
            let mut fields = [
                format!("x-auth-subject: {subject}"),
                format!("x-auth-tenant: {tenant}"),
                format!("x-auth-scopes: {scopes}"),
                format!("x-auth-role: {role}"),
                format!("x-auth-kind: {kind}"),
                format!("x-auth-env: {env}"),
            ];
            fields.sort();
            fields.to_vec()
        };
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let bearer = format!("Bearer {}", self.key);
        for credential in [("X-Api-Key", self.key.as_str()), ("Authorization", &bearer)] {
            let (status, text) = with(&[credential]);
            assert_eq!(status, 200, "{text}");
            assert_eq!(
                sorted(&text),
                told(&self.user, &self.organization, "read", "owner", "api_key", "live")
            );
            assert_eq!(self.ask(url, &[credential]).0, 200);
        }
        // `-` is told as well: nothing that a client sent stands in its place.
        let read = self
            .host
            .run(&["app", "create", "--tenant", "acme", "--name", "Reader", "--scope", "read", "--json"]);
        let read = read.json();
        let text = |member: &str| read[member].as_str().unwrap().to_owned();
        let reader = (text("client_id"), text("client_secret"));
        let (status, body) = with(&[("Authorization", &format!("Bearer {}", token(&self.server, &reader)))]);
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("x-auth-role: -\n") && body.contains("x-auth-env: -\n"), "{body}");
        assert!(!body.contains("forged"), "{body}");
        // The app of the other tenant carries `api` alone.
        let lacking = format!("Bearer {}", token(&self.server, &self.app));
        for (credential, expected) in [
            (None, 401),
            (Some(("X-Api-Key", "ks_live_x")), 401),
            (Some(("Authorization", "Bearer a.b.c")), 401),
            (Some(("Authorization", "Basic eDp5")), 401),
            (Some(("Authorization", lacking.as_str())), 403),
        ] {
            let credential: Vec<_> = credential.into_iter().collect();
            let (status, text) = with(&credential);
            assert_eq!(status, expected, "{credential:?}: {text}");
            assert!(!text.contains("x-auth-"), "the service was reached: {text}");
        }
        let (key, bearer) = (("X-Api-Key", self.key.as_str()), ("Authorization", bearer.as_str()));
        assert_eq!(with(&[key, bearer]).0, 403, "two credentials");
        // What ends does not pass at the next request.
        let slug = self.host.run(&["tenant", "list", "--json"]).json();
        let slug = slug
            .as_array()
            .unwrap()
            .iter()
            .find(|tenant| tenant["id"] == self.organization.as_str())
            .unwrap();
        assert_eq!(self.host.run(&["tenant", "suspend", slug["slug"].as_str().unwrap()]).code, 0);
        let deadline = Instant::now() + Duration::from_secs(1);
        while with(&[key]).0 != 403 {
            assert!(Instant::now() < deadline, "a suspended tenant's key passes");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn nginx_lets_through_what_keystead_lets_through() {
    let Some([nginx]) = tools::find("forward_auth::nginx_lets_through_what_keystead_lets_through", ["nginx"])
    else {
        return;
    };
    let (behind, port) = (Behind::start(), free_port());
    let site =
        adapt(snippet("nginx"), &[("127.0.0.1:8000", behind.address()), ("127.0.0.1:9000", service())]);
    let folder = tempfile::tempdir().unwrap();
    let site = format!("server {{\nlisten 127.0.0.1:{port};\n{site}\n}}");
    let _nginx = Nginx::start(&nginx, folder.path(), &site);
    let url = format!("http://127.0.0.1:{port}");
    behind.check(&url);
    // The question itself is not for clients.
    assert_eq!(behind.server.request("GET", &format!("{url}/keystead-forward-auth"), &[], "").0, 404);
}

#[test]
fn caddy_lets_through_what_keystead_lets_through() {
    let Some([caddy]) = tools::find("forward_auth::caddy_lets_through_what_keystead_lets_through", ["caddy"])
    else {
        return;
    };
    let (behind, port) = (Behind::start(), free_port());
    let places = [
        ("api.example.com {", format!("http://127.0.0.1:{port} {{")),
        ("127.0.0.1:8000", behind.address()),
        ("127.0.0.1:9000", service()),
    ];
    let site = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{}\n", adapt(snippet("caddy"), &places));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Caddyfile");
    fs::write(&file, site).unwrap();
    let mut command = Command::new(caddy);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(home, folder.path());
    }
    let _caddy =
        Running(command.stderr(fs::File::create(folder.path().join("log")).unwrap()).spawn().unwrap());
    behind.check(&format!("http://127.0.0.1:{port}"));
}

#[test]
fn apache_lets_through_what_keystead_lets_through() {
    const TEST: &str = "forward_auth::apache_lets_through_what_keystead_lets_through";
    const MODULES: &str = "/usr/lib/apache2/modules";
    let Some([apache]) = tools::find(TEST, ["apache2"]) else { return };
    for needed in ["/usr/share/lua/5.3/socket/http.lua", "/usr/lib/apache2/modules/mod_lua.so"] {
        if !tools::installed(TEST, Path::new(needed)) {
            return;
        }
    }
    let (behind, port) = (Behind::start(), free_port());
    let folder = tempfile::tempdir().unwrap();
    // Apache runs as another account than root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = folder.path().join("keystead.lua");
    fs::write(&script, adapt(snippet("apache-lua"), &[("127.0.0.1:8000", behind.address())])).unwrap();
    let script = script.display().to_string();
    let site =
        adapt(snippet("apache"), &[("/etc/apache2/keystead.lua", script), ("127.0.0.1:9000", service())]);
    let modules: String = ["mpm_event", "authz_core", "lua", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .concat();
    let at = folder.path().display();
    let whole = format!(
        "ServerRoot {at}\nPidFile {at}/pid\nErrorLog {at}/error.log\nDefaultRuntimeDir {at}\nServerName localhost\n\
         User www-data\nGroup www-data\nListen 127.0.0.1:{port}\n{modules}\
         <VirtualHost *:{port}>\n{site}\n</VirtualHost>\n"
    );
    let file = folder.path().join("apache.conf");
    fs::write(&file, whole).unwrap();
    let mut command = Command::new(apache);
    let _apache =
        Running::start(command.arg("-DFOREGROUND").arg("-f").arg(&file), &folder.path().join("log"));
    behind.check(&format!("http://127.0.0.1:{port}"));
}
