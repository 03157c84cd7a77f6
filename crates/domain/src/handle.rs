//! Handles: the short names of people.

use std::fmt;
use std::str::FromStr;

use crate::Email;
use crate::name::Name;
use crate::slug::Slug;

/// 1 to 39 lower-case ASCII letters and digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handle(String);

const MAX: usize = 39;
/// What is derived stays short enough that a number can follow.
const MAX_DERIVED: usize = 30;

impl Handle {
    /// The handle as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A handle made of the name's ASCII letters and digits, or of those of the address's local part where
    /// nothing is left of the name, or else `user`.
    ///
    /// ```
    /// use keystead_domain::{Email, handle::Handle};
    /// let email: Email = "y.name@example.com".parse().unwrap();
    /// assert_eq!(Handle::derive(Some(&"Your Name".parse().unwrap()), &email).as_str(), "yourname");
    /// assert_eq!(Handle::derive(None, &email).as_str(), "yname");
    /// ```
    pub fn derive(name: Option<&Name>, email: &Email) -> Self {
        let local = email.key().split('@').next().unwrap_or_default();
        let of = |text: &str| -> String {
            let kept = text.chars().filter(char::is_ascii_alphanumeric).take(MAX_DERIVED);
            kept.map(|c| c.to_ascii_lowercase()).collect()
        };
        let derived = [name.map_or("", Name::as_str), local, "user"].map(of);
        Self(derived.into_iter().find(|text| !text.is_empty()).unwrap_or_default())
    }

    /// The handle for when this one is taken: itself and a number.
    pub fn numbered(&self, number: u32) -> Self {
        Self(format!("{}{number}", self.0))
    }

    /// The slug of the first organization of whoever has this handle. A slug has at least two characters.
    pub fn to_slug(&self) -> Slug {
        let text = if self.0.len() < 2 { format!("{}0", self.0) } else { self.0.clone() };
        text.parse().unwrap_or_else(|_| Slug::fallback())
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 39 lower-case letters and digits")]
pub struct InvalidHandle;

impl FromStr for Handle {
    type Err = InvalidHandle;

    fn from_str(text: &str) -> Result<Self, InvalidHandle> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if plain && (1..=MAX).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(InvalidHandle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_derived_is_a_handle_and_gives_a_slug(name in "\\PC{1,60}", number: u32) {
            let email: Email = "-@example.com".parse().unwrap();
            let handle = Handle::derive(name.parse().ok().as_ref(), &email);
            prop_assert!(handle.as_str().parse::<Handle>().is_ok(), "{handle}");
            prop_assert!(handle.numbered(number % 1_000_000_000).as_str().parse::<Handle>().is_ok());
            prop_assert!(handle.to_slug().as_str().starts_with(handle.as_str()));
        }
    }
}
