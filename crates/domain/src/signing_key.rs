//! Signing keys over time: published before they sign, and for as long as what they signed is good.

use std::time::Duration;

use crate::Timestamp;

/// What is known of a signing key without the key itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKeyRecord {
    /// Its name in `kid`.
    pub kid: String,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: SigningKeyState,
}

/// Where a signing key stands. There is one current key of an algorithm, and one that comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningKeyState {
    /// It is published and signs nothing yet, so that whoever keeps the key set for a while knows
    /// it by the time that it signs.
    Next,
    /// It signs.
    Current {
        /// Since when.
        since: Timestamp,
    },
    /// It signs no more.
    Retired {
        /// Since when it had signed.
        since: Timestamp,
        /// Until when tokens that it signed are accepted.
        until: Timestamp,
    },
}

impl SigningKeyState {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current { .. } => "current",
            Self::Retired { .. } => "retired",
        }
    }
}

/// How much longer than its last token a retired key is kept: for clocks that differ, and for a
/// node that learns of a rotation late.
pub const RETIREMENT_MARGIN: Duration = Duration::from_secs(3600);

/// Until when a key that is retired at `now` has to be kept, where no token lives longer than
/// `longest`.
pub fn retired_until(now: Timestamp, longest: Duration) -> Timestamp {
    now + longest + RETIREMENT_MARGIN
}

impl SigningKeyRecord {
    /// Whether tokens that the key signed are accepted, and the key is published.
    pub fn verifies(&self, now: Timestamp) -> bool {
        match self.state {
            SigningKeyState::Next | SigningKeyState::Current { .. } => true,
            SigningKeyState::Retired { until, .. } => now < until,
        }
    }

    /// Whether the key signs.
    pub const fn signs(&self) -> bool {
        matches!(self.state, SigningKeyState::Current { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_key_outlives_its_last_token() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let key = |state| SigningKeyRecord { kid: "k".to_owned(), created_at: at(0), state };
        let until = retired_until(at(100), Duration::from_secs(60));
        assert_eq!(until, at(100 + 60 + 3600));
        let retired = key(SigningKeyState::Retired { since: at(0), until });
        assert!(retired.verifies(at(3759)) && !retired.verifies(at(3760)) && !retired.signs());
        let (next, current) = (key(SigningKeyState::Next), key(SigningKeyState::Current { since: at(0) }));
        assert!(next.verifies(at(1 << 40)) && !next.signs());
        assert!(current.verifies(at(1 << 40)) && current.signs());
    }
}
