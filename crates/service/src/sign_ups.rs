//! Signing up: a registration that waits for the code mailed to its address.

use std::sync::Arc;
use std::time::Duration;

use keystead_crypto::codes::CodePurpose;
use keystead_domain::address_change::Standing;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::{JobId, UserId};
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY, SIGN_UP_CODES_HOURLY, SIGN_UP_TRIES_DAILY};
use keystead_domain::mail::Mail;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::registration::{
    PendingCode, REGISTRATION_LIFETIME, Registration, Room, TypedCode, room,
};
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Owner, Secret, TokenDigest};
use keystead_storage::jobs::{DueJob, JobKind};
use keystead_storage::{
    StoreError, UniqueKey, audit, counters, jobs, outbox, registrations, sessions, users,
};

use crate::audit::Refine as _;
use crate::budgets::within;
use crate::links::mint_link_onto;
use crate::sessions::{Minted, NewSession};
use crate::users::weak_password;
use crate::{Caller, Code, Engine, Error, Result, address_changes};

/// What somebody typed to sign up.
pub struct SignUp {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Secret<String>,
    /// The name.
    pub name: Option<Name>,
}

/// A sign-up that was received. It looks the same for an address that already has a user.
pub struct PendingSignUp {
    /// The id that the user will have.
    pub user_id: UserId,
    /// The address.
    pub email: Email,
}

/// Receives a sign-up and mails its code.
///
/// Nothing that the caller can see or measure tells whether the address has a user, or is kept for
/// one that had it: then the registration is stored all the same, its code goes to nobody, and the
/// mail to the address says why.
pub fn sign_up(engine: &Engine, caller: &Caller, typed: SignUp) -> Result<PendingSignUp> {
    sign_up_onto(engine, caller, typed, None)
}

/// The same. People of the platform are mailed a link beside the code, which leads on to `onward`.
pub(crate) fn sign_up_onto(
    engine: &Engine,
    caller: &Caller,
    typed: SignUp,
    onward: Option<&str>,
) -> Result<PendingSignUp> {
    let (owner, product) = (caller.directory()?, engine.product_of(caller)?);
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let SignUp { email, password, name } = typed;
    let limit = match owner {
        Owner::Platform => Limit::AccountSignUp,
        Owner::Tenant(_) => Limit::SignUp,
    };
    engine.count_for(caller, limit, owner, &email)?;
    let known = [email.as_str(), email.key(), name.as_ref().map_or("", Name::as_str), product.as_str()];
    let password = Password::choose(password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("password", weak))?;
    let password = engine.hasher.hash(password)?;

    let (now, env) = (engine.env.now(), &*engine.env);
    let id = UserId::mint(now, env);
    let (code, mac) = engine.codes.mint(CodePurpose::SignUp, id, env);
    let (confirm, link) = confirmation(engine, owner, product.clone(), code, onward);
    let confirm = engine.compose(&email, &confirm, now);
    let taken = engine.compose(&email, &Mail::AddressTaken { product: product.clone() }, now);
    let kept = engine.compose(&email, &Mail::AddressKept { product }, now);
    let event = engine.event(caller, owner, AuditAction::SignUpReceived, now).on(id);
    let mut registration = Registration {
        id,
        directory: owner,
        email: email.clone(),
        name,
        password,
        code: None,
        link: None,
        created_at: now,
        expires_at: now + REGISTRATION_LIFETIME,
    };

    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let email = registration.email.clone();
        let standing = address_changes::standing(&mut tenant, &email, None, now)?;
        let waiting = registrations::list_by_email(&mut tenant, &email, now)?;
        match room(&waiting, now) {
            Room::Full => return audit::insert(&mut tenant, &event.refused()),
            Room::Replacing(oldest) => {
                registrations::consume(&mut tenant, oldest)?;
            }
            Room::Free => {}
        }
        if within(&mut tenant, &[SIGN_UP_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY], &email, now)? {
            registration.code = Some(PendingCode::sent(mac, now));
            registration.link = link;
            let mail = match standing {
                Standing::Free => &confirm,
                Standing::Taken { .. } => &taken,
                Standing::Kept => &kept,
            };
            outbox::insert(&mut tenant, mail)?;
        }
        registrations::insert(&mut tenant, &registration)?;
        audit::insert(&mut tenant, &event)
    })?;
    engine.work.ring();
    Ok(PendingSignUp { user_id: id, email })
}

/// The mail that confirms a sign-up, and what is kept of the link in it. Only people of the platform, whose
/// pages we have, get a link.
pub(crate) fn confirmation(
    engine: &Engine,
    directory: Owner,
    product: Name,
    code: Secret<String>,
    onward: Option<&str>,
) -> (Mail, Option<TokenDigest>) {
    match directory {
        Owner::Tenant(_) => (Mail::ConfirmSignUp { product, code }, None),
        Owner::Platform => {
            let (link, digest) = mint_link_onto(engine, "verify", onward);
            (Mail::VerifyAddress { product, code, link }, Some(digest))
        }
    }
}

