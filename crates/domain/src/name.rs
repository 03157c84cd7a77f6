//! Names that people give to themselves, to tenants and to apps.

use std::fmt;
use std::str::FromStr;

/// 1 to 200 characters with at least one that is visible, without control characters (neither
/// a database nor a mail header takes those), without white space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The most characters that a name may have.
    pub const MAX_CHARS: usize = 200;

    /// The name of the first organization of somebody of this name.
    ///
    /// ```
    /// let ada: keystead_domain::name::Name = "Ada".parse().unwrap();
    /// assert_eq!(ada.of_organization().as_str(), "Ada's organization");
    /// ```
    #[must_use]
    pub fn of_organization(&self) -> Self {
        const SUFFIX: &str = "'s organization";
        let kept: String = self.0.chars().take(Self::MAX_CHARS - SUFFIX.len()).collect();
        Self(format!("{}{SUFFIX}", kept.trim_end()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More than [`Name::MAX_CHARS`] characters.
    #[error("must have at most {} characters", Name::MAX_CHARS)]
    TooLong,
    /// A control character, such as a line break or NUL.
    #[error("must not contain control characters")]
    Control,
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = text.trim();
        if name.is_empty() {
            Err(InvalidName::Empty)
        } else if name.chars().count() > Self::MAX_CHARS {
            Err(InvalidName::TooLong)
        } else if name.chars().any(char::is_control) {
            Err(InvalidName::Control)
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(" Ada ".parse::<Name>().unwrap().as_str(), "Ada");
        assert_eq!("  ".parse::<Name>(), Err(InvalidName::Empty));
        assert_eq!("é".repeat(201).parse::<Name>(), Err(InvalidName::TooLong));
        assert!("é".repeat(200).parse::<Name>().is_ok());
        assert_eq!("a\0b".parse::<Name>(), Err(InvalidName::Control));
        assert_eq!("a\r\nBcc: b".parse::<Name>(), Err(InvalidName::Control));
    }

    proptest! {
        #[test]
        fn a_name_is_read_back_and_has_no_line_of_its_own(text: String, near in "[ a-z\u{0}-\u{20}é]{0,210}") {
            for text in [text, near] {
                if let Ok(name) = text.parse::<Name>() {
                    prop_assert!(!name.as_str().chars().any(char::is_control));
                    prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
                }
            }
        }
    }
}
