//! Browsers that have signed somebody in before.
//!
//! The [delay after failures](crate::slowdown) keeps guessers away from an account, and whoever fails on purpose
//! would keep its owner away with them. So a browser that signed the owner in gets a cookie that says so, and its
//! tries are counted for itself ("Slow Down Online Guessing Attacks with Device Cookies", OWASP). It stands as
//! many failures in a row as are free for everybody; with more it waits like any other browser, until it has
//! signed the owner in again.

use std::time::Duration;

use crate::id::UserId;
use crate::{Timestamp, TokenDigest};

/// For how long after its last sign-in a browser is known.
pub const DEVICE_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);
/// How many browsers of a user are known at most: those that signed in last. So whoever has the password gets no
/// more tries than these stand by signing in again and again.
pub const DEVICES_KNOWN: i64 = 10;

/// A browser that has signed a user in.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Whom.
    pub user: UserId,
    /// What is kept of its cookie.
    pub digest: TokenDigest,
    /// How many of its tries failed since, or are being checked.
    pub failures: u32,
    /// From when on it is not known any more.
    pub expires_at: Timestamp,
}

impl Device {
    /// A browser that signed a user in at `now`.
    pub fn signed_in(user: UserId, digest: TokenDigest, now: Timestamp) -> Self {
        Self { user, digest, failures: 0, expires_at: now + DEVICE_LIFETIME }
    }
}
