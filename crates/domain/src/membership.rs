//! Memberships: people of the platform in tenants.

use crate::Timestamp;
use crate::id::{MembershipId, TenantId, UserId};
use crate::role::Role;

/// That a person belongs to a tenant. What hangs on it (the keys that are pinned to the tenant) ends with
/// it for good; who joins again has another.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Its id.
    pub id: MembershipId,
    /// The tenant.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// What it may do there.
    pub role: Role,
    /// Whether the person made the tenant.
    pub founder: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// Why a membership cannot be ended, or made less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("An organization keeps at least one owner: make somebody else an owner first.")]
pub struct LastOwner;

impl Membership {
    /// Whether the membership may become one of role `to`, or end where there is none, given how many
    /// other owners the tenant has.
    pub fn may_become(&self, to: Option<Role>, other_owners: i64) -> Result<(), LastOwner> {
        let leaves_none = self.role == Role::Owner && to != Some(Role::Owner) && other_owners == 0;
        if leaves_none { Err(LastOwner) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn a_tenant_keeps_an_owner() {
        let id = Uuid::nil();
        let of = |role| Membership {
            id: Id::from_uuid(id),
            tenant: Id::from_uuid(id),
            user: Id::from_uuid(id),
            role,
            founder: false,
            created_at: Timestamp::from_micros(0),
        };
        assert_eq!(of(Role::Owner).may_become(None, 0), Err(LastOwner));
        assert_eq!(of(Role::Owner).may_become(Some(Role::Admin), 0), Err(LastOwner));
        assert_eq!(of(Role::Owner).may_become(Some(Role::Owner), 0), Ok(()));
        assert_eq!(of(Role::Owner).may_become(None, 1), Ok(()));
        assert_eq!(of(Role::Admin).may_become(None, 0), Ok(()));
    }
}
