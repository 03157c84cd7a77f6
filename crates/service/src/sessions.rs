//! Sessions: recognizing them, and ending them.

use std::sync::Arc;

use keystead_crypto::tokens;
use keystead_domain::audit::{Actor, AuditAction, Origin};
use keystead_domain::id::{SessionId, UserId};
use keystead_domain::policy::{Action, TenantScope};
use keystead_domain::revocation::Revocation;
use keystead_domain::session::Session;
use keystead_domain::user::{SignInDecision, User};
use keystead_domain::{Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::sessions::{FoundSession, WhichSession};
use keystead_storage::{AsyncReader, Generation, Question as _, audit, sessions};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// A session that was just made, with the token that exists in clear now and never again.
pub struct NewSession {
    /// The token.
    pub token: Secret<String>,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
}

/// A session that was presented and is good, and whose it is. Only [`authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct SignedIn(Arc<LiveSession>);

#[derive(Debug)]
pub(crate) struct LiveSession {
    session: Session,
    user: User,
    mfa_enabled: bool,
}

impl SignedIn {
    pub(crate) fn new(session: Session, user: User, mfa_enabled: bool) -> Self {
        Self(Arc::new(LiveSession { session, user, mfa_enabled }))
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Whether signing in takes a second factor.
    pub fn mfa_enabled(&self) -> bool {
        self.0.mfa_enabled
    }

    /// The user.
    pub fn user(&self) -> &User {
        &self.0.user
    }

    /// The session's id, which authenticates nothing.
    pub fn session_id(&self) -> SessionId {
        self.0.session.id
    }
}

/// The session with this token, in the directory of the app that calls.
pub fn authenticate(engine: &Engine, caller: &Caller, token: &Secret<String>) -> Result<SignedIn> {
    let scope = caller.allow(Action::HandleEndUsers, caller.directory()?)?;
    find_in(engine, scope, token)
}

/// The session with this token, in the directory of the app that calls, without blocking, without
/// [recalling](recall) it and without writing anything: nothing where its use is due to be written down, which
/// [`authenticate`] does.
pub async fn look_up(
    engine: &Engine,
    reader: &AsyncReader,
    caller: &Caller,
    token: &Secret<String>,
) -> Result<Option<SignedIn>> {
    let scope = caller.allow(Action::HandleEndUsers, caller.directory()?)?;
    let sought = Sought::new(engine, scope, token);
    let found = reader.look_up(&sought.which).await?;
    let found = sought.found(engine, found)?;
    Ok((!found.is_due).then(|| found.keep(engine)))
}

/// The session with this token in a directory.
pub(crate) fn find_in(engine: &Engine, scope: TenantScope, token: &Secret<String>) -> Result<SignedIn> {
    if let Some(recalled) = recall_in(engine, scope, token) {
        return Ok(recalled);
    }
    let sought = Sought::new(engine, scope, token);
    let found = engine.store.look_up(|tx| sought.which.ask(tx))?;
    let mut found = sought.found(engine, found)?;
    if found.is_due {
        let (id, now) = (found.session.id, engine.env.now());
        engine.store.write(move |tx| sessions::touch(&mut tx.tenant(&scope), id, now))?;
        found.session.last_seen_at = now;
    }
    Ok(found.keep(engine))
}

/// A session that has to be looked up.
struct Sought {
    which: WhichSession,
    /// Before the look-up.
    since: Generation,
}

impl Sought {
    fn new(engine: &Engine, scope: TenantScope, token: &Secret<String>) -> Self {
        let digest = TokenDigest::of(token.expose());
        Self { which: WhichSession { scope, digest }, since: engine.store.generations().current() }
    }

    /// What was found, if it is good.
    fn found(self, engine: &Engine, found: Option<FoundSession>) -> Result<Found> {
        let Self { which: WhichSession { scope, digest }, since } = self;
        let now = engine.env.now();
        let addresses = engine.settings.address_rule(scope.owner());
        let FoundSession { session, user, mfa_enabled } = found
            .filter(|found| {
                found.session.is_live(engine.settings.session_lifetime, now)
                    && found.user.may_sign_in(addresses) == SignInDecision::Allowed
            })
            .ok_or_else(|| Error::of(Code::InvalidSession))?;
        let is_due = session.needs_touch(now);
        Ok(Found { session, user, mfa_enabled, is_due, digest, since })
    }
}

/// A session that was looked up and is good, and may be remembered.
struct Found {
    session: Session,
    user: User,
    mfa_enabled: bool,
    /// Whether its use is due to be written down.
    is_due: bool,
    digest: TokenDigest,
    since: Generation,
}

impl Found {
    fn keep(self, engine: &Engine) -> SignedIn {
        let Self { session, user, mfa_enabled, is_due: _, digest, since } = self;
        let hangs_on = [Revocation::Session(session.id), Revocation::User(user.id)];
        let live = Arc::new(LiveSession { session, user, mfa_enabled });
        engine.sessions.keep(*digest.as_bytes(), Arc::clone(&live), since, hangs_on);
        SignedIn(live)
    }
}

/// The session with this token, if it was presented a moment ago and still stands: as
/// [`authenticate`] finds it. Does not block.
pub fn recall(engine: &Engine, caller: &Caller, token: &Secret<String>) -> Option<SignedIn> {
    let scope = caller.allow(Action::HandleEndUsers, caller.directory().ok()?).ok()?;
    recall_in(engine, scope, token)
}

/// The session with this token in a directory, as [`recall`] finds it.
pub(crate) fn recall_in(engine: &Engine, scope: TenantScope, token: &Secret<String>) -> Option<SignedIn> {
    let live =
        engine.sessions.recall(engine.store.generations(), TokenDigest::of(token.expose()).as_bytes())?;
    let (now, session) = (engine.env.now(), &live.session);
    let stands = session.directory == scope.owner()
        && session.is_live(engine.settings.session_lifetime, now)
        // Its use is due to be written down.
        && !session.needs_touch(now);
    stands.then_some(SignedIn(live))
}

/// The sessions of the user whose session is presented, the newest first, each with when it ends if
/// it is not used again.
pub fn list(engine: &Engine, caller: &Caller, signed_in: &SignedIn) -> Result<Vec<(Session, Timestamp)>> {
    let user = signed_in.user();
    let scope = caller.allow(Action::HandleEndUsers, user.directory)?;
    let (now, lifetime) = (engine.env.now(), engine.settings.session_lifetime);
    let sessions = engine.store.read(|tx| sessions::list(&mut tx.tenant(&scope), user.id))?;
    let live = sessions.into_iter().filter(|session| session.is_live(lifetime, now));
    Ok(live
        .map(|session| {
            let expires_at = session.expires_at(lifetime);
            (session, expires_at)
        })
        .collect())
}

/// Which sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// The one that is presented.
    Presented,
    /// Another of the same user.
    One(SessionId),
    /// All of the user but the presented one.
    Others,
    /// All of the user, the presented one included.
    All,
}

/// Ends sessions of the user whose session is presented.
pub fn revoke(engine: &Engine, caller: &Caller, signed_in: &SignedIn, which: SessionsToEnd) -> Result<()> {
    let LiveSession { session, user, .. } = &*signed_in.0;
    let (user, presented, owner) = (user.id, session.id, session.directory);
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let event =
        engine.event(caller, owner, AuditAction::SessionsRevoked, engine.env.now()).by(Actor::User(user));
    let found = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let (found, event) = match which {
            SessionsToEnd::All => (sessions::remove_all(&mut tenant, user)? > 0, event.on(user)),
            SessionsToEnd::Others => {
                sessions::remove_others(&mut tenant, user, presented)?;
                (true, event.on(user))
            }
            // Ending the presented one twice at once is as good as ending it once.
            SessionsToEnd::Presented => {
                sessions::remove(&mut tenant, user, presented)?;
                (true, event.on(presented))
            }
            SessionsToEnd::One(id) => (sessions::remove(&mut tenant, user, id)?, event.on(id)),
        };
        if found {
            audit::insert(&mut tenant, &event)?;
        }
        Ok(found)
    })?;
    if found { Ok(()) } else { Err(Error::of(Code::NotFound).saying("There is no such session.")) }
}

