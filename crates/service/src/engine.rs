//! The engine: what use cases work with.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use keystead_crypto::audit::AuditKey;
use keystead_crypto::codes::CodeKey;
use keystead_crypto::forms::FormKey;
use keystead_crypto::master_key::MasterKey;
use keystead_crypto::passwords::{AlikeKey, Argon2Cost, Hasher};
use keystead_crypto::reports::ReporterKey;
use keystead_crypto::root_key::RootKey;
use keystead_crypto::sealing::{Sealed, Sealer};
use keystead_domain::api_key::Brand;
use keystead_domain::app::ClientId;
use keystead_domain::id::{ProcessId, ProjectId, TenantId};
use keystead_domain::name::Name;
use keystead_domain::network::ClientAddress;
use keystead_domain::oauth::ScopeCatalogue;
use keystead_domain::password::PasswordPolicy;
use keystead_domain::plan::Plans;
use keystead_domain::policy::{PlatformAction, PlatformScope};
use keystead_domain::session::SessionLifetime;
use keystead_domain::tenant::{PlanName, TenantStatus};
use keystead_domain::user::AddressRule;
use keystead_domain::{Env, Owner, Timestamp};
use keystead_storage::{AsyncReader, Feed, Store, StoreError, Trail, UniqueKey, deployment, tenants};

use crate::access::VerifiedApp;
use crate::memory::Memory;
use crate::people::{KeyUses, VerifiedPerson};
use crate::rate_limits::{RateLimits, Windows};
use crate::sessions::LiveSession;
use crate::signing_keys::Keys;
use crate::tokens::KnownClient;
use crate::{Caller, Error, audit_trail};

/// What an operator can set, as far as use cases care.
#[derive(Clone)]
pub struct Settings {
    /// The deployment's `public_url`: the issuer of its tokens, and their default audience.
    pub issuer: String,
    /// How long an app's own access token lives.
    pub app_token_lifetime: Duration,
    /// How long sessions live.
    pub session_lifetime: SessionLifetime,
    /// What secrets begin with.
    pub prefixes: Prefixes,
    /// Which passwords may be chosen.
    pub password_policy: PasswordPolicy,
    /// What hashing one costs.
    pub password_cost: Argon2Cost,
    /// How many threads hash.
    pub hashing_threads: usize,
    /// How many passwords may wait to be hashed.
    pub hashing_queue: usize,
    /// The plan of a tenant that is made without one.
    pub default_plan: PlanName,
    /// The plans that there are.
    pub plans: Plans,
    /// The scopes that keys and tokens of people can carry.
    pub scopes: Arc<ScopeCatalogue>,
    /// The origins of pages, beside our own, that may send what changes something with a person's cookie.
    pub trusted_origins: Vec<String>,
    /// Whose signed reports of leaked keys are believed.
    pub leak_reporters: Vec<ReporterKey>,
    /// What people of the platform know it by.
    pub product: Name,
    /// Whether people of the platform have to confirm their addresses before they sign in.
    pub people_addresses: AddressRule,
    /// How often somebody may ask; nothing to let everybody ask as often as they like.
    pub rate_limits: Option<RateLimits>,
    /// After how long the events of a sealed range are removed; nothing to keep them.
    pub audit_retention: Option<Duration>,
    /// How the address of a client is found behind proxies.
    pub client_address: ClientAddress,
    /// How many verified credentials of each kind are remembered.
    pub remembered: usize,
}

impl Settings {
    /// What is in force unless somebody says otherwise, for a program that embeds the engine and is known by this
    /// URL. Nothing is limited: who asks, and from where, is for that program to know.
    pub fn new(issuer: impl Into<String>) -> crate::Result<Self> {
        const HOUR: Duration = Duration::from_secs(3600);
        Ok(Self {
            issuer: issuer.into(),
            app_token_lifetime: HOUR,
            session_lifetime: SessionLifetime { idle: HOUR * 24 * 7, absolute: HOUR * 24 * 30 },
            prefixes: Prefixes {
                client_id: "ksc_".to_owned(),
                client_secret: "kss_".to_owned(),
                session: "sess_".to_owned(),
                api_key: "ks".parse().map_err(Error::internal)?,
            },
            password_policy: PasswordPolicy { min_length: 12 },
            password_cost: Argon2Cost::new(19_456, 2, 1).map_err(Error::internal)?,
            hashing_threads: thread::available_parallelism().map_or(1, usize::from),
            hashing_queue: 32,
            default_plan: "free".parse().map_err(Error::internal)?,
            plans: Plans::default(),
            scopes: Arc::default(),
            leak_reporters: Vec::new(),
            trusted_origins: Vec::new(),
            product: "Keystead".parse().map_err(Error::internal)?,
            people_addresses: AddressRule::Any,
            rate_limits: None,
            audit_retention: None,
            client_address: ClientAddress::default(),
            remembered: 10_000,
        })
    }

