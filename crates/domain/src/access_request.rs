//! Access requests: companies that ask for an app. An operator approves or rejects each.

use std::str::FromStr;
use std::time::Duration;

use crate::id::{AccessRequestId, AppId, TenantId};
use crate::name::Name;
use crate::prose::Prose;
use crate::tenant::UnknownWord;
use crate::{Email, Timestamp};

/// What a company wants access for.
pub type IntendedUse = Prose<2000>;
/// Why a request was rejected, as its contact is told.
pub type RejectionReason = Prose<1000>;

/// A request. Nothing in it is proved: anybody can send one, with anybody's address.
#[derive(Clone, Debug)]
pub struct AccessRequest {
    /// Its id.
    pub id: AccessRequestId,
    /// What the company calls itself.
    pub company: Name,
    /// Who is told what was decided.
    pub contact: Email,
    /// What it wants access for.
    pub intended_use: IntendedUse,
    /// What became of it.
    pub state: RequestState,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What became of a request. It is decided once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Nothing yet.
    Pending,
    /// A tenant and an app were made for it.
    Approved {
        /// The tenant.
        tenant: TenantId,
        /// The tenant's app.
        app: AppId,
        /// When.
        at: Timestamp,
    },
    /// It was turned down.
    Rejected {
        /// Why.
        reason: RejectionReason,
        /// When.
        at: Timestamp,
    },
}

/// How long a request is kept that nobody decides, or that was rejected. (An approved one is kept
/// with its tenant.)
pub const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

impl RequestState {
    /// Its status.
    pub const fn status(&self) -> RequestStatus {
        match self {
            Self::Pending => RequestStatus::Pending,
            Self::Approved { .. } => RequestStatus::Approved,
            Self::Rejected { .. } => RequestStatus::Rejected,
        }
    }

    /// When it was decided.
    pub const fn decided_at(&self) -> Option<Timestamp> {
        match self {
            Self::Pending => None,
            Self::Approved { at, .. } | Self::Rejected { at, .. } => Some(*at),
        }
    }
}

/// The states of a request, without what belongs to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestStatus {
    /// Not decided.
    Pending,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
}

impl RequestStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl FromStr for RequestStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "pending" => Ok(Self::Pending),
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            _ => Err(UnknownWord),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_word_and_its_time() {
        let at = Timestamp::from_micros(7);
        let rejected = RequestState::Rejected { reason: "No.".parse().unwrap(), at };
        assert_eq!((rejected.status(), rejected.decided_at()), (RequestStatus::Rejected, Some(at)));
        assert_eq!(RequestState::Pending.decided_at(), None);
        for status in [RequestStatus::Pending, RequestStatus::Approved, RequestStatus::Rejected] {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("Pending".parse::<RequestStatus>().is_err());
    }

    #[test]
    fn an_intended_use_has_up_to_2000_characters() {
        assert!("é".repeat(2000).parse::<IntendedUse>().is_ok());
        assert!("é".repeat(2001).parse::<IntendedUse>().is_err());
    }
}
