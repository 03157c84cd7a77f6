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
    /// By whom; nothing where it was made on the server's host.
    pub inviter: Option<UserId>,
    /// What became of it.
    pub status: InviteStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its link is good.
    pub expires_at: Timestamp,
}

impl Invite {
    /// Whether somebody of this role in the tenant, or of none, may make the invitation: its link is no good
    /// any more once the one who made it may not.
    pub fn stands_by(&self, inviter: Option<Role>) -> bool {
        inviter.is_some_and(|role| role >= Role::Admin && role.may_change(None, Some(self.role)))
    }

    /// Whether it waits to be accepted, and its link has not run out.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.status == InviteStatus::Pending && now < self.expires_at
    }
}

/// How many invitations of a tenant wait at most: each is a mail to somebody who did not ask for it.
pub const MOST_PENDING: i64 = 200;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn an_invitation_stands_while_its_maker_may_make_it() {
        use Role::{Admin, Manager, Member, Owner};
        let id = Uuid::nil();
        let to = |role| Invite {
            id: Id::from_uuid(id),
            tenant: Id::from_uuid(id),
            email: "ada@example.com".parse().unwrap(),
            role,
            inviter: None,
            status: InviteStatus::Pending,
            created_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(5),
        };
        assert!(to(Owner).stands_by(Some(Owner)) && to(Admin).stands_by(Some(Admin)));
        assert!(!to(Owner).stands_by(Some(Admin)) && !to(Member).stands_by(Some(Manager)));
        assert!(!to(Member).stands_by(None));
        assert!(
            to(Member).is_good(Timestamp::from_micros(4)) && !to(Member).is_good(Timestamp::from_micros(5))
        );
        assert!(!Invite { status: InviteStatus::Cancelled, ..to(Member) }.is_good(Timestamp::from_micros(4)));
    }
}
