//! How often somebody may ask: what is counted, by what, and what is left of it.
//!
//! A request counts for what it proved: an app's by app, a stranger's by network, what is tried
//! for an address by that address. Counts are kept in memory, so each process has its own; what
//! protects an account is in the database (see [`slowdown`](crate::slowdown) and
//! [`limits`](crate::limits)).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::app::ClientId;
use crate::id::{ApiKeyId, AppId, UserId};
use crate::network::Network;
use crate::{Email, Owner, Timestamp};

/// At most `max` requests in a window of time. A window begins with its first request, so that
/// two bursts around its end can be no more than twice `max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    max: u32,
    window: Duration,
}

/// A text that is no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number of requests and a time, such as 500/15m")]
pub struct InvalidQuota;

const UNITS: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];
/// The longest window: a day.
const LONGEST: u64 = 24 * 3600;
const MOST: u32 = 1_000_000_000;

impl Quota {
    pub(crate) const fn new(max: u32, window: Duration) -> Self {
        Self { max, window }
    }

    /// How many requests.
    pub const fn max(self) -> u32 {
        self.max
    }

    /// In how long.
    pub const fn window(self) -> Duration {
        self.window
    }

    /// How many requests that is in an hour, to tell which of two quotas is more generous.
    pub fn per_hour(self) -> u64 {
        u64::from(self.max) * 3600 / self.window.as_secs().max(1)
    }
}

