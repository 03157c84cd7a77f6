//! A deployment in the test's own process: the real engine on a real database, without sockets.

#![expect(clippy::panic, reason = "a test that cannot have its deployment fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keystead_crypto::master_key::MasterKey;
use keystead_crypto::passwords::Argon2Cost;
use keystead_domain::app::Introspect;
use keystead_domain::oauth::Scope;
use keystead_domain::password::PasswordPolicy;
use keystead_domain::plan::Plans;
use keystead_domain::rate_limit::Quotas;
use keystead_domain::session::SessionLifetime;
use keystead_domain::slowdown::Slowdown;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::{AddressRule, User};
use keystead_domain::{Email, Env as _, Owner, Secret};
use keystead_service::accounts::{self, NewAccount, SignedUp};
use keystead_service::apps::{self, NewApp};
use keystead_service::outbox::{OutgoingMail, SendError, Transport};
use keystead_service::people::{self, Presented};
use keystead_service::rate_limits::RateLimits;
use keystead_service::tenants::{self, NewTenant};
use keystead_service::tokens::{self, ClientCredentials};
use keystead_service::{Arrival, Caller, Engine, Prefixes, Settings, StartError, access, worker};

use crate::{Call, TestDatabase, TestEnv};

/// A deployment known as `https://id.test`, with passwords hashed at the least cost.
pub struct Keystead {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its clock.
    pub env: Arc<TestEnv>,
    /// What it mailed, once [`deliver`](Self::deliver)ed.
    pub mailbox: Mailbox,
}

