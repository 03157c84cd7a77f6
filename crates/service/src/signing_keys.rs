//! Signing keys: which one signs, which ones are accepted, and rotating them.
//!
//! The keys are kept in memory, opened. That they changed is learned from the feed of revocations;
//! while that is silent, or where nobody follows it (a command, a program without the worker), they
//! are looked at again before they are used, twice a second at most.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use keystead_crypto::sealing::{Sealed, Sealer};
use keystead_crypto::signing::{Jwk, SigningKey};
use keystead_domain::audit::AuditAction;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::revocation::Revocation;
use keystead_domain::signing_key::{SigningKeyRecord, SigningKeyState, retired_until};
use keystead_domain::{Env, Owner, Timestamp};
use keystead_storage::signing_keys::StoredSigningKey;
use keystead_storage::{Generation, Store, StoreError, UniqueKey, audit, signing_keys};

use crate::audit::Refine as _;
use crate::engine::{StartError, background};
use crate::{Caller, Code, Engine, Error, Result};

/// How old what is known of the keys may be where nobody tells of changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a token of an unknown key may make us look: whoever invents names must not keep the
/// database busy.
const LOOK_FOR_UNKNOWN_EVERY: Duration = Duration::from_secs(1);

/// Why keys are rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// Because it is time: the key that comes next signs from now on, and the one that signed is
    /// accepted for as long as its tokens live.
    Planned,
    /// Because somebody else may have the keys: all are replaced, and nothing that they signed is
    /// accepted any more.
    Compromised,
}

/// Every signing key: the one that signs, the one that comes next, and those that are retired.
pub fn list(engine: &Engine, caller: &Caller) -> Result<Vec<SigningKeyRecord>> {
    let platform = caller.allow_platform(PlatformAction::ManageSigningKeys)?;
    let stored = engine.store.read(|tx| signing_keys::list(&mut tx.platform(&platform)))?;
    Ok(stored.into_iter().map(|key| key.record).collect())
}

/// Lets another key sign; returns it. Of two rotations at the same moment one is refused.
pub fn rotate(engine: &Engine, caller: &Caller, why: Rotation) -> Result<SigningKeyRecord> {
    let platform = caller.allow_platform(PlatformAction::ManageSigningKeys)?;
    let trail = caller.allow(Action::ManageApps, Owner::Platform)?;
    let stored = engine.store.read(|tx| signing_keys::list(&mut tx.platform(&platform)))?;
    let kid_in = |wanted: fn(SigningKeyState) -> bool| {
        let found = stored.iter().find(|key| wanted(key.record.state));
        found.map(|key| key.record.kid.clone()).ok_or_else(|| Error::internal("a signing key is missing"))
    };
    let current = kid_in(|state| matches!(state, SigningKeyState::Current { .. }))?;
    let next = kid_in(|state| state == SigningKeyState::Next)?;

    let (now, sealer, env) = (engine.env.now(), &engine.sealer, &*engine.env);
    let fresh = |state| make(sealer, env, state, now).map_err(Error::internal);
    let following = fresh(SigningKeyState::Next)?;
    let replacement = match why {
        Rotation::Planned => None,
        Rotation::Compromised => Some(fresh(SigningKeyState::Current { since: now })?),
    };
    let signs = replacement.as_ref().map_or(&next, |key| &key.record.kid).clone();
    let until = retired_until(now, engine.settings.longest_token_lifetime());
    let event = engine.event(caller, Owner::Platform, AuditAction::SigningKeyRotated, now).on(&signs);
    let sealed_under = sealer.key_id().to_string();
    let rotated = engine.store.write(move |tx| {
        let mut keys = tx.platform(&platform);
        if !signing_keys::retire(&mut keys, &current, until)? {
            return Ok(false);
        }
        match replacement {
            Some(replacement) => {
                signing_keys::remove_others(&mut keys)?;
                signing_keys::insert(&mut keys, &replacement, &sealed_under)?;
            }
            None if signing_keys::activate(&mut keys, &next, now)? => {}
            None => return Err(StoreError::Failed("the signing key that comes next is gone".to_owned())),
        }
        signing_keys::insert(&mut keys, &following, &sealed_under)?;
        audit::insert(&mut tx.tenant(&trail), &event)?;
        Ok(true)
    })?;
    if !rotated {
        return Err(Error::of(Code::Conflict).saying("Somebody else rotated the signing keys just now."));
    }
    engine.keys.look(engine, &mut engine.keys.looked())?;
    let found = list(engine, caller)?.into_iter().find(|key| key.kid == signs);
    found.ok_or_else(|| Error::of(Code::Conflict).saying("Somebody else rotated the signing keys just now."))
}

