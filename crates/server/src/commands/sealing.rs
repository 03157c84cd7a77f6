//! The end of a command: what it wrote to the audit trail is sealed.

use std::ops::Deref;

use keystead_service::{Engine, audit_trail};

use crate::failure::Failure;
use crate::output;

/// An engine that one command works with.
pub(crate) struct Sealing(pub(crate) Engine);

impl Deref for Sealing {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Drop for Sealing {
    /// Where this fails the command has done what it was asked all the same, and a server will find
    /// what is not sealed.
    fn drop(&mut self) {
        if let Err(error) = audit_trail::close(&self.0) {
            let cause = Failure::from(error);
            output::complain(&format!("what this wrote to the audit trail is not sealed yet: {cause}"));
        }
    }
}
