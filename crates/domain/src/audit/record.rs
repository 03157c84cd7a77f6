//! An event as its row holds it, and the digest that stands for it in seals.
//!
//! A check of the trail reads rows that somebody may have altered, so the parts are texts here
//! and nothing is refused: what does not belong gives another digest.

use sha2::{Digest as _, Sha256};

use super::Event;
use super::seal::Mac;

/// The parts of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRecord {
    /// In whose trail it stands.
    pub owner: String,
    /// Its id.
    pub id: String,
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// Who: the kind.
    pub actor_kind: String,
    /// Who: the id.
    pub actor_id: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// With what result.
    pub outcome: String,
    /// From which address. Not part of the digest.
    pub ip: Option<String>,
    /// From which device. Not part of the digest.
    pub user_agent: Option<String>,
}

impl From<&Event> for EventRecord {
    fn from(event: &Event) -> Self {
        Self {
            owner: event.owner.to_string(),
            id: event.id.to_string(),
            at: event.at.as_micros(),
            actor_kind: event.actor.kind().to_owned(),
            actor_id: event.actor.id(),
            action: event.action.as_str().to_owned(),
            target: event.target.clone(),
            outcome: event.outcome.as_str().to_owned(),
            ip: event.origin.ip.map(|ip| ip.to_string()),
            user_agent: event.origin.user_agent.as_ref().map(|agent| agent.as_str().to_owned()),
        }
    }
}

impl EventRecord {
    /// Stands for the event as the `number`th of its process. Addresses and devices are left out:
    /// they are personal data that may have to be erased, and the trail must hold without them.
    pub fn digest(&self, process: &str, number: i64) -> EventDigest {
        let statement = Statement::new("keystead audit event v1")
            .text(process)
            .number(number)
            .text(&self.owner)
            .text(&self.id)
            .number(self.at)
            .text(&self.actor_kind)
            .optional(self.actor_id.as_deref())
            .text(&self.action)
            .optional(self.target.as_deref())
            .text(&self.outcome);
        EventDigest(statement.finish())
    }
}

/// The SHA-256 of an event and its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventDigest(pub(super) [u8; 32]);

impl EventDigest {
    /// What the key vouches for.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// An event that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    /// Which process wrote it.
    pub process: String,
    /// As its how many-th event, from 1.
    pub number: i64,
    /// The event.
    pub record: EventRecord,
    /// What vouches for it; nothing for events of before there were seals.
    pub mac: Option<Mac>,
}

impl StoredEvent {
    /// Stands for the event as it is now.
    pub fn digest(&self) -> EventDigest {
        self.record.digest(&self.process, self.number)
    }
}

/// A hash over parts, each with its length, so that no two lists of parts hash alike.
pub(super) struct Statement(Sha256);

impl Statement {
    pub(super) fn new(label: &str) -> Self {
        Self(Sha256::new()).text(label)
    }

    pub(super) fn bytes(mut self, part: &[u8]) -> Self {
        self.0.update([1]);
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    pub(super) fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    pub(super) fn optional(self, part: Option<impl AsRef<[u8]>>) -> Self {
        match part {
            Some(part) => self.bytes(part.as_ref()),
            None => self.absent(),
        }
    }

    fn absent(mut self) -> Self {
        self.0.update([0]);
        self
    }

    pub(super) fn number(self, part: i64) -> Self {
        self.bytes(&part.to_be_bytes())
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
