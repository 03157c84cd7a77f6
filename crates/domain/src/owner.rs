//! Whose rows.

use std::fmt;
use std::str::FromStr;

use crate::id::{InvalidId, TenantId};

/// Who a row belongs to: the platform itself, or one tenant. The users of one owner are its
/// *directory*; its apps are those that it registered. No row belongs to two owners.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// The platform: people who use the console, and apps that the platform itself runs.
    Platform,
    /// One tenant: its end users, and its apps.
    Tenant(TenantId),
}

impl Owner {
    /// The tenant, where it is one.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Platform => None,
            Self::Tenant(id) => Some(id),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Tenant(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for Owner {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "platform" => Ok(Self::Platform),
            id => id.parse().map(Self::Tenant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn an_owner_is_read_back(tenant: Option<u128>, text: String) {
            let owner = tenant.map_or(Owner::Platform, |id| Owner::Tenant(Id::from_uuid(Uuid::from_u128(id))));
            prop_assert_eq!(owner.to_string().parse::<Owner>().unwrap(), owner);
            let _ = text.parse::<Owner>();
        }
    }
}
