//! One deployment under test: a database with people in it, a server on it, and the bare handlers
//! beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use keystead_crypto::env::SystemEnv;
use keystead_crypto::passwords::{Argon2Cost, Hasher};
use keystead_domain::Env as _;
use keystead_domain::password::Password;
use keystead_domain::user::PasswordHash;
use keystead_testkit::TestDatabase;
use keystead_testkit::scale::{self, PopulatedKey, Population, Scale};

use crate::bare::{self, CLIENT_HEADER};
use crate::client::Client;
use crate::failure::{Failure, Result};
use crate::process::{Process, free_port};
use crate::requests::{Request, WorkingSet};
use crate::server::{Binary, Server};

/// The password of everybody.
const PASSWORD: &str = "lake amber violin twelve";
/// Argon2id as it is by default.
pub(crate) const DEFAULT_COST: (u32, u32, u32) = (19_456, 2, 1);

/// Sessions that are found again, of as few apps as have them.
const HIT_SESSIONS: usize = 2_000;
/// Sessions and apps of which none is found again before a hundred others were asked for.
const MISS_SESSIONS: usize = 20_000;
const MISS_APPS: usize = 1_000;
/// The content type of a form.
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Users who sign in.
const SIGN_INS: usize = 2_000;

/// What there is by default. A debug build only tries the harness, and should do so in seconds.
pub(crate) const USUAL: Scale = if cfg!(debug_assertions) {
    Scale { tenants: 10, users: 100, sessions: 100, people: 10, keys: 20 }
} else {
    Scale { tenants: 1_000, users: 40_000, sessions: 40_000, people: 1_000, keys: 10_000 }
};
/// What there is after years.
pub(crate) const LARGE: Scale =
    Scale { tenants: 5_000, users: 1_000_000, sessions: 100_000, people: 5_000, keys: 1_000_000 };

pub(crate) struct Deployment {
    /// `sqlite` or `postgresql`, with `-large` on the large data.
    pub(crate) name: String,
    pub(crate) database: TestDatabase,
    pub(crate) server: Server,
    /// A server that finds nothing in its cache, on the same database.
    pub(crate) forgetful: Server,
    pub(crate) bare: Bare,
    /// The bare handlers that select from the database first.
    pub(crate) selecting: Bare,
    pub(crate) sets: Sets,
}

/// The working sets.
pub(crate) struct Sets {
    pub(crate) apps_me: WorkingSet,
    pub(crate) auth_me: WorkingSet,
    pub(crate) token: WorkingSet,
    pub(crate) user_me: WorkingSet,
    pub(crate) v1_me: WorkingSet,
    pub(crate) introspect: WorkingSet,
    pub(crate) apps_me_misses: WorkingSet,
    pub(crate) auth_me_misses: WorkingSet,
    pub(crate) token_misses: WorkingSet,
    pub(crate) sign_ins: WorkingSet,
}

impl Deployment {
    /// Fills a migrated database, starts everything, and gets every app its token.
    pub(crate) fn prepare(
        name: String,
        binary: &Binary,
        database: TestDatabase,
        size: Scale,
    ) -> Result<Self> {
        let folder = database.folder();
        let url = database.url();
        // It makes the master key, which the others find.
        let server = Server::start(binary, &url, folder)?;
        let (memory, iterations, lanes) = DEFAULT_COST;
        let hash = hash(memory, iterations, lanes)?;
        let began = Instant::now();
        let population = scale::fill(&database, size, &hash, &SystemEnv);
        progress(&format!(
            "{name}: {} tenants, {} users, {} sessions and {} API keys in {:.1} s",
            size.tenants,
            size.users,
            size.sessions,
            size.keys,
            began.elapsed().as_secs_f64()
        ));
        let sets = Sets::of(&population, server.port, folder)?;
        let forgetful = Server::start_forgetful(binary, &url, folder)?;
        let (bare, selecting) = (Bare::start(None)?, Bare::start(Some(database.database()))?);
        Ok(Self { name, database, server, forgetful, bare, selecting, sets })
    }

    /// Says that every session and secret was used just now: that they are, once a minute, is a
    /// write that belongs to no row.
    pub(crate) fn touch(&self) {
        scale::touch(&self.database, SystemEnv.now());
    }
}

/// A hash of everybody's password, made once.
pub(crate) fn hash(memory_kib: u32, iterations: u32, lanes: u32) -> Result<PasswordHash> {
    let cost = Argon2Cost::new(memory_kib, iterations, lanes);
    let cost = cost.map_err(|error| Failure::while_doing("argon2", error))?;
    let hasher = Hasher::start(cost, 1, 1, Arc::new(SystemEnv))?;
    hasher.hash(password()?).map_err(|error| Failure::while_doing("argon2", error))
}

pub(crate) fn password() -> Result<Password> {
    Password::attempt(PASSWORD).map_err(|error| Failure::while_doing("the password", error))
}

#[expect(clippy::print_stderr, reason = "stdout is for the table")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