impl Engine {
    /// The public keys that tokens can be checked with, the one that signs first (RFC 7517 §5).
    pub fn jwks(&self) -> Vec<Jwk> {
        let now = self.env.now();
        let opened = self.keys.fresh(self, now);
        opened.keys.iter().filter(|key| key.record.verifies(now)).map(|key| key.key.jwk()).collect()
    }

    /// The key that signs.
    pub(crate) fn signing_key(&self) -> Result<Arc<SigningKey>> {
        let opened = self.keys.fresh(self, self.env.now());
        let current = opened.keys.iter().find(|key| key.record.signs());
        current.map(|key| Arc::clone(&key.key)).ok_or_else(|| Error::internal("there is no signing key"))
    }

    /// The key that signs, where that is known without asking the database. Does not block.
    pub(crate) fn signing_key_at_once(&self) -> Option<Arc<SigningKey>> {
        self.current_keys()?.keys.iter().find(|key| key.record.signs()).map(|key| Arc::clone(&key.key))
    }

    /// The key of this name, if it is known without asking the database that what it signed is accepted. Does not
    /// block.
    pub(crate) fn verifying_key_at_once(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.current_keys()?.find(kid, self.env.now())
    }

    /// The keys, where nothing of them was changed since they were read.
    fn current_keys(&self) -> Option<Arc<Opened>> {
        let opened = self.keys.opened();
        let stands = self.store.generations().still_stands(opened.generation, &[Revocation::SigningKeys]);
        stands.then_some(opened)
    }

    /// The key of this name, if what it signed is accepted. Another process may have made it a moment
    /// ago, so for a name that is not known the keys are looked at again.
    pub(crate) fn verifying_key(&self, kid: &str) -> Option<Arc<SigningKey>> {
        let now = self.env.now();
        let found = self.keys.fresh(self, now).find(kid, now);
        found.or_else(|| self.keys.look_for(self, kid, now))
    }
}

/// The opened keys of a process.
pub(crate) struct Keys {
    opened: RwLock<Arc<Opened>>,
    looked: Mutex<Looked>,
}

/// When somebody looked at the keys in the database. Whoever holds this looks.
struct Looked {
    /// For whatever reason, and whether or not the database answered.
    at: Timestamp,
    /// For a name that was not known.
    for_unknown: Option<Timestamp>,
    failed: bool,
}

struct Opened {
    keys: Vec<OpenedKey>,
    /// Of before they were read.
    generation: Generation,
}

/// A key that is opened.
pub(crate) struct OpenedKey {
    record: SigningKeyRecord,
    key: Arc<SigningKey>,
}

impl Opened {
    fn find(&self, kid: &str, now: Timestamp) -> Option<Arc<SigningKey>> {
        let found = self.keys.iter().find(|key| key.record.kid == kid && key.record.verifies(now));
        found.map(|key| Arc::clone(&key.key))
    }
}

impl Keys {
    /// Reads the keys, and makes those that a database has always: one that signs and one that comes next.
    pub(crate) fn load(
        store: &Store,
        sealer: &Sealer,
        env: &dyn Env,
    ) -> std::result::Result<Self, StartError> {
        let now = env.now();
        make_missing(store, sealer, env, now)?;
        let opened = RwLock::new(Arc::new(open(store, sealer, &[])?));
        Ok(Self { opened, looked: Mutex::new(Looked { at: now, for_unknown: None, failed: false }) })
    }

    fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are now, or were half a second ago at most. One caller looks; others go on
    /// with what is known meanwhile, and so do all while the database is away: then no credential can
    /// be checked, and public keys are better old than not there.
    fn fresh(&self, engine: &Engine, now: Timestamp) -> Arc<Opened> {
        let opened = self.opened();
        let generations = engine.store.generations();
        if generations.still_stands(opened.generation, &[Revocation::SigningKeys]) {
            return opened;
        }
        let told_of_change = generations.knows();
        let Ok(mut looked) = self.looked.try_lock() else { return opened };
        if (told_of_change && !looked.failed) || is_over(looked.at, LOOK_EVERY, now) {
            // What goes wrong is logged, and tried again.
            let _ = self.look(engine, &mut looked);
        }
        self.opened()
    }

