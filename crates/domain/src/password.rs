//! Passwords: how they are read, and which may be chosen.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::Secret;

/// A password as somebody typed it, in Unicode's compatibility form (NFKC), so that the same
/// keystrokes give the same bytes on every keyboard. Never truncated.
#[derive(Debug, Clone)]
pub struct Password {
    normalized: Secret<String>,
    /// The text as it came, where the form changed it.
    typed: Option<Secret<String>>,
}

impl Password {
    /// The most bytes that a password may have, so that hashing one cannot be made expensive.
    pub const MAX_BYTES: usize = 1024;

    /// Reads a password that is to be checked against a stored one.
    pub fn attempt(text: &str) -> Result<Self, WeakPassword> {
        if text.len() > Self::MAX_BYTES {
            return Err(WeakPassword::TooLong);
        }
        let normalized: String = text.nfkc().collect();
        let typed = (normalized != text).then(|| Secret::new(text.to_owned()));
        Ok(Self { normalized: Secret::new(normalized), typed })
    }

    /// Reads a password that somebody chooses. `known` are the texts that an attacker would try
    /// first: the address, the name, the product's name.
    pub fn choose(text: &str, policy: PasswordPolicy, known: &[&str]) -> Result<Self, WeakPassword> {
        let password = Self::attempt(text)?;
        let chosen = password.normalized.expose();
        if chosen.chars().count() < policy.min_length {
            return Err(WeakPassword::TooShort { min: policy.min_length });
        }
        let folded = Secret::new(chosen.to_lowercase());
        if known.iter().any(|text| {
            !text.is_empty() && text.nfkc().collect::<String>().to_lowercase() == *folded.expose()
        }) {
            return Err(WeakPassword::Guessable);
        }
        if MOST_COMMON.binary_search(&folded.expose().as_str()).is_ok() {
            return Err(WeakPassword::Common);
        }
        Ok(password)
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.normalized.expose().as_bytes()
    }

    /// The bytes that were typed, where they are others: what a system that does not normalize
    /// passwords has hashed.
    pub fn as_typed(&self) -> Option<&[u8]> {
        self.typed.as_ref().map(|typed| typed.expose().as_bytes())
    }
}

/// Which passwords may be chosen. There are no rules about kinds of characters: they make
/// passwords predictable, not strong (NIST SP 800-63B §3.1.1.2).
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// The fewest code points.
    pub min_length: usize,
}

impl PasswordPolicy {
    /// The fewest characters of a password that is all that somebody signs in with (NIST SP 800-63B-4
    /// §3.1.1.2).
    pub const NIST_MIN_LENGTH: usize = 15;

    /// The same policy, raised to what NIST asks for where it asks for less.
    #[must_use]
    pub const fn as_nist_asks(self) -> Self {
        if self.min_length < Self::NIST_MIN_LENGTH {
            return Self { min_length: Self::NIST_MIN_LENGTH };
        }
        self
    }
}

/// Why a password cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer code points than the policy asks for.
    #[error("must have at least {min} characters")]
    TooShort {
        /// The fewest.
        min: usize,
    },
    /// More than [`Password::MAX_BYTES`].
    #[error("must have at most {} bytes", Password::MAX_BYTES)]
    TooLong,
    /// One of the most common ones.
    #[error("is among the most common passwords")]
    Common,
    /// The address, the name or the product's name.
    #[error("must not be the e-mail address, the name or the name of the product")]
    Guessable,
}

/// The most common passwords of at least eight characters, in lower case, in byte order; see
/// `most_common.txt`'s entry in `NOTICE`.
static MOST_COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("password/most_common.txt").lines().collect());

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: PasswordPolicy = PasswordPolicy { min_length: 8 };

    fn choose(text: &str) -> Result<Password, WeakPassword> {
        Password::choose(text, POLICY, &["ada@acme.example", "Ada Lovelace", "Acme Rockets"])
    }

    #[test]
    fn length_is_counted_in_code_points_and_never_truncated() {
        assert_eq!(choose("äöüäöüä").unwrap_err(), WeakPassword::TooShort { min: 8 });
        assert!(choose("äöüäöüäö").is_ok());
        assert!(choose(&"x".repeat(1024)).is_ok());
        assert_eq!(choose(&"x".repeat(1025)).unwrap_err(), WeakPassword::TooLong);
    }

    #[test]
    fn nist_raises_the_least_length_and_never_lowers_it() {
        let least = |min_length| PasswordPolicy { min_length }.as_nist_asks().min_length;
        assert_eq!([least(8), least(12), least(15), least(16)], [15, 15, 15, 16]);
    }

    #[test]
    fn what_is_tried_first_is_refused_in_any_case() {
        for text in ["password123", "PassWord123", "qwertyuiop"] {
            assert_eq!(choose(text).unwrap_err(), WeakPassword::Common, "{text}");
        }
        for text in ["Ada@acme.example", "ada lovelace", "acme rockets"] {
            assert_eq!(choose(text).unwrap_err(), WeakPassword::Guessable, "{text}");
        }
    }

    #[test]
    fn a_passphrase_of_plain_words_passes() {
        assert!(choose("correct horse battery staple").is_ok());
    }

    #[test]
    fn two_spellings_of_the_same_password_are_one() {
        let composed = Password::attempt("pâté").unwrap();
        let decomposed = Password::attempt("pa\u{302}te\u{301}").unwrap();
        assert_eq!(composed.as_bytes(), decomposed.as_bytes());
        assert_eq!(composed.as_typed(), None);
        assert_eq!(decomposed.as_typed(), Some("pa\u{302}te\u{301}".as_bytes()));
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(MOST_COMMON.is_sorted());
        assert!(MOST_COMMON.len() > 10_000);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_spellings_agree(text: String) {
            let attempted = Password::attempt(&text);
            if let Ok(chosen) = choose(&text) {
                let attempted = attempted.unwrap();
                prop_assert_eq!(chosen.as_bytes(), attempted.as_bytes());
            }
        }
    }
}
