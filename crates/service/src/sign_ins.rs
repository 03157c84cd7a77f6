//! Signing in with a password.

use std::time::Duration;

use keystead_crypto::passwords::Verdict;
use keystead_crypto::tokens;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::sign_in_challenge::SignInChallenge;
use keystead_domain::user::{SignInDecision, User, UserStatus};
use keystead_domain::{Email, Owner, Secret, TokenDigest};
use keystead_storage::users::SigningIn;
use keystead_storage::{audit, registrations, sessions, sign_in_challenges, users};

use crate::audit::Refine as _;
use crate::devices::Browser;
use crate::second_factor::FactorVerdict;
use crate::sessions::{Minted, NewSession};
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

/// How a person's sign-in with the right password ends.
pub enum PersonSignIn {
    /// With a session.
    Done(Box<SignedInPerson>),
    /// With a token that says whose second factor is to come next.
    Challenged(Secret<String>),
}

/// A person who is signed in.
pub struct SignedInPerson {
    /// Who.
    pub user: User,
    /// Its session.
    pub session: NewSession,
    /// Whether the session's cookie goes when the browser is closed.
    pub transient: bool,
    /// The cookie of a browser that signed this person in for the first time: its later tries do not wait for
    /// what fails elsewhere ([`keystead_domain::device`]).
    pub device: Option<Secret<String>>,
}

/// What the token of a sign-in that waits begins with.
const CHALLENGE: &str = "step_";

/// Signs a person of the platform in. One with a second factor goes on with [`with_second_factor`].
/// `transient` is for a browser that forgets its cookie when it is closed.
pub fn of_person(
    engine: &Engine,
    caller: &Caller,
    email: Email,
    password: Password,
    transient: bool,
) -> Result<PersonSignIn> {
    let (token, digest) = tokens::mint(CHALLENGE, &*engine.env);
    let typed = PasswordSignIn { email, password, second_factor: None };
    let challenge = Some(digest);
    let browser = Some(Browser::of(engine, caller));
    let style = Style { limit: Limit::AccountSignIn, transient, challenge, browser };
    Ok(match sign_in(engine, caller, typed, style)? {
        Ended::Done { user, session, device } => {
            PersonSignIn::Done(Box::new(SignedInPerson { user, session, transient, device }))
        }
        Ended::FactorMissing(_) => PersonSignIn::Challenged(token),
    })
}

/// Signs an end user in.
///
/// The work is the same whether or not the address is known: the same queries, one password
/// check, the same writes. Where nobody has the address, the check takes as long as for some user of
/// the directory ([`AlikeKey`](keystead_crypto::passwords::AlikeKey)). That the address has to be verified first is told only to whoever knows the
/// password, of the user or of its newest sign-up.
pub fn with_password(engine: &Engine, caller: &Caller, typed: PasswordSignIn) -> Result<SignIn> {
    let style = Style { limit: Limit::SignIn, transient: false, challenge: None, browser: None };
    Ok(match sign_in(engine, caller, typed, style)? {
        Ended::Done { user, session, .. } => SignIn::Done(user, session),
        Ended::FactorMissing(user) => SignIn::SecondFactorRequired(user),
    })
}

/// What is different between the surfaces.
struct Style {
    /// What it is counted by.
    limit: Limit,
    /// Whether the session's cookie goes with the browser.
    transient: bool,
    /// The token of the challenge, where one is to wait for the second factor.
    challenge: Option<TokenDigest>,
    /// What the person signs in with, where that is remembered.
    browser: Option<Browser>,
}

/// How a sign-in with the right password ends.
enum Ended {
    Done { user: User, session: NewSession, device: Option<Secret<String>> },
    FactorMissing(User),
}

