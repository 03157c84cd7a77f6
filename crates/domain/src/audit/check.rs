//! Checking the trail against its seals.
//!
//! The check sees each seal once, in the order of their numbers, with the events of its range;
//! then what no seal covers. It keeps one line for each process and nothing else.

use std::collections::HashMap;

use super::record::StoredEvent;
use super::seal::{EndMark, Link, Mac, Numbers, Removal, Seal, SealedBy, Vouch, founding_process, hash};
use crate::id::ProcessId;

/// A seal that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredSeal {
    /// It reads like one.
    Legible(Box<Seal>),
    /// It has this number, and is none that Keystead could have written.
    Illegible(i64),
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It is not what was written, or was never written by Keystead.
    Altered,
    /// It was written and is gone.
    Missing,
    /// Nothing but its own MAC vouches for it yet: the writer has not sealed it, or ended before.
    Unsealed,
    /// Sealed by another process after the writer had ended, who found nothing under these
    /// numbers: transactions that were cut off, or events that were deleted before.
    Unaccounted,
}

impl Problem {
    /// The word that is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Unsealed => "unsealed",
            Self::Unaccounted => "unaccounted",
        }
    }
}

/// What it is wrong with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Seals.
    Seals,
    /// Events of this process.
    Events(String),
    /// Events without a number.
    Unnumbered,
    /// The mark of where the seals end, by the number of the seal.
    End,
}

/// Something that the check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// With what.
    pub part: Part,
    /// The first number.
    pub first: i64,
    /// The last number.
    pub last: i64,
}

/// What a check found out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How many seals there are.
    pub seals: u64,
    /// How many events there are.
    pub events: u64,
    /// How many sealed ranges retention removed.
    pub removed_ranges: u64,
    /// How many events and seals are altered.
    pub altered: u64,
    /// How many are missing.
    pub missing: u64,
    /// How many events are not sealed.
    pub unsealed: u64,
    /// How many numbers are not accounted for.
    pub unaccounted: u64,
    /// Where: the first [`MOST_FINDINGS`].
    pub findings: Vec<Finding>,
}

/// How many findings a report lists; it counts them all.
pub const MOST_FINDINGS: usize = 1_000;

impl Report {
    /// Whether nothing was altered and nothing is missing.
    pub const fn is_sound(&self) -> bool {
        self.altered == 0 && self.missing == 0
    }

    fn add(&mut self, problem: Problem, part: Part, first: i64, last: i64) {
        let count = match problem {
            Problem::Altered => &mut self.altered,
            Problem::Missing => &mut self.missing,
            Problem::Unsealed => &mut self.unsealed,
            Problem::Unaccounted => &mut self.unaccounted,
        };
        *count = count.saturating_add(u64::try_from(last.saturating_sub(first)).unwrap_or(0) + 1);
        if let Some(newest) = self.findings.last_mut()
            && (newest.problem, &newest.part) == (problem, &part)
            && newest.last.checked_add(1) == Some(first)
        {
            newest.last = last;
        } else if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { problem, part, first, last });
        }
    }
}

/// A check that is under way.
pub struct Check<'k> {
    key: &'k dyn Vouch,
    chains: HashMap<ProcessId, Link>,
    next: i64,
    /// The MAC of the seal with the number before `next`, where it is known.
    previous: Option<Mac>,
    founding_only: bool,
    report: Report,
}

impl<'k> Check<'k> {
    /// Begins.
    pub fn new(key: &'k dyn Vouch) -> Self {
        let report = Report::default();
        Self { key, chains: HashMap::new(), next: 1, previous: None, founding_only: true, report }
    }

    /// The next seal by number, with all events of its range, ascending.
    pub fn seal(&mut self, stored: &StoredSeal, events: &[StoredEvent]) {
        let number = match stored {
            StoredSeal::Legible(seal) => seal.number,
            StoredSeal::Illegible(number) => *number,
        };
        self.report.seals += 1;
        if number < self.next {
            return self.report.add(Problem::Altered, Part::Seals, number, number);
        }
        if number > self.next {
            self.report.add(Problem::Missing, Part::Seals, self.next, number - 1);
            self.previous = None;
        }
        let first = number == 1;
        let before = self.previous.take();
        self.next = number.saturating_add(1);
        let seal = match stored {
            StoredSeal::Legible(seal) if seal.is_authentic(self.key) => seal,
            _ => return self.report.add(Problem::Altered, Part::Seals, number, number),
        };
        self.previous = Some(seal.mac);
        self.founding_only &= seal.process == founding_process();
        let follows = match before {
            Some(before) => seal.previous == Some(before),
            // What was before is gone or altered, which is told already.
            None => first == seal.previous.is_none(),
        };
        if !follows {
            self.report.add(Problem::Altered, Part::Seals, number, number);
        }
        self.link(seal);
        self.range(seal, events);
    }

    /// Puts the seal into its process's chain.
    fn link(&mut self, seal: &Seal) {
        let link = Link { ordinal: seal.ordinal, last: seal.last, mac: Some(seal.mac) };
        let before = self.chains.insert(seal.process, link);
        let last = before.map_or(0, |before| before.last);
        if seal.first > last.saturating_add(1) {
            // The seals of these are gone, so that nothing vouches for which there were.
            self.report.add(
                Problem::Missing,
                Part::Events(seal.process.to_string()),
                last + 1,
                seal.first - 1,
            );
        } else if seal.first <= last
            || seal.previous_of_process != before.and_then(|before| before.mac)
            || seal.ordinal != before.map_or(1, |before| before.ordinal.saturating_add(1))
        {
            self.report.add(Problem::Altered, Part::Seals, seal.number, seal.number);
        }
    }

