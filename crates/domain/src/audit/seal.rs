//! Seals: what makes the trail show that somebody altered it.
//!
//! Each process numbers its events from 1 and gives each a MAC as it writes it. Every few
//! seconds it seals what it has written: a seal covers a range of numbers, says which of them
//! never became an event, hashes the events, and names the seal before it of the same process
//! and the one before it of all. A key of the deployment vouches for all that.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;

use super::record::{EventDigest, Statement};
use crate::Timestamp;
use crate::id::ProcessId;

/// The most numbers that one seal covers.
pub const MOST_IN_A_SEAL: usize = 1_000;

/// Vouches for statements of the trail, under a key that is not in the database.
pub trait Vouch: Send + Sync {
    /// The MAC of a statement.
    fn vouch(&self, statement: &[u8; 32]) -> Mac;

    /// Names the key.
    fn key_id(&self) -> &str;
}

/// What the key says of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mac([u8; 32]);

impl Mac {
    /// A MAC that was made, or read back.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether they are the same, in time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl AsRef<[u8]> for Mac {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Stands for the process of the events that are older than seals. They have numbers, and no MACs.
pub fn founding_process() -> ProcessId {
    ProcessId::from_uuid(uuid::Uuid::nil())
}

/// Who sealed a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedBy {
    /// The process that wrote the events. It seals what it wrote, not what it finds.
    Itself,
    /// Another one, after the writer had ended without sealing: it seals what it finds.
    Another,
}

impl SealedBy {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Another => "another",
        }
    }
}

/// A text that is no kind of sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of itself, another")]
pub struct InvalidSealedBy;

impl FromStr for SealedBy {
    type Err = InvalidSealedBy;

    fn from_str(text: &str) -> Result<Self, InvalidSealedBy> {
        [Self::Itself, Self::Another].into_iter().find(|by| by.as_str() == text).ok_or(InvalidSealedBy)
    }
}

/// A set of numbers, as ranges: `3,5-7`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers(Vec<(i64, i64)>);

impl Numbers {
    /// Adds a number that is greater than all before it.
    pub fn push(&mut self, number: i64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    /// Whether it is among them.
    pub fn contains(&self, number: i64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(i64, i64)] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<i64> for Numbers {
    /// Of ascending numbers.
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.push(number));
        set
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

/// A text that is no set of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be ascending ranges of numbers such as 3,5-7")]
pub struct InvalidNumbers;

impl FromStr for Numbers {
    type Err = InvalidNumbers;

    fn from_str(text: &str) -> Result<Self, InvalidNumbers> {
        let mut set = Self::default();
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number > 0).ok_or(InvalidNumbers);
        for range in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(range)?, number(range)?),
            };
            if first > last || set.0.last().is_some_and(|(_, before)| *before >= first) {
                return Err(InvalidNumbers);
            }
            set.0.push((first, last));
        }
        Ok(set)
    }
}

/// The newest seal of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// As how many-th of its process.
    pub ordinal: i64,
    /// The last number that it covers.
    pub last: i64,
    /// Its MAC.
    pub mac: Mac,
}

/// The newest seal of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number.
    pub number: i64,
    /// Its MAC.
    pub mac: Mac,
}

/// What a seal is about to cover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    /// Whose events.
    pub process: ProcessId,
    /// The first number.
    pub first: i64,
    /// The last number.
    pub last: i64,
    /// The events, ascending by number. The other numbers of the range never became an event.
    pub events: Vec<(i64, EventDigest)>,
    /// Who seals it.
    pub by: SealedBy,
}

impl Range {
    fn absent(&self) -> Numbers {
        let mut events = self.events.iter().map(|(number, _)| *number).peekable();
        (self.first..=self.last).filter(|number| events.next_if_eq(number).is_none()).collect()
    }
}

