//! Tenants: the customers, each with its own directory of end users and its own apps.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::id::TenantId;
use crate::name::Name;
use crate::slug::Slug;

/// A customer account.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name, unique among all tenants.
    pub slug: Slug,
    /// Its name.
    pub name: Name,
    /// What it pays for.
    pub plan: PlanName,
    /// Whether it may act.
    pub status: TenantStatus,
    /// Its network identity, provisioned out of band.
    pub entity_hotkey: Option<NetworkIdentity>,
    /// What it demands of its members.
    pub demands: Demands,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a tenant demands of its members.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Demands {
    /// A second factor.
    pub second_factor: bool,
    /// Keys that are pinned to the tenant: no others reach it.
    pub pinned_keys: bool,
}

/// Whether a tenant may act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TenantStatus {
    /// It may.
    Active,
    /// Its apps, keys, sessions and tokens are refused.
    Suspended,
}

impl TenantStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

impl FromStr for TenantStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            _ => Err(UnknownWord),
        }
    }
}

/// A stored word that names none of an enum's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

/// The name of a plan: 1 to 32 lower-case letters, digits, hyphens and underscores, a letter first. Which plans
/// there are is said by the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanName(String);

impl PlanName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PlanName {
    type Err = InvalidPlanName;

    fn from_str(text: &str) -> Result<Self, InvalidPlanName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let fits = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 32;
        if fits && text.bytes().all(allowed) { Ok(Self(text.to_owned())) } else { Err(InvalidPlanName) }
    }
}

/// A text that no plan can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 lower-case letters, digits, hyphens and underscores, a letter first")]
pub struct InvalidPlanName;

/// An opaque string of 1 to 256 visible ASCII characters that names a tenant in some network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkIdentity(String);

impl NetworkIdentity {
    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a network identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 256 visible ASCII characters")]
pub struct InvalidNetworkIdentity;

impl FromStr for NetworkIdentity {
    type Err = InvalidNetworkIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidNetworkIdentity> {
        if (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNetworkIdentity)
        }
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_identity_is_what_was_written(text in "[!-~]{1,256}", other: String) {
            let identity: NetworkIdentity = text.parse().unwrap();
            prop_assert_eq!(identity.as_str(), &text);
            prop_assert!(other.parse::<NetworkIdentity>().is_err() || other.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(other.parse::<PlanName>().is_err() || other.starts_with(|c: char| c.is_ascii_lowercase()));
        }
    }
}
