//! Invitations to a tenant.

use std::str::FromStr;
use std::time::Duration;

use crate::id::{InviteId, TenantId, UserId};
use crate::role::Role;
use crate::tenant::UnknownWord;
use crate::{Email, Timestamp};

/// That somebody with an address may become a member of a tenant. Its link is mailed to the address, and
/// only a digest of that is kept.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// To which tenant.
    pub tenant: TenantId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// By whom.
    pub inviter: UserId,
    /// What became of it.
    pub status: InviteStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its link is good.
    pub expires_at: Timestamp,
}

/// How long an invitation is good.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long one that was accepted, cancelled or ran out is kept to be seen.
pub const INVITE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What became of an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteStatus {
    /// Nothing yet.
    Pending,
    /// It was accepted.
    Accepted,
    /// Somebody of the tenant took it back, or the one who was invited declined.
    Cancelled,
}

impl InviteStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for InviteStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "pending" => Ok(Self::Pending),
            "accepted" => Ok(Self::Accepted),
            "cancelled" => Ok(Self::Cancelled),
            _ => Err(UnknownWord),
        }
    }
}
