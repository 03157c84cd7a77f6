//! Asking a signed-in user for its password once more, before something that a thief of the session
//! must not do.

use keystead_crypto::passwords::Verdict;
use keystead_domain::audit::{Actor, Event};
use keystead_domain::password::Password;
use keystead_domain::policy::{Action, TenantScope};
use keystead_domain::rate_limit::Limit;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::user::PasswordHash;
use keystead_storage::{StoreError, TenantTx, audit, users};

use crate::audit::Refine as _;
use crate::second_factor::{FactorCheck, FactorVerdict};
use crate::sessions::SignedIn;
use crate::slowdowns::Try;
use crate::{Caller, Code, Engine, Error, Result};

/// What a user typed to prove itself again.
pub struct Reauthentication {
    /// Its present password.
    pub password: Password,
    /// A code of its second factor, where it has one.
    pub second_factor: Option<TypedFactor>,
}

/// A password that was right a moment ago, and the scope that it was checked in. The try that it
/// cost is still to be settled: given back, or failed where the second factor is wrong.
pub(crate) struct Proven {
    pub(crate) scope: TenantScope,
    pub(crate) password: PasswordHash,
    pub(crate) attempt: Try,
}

/// Checks the password of the user that is signed in. A wrong one is remembered in the trail, and
/// slows down the next as a failed sign-in does.
pub(crate) fn prove_password(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    password: &Password,
    event: &Event,
) -> Result<Proven> {
    let user = signed_in.user().id;
    let scope = caller.allow(Action::HandleEndUsers, signed_in.user().directory)?;
    let (now, email) = (event.at, &signed_in.user().email);
    engine.count_for(caller, Limit::SignIn, signed_in.user().directory, email)?;
    let attempt = engine.take_try(caller, scope, email, now)?;
    let stored = engine.store.read(|tx| users::find_password(&mut tx.tenant(&scope), user))?;
    match (engine.hasher.verify(password.clone(), stored.as_ref())?, stored) {
        (Verdict::Right { .. }, Some(password)) => Ok(Proven { scope, password, attempt }),
        _ => {
            let event = event.clone().by(Actor::User(user)).on(user).refused();
            engine.store.write(move |tx| {
                let mut tenant = tx.tenant(&scope);
                attempt.failed(&mut tenant, now)?;
                audit::insert(&mut tenant, &event)
            })?;
            Err(Error::of(Code::InvalidCredentials).saying("The current password is wrong."))
        }
    }
}

/// How a transaction that needs both factors went.
pub(crate) enum Outcome<T> {
    Done(T),
    Refused(Refusal),
}

/// Why it did nothing.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The password was changed in the meantime, or the user is gone.
    PasswordChanged,
    /// A code of the second factor is missing.
    FactorMissing,
    /// A code of the second factor is wrong, or what it was for is gone.
    FactorWrong,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PasswordChanged => Self::of(Code::InvalidCredentials),
            Refusal::FactorMissing => {
                Self::invalid_field("totp_code", "required", "is required, since a second factor is enrolled")
            }
            Refusal::FactorWrong => Self::of(Code::InvalidCode),
        }
    }
}

impl<T> Outcome<T> {
    /// The value, or the refusal as an error. Call it after the commit.
    pub(crate) fn into_result(self) -> Result<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// Whether the password that was checked still stands and the second factor, where there is one, is
/// right: in the transaction that acts on it. A code that was right is used up.
pub(crate) fn still_proven(
    tx: &mut TenantTx<'_>,
    signed_in: &SignedIn,
    proven: &Proven,
    factor: &FactorCheck,
    typed: Option<&TypedFactor>,
) -> std::result::Result<Option<Refusal>, StoreError> {
    let user = signed_in.user().id;
    let refusal = if users::find_password(tx, user)?.as_ref() != Some(&proven.password) {
        Some(Refusal::PasswordChanged)
    } else {
        match factor.check(tx, user, typed)? {
            FactorVerdict::NotEnrolled | FactorVerdict::Right => None,
            FactorVerdict::Missing => Some(Refusal::FactorMissing),
            FactorVerdict::Wrong => Some(Refusal::FactorWrong),
        }
    };
    match refusal {
        Some(Refusal::FactorWrong) => proven.attempt.failed(tx, factor.now())?,
        _ => proven.attempt.give_back(tx)?,
    }
    Ok(refusal)
}
