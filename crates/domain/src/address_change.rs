//! Changing a user's address: the change that waits for the new address to confirm it, and the
//! former address that can take it back.
//!
//! Whoever has a user's session and password can ask for a change. So the new address has to prove
//! that it is read, and the former one can undo the change for a while, whatever happened since.

use std::time::Duration;

use crate::id::UserId;
use crate::{Email, Timestamp, TokenDigest};

/// How long a change waits to be confirmed.
pub const CONFIRM_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long a former address can undo its change.
pub const UNDO_LIFETIME: Duration = Duration::from_secs(72 * 3600);

/// A change that waits for the link mailed to the new address. A user has one at most.
#[derive(Clone, Debug)]
pub struct AddressChange {
    /// Whose address.
    pub user: UserId,
    /// The new one.
    pub email: Email,
    /// What is kept of the link's token.
    pub digest: TokenDigest,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// From when on the link is no good.
    pub expires_at: Timestamp,
}

impl AddressChange {
    /// A change asked for at `now`.
    pub fn asked(user: UserId, email: Email, digest: TokenDigest, now: Timestamp) -> Self {
        Self { user, email, digest, created_at: now, expires_at: now + CONFIRM_LIFETIME }
    }
}

/// An address that a user had. While it can undo the change, nobody else gets it.
#[derive(Clone, Debug)]
pub struct FormerAddress {
    /// Whose.
    pub user: UserId,
    /// The address.
    pub email: Email,
    /// Whether signing in took a second factor when the address was changed. One that was enrolled
    /// since then may be that of whoever changed the address.
    pub had_second_factor: bool,
    /// What is kept of the token of the link that undoes the change.
    pub digest: TokenDigest,
    /// When the address was changed.
    pub changed_at: Timestamp,
    /// From when on the link is no good.
    pub expires_at: Timestamp,
}

impl FormerAddress {
    /// The address that a user had until `now`.
    pub fn left(
        user: UserId,
        email: Email,
        had_second_factor: bool,
        digest: TokenDigest,
        now: Timestamp,
    ) -> Self {
        Self { user, email, had_second_factor, digest, changed_at: now, expires_at: now + UNDO_LIFETIME }
    }
}

/// Whether a user of a directory can get an address.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It can.
    Free,
    /// Another user has it.
    Taken {
        /// As that user wrote it, to send mail to.
        on_record: Email,
    },
    /// Another user had it, and can still go back to it.
    Kept,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn a_change_waits_24_hours_and_can_be_undone_for_72() {
        let (now, user) = (Timestamp::from_micros(0), Id::from_uuid(Uuid::nil()));
        let (email, digest) = ("a@b.example".parse::<Email>().unwrap(), TokenDigest::of("x"));
        let change = AddressChange::asked(user, email.clone(), digest, now);
        assert_eq!(change.expires_at.since(now), Duration::from_secs(24 * 3600));
        let former = FormerAddress::left(user, email, false, digest, now);
        assert_eq!(former.expires_at.since(now), Duration::from_secs(72 * 3600));
    }
}
