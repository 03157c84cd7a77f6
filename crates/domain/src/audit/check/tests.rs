use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::*;
use crate::Timestamp;
use crate::audit::record::EventRecord;
use crate::audit::seal::{Head, Range};

/// Not an HMAC, but as hard to guess for who does not have the key.
struct Key;

impl Vouch for Key {
    fn vouch(&self, statement: &[u8; 32]) -> Mac {
        Mac::from_bytes(Sha256::new().chain_update([9; 64]).chain_update(statement).finalize().into())
    }

    fn key_id(&self) -> &str {
        "key"
    }
}

fn process(number: u8) -> ProcessId {
    ProcessId::from_uuid(Uuid::from_u128(number.into()))
}

fn event(process: ProcessId, number: i64) -> StoredEvent {
    let record = EventRecord {
        owner: "platform".to_owned(),
        id: format!("evt_{process}_{number}"),
        at: number,
        actor_kind: "host".to_owned(),
        actor_id: None,
        action: "tenant.created".to_owned(),
        target: Some(format!("ten_{number}")),
        outcome: "done".to_owned(),
        ip: Some("192.0.2.1".to_owned()),
        user_agent: None,
    };
    let digest = record.digest(&process.to_string(), number);
    let mac = (process != founding_process()).then(|| Key.vouch(digest.as_bytes()));
    StoredEvent { process: process.to_string(), number, record, mac }
}

/// A trail, as the database holds it.
#[derive(Clone, Debug, Default)]
struct Trail {
    seals: Vec<Seal>,
    events: Vec<StoredEvent>,
    end: Option<EndMark>,
}

impl Trail {
    /// Adds a sealed range after what the process has; `kept` says which numbers became events.
    fn seal(&mut self, of: ProcessId, kept: &[bool], by: SealedBy) {
        let newest = self.seals.iter().rev().find(|seal| seal.process == of);
        let link = newest.map(|seal| Link { ordinal: seal.ordinal, last: seal.last, mac: Some(seal.mac) });
        let head = self.seals.last().map_or(Head::NONE, Head::after);
        let first = link.map_or(0, |link| link.last) + 1;
        let written: Vec<_> =
            (first..).zip(kept).filter(|(_, kept)| **kept).map(|(number, _)| event(of, number)).collect();
        let events = written.iter().map(|event| (event.number, event.digest())).collect();
        let range = Range { process: of, first, last: first + kept.len() as i64 - 1, events, by };
        self.seals.push(Seal::new(&range, link, head, Timestamp::from_micros(0), &Key));
        self.end = self.seals.last().map(|seal| EndMark::new(Head::after(seal), &Key));
        self.events.extend(written);
    }

    fn check(&self) -> Report {
        let mut check = Check::new(&Key);
        let mut seals = self.seals.clone();
        seals.sort_by_key(|seal| seal.number);
        let mut events = self.events.clone();
        events.sort_by_key(|event| event.number);
        for seal in seals {
            let range: Vec<_> = events
                .iter()
                .filter(|event| event.process == seal.process.to_string())
                .filter(|event| (seal.first..=seal.last).contains(&event.number))
                .cloned()
                .collect();
            check.seal(&StoredSeal::Legible(Box::new(seal)), &range);
        }
        check.end(self.end.as_ref());
        for event in &events {
            let covered = check.covered(&event.process);
            if event.number < 1 || event.number > covered {
                check.uncovered(event);
            }
        }
        check.finish()
    }
}

/// Several processes, each with some ranges, mixed; every range has an event.
fn trails() -> impl Strategy<Value = Trail> {
    let range = (1u8..4, prop::collection::vec(any::<bool>(), 1..6));
    prop::collection::vec(range, 1..8).prop_map(|ranges| {
        let mut trail = Trail::default();
        for (of, mut kept) in ranges {
            kept[0] = true;
            trail.seal(process(of), &kept, SealedBy::Itself);
        }
        trail
    })
}

/// Alters one part of an event that its digest covers.
fn alter_event(event: &mut StoredEvent, part: usize) {
    let record = &mut event.record;
    match part % 9 {
        0 => record.owner.push('x'),
        1 => record.id.push('x'),
        2 => record.at += 1,
        3 => record.actor_kind.push('x'),
        4 => record.actor_id = Some(String::new()),
        5 => record.action = "app.created".to_owned(),
        6 => record.target = None,
        7 => record.outcome = "refused".to_owned(),
        _ => event.mac = None,
    }
}