/// A session to be stored, and what to show of it.
pub(crate) struct Minted {
    pub(crate) session: UnclaimedSession,
    pub(crate) digest: TokenDigest,
    pub(crate) shown: NewSession,
}

/// A session but for its user, who may turn out only in the transaction that stores it.
#[derive(Clone)]
pub(crate) struct UnclaimedSession {
    pub(crate) id: SessionId,
    directory: Owner,
    origin: Origin,
    created_at: Timestamp,
    ends_at: Timestamp,
    /// Whether its cookie goes when the browser is closed.
    pub(crate) transient: bool,
}

impl UnclaimedSession {
    /// The session of `user`.
    pub(crate) fn of(self, user: UserId) -> Session {
        Session {
            id: self.id,
            directory: self.directory,
            user,
            created_at: self.created_at,
            last_seen_at: self.created_at,
            ends_at: self.ends_at,
            ip: self.origin.ip,
            user_agent: self.origin.user_agent,
            active_tenant: None,
            transient: self.transient,
        }
    }
}

impl Engine {
    /// A session to be stored in the transaction that decides that somebody may have one.
    pub(crate) fn mint_session(&self, caller: &Caller, directory: Owner, now: Timestamp) -> Minted {
        let lifetime = self.settings.session_lifetime;
        let (token, digest) = tokens::mint(&self.settings.prefixes.session, &*self.env);
        let session = UnclaimedSession {
            id: SessionId::mint(now, &*self.env),
            directory,
            origin: caller.origin().clone(),
            created_at: now,
            ends_at: now + lifetime.absolute,
            transient: false,
        };
        let expires_at = now + lifetime.idle.min(lifetime.absolute);
        Minted { session, digest, shown: NewSession { token, expires_at } }
    }
}
