//! Making audit events.

use keystead_domain::audit::{Actor, AuditAction, Event, Outcome};
use keystead_domain::id::EventId;
use keystead_domain::{Owner, Timestamp};

use crate::{Caller, Engine};

impl Engine {
    /// An event to be written in the transaction that does what it tells about.
    pub(crate) fn event(&self, caller: &Caller, owner: Owner, action: AuditAction, now: Timestamp) -> Event {
        Event {
            id: EventId::mint(now, &*self.env),
            owner,
            at: now,
            actor: caller.actor(),
            action,
            target: None,
            outcome: Outcome::Done,
            origin: caller.origin().clone(),
        }
    }
}

/// What an event can be given when it is known.
pub(crate) trait Refine {
    /// To what it was done.
    fn on(self, target: impl ToString) -> Self;
    /// Who turned out to have done it.
    fn by(self, actor: Actor) -> Self;
    /// That it was not done.
    fn refused(self) -> Self;
}

impl Refine for Event {
    fn on(mut self, target: impl ToString) -> Self {
        self.target = Some(target.to_string());
        self
    }

    fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    fn refused(mut self) -> Self {
        self.outcome = Outcome::Refused;
        self
    }
}
