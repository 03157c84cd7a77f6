//! Proving an address after the account is there: a code and a link in one mail.
//!
//! Until then an account may be a stranger's who typed somebody else's address. So whoever proves it
//! keeps what was made in the browser that proves it, and all else that opens the account ends.

use std::time::Duration;

use crate::id::UserId;
use crate::registration::PendingCode;
use crate::{Email, Timestamp, TokenDigest};

/// How long a link that proves an address is good for.
pub const PROOF_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What was mailed to a user's address to prove it. A user has one at most.
#[derive(Clone, Debug)]
pub struct AddressProof {
    /// Whose address.
    pub user: UserId,
    /// The address that it was mailed to.
    pub email: Email,
    /// The code.
    pub code: PendingCode,
    /// What is kept of the link's token.
    pub link: TokenDigest,
    /// From when on the link is no good.
    pub expires_at: Timestamp,
}

impl AddressProof {
    /// A code and a link sent at `now`.
    pub fn sent(user: UserId, email: Email, code: PendingCode, link: TokenDigest, now: Timestamp) -> Self {
        Self { user, email, code, link, expires_at: now + PROOF_LIFETIME }
    }
}