    /// How long the longest-lived of the signed tokens lives.
    pub(crate) const fn longest_token_lifetime(&self) -> Duration {
        self.app_token_lifetime
    }

    /// Whether the users of `directory` have to confirm their addresses before they sign in.
    pub(crate) const fn address_rule(&self, directory: Owner) -> AddressRule {
        match directory {
            Owner::Platform => self.people_addresses,
            Owner::Tenant(_) => AddressRule::Verified,
        }
    }
}

/// What each kind of secret begins with, so that a deployment's secrets carry its own brand.
#[derive(Clone)]
pub struct Prefixes {
    /// Client ids.
    pub client_id: String,
    /// Client secrets.
    pub client_secret: String,
    /// Session tokens.
    pub session: String,
    /// API keys.
    pub api_key: Brand,
}

/// A running Keystead, without any surface.
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) settings: Settings,
    pub(crate) hasher: Hasher,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) codes: Arc<CodeKey>,
    pub(crate) forms: FormKey,
    pub(crate) alike: AlikeKey,
    pub(crate) keys: Keys,
    /// Makes the ids of requests out of their numbers. They guard nothing, so none is worth a system call.
    request_ids: RandomState,
    requests: AtomicU64,
    pub(crate) work: Bell,
    pub(crate) windows: Windows,
    /// By the SHA-256 of an access token.
    pub(crate) apps: Memory<[u8; 32], VerifiedApp>,
    pub(crate) clients: Memory<ClientId, KnownClient>,
    /// By the SHA-256 of a session token.
    pub(crate) sessions: Memory<[u8; 32], LiveSession>,
    /// By the SHA-256 of a session token or of an API key.
    pub(crate) people: Memory<[u8; 32], VerifiedPerson>,
    pub(crate) project_ids: Memory<TenantId, Vec<ProjectId>>,
    pub(crate) key_uses: KeyUses,
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database does not answer, or is not ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is sealed under another master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyMismatch),
    /// The root key does not open with the master key that the database says it belongs to.
    #[error("the root key cannot be opened: the database was altered")]
    RootKey,
    /// A signing key does not open.
    #[error("the signing key {0} cannot be opened: the database was altered")]
    SigningKey(String),
    /// The threads that hash cannot be started.
    #[error("the hashing threads cannot be started: {0}")]
    Hashing(#[from] std::io::Error),
}

/// The database is sealed under another master key than the one given.
#[derive(Debug, thiserror::Error)]
#[error("the database belongs to the master key {expected}, and the one given is {given}")]
pub struct MasterKeyMismatch {
    expected: String,
    given: String,
}

/// The id of the master key that a migrated database belongs to; nothing while it is new.
pub fn master_key_id(store: &Store) -> Result<Option<String>, StoreError> {
    let scope = background()?;
    Ok(store.read(|tx| deployment::keys(&mut tx.platform(&scope)))?.master_key_id)
}

/// The scope of the server's own work, which the gate always gives.
pub(crate) fn background() -> Result<PlatformScope, StoreError> {
    Caller::system()
        .allow_platform(PlatformAction::RunBackgroundWork)
        .map_err(|denied| StoreError::Failed(format!("the server may not do its own work: {denied:?}")))
}

impl Engine {
    /// Starts on a migrated database. On a new one it remembers the master key and makes the root key
    /// and the first signing keys; on any other it refuses a wrong master key.
    pub fn start(
        store: Store,
        master_key: &MasterKey,
        settings: Settings,
        env: Arc<dyn Env>,
    ) -> Result<Self, StartError> {
        let root_key = claim(&store, master_key, &*env)?;
        let process = ProcessId::mint(env.now(), &*env);
        store.begin_trail(Trail::new(process, Arc::new(AuditKey::new(&root_key))));
        audit_trail::found(&store, &background()?, env.now())?;
        let sealer = Arc::new(Sealer::new(&root_key));
        let keys = Keys::load(&store, &sealer, &*env)?;
        let hasher = Hasher::start(
            settings.password_cost.clone(),
            settings.hashing_threads,
            settings.hashing_queue,
            Arc::clone(&env),
        )?;
        let codes = Arc::new(CodeKey::new(&root_key));
        let forms = FormKey::new(&root_key);
        let alike = AlikeKey::new(&root_key);
        let (work, windows) = (Bell::default(), Windows::default());
        let max = settings.remembered;
        let (apps, clients) = (Memory::new(max), Memory::new(max));
        let (sessions, people, project_ids) = (Memory::new(max), Memory::new(max), Memory::new(max));
        Ok(Self {
            store: Arc::new(store),
            env,
            settings,
            hasher,
            sealer,
            codes,
            forms,
            alike,
            keys,
            request_ids: RandomState::new(),
            requests: AtomicU64::new(0),
            work,
            windows,
            apps,
            clients,
            sessions,
            people,
            project_ids,
            key_uses: KeyUses::default(),
        })
    }

