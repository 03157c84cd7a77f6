//! Proving an address of the account surface, by the code or the link that was mailed to it.
//!
//! Either completes a sign-up that waits, or proves the address of an account that is there. The account may
//! be a stranger's who typed somebody else's address. So all that opens it and was made before ends, but what
//! belongs to the browser in which the address is proven: its session, the keys that were made in it, the
//! second factor that was put into force in it, and then the password.

use std::sync::Arc;
use std::time::Duration;

use keystead_crypto::codes::CodePurpose;
use keystead_domain::address_change::Standing;
use keystead_domain::address_proof::AddressProof;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::{JobId, SessionId, UserId};
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY, SIGN_UP_CODES_HOURLY, SIGN_UP_TRIES_DAILY};
use keystead_domain::mail::Mail;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::registration::{PendingCode, Registration, TypedCode};
use keystead_domain::reset_link::RESET_LINK_LIFETIME;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Secret, Timestamp, TokenDigest};
use keystead_storage::jobs::{DueJob, JobKind};
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, address_changes, address_proofs, api_keys, audit, counters, jobs,
    outbox, registrations, reset_links, second_factors, sessions, users,
};

use crate::address_changes::standing;
use crate::audit::Refine as _;
use crate::budgets::within;
use crate::founding::{Founder, Founding};
use crate::links::{mint_link_onto, mint_token};
use crate::sessions::{Minted, NewSession, SignedIn};
use crate::sign_ups::confirmation;
use crate::{Caller, Code, Engine, Error, Result};

/// What a mailed code or link proved.
pub struct Verified {
    /// Whose address it is.
    pub user: User,
    /// Its session, where a code completed a sign-up.
    pub session: Option<NewSession>,
    /// Whether the account has no password any more, since it may have been a stranger's.
    pub needs_password: bool,
    /// The token of a link to set one with, where that was wanted.
    pub reset: Option<Secret<String>>,
}

/// Asks for a new code and link. Whether they are mailed is decided later, so that the answer and its time are
/// the same for every address.
pub fn request(engine: &Engine, caller: &Caller, email: Email, onward: Option<String>) -> Result<()> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Resend, owner, &email)?;
    let job = JobId::mint(now, &*engine.env);
    let event = engine.event(caller, owner, AuditAction::CodeRequested, now);
    engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        jobs::insert_with(&mut people, job, JobKind::MailAddressProof, &email, onward.as_deref(), now)?;
        audit::insert(&mut people, &event)
    })?;
    engine.work.ring();
    Ok(())
}

/// Mails a new code and link to the address of an account that has not proven it, or for the newest sign-up
/// that waits for it. Any other address gets none.
pub(crate) fn do_mail(engine: &Engine, job: DueJob) -> Result<()> {
    let scope = Caller::system().allow(Action::HandleEndUsers, job.directory)?;
    let now = engine.env.now();
    let (found, newest) = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        let found = users::find_by_email(&mut people, &job.email)?.map(|(user, _)| user);
        Ok((found, registrations::list_by_email(&mut people, &job.email, now)?.into_iter().next()))
    })?;
    let product = engine.product(job.directory)?;
    let onward = job.detail.as_deref();
    match (found, newest, product) {
        (Some(user), _, Some(product)) if user.email_verified_at.is_none() => {
            let (code, mac) = engine.codes.mint(CodePurpose::ProveAddress, user.id, &*engine.env);
            let (link, digest) = mint_link_onto(engine, "verify", onward);
            let mail = engine.compose(&user.email, &Mail::VerifyAddress { product, code, link }, now);
            let proof = AddressProof::sent(user.id, user.email, PendingCode::sent(mac, now), digest, now);
            engine.store.write(move |tx| {
                let mut people = tx.tenant(&scope);
                let finished = jobs::finish(&mut people, job.id)?;
                let waits = |user: User| {
                    user.email_verified_at.is_none()
                        && user.status == UserStatus::Active
                        && user.email == proof.email
                };
                if finished
                    && users::find(&mut people, proof.user)?.is_some_and(waits)
                    && within(&mut people, &BUDGETS, &proof.email, now)?
                {
                    address_proofs::replace(&mut people, &proof)?;
                    outbox::insert(&mut people, &mail)?;
                }
                Ok(())
            })?;
        }
        (None, Some(newest), Some(product)) => {
            let (code, mac) = engine.codes.mint(CodePurpose::SignUp, newest.id, &*engine.env);
            let (mail, link) = confirmation(engine, job.directory, product, code, onward);
            let mail = engine.compose(&newest.email, &mail, now);
            engine.store.write(move |tx| {
                let mut people = tx.tenant(&scope);
                let finished = jobs::finish(&mut people, job.id)?;
                let is_free = matches!(standing(&mut people, &newest.email, None, now)?, Standing::Free);
                let code = PendingCode::sent(mac, now);
                if finished
                    && is_free
                    && within(&mut people, &BUDGETS, &newest.email, now)?
                    && registrations::replace_code(&mut people, newest.id, &code, link.as_ref())?
                {
                    outbox::insert(&mut people, &mail)?;
                }
                Ok(())
            })?;
        }
        _ => {
            engine.store.write(move |tx| jobs::finish(&mut tx.tenant(&scope), job.id))?;
        }
    }
    Ok(())
}