/// `500/15m`: a number of requests, and a time in seconds, minutes or hours.
impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u32>().map_err(|_| InvalidQuota),
            false => Err(InvalidQuota),
        };
        let (max, time) = text.split_once('/').ok_or(InvalidQuota)?;
        let in_unit = |&(unit, seconds): &(&str, u64)| Some((time.strip_suffix(unit)?, seconds));
        let (count, unit) = UNITS.iter().find_map(in_unit).ok_or(InvalidQuota)?;
        let (max, window) = (number(max)?, u64::from(number(count)?) * unit);
        if !(1..=MOST).contains(&max) || !(1..=LONGEST).contains(&window) {
            return Err(InvalidQuota);
        }
        Ok(Self { max, window: Duration::from_secs(window) })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = self.window.as_secs();
        let whole = UNITS.iter().find(|(_, seconds)| window.is_multiple_of(*seconds));
        let (unit, seconds) = whole.copied().unwrap_or(("s", 1));
        write!(f, "{}/{}{unit}", self.max, window / seconds)
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident, $field:ident = $policy:literal;)*) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Limit { $($(#[$doc])* $name,)* }

        /// How much of each.
        #[derive(Clone, Debug)]
        pub struct Quotas { $($(#[$doc])* pub $field: Quota,)* }

        impl Quotas {
            /// How much of `limit`.
            pub const fn of(&self, limit: Limit) -> Quota {
                match limit { $(Limit::$name => self.$field,)* }
            }
        }

        impl Limit {
            /// What answers call it.
            const fn policy(self) -> &'static str {
                match self { $(Self::$name => $policy,)* }
            }

            /// What answers call it where it is counted by network beside something else.
            const fn policy_by_network(self) -> &'static str {
                match self { $(Self::$name => concat!($policy, "-ip"),)* }
            }
        }
    };
}

limits! {
    /// Requests of an app.
    App, app = "app";
    /// Requests that proved nothing.
    Anonymous, anonymous = "anonymous";
    /// Access tokens that were no good.
    FailedBearer, failed_bearer = "failed-bearer";
    /// Client credentials that were no good.
    FailedClient, failed_client = "failed-client";
    /// Sign-ins, whatever became of them.
    SignIn, sign_in = "sign-in";
    /// Sign-ups.
    SignUp, sign_up = "sign-up";
    /// Sign-ins of people of the platform, whatever became of them.
    AccountSignIn, account_sign_in = "account-sign-in";
    /// Sign-ups of people of the platform.
    AccountSignUp, account_sign_up = "account-sign-up";
    /// Codes of second factors that people of the platform typed to sign in, or to enrol.
    AccountTwoFactor, account_two_factor = "account-two-factor";
    /// Mailed codes that were typed in.
    Code, code = "code";
    /// Mailed codes that were asked for again.
    Resend, resend = "resend";
    /// Reports of leaked keys from one address.
    LeakReport, leak_report = "leak-report";
    /// Requests with sessions of one person of the platform.
    Session, session = "session";
    /// Requests with one API key at once, where no plan says otherwise.
    KeyBurst, key_burst = "key-burst";
    /// Requests with one API key over a longer time, where no plan says otherwise.
    KeySustained, key_sustained = "key";
}

/// By what something is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject<'a> {
    /// An app that proved who it is.
    App(AppId),
    /// A person of the platform.
    User(UserId),
    /// An API key.
    Key(ApiKeyId),
    /// Where a request came from.
    Network(Network),
    /// An app that somebody claimed to be.
    Client(&'a ClientId),
    /// An address in a directory, by its key, whether or not anybody has it.
    Address(Owner, &'a str),
}

impl<'a> Subject<'a> {
    /// An address in a directory.
    pub fn address(directory: Owner, email: &'a Email) -> Self {
        Self::Address(directory, email.key())
    }
}

/// The name of a limit and what it is counted by: one quota policy, in the words of
/// draft-ietf-httpapi-ratelimit-headers-11 §2.
pub const fn policy(limit: Limit, subject: &Subject<'_>) -> &'static str {
    match (limit, subject) {
        // These are counted by nothing else.
        (Limit::Anonymous | Limit::FailedBearer, _) => limit.policy(),
        (_, Subject::Network(_)) => limit.policy_by_network(),
        _ => limit.policy(),
    }
}

/// What was used of a quota, and until when that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    quota: Quota,
    used: u32,
    ends_at: Timestamp,
}

impl Window {
    /// A window that begins at `now`.
    pub fn starting(quota: Quota, now: Timestamp) -> Self {
        Self { quota, used: 0, ends_at: now + quota.window }
    }

    /// Whether it counts no more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }

    /// How much of it was used, in thousandths.
    pub fn fullness(&self) -> u64 {
        u64::from(self.used) * 1000 / u64::from(self.quota.max.max(1))
    }

    /// Counts by another quota from now on, such as that of another plan. What was used stays used.
    pub const fn count_by(&mut self, quota: Quota) {
        self.quota = quota;
    }

    /// Takes one more; whether there was one left. A clock that was set back begins anew.
    pub fn take(&mut self, now: Timestamp) -> bool {
        if self.is_over(now) || self.ends_at.since(now) > self.quota.window {
            *self = Self::starting(self.quota, now);
        }
        let left = self.used < self.quota.max;
        self.used += u32::from(left);
        left
    }

    /// How it stands.
    pub fn standing(&self, policy: &'static str, now: Timestamp) -> Standing {
        let remaining = self.quota.max.saturating_sub(self.used);
        Standing { policy, quota: self.quota, remaining, reset: self.ends_at.since(now) }
    }
}

/// How one quota stands after a request was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What answers call it.
    pub policy: &'static str,
    /// How much there is.
    pub quota: Quota,
    /// How much is left.
    pub remaining: u32,
    /// After how long all of it is there again.
    pub reset: Duration,
}

/// Whole seconds after which `duration` is over.
pub fn seconds_until(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    #[test]
    fn quotas_are_read_strictly_and_written_shortly() {
        for (text, max, seconds, shown) in [
            ("6000/1m", 6000, 60, "6000/1m"),
            ("500/15m", 500, 900, "500/15m"),
            ("5/3600s", 5, 3600, "5/1h"),
            ("30/10s", 30, 10, "30/10s"),
            ("1/24h", 1, 86_400, "1/24h"),
        ] {
            let quota: Quota = text.parse().unwrap();
            assert_eq!((quota.max, quota.window.as_secs()), (max, seconds));
            assert_eq!(quota.to_string(), shown);
        }
        for text in [
            "",
            "5",
            "5/",
            "/1m",
            "0/1m",
            "5/0s",
            "5/m",
            "5/1",
            "-5/1m",
            "+5/1m",
            "5/+1m",
            "5 / 1m",
            "5/25h",
            "5/1d",
            "1000000001/1s",
            "99999999999/1s",
        ] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_begins_with_its_first_request_and_comes_back_whole() {
        let quota: Quota = "2/10s".parse().unwrap();
        let at = |seconds| START + Duration::from_secs(seconds);
        let mut window = Window::starting(quota, START);
        assert!(window.take(at(1)) && window.take(at(9)));
        assert!(!window.take(at(9)));
        let standing = window.standing("x", at(9));
        assert_eq!((standing.remaining, standing.reset.as_secs()), (0, 1));
        assert!(window.take(at(10)));
        assert_eq!(window.standing("x", at(10)).reset.as_secs(), 10);
        assert!(window.take(START), "a clock that was set back");
    }

    #[test]
    fn policies_that_stand_together_have_names_of_their_own() {
        let network = Subject::Network(Network::of(None));
        let address = Subject::Address(Owner::Platform, "a@b.example");
        assert_eq!(policy(Limit::SignIn, &address), "sign-in");
        assert_eq!(policy(Limit::SignIn, &network), "sign-in-ip");
        assert_eq!(policy(Limit::Anonymous, &network), "anonymous");
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(
            [0, 1, 999, 1000, 1001].map(|ms| seconds_until(Duration::from_millis(ms))),
            [0, 1, 1, 1, 2]
        );
    }

    proptest! {
        /// In no stretch of time as long as a window are there more than twice the quota, and in
        /// none of its own windows more than the quota.
        #[test]
        fn no_timing_gets_more(max in 1_u32..20, pauses in prop::collection::vec(0_u64..4_000, 1..300)) {
            let quota: Quota = format!("{max}/10s").parse().unwrap();
            let (mut now, mut window, mut taken) = (START, Window::starting(quota, START), Vec::new());
            for pause in pauses {
                now = now + Duration::from_millis(pause);
                if window.take(now) {
                    taken.push(now);
                }
                let standing = window.standing("x", now);
                prop_assert!(standing.remaining < max && standing.reset <= quota.window);
            }
            for (n, first) in taken.iter().enumerate() {
                let within = taken[n..].iter().take_while(|at| at.since(*first) < quota.window).count();
                prop_assert!(within <= 2 * max as usize);
            }
        }

        #[test]
        fn a_quota_is_read_as_it_is_written(max in 1_u32..=MOST, seconds in 1_u64..=LONGEST) {
            let quota = Quota { max, window: Duration::from_secs(seconds) };
            prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
        }
    }
}