/// Alters one part of a seal.
fn alter_seal(seal: &mut Seal, part: usize) {
    let other = Mac::from_bytes([1; 32]);
    match part % 13 {
        0 => seal.number += 1_000,
        1 => seal.process = process(200),
        2 => seal.ordinal += 1,
        3 => seal.first -= 1,
        4 => seal.last += 1,
        5 => {
            seal.absent =
                if seal.absent.is_empty() { [seal.last].into_iter().collect() } else { Numbers::default() }
        }
        6 => seal.by = SealedBy::Another,
        7 => seal.at = seal.at + std::time::Duration::from_secs(1),
        8 => seal.hash[0] ^= 1,
        9 => seal.previous_of_process = if seal.previous_of_process.is_some() { None } else { Some(other) },
        10 => seal.previous = if seal.previous.is_some() { None } else { Some(other) },
        11 => seal.key_id.push('x'),
        _ => seal.mac = other,
    }
}

proptest! {
    #[test]
    fn an_untouched_trail_is_sound(trail in trails()) {
        let report = trail.check();
        prop_assert!(report.findings.is_empty(), "{:?}", report);
        prop_assert_eq!(report.events, trail.events.len() as u64);
    }

    #[test]
    fn an_altered_event_is_reported(mut trail in trails(), at: prop::sample::Index, part: usize) {
        let at = at.index(trail.events.len());
        alter_event(&mut trail.events[at], part);
        prop_assert!(trail.check().altered > 0);
    }

    #[test]
    fn addresses_and_devices_may_be_erased(mut trail in trails(), at: prop::sample::Index) {
        let at = at.index(trail.events.len());
        trail.events[at].record.ip = None;
        trail.events[at].record.user_agent = Some("curl".to_owned());
        prop_assert!(trail.check().findings.is_empty());
    }

    #[test]
    fn a_deleted_event_is_reported_by_its_number(mut trail in trails(), at: prop::sample::Index) {
        let gone = trail.events.remove(at.index(trail.events.len()));
        let expected = Finding {
            problem: Problem::Missing,
            part: Part::Events(gone.process.clone()),
            first: gone.number,
            last: gone.number,
        };
        let report = trail.check();
        prop_assert_eq!((report.missing, report.altered), (1, 0));
        prop_assert_eq!(report.findings, [expected]);
    }

    #[test]
    fn two_events_that_changed_places_are_reported(mut trail in trails(), one: prop::sample::Index, other: prop::sample::Index) {
        let (one, other) = (one.index(trail.events.len()), other.index(trail.events.len()));
        prop_assume!(one != other);
        let (process, number) = (trail.events[one].process.clone(), trail.events[one].number);
        trail.events[one].process = trail.events[other].process.clone();
        trail.events[one].number = trail.events[other].number;
        trail.events[other].process = process;
        trail.events[other].number = number;
        prop_assert!(trail.check().altered >= 2);
    }

    #[test]
    fn an_inserted_event_is_reported(mut trail in trails(), of in 0u8..5, number in -2i64..40, copied: Option<prop::sample::Index>) {
        let mut forged = match copied {
            Some(at) => trail.events[at.index(trail.events.len())].clone(),
            None => event(process(of), number),
        };
        forged.process = process(of).to_string();
        forged.number = number;
        if copied.is_none() {
            forged.mac = Some(Mac::from_bytes([7; 32]));
        }
        trail.events.push(forged);
        prop_assert!(!trail.check().is_sound());
    }

    #[test]
    fn an_altered_seal_is_reported(mut trail in trails(), at: prop::sample::Index, part: usize) {
        let at = at.index(trail.seals.len());
        alter_seal(&mut trail.seals[at], part);
        prop_assert!(!trail.check().is_sound());
    }

    #[test]
    fn a_deleted_seal_is_reported(mut trail in trails(), at: prop::sample::Index) {
        trail.seals.remove(at.index(trail.seals.len()));
        prop_assert!(trail.check().missing > 0);
    }

    #[test]
    fn an_end_that_was_cut_off_is_reported(mut trail in trails(), kept: prop::sample::Index, marked: bool) {
        let kept = kept.index(trail.seals.len());
        let gone = trail.seals.split_off(kept);
        trail.events.retain(|event| {
            !gone.iter().any(|seal| event.process == seal.process.to_string() && event.number >= seal.first)
        });
        if !marked {
            trail.end = None;
        }
        let report = trail.check();
        prop_assert_eq!(report.missing, if marked { gone.len() as u64 } else { 1 });
        prop_assert_eq!((report.altered, report.unsealed), (0, 0));
    }

    #[test]
    fn a_mark_of_another_end_is_reported(mut trail in trails(), number in -1i64..9, known: Option<prop::sample::Index>, forged: bool) {
        let mac = known.map(|at| trail.seals[at.index(trail.seals.len())].mac);
        let head = Head { number, mac };
        prop_assume!(trail.seals.last().map(Head::after) != Some(head));
        trail.end = Some(if forged { format!("{number}:-:{}", "00".repeat(32)).parse().unwrap() } else { EndMark::new(head, &Key) });
        prop_assert!(!trail.check().is_sound());
    }

    #[test]
    fn seals_that_changed_places_are_reported(mut trail in trails(), one: prop::sample::Index, other: prop::sample::Index) {
        let (one, other) = (one.index(trail.seals.len()), other.index(trail.seals.len()));
        prop_assume!(one != other);
        let number = trail.seals[one].number;
        trail.seals[one].number = trail.seals[other].number;
        trail.seals[other].number = number;
        prop_assert!(trail.check().altered > 0);
    }

    #[test]
    fn a_range_is_removed_by_the_key_only(mut trail in trails(), at: prop::sample::Index, forged: bool) {
        let at = at.index(trail.seals.len());
        let seal = trail.seals[at].clone();
        let removed = if forged {
            Removal { at: Timestamp::from_micros(5), mac: Mac::from_bytes([3; 32]) }
        } else {
            Removal::of(&seal, Timestamp::from_micros(5), &Key)
        };
        trail.seals[at].removed = Some(removed);
        prop_assert!(!trail.check().is_sound(), "the events are still there");
        trail.events.retain(|event| event.process != seal.process.to_string() || !(seal.first..=seal.last).contains(&event.number));
        let report = trail.check();
        prop_assert_eq!(report.is_sound(), !forged);
        prop_assert_eq!(report.removed_ranges, u64::from(!forged));
    }

    #[test]
    fn no_trail_panics(mut trail in trails(), numbers in prop::collection::vec(any::<i64>(), 4)) {
        trail.seals[0].first = numbers[0];
        trail.seals[0].last = numbers[1];
        trail.seals[0].number = numbers[2];
        trail.events[0].number = numbers[3];
        prop_assert!(!trail.check().is_sound());
    }
}