/// What a mail with a code takes from.
const BUDGETS: [keystead_domain::limits::Budget; 3] = [SIGN_UP_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY];

/// Proves an address by the code, typed in a browser in which `browser` is signed in. Wrong, expired, spent and
/// tried-out codes are refused alike, whatever the address has.
pub fn by_code(
    engine: &Engine,
    caller: &Caller,
    email: Email,
    code: Option<TypedCode>,
    browser: Option<&SignedIn>,
) -> Result<Verified> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Code, owner, &email)?;
    let next = engine.next_try(caller, scope, &email, now)?;
    let codes = Arc::clone(&engine.codes);
    // Which of the sign-ups that wait it would complete; the transaction finds out whether it does.
    let waiting =
        engine.store.read(|tx| registrations::list_by_email(&mut tx.tenant(&scope), &email, now))?;
    let is_of = |registration: &Registration| match (&registration.code, &code) {
        (Some(pending), Some(typed)) => {
            pending.mac.matches(&codes.typed(CodePurpose::SignUp, registration.id, typed))
        }
        _ => false,
    };
    let founding = match waiting.into_iter().find(is_of) {
        Some(registration) => Some(founding(engine, caller, registration, Keeps::Password, now)?),
        None => None,
    };
    let nobody = UserId::mint(now, &*engine.env);
    let Minted { session, digest, shown } = engine.mint_session(caller, owner, now);
    let proven = engine.event(caller, owner, AuditAction::AddressVerified, now);
    let confirmed = engine.event(caller, owner, AuditAction::SignUpConfirmed, now);
    let browser = browser.map(|signed_in| (signed_in.user().id, signed_in.session_id()));

    let transaction = |founding: Option<Founding>| {
        let (next, codes, email, code) = (next.clone(), Arc::clone(&codes), email.clone(), code.clone());
        let (session, proven, confirmed) = (session.clone(), proven.clone(), confirmed.clone());
        engine.store.write(move |tx| {
            let mut people = tx.tenant(&scope);
            let attempt = match next.take(&mut people, now)? {
                Ok(attempt) => attempt,
                Err(wait) => return Ok(Outcome::TooEarly(wait)),
            };
            if !counters::take(&mut people, SIGN_UP_TRIES_DAILY, email.key(), now)? {
                attempt.failed(&mut people, now)?;
                audit::insert(&mut people, &proven.refused())?;
                return Ok(Outcome::Refused);
            }
            // The same queries whatever the address has.
            let user = users::find_by_email(&mut people, &email)?.map(|(user, _)| user);
            let id = user.as_ref().map_or(nobody, |user| user.id);
            let mailed = address_proofs::take_try(&mut people, id, now)?;
            let tried = registrations::take_try(&mut people, &email, now)?;
            let is_right = |proof: &AddressProof| {
                let right = code.as_ref().is_some_and(|typed| {
                    proof.code.mac.matches(&codes.typed(CodePurpose::ProveAddress, id, typed))
                });
                right && proof.email.key() == email.key()
            };
            if let Some((user, proof)) = user.zip(mailed.filter(is_right)) {
                let kept = browser.filter(|(of, _)| *of == user.id).map(|(_, session)| session);
                let event = proven.clone().by(Actor::User(user.id)).on(user.id);
                if let Some(user) = prove(&mut people, user, &proof, kept, now)? {
                    attempt.succeeded(&mut people)?;
                    counters::give_back(&mut people, SIGN_UP_TRIES_DAILY, email.key(), now)?;
                    audit::insert(&mut people, &event)?;
                    return Ok(Outcome::Proven(user, kept.is_none()));
                }
            } else if let Some(founding) = founding
                && tried.iter().any(|one| one.id == founding.user.id)
                && matches!(standing(&mut people, &email, None, now)?, Standing::Free)
                && registrations::consume(&mut people, founding.user.id)?
            {
                attempt.succeeded(&mut people)?;
                counters::give_back(&mut people, SIGN_UP_TRIES_DAILY, email.key(), now)?;
                registrations::remove_by_email(&mut people, &email)?;
                founding.insert(tx)?;
                let mut people = tx.tenant(&scope);
                let mut session = session.of(founding.user.id);
                session.active_tenant = Some(founding.tenant.id);
                sessions::insert(&mut people, &session, &digest)?;
                users::note_sign_in(&mut people, founding.user.id, now)?;
                let by = Actor::User(founding.user.id);
                audit::insert(&mut people, &confirmed.by(by).on(founding.user.id))?;
                return Ok(Outcome::SignedUp(founding.user));
            }
            attempt.failed(&mut people, now)?;
            audit::insert(&mut people, &proven.refused())?;
            Ok(Outcome::Refused)
        })
    };
    let outcome = match &founding {
        Some(founding) => founding.with_free_names(engine, |founding| transaction(Some(founding))),
        None => transaction(None),
    };
    engine.work.ring();
    match outcome {
        Ok(Outcome::Proven(user, needs_password)) => {
            Ok(Verified { user, session: None, needs_password, reset: None })
        }
        Ok(Outcome::SignedUp(user)) => {
            Ok(Verified { user, session: Some(shown), needs_password: false, reset: None })
        }
        Ok(Outcome::TooEarly(wait)) => Err(engine.too_early(caller.meter(), wait)),
        Ok(Outcome::Refused) | Err(StoreError::Taken(UniqueKey::UserEmail)) => {
            Err(Error::of(Code::InvalidCode))
        }
        Err(other) => Err(other.into()),
    }
}

