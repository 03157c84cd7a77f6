//! Why a command did not do what it was asked: one sentence that an operator can act on.

use std::fmt;

/// A refusal or failure, for stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: String,
    code: u8,
}

impl Failure {
    /// A refusal.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: 1 }
    }

    /// A command line that makes no sense with this configuration.
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: 2 }
    }

    /// What the program exits with.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<keystead_service::Error> for Failure {
    fn from(error: keystead_service::Error) -> Self {
        // On the host the cause is for whoever asked: it is their server.
        match std::error::Error::source(&error) {
            Some(cause) => Self::new(format!("{error} ({cause})")),
            None => Self::new(error.to_string()),
        }
    }
}

impl From<keystead_service::StartError> for Failure {
    fn from(error: keystead_service::StartError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<keystead_storage::StoreError> for Failure {
    fn from(error: keystead_storage::StoreError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<crate::config::ConfigErrors> for Failure {
    fn from(errors: crate::config::ConfigErrors) -> Self {
        Self::new(errors.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
