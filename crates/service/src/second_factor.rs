//! Checking a second factor, in the transaction that it decides about.

use std::sync::Arc;

use keystead_crypto::codes::CodeKey;
use keystead_crypto::sealing::{Sealed, Sealer};
use keystead_crypto::totp::TotpSecret;
use keystead_domain::Timestamp;
use keystead_domain::id::UserId;
use keystead_domain::second_factor::TypedFactor;
use keystead_storage::{StoreError, TenantTx, second_factors};

use crate::Engine;

/// What a check takes along into a transaction.
pub(crate) struct FactorCheck {
    sealer: Arc<Sealer>,
    codes: Arc<CodeKey>,
    now: Timestamp,
}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FactorVerdict {
    /// The user has no second factor.
    NotEnrolled,
    /// The user has one, and nothing was typed.
    Missing,
    /// What was typed is wrong, or was used before.
    Wrong,
    /// What was typed is right, and now used up.
    Right,
}

impl Engine {
    pub(crate) fn factor_check(&self, now: Timestamp) -> FactorCheck {
        FactorCheck { sealer: Arc::clone(&self.sealer), codes: Arc::clone(&self.codes), now }
    }
}

impl FactorCheck {
    /// The instant that codes are checked for.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Checks what was typed for `user`, and uses it up if it is right.
    pub(crate) fn check(
        &self,
        tx: &mut TenantTx<'_>,
        user: UserId,
        typed: Option<&TypedFactor>,
    ) -> Result<FactorVerdict, StoreError> {
        let sealed = second_factors::find_totp(tx, user)?.secret;
        self.check_found(tx, user, sealed, typed)
    }

    /// The same, where the sealed secret of the user's authenticator app was found in the same transaction.
    pub(crate) fn check_found(
        &self,
        tx: &mut TenantTx<'_>,
        user: UserId,
        sealed: Option<Vec<u8>>,
        typed: Option<&TypedFactor>,
    ) -> Result<FactorVerdict, StoreError> {
        let Some(sealed) = sealed else { return Ok(FactorVerdict::NotEnrolled) };
        let right = match typed {
            None => return Ok(FactorVerdict::Missing),
            Some(TypedFactor::Totp(code)) => {
                match open(&self.sealer, user, sealed)?.matching_step(code, self.now) {
                    Some(step) => second_factors::spend_totp_step(tx, user, step)?,
                    None => false,
                }
            }
            Some(TypedFactor::Recovery(code)) => {
                second_factors::consume_recovery_code(tx, user, &self.codes.recovery(user, code))?
            }
            Some(TypedFactor::Unreadable) => false,
        };
        Ok(if right { FactorVerdict::Right } else { FactorVerdict::Wrong })
    }
}

/// Where a user's secret is sealed for.
pub(crate) fn place(user: UserId) -> String {
    format!("totp/{user}")
}

/// Opens the sealed secret of a user's authenticator app.
pub(crate) fn open(sealer: &Sealer, user: UserId, sealed: Vec<u8>) -> Result<TotpSecret, StoreError> {
    let impossible = || StoreError::Impossible { table: "totp", column: "secret", row: user.to_string() };
    let opened = sealer.open(&place(user), &Sealed::from_bytes(sealed)).map_err(|_| impossible())?;
    TotpSecret::from_bytes(opened.expose()).map_err(|_| impossible())
}
