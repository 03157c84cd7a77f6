//! Typed ids: a UUIDv7 (RFC 9562 §5.7) shown as a TypeID, that is a prefix, `_`, and 26
//! characters of lower-case Crockford base32.
//!
//! The account API shows some of the same ids as 26 upper-case characters without a prefix (a
//! ULID's shape); every surface accepts both forms. Their text sorts by time, so inserts stay
//! at the end of an index and keyset pagination needs no other column.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use uuid::{Builder, Uuid};

use crate::{Env, Timestamp};

/// What an id names. Each kind is an empty type with the prefix that its ids carry.
pub trait Kind {
    /// The prefix without the underscore, such as `usr`.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal => $id:ident;)*) => {
        /// The kinds of ids.
        pub mod kind {
            $(
                $(#[$doc])*
                pub enum $kind {}
                impl super::Kind for $kind {
                    const PREFIX: &'static str = $prefix;
                }
            )*
        }
        $( $(#[$doc])* pub type $id = Id<kind::$kind>; )*
    };
}

kinds! {
    /// A tenant.
    Tenant = "ten" => TenantId;
    /// An app, that is an OAuth client. Its public name is its [`ClientId`](crate::app::ClientId).
    App = "app" => AppId;
    /// One of an app's secrets.
    AppSecret = "sec" => AppSecretId;
    /// A user of some directory. A pending registration already carries its future user's id.
    User = "usr" => UserId;
    /// A session. It names the session and authenticates nothing.
    Session = "ses" => SessionId;
    /// An audit event.
    Event = "evt" => EventId;
    /// A mail in the outbox.
    Mail = "mail" => MailId;
    /// A job for the background worker.
    Job = "job" => JobId;
    /// A request for access.
    AccessRequest = "req" => AccessRequestId;
    /// That a person belongs to a tenant.
    Membership = "mbr" => MembershipId;
    /// A tenant's project.
    Project = "prj" => ProjectId;
    /// An API key. It names the key and authenticates nothing.
    ApiKey = "ak" => ApiKeyId;
    /// An invitation to a tenant.
    Invite = "inv" => InviteId;
    /// One run of the binary: the server from its start to its end, or one command.
    Process = "boot" => ProcessId;
}

/// A UUIDv7 that says in its type what it names.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// Crockford's alphabet: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 26 characters of 5 bits hold the 128 bits of a UUID; the first carries only 3.
const TEXT_LEN: usize = 26;

impl<K: Kind> Id<K> {
    /// A new id made of `now` and the environment's randomness.
    pub fn mint(now: Timestamp, env: &dyn Env) -> Self {
        let mut random = [0; 10];
        env.fill(&mut random);
        Self::from_uuid(Builder::from_unix_timestamp_millis(now.as_unix_millis(), &random).into_uuid())
    }

    /// The id around a UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    fn text(&self, alphabet: impl Fn(u8) -> u8) -> [u8; TEXT_LEN] {
        let mut rest = self.uuid.as_u128();
        let mut text = [0; TEXT_LEN];
        for place in text.iter_mut().rev() {
            *place = alphabet(ALPHABET[(rest & 31) as usize]);
            rest >>= 5;
        }
        text
    }

    /// The same 26 characters in upper case without the prefix, as the account API shows them.
    pub fn to_ulid(&self) -> String {
        let text = self.text(|c| c.to_ascii_uppercase());
        std::str::from_utf8(&text).unwrap_or_default().to_owned()
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        let text = self.text(|c| c);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters")]
pub struct InvalidId {
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { prefix: K::PREFIX };
        let bare = match text.split_once('_') {
            Some((prefix, bare)) if prefix == K::PREFIX && !bare.bytes().any(|b| b.is_ascii_uppercase()) => {
                bare
            }
            Some(_) => return Err(invalid),
            None if text.bytes().any(|b| b.is_ascii_lowercase()) => return Err(invalid),
            None => text,
        };
        if bare.len() != TEXT_LEN {
            return Err(invalid);
        }
        let mut value: u128 = 0;
        for (at, byte) in bare.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&c| c == byte.to_ascii_lowercase()).ok_or(invalid)?;
            // A first character above 7 would not fit into 128 bits.
            if at == 0 && digit > 7 {
                return Err(invalid);
            }
            value = (value << 5) | digit as u128;
        }
        Ok(Self::from_uuid(Uuid::from_u128(value)))
    }
}

// Derives would ask the same of the kind, which is never made.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_reads_like_the_typeid_specification_says() {
        // From the TypeID specification's valid.json.
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        assert_eq!(UserId::from_uuid(uuid).to_string(), "usr_01h455vb4pex5vsknk084sn02q");
        assert_eq!(UserId::from_uuid(uuid).to_ulid(), "01H455VB4PEX5VSKNK084SN02Q");
    }

    #[test]
    fn another_kinds_id_is_refused() {
        assert!("ten_01h455vb4pex5vsknk084sn02q".parse::<UserId>().is_err());
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "usr_",
            "usr_81h455vb4pex5vsknk084sn02q",
            "usr_01h455vb4pex5vsknk084sn02u",
            "usr_01H455VB4PEX5VSKNK084SN02Q",
            "01h455vb4pex5vsknk084sn02q",
            "usr_01h455vb4pex5vsknk084sn02qq",
            "usr_usr_01h455vb4pex5vsknk084sn0",
            "usr_01h455vb4pex5vsknk084sn02é",
        ] {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_lead_back_to_the_id(value: u128) {
            let id = UserId::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
            prop_assert_eq!(id.to_ulid().parse::<UserId>(), Ok(id));
        }

        #[test]
        fn the_text_sorts_like_the_id(a: u128, b: u128) {
            let (a, b) = (UserId::from_uuid(Uuid::from_u128(a)), UserId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<UserId>();
        }
    }
}
