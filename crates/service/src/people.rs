//! Finding out which person calls: by a session of the platform's directory, or by an API key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keystead_domain::api_key::{ApiKey, KeyText};
use keystead_domain::id::{ApiKeyId, TenantId};
use keystead_domain::policy::{
    Action, KeyCredential, PersonCredential, PersonPrincipal, PlatformAction, Standing,
};
use keystead_domain::rate_limit::{Limit, Quota, Subject};
use keystead_domain::revocation::Revocation;
use keystead_domain::session::LAST_SEEN_GRAIN;
use keystead_domain::user::SignInDecision;
use keystead_domain::{Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::locate::{LocatedKey, LocatedPerson};
use keystead_storage::{api_keys, locate, sessions};

use crate::sessions::SignedIn;
use crate::{Arrival, Caller, Code, Engine, Error, Result, rate_limits};

/// What somebody shows to be recognized.
#[derive(Clone)]
pub enum Presented {
    /// The token of a session.
    Session(Secret<String>),
    /// An API key.
    Key(Secret<String>),
    /// A bearer token that is no JWT and not like a key of ours: a key that another system made, or nothing.
    Opaque(Secret<String>),
}

impl Presented {
    const fn expose(&self) -> &String {
        match self {
            Self::Session(token) | Self::Key(token) | Self::Opaque(token) => token.expose(),
        }
    }
}

/// A person whose credential was good.
pub struct VerifiedPerson {
    principal: Arc<PersonPrincipal>,
    shown: Shown,
    /// How often its key may be used; nothing for a session.
    quotas: Option<(Quota, Quota)>,
}

enum Shown {
    Session(SignedIn),
    Key {
        id: ApiKeyId,
        created_at: Timestamp,
        /// When the key, or the secret of it that was shown, ends.
        ends_at: Option<Timestamp>,
        last_use: LastUse,
    },
}

impl VerifiedPerson {
    /// The person with its credential.
    pub fn principal(&self) -> &PersonPrincipal {
        &self.principal
    }

    /// The session, where it is one.
    pub const fn session(&self) -> Option<&SignedIn> {
        match &self.shown {
            Shown::Session(session) => Some(session),
            Shown::Key { .. } => None,
        }
    }

    /// When the credential was made.
    pub(crate) fn issued_at(&self) -> Timestamp {
        match &self.shown {
            Shown::Session(session) => session.session().created_at,
            Shown::Key { created_at, .. } => *created_at,
        }
    }

    /// When the credential ends if it is not used, where it does.
    pub(crate) fn ends_at(&self, engine: &Engine) -> Option<Timestamp> {
        match &self.shown {
            Shown::Session(session) => Some(session.session().expires_at(engine.settings.session_lifetime)),
            Shown::Key { ends_at, .. } => *ends_at,
        }
    }

    fn is_live(&self, engine: &Engine, now: Timestamp) -> bool {
        match &self.shown {
            // Where its use is due to be written down, the database is asked.
            Shown::Session(session) => {
                session.session().is_live(engine.settings.session_lifetime, now)
                    && !session.session().needs_touch(now)
            }
            Shown::Key { ends_at, .. } => ends_at.is_none_or(|end| now < end),
        }
    }
}

/// The person who showed this a moment ago, if that still stands. Does not block.
pub fn recall(engine: &Engine, presented: &Presented) -> Option<Arc<VerifiedPerson>> {
    let digest = TokenDigest::of(presented.expose());
    let recalled = engine.people.recall(engine.store.generations(), digest.as_bytes())?;
    // A digest is looked up only among the kind that was presented.
    let same_kind = matches!(
        (&recalled.shown, presented),
        (Shown::Session(_), Presented::Session(_))
            | (Shown::Key { .. }, Presented::Key(_) | Presented::Opaque(_))
    );
    (same_kind && recalled.is_live(engine, engine.env.now())).then_some(recalled)
}

/// The person whose credential this is. One that is no good counts for where it came from.
pub fn verify(engine: &Engine, presented: &Presented, arrival: &Arrival) -> Result<Arc<VerifiedPerson>> {
    match look(engine, presented) {
        Err(error) if is_no_good(&error) => {
            Err(rate_limits::refused_bearer(engine, arrival).err().unwrap_or(error))
        }
        other => other,
    }
}

/// The person whose credential this is, for a service that was shown it: nothing is counted, neither one
/// that is good nor one that is not.
pub(crate) fn look(engine: &Engine, presented: &Presented) -> Result<Arc<VerifiedPerson>> {
    if let Some(recalled) = recall(engine, presented) {
        return Ok(recalled);
    }
    match presented {
        Presented::Session(token) => verify_session(engine, token),
        Presented::Key(text) => verify_key(engine, text.expose(), Code::InvalidApiKey),
        Presented::Opaque(text) => verify_key(engine, text.expose(), Code::InvalidToken),
    }
}

/// Whether an error says that the credential itself is no good.
pub(crate) const fn is_no_good(error: &Error) -> bool {
    matches!(error.code(), Code::InvalidSession | Code::InvalidApiKey | Code::InvalidToken)
}

/// Notes that a credential was used. A session's use is written down when it is looked up.
pub(crate) fn note_use(engine: &Engine, verified: &VerifiedPerson) {
    if let Shown::Key { id, last_use, .. } = &verified.shown {
        let now = engine.env.now();
        if last_use.is_due(now) {
            engine.key_uses.note(*id, now);
        }
    }
}

/// Lets a verified person in: the request counts for the key, or for the user whose session it is.
/// Does not block.
pub fn admit(engine: &Engine, verified: &VerifiedPerson, arrival: Arrival) -> Result<Caller> {
    match &verified.shown {
        Shown::Session(session) => {
            engine.count(&arrival.meter, &[(Limit::Session, Subject::User(session.user().id))])?;
        }
        Shown::Key { id, .. } => {
            let quotas = verified.quotas;
            engine.count_up_to(
                &arrival.meter,
                Limit::KeyBurst,
                Subject::Key(*id),
                quotas.map(|both| both.0),
            )?;
            engine.count_up_to(
                &arrival.meter,
                Limit::KeySustained,
                Subject::Key(*id),
                quotas.map(|both| both.1),
            )?;
            note_use(engine, verified);
        }
    }
    Ok(Caller::person(Arc::clone(&verified.principal), arrival))
}

fn verify_session(engine: &Engine, token: &Secret<String>) -> Result<Arc<VerifiedPerson>> {
    let invalid = || Error::of(Code::InvalidSession);
    let (now, digest) = (engine.env.now(), TokenDigest::of(token.expose()));
    let addresses = engine.settings.address_rule(Owner::Platform);
    let since = engine.store.generations().current();
    let found = engine.store.look_up(|tx| locate::person_session(tx, &digest))?;
    let (mut session, person) = found
        .filter(|(session, person)| {
            session.is_live(engine.settings.session_lifetime, now)
                && person.user.may_sign_in(addresses) == SignInDecision::Allowed
        })
        .ok_or_else(invalid)?;
    if session.needs_touch(now) {
        let scope = Caller::visitor(Arrival::default()).allow(Action::HandleEndUsers, Owner::Platform)?;
        let id = session.id;
        engine.store.write(move |tx| sessions::touch(&mut tx.tenant(&scope), id, now))?;
        session.last_seen_at = now;
    }
    let credential = PersonCredential::Session { id: session.id, active: session.active_tenant };
    let hangs_on = hangs_on(Revocation::Session(session.id), &person);
    let shown = Shown::Session(SignedIn::new(session, person.user.clone(), person.second_factor));
    let principal = engine.principal(person, credential);
    Ok(keep(engine, digest, VerifiedPerson { principal, shown, quotas: None }, since, hangs_on))
}

fn verify_key(engine: &Engine, text: &str, otherwise: Code) -> Result<Arc<VerifiedPerson>> {
    let invalid = || Error::of(otherwise);
    // The checksum tells noise from keys before the database is asked.
    if KeyText::is_noise(text, &engine.settings.prefixes.api_key) {
        return Err(invalid());
    }
    let (now, digest) = (engine.env.now(), TokenDigest::of(text));
    let since = engine.store.generations().current();
    let Some(LocatedKey { key, secret, barred_in, holder }) =
        engine.store.look_up(|tx| locate::api_key(tx, &digest))?
    else {
        let _ = digest.matches(&TokenDigest::from_bytes([0; 32]));
        return Err(invalid());
    };
    let live = key.is_live(now) && secret.ends_at.is_none_or(|end| now < end);
    // A locked user's keys tell no more than wrong ones. An address need not be confirmed for them: what an
    // unverified person may pin them to was decided when they were made.
    let active = holder.user.may_use_keys();
    if !(secret.digest.matches(&digest) && live && active) {
        return Err(invalid());
    }
    let ends_at = [key.expires_at, secret.ends_at].into_iter().flatten().min();
    let credential = PersonCredential::Key(KeyCredential {
        id: key.id,
        environment: key.environment,
        scopes: key.scopes.clone(),
        pin: key.pin.map(|pin| pin.tenant),
        barred_in,
        name: key.name.clone(),
    });
    let hangs_on = hangs_on(Revocation::ApiKey(key.id), &holder);
    let principal = engine.principal(holder, credential);
    let quotas = quotas(&principal, key.pin.map(|pin| pin.tenant));
    let shown = Shown::Key { id: key.id, created_at: key.created_at, ends_at, last_use: LastUse::of(&key) };
    let verified = VerifiedPerson { principal, shown, quotas };
    Ok(keep(engine, digest, verified, since, hangs_on))
}

/// What a verified person hangs on: its credential, itself with its memberships, and its tenants with their
/// plans.
fn hangs_on(credential: Revocation, person: &LocatedPerson) -> Vec<Revocation> {
    let tenants = person.memberships.iter().map(|(_, tenant)| Revocation::Tenant(tenant.id));
    [credential, Revocation::User(person.user.id)].into_iter().chain(tenants).collect()
}

fn keep(
    engine: &Engine,
    digest: TokenDigest,
    verified: VerifiedPerson,
    since: keystead_storage::Generation,
    hangs_on: Vec<Revocation>,
) -> Arc<VerifiedPerson> {
    let verified = Arc::new(verified);
    engine.people.keep(*digest.as_bytes(), Arc::clone(&verified), since, hangs_on);
    verified
}

/// How often a key may be used: as the plan of its tenant has it, or the most generous plan among the tenants
/// of its holder where it is pinned to none.
fn quotas(person: &PersonPrincipal, pin: Option<TenantId>) -> Option<(Quota, Quota)> {
    let reached = person.standings.iter().filter(|standing| pin.is_none_or(|pin| pin == standing.tenant.id));
    let plans = reached.filter_map(|standing| standing.plan.as_ref());
    let generous = plans.max_by_key(|plan| plan.sustained.per_hour())?;
    Some((generous.burst, generous.sustained))
}

impl Engine {
    pub(crate) fn principal(
        &self,
        person: LocatedPerson,
        credential: PersonCredential,
    ) -> Arc<PersonPrincipal> {
        let standings = person.memberships.into_iter().map(|(membership, tenant)| Standing {
            membership: membership.id,
            role: membership.role,
            founder: membership.founder,
            plan: self.settings.plans.find(&tenant.plan).cloned(),
            tenant,
        });
        Arc::new(PersonPrincipal {
            user: person.user,
            second_factor: person.second_factor,
            credential,
            standings: standings.collect(),
            catalogue: Arc::clone(&self.settings.scopes),
        })
    }
}

/// When keys were used of late, to be written down by the worker: no request waits for that.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl KeyUses {
    fn note(&self, key: ApiKeyId, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    fn take(&self) -> Vec<(ApiKeyId, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}

/// The last use of a key that was noted, so that there is one to write a minute and not one a request.
struct LastUse(AtomicI64);

impl LastUse {
    const NEVER: i64 = i64::MIN;

    fn of(key: &ApiKey) -> Self {
        Self(AtomicI64::new(key.last_used_at.map_or(Self::NEVER, Timestamp::as_micros)))
    }

    /// Whether this use is to be noted; true for one of several at the same moment.
    fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = last == Self::NEVER || now.since(Timestamp::from_micros(last)) >= LAST_SEEN_GRAIN;
        due && self.0.compare_exchange(last, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// How many uses are written in one transaction.
const BATCH: usize = 500;

/// Writes down when keys were used. What cannot be written is lost: the next use of the key says the same.
pub fn write_key_uses(engine: &Engine) -> Result<()> {
    let uses = engine.key_uses.take();
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    for batch in uses.chunks(BATCH) {
        let batch = batch.to_vec();
        engine
            .store
            .write(move |tx| api_keys::touch(&mut tx.platform(&platform), &batch, LAST_SEEN_GRAIN))?;
    }
    Ok(())
}