#[test]
fn what_another_sealed_has_numbers_that_nobody_accounts_for() {
    let mut trail = Trail::default();
    trail.seal(process(1), &[true, false, false, true], SealedBy::Another);
    let report = trail.check();
    assert!(report.is_sound());
    assert_eq!((report.unaccounted, report.findings[0].first, report.findings[0].last), (2, 2, 3));
    // It was only slow.
    trail.events.push(event(process(1), 2));
    let report = trail.check();
    assert!(report.is_sound());
    assert_eq!((report.unaccounted, report.unsealed), (1, 1));
}

#[test]
fn nothing_is_added_to_what_was_there_before_seals() {
    let end = Some(EndMark::new(Head::NONE, &Key));
    let mut trail = Trail { seals: Vec::new(), events: vec![event(founding_process(), 1)], end };
    let report = trail.check();
    assert_eq!((report.is_sound(), report.unsealed), (true, 1));
    trail.events.clear();
    trail.seal(founding_process(), &[true, true], SealedBy::Another);
    assert!(trail.check().findings.is_empty());
    trail.events.push(event(founding_process(), 3));
    assert_eq!(trail.check().altered, 1);
}

#[test]
fn a_seal_that_nobody_can_read_is_altered() {
    let mut check = Check::new(&Key);
    check.seal(&StoredSeal::Illegible(1), &[]);
    assert_eq!(check.finish().altered, 1);
}

#[test]
fn only_what_holds_is_removed() {
    let mut trail = Trail::default();
    trail.seal(process(1), &[true, true], SealedBy::Itself);
    let now = Timestamp::from_micros(9);
    assert!(removal(&trail.seals[0], &trail.events, now, &Key).is_some());
    assert!(removal(&trail.seals[0], &trail.events[1..], now, &Key).is_none());
    trail.seals[0].at = now;
    assert!(removal(&trail.seals[0], &trail.events, now, &Key).is_none());
}
