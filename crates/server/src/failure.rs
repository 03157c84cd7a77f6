//! Why a command did not do what it was asked: one sentence that an operator can act on.

use std::fmt;

/// A refusal or failure, for stderr.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<keystead_service::Error> for Failure {
    fn from(error: keystead_service::Error) -> Self {
        // On the host the cause is for whoever asked: it is their server.
        match std::error::Error::source(&error) {
            Some(cause) => Self(format!("{error} ({cause})")),
            None => Self(error.to_string()),
        }
    }
}

impl From<keystead_service::StartError> for Failure {
    fn from(error: keystead_service::StartError) -> Self {
        Self(error.to_string())
    }
}

impl From<keystead_storage::StoreError> for Failure {
    fn from(error: keystead_storage::StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<crate::config::ConfigErrors> for Failure {
    fn from(errors: crate::config::ConfigErrors) -> Self {
        Self(errors.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
