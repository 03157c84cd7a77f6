//! `keystead signing-key`.

use keystead_domain::Timestamp;
use keystead_domain::signing_key::{SigningKeyRecord, SigningKeyState};
use keystead_service::Caller;
use keystead_service::signing_keys::{self, Rotation};
use serde::Serialize;

use super::Context;
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct SigningKeyView {
    kid: String,
    algorithm: &'static str,
    state: &'static str,
    created_at: String,
    /// Since when it signs, or had signed.
    activated_at: Option<String>,
    /// Until when tokens that it signed are accepted, where it signs no more.
    verifies_until: Option<String>,
}

impl From<SigningKeyRecord> for SigningKeyView {
    fn from(record: SigningKeyRecord) -> Self {
        let (activated_at, verifies_until) = match record.state {
            SigningKeyState::Next => (None, None),
            SigningKeyState::Current { since } => (Some(since), None),
            SigningKeyState::Retired { since, until } => (Some(since), Some(until)),
        };
        Self {
            kid: record.kid,
            algorithm: "EdDSA",
            state: record.state.as_str(),
            created_at: record.created_at.to_rfc3339_seconds(),
            activated_at: activated_at.map(Timestamp::to_rfc3339_seconds),
            verifies_until: verifies_until.map(Timestamp::to_rfc3339_seconds),
        }
    }
}

impl Show for SigningKeyView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("kid", self.kid.clone()),
            ("algorithm", self.algorithm.to_owned()),
            ("state", self.state.to_owned()),
            ("created", self.created_at.clone()),
        ];
        lines.extend(self.activated_at.clone().map(|at| ("signs since", at)));
        lines.extend(self.verifies_until.clone().map(|until| ("verifies until", until)));
        lines
    }
}

pub(crate) fn run(context: &Context, command: cli::SigningKey) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    match command {
        cli::SigningKey::List => {
            let keys = signing_keys::list(engine, &host)?;
            output::list(context.format, &keys.into_iter().map(SigningKeyView::from).collect::<Vec<_>>())
        }
        cli::SigningKey::Rotate { compromised } => {
            let why = if compromised { Rotation::Compromised } else { Rotation::Planned };
            output::one(context.format, &SigningKeyView::from(signing_keys::rotate(engine, &host, why)?))
        }
    }
}
