//! Requests that may be sent again: the first answer to a key is the answer to all.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::TokenDigest;
use crate::id::UserId;

/// For how long an answer is kept.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a caller calls one thing that it wants done once: 1 to 255 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

/// A request that may be sent again. Whose rows it is about is known from the transaction.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who holds the credential.
    pub user: UserId,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// What the caller calls it.
    pub key: IdempotencyKey,
    /// The SHA-256 of the body.
    pub body: TokenDigest,
}

/// An answer that is given again. It carries no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Whether an attempt is the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attempted {
    /// It is.
    First,
    /// It was answered before.
    Before(StoredAnswer),
    /// The key was used for another body.
    Otherwise,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii() {
        for good in ["x", "0b6d2c-…".trim_end_matches('…'), "a/b:c=", &"k".repeat(255)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "ä", "a\u{7f}", "a\0", &"k".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }
}
