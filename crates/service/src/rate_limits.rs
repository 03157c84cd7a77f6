//! Counting requests, in the memory of this process.
//!
//! Which limit applies is decided here and in the use cases, by what a request proved; surfaces
//! only say where it came from and show what was counted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keystead_domain::app::ClientId;
use keystead_domain::network::Network;
use keystead_domain::rate_limit::{Limit, Quota, Quotas, Subject, Window, policy};
use keystead_domain::slowdown::Slowdown;
use keystead_domain::{Email, Owner, Timestamp};

use crate::{Arrival, Caller, Engine, Error, Meter, Result};

/// How often somebody may ask.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// How many requests of each kind.
    pub quotas: Quotas,
    /// How failures slow down what follows.
    pub slowdown: Slowdown,
}

/// Counts a request that proved nothing, before anything is done for it.
pub fn anonymous(engine: &Engine, arrival: &Arrival) -> Result<()> {
    engine.count(&arrival.meter, &[(Limit::Anonymous, network(arrival))])
}

/// Counts a request with an access token that is no good.
pub(crate) fn refused_bearer(engine: &Engine, arrival: &Arrival) -> Result<()> {
    let network = network(arrival);
    engine.count(&arrival.meter, &[(Limit::Anonymous, network), (Limit::FailedBearer, network)])
}

/// Counts a request with client credentials that are no good, for the app that it names.
pub(crate) fn refused_client(engine: &Engine, arrival: &Arrival, named: Option<&ClientId>) -> Result<()> {
    let network = network(arrival);
    let mut counted = vec![(Limit::Anonymous, network), (Limit::FailedClient, network)];
    counted.extend(named.map(|client| (Limit::FailedClient, Subject::Client(client))));
    engine.count(&arrival.meter, &counted)
}

fn network(arrival: &Arrival) -> Subject<'static> {
    Subject::Network(Network::of(arrival.origin.ip))
}

impl Engine {
    /// Counts what an app asks for one of its end users: for where the end user is, if the app says
    /// so, and for the address, whether or not anybody has it.
    pub(crate) fn count_for(
        &self,
        caller: &Caller,
        limit: Limit,
        directory: Owner,
        email: &Email,
    ) -> Result<()> {
        let network = caller.end_user_ip().map(|ip| Subject::Network(Network::of(Some(ip))));
        let subjects = network.into_iter().chain([Subject::address(directory, email)]);
        let counted: Vec<_> = subjects.map(|subject| (limit, subject)).collect();
        self.count(caller.meter(), &counted)
    }

