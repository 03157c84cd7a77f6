//! Durable writes through the service, in this process: sign-ups, sign-ins with a session each, and
//! revocations, from 64 threads and from one, and single rows committed one by one without Keystead.
//!
//! Hashing is at the least cost that argon2 knows, so that the writes are what takes time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use keystead_crypto::env::SystemEnv;
use keystead_domain::audit::Origin;
use keystead_domain::policy::{AppPrincipal, Principal};
use keystead_domain::{Email, Env as _, Secret};
use keystead_service::sessions::{self, SessionsToEnd, SignedIn};
use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
use keystead_service::sign_ups::{self, SignUp};
use keystead_service::{Arrival, Caller, Engine, access};
use keystead_storage::Database;
use keystead_testkit::scale::{self, Scale};
use keystead_testkit::{Keystead, TestDatabase, TestEnv, only_slowdown};
use tokio::runtime::Builder;
use tokio_postgres::NoTls;

use crate::deployment::{hash, password};
use crate::failure::{Failure, Result};
use crate::http_rows::Sample;

/// How many threads write at once.
const THREADS: usize = 64;
/// The least cost of argon2id.
const CHEAP: (u32, u32, u32) = (8, 1, 1);
/// Enough users that none signs in while it already does.
const SIZE: Scale = Scale { tenants: 8, users: 20_000, sessions: 0, people: 0, keys: 0 };

/// An engine on a database of its own.
pub(crate) struct Writes {
    keystead: Keystead,
    database: TestDatabase,
    apps: Vec<AppPrincipal>,
    /// Each user's address, and the place of its app.
    users: Vec<(Email, usize)>,
    /// Numbers addresses that sign up, and users who sign in.
    next: AtomicUsize,
    clock: Arc<AtomicBool>,
}

/// What one round showed.
pub(crate) struct Written {
    pub(crate) single_commits: f64,
    pub(crate) sign_ups: Sample,
    pub(crate) sessions: Sample,
    pub(crate) revocations: Sample,
}

impl Writes {
    pub(crate) fn prepare(database: TestDatabase) -> Result<Self> {
        let (memory, iterations, lanes) = CHEAP;
        let population = scale::fill(&database, SIZE, &hash(memory, iterations, lanes)?, &SystemEnv);
        let keystead = Keystead::with(&database, |settings| settings.rate_limits = Some(only_slowdown()));
        let clock = Arc::new(AtomicBool::new(true));
        follow_the_clock(&keystead.env, &clock)?;
        let mut apps = Vec::new();
        let mut users = Vec::new();
        for (at, tenant) in population.tenants.iter().enumerate() {
            let token = keystead.token(&tenant.client_id, &tenant.client_secret);
            let caller = access::app(&keystead.engine, &token, Arrival::default())?;
            apps.push(caller.app().map_err(keystead_service::Error::from)?.clone());
            for email in &tenant.emails {
                users.push((parse(email)?, at));
            }
        }
        Ok(Self { keystead, database, apps, users, next: AtomicUsize::new(0), clock })
    }

    pub(crate) fn round(&self, seconds: f64) -> Result<Written> {
        let single_commits = self.single_commits(seconds / 2.0)?;
        let sample = |many: f64, one: f64| Sample {
            per_second: Some(many),
            reference: Some(one),
            ratio: Some(many / single_commits),
            ..Sample::default()
        };
        let one = self.repeat(1, seconds / 2.0, |this| this.sign_up())?.0;
        let sign_ups = sample(self.repeat(THREADS, seconds, |this| this.sign_up())?.0, one);
        let (one, alone) = self.repeat(1, seconds / 2.0, |this| this.sign_in())?;
        let (many, together) = self.repeat(THREADS, seconds, |this| this.sign_in())?;
        let sessions = sample(many, one);
        let one = self.revoke_all(1, alone)?;
        let revocations = sample(self.revoke_all(THREADS, together)?, one);
        Ok(Written { single_commits, sign_ups, sessions, revocations })
    }

    fn engine(&self) -> &Engine {
        &self.keystead.engine
    }

    /// A caller as each request has one of its own.
    fn caller(&self, app: usize) -> Result<Caller> {
        let app = self.apps.get(app).ok_or_else(|| Failure::new("no such app"))?;
        Ok(Caller::new(Principal::App(Arc::new(app.clone())), Origin::default()))
    }

    fn sign_up(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let typed = SignUp {
            email: parse(&format!("new{number}@people.example"))?,
            password: Secret::new("lake amber violin twelve".to_owned()),
            name: Some(parse("Somebody New")?),
        };
        sign_ups::sign_up(self.engine(), &self.caller(number % self.apps.len())?, typed)?;
        Ok(())
    }

    fn sign_in(&self) -> Result<(usize, Secret<String>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let user = self.users.get(number % self.users.len());
        let (email, app) = user.ok_or_else(|| Failure::new("nobody can sign in"))?;
        let typed = PasswordSignIn { email: email.clone(), password: password()?, second_factor: None };
        match sign_ins::with_password(self.engine(), &self.caller(*app)?, typed)? {
            SignIn::Done(_, session) => Ok((*app, session.token)),
            SignIn::SecondFactorRequired(_) => Err(Failure::new("a second factor was asked for")),
        }
    }

