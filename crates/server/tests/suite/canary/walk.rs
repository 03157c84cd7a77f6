//! A server, all that is sent to it, and all that it tells.

use std::collections::{BTreeMap, BTreeSet};

use keystead_testkit::TestDatabase;
use serde_json::{Map, Value, json};

use crate::collector::Collector;
use crate::process::{Host, Server, tenant_with_app};

// Each has the mark in it, so that a part of one is found as well.
pub(super) const PASSWORD: &str = "canary password of ada";
pub(super) const NEW_PASSWORD: &str = "canary password, changed";
pub(super) const RESET_PASSWORD: &str = "canary password after a reset";
pub(super) const WRONG_PASSWORD: &str = "canary guessed password";

/// What stands in everything that is made up here: passwords, addresses, names, nonsense.
const MARK: &str = "canary";

/// Where an end user is, as the app says. The trail may have it; nothing else may.
const END_USER: &str = "203.0.113.77";

/// What secrets begin with, wherever they are shown.
const PREFIXES: [&str; 8] = ["sess_", "kss_", "at_", "rt_", "ks_", "eyJ", "link_", "step_"];

/// The members of answers that are secrets without saying so.
const SECRET_MEMBERS: [&str; 5] = ["secret", "recovery_codes", "form_token", "backupCodes", "totpURI"];

