//! The numbers of this process's audit events: handed out in memory when an event is inserted,
//! and kept until a seal covers them.
//!
//! A number whose transaction was rolled back never becomes an event, and the seal says so. That
//! costs the hot path one lock and no statement; a counter in the database would make the
//! process's writers wait for each other until their commits. See
//! `docs/decisions/0070-audit-seals.md`.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystead_domain::audit::record::{EventDigest, EventRecord};
use keystead_domain::audit::seal::{MOST_IN_A_SEAL, Mac, Vouch};
use keystead_domain::id::ProcessId;

use crate::StoreError;

/// This process's part of the audit trail.
pub struct Trail {
    process: ProcessId,
    process_text: String,
    key: Arc<dyn Vouch>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The last number that was handed out.
    last: i64,
    /// Those that no seal covers, and what became of them.
    numbers: BTreeMap<i64, Fate>,
    /// How many of them are events.
    written: usize,
    /// Whether the database knows of this process.
    registered: bool,
    /// Whether whoever waits for work should look.
    woken: bool,
}

#[derive(Clone, Copy)]
enum Fate {
    /// Its transaction is under way.
    Open,
    /// It is an event.
    Written(EventDigest),
    /// Its transaction was rolled back.
    Void,
    /// The database did not say whether it committed.
    Unknown(EventDigest),
}

/// Numbers that can be sealed: all their transactions have ended.
pub struct Sealable {
    /// The first number.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// Those that are events.
    pub events: Vec<(i64, EventDigest)>,
    /// Those of which only the database knows whether they are.
    pub unknown: Vec<(i64, EventDigest)>,
}