    fn range(&mut self, seal: &Seal, events: &[StoredEvent]) {
        let process = seal.process.to_string();
        self.report.events += events.len() as u64;
        match seal.removed {
            Some(removed) if removed.is_authentic(seal, self.key) => {
                self.report.removed_ranges += 1;
                for event in events {
                    let part = Part::Events(process.clone());
                    self.report.add(Problem::Altered, part, event.number, event.number);
                }
                return;
            }
            // Somebody else's mark.
            Some(_) => self.report.add(Problem::Altered, Part::Seals, seal.number, seal.number),
            None => {}
        }
        for (problem, first, last) in problems(seal, events, self.key) {
            self.report.add(problem, Part::Events(process.clone()), first, last);
        }
    }

    /// The last number of a process that a seal covers. An id has another spelling, under which no
    /// process writes.
    pub fn covered(&self, process: &str) -> i64 {
        let id = process.parse::<ProcessId>().ok().filter(|id| id.to_string() == process);
        id.and_then(|id| self.chains.get(&id)).map_or(0, |link| link.last)
    }

    /// An event beyond what the seals of its process cover.
    pub fn uncovered(&mut self, event: &StoredEvent) {
        self.report.events += 1;
        let founding = founding_process().to_string() == event.process;
        let genuine = event.number > 0
            && match event.mac {
                // The first thing that is sealed is what was there before.
                None => founding && self.founding_only && self.chains.is_empty(),
                Some(mac) => !founding && mac.matches(&self.key.vouch(event.digest().as_bytes())),
            };
        let problem = if genuine { Problem::Unsealed } else { Problem::Altered };
        self.report.add(problem, Part::Events(event.process.clone()), event.number, event.number);
    }

    /// Events that have no number: no version that seals writes one.
    pub fn unnumbered(&mut self, count: i64) {
        if count > 0 {
            self.report.events += count.unsigned_abs();
            self.report.add(Problem::Altered, Part::Unnumbered, 1, count);
        }
    }

    /// The mark of where the seals end, once all of them were seen; nothing where it is gone or
    /// makes no sense. What was marked is there, or is missing; what comes after it was sealed by
    /// somebody who found that the end had been another.
    pub fn end(&mut self, mark: Option<&EndMark>) {
        let last = self.next.saturating_sub(1);
        let Some(mark) = mark else { return self.report.add(Problem::Missing, Part::End, last, last) };
        match mark.authentic(self.key) {
            Some(head) if head.number > last => {
                self.report.add(Problem::Missing, Part::Seals, self.next, head.number);
            }
            // A newest seal that is not authentic is told already.
            Some(head) if head.number == last && self.previous.is_none_or(|mac| head.mac == Some(mac)) => {}
            _ => self.report.add(Problem::Altered, Part::End, last, last),
        }
    }

    /// What was found.
    pub fn finish(self) -> Report {
        self.report
    }
}

/// Whether the events of an authentic seal's range are all there, and as they were.
pub fn holds(seal: &Seal, events: &[StoredEvent], key: &dyn Vouch) -> bool {
    let wrong = |problem| matches!(problem, Problem::Altered | Problem::Missing);
    !problems(seal, events, key).into_iter().any(|(problem, ..)| wrong(problem))
}

/// What is wrong with the events of an authentic seal's range, as ranges of numbers.
fn problems(seal: &Seal, events: &[StoredEvent], key: &dyn Vouch) -> Vec<(Problem, i64, i64)> {
    let founding = seal.process == founding_process();
    let mut found = Vec::new();
    let mut hashed = Vec::with_capacity(events.len());
    let (mut whole, mut next) = (true, seal.first);
    let missing = |from: i64, to: i64| (from..to).filter(|number| !seal.absent.contains(*number));
    for event in events {
        let (number, digest) = (event.number, event.digest());
        let vouched = match event.mac {
            Some(mac) => !founding && mac.matches(&key.vouch(digest.as_bytes())),
            None => founding,
        };
        let repeated = number < next;
        for number in missing(next, number) {
            found.push((Problem::Missing, number, number));
            whole = false;
        }
        next = next.max(number + 1);
        if repeated || !vouched || (seal.absent.contains(number) && seal.by == SealedBy::Itself) {
            found.push((Problem::Altered, number, number));
            whole = false;
        } else if seal.absent.contains(number) {
            // Its writer was taken for dead while its transaction was under way.
            found.push((Problem::Unsealed, number, number));
        } else {
            hashed.push((number, digest));
        }
    }
    for number in missing(next, seal.last + 1) {
        found.push((Problem::Missing, number, number));
        whole = false;
    }
    if whole && hash(&hashed) != seal.hash {
        found.push((Problem::Altered, seal.first, seal.last));
    }
    if seal.by == SealedBy::Another {
        let there: Numbers = events.iter().map(|event| event.number).collect();
        let gone = seal.absent.ranges().iter().flat_map(|(first, last)| *first..=*last);
        found.extend(gone.filter(|number| !there.contains(*number)).map(|n| (Problem::Unaccounted, n, n)));
    }
    found
}

/// Marks a seal whose events hold as removed; nothing where they do not, since what is left of
/// them is evidence.
pub fn removal(
    seal: &Seal,
    events: &[StoredEvent],
    now: crate::Timestamp,
    key: &dyn Vouch,
) -> Option<Removal> {
    (seal.is_authentic(key) && holds(seal, events, key)).then(|| Removal::of(seal, now, key))
}

#[cfg(test)]
mod tests;
