//! Pending registrations: sign-ups whose address has not been confirmed.
//!
//! Whoever signs up with an address may not own it, so a sign-up is kept apart from users. It
//! has its future user's id, password and code; the code confirms that registration only, and
//! the first one confirmed discards the others of its address.

use std::fmt;
use std::time::Duration;

use crate::id::UserId;
use crate::name::Name;
use crate::user::PasswordHash;
use crate::{Email, Owner, Timestamp, TokenDigest};

/// A sign-up that waits for its code.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The id that its user will have.
    pub id: UserId,
    /// In whose directory.
    pub directory: Owner,
    /// The address to confirm.
    pub email: Email,
    /// What the user will be called.
    pub name: Option<Name>,
    /// The user's password.
    pub password: PasswordHash,
    /// The code that confirms it, where one was sent.
    pub code: Option<PendingCode>,
    /// What is kept of the token of the link that confirms it as well, where one was sent.
    pub link: Option<TokenDigest>,
    /// When the sign-up was made.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// How long a registration waits.
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many registrations of one address may wait at once.
pub const MAX_LIVE: usize = 3;
/// How long a mailed code is good for.
pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// How many tries a mailed code stands.
pub const CODE_TRIES: u8 = 5;

/// What is kept of a mailed code.
#[derive(Clone, Debug)]
pub struct PendingCode {
    /// The code under a key of the server.
    pub mac: CodeMac,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many tries are left.
    pub tries_left: u8,
}

impl PendingCode {
    /// A code sent at `now`.
    pub fn sent(mac: CodeMac, now: Timestamp) -> Self {
        Self { mac, expires_at: now + CODE_LIFETIME, tries_left: CODE_TRIES }
    }

    /// Whether the code can still confirm anything at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.tries_left > 0 && now < self.expires_at
    }
}

/// An HMAC of a mailed code. Six digits have 20 bits, so a bare digest of one could be reversed
/// by whoever reads the database; a MAC under a key that is not in it cannot.
#[derive(Clone, Copy)]
pub struct CodeMac([u8; 32]);

impl CodeMac {
    /// A MAC as computed or as stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are of the same code, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl fmt::Debug for CodeMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeMac(..)")
    }
}

/// Whether one more registration of an address may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// It may.
    Free,
    /// It may in place of this one.
    Replacing(UserId),
    /// It may not: all that wait have a code that is still good.
    Full,
}

/// Decides about one more registration of an address, given those that wait.
///
/// Only a registration without a good code makes room, the oldest first. Otherwise a stranger
/// who signs up with somebody's address three times could discard that person's own sign-up
/// while the code for it is in the mail, and the person would confirm the stranger's.
pub fn room(waiting: &[Registration], now: Timestamp) -> Room {
    let live: Vec<_> = waiting.iter().filter(|r| now < r.expires_at).collect();
    if live.len() < MAX_LIVE {
        return Room::Free;
    }
    live.iter()
        .filter(|r| !r.code.as_ref().is_some_and(|code| code.is_live(now)))
        .min_by_key(|r| (r.created_at, r.id))
        .map_or(Room::Full, |r| Room::Replacing(r.id))
}

/// The digits that a person copies from a mail, as they typed them: spaces and hyphens do not
/// matter. Six ASCII digits.
#[derive(Clone)]
pub struct TypedCode([u8; 6]);

impl TypedCode {
    /// The six digits in `text`, or nothing if it can be no code.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b' ' | b'-')).take(7).collect();
        let code = <[u8; 6]>::try_from(digits).ok()?;
        code.iter().all(u8::is_ascii_digit).then_some(Self(code))
    }

    /// The digits.
    pub const fn digits(&self) -> &[u8; 6] {
        &self.0
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn waiting(id: u128, minute: u64, code: bool) -> Registration {
        let at = Timestamp::from_micros(0) + Duration::from_secs(60 * minute);
        Registration {
            link: None,
            id: Id::from_uuid(Uuid::from_u128(id)),
            directory: Owner::Platform,
            email: "a@b.example".parse().unwrap(),
            name: None,
            password: PasswordHash::new(String::new()),
            code: code.then(|| PendingCode::sent(CodeMac::from_bytes([0; 32]), at)),
            created_at: at,
            expires_at: at + REGISTRATION_LIFETIME,
        }
    }

    #[test]
    fn a_fourth_registration_waits_only_in_place_of_one_whose_code_is_no_good() {
        let now = Timestamp::from_micros(0) + Duration::from_secs(11 * 60);
        let two = [waiting(1, 0, true), waiting(2, 5, true)];
        assert_eq!(room(&two, now), Room::Free);
        let three = [waiting(1, 5, true), waiting(2, 0, true), waiting(3, 6, false)];
        assert_eq!(room(&three, now), Room::Replacing(three[1].id), "the oldest whose code ran out");
        let good = [waiting(1, 5, true), waiting(2, 6, true), waiting(3, 7, true)];
        assert_eq!(room(&good, now), Room::Full);
        let later = now + REGISTRATION_LIFETIME;
        assert_eq!(room(&good, later), Room::Free, "those that ran out do not count");
    }

    #[test]
    fn a_code_is_good_for_ten_minutes_and_five_tries() {
        let sent = Timestamp::from_micros(0);
        let code = PendingCode::sent(CodeMac::from_bytes([0; 32]), sent);
        assert!(code.is_live(sent + Duration::from_secs(599)));
        assert!(!code.is_live(sent + Duration::from_secs(600)));
        assert!(!PendingCode { tries_left: 0, ..code }.is_live(sent));
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(TypedCode::parse(" 123-456 ").unwrap().digits(), b"123456");
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", "123456789012345678901234567890"]
        {
            assert!(TypedCode::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_read_however_they_are_grouped(digits in "[0-9]{6}", gaps in prop::collection::vec("[ -]{0,3}", 7)) {
            let typed: String = gaps.iter().map(String::as_str).zip(digits.split("")).flat_map(|(gap, digit)| [digit, gap]).collect();
            let code = TypedCode::parse(&typed).unwrap();
            prop_assert_eq!(code.digits().as_slice(), digits.as_bytes());
        }

        #[test]
        fn no_text_panics_and_what_is_read_are_digits(text: String) {
            let code = TypedCode::parse(&text);
            prop_assert!(code.is_none_or(|code| code.digits().iter().all(u8::is_ascii_digit)));
        }
    }
}