/// What became of a code or a link.
enum Outcome {
    /// An account's address is proven; whether it has lost its password by that.
    Proven(User, bool),
    /// A sign-up is complete.
    SignedUp(User),
    Refused,
    TooEarly(Duration),
}

/// Proves an address by the link, opened in a browser in which `browser` is signed in. A sign-up that waits is
/// completed without its password, since a link may be opened by somebody who did not sign up. Where the account
/// has no password then and `offer` says so, the answer has a token to set one with. Unknown, expired and spent
/// links are refused alike.
pub fn by_link(
    engine: &Engine,
    caller: &Caller,
    token: &str,
    browser: Option<&SignedIn>,
    offer: bool,
) -> Result<Verified> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let (now, link) = (engine.env.now(), TokenDigest::of(token));
    let dead = || Error::of(Code::InvalidLink);
    let (proof, waiting) = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        let proof = address_proofs::find_by_link(&mut people, &link, now)?;
        Ok((proof, registrations::find_by_link(&mut people, &link, now)?))
    })?;
    let (reset, reset_digest) = mint_token(engine);
    let store_reset = move |people: &mut TenantTx<'_>, user: UserId| {
        if offer {
            reset_links::replace(people, user, &reset_digest, now + RESET_LINK_LIFETIME)
        } else {
            Ok(())
        }
    };
    let outcome = match (proof, waiting) {
        (Some(proof), _) => {
            let kept = browser.filter(|browser| browser.user().id == proof.user).map(SignedIn::session_id);
            let event = engine
                .event(caller, owner, AuditAction::AddressVerified, now)
                .by(Actor::User(proof.user))
                .on(proof.user);
            engine.store.write(move |tx| {
                let mut people = tx.tenant(&scope);
                let Some(user) = users::hold(&mut people, proof.user)? else { return Ok(Outcome::Refused) };
                let Some(user) = prove(&mut people, user, &proof, kept, now)? else {
                    return Ok(Outcome::Refused);
                };
                if kept.is_none() {
                    store_reset(&mut people, user.id)?;
                }
                audit::insert(&mut people, &event)?;
                Ok(Outcome::Proven(user, kept.is_none()))
            })
        }
        (None, Some(registration)) => {
            let founding = founding(engine, caller, registration, Keeps::Nothing, now)?;
            let confirmed = engine
                .event(caller, owner, AuditAction::SignUpConfirmed, now)
                .by(Actor::User(founding.user.id))
                .on(founding.user.id);
            founding.with_free_names(engine, |founding| {
                let confirmed = confirmed.clone();
                engine.store.write(move |tx| {
                    let mut people = tx.tenant(&scope);
                    let email = &founding.user.email;
                    let is_free = matches!(standing(&mut people, email, None, now)?, Standing::Free);
                    if !is_free || !registrations::consume(&mut people, founding.user.id)? {
                        return Ok(Outcome::Refused);
                    }
                    registrations::remove_by_email(&mut people, email)?;
                    founding.insert(tx)?;
                    let mut people = tx.tenant(&scope);
                    store_reset(&mut people, founding.user.id)?;
                    audit::insert(&mut people, &confirmed)?;
                    Ok(Outcome::SignedUp(founding.user))
                })
            })
        }
        (None, None) => return Err(dead()),
    };
    engine.work.ring();
    match outcome {
        Ok(Outcome::Proven(user, needs_password)) => Ok(Verified {
            user,
            session: None,
            needs_password,
            reset: (needs_password && offer).then_some(reset),
        }),
        Ok(Outcome::SignedUp(user)) => {
            Ok(Verified { user, session: None, needs_password: true, reset: offer.then_some(reset) })
        }
        Ok(Outcome::Refused | Outcome::TooEarly(_)) | Err(StoreError::Taken(UniqueKey::UserEmail)) => {
            Err(dead())
        }
        Err(other) => Err(other.into()),
    }
}

