//! The cookie of a browser that has signed somebody in before: [`keystead_domain::device`].

use keystead_crypto::tokens;
use keystead_domain::device::Device;
use keystead_domain::id::UserId;
use keystead_domain::{Secret, Timestamp, TokenDigest};
use keystead_storage::{StoreError, TenantTx, devices};

use crate::{Caller, Engine};

/// What the cookie begins with.
const PREFIX: &str = "dev_";

/// The browser that a person signs in with.
pub(crate) struct Browser {
    shown: Option<TokenDigest>,
    new: TokenDigest,
    cookie: Secret<String>,
}

impl Browser {
    pub(crate) fn of(engine: &Engine, caller: &Caller) -> Self {
        let (cookie, new) = tokens::mint(PREFIX, &*engine.env);
        Self { shown: caller.device().copied(), new, cookie }
    }

    /// It signed the user in, and is known from now on, unless it is to forget the user. True where it gets a
    /// cookie for that.
    pub(crate) fn signed_in(
        &self,
        tx: &mut TenantTx<'_>,
        user: UserId,
        transient: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(shown) = self.shown
            && devices::renew(tx, &Device::signed_in(user, shown, now), now)?
        {
            return Ok(false);
        }
        if !transient {
            devices::insert(tx, &Device::signed_in(user, self.new, now))?;
        }
        Ok(!transient)
    }

    pub(crate) fn into_cookie(self) -> Secret<String> {
        self.cookie
    }
}