pub(super) struct Walk {
    pub(super) host: Host,
    pub(super) server: Server,
    collector: Collector,
    /// Client id and secret.
    pub(super) app: (String, String),
    pub(super) access_token: String,
    pub(super) session: String,
    /// A person's cookie.
    pub(super) cookie: String,
    /// A person's API key.
    pub(super) key: String,
    pub(super) secrets: BTreeSet<String>,
    /// For each operation that was called: whether it went well, and what became of it.
    called: BTreeMap<String, BTreeSet<bool>>,
    /// The bodies of refusals, each after the operation.
    errors: String,
    document: Value,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) cookie: Option<String>,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl Walk {
    pub(super) fn start(database: &TestDatabase) -> Self {
        let host = Host::new(database);
        let app = tenant_with_app(&host, "acme");
        let collector = Collector::start();
        let settings = [
            ("KEYSTEAD_LOG", "trace"),
            ("KEYSTEAD_TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
            ("KEYSTEAD_RATE_LIMITS__ANONYMOUS", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__FAILED_BEARER", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__FAILED_CLIENT", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__SIGN_IN", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__SIGN_UP", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__ACCOUNT_SIGN_IN", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__ACCOUNT_SIGN_UP", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__ACCOUNT_TWO_FACTOR", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__CODE", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__RESEND", "100000/1m"),
            ("KEYSTEAD_RATE_LIMITS__FREE_FAILURES", "100"),
        ];
        let server = host.serve_with(&[], &settings);
        let document = serde_json::from_str(&server.get("/openapi.json").unwrap().1).unwrap();
        let made_up = [PASSWORD, NEW_PASSWORD, RESET_PASSWORD, WRONG_PASSWORD];
        let secrets = made_up.map(str::to_owned).into_iter().chain([app.1.clone()]).collect();
        Self {
            host,
            server,
            collector,
            app,
            access_token: String::new(),
            session: String::new(),
            cookie: String::new(),
            key: String::new(),
            secrets,
            called: BTreeMap::new(),
            errors: String::new(),
            document,
        }
    }

    /// Sends a request for an operation, such as `POST /claim/{token}`, to a path.
    pub(super) fn ask(
        &mut self,
        operation: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (method, _) = operation.split_once(' ').unwrap();
        let answer = self.server.exchange(method, &format!("{}{path}", self.server.url), headers, body);
        let cookie = answer.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        let cookie = cookie.and_then(|cookie| Some(cookie.split(';').next()?.to_owned()));
        let answer = Answer { status: answer.status().as_u16(), cookie, text: answer.into_body() };
        let went_well = answer.status < 400;
        self.called.entry(operation.to_owned()).or_default().insert(went_well);
        assert!(answer.status != 500, "{operation}: {}", answer.text);
        // A cookie that is cleared has no value.
        let set = answer.cookie.as_deref().and_then(|cookie| cookie.split_once('='));
        if let Some((_, value)) = set.filter(|(_, value)| !value.is_empty()) {
            self.secrets.insert(value.to_owned());
        }
        if went_well {
            self.learn(&answer.text);
            self.learn_members(&answer.json());
        } else {
            let text = without_form_token(&answer.text);
            self.errors.push_str(&format!("{operation} {}: {text}\n", answer.status));
        }
        answer
    }

    /// Calls an endpoint as the app, for its end user.
    pub(super) fn call(&mut self, operation: &str, body: &Value) -> Value {
        let (_, path) = operation.split_once(' ').unwrap();
        let (bearer, session) = (format!("Bearer {}", self.access_token), self.session.clone());
        let mut headers = vec![("content-type", "application/json"), ("x-end-user-ip", END_USER)];
        if !self.access_token.is_empty() && !operation.contains("oauth") {
            headers.push(("authorization", &bearer));
        }
        if !session.is_empty() {
            headers.push(("x-session-token", &session));
        }
        self.ask(operation, path, &headers, &body.to_string()).json()
    }

    /// Calls an endpoint as a person with a browser.
    pub(super) fn as_person(&mut self, operation: &str, body: &Value) -> Value {
        let (_, path) = operation.split_once(' ').unwrap();
        self.as_person_at(operation, path, body)
    }

    /// The same where the path has parameters.
    pub(super) fn as_person_at(&mut self, operation: &str, path: &str, body: &Value) -> Value {
        let (cookie, origin) = (self.cookie.clone(), self.server.url.clone());
        let headers = [("content-type", "application/json"), ("origin", &origin), ("cookie", &cookie)];
        self.ask(operation, path, &headers, &body.to_string()).json()
    }

    /// Calls an endpoint as a person's script.
    pub(super) fn as_script(&mut self, operation: &str, body: &Value) -> Value {
        let key = self.key.clone();
        let headers = [("content-type", "application/json"), ("x-api-key", key.as_str())];
        let (_, path) = operation.split_once(' ').unwrap();
        self.ask(operation, path, &headers, &body.to_string()).json()
    }

    /// Opens a page and sends its form, as a browser does; the status of the answer.
    pub(super) fn fill_in(&mut self, pattern: &str, path: &str, fields: &[(&str, &str)]) -> u16 {
        self.answer_to_form(pattern, path, fields).status
    }

    /// The same; the answer.
    pub(super) fn answer_to_form(&mut self, pattern: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let opened = self.ask(&format!("GET {pattern}"), path, &[], "");
        let Some((_, rest)) = opened.text.split_once(r#"name="form_token" value=""#) else {
            panic!("no form at {path}: {}", opened.text)
        };
        let token = rest.split('"').next().unwrap().to_owned();
        let cookie = opened.cookie.unwrap();
        let mut form = format!("form_token={token}");
        for (name, value) in fields {
            form.push_str(&format!("&{name}={}", value.replace(' ', "+").replace('@', "%40")));
        }
        self.secrets.insert(token);
        let origin = self.server.url.clone();
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", &origin),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.ask(&format!("POST {pattern}"), path, &headers, &form)
    }

    fn mail(&mut self, to: &str) -> String {
        let text = self.host.run(&["mail", "show", "--to", to, "--latest"]).stdout;
        self.learn_mail(&text);
        text
    }

    pub(super) fn mailed_code(&mut self, to: &str) -> String {
        let mail = self.mail(to);
        mail.split_whitespace().find(|word| is_code(word)).unwrap().to_owned()
    }

    /// The path of the link in the newest mail.
    pub(super) fn mailed_link(&mut self, to: &str) -> String {
        let mail = self.mail(to);
        let mut paths = mail.split_whitespace().filter_map(|word| word.strip_prefix(&self.server.url));
        paths.next_back().unwrap_or_else(|| panic!("no link in {mail}")).to_owned()
    }

    fn learn_mail(&mut self, text: &str) {
        self.learn(text);
        self.secrets.extend(text.split_whitespace().filter(|word| is_code(word)).map(str::to_owned));
    }

    /// Takes from a text what is to be told nowhere: secrets, and what links end in.
    fn learn(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
        let is_secret =
            |word: &&str| word.len() >= 20 && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        self.secrets.extend(words.filter(is_secret).map(str::to_owned));
        let links = text.split_whitespace().filter(|word| word.starts_with(&self.server.url));
        let ends = links.filter_map(|link| link.rsplit('/').next()).filter(|end| end.len() >= 20);
        self.secrets.extend(ends.map(str::to_owned));
    }

    fn learn_members(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if SECRET_MEMBERS.contains(&name.as_str()) => {
                            self.secrets.insert(text.clone());
                        }
                        Value::Array(texts) if SECRET_MEMBERS.contains(&name.as_str()) => {
                            self.secrets.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        other => self.learn_members(other),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn_members(value)),
            _ => {}
        }
    }

    /// Method and path of all that there is, endpoints and pages, with the members of its body.
    fn operations(&self) -> Vec<(String, Vec<String>)> {
        let mut operations = Vec::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push((format!("{} {path}", method.to_uppercase()), self.members(operation)));
            }
        }
        for page in keystead_http::PAGES {
            for method in ["GET", "POST"] {
                operations.push((format!("{method} {page}"), Vec::new()));
            }
        }
        operations
    }

    fn members(&self, operation: &Value) -> Vec<String> {
        let Some(content) = operation["requestBody"]["content"].as_object() else { return Vec::new() };
        let names = content.values().filter_map(|media| {
            // Where a body may be left out, the schema is one of several.
            let schema = &media["schema"];
            let one_of = schema["oneOf"].as_array().into_iter().flatten();
            let name = std::iter::once(schema).chain(one_of).find_map(|schema| schema["$ref"].as_str())?;
            Some(self.document.pointer(name.strip_prefix('#')?)?["properties"].as_object()?.keys().cloned())
        });
        names.flatten().collect()
    }

    /// Sends everything to everything: each secret in each place that it does not belong to, and bodies
    /// that are broken or make no sense.
    pub(super) fn send_what_is_wrong(&mut self) {
        let (token, session, secret) = (self.access_token.clone(), self.session.clone(), self.app.1.clone());
        let bearer = format!("Bearer {token}");
        let json = ("content-type", "application/json");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let origin = self.server.url.clone();
        for (operation, members) in self.operations() {
            let (_, pattern) = operation.split_once(' ').unwrap();
            let nonsense: Map<_, _> = members
                .into_iter()
                .map(|name| (name.clone(), json!(format!("{MARK} as {name}\u{1}"))))
                .collect();
            let nonsense = Value::Object(nonsense).to_string();
            let broken = format!("{{\"{MARK} {PASSWORD}\": {secret}");
            let fields =
                format!("password={WRONG_PASSWORD}&client_secret={secret}&form_token={MARK}&{session}");
            let as_bearer = |text: &str| format!("Bearer {text}");
            let (wrong, swapped) = (as_bearer("canary.as.token"), as_bearer(&session));
            let basic = format!("Basic {secret}");
            let cookie = format!("keystead-pre={MARK}; session={session}");
            let (person, script) = (self.cookie.clone(), self.key.clone());
            let attempts: [(&[(&str, &str)], &str); 9] = [
                (&[json, ("cookie", &person)], &broken),
                (&[json, ("x-api-key", &script)], &nonsense),
                (&[json, ("authorization", &bearer), ("x-session-token", &session)], &nonsense),
                (&[json, ("authorization", &bearer), ("x-session-token", &session)], &broken),
                (&[json, ("authorization", &bearer), ("x-session-token", "sess_canary")], &nonsense),
                (&[json, ("authorization", &swapped), ("x-session-token", &token)], &nonsense),
                (&[json, ("authorization", &wrong), ("cookie", &cookie)], &nonsense),
                (&[json, ("authorization", &basic), ("x-api-key", &session)], &broken),
                (&[form, ("origin", &origin), ("cookie", &cookie), ("traceparent", MARK)], &fields),
            ];
            // Parameters of a path are named in braces.
            let in_path = if pattern.contains('{') { vec![MARK, &secret] } else { vec![""] };
            for in_path in in_path {
                let path: Vec<_> = pattern
                    .split('/')
                    .map(|part| if part.starts_with('{') { in_path } else { part })
                    .collect();
                let path = path.join("/");
                let with_query = format!("{path}?client_secret={secret}&token={session}&{MARK}={MARK}");
                for (headers, body) in attempts {
                    self.ask(&operation, &path, headers, body);
                    self.ask(&operation, &with_query, headers, body);
                }
            }
        }
        for path in ["/canary", "/v2/canary", "/oauth/canary", "/claim/canary/canary"] {
            self.ask("POST elsewhere", path, &[json, ("authorization", &bearer)], &broken_secret(&secret));
        }
    }

    /// Everything that there is went well once and was refused once; what takes nothing cannot be refused.
    pub(super) fn check_that_all_was_called(&self) {
        for (operation, _) in self.operations() {
            let (method, path) = operation.split_once(' ').unwrap();
            let described = &self.document["paths"][path][method.to_lowercase()];
            let is_page = keystead_http::PAGES.contains(&path);
            let takes_something = described["requestBody"].is_object() || described["security"].is_array();
            let called = self.called.get(&operation).cloned().unwrap_or_default();
            assert!(called.contains(&true), "{operation} is not called with what is right: see canary.rs");
            assert!(
                called.contains(&false) || !takes_something || is_page && method == "GET",
                "{operation} is not called with what is wrong"
            );
        }
    }

    pub(super) fn check_what_was_told(mut self, database: &TestDatabase) {
        // Whatever was mailed to whomever.
        let mails = self.host.run(&["mail", "show"]).stdout;
        self.learn_mail(&mails);
        assert!(self.secrets.len() > 40, "{:?}", self.secrets);
        let (status, figures) =
            self.server.request("GET", &format!("{}/metrics", self.server.admin_url()), &[], "");
        assert_eq!(status, 200);
        assert!(figures.contains(r#"path="/v2/auth/login""#), "{figures}");
        let files_in_use = files(database);
        let log = self.server.stop();
        assert!(log.contains("/v2/auth/login") && log.contains("TRACE"), "the log is talkative");
        let traces = self.collector.text();
        assert!(traces.contains("POST /v2/auth/login"), "{traces}");
        let trail = database.dump("audit_events");
        assert!(trail.contains("session.created"), "{trail}");

        let told = [
            ("log", &log),
            ("figures", &figures),
            ("errors", &self.errors),
            ("traces", &traces),
            ("trail", &trail),
        ];
        for (name, text) in told {
            for secret in &self.secrets {
                assert!(!stands_in(secret, text), "{secret} stands in the {name}: {}", around(secret, text));
                // Neither does a good part of one; but all JWTs begin alike.
                let part = &secret[..secret.len() / 2];
                if secret.len() >= 24 && secret.is_ascii() && !secret.starts_with("eyJ") {
                    assert!(
                        !text.contains(part),
                        "half of {secret} stands in the {name}: {}",
                        around(part, text)
                    );
                }
            }
        }
        for (name, text) in [("log", &log), ("figures", &figures), ("traces", &traces), ("trail", &trail)] {
            assert!(!text.to_lowercase().contains(MARK), "{name}: {}", around(MARK, &text.to_lowercase()));
        }
        // A form that is shown again has in it what was typed; nobody else is told.
        for error in self.errors.lines().filter(|line| !line.contains("/request-access 422")) {
            assert!(!error.to_lowercase().contains(MARK), "{error}");
        }
        for (name, text) in
            [("log", &log), ("figures", &figures), ("errors", &self.errors), ("traces", &traces)]
        {
            assert!(!text.contains(END_USER), "{name}: {}", around(END_USER, text));
        }

        // At rest, nothing that can be used stands in clear.
        for text in [files_in_use, files(database), contents(database)] {
            for secret in &self.secrets {
                let long = secret.len() >= 12 && text.contains(secret.as_str());
                assert!(!long, "{secret} is stored in clear: {}", around(secret, &text));
            }
            assert!(text.contains(&self.app.0), "this looks where things are stored");
        }
    }
}

/// A page that refuses something may show a form, whose token is for the browser that it is shown to.
fn without_form_token(text: &str) -> String {
    const FIELD: &str = r#"name="form_token" value=""#;
    let Some((before, rest)) = text.split_once(FIELD) else { return text.to_owned() };
    let (_, after) = rest.split_once('"').unwrap_or(("", rest));
    format!("{before}{after}")
}

fn broken_secret(secret: &str) -> String {
    format!("{{\"client_secret\": \"{secret}\"")
}

fn is_code(word: &str) -> bool {
    word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text has the secret. Six digits happen to stand in a longer number, or in the fraction of
/// a second.
fn stands_in(secret: &str, text: &str) -> bool {
    let alone = |at: usize| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let after = text[at + secret.len()..].chars().next().unwrap_or(' ');
        !before.is_ascii_alphanumeric() && before != '.' && !after.is_ascii_alphanumeric()
    };
    text.match_indices(secret).any(|(at, _)| !is_code(secret) || alone(at))
}

/// The line that has the text.
fn around(text: &str, all: &str) -> String {
    all.lines()
        .find(|line| line.contains(text))
        .map(|line| line.chars().take(400).collect())
        .unwrap_or_default()
}

/// The bytes of the database's file and of those beside it, the write-ahead log among them.
fn files(database: &TestDatabase) -> String {
    let Some(file) = database.file() else { return contents(database) };
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut all = String::new();
    for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(name) {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    all
}

/// All columns of all rows.
fn contents(database: &TestDatabase) -> String {
    database.tables().iter().map(|table| database.dump(table)).collect()
}
