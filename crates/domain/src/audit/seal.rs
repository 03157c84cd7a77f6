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

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether they are the same, in time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// In hexadecimal.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

/// Where the seals of a process end. What the key did not make is passed over: it takes its place
/// and nothing else, so that nobody stops a process from sealing by adding a seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// The highest ordinal in use.
    pub ordinal: i64,
    /// The last number that an authentic one covers; 0 where there is none.
    pub last: i64,
    /// The MAC of the newest authentic one.
    pub mac: Option<Mac>,
}

/// Where all seals end, likewise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The highest number in use; 0 where there is none.
    pub number: i64,
    /// The MAC of the newest authentic one.
    pub mac: Option<Mac>,
}

impl Head {
    /// Where there are no seals yet.
    pub const NONE: Self = Self { number: 0, mac: None };

    /// The end that this seal makes.
    pub const fn after(seal: &Seal) -> Self {
        Self { number: seal.number, mac: Some(seal.mac) }
    }
}

/// What the key says of where the seals end. It is kept apart from them and moves with each, so that
/// it shows when the newest are gone: nothing in those that are left could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndMark {
    head: Head,
    mac: Mac,
}

impl EndMark {
    /// Marks an end.
    pub fn new(head: Head, key: &dyn Vouch) -> Self {
        Self { head, mac: key.vouch(&Self::statement(head)) }
    }

    /// The end that is marked, if the key marked it.
    pub fn authentic(&self, key: &dyn Vouch) -> Option<Head> {
        self.mac.matches(&key.vouch(&Self::statement(self.head))).then_some(self.head)
    }

    fn statement(head: Head) -> [u8; 32] {
        Statement::new("keystead audit end v1").number(head.number).optional(head.mac).finish()
    }
}

/// `number:seal:mac`, as it is stored.
impl fmt::Display for EndMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.head.number)?;
        match &self.head.mac {
            Some(mac) => write!(f, "{mac}")?,
            None => f.write_str("-")?,
        }
        write!(f, ":{}", self.mac)
    }
}

/// A text that is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number and two MACs")]
pub struct InvalidEndMark;

impl FromStr for EndMark {
    type Err = InvalidEndMark;

    fn from_str(text: &str) -> Result<Self, InvalidEndMark> {
        let mut parts = text.split(':');
        let (Some(number), Some(seal), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidEndMark);
        };
        let number = number.parse().map_err(|_| InvalidEndMark)?;
        let seal = if seal == "-" { None } else { Some(Mac::from_hex(seal).ok_or(InvalidEndMark)?) };
        let mac = Mac::from_hex(mac).ok_or(InvalidEndMark)?;
        Ok(Self { head: Head { number, mac: seal }, mac })
    }
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
    pub fn new(range: &Range, link: Option<Link>, head: Head, now: Timestamp, key: &dyn Vouch) -> Self {
        let mut seal = Self {
            // Where there is no higher number, the place is taken.
            number: head.number.saturating_add(1),
            process: range.process,
            ordinal: link.map_or(1, |link| link.ordinal.saturating_add(1)),
            first: range.first,
            last: range.last,
            absent: range.absent(),
            by: range.by,
            at: now,
            hash: hash(&range.events),
            previous_of_process: link.and_then(|link| link.mac),
            previous: head.mac,
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
        fn no_text_panics(text in "[0-9,-]{0,12}", other: String) {
            let _ = text.parse::<Numbers>();
            let _ = other.parse::<Numbers>();
            let _ = other.parse::<EndMark>();
        }

        #[test]
        fn marks_are_read_back(number: i64, seal: Option<[u8; 32]>, mac: [u8; 32]) {
            let mark = EndMark { head: Head { number, mac: seal.map(Mac) }, mac: Mac(mac) };
            prop_assert_eq!(mark.to_string().parse::<EndMark>(), Ok(mark));
        }

        #[test]
        fn no_mark_panics(text in "[0-9a-fA-F:é-]{0,140}") {
            let _ = text.parse::<EndMark>();
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [",", "1,", "2,1", "1-", "3-2", "0", "1-3,3", "x", "1 "] {
            assert!(text.parse::<Numbers>().is_err(), "{text}");
        }
    }
}