impl Trail {
    /// The trail of a process that has just started.
    pub fn new(process: ProcessId, key: Arc<dyn Vouch>) -> Self {
        let state = State { last: 0, numbers: BTreeMap::new(), written: 0, registered: false, woken: false };
        let process_text = process.to_string();
        Self { process, process_text, key, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Which process.
    pub const fn process(&self) -> ProcessId {
        self.process
    }

    /// What vouches for its events and seals.
    pub fn key(&self) -> &Arc<dyn Vouch> {
        &self.key
    }

    /// The next numbers that can be sealed, at most as many as one seal covers; nothing where
    /// that is not worth a seal.
    pub fn sealable(&self) -> Option<Sealable> {
        let state = self.state();
        if state.written == 0 && state.numbers.len() < MOST_IN_A_SEAL {
            return None;
        }
        let first = *state.numbers.first_key_value()?.0;
        let mut sealable = Sealable { first, last: first - 1, events: Vec::new(), unknown: Vec::new() };
        for (number, fate) in state.numbers.iter().take(MOST_IN_A_SEAL) {
            match fate {
                Fate::Open => break,
                Fate::Written(digest) => sealable.events.push((*number, *digest)),
                Fate::Unknown(digest) => sealable.unknown.push((*number, *digest)),
                Fate::Void => {}
            }
            sealable.last = *number;
        }
        (sealable.last >= first).then_some(sealable)
    }

    /// Forgets what a seal covers, up to this number.
    pub fn sealed(&self, last: i64) {
        let mut state = self.state();
        let rest = state.numbers.split_off(&last.saturating_add(1));
        state.numbers = rest;
        state.written = state.numbers.values().filter(|fate| fate.is_written()).count();
    }

    /// Waits until there is enough for a seal or somebody [wakes](Self::wake) it, at most `patience`.
    pub fn wait(&self, patience: Duration) {
        let waited = self.changed.wait_timeout_while(self.state(), patience, |state| !state.woken);
        waited.unwrap_or_else(PoisonError::into_inner).0.woken = false;
    }

    /// Ends a wait.
    pub fn wake(&self) {
        self.state().woken = true;
        self.changed.notify_all();
    }

    /// Whether the database knows of this process.
    pub fn is_registered(&self) -> bool {
        self.state().registered
    }

    /// Remembers that the database knows of this process.
    pub fn registered(&self) {
        self.state().registered = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fate {
    /// Whether it may be an event.
    const fn is_written(&self) -> bool {
        matches!(self, Self::Written(_) | Self::Unknown(_))
    }
}

/// The numbers that one transaction took. Told in the end what became of it; where it is not,
/// only the database knows.
pub(crate) struct Claim {
    trail: Option<Arc<Trail>>,
    taken: Vec<(i64, EventDigest)>,
    registers: bool,
}

/// The place of one event in the trail.
pub(crate) struct Numbered {
    pub(crate) process: String,
    pub(crate) number: i64,
    pub(crate) mac: Mac,
    /// Whether the database does not know of the process yet.
    pub(crate) register: bool,
}

impl Claim {
    pub(crate) const fn on(trail: Option<Arc<Trail>>) -> Self {
        Self { trail, taken: Vec::new(), registers: false }
    }

    /// Takes the next number for an event.
    pub(crate) fn number(&mut self, record: &EventRecord) -> Result<Numbered, StoreError> {
        let trail = self.trail.as_ref().ok_or_else(|| StoreError::Failed("no trail was begun".to_owned()))?;
        let (number, registered) = {
            let mut state = trail.state();
            state.last += 1;
            let number = state.last;
            state.numbers.insert(number, Fate::Open);
            (number, state.registered)
        };
        let digest = record.digest(&trail.process_text, number);
        self.taken.push((number, digest));
        let register = !registered && !self.registers;
        self.registers |= register;
        let mac = trail.key.vouch(digest.as_bytes());
        Ok(Numbered { process: trail.process_text.clone(), number, mac, register })
    }

    /// All that was written is durable.
    pub(crate) fn committed(mut self) {
        if self.registers
            && let Some(trail) = &self.trail
        {
            trail.registered();
        }
        self.settle(Fate::Written);
    }

    /// Nothing was written, and nothing will be.
    pub(crate) fn rolled_back(mut self) {
        self.settle(|_| Fate::Void);
    }

    fn settle(&mut self, fate: impl Fn(EventDigest) -> Fate) {
        let taken = std::mem::take(&mut self.taken);
        if taken.is_empty() {
            return;
        }
        let Some(trail) = &self.trail else { return };
        let mut state = trail.state();
        let before = state.written;
        for (number, digest) in taken {
            // Another process may have sealed the number meanwhile, taking this one for dead.
            if let Some(open) = state.numbers.get_mut(&number) {
                *open = fate(digest);
                state.written += usize::from(open.is_written());
            }
        }
        let full = state.written / MOST_IN_A_SEAL > before / MOST_IN_A_SEAL;
        state.woken |= full;
        drop(state);
        if full {
            trail.changed.notify_all();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.settle(Fate::Unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Key;

    impl Vouch for Key {
        fn vouch(&self, statement: &[u8; 32]) -> Mac {
            Mac::from_bytes(*statement)
        }

        fn key_id(&self) -> &str {
            "key"
        }
    }

    fn trail() -> Arc<Trail> {
        Arc::new(Trail::new(ProcessId::from_uuid(Default::default()), Arc::new(Key)))
    }

    fn claim(trail: &Arc<Trail>, events: usize) -> Claim {
        let record = EventRecord {
            owner: "platform".to_owned(),
            id: "evt".to_owned(),
            at: 0,
            actor_kind: "host".to_owned(),
            actor_id: None,
            action: "x".to_owned(),
            target: None,
            outcome: "done".to_owned(),
            ip: None,
            user_agent: None,
        };
        let mut claim = Claim::on(Some(Arc::clone(trail)));
        (0..events).for_each(|_| drop(claim.number(&record).unwrap()));
        claim
    }

    fn written(sealable: &Sealable) -> Vec<i64> {
        sealable.events.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn only_what_has_ended_is_sealed() {
        let trail = trail();
        let (one, two, three) = (claim(&trail, 2), claim(&trail, 1), claim(&trail, 1));
        three.committed();
        assert!(trail.sealable().is_none(), "an earlier one may still commit");
        one.committed();
        let sealable = trail.sealable().unwrap();
        assert_eq!((sealable.first, sealable.last, written(&sealable)), (1, 2, vec![1, 2]));
        trail.sealed(2);
        assert!(trail.sealable().is_none());
        two.rolled_back();
        let sealable = trail.sealable().unwrap();
        assert_eq!((sealable.first, sealable.last, written(&sealable)), (3, 4, vec![4]));
        trail.sealed(4);
        assert!(trail.sealable().is_none());
    }

    #[test]
    fn what_nobody_says_is_for_the_database_to_say() {
        let trail = trail();
        drop(claim(&trail, 1));
        let sealable = trail.sealable().unwrap();
        assert_eq!((sealable.last, sealable.events.len(), sealable.unknown[0].0), (1, 0, 1));
    }

    #[test]
    fn what_another_sealed_meanwhile_is_not_sealed_again() {
        let trail = trail();
        let slow = claim(&trail, 1);
        trail.sealed(1);
        slow.committed();
        assert!(trail.sealable().is_none());
        claim(&trail, 1).committed();
        assert_eq!(trail.sealable().unwrap().first, 2);
    }

    #[test]
    fn a_seal_has_its_limit_and_whoever_waits_is_woken() {
        let trail = trail();
        let many = claim(&trail, MOST_IN_A_SEAL + 1);
        let waiter = {
            let trail = Arc::clone(&trail);
            std::thread::spawn(move || trail.wait(Duration::from_secs(60)))
        };
        many.committed();
        waiter.join().unwrap();
        assert_eq!(trail.sealable().unwrap().last, MOST_IN_A_SEAL as i64);
    }

    #[test]
    fn rolled_back_numbers_do_not_pile_up() {
        let trail = trail();
        claim(&trail, 5).rolled_back();
        assert!(trail.sealable().is_none(), "that is not worth a seal");
        claim(&trail, MOST_IN_A_SEAL).rolled_back();
        assert!(trail.sealable().is_some());
    }
}
