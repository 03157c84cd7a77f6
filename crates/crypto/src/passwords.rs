//! Password hashing: argon2id (RFC 9106), kept as PHC strings, on threads of its own; and checking
//! hashes that other systems made, until their owners sign in.

mod alike;
mod argon2id;
mod imported;
mod pool;

pub use alike::AlikeKey;
pub use argon2id::{Argon2Cost, InvalidCost};
pub use imported::{ImportedHash, Unusable};
pub use pool::{Busy, Hasher, HashingError};

/// What checking a password found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is another password.
    Wrong,
    /// It is the password.
    Right {
        /// Whether it was hashed at another cost than is configured now, or elsewhere, and should
        /// be again.
        rehash: bool,
    },
}

/// A stored hash that cannot be made sense of, or a cost that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a password hash")]
pub(crate) struct NotAHash;