    /// Follows what other processes end. The [worker](crate::worker) does so; while nobody does,
    /// nothing is answered from memory.
    pub fn feed(&self) -> Feed<'_> {
        self.store.feed()
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the people of a directory know their product by; nothing where there is no such tenant, or
    /// it is suspended: whatever they would be mailed, they could do nothing with it.
    pub(crate) fn product(&self, directory: Owner) -> Result<Option<Name>, StoreError> {
        let Some(id) = directory.tenant() else { return Ok(Some(self.settings.product.clone())) };
        let scope = background()?;
        let tenant = self.store.read(|tx| tenants::find(&mut tx.platform(&scope), id))?;
        Ok(tenant.filter(|tenant| tenant.status == TenantStatus::Active).map(|tenant| tenant.name))
    }

    /// What the users whom the caller signs up and in know their product by.
    pub(crate) fn product_of(&self, caller: &Caller) -> crate::Result<Name> {
        match caller.directory()? {
            Owner::Platform => Ok(self.settings.product.clone()),
            Owner::Tenant(_) => Ok(caller.app()?.product().clone()),
        }
    }

    /// The present instant, as use cases have it.
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// What looks up who calls on a thread that drives async tasks, without blocking it. Each such thread has
    /// its own.
    pub fn reader(&self) -> AsyncReader {
        AsyncReader::new(Arc::clone(&self.store))
    }

    /// Whether the database answers.
    pub fn ready(&self) -> Result<(), StoreError> {
        self.store.read(keystead_storage::locate::ping)
    }

    /// An id for a request, to find its log line by: 16 hexadecimal characters.
    pub fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        HEXLOWER.encode(&self.request_ids.hash_one(number).to_be_bytes())
    }
}

/// Opens the root key of a database that belongs to `master_key`, or makes it so where it is new.
fn claim(store: &Store, master_key: &MasterKey, env: &dyn Env) -> Result<RootKey, StartError> {
    let scope = background()?;
    let stored = || store.read(|tx| deployment::keys(&mut tx.platform(&scope)));
    let given = master_key.id().to_string();
    let mut keys = stored()?;
    if keys.master_key_id.as_ref().is_none_or(|id| *id == given) && keys.root_key.is_none() {
        // A database that has a master key and no root key was made when the keys that it works
        // with were derived from the master key itself: they stay what they are.
        let is_new = keys.master_key_id.is_none();
        let root_key = if is_new { RootKey::generate(env) } else { master_key.as_root_key() };
        let (id, sealed) = (given.clone(), master_key.seal_root_key(&root_key, env).to_text());
        let audit_key = AuditKey::new(&root_key);
        let claimed = store.write(move |tx| {
            let mut tx = tx.platform(&scope);
            if is_new {
                deployment::insert_master_key_id(&mut tx, &id)?;
            }
            deployment::begin_audit_end(&mut tx, &audit_key)?;
            deployment::insert_root_key(&mut tx, &sealed)
        });
        match claimed {
            // Another process may have been faster, and may have another key.
            Ok(()) | Err(StoreError::Taken(UniqueKey::Deployment)) => {}
            Err(error) => return Err(error.into()),
        }
        keys = stored()?;
    }
    let expected = keys.master_key_id.unwrap_or_default();
    if expected != given {
        return Err(MasterKeyMismatch { expected, given }.into());
    }
    let stored = keys.root_key.unwrap_or_default();
    let sealed = Sealed::from_text(&stored);
    match master_key.open_root_key(&sealed) {
        Ok(root_key) => Ok(root_key),
        Err(_) => mark_trail(store, master_key, stored, env),
    }
}

/// Opens the root key of a database whose audit trail has no mark of its end yet, and adds one. That is
/// done once: how the root key is sealed says so, and only the master key can seal it.
fn mark_trail(
    store: &Store,
    master_key: &MasterKey,
    stored: String,
    env: &dyn Env,
) -> Result<RootKey, StartError> {
    let scope = background()?;
    let root_key =
        master_key.open_unmarked_root_key(&Sealed::from_text(&stored)).map_err(|_| StartError::RootKey)?;
    let (audit_key, marked) = (AuditKey::new(&root_key), master_key.seal_root_key(&root_key, env).to_text());
    store.write(move |tx| {
        let mut tx = tx.platform(&scope);
        // Another process may have been faster.
        if deployment::replace_root_key(&mut tx, &stored, &marked)? {
            deployment::begin_audit_end(&mut tx, &audit_key)?;
        }
        Ok(())
    })?;
    Ok(root_key)
}

/// Wakes the worker when there is something to do.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until it rings, at most `patience`.
    pub(crate) fn wait(&self, patience: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(rung, patience, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}