impl Sets {
    fn of(population: &Population, port: u16, folder: &Path) -> Result<Self> {
        let tenants = &population.tenants;
        let wanted = tenants.len().min(MISS_APPS);
        let mut client = Client::connect(port)?;
        let (mut apps_me, mut auth_me, mut token, mut sign_ins) = (vec![], vec![], vec![], vec![]);
        let mut token_misses = vec![];
        let (mut apps_me_misses, mut auth_me_misses): (Vec<Request>, Vec<Vec<Request>>) = (vec![], vec![]);
        for (at, tenant) in tenants.iter().take(wanted).enumerate() {
            let exchange = exchange(&tenant.client_id, &tenant.client_secret);
            let bearer = format!("Bearer {}", access_token(&mut client, &exchange)?);
            let headers = [("Authorization", bearer.as_str()), (CLIENT_HEADER, tenant.client_id.as_str())];
            let app = || Request::get("/v2/apps/me", &headers, format!("\"tenant-{at}\""));
            apps_me_misses.push(app());
            let of_sessions: Vec<_> = tenant
                .sessions
                .iter()
                .map(|session| {
                    let email = tenant.emails.get(session.user).map_or("", String::as_str);
                    let headers = [&headers[..], &[("X-Session-Token", session.token.as_str())]].concat();
                    Request::get("/v2/auth/me", &headers, format!("\"{email}\""))
                })
                .collect();
            if auth_me.len() < HIT_SESSIONS.min(tenants.iter().map(|tenant| tenant.sessions.len()).sum()) {
                apps_me.push(app());
                token.push(self::exchange(&tenant.client_id, &tenant.client_secret));
                let of_users = tenant.emails.iter().take(SIGN_INS.saturating_sub(sign_ins.len()));
                sign_ins.extend(of_users.map(|email| {
                    let body = serde_json::json!({ "email": email, "password": PASSWORD }).to_string();
                    let headers = [&headers[..1], &[("Content-Type", "application/json")]].concat();
                    Request::post("/v2/auth/login", &headers, &body, format!("\"{email}\""))
                }));
                let missing = HIT_SESSIONS.saturating_sub(auth_me.len());
                auth_me.extend(
                    of_sessions.iter().take(missing).map(|request| Request {
                        bytes: request.bytes.clone(),
                        marker: request.marker.clone(),
                    }),
                );
            }
            auth_me_misses.push(of_sessions);
            token_misses.push(exchange);
        }
        // From app to app: neither the app nor the session was asked for lately.
        let most = auth_me_misses.iter().map(Vec::len).max().unwrap_or(0);
        let mut columns: Vec<_> = auth_me_misses.into_iter().map(Vec::into_iter).collect();
        let interleaved =
            (0..most).flat_map(|_| columns.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>());
        let auth_me_misses: Vec<_> = interleaved.take(MISS_SESSIONS).collect();
        let (mut user_me, mut v1_me, mut introspect) = (vec![], vec![], vec![]);
        for PopulatedKey { key, email, tenant } in population.keys.iter().take(HIT_SESSIONS) {
            let headers = [("X-Api-Key", key.as_str())];
            user_me.push(Request::get("/api/user/me", &headers, format!("\"{email}\"")));
            v1_me.push(Request::get("/api/v1/me", &headers, format!("\"Tenant {tenant}\"")));
            // The service behind the tenant's app asks about the keys of the tenant's people.
            let of_tenant = tenants.get(*tenant).map(|of| (&of.client_id, &of.client_secret));
            introspect.extend(of_tenant.map(|(client_id, client_secret)| {
                let body = format!("client_id={client_id}&client_secret={client_secret}&token={key}");
                Request::post("/oauth/introspect", &[FORM], &body, format!("\"tenant-{tenant}\""))
            }));
        }
        let set = |name, requests| WorkingSet::new(folder, name, requests);
        Ok(Self {
            apps_me: set("apps-me", apps_me)?,
            auth_me: set("auth-me", auth_me)?,
            token: set("token", token)?,
            user_me: set("user-me", user_me)?,
            v1_me: set("v1-me", v1_me)?,
            introspect: set("introspect", introspect)?,
            apps_me_misses: set("apps-me-misses", apps_me_misses)?,
            auth_me_misses: set("auth-me-misses", auth_me_misses)?,
            token_misses: set("token-misses", token_misses)?,
            sign_ins: set("sign-ins", sign_ins)?,
        })
    }
}

fn exchange(client_id: &str, client_secret: &str) -> Request {
    let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    Request::post("/oauth/token", &[FORM], &body, "\"Bearer\"".to_owned())
}

fn access_token(client: &mut Client, exchange: &Request) -> Result<String> {
    let answer = client.ask(&exchange.bytes)?;
    let token = serde_json::from_str::<serde_json::Value>(&answer.body)
        .ok()
        .and_then(|body| Some(body.get("access_token")?.as_str()?.to_owned()));
    token.ok_or_else(|| Failure::new(format!("no access token: {} {}", answer.status, answer.body)))
}

/// The bare handlers as a process of their own.
pub(crate) struct Bare {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Bare {
    fn start(database: Option<&keystead_storage::Database>) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(bare::Arguments::line(port, database)).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::spawn(&mut command)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while Client::connect(port).is_err() {
            if Instant::now() > deadline {
                return Err(Failure::new("the bare handlers do not start"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { process, port })
    }
}