/// Which of a sign-up's credentials its user has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Password,
    Nothing,
}

/// The person that a sign-up becomes.
fn founding(
    engine: &Engine,
    caller: &Caller,
    registration: Registration,
    keeps: Keeps,
    now: Timestamp,
) -> Result<Founding> {
    let Registration { id, email, name, password, .. } = registration;
    let name = name.ok_or_else(|| Error::internal("a person signed up without a name"))?;
    let password = (keeps == Keeps::Password).then_some(password);
    Founding::of(engine, caller, Founder { id, email, name, password, verified_at: Some(now) }, now)
}

/// Uses up what was mailed, and ends what opened the account before; nothing where that was done already, the
/// address is another by now, or the user was locked.
fn prove(
    people: &mut TenantTx<'_>,
    user: User,
    proof: &AddressProof,
    kept: Option<SessionId>,
    now: Timestamp,
) -> std::result::Result<Option<User>, StoreError> {
    if user.email_verified_at.is_some()
        || !address_proofs::consume(people, proof)?
        || !users::set_verified(people, user.id, &proof.email, now)?
    {
        return Ok(None);
    }
    match kept {
        Some(session) => {
            sessions::remove_others(people, user.id, session)?;
            second_factors::remove_unless_enrolled_in(people, user.id, session)?;
        }
        None => {
            sessions::remove_all(people, user.id)?;
            second_factors::remove(people, user.id)?;
            users::remove_password(people, user.id)?;
        }
    }
    api_keys::remove_all(people, user.id, kept)?;
    address_changes::remove(people, user.id)?;
    registrations::remove_by_email(people, &user.email)?;
    Ok(Some(User { email_verified_at: Some(now), updated_at: now, ..user }))
}