    /// Looks for a key that is not known, unless somebody did so less than a second ago.
    fn look_for(&self, engine: &Engine, kid: &str, now: Timestamp) -> Option<Arc<SigningKey>> {
        let mut looked = self.looked();
        // Whoever held the lock may have found it.
        let found = self.opened().find(kid, now);
        if found.is_some() || looked.for_unknown.is_some_and(|at| !is_over(at, LOOK_FOR_UNKNOWN_EVERY, now)) {
            return found;
        }
        looked.for_unknown = Some(now);
        self.look(engine, &mut looked).ok()?;
        self.opened().find(kid, now)
    }

    fn look(&self, engine: &Engine, looked: &mut Looked) -> Result<()> {
        looked.at = engine.env.now();
        let known = self.opened();
        let read = open(&engine.store, &engine.sealer, &known.keys);
        looked.failed = read.is_err();
        match read {
            Ok(opened) => {
                *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(opened);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(cause = %error, "the signing keys were not read; those that are known stay in use");
                Err(match error {
                    StartError::Store(error) => error.into(),
                    other => Error::internal(other),
                })
            }
        }
    }
}

/// Whether `patience` is over at `now`; also where the clock was set back.
fn is_over(since: Timestamp, patience: Duration, now: Timestamp) -> bool {
    now < since || now.since(since) >= patience
}

/// Reads the keys and opens those that are not known.
fn open(store: &Store, sealer: &Sealer, known: &[OpenedKey]) -> std::result::Result<Opened, StartError> {
    let generation = store.generations().current();
    let scope = background()?;
    let stored = store.read(|tx| signing_keys::list(&mut tx.platform(&scope)))?;
    Ok(Opened { keys: open_all(stored, sealer, known)?, generation })
}

/// Opens keys, but for those that are known.
pub(crate) fn open_all(
    stored: Vec<StoredSigningKey>,
    sealer: &Sealer,
    known: &[OpenedKey],
) -> std::result::Result<Vec<OpenedKey>, StartError> {
    let opened = stored.into_iter().map(|StoredSigningKey { record, sealed_seed }| {
        let key = match known.iter().find(|key| key.record.kid == record.kid) {
            Some(known) => Arc::clone(&known.key),
            None => {
                let seed = sealer.open(&place(&record.kid), &Sealed::from_bytes(sealed_seed)).ok();
                let key = seed.and_then(|seed| SigningKey::from_seed(seed.expose()).ok());
                Arc::new(key.ok_or_else(|| StartError::SigningKey(record.kid.clone()))?)
            }
        };
        Ok(OpenedKey { record, key })
    });
    opened.collect()
}

/// Makes a key that signs and one that comes next, where there are none.
fn make_missing(
    store: &Store,
    sealer: &Sealer,
    env: &dyn Env,
    now: Timestamp,
) -> std::result::Result<(), StartError> {
    let scope = background()?;
    let stored = store.read(|tx| signing_keys::list(&mut tx.platform(&scope)))?;
    let missing = [SigningKeyState::Current { since: now }, SigningKeyState::Next]
        .into_iter()
        .filter(|state| stored.iter().all(|key| key.record.state.as_str() != state.as_str()))
        .map(|state| make(sealer, env, state, now))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    if missing.is_empty() {
        return Ok(());
    }
    let sealed_under = sealer.key_id().to_string();
    let made = store.write(move |tx| {
        let mut tx = tx.platform(&scope);
        missing.iter().try_for_each(|key| signing_keys::insert(&mut tx, key, &sealed_under))
    });
    match made {
        // Another node was faster: its keys they are.
        Ok(()) | Err(StoreError::Taken(UniqueKey::SigningKey)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn make(
    sealer: &Sealer,
    env: &dyn Env,
    state: SigningKeyState,
    now: Timestamp,
) -> std::result::Result<StoredSigningKey, StartError> {
    let seed = SigningKey::generate_seed(env);
    let key = SigningKey::from_seed(seed.expose())
        .map_err(|_| StartError::SigningKey("that was just made".to_owned()))?;
    let kid = key.kid().to_owned();
    let sealed_seed = sealer.seal(&place(&kid), seed.expose(), env).as_bytes().to_vec();
    Ok(StoredSigningKey { record: SigningKeyRecord { kid, created_at: now, state }, sealed_seed })
}

fn place(kid: &str) -> String {
    format!("signing_keys/{kid}")
}