/// A tenant with a first-party app.
pub struct TestTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// The app's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl Keystead {
    /// A deployment on this database.
    pub fn on(database: &TestDatabase) -> Self {
        Self::with(database, |_| {})
    }

    /// A deployment on this database with other settings.
    pub fn with(database: &TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        Self::start(database, &Self::master_key(), settings)
            .unwrap_or_else(|error| panic!("cannot start: {error}"))
    }

    /// A deployment on this database under a master key, if it is that database's.
    pub fn under(database: &TestDatabase, key: &MasterKey) -> Result<Self, StartError> {
        Self::start(database, key, settings())
    }

    /// The master key of every deployment that is not given another.
    pub fn master_key() -> MasterKey {
        MasterKey::parse(&"5a".repeat(32)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn start(database: &TestDatabase, key: &MasterKey, settings: Settings) -> Result<Self, StartError> {
        let env = Arc::new(TestEnv::default());
        let engine = Engine::start(database.open(), key, settings, Arc::clone(&env) as _)?;
        Ok(Self { engine: Arc::new(engine), env, mailbox: Mailbox::default() })
    }

    /// A person who signed up under this name, with an organization of its own.
    pub fn person(&self, name: &str) -> TestPerson {
        let email = format!("{}@example.com", name.to_ascii_lowercase().replace(' ', "."));
        let typed = NewAccount {
            email: parse(&email),
            password: Secret::new(TestPerson::PASSWORD.to_owned()),
            name: parse(name),
            onward: None,
        };
        let visitor = Caller::visitor(Arrival::default());
        let signed_up = accounts::sign_up(&self.engine, &visitor, typed)
            .unwrap_or_else(|error| panic!("{email}: {error}"));
        let SignedUp::Done(user, session) = signed_up else { panic!("{email} is not signed in") };
        let presented = Presented::Session(session.token.clone());
        let verified = people::verify(&self.engine, &presented, &Arrival::default())
            .unwrap_or_else(|error| panic!("{email}: {error}"));
        let tenant = verified.principal().standings.first().map(|standing| standing.tenant.clone());
        let tenant = tenant.unwrap_or_else(|| panic!("{email} has no organization"));
        TestPerson { user, tenant, session: session.token.expose().clone() }
    }

    /// A caller with this person's session.
    pub fn caller_of(&self, person: &TestPerson) -> Caller {
        let presented = Presented::Session(Secret::new(person.session.clone()));
        let verified = people::verify(&self.engine, &presented, &Arrival::default());
        verified
            .and_then(|verified| people::admit(&self.engine, &verified, Arrival::default()))
            .unwrap_or_else(|error| panic!("{}: {error}", person.user.email))
    }

    /// A new tenant of this name, with an app that may use `api`.
    pub fn tenant(&self, name: &str) -> TestTenant {
        let new = NewTenant { name: parse(name), slug: None, plan: None, entity_hotkey: None };
        let tenant = tenants::create(&self.engine, &Caller::host(), new).unwrap_or_else(|e| panic!("{e:?}"));
        let (client_id, client_secret) = self.app(Owner::Tenant(tenant.id), &[]);
        TestTenant { tenant, client_id, client_secret }
    }

    /// A new app with these scopes (`api` if there are none): its id and secret.
    pub fn app(&self, owner: Owner, scopes: &[&str]) -> (String, String) {
        self.asking_app(owner, scopes, Introspect::Own)
    }

    /// The same, and whose credentials it may ask about.
    pub fn asking_app(&self, owner: Owner, scopes: &[&str], introspect: Introspect) -> (String, String) {
        let scopes = scopes.iter().map(|scope| parse::<Scope>(scope)).collect();
        let new = NewApp { owner, name: parse("Test app"), scopes, introspect };
        let created = apps::create(&self.engine, &Caller::host(), new).unwrap_or_else(|e| panic!("{e:?}"));
        (created.app.client_id.to_string(), created.client_secret.expose().clone())
    }

    /// An access token of an app.
    pub fn token(&self, client_id: &str, client_secret: &str) -> String {
        let request = ClientCredentials {
            client_id: parse(client_id),
            client_secret: Secret::new(client_secret.to_owned()),
            scope: None,
        };
        let issued = tokens::issue_to_app(&self.engine, request).unwrap_or_else(|e| panic!("{e:?}"));
        issued.access_token.expose().clone()
    }

    /// The app of a tenant as a caller of the service.
    pub fn caller(&self, tenant: &TestTenant) -> Caller {
        let token = self.token(&tenant.client_id, &tenant.client_secret);
        access::app(&self.engine, &token, Arrival::default()).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// Does all background work that is due, and puts mails into the mailbox.
    pub fn deliver(&self) {
        while worker::run_due(&self.engine, &self.mailbox).unwrap_or_else(|e| panic!("{e:?}")) > 0 {}
    }

    /// Delivers, and reads the code in the newest mail to this address.
    pub fn code_for(&self, address: &str) -> String {
        self.deliver();
        let (_, text) = self.mailbox.to(address).pop().unwrap_or_else(|| panic!("no mail to {address}"));
        let digits: String =
            text.split_whitespace().find(|word| is_code(word)).unwrap_or_default().to_owned();
        assert!(is_code(&digits), "no code in: {text}");
        digits
    }

    /// Delivers, and reads what stands after this address of a page, `/verify/` say, in the newest mail
    /// to somebody that links to it. Of mails that are due at one instant either may leave first.
    pub fn mailed_token(&self, address: &str, page: &str) -> String {
        self.deliver();
        let after = format!("https://id.test{page}");
        let mails = self.mailbox.to(address);
        let words = mails.iter().rev().flat_map(|(_, text)| text.split_whitespace());
        let mut tokens = words.filter_map(|word| word.strip_prefix(after.as_str()));
        tokens.next().unwrap_or_else(|| panic!("no link to {page} for {address} in {mails:?}")).to_owned()
    }

    /// Follows what other processes end, as a running server does, until the answer is dropped.
    /// Without it nothing is answered from memory.
    pub fn follow(&self) -> Following {
        let (looked, first_look) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (Arc::clone(&self.engine), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut feed = engine.feed();
            while !stopped.load(Ordering::Acquire) {
                // A test may take the database away, and wait for the first look only.
                let _ = looked.send(feed.look());
                feed.wait();
            }
        });
        first_look.recv().map(drop).unwrap_or_else(|error| panic!("{error}"));
        Following { stop, thread: Some(thread) }
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.env.advance(by);
    }

    /// The present instant.
    pub fn now(&self) -> keystead_domain::Timestamp {
        self.env.now()
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    /// A `POST`.
    pub fn post(&self, path: &str) -> Call {
        self.request("POST", path)
    }

    /// A request with any method.
    pub fn request(&self, method: &str, path: &str) -> Call {
        Call::new(Arc::clone(&self.engine), method, path)
    }
}

/// Keeps a deployment informed until it is dropped.
pub struct Following {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl TestTenant {
    /// Whose rows the tenant's are.
    pub fn owner(&self) -> Owner {
        Owner::Tenant(self.tenant.id)
    }
}

fn is_code(word: &str) -> bool {
    word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn settings() -> Settings {
    const HOUR: Duration = Duration::from_secs(3600);
    Settings {
        issuer: "https://id.test".to_owned(),
        app_token_lifetime: HOUR,
        session_lifetime: SessionLifetime { idle: HOUR * 24 * 7, absolute: HOUR * 24 * 30 },
        prefixes: Prefixes {
            client_id: "ksc_".to_owned(),
            client_secret: "kss_".to_owned(),
            session: "sess_".to_owned(),
            api_key: parse("ks"),
        },
        password_policy: PasswordPolicy { min_length: 12 },
        password_cost: Argon2Cost::new(8, 1, 1).unwrap_or_else(|error| panic!("{error}")),
        hashing_threads: 2,
        hashing_queue: 1024,
        default_plan: parse("free"),
        plans: Plans::default(),
        scopes: Default::default(),
        leak_reporters: Vec::new(),
        trusted_origins: vec!["https://app.test".to_owned()],
        product: parse("Keystead"),
        people_addresses: AddressRule::Any,
        // Most tests ask more often than anybody should.
        rate_limits: None,
        audit_retention: None,
        client_address: Default::default(),
        remembered: 1_000,
    }
}

/// A person of the platform.
pub struct TestPerson {
    /// The user.
    pub user: User,
    /// The organization that it got when it signed up.
    pub tenant: Tenant,
    /// The token of its session.
    pub session: String,
}

impl TestPerson {
    /// The password of each of them.
    pub const PASSWORD: &str = "correct horse battery staple";
}

/// The limits that are in force by default.
pub fn rate_limits() -> RateLimits {
    RateLimits {
        quotas: Quotas {
            app: parse("6000/1m"),
            anonymous: parse("500/15m"),
            failed_bearer: parse("10/1m"),
            failed_client: parse("10/1m"),
            sign_in: parse("10/1m"),
            sign_up: parse("10/1m"),
            account_sign_in: parse("5/1m"),
            account_sign_up: parse("3/1m"),
            account_two_factor: parse("5/1m"),
            code: parse("10/1m"),
            resend: parse("10/1m"),
            leak_report: parse("10/1m"),
            session: parse("600/1m"),
            key_burst: parse("10/10s"),
            key_sustained: parse("300/1m"),
        },
        slowdown: Slowdown { free: 5 },
    }
}

/// Growing delays after failures, and no other limit that a test would notice.
pub fn only_slowdown() -> RateLimits {
    let plenty = parse("1000000/1m");
    let quotas = Quotas {
        app: plenty,
        anonymous: plenty,
        failed_bearer: plenty,
        failed_client: plenty,
        sign_in: plenty,
        sign_up: plenty,
        account_sign_in: plenty,
        account_sign_up: plenty,
        account_two_factor: plenty,
        code: plenty,
        resend: plenty,
        leak_report: plenty,
        session: plenty,
        key_burst: plenty,
        key_sustained: plenty,
    };
    RateLimits { quotas, ..rate_limits() }
}

/// Keeps the mails that were handed over.
#[derive(Default)]
pub struct Mailbox(Mutex<Vec<(Email, String, String)>>);

impl Mailbox {
    /// Subject and text of the mails to an address, the oldest first.
    pub fn to(&self, address: &str) -> Vec<(String, String)> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to_address = mails.iter().filter(|(to, ..)| to.as_str() == address);
        to_address.map(|(_, subject, text)| (subject.clone(), text.clone())).collect()
    }

    /// How many mails there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Transport for Mailbox {
    fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        let kept = (mail.to.clone(), mail.subject.clone(), mail.text.expose().clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        Ok(())
    }
}
