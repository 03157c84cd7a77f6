//! Keystead's cryptography, on values of the domain: minting secrets, sealing what rests in the
//! database, hashing passwords, signing tokens.
//!
//! Primitives come from `aws-lc-rs`, `argon2` and `chacha20poly1305`; what is decided here is which
//! of them serves which purpose, with which key and which bytes around it.

pub mod audit;
pub mod codes;
pub mod env;
pub mod forms;
pub mod jwt;
pub mod master_key;
pub mod passwords;
pub mod reports;
pub mod root_key;
pub mod sealing;
pub mod signing;
pub mod tokens;
pub mod totp;

/// A fixed environment for the tests of this crate.
#[cfg(test)]
mod test_env {
    use std::sync::atomic::{AtomicU8, Ordering};

    use keystead_domain::{Env, Timestamp};

    /// Counts instead of drawing.
    #[derive(Default)]
    pub(crate) struct Counting(AtomicU8);

    impl Env for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }
}
