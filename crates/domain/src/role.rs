//! Roles: what a member of a tenant may do there.

use std::fmt;
use std::str::FromStr;

/// What a membership allows. Each role may do all that those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Reads the tenant, its members and its projects.
    Member,
    /// Also changes projects.
    Manager,
    /// Also manages members and invitations, and sees all keys.
    Admin,
    /// Also billing, security policy and the tenant's end.
    Owner,
}

impl Role {
    /// Every role, the least powerful first.
    pub const ALL: [Self; 4] = [Self::Member, Self::Manager, Self::Admin, Self::Owner];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Whether somebody of this role may make a member of role `from` one of role `to`, or remove it
    /// where there is no `to`, or add one where there is no `from`: nobody touches a role above their own.
    pub fn may_change(self, from: Option<Self>, to: Option<Self>) -> bool {
        from.into_iter().chain(to).all(|role| role <= self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of owner, admin, manager, member")]
pub struct InvalidRole;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_grants_changes_or_removes_a_role_above_their_own() {
        use Role::{Admin, Manager, Member, Owner};
        assert!(Admin.may_change(Some(Member), Some(Admin)));
        assert!(!Admin.may_change(Some(Member), Some(Owner)), "grants");
        assert!(!Admin.may_change(Some(Owner), Some(Member)), "changes");
        assert!(!Admin.may_change(Some(Owner), None), "removes");
        assert!(!Manager.may_change(None, Some(Admin)), "invites");
        assert!(Owner.may_change(Some(Owner), None));
    }

    #[test]
    fn the_word_is_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Owner".parse::<Role>().is_err());
    }
}