/// A sealed range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    /// Its number among all seals of the deployment, from 1 and without a gap.
    pub number: i64,
    /// Whose events it covers.
    pub process: ProcessId,
    /// Its number among the seals of that process, from 1.
    pub ordinal: i64,
    /// The first number that it covers.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// Those between them that are no event: their transactions were rolled back. Where another
    /// process sealed, nobody can say so: they are just not there.
    pub absent: Numbers,
    /// Who sealed.
    pub by: SealedBy,
    /// When.
    pub at: Timestamp,
    /// The hash of the events.
    pub hash: [u8; 32],
    /// The MAC of the process's seal before this one.
    pub previous_of_process: Option<Mac>,
    /// The MAC of the seal with the number before this one's.
    pub previous: Option<Mac>,
    /// Which key vouches for it.
    pub key_id: String,
    /// What the key says of all that.
    pub mac: Mac,
    /// That retention removed its events.
    pub removed: Option<Removal>,
}

impl Seal {
    /// Seals a range after the newest seals of its process and of all.
    pub fn new(
        range: &Range,
        link: Option<Link>,
        head: Option<Head>,
        now: Timestamp,
        key: &dyn Vouch,
    ) -> Self {
        let mut seal = Self {
            number: head.map_or(1, |head| head.number + 1),
            process: range.process,
            ordinal: link.map_or(1, |link| link.ordinal + 1),
            first: range.first,
            last: range.last,
            absent: range.absent(),
            by: range.by,
            at: now,
            hash: hash(&range.events),
            previous_of_process: link.map(|link| link.mac),
            previous: head.map(|head| head.mac),
            key_id: key.key_id().to_owned(),
            mac: Mac([0; 32]),
            removed: None,
        };
        seal.mac = key.vouch(&seal.statement());
        seal
    }

    /// Whether it is as the key made it.
    pub fn is_authentic(&self, key: &dyn Vouch) -> bool {
        self.key_id == key.key_id() && self.mac.matches(&key.vouch(&self.statement()))
    }

    fn statement(&self) -> [u8; 32] {
        Statement::new("keystead audit seal v1")
            .number(self.number)
            .text(&self.process.to_string())
            .number(self.ordinal)
            .number(self.first)
            .number(self.last)
            .text(&self.absent.to_string())
            .text(self.by.as_str())
            .number(self.at.as_micros())
            .bytes(&self.hash)
            .optional(self.previous_of_process)
            .optional(self.previous)
            .text(&self.key_id)
            .finish()
    }
}

/// The hash that a seal has of its events.
pub(super) fn hash(events: &[(i64, EventDigest)]) -> [u8; 32] {
    let label = Statement::new("keystead audit range v1");
    events.iter().fold(label, |hash, (number, digest)| hash.number(*number).bytes(&digest.0)).finish()
}

/// That the events of a sealed range were removed because they were old enough. The seal stays,
/// and only the key can say so of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removal {
    /// When.
    pub at: Timestamp,
    /// What the key says of that.
    pub mac: Mac,
}

impl Removal {
    /// Marks a seal.
    pub fn of(seal: &Seal, now: Timestamp, key: &dyn Vouch) -> Self {
        Self { at: now, mac: key.vouch(&Self::statement(seal, now)) }
    }

    /// Whether the key marked this seal.
    pub fn is_authentic(&self, seal: &Seal, key: &dyn Vouch) -> bool {
        self.mac.matches(&key.vouch(&Self::statement(seal, self.at)))
    }

    fn statement(seal: &Seal, at: Timestamp) -> [u8; 32] {
        Statement::new("keystead audit removal v1").bytes(&seal.mac.0).number(at.as_micros()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_of_numbers_are_read_back(set in proptest::collection::btree_set(1i64..60, 0..40)) {
            let numbers: Numbers = set.iter().copied().collect();
            prop_assert_eq!(numbers.to_string().parse::<Numbers>().unwrap(), numbers.clone());
            for number in 0..61 {
                prop_assert_eq!(numbers.contains(number), set.contains(&number));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9,-]{0,12}") {
            let _ = text.parse::<Numbers>();
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [",", "1,", "2,1", "1-", "3-2", "0", "1-3,3", "x", "1 "] {
            assert!(text.parse::<Numbers>().is_err(), "{text}");
        }
    }
}
