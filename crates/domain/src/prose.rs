//! Prose: what somebody wrote about something, in sentences and lines.

use std::fmt;
use std::str::FromStr;

/// 1 to `MAX` characters with at least one that is visible. Lines may break; other control
/// characters are refused, since a terminal or a mail would act on them. Line breaks are kept as
/// `\n`, however they were typed (forms send `\r\n`), and white space around the text is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Prose<const MAX: usize>(String);

impl<const MAX: usize> Prose<MAX> {
    /// The most characters that it may have.
    pub const MAX_CHARS: usize = MAX;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Prose<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Prose<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that cannot be prose of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProse {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More characters than it may have.
    #[error("must have at most {max} characters")]
    TooLong {
        /// How many it may have.
        max: usize,
    },
    /// A control character that is no line break, such as NUL or ESC.
    #[error("must not contain control characters other than line breaks")]
    Control,
}

impl<const MAX: usize> FromStr for Prose<MAX> {
    type Err = InvalidProse;

    fn from_str(text: &str) -> Result<Self, InvalidProse> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.trim();
        if text.is_empty() {
            Err(InvalidProse::Empty)
        } else if text.chars().count() > MAX {
            Err(InvalidProse::TooLong { max: MAX })
        } else if text.chars().any(|c| c.is_control() && c != '\n') {
            Err(InvalidProse::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_may_break_and_nothing_else_may_be_controlled() {
        let prose: Prose<40> = " one\r\ntwo\rthree\n\nfour ".parse().unwrap();
        assert_eq!(prose.as_str(), "one\ntwo\nthree\n\nfour");
        for text in ["a\0b", "a\tb", "\u{1b}[31mred", "a\u{85}b", "a\u{7f}"] {
            assert_eq!(text.parse::<Prose<40>>(), Err(InvalidProse::Control), "{text:?}");
        }
    }

    #[test]
    fn its_length_is_bounded_in_characters() {
        assert_eq!(" \n ".parse::<Prose<4>>(), Err(InvalidProse::Empty));
        assert_eq!("éééé".parse::<Prose<4>>().unwrap().as_str(), "éééé");
        assert_eq!("ééééé".parse::<Prose<4>>(), Err(InvalidProse::TooLong { max: 4 }));
        assert_eq!("a\r\nb".parse::<Prose<3>>().unwrap().as_str(), "a\nb", "a line break is one");
    }

    proptest! {
        #[test]
        fn it_is_read_back_as_it_is_kept(text in "(\\PC|\n|\r){0,60}") {
            if let Ok(prose) = text.parse::<Prose<50>>() {
                prop_assert_eq!(prose.as_str().parse::<Prose<50>>(), Ok(prose));
            }
        }
    }
}
