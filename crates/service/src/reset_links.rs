//! Setting a new password with a mailed link, for people of the platform who forgot theirs.

use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::JobId;
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY, RESET_CODES_HOURLY};
use keystead_domain::mail::Mail;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::reset_link::RESET_LINK_LIFETIME;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Secret, TokenDigest};
use keystead_storage::jobs::{DueJob, JobKind};
use keystead_storage::{
    address_changes, address_proofs, api_keys, audit, jobs, outbox, registrations, reset_codes, reset_links,
    second_factors, sessions, users,
};

use crate::audit::Refine as _;
use crate::budgets::within;
use crate::links::mint_link_onto;
use crate::users::weak_password;
use crate::{Caller, Code, Engine, Error, Result};

/// Asks for a link to set a new password with; its page leads on to `onward`, where that is said. Whether one is
/// mailed is decided later, so that the answer and its time are the same for every address.
pub fn request(engine: &Engine, caller: &Caller, email: Email, onward: Option<String>) -> Result<()> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Resend, owner, &email)?;
    let job = JobId::mint(now, &*engine.env);
    let event = engine.event(caller, owner, AuditAction::ResetRequested, now);
    engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        jobs::insert_with(&mut people, job, JobKind::MailResetLink, &email, onward.as_deref(), now)?;
        audit::insert(&mut people, &event)
    })?;
    engine.work.ring();
    Ok(())
}

/// Mails a link, if the address has a user.
pub(crate) fn do_mail(engine: &Engine, job: DueJob) -> Result<()> {
    let scope = Caller::system().allow(Action::HandleEndUsers, job.directory)?;
    let now = engine.env.now();
    let found = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), &job.email))?;
    let (Some((user, _)), Some(product)) = (found, engine.product(job.directory)?) else {
        engine.store.write(move |tx| jobs::finish(&mut tx.tenant(&scope), job.id))?;
        return Ok(());
    };
    let (link, digest) = mint_link_onto(engine, "reset", job.detail.as_deref());
    let mail = engine.compose(&user.email, &Mail::ResetLink { product, link }, now);
    engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        let budgets = [RESET_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY];
        // The user may have been locked, be gone or have another address since it was looked up.
        let waits = |found: User| found.status == UserStatus::Active && found.email == user.email;
        if jobs::finish(&mut people, job.id)?
            && users::find(&mut people, user.id)?.is_some_and(waits)
            && within(&mut people, &budgets, &user.email, now)?
        {
            reset_links::replace(&mut people, user.id, &digest, now + RESET_LINK_LIFETIME)?;
            outbox::insert(&mut people, &mail)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Sets a new password with a mailed link. All sessions and all codes and links of the account end, and so does
/// a change of its address that waits. Nobody is signed in by it, and a second factor stays in force. API keys
/// stay, and the mail that tells of the new password names them. Where the address had never been proven, the
/// account may be a stranger's, and keys and second factor go too. Unknown, expired and spent links are refused
/// alike.
pub fn confirm(engine: &Engine, caller: &Caller, token: &str, new_password: Secret<String>) -> Result<User> {
    let (owner, product) = (caller.directory()?, engine.product_of(caller)?);
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let (now, digest) = (engine.env.now(), TokenDigest::of(token));
    let dead = || Error::of(Code::InvalidLink);
    let found = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        let Some(id) = reset_links::find(&mut people, &digest, now)? else { return Ok(None) };
        let user = users::find(&mut people, id)?.filter(|user| user.status == UserStatus::Active);
        let keys = api_keys::list(&mut people, id)?;
        Ok(user.map(|user| (user, keys)))
    })?;
    // A link cannot be guessed, so nothing is hashed for one that is no good.
    let (user, keys) = found.ok_or_else(dead)?;
    let name = user.name.as_ref().map_or("", Name::as_str);
    let known = [user.email.as_str(), user.email.key(), name, product.as_str()];
    let chosen = Password::choose(new_password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("new_password", weak))?;
    let hash = engine.hasher.hash(chosen)?;
    let was_proven = user.email_verified_at.is_some();
    let brand = &engine.settings.prefixes.api_key;
    let live = keys.into_iter().filter(|key| was_proven && key.is_live(now));
    let kept = live.map(|key| (key.name, key.start.shown(brand, key.environment)));
    let notice = Mail::PasswordReset { product, keys: kept.collect() };
    let notice = engine.compose(&user.email, &notice, now);
    let event =
        engine.event(caller, owner, AuditAction::PasswordReset, now).by(Actor::User(user.id)).on(user.id);
    let done = engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        let held = users::hold(&mut people, user.id)?;
        let Some(held) = held.filter(|held| held.email == user.email) else { return Ok(None) };
        let verified_at = held.email_verified_at.unwrap_or(now);
        if !reset_links::consume(&mut people, held.id, &digest, now)?
            || !users::reset_password(&mut people, held.id, &hash, verified_at)?
        {
            return Ok(None);
        }
        if held.email_verified_at.is_none() {
            second_factors::remove(&mut people, held.id)?;
            api_keys::remove_all(&mut people, held.id, None)?;
        }
        sessions::remove_all(&mut people, held.id)?;
        address_changes::remove(&mut people, held.id)?;
        address_proofs::remove(&mut people, held.id)?;
        reset_codes::consume(&mut people, held.id)?;
        registrations::remove_by_email(&mut people, &held.email)?;
        if within(&mut people, &[MAILS_HOURLY, MAILS_DAILY], &held.email, now)? {
            outbox::insert(&mut people, &notice)?;
        }
        audit::insert(&mut people, &event)?;
        Ok(Some(held))
    })?;
    engine.work.ring();
    done.ok_or_else(dead)
}
