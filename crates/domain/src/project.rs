//! Projects: what a tenant's members work on.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::id::{ProjectId, TenantId};
use crate::name::Name;
use crate::slug::Slug;

/// A resource of a tenant.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: Name,
    /// Its short name, unique within the tenant.
    pub slug: Slug,
    /// Where it is on the web.
    pub website: Option<Website>,
    /// Whether it is in use.
    pub status: ProjectStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is to be changed about a project; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<Name>,
    /// Its short name.
    pub slug: Option<Slug>,
    /// Where it is on the web, or that it is nowhere.
    pub website: Option<Option<Website>>,
    /// Whether it is in use.
    pub status: Option<ProjectStatus>,
}

/// Whether a project is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProjectStatus {
    /// It is.
    Active,
    /// It is kept for the record.
    Archived,
}

impl ProjectStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

impl FromStr for ProjectStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        match text {
            "active" => Ok(Self::Active),
            "archived" => Ok(Self::Archived),
            _ => Err(InvalidStatus),
        }
    }
}

/// A text that is no status of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of active, archived")]
pub struct InvalidStatus;

/// An `http` or `https` address of at most 2048 visible ASCII characters. It is shown, and never fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Website(String);

impl Website {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Website {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no web address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an http or https address of at most 2048 characters")]
pub struct InvalidWebsite;

impl FromStr for Website {
    type Err = InvalidWebsite;

    fn from_str(text: &str) -> Result<Self, InvalidWebsite> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        // No user and password: what is shown should lead where it seems to.
        if plain && text.len() <= 2048 && !host.is_empty() && !host.starts_with(':') && !host.contains('@') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidWebsite)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_website_is_a_web_address() {
        for good in ["https://example.com", "http://localhost:3000/a?b#c", "https://[::1]/"] {
            assert!(good.parse::<Website>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://a b",
            "https://u@h",
            "https://:80",
            "https://ä.example",
        ] {
            assert!(bad.parse::<Website>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Website>();
        }
    }
}
