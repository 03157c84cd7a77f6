//! A user's own password: changing it, and setting a new one with a mailed code.

use std::sync::Arc;
use std::time::Duration;

use keystead_crypto::codes::CodePurpose;
use keystead_crypto::tokens;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::{JobId, UserId};
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY, RESET_CODES_HOURLY, RESET_TRIES_DAILY};
use keystead_domain::mail::Mail;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::registration::{PendingCode, TypedCode};
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Secret, TokenDigest};
use keystead_storage::jobs::{DueJob, JobKind};
use keystead_storage::{
    address_changes, audit, counters, devices, jobs, outbox, registrations, reset_codes, reset_links,
    second_factors, sessions, sign_in_challenges, users,
};

use crate::audit::Refine as _;
use crate::budgets::within;
use crate::reauthentication::prove_password;
use crate::sessions::SignedIn;
use crate::users::weak_password;
use crate::{Caller, Code, Engine, Error, Result};

/// Asks for a code to set a new password with. Whether one is mailed is decided later, so that the
/// answer and its time are the same for every address.
pub fn request_reset(engine: &Engine, caller: &Caller, email: Email) -> Result<()> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Resend, owner, &email)?;
    let job = JobId::mint(now, &*engine.env);
    let event = engine.event(caller, owner, AuditAction::ResetRequested, now);
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        jobs::insert(&mut tenant, job, JobKind::MailResetCode, &email, now)?;
        audit::insert(&mut tenant, &event)
    })?;
    engine.work.ring();
    Ok(())
}

/// Mails a code for a new password, if the address has a user.
pub(crate) fn do_mail_reset_code(engine: &Engine, job: DueJob) -> Result<()> {
    let scope = Caller::system().allow(Action::HandleEndUsers, job.directory)?;
    let now = engine.env.now();
    let found = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), &job.email))?;
    let (Some((user, _)), Some(product)) = (found, engine.product(job.directory)?) else {
        engine.store.write(move |tx| jobs::finish(&mut tx.tenant(&scope), job.id))?;
        return Ok(());
    };
    let (code, mac) = engine.codes.mint(CodePurpose::PasswordReset, user.id, &*engine.env);
    let mail = engine.compose(&user.email, &Mail::ResetPassword { product, code }, now);
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let budgets = [RESET_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY];
        // The user may have been locked, or be gone, since it was looked up.
        if jobs::finish(&mut tenant, job.id)?
            && users::find(&mut tenant, user.id)?.is_some_and(|user| user.status == UserStatus::Active)
            && within(&mut tenant, &budgets, &user.email, now)?
        {
            reset_codes::replace(&mut tenant, user.id, &PendingCode::sent(mac, now))?;
            outbox::insert(&mut tenant, &mail)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Sets a new password with a mailed code. All sessions, codes and waiting sign-ups of the address
/// end, and so does a change to another one that waits; nobody is signed in by it, and a second factor stays in force. Where the address had never
/// been verified, the second factor may be a stranger's and goes too. Wrong, expired, spent and
/// tried-out codes, unknown addresses and locked users are refused alike.
pub fn confirm_reset(
    engine: &Engine,
    caller: &Caller,
    email: Email,
    code: Option<TypedCode>,
    new_password: Secret<String>,
) -> Result<User> {
    let (owner, product) = (caller.directory()?, engine.product_of(caller)?);
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Code, owner, &email)?;
    let next = engine.next_try(caller, scope, &email, now)?;
    let known = [email.as_str(), email.key(), product.as_str()];
    let chosen = Password::choose(new_password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("new_password", weak))?;
    // Hashed before the code is looked at, so that both take the same time whatever it is.
    let hash = engine.hasher.hash(chosen)?;
    let notice = engine.compose(&email, &Mail::PasswordChanged { product }, now);
    let event = engine.event(caller, owner, AuditAction::PasswordReset, now);
    let (codes, nobody) = (Arc::clone(&engine.codes), UserId::mint(now, &*engine.env));
    let outcome = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let attempt = match next.take(&mut tenant, now)? {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(Reset::TooEarly(wait)),
        };
        if !counters::take(&mut tenant, RESET_TRIES_DAILY, email.key(), now)? {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Reset::Refused);
        }
        // A locked user is refused like an unknown address.
        let found = users::find_by_email(&mut tenant, &email)?
            .map(|(user, _)| user)
            .filter(|user| user.status == UserStatus::Active);
        let id = found.as_ref().map_or(nobody, |user| user.id);
        let expected = reset_codes::take_try(&mut tenant, id, now)?;
        let matches = match (expected, &code) {
            (Some(mac), Some(typed)) => mac.matches(&codes.typed(CodePurpose::PasswordReset, id, typed)),
            _ => false,
        };
        let Some(user) = found.filter(|_| matches) else {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Reset::Refused);
        };
        // Whoever consumes the code first wins; a user that is being locked loses.
        let verified_at = user.email_verified_at.unwrap_or(now);
        if !reset_codes::consume(&mut tenant, user.id)?
            || !users::reset_password(&mut tenant, user.id, &hash, verified_at)?
        {
            return Ok(Reset::Refused);
        }
        attempt.succeeded(&mut tenant)?;
        counters::give_back(&mut tenant, RESET_TRIES_DAILY, email.key(), now)?;
        if user.email_verified_at.is_none() {
            second_factors::remove(&mut tenant, user.id)?;
        }
        address_changes::remove(&mut tenant, user.id)?;
        sessions::remove_all(&mut tenant, user.id)?;
        registrations::remove_by_email(&mut tenant, &email)?;
        if within(&mut tenant, &[MAILS_HOURLY, MAILS_DAILY], &email, now)? {
            outbox::insert(&mut tenant, &notice)?;
        }
        audit::insert(&mut tenant, &event.by(Actor::User(user.id)).on(user.id))?;
        Ok(Reset::Done(user))
    })?;
    engine.work.ring();
    match outcome {
        Reset::Done(user) => Ok(user),
        Reset::Refused => Err(Error::of(Code::InvalidCode)),
        Reset::TooEarly(wait) => Err(engine.too_early(caller.meter(), wait)),
    }
}

