//! Password hashing: argon2id (RFC 9106), kept as PHC strings, on threads of its own.

mod argon2id;
mod pool;

pub use argon2id::{Argon2Cost, InvalidCost};
pub use pool::{Busy, Hasher, HashingError};

/// What checking a password found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is another password.
    Wrong,
    /// It is the password.
    Right {
        /// Whether it was hashed at another cost than is configured now, and should be again.
        rehash: bool,
    },
}
