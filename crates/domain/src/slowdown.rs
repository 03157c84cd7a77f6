//! The growing delay after failures: whoever guesses passwords or mailed codes of one address
//! soon waits longer for each try, and nobody is ever locked out for good.
//!
//! Failures are counted for a directory and the key of an address, whether or not anybody has
//! that address. A try is counted as failed before it is checked, and taken back when it was
//! not, so that tries at the same moment get no more checks than one after the other.

use std::time::Duration;

use crate::Timestamp;
use crate::rate_limit::{Quota, Standing};

/// The longest wait between two tries.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long failures are remembered after the last of them. Shorter, and it would be worth
/// waiting for; so a guesser gets little more than four tries an hour, whatever the timing.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// How the delay grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowdown {
    /// How many failures cost nothing.
    pub free: u32,
}

/// What is remembered of an address's failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many tries failed, or are being checked.
    pub count: u32,
    /// When the last of them was made.
    pub last_at: Timestamp,
    /// When the next one may be made.
    pub next_at: Timestamp,
    /// Whether the owner of the address was told.
    pub told: bool,
}

impl Failures {
    /// The memory of an address without failures.
    pub const fn none(now: Timestamp) -> Self {
        Self { count: 0, last_at: now, next_at: now, told: false }
    }

    /// When they are forgotten.
    pub fn forgotten_at(&self) -> Timestamp {
        self.last_at + REMEMBERED
    }

    /// How long a try at `now` has to wait. A clock that was set back makes it no longer than
    /// the longest wait.
    pub fn wait(&self, now: Timestamp) -> Duration {
        if now >= self.forgotten_at() { Duration::ZERO } else { self.next_at.since(now).min(LONGEST_WAIT) }
    }
}

impl Slowdown {
    /// How long the next try waits after so many failures: nothing while they are free, then 1 s,
    /// doubled by each further failure up to [`LONGEST_WAIT`].
    pub fn delay(self, failures: u32) -> Duration {
        match failures.saturating_sub(self.free) {
            0 => Duration::ZERO,
            beyond => Duration::from_secs(1 << (beyond - 1).min(10)).min(LONGEST_WAIT),
        }
    }

    /// Counts one more try at `now` as failed, if it need not wait; otherwise says how long.
    pub fn take(self, seen: Failures, now: Timestamp) -> Result<Failures, Duration> {
        let wait = seen.wait(now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        let seen = if now >= seen.forgotten_at() { Failures::none(now) } else { seen };
        let count = seen.count.saturating_add(1);
        Ok(Failures { count, last_at: now, next_at: now + self.delay(count), told: seen.told })
    }

    /// How an address stands whose next try has to wait.
    pub const fn standing(self, wait: Duration) -> Standing {
        let quota = Quota::new(self.free, REMEMBERED);
        Standing { policy: "failures", quota, remaining: 0, reset: wait }
    }

    /// Whether the owner of the address should hear of so many failures: as soon as they cost
    /// time, and once until they are forgotten or somebody signs in.
    pub fn is_worth_telling(self, failures: u32) -> bool {
        failures > self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CURVE: Slowdown = Slowdown { free: 5 };
    const START: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);
    const DAY: u64 = 24 * 3600;

    #[test]
    fn five_failures_are_free_and_then_the_delay_doubles_up_to_fifteen_minutes() {
        let seconds: Vec<_> = (0..18).map(|failures| CURVE.delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(CURVE.delay(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn failures_are_forgotten_a_day_after_the_last() {
        let mut failures = Failures::none(START);
        for _ in 0..6 {
            failures = CURVE.take(failures, START).unwrap();
        }
        failures.told = true;
        assert_eq!(CURVE.take(failures, START), Err(Duration::from_secs(1)));
        assert_eq!(CURVE.take(failures, START + Duration::from_secs(DAY - 1)).unwrap().count, 7);
        let anew = CURVE.take(failures, START + Duration::from_secs(DAY)).unwrap();
        assert_eq!((anew.count, anew.told), (1, false));
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let failures = Failures { count: 9, last_at: START, next_at: START + LONGEST_WAIT, told: true };
        assert_eq!(failures.wait(START - Duration::from_secs(DAY)), LONGEST_WAIT);
    }

    proptest! {
        #[test]
        fn the_delay_never_shrinks_and_is_bounded(free in 0_u32..100, failures in 0_u32..2_000) {
            let curve = Slowdown { free };
            prop_assert!(curve.delay(failures) <= curve.delay(failures + 1));
            prop_assert!(curve.delay(failures) <= LONGEST_WAIT);
            prop_assert_eq!(curve.delay(failures) == Duration::ZERO, failures <= free);
            prop_assert_eq!(curve.delay(failures) > Duration::ZERO, curve.is_worth_telling(failures));
        }

        /// However the tries are timed: no more than the free ones, those while the delay grows,
        /// and then one each fifteen minutes.
        #[test]
        fn no_timing_gets_more_checks_than_the_curve(pauses in prop::collection::vec(0_u64..2_000, 1..400)) {
            let (mut now, mut failures, mut checks) = (START, Failures::none(START), Vec::new());
            for pause in pauses {
                now = now + Duration::from_secs(pause);
                if let Ok(taken) = CURVE.take(failures, now) {
                    prop_assert!(failures.wait(now) == Duration::ZERO);
                    failures = taken;
                    checks.push(now);
                }
            }
            let (first, last) = (checks[0], checks[checks.len() - 1]);
            let waited: u64 = (1..checks.len()).map(|n| CURVE.delay(u32::try_from(n).unwrap()).as_secs()).sum();
            prop_assert!(last.since(first) >= Duration::from_secs(waited));
        }
    }
}
