//! Signing in with a password.

use keystead_crypto::passwords::Verdict;
use keystead_domain::Email;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::user::{SignInDecision, User};
use keystead_storage::{audit, registrations, sessions, users};

use crate::audit::Refine as _;
use crate::second_factor::FactorVerdict;
use crate::sessions::NewSession;
use crate::{Caller, Code, Engine, Error, Result};

/// What somebody typed.
pub struct PasswordSignIn {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// A code of the second factor.
    pub second_factor: Option<TypedFactor>,
}

/// How a sign-in with the right password ends.
pub enum SignIn {
    /// With a session.
    Done(User, NewSession),
    /// With nothing yet: the user has a second factor, and no code of it was given.
    SecondFactorRequired(User),
}

/// Signs an end user in.
///
/// The work is the same whether or not the address is known: the same queries, one password
/// check, the same writes. That the address has to be verified first is told only to whoever knows the
/// password, of the user or of its newest sign-up.
pub fn with_password(engine: &Engine, caller: &Caller, typed: PasswordSignIn) -> Result<SignIn> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    let PasswordSignIn { email, password, second_factor } = typed;
    engine.count_for(caller, Limit::SignIn, owner, &email)?;
    let attempt = engine.take_try(caller, scope, &email, now)?;
    let factor = engine.factor_check(now);
    let addresses = engine.settings.address_rule(owner);

    let (found, newest_sign_up) = engine.store.read(|tx| {
        let mut tenant = tx.tenant(&scope);
        let found = users::find_by_email(&mut tenant, &email)?;
        Ok((found, registrations::list_by_email(&mut tenant, &email, now)?.into_iter().next()))
    })?;
    let (user, stored) = match (found, newest_sign_up) {
        (Some((user, hash)), _) => (Some(user), hash),
        (None, Some(registration)) => (None, Some(registration.password)),
        (None, None) => (None, None),
    };
    let verdict = match engine.hasher.verify(password.clone(), stored.as_ref()) {
        Ok(verdict) => verdict,
        Err(error) => {
            // Nothing was checked.
            engine.store.write(move |tx| attempt.give_back(&mut tx.tenant(&scope)))?;
            return Err(error.into());
        }
    };
    let decision = match (verdict, &user) {
        (Verdict::Wrong, _) => SignInDecision::Refused,
        (Verdict::Right { .. }, Some(user)) => user.may_sign_in(addresses),
        (Verdict::Right { .. }, None) => SignInDecision::EmailNotVerified,
    };
    let event = engine.event(caller, owner, AuditAction::SignIn, now);

    let (Some(user), Some(stored), SignInDecision::Allowed) = (user.clone(), stored, decision) else {
        let event = match user {
            Some(user) => event.refused().on(user.id),
            None => event.refused(),
        };
        engine.store.write(move |tx| {
            let mut tenant = tx.tenant(&scope);
            match decision {
                // Right, but whoever signed up with the address knows that password too, so it
                // does not make codes that were guessed for it forgotten.
                SignInDecision::EmailNotVerified => attempt.give_back(&mut tenant)?,
                SignInDecision::Refused | SignInDecision::Allowed => attempt.failed(&mut tenant, now)?,
            }
            audit::insert(&mut tenant, &event)
        })?;
        return Err(Error::of(match decision {
            SignInDecision::EmailNotVerified => Code::EmailNotVerified,
            SignInDecision::Refused | SignInDecision::Allowed => Code::InvalidCredentials,
        }));
    };

    let rehashed = match verdict {
        // Where the queue is full, the next sign-in will do.
        Verdict::Right { rehash: true } => engine.hasher.hash(password).ok(),
        _ => None,
    };
    let minted = engine.mint_session(caller, owner, now);
    let event = event.by(Actor::User(user.id)).on(minted.session.id);
    let (session, digest) = (minted.session, minted.digest);
    let signed_in = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        // The user may have been locked, or given another password, while this one was checked.
        let still = users::find_by_email(&mut tenant, &email)?.filter(|(found, hash)| {
            found.id == user.id && found.may_sign_in(addresses) == decision && hash.as_ref() == Some(&stored)
        });
        let Some((user, _)) = still else {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Decided::Refused);
        };
        match factor.check(&mut tenant, user.id, second_factor.as_ref())? {
            FactorVerdict::NotEnrolled | FactorVerdict::Right => attempt.succeeded(&mut tenant)?,
            FactorVerdict::Missing => {
                attempt.give_back(&mut tenant)?;
                return Ok(Decided::FactorMissing(user));
            }
            FactorVerdict::Wrong => {
                attempt.failed(&mut tenant, now)?;
                audit::insert(&mut tenant, &event.refused())?;
                return Ok(Decided::Refused);
            }
        }
        if let Some(new) = rehashed {
            users::replace_password(&mut tenant, user.id, &stored, &new)?;
        }
        sessions::insert(&mut tenant, &session.of(user.id), &digest)?;
        audit::insert(&mut tenant, &event)?;
        Ok(Decided::Done(user))
    })?;
    match signed_in {
        Decided::Done(user) => Ok(SignIn::Done(user, minted.shown)),
        Decided::FactorMissing(user) => Ok(SignIn::SecondFactorRequired(user)),
        Decided::Refused => Err(Error::of(Code::InvalidCredentials)),
    }
}

/// What the transaction decided; a refusal is committed with what it has to remember.
enum Decided {
    Done(User),
    FactorMissing(User),
    Refused,
}