fn sign_in(engine: &Engine, caller: &Caller, typed: PasswordSignIn, style: Style) -> Result<Ended> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let now = engine.env.now();
    let PasswordSignIn { email, password, second_factor } = typed;
    engine.count_for(caller, style.limit, owner, &email)?;
    let attempt = engine.take_try(caller, scope, &email, now)?;
    let factor = engine.factor_check(now);
    let addresses = engine.settings.address_rule(owner);

    let place = engine.alike.place(owner, &email);
    // Each by itself: what is found here is found again below before it opens anything. A sign-up is looked
    // for first, so that one that is completed meanwhile is found as one or the other.
    let store = &engine.store;
    let sign_up =
        store.look_up(|tx| registrations::find_newest_password(&mut tx.tenant(&scope), &email, now))?;
    let found = store.look_up(|tx| users::find_by_email(&mut tx.tenant(&scope), &email))?;
    let alike = store.look_up(|tx| users::find_alike(&mut tx.tenant(&scope), &place))?;
    let (checked, user, stored) = match (found, sign_up) {
        (Some((user, stored)), _) => {
            (engine.hasher.verify(password.clone(), stored.as_ref()), Some(user), stored)
        }
        (None, stored) => {
            (engine.hasher.verify_alike(password.clone(), stored.as_ref(), alike.as_ref()), None, stored)
        }
    };
    let verdict = match checked {
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
    // Whoever knows the password of a person's account may know why it does not open.
    let is_locked = owner == Owner::Platform
        && matches!(verdict, Verdict::Right { .. })
        && user.as_ref().is_some_and(|user| user.status == UserStatus::Locked);

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
                SignInDecision::Refused | SignInDecision::Allowed => {
                    attempt.failed_as_slowly(&mut tenant, now)?
                }
            }
            audit::insert(&mut tenant, &event)
        })?;
        return Err(Error::of(match decision {
            SignInDecision::EmailNotVerified => Code::EmailNotVerified,
            SignInDecision::Refused | SignInDecision::Allowed if is_locked => Code::UserNotActive,
            SignInDecision::Refused | SignInDecision::Allowed => Code::InvalidCredentials,
        }));
    };

    let rehashed = match verdict {
        // Where the queue is full, the next sign-in will do.
        Verdict::Right { rehash: true } => engine.hasher.hash(password).ok(),
        _ => None,
    };
    let mut minted = engine.mint_session(caller, owner, now);
    minted.session.transient = style.transient;
    let event = event.by(Actor::User(user.id)).on(minted.session.id);
    let (session, digest) = (minted.session, minted.digest);
    let Style { transient, browser, challenge, .. } = style;
    let challenge = challenge.map(|digest| SignInChallenge::begun(user.id, digest, transient, now));
    let signed_in = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        // The user may have been locked, or given another password, while this one was checked.
        let still = users::find_signing_in(&mut tenant, &email)?.filter(|found| {
            found.user.id == user.id
                && found.user.may_sign_in(addresses) == decision
                && found.password.as_ref() == Some(&stored)
        });
        let Some(SigningIn { user, factor: sealed, .. }) = still else {
            attempt.failed(&mut tenant, now)?;
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Decided::Refused);
        };
        match factor.check_found(&mut tenant, user.id, sealed, second_factor.as_ref())? {
            FactorVerdict::NotEnrolled | FactorVerdict::Right => attempt.succeeded(&mut tenant)?,
            FactorVerdict::Missing => {
                attempt.give_back(&mut tenant)?;
                if let Some(challenge) = &challenge {
                    sign_in_challenges::insert(&mut tenant, challenge)?;
                }
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
        if owner == Owner::Platform {
            users::note_sign_in(&mut tenant, user.id, now)?;
        }
        let device = match browser {
            Some(browser) if browser.signed_in(&mut tenant, user.id, transient, now)? => {
                Some(browser.into_cookie())
            }
            _ => None,
        };
        audit::insert(&mut tenant, &event)?;
        Ok(Decided::Done(user, device))
    })?;
    match signed_in {
        Decided::Done(user, device) => Ok(Ended::Done { user, session: minted.shown, device }),
        Decided::FactorMissing(user) => Ok(Ended::FactorMissing(user)),
        Decided::Refused => Err(Error::of(Code::InvalidCredentials)),
    }
}

