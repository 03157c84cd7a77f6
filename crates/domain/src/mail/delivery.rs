//! What becomes of a mail that was not taken.

use std::time::Duration;

use crate::Timestamp;

/// Why a mail was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody was there to take it, or not now (RFC 5321 §4.2.1: a reply 4yz).
    Passing {
        /// How many attempts were made, this one included.
        attempts: u32,
    },
    /// It was refused (a reply 5yz), which repeating it does not change, unless somebody changes
    /// what the server objects to: a sender that may not send, say.
    Refused {
        /// How often, this time included.
        times: u32,
    },
}

/// What is next for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt at this time.
    TryAgain(Timestamp),
    /// None.
    GiveUp,
}

/// How often a mail is offered to a server that refuses it: the last time a quarter of an hour after
/// the first.
const REFUSALS: u32 = 5;
/// For how long a mail is offered at all (RFC 5321 §4.5.4.1: at least 4 to 5 days). No code and no
/// link in a mail lives longer.
const OFFERED: Duration = Duration::from_secs(5 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// What is next for a mail that was written then and was not taken now.
pub fn after_failure(failure: Failure, written_at: Timestamp, now: Timestamp) -> Next {
    let (first, tries) = match failure {
        Failure::Refused { times: REFUSALS.. } => return Next::GiveUp,
        Failure::Refused { times } => (60, times),
        Failure::Passing { attempts } => (5, attempts),
    };
    if now.since(written_at) >= OFFERED {
        return Next::GiveUp;
    }
    // Doubled each time, up to an hour.
    let pause = Duration::from_secs(first << tries.saturating_sub(1).min(10)).min(HOUR);
    Next::TryAgain(now + pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    fn pauses(failure: fn(u32) -> Failure, tries: &[u32]) -> Vec<Option<u64>> {
        let next = |&tries: &u32| match after_failure(failure(tries), WRITTEN, WRITTEN) {
            Next::TryAgain(at) => Some(at.since(WRITTEN).as_secs()),
            Next::GiveUp => None,
        };
        tries.iter().map(next).collect()
    }

    #[test]
    fn passing_failures_slow_down_to_one_an_hour() {
        let expected = [5, 10, 20, 3600, 3600].map(Some);
        assert_eq!(pauses(|attempts| Failure::Passing { attempts }, &[1, 2, 3, 11, u32::MAX]), expected);
    }

    #[test]
    fn a_refused_mail_gets_a_quarter_of_an_hour() {
        let expected = [Some(60), Some(120), Some(240), Some(480), None, None];
        assert_eq!(pauses(|times| Failure::Refused { times }, &[1, 2, 3, 4, 5, u32::MAX]), expected);
    }

    #[test]
    fn no_mail_is_offered_for_more_than_five_days() {
        let next = |age| after_failure(Failure::Passing { attempts: 1 }, WRITTEN, WRITTEN + age);
        assert!(matches!(next(OFFERED - Duration::from_secs(1)), Next::TryAgain(_)));
        assert_eq!(next(OFFERED), Next::GiveUp);
    }
}
