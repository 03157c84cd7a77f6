//! How current something is that was read a while ago.
//!
//! A cache asks for the [`Generation`] before it reads rows, and keeps it beside what it made of
//! them. Whenever it answers from memory, it asks whether what the answer hangs on was ended since
//! then. A revocation that was committed before the rows were read may make an entry look old, and
//! then it is read again; one that was committed afterwards is never missed.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use keystead_domain::revocation::Revocation;

/// For how long it is known what other processes ended. Whoever has not asked the database for
/// longer trusts nothing that it remembers.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// How many revocations can be told apart. Two that share a place end each other's entries, which
/// costs a read and nothing else.
const PLACES: usize = 16_384;

/// A point in the order of what this process knows to have been ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Generation(u64);

/// What was ended, by the generation in which it was.
pub struct Generations {
    newest: AtomicU64,
    /// The generation in which everything was ended.
    everything: AtomicU64,
    places: Box<[AtomicU64]>,
    hasher: RandomState,
    started: Instant,
    /// Until when it is known what others ended, in milliseconds since the start.
    known_until: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            newest: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
            known_until: AtomicU64::new(0),
        }
    }
}

impl Generations {
    /// The present generation. Ask before reading what is to be remembered.
    pub fn current(&self) -> Generation {
        Generation(self.newest.load(SeqCst))
    }

    /// Whether what was read in `since` still stands, as far as it hangs on `on`: nothing of that
    /// was ended since, here or elsewhere.
    pub fn still_stands(&self, since: Generation, on: &[Revocation]) -> bool {
        self.knows()
            && self.everything.load(SeqCst) <= since.0
            && on.iter().all(|one| self.place(one).is_some_and(|place| place.load(SeqCst) <= since.0))
    }

    /// Whether it is known what other processes ended.
    pub fn knows(&self) -> bool {
        self.millis(Instant::now()) < self.known_until.load(SeqCst)
    }

    /// Ends what hangs on these. Call it after the commit.
    pub(crate) fn end(&self, revoked: &[Revocation]) {
        for one in revoked {
            let generation = self.newest.fetch_add(1, SeqCst) + 1;
            if let Some(place) = self.place(one) {
                place.fetch_max(generation, SeqCst);
            }
        }
    }

    /// Ends everything.
    pub(crate) fn end_everything(&self) {
        let generation = self.newest.fetch_add(1, SeqCst) + 1;
        self.everything.fetch_max(generation, SeqCst);
    }

    /// Notes that what others ended until `asked` is known.
    pub(crate) fn known_at(&self, asked: Instant) {
        self.known_until.fetch_max(self.millis(asked + KNOWN_FOR), SeqCst);
    }

    fn place(&self, revocation: &Revocation) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one(revocation);
        self.places.get(usize::try_from(hash % PLACES as u64).unwrap_or(0))
    }

    fn millis(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use keystead_domain::id::Id;
    use uuid::Uuid;

    fn user(number: u128) -> Revocation {
        Revocation::User(Id::from_uuid(Uuid::from_u128(number)))
    }

    #[test]
    fn what_was_ended_after_it_was_read_does_not_stand() {
        let generations = Generations::default();
        generations.known_at(Instant::now());
        let before = generations.current();
        assert!(generations.still_stands(before, &[user(1), user(2)]));
        generations.end(&[user(1)]);
        assert!(!generations.still_stands(before, &[user(1)]));
        assert!(!generations.still_stands(before, &[user(2), user(1)]));
        assert!(generations.still_stands(generations.current(), &[user(1)]), "read again");
        generations.end_everything();
        assert!(!generations.still_stands(before, &[]));
        assert!(generations.still_stands(generations.current(), &[user(1)]));
    }

    #[test]
    fn nothing_stands_while_it_is_not_known_what_others_ended() {
        let generations = Generations::default();
        let now = generations.current();
        assert!(!generations.still_stands(now, &[]), "nobody has asked yet");
        let Some(long_ago) = Instant::now().checked_sub(KNOWN_FOR) else { return };
        generations.known_at(long_ago);
        assert!(!generations.still_stands(now, &[]));
        generations.known_at(Instant::now());
        assert!(generations.still_stands(now, &[]));
    }
}
