//! Sign-ins that wait for their second factor.
//!
//! A browser that gave the right password gets a short-lived token instead of a session. It signs nobody in:
//! it says whose second factor is to be typed next, and is good for one sign-in and for few tries.

use std::time::Duration;

use crate::id::UserId;
use crate::{Timestamp, TokenDigest};

/// How long a sign-in waits for its second factor.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(300);
/// How many tries of the second factor it stands.
pub const CHALLENGE_TRIES: u8 = 5;

/// A sign-in with the right password.
#[derive(Clone, Debug)]
pub struct SignInChallenge {
    /// Whose.
    pub user: UserId,
    /// What is kept of its token.
    pub digest: TokenDigest,
    /// Whether the session that it may become has a cookie that goes when the browser is closed.
    pub transient: bool,
    /// How many tries are left.
    pub tries_left: u8,
    /// From when on it is no good.
    pub expires_at: Timestamp,
}

impl SignInChallenge {
    /// A challenge to `user`, whose password was right at `now`.
    pub fn begun(user: UserId, digest: TokenDigest, transient: bool, now: Timestamp) -> Self {
        let expires_at = now + CHALLENGE_LIFETIME;
        Self { user, digest, transient, tries_left: CHALLENGE_TRIES, expires_at }
    }
}
