//! The second factor: time-based one-time passwords (RFC 6238), and recovery codes for when the
//! device that makes them is gone.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::name::Name;
use crate::registration::TypedCode;
use crate::{Email, Timestamp};

/// How long a one-time password is shown, in seconds (RFC 6238 §4.1's default).
pub const STEP_SECONDS: i64 = 30;
/// Digits of a one-time password (RFC 4226 §5.3's least).
pub const DIGITS: u32 = 6;
/// How many recovery codes a user gets.
pub const RECOVERY_CODES: usize = 10;

/// A period of 30 seconds, counted from the Unix epoch: `T` of RFC 6238 §4.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TotpStep(i64);

impl TotpStep {
    /// A step as stored.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The step's number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The steps whose codes are accepted at `now`: the present one, and one each way for clocks
    /// that drift (RFC 6238 §5.2 recommends no more than that).
    pub fn accepted(now: Timestamp) -> [Self; 3] {
        let present = now.as_unix_seconds().div_euclid(STEP_SECONDS);
        [Self(present - 1), Self(present), Self(present + 1)]
    }
}

/// What somebody typed as a second factor. Which kind it is shows in its length.
#[derive(Clone)]
pub enum TypedFactor {
    /// Six digits of an authenticator app.
    Totp(TypedCode),
    /// A recovery code.
    Recovery(RecoveryCode),
    /// Neither; it is refused like any wrong one.
    Unreadable,
}

impl TypedFactor {
    /// Reads what was typed.
    pub fn read(text: &str) -> Self {
        match (TypedCode::parse(text), RecoveryCode::parse(text)) {
            (Some(code), _) => Self::Totp(code),
            (None, Some(code)) => Self::Recovery(code),
            (None, None) => Self::Unreadable,
        }
    }
}

impl fmt::Debug for TypedFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedFactor(..)")
    }
}

/// A recovery code: 16 characters of base32 (RFC 4648 §6) in lower case, 80 bits. People see it in
/// groups of four with hyphens; those, spaces and case do not matter.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode([u8; Self::LEN]);

impl RecoveryCode {
    /// Characters of a code.
    pub const LEN: usize = 16;

    /// The code with these characters, if they can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let kept = text.bytes().filter(|b| !matches!(b, b' ' | b'-')).map(|b| b.to_ascii_lowercase());
        let code = <[u8; Self::LEN]>::try_from(kept.take(Self::LEN + 1).collect::<Vec<_>>()).ok()?;
        code.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')).then_some(Self(code))
    }

    /// The characters.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// In groups of four, to be shown once.
    pub fn to_groups(&self) -> String {
        let groups: Vec<String> =
            self.0.chunks(4).map(|group| group.iter().map(|&b| char::from(b)).collect()).collect();
        groups.join("-")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// RFC 3986's unreserved characters stay as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL behind the QR code that authenticator apps read, in the form that they agree on: label
/// `issuer:account`, and every parameter said even where it is the default.
pub fn otpauth_url(issuer: &Name, account: &Email, secret_base32: &str) -> String {
    let issuer = utf8_percent_encode(issuer.as_str(), RESERVED);
    let account = utf8_percent_encode(account.as_str(), RESERVED);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret_base32}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_step_of_drift_is_accepted_each_way() {
        let at = |seconds: i64| {
            TotpStep::accepted(Timestamp::from_micros(seconds * 1_000_000)).map(TotpStep::number)
        };
        assert_eq!(at(59), [0, 1, 2]);
        assert_eq!(at(60), [1, 2, 3]);
        assert_eq!(at(-1), [-2, -1, 0]);
    }

    #[test]
    fn what_was_typed_tells_its_kind() {
        assert!(matches!(TypedFactor::read(" 123 456 "), TypedFactor::Totp(_)));
        assert!(matches!(TypedFactor::read("ABCD-efgh-2345-mnop"), TypedFactor::Recovery(_)));
        for text in ["", "12345", "abcd-efgh-2345-mno1", "abcd-efgh-2345-mnop-q", &"x".repeat(10_000)] {
            assert!(matches!(TypedFactor::read(text), TypedFactor::Unreadable), "{text}");
        }
        let code = RecoveryCode::parse("ABCDefgh2345mnop").unwrap();
        assert_eq!(code.to_groups(), "abcd-efgh-2345-mnop");
        assert_eq!(RecoveryCode::parse(&code.to_groups()), Some(code));
    }

    #[test]
    fn the_url_escapes_what_people_call_themselves() {
        let url = otpauth_url(&"Acme & Söhne".parse().unwrap(), &"a+b@c.example".parse().unwrap(), "AAAA");
        assert_eq!(
            url,
            "otpauth://totp/Acme%20%26%20S%C3%B6hne:a%2Bb%40c.example?secret=AAAA&issuer=Acme%20%26%20S%C3%B6hne&algorithm=SHA1&digits=6&period=30"
        );
    }

    proptest! {
        #[test]
        fn a_recovery_code_is_read_back_from_what_was_shown(text in "[a-zA-Z2-7]{16}") {
            let code = RecoveryCode::parse(&text).unwrap();
            prop_assert!(code.as_bytes().eq_ignore_ascii_case(text.as_bytes()));
            prop_assert_eq!(RecoveryCode::parse(&code.to_groups()), Some(code));
        }

        #[test]
        fn no_text_panics(text: String, near in "[a-z0-9 -]{0,24}") {
            for text in [text, near] {
                if let TypedFactor::Recovery(code) = TypedFactor::read(&text) {
                    prop_assert_eq!(RecoveryCode::parse(&code.to_groups()), Some(code));
                }
            }
        }
    }
}