    /// Ends sessions, which are looked up first: revocations a second.
    fn revoke_all(&self, threads: usize, tokens: Vec<(usize, Secret<String>)>) -> Result<f64> {
        let mut signed_in: Vec<(Caller, SignedIn)> = Vec::with_capacity(tokens.len());
        for (app, token) in tokens {
            let caller = self.caller(app)?;
            let session = sessions::authenticate(self.engine(), &caller, &token)?;
            signed_in.push((caller, session));
        }
        let (all, waiting) = (signed_in.len(), Mutex::new(signed_in));
        let began = Instant::now();
        at_once(threads, || {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some((caller, session)) = next else { return Ok(()) };
                sessions::revoke(self.engine(), &caller, &session, SessionsToEnd::Presented)?;
            }
        })?;
        Ok(all as f64 / began.elapsed().as_secs_f64())
    }

    /// Does the same again and again on some threads: times a second, and what came of it.
    fn repeat<T: Send>(
        &self,
        threads: usize,
        seconds: f64,
        once: impl Fn(&Self) -> Result<T> + Sync,
    ) -> Result<(f64, Vec<T>)> {
        let began = Instant::now();
        let end = began + Duration::from_secs_f64(seconds);
        let results = Mutex::new(Vec::new());
        at_once(threads, || {
            let mut own = Vec::new();
            while Instant::now() < end {
                own.push(once(self)?);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
            Ok(())
        })?;
        let took = began.elapsed().as_secs_f64();
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((results.len() as f64 / took, results))
    }

    /// Rows a second that are committed durably one by one, with nothing of Keystead in between.
    fn single_commits(&self, seconds: f64) -> Result<f64> {
        let first = i64::try_from(self.next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) << 32;
        let began = Instant::now();
        let end = began + Duration::from_secs_f64(seconds);
        let mut rows = 0_i64;
        match self.database.database() {
            Database::Sqlite(path) => {
                let failed = |error: &dyn std::fmt::Display| Failure::while_doing("a row", error);
                let mut conn =
                    SqliteConnection::establish(&path.to_string_lossy()).map_err(|e| failed(&e))?;
                diesel::connection::SimpleConnection::batch_execute(
                    &mut conn,
                    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
                )
                .map_err(|e| failed(&e))?;
                while Instant::now() < end {
                    let row = (
                        counters::directory.eq("platform"),
                        counters::name.eq("bench"),
                        counters::subject.eq("somebody@people.example"),
                        counters::window_start.eq(first + rows),
                        counters::expires_at.eq(i64::MAX),
                        counters::count.eq(1),
                    );
                    let inserted = diesel::insert_into(counters::table).values(row).execute(&mut conn);
                    inserted.map_err(|e| failed(&e))?;
                    rows += 1;
                }
            }
            Database::Postgres(url) => {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                rows = runtime
                    .block_on(single_commits_on_postgres(url, first, end))
                    .map_err(|error| Failure::while_doing("a row", error))?;
            }
        }
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.clock.store(false, Ordering::Relaxed);
    }
}

diesel::table! {
    counters (directory, name, subject, window_start) {
        directory -> Text,
        name -> Text,
        subject -> Text,
        window_start -> BigInt,
        expires_at -> BigInt,
        count -> Integer,
    }
}

async fn single_commits_on_postgres(
    url: &str,
    first: i64,
    end: Instant,
) -> std::result::Result<i64, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let insert = "INSERT INTO counters (directory, name, subject, window_start, expires_at, count) \
                  VALUES ('platform', 'bench', 'somebody@people.example', $1, $2, 1)";
    let insert = client.prepare(insert).await?;
    let mut rows = 0;
    while Instant::now() < end {
        client.execute(&insert, &[&(first + rows), &i64::MAX]).await?;
        rows += 1;
    }
    drop(client);
    let _ = driver.await;
    Ok(rows)
}

/// Runs the same on some threads, and fails if one of them does.
fn at_once(threads: usize, f: impl Fn() -> Result<()> + Sync) -> Result<()> {
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&f)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|done| done.unwrap_or_else(|_| Err(Failure::new("a writer panicked")))).collect()
    });
    results.into_iter().collect()
}

/// The test kit's clock stands still by itself; here it goes as the machine's does.
fn follow_the_clock(env: &Arc<TestEnv>, goes_on: &Arc<AtomicBool>) -> Result<()> {
    env.advance(SystemEnv.now().since(env.now()));
    let (env, goes_on) = (Arc::clone(env), Arc::clone(goes_on));
    thread::Builder::new().name("clock".to_owned()).spawn(move || {
        while goes_on.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
            env.advance(SystemEnv.now().since(env.now()));
        }
    })?;
    Ok(())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Failure::while_doing(text, error))
}