/// Completes a sign-up: the user exists from now on, with the name and password of the
/// registration that the code was mailed for, and is signed in. Wrong, expired, spent and
/// tried-out codes are refused alike.
pub fn verify_email(
    engine: &Engine,
    caller: &Caller,
    email: Email,
    code: Option<TypedCode>,
) -> Result<(User, NewSession)> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Code, owner, &email)?;
    let next = engine.next_try(caller, scope, &email, now)?;
    let codes = Arc::clone(&engine.codes);
    let event = engine.event(caller, owner, AuditAction::SignUpConfirmed, now);
    let Minted { session, digest, shown } = engine.mint_session(caller, owner, now);

    let confirmed = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let attempt = match next.take(&mut tenant, now)? {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(Confirmation::TooEarly(wait)),
        };
        if !counters::take(&mut tenant, SIGN_UP_TRIES_DAILY, email.key(), now)? {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Confirmation::Refused);
        }
        let tried = registrations::take_try(&mut tenant, &email, now)?;
        let matching = tried.into_iter().find(|registration| match (&registration.code, &code) {
            (Some(pending), Some(typed)) => {
                pending.mac.matches(&codes.typed(CodePurpose::SignUp, registration.id, typed))
            }
            _ => false,
        });
        // The address can have been taken since the code was mailed, or have become one that is kept.
        let standing = address_changes::standing(&mut tenant, &email, None, now)?;
        let (Some(registration), Standing::Free) = (matching, standing) else {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Confirmation::Refused);
        };
        if !registrations::consume(&mut tenant, registration.id)? {
            return Ok(Confirmation::Refused);
        }
        attempt.succeeded(&mut tenant)?;
        counters::give_back(&mut tenant, SIGN_UP_TRIES_DAILY, email.key(), now)?;
        registrations::remove_by_email(&mut tenant, &email)?;
        let user = User {
            id: registration.id,
            directory: owner,
            email: registration.email,
            email_verified_at: Some(now),
            name: registration.name,
            status: UserStatus::Active,
            operator: false,
            handle: None,
            created_at: now,
            last_login_at: None,
            updated_at: now,
        };
        users::insert(&mut tenant, &user, Some(&registration.password))?;
        sessions::insert(&mut tenant, &session.of(user.id), &digest)?;
        audit::insert(&mut tenant, &event.by(Actor::User(user.id)).on(user.id))?;
        Ok(Confirmation::Done(user))
    });
    match confirmed {
        Ok(Confirmation::Done(user)) => Ok((user, shown)),
        Ok(Confirmation::TooEarly(wait)) => Err(engine.too_early(caller.meter(), wait)),
        // The other code of this address won the race.
        Ok(Confirmation::Refused) | Err(StoreError::Taken(UniqueKey::UserEmail)) => {
            Err(Error::of(Code::InvalidCode))
        }
        Err(other) => Err(other.into()),
    }
}

/// What became of a code.
enum Confirmation {
    Done(User),
    Refused,
    TooEarly(Duration),
}

/// Asks for a new code. Whether one is mailed is decided later, so that the answer and its time
/// are the same for every address.
pub fn resend_code(engine: &Engine, caller: &Caller, email: Email) -> Result<()> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    engine.count_for(caller, Limit::Resend, owner, &email)?;
    let job = JobId::mint(now, &*engine.env);
    let event = engine.event(caller, owner, AuditAction::CodeRequested, now);
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        jobs::insert(&mut tenant, job, JobKind::ResendSignUpCode, &email, now)?;
        audit::insert(&mut tenant, &event)
    })?;
    engine.work.ring();
    Ok(())
}

/// Mails a new code for the newest sign-up of an address, in place of that sign-up's old code. A
/// verified or unknown address gets none.
pub(crate) fn do_resend(engine: &Engine, job: DueJob) -> Result<()> {
    let scope = Caller::system().allow(Action::HandleEndUsers, job.directory)?;
    let now = engine.env.now();
    let newest = engine.store.read(|tx| {
        let waiting = registrations::list_by_email(&mut tx.tenant(&scope), &job.email, now)?;
        Ok(waiting.into_iter().next())
    })?;
    let (Some(newest), Some(product)) = (newest, engine.product(job.directory)?) else {
        engine.store.write(move |tx| jobs::finish(&mut tx.tenant(&scope), job.id))?;
        return Ok(());
    };
    let (code, mac) = engine.codes.mint(CodePurpose::SignUp, newest.id, &*engine.env);
    let mail = engine.compose(&newest.email, &Mail::ConfirmSignUp { product, code }, now);
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let finished = jobs::finish(&mut tenant, job.id)?;
        let standing = address_changes::standing(&mut tenant, &newest.email, None, now)?;
        if !finished || !matches!(standing, Standing::Free) {
            return Ok(());
        }
        let budgets = [SIGN_UP_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY];
        if within(&mut tenant, &budgets, &newest.email, now)?
            && registrations::replace_code(&mut tenant, newest.id, &PendingCode::sent(mac, now), None)?
        {
            outbox::insert(&mut tenant, &mail)?;
        }
        Ok(())
    })?;
    Ok(())
}
