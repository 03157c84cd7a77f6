//! Slugs: the short names of tenants in commands and addresses.

use std::fmt;
use std::str::FromStr;

use crate::name::Name;

/// `[a-z0-9](-?[a-z0-9]){1,38}`: 2 to 39 lower-case letters and digits, with single hyphens
/// between them.
#[derive(Clone, PartialEq, Eq)]
pub struct Slug(String);

/// The most letters and digits in a slug; hyphens do not count.
const MAX_ALPHANUMERIC: usize = 39;
/// What is derived from a name stays short enough that `-` and four characters can follow.
const MAX_DERIVED: usize = MAX_ALPHANUMERIC - 4;

impl Slug {
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A slug made of a name's ASCII letters and digits, `fallback` where too few are left.
    ///
    /// ```
    /// use keystead_domain::{name::Name, slug::Slug};
    /// let name: Name = "Acme, Inc.".parse().unwrap();
    /// assert_eq!(Slug::derive(&name, "tenant").as_str(), "acme-inc");
    /// ```
    pub fn derive(name: &Name, fallback: &'static str) -> Self {
        let mut slug = String::new();
        let mut alphanumeric = 0;
        for c in name.as_str().chars() {
            if c.is_ascii_alphanumeric() && alphanumeric < MAX_DERIVED {
                slug.push(c.to_ascii_lowercase());
                alphanumeric += 1;
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug = slug.trim_end_matches('-');
        Self(if alphanumeric < 2 { fallback } else { slug }.to_owned())
    }

    /// What takes the place of a slug that nothing can be derived for.
    pub(crate) fn fallback() -> Self {
        Self("organization".to_owned())
    }

    /// The slug for when this one is taken: itself, `-`, and four characters made of `random`.
    pub fn with_suffix(&self, random: [u8; 4]) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let suffix: String = random.iter().map(|&b| char::from(ALPHABET[usize::from(b & 31)])).collect();
        Self(format!("{}-{suffix}", self.0))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that is no slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 2 to 39 lower-case letters and digits, with single hyphens between them")]
pub struct InvalidSlug;

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let alphanumeric = text.bytes().filter(|&b| b != b'-').count();
        let well_formed = text
            .split('-')
            .all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        if well_formed && (2..=MAX_ALPHANUMERIC).contains(&alphanumeric) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSlug)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar_is_kept() {
        for good in ["ab", "a-b", "acme", "a-1-b-2", &"a".repeat(39)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "a", "-a", "a-", "a--b", "Ab", "a_b", "a b", "ä1", &"a".repeat(40)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_derived_slug_is_a_slug_with_and_without_suffix(name in "\\PC{1,250}", random: [u8; 4]) {
            if let Ok(name) = name.parse::<Name>() {
                let slug = Slug::derive(&name, "tenant");
                prop_assert!(slug.as_str().parse::<Slug>().is_ok(), "{}", slug);
                prop_assert!(slug.with_suffix(random).as_str().parse::<Slug>().is_ok());
            }
        }
    }
}
