//! Scopes (RFC 6749 §3.3).

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A scope-token: 1 to 64 visible ASCII characters but `"` and `\`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    /// The scope that opens all of the app API.
    pub const API: &'static str = "api";

    /// Seeing one's own profile.
    pub const USER_READ: &'static str = "user:read";
    /// Changing one's own profile.
    pub const USER_WRITE: &'static str = "user:write";
    /// Seeing projects.
    pub const PROJECTS_READ: &'static str = "projects:read";
    /// Making, changing and deleting projects.
    pub const PROJECTS_WRITE: &'static str = "projects:write";
    /// Seeing API keys.
    pub const API_KEYS_READ: &'static str = "api-keys:read";
    /// Renaming and narrowing API keys.
    pub const API_KEYS_WRITE: &'static str = "api-keys:write";
    /// Revoking API keys.
    pub const API_KEYS_DELETE: &'static str = "api-keys:delete";
    /// Seeing the plan.
    pub const SUBSCRIPTION_READ: &'static str = "subscription:read";
    /// Changing the plan.
    pub const SUBSCRIPTION_WRITE: &'static str = "subscription:write";

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// Scopes are compared and ordered as their texts are.
impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a scope")]
pub struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidScope)
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A set of scopes; written with single spaces between them, in alphabetical order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Whether the scope is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of these are in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The scopes that are to be kept.
    #[must_use]
    pub fn retaining(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.iter().filter(|scope| keep(scope.as_str())).cloned().collect()
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Scope::as_str)
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        text.split(' ').filter(|s| !s.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scopes_are_the_characters_of_the_rfc() {
        for bad in ["", "a\"b", "a\\b", "ä", "a\u{7f}", "a\tb"] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?}");
        }
        assert_eq!("write  read read ".parse::<ScopeSet>().unwrap().to_string(), "read write");
    }

    proptest! {
        #[test]
        fn a_set_is_read_back_as_written(text in "[!#-\\[\\]-~ ]{0,60}") {
            if let Ok(set) = text.parse::<ScopeSet>() {
                prop_assert_eq!(set.to_string().parse::<ScopeSet>().unwrap(), set);
            }
        }

        #[test]
        fn an_intersection_is_in_both(a in "([a-d] ){0,4}", b in "([a-d] ){0,4}") {
            let (a, b): (ScopeSet, ScopeSet) = (a.parse().unwrap(), b.parse().unwrap());
            let both = a.intersection(&b);
            prop_assert!(both.is_subset(&a) && both.is_subset(&b));
        }
    }
}