/// What the transaction decided; a refusal is committed with what it has to remember.
enum Decided {
    Done(User, Option<Secret<String>>),
    FactorMissing(User),
    Refused,
}

/// Completes a person's sign-in that waits, with a code of its second factor. A challenge is good for one
/// sign-in and for few tries; each that fails counts as a failed sign-in of the address as well.
pub fn with_second_factor(
    engine: &Engine,
    caller: &Caller,
    challenge: &Secret<String>,
    typed: TypedFactor,
) -> Result<SignedInPerson> {
    let owner = caller.directory()?;
    let scope = caller.allow(Action::HandleEndUsers, owner)?;
    let (now, waiting) = (engine.env.now(), TokenDigest::of(challenge.expose()));
    let dead = || Error::of(Code::InvalidChallenge);
    let user = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        match sign_in_challenges::find(&mut people, &waiting, now)? {
            Some(challenge) => users::find(&mut people, challenge.user),
            None => Ok(None),
        }
    })?;
    let user = user.ok_or_else(dead)?;
    engine.count_for(caller, Limit::AccountTwoFactor, owner, &user.email)?;
    let next = engine.next_try(caller, scope, &user.email, now)?;
    let factor = engine.factor_check(now);
    let addresses = engine.settings.address_rule(owner);
    let event = engine.event(caller, owner, AuditAction::SignIn, now);
    let Minted { mut session, digest, shown } = engine.mint_session(caller, owner, now);
    let browser = Browser::of(engine, caller);
    let stepped = engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        let attempt = match next.take(&mut people, now)? {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(Stepped::TooEarly(wait)),
        };
        let Some(challenge) = sign_in_challenges::take_try(&mut people, &waiting, now)? else {
            attempt.give_back(&mut people)?;
            return Ok(Stepped::Dead);
        };
        let found = users::hold(&mut people, challenge.user)?;
        let Some(user) = found.filter(|user| user.may_sign_in(addresses) == SignInDecision::Allowed) else {
            attempt.failed(&mut people, now)?;
            sign_in_challenges::consume(&mut people, &waiting)?;
            return Ok(Stepped::Dead);
        };
        match factor.check(&mut people, user.id, Some(&typed))? {
            FactorVerdict::Right => {}
            // The factor that was waited for is gone, and the password alone was not checked for this.
            FactorVerdict::NotEnrolled | FactorVerdict::Missing => {
                attempt.give_back(&mut people)?;
                sign_in_challenges::consume(&mut people, &waiting)?;
                return Ok(Stepped::Dead);
            }
            FactorVerdict::Wrong => {
                attempt.failed(&mut people, now)?;
                audit::insert(&mut people, &event.refused().on(user.id))?;
                return Ok(Stepped::Wrong);
            }
        }
        if !sign_in_challenges::consume(&mut people, &waiting)? {
            return Ok(Stepped::Dead);
        }
        attempt.succeeded(&mut people)?;
        session.transient = challenge.transient;
        let event = event.by(Actor::User(user.id)).on(session.id);
        sessions::insert(&mut people, &session.of(user.id), &digest)?;
        users::note_sign_in(&mut people, user.id, now)?;
        let device = browser.signed_in(&mut people, user.id, challenge.transient, now)?;
        audit::insert(&mut people, &event)?;
        let device = device.then(|| browser.into_cookie());
        Ok(Stepped::Done { user, transient: challenge.transient, device })
    })?;
    engine.work.ring();
    match stepped {
        Stepped::Done { user, transient, device } => {
            Ok(SignedInPerson { user, session: shown, transient, device })
        }
        Stepped::Wrong => Err(Error::of(Code::InvalidCode)),
        Stepped::Dead => Err(dead()),
        Stepped::TooEarly(wait) => Err(engine.too_early(caller.meter(), wait)),
    }
}

/// What became of a second step.
enum Stepped {
    Done { user: User, transient: bool, device: Option<Secret<String>> },
    Wrong,
    Dead,
    TooEarly(Duration),
}