/// What became of a code.
enum Reset {
    Done(User),
    Refused,
    TooEarly(Duration),
}

/// Changes the password of the user that is signed in. Its other sessions end, and so does a change of
/// its address that waits: both may be the work of whoever knew the old one.
pub fn change(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    current: &Password,
    new_password: Secret<String>,
) -> Result<()> {
    change_with(
        engine,
        caller,
        signed_in,
        current,
        new_password,
        Afterwards { others_end: true, token: None },
    )
}

/// Changes the password of the person that is signed in, and gives its session another token. Its other
/// sessions end where that is wanted.
pub fn change_and_renew(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    current: &Password,
    new_password: Secret<String>,
    others_end: bool,
) -> Result<Secret<String>> {
    let (token, digest) = tokens::mint(&engine.settings.prefixes.session, &*engine.env);
    let afterwards = Afterwards { others_end, token: Some(digest) };
    change_with(engine, caller, signed_in, current, new_password, afterwards)?;
    Ok(token)
}

/// What a changed password does to sessions.
struct Afterwards {
    /// Whether all but the present one end.
    others_end: bool,
    /// Another token for the present one.
    token: Option<TokenDigest>,
}

fn change_with(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    current: &Password,
    new_password: Secret<String>,
    afterwards: Afterwards,
) -> Result<()> {
    let (user, product) = (signed_in.user(), engine.product_of(caller)?);
    let now = engine.env.now();
    let name = user.name.as_ref().map_or("", Name::as_str);
    let known = [user.email.as_str(), user.email.key(), name, product.as_str()];
    let chosen = Password::choose(new_password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("new_password", weak))?;
    let event = engine.event(caller, user.directory, AuditAction::PasswordChanged, now);
    let proven = prove_password(engine, caller, signed_in, current, &event)?;
    let hash = engine.hasher.hash(chosen)?;
    let notice = engine.compose(&user.email, &Mail::PasswordChanged { product }, now);
    let event = event.by(Actor::User(user.id)).on(user.id);
    let (user, kept, email) = (user.id, signed_in.session_id(), user.email.clone());
    let changed = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        proven.attempt.give_back(&mut tenant)?;
        if !users::replace_password(&mut tenant, user, &proven.password, &hash)? {
            return Ok(false);
        }
        if afterwards.others_end {
            sessions::remove_others(&mut tenant, user, kept)?;
        }
        if let Some(token) = &afterwards.token {
            // Where the session ended a moment ago, the new token opens nothing either.
            sessions::replace_token(&mut tenant, user, kept, token)?;
        }
        sign_in_challenges::remove_all(&mut tenant, user)?;
        devices::remove_all(&mut tenant, user)?;
        reset_links::remove(&mut tenant, user)?;
        reset_codes::consume(&mut tenant, user)?;
        address_changes::remove(&mut tenant, user)?;
        if within(&mut tenant, &[MAILS_HOURLY, MAILS_DAILY], &email, now)? {
            outbox::insert(&mut tenant, &notice)?;
        }
        audit::insert(&mut tenant, &event)?;
        Ok(true)
    })?;
    engine.work.ring();
    if changed { Ok(()) } else { Err(Error::of(Code::InvalidCredentials)) }
}