    /// Counts a request by each of these in turn. The first that is used up refuses it, and then it
    /// does not count for the others: whoever asks too often from one place takes nothing from
    /// those who are elsewhere.
    pub(crate) fn count(&self, meter: &Meter, counted: &[(Limit, Subject<'_>)]) -> Result<()> {
        counted.iter().try_for_each(|(limit, subject)| self.count_up_to(meter, *limit, *subject, None))
    }

    /// Counts a request by one thing, up to this quota where it has one of its own.
    pub(crate) fn count_up_to(
        &self,
        meter: &Meter,
        limit: Limit,
        subject: Subject<'_>,
        quota: Option<Quota>,
    ) -> Result<()> {
        let Some(limits) = &self.settings.rate_limits else { return Ok(()) };
        let now = self.env.now();
        let quota = quota.unwrap_or_else(|| limits.quotas.of(limit));
        let (left, window) = self.windows.take(limit, &subject, quota, now);
        let standing = window.standing(policy(limit, &subject), now);
        meter.note(standing);
        if left { Ok(()) } else { Err(Error::limited(standing.reset)) }
    }

    /// The refusal of a try that has to wait.
    pub(crate) fn too_early(&self, meter: &Meter, wait: Duration) -> Error {
        if let Some(limits) = &self.settings.rate_limits {
            meter.note(limits.slowdown.standing(wait));
        }
        Error::limited(wait)
    }
}

/// The windows that run, in shards, so that requests seldom wait for each other.
///
/// They are our own, since the usual crate (governor) keeps a row for every key that a stranger
/// thinks of until somebody sweeps, and leaves what answers tell of a window to its caller.
///
/// What is counted may be chosen by strangers, so it is kept as a hash under a key of this
/// process, and only so many: where a shard is full, the windows that least was used of make
/// room. Whoever fills it with ever new addresses pushes those out first.
pub(crate) struct Windows {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<u64, Window>>>,
}

const SHARDS: usize = 64;
/// How many windows a shard holds: 65536 in all.
const SHARD_CAPACITY: usize = 1024;
/// How many windows make room at once.
const AT_ONCE: usize = SHARD_CAPACITY / 8;

impl Default for Windows {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Windows {
    /// Takes one more of a quota: whether there was one left, and the window after that.
    fn take(&self, limit: Limit, subject: &Subject<'_>, quota: Quota, now: Timestamp) -> (bool, Window) {
        let key = self.hasher.hash_one((limit, subject));
        let place = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let mut fresh = Window::starting(quota, now);
        let Some(shard) = self.shards.get(place) else { return (fresh.take(now), fresh) };
        let mut windows = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= SHARD_CAPACITY && !windows.contains_key(&key) {
            make_room(&mut windows, now);
        }
        let window = windows.entry(key).or_insert(fresh);
        window.count_by(quota);
        (window.take(now), *window)
    }
}

/// Removes what is over, and where that is not enough the emptiest; several at once, so that the
/// next few find room without looking.
fn make_room(windows: &mut HashMap<u64, Window>, now: Timestamp) {
    windows.retain(|_, window| !window.is_over(now));
    if windows.len() + AT_ONCE > SHARD_CAPACITY {
        let mut emptiest: Vec<_> = windows.iter().map(|(key, window)| (window.fullness(), *key)).collect();
        emptiest.select_nth_unstable(AT_ONCE);
        for (_, key) in emptiest.iter().take(AT_ONCE) {
            windows.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};

    const NOW: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    fn from(n: u64) -> Subject<'static> {
        Subject::Network(Network::of(Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64)))))
    }

    fn held(windows: &Windows) -> usize {
        windows.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn a_flood_of_new_addresses_takes_no_more_memory_and_frees_nobody() {
        let (windows, quota) = (Windows::default(), "5/1m".parse().unwrap());
        let victim = from(u64::MAX);
        for _ in 0..5 {
            assert!(windows.take(Limit::Anonymous, &victim, quota, NOW).0);
        }
        for n in 0..200_000 {
            windows.take(Limit::Anonymous, &from(n), quota, NOW);
        }
        assert!(held(&windows) <= SHARDS * SHARD_CAPACITY);
        assert!(!windows.take(Limit::Anonymous, &victim, quota, NOW).0, "still counted");
        let later = NOW + quota.window();
        for n in 0..100_000 {
            windows.take(Limit::Anonymous, &from(n), quota, later);
        }
        assert!(windows.take(Limit::Anonymous, &victim, quota, later).0);
    }

    #[test]
    fn limits_and_subjects_do_not_share_windows() {
        let (windows, quota) = (Windows::default(), "1/1m".parse().unwrap());
        let owner = Owner::Platform;
        for (limit, subject) in [
            (Limit::Anonymous, from(1)),
            (Limit::Anonymous, from(2)),
            (Limit::FailedBearer, from(1)),
            (Limit::SignIn, Subject::Address(owner, "a@b.example")),
            (Limit::SignUp, Subject::Address(owner, "a@b.example")),
            (Limit::SignIn, Subject::Address(owner, "b@b.example")),
        ] {
            let taken = [0; 2].map(|_| windows.take(limit, &subject, quota, NOW).0);
            assert_eq!(taken, [true, false], "{limit:?} {subject:?}");
        }
    }

    #[test]
    fn requests_at_the_same_moment_get_no_more() {
        let (windows, quota) = (Windows::default(), "100/1m".parse().unwrap());
        let got: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50).filter(|_| windows.take(Limit::App, &from(1), quota, NOW).0).count()
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(got, 100);
    }
}
