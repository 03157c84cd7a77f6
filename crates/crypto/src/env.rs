//! The machine's own clock and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use keystead_domain::{Env, Timestamp};

/// The [`Env`] of a running server: the system clock, and the operating system's random source.
#[derive(Clone, Copy, Default)]
pub struct SystemEnv;

impl Env for SystemEnv {
    #[expect(clippy::disallowed_methods, reason = "this is where everybody else's `now` comes from")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Straight from the operating system: aws-lc's generator gathers entropy of its own first, which takes 40 ms
        // at the start and again in each thread.
        if getrandom::fill(bytes).is_err() {
            // Without randomness every secret would be guessable; no caller could do better.
            std::process::abort();
        }
    }
}
