//! Budgets: how often something may happen to one address.
//!
//! Their counters live in the database, so a restart or another node forgets nothing.

use std::time::Duration;

use crate::Timestamp;

/// At most `max` times within each window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is counted, in the counters table.
    pub name: &'static str,
    /// How often.
    pub max: i32,
    /// How long a window is. Windows are fixed, counted from the Unix epoch.
    pub window: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sign-up codes sent to an address.
pub const SIGN_UP_CODES_HOURLY: Budget = Budget { name: "sign_up_codes_hourly", max: 5, window: HOUR };
/// Wrong sign-up codes tried for an address.
pub const SIGN_UP_TRIES_DAILY: Budget = Budget { name: "sign_up_tries_daily", max: 20, window: DAY };
/// Password reset codes sent to an address.
pub const RESET_CODES_HOURLY: Budget = Budget { name: "reset_codes_hourly", max: 5, window: HOUR };
/// Password reset codes tried for an address.
pub const RESET_TRIES_DAILY: Budget = Budget { name: "reset_tries_daily", max: 20, window: DAY };
/// Mails to an address, whoever asks.
pub const MAILS_HOURLY: Budget = Budget { name: "mails_hourly", max: 5, window: HOUR };
/// Mails to an address, whoever asks.
pub const MAILS_DAILY: Budget = Budget { name: "mails_daily", max: 20, window: DAY };

/// Access requests that name an address as their contact.
pub const ACCESS_REQUESTS_DAILY: Budget = Budget { name: "access_requests_daily", max: 3, window: DAY };
/// Invitations that a person mails, to whichever organizations.
pub const INVITES_DAILY: Budget = Budget { name: "invites_daily", max: 200, window: DAY };

impl Budget {
    /// When the window that `now` falls into began.
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        let window = i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX).max(1);
        Timestamp::from_micros(now.as_micros().div_euclid(window) * window)
    }
}
