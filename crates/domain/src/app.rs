//! Apps: OAuth clients (RFC 6749 §2), each owned by a tenant or by the platform.

use std::fmt;
use std::str::FromStr;

use crate::id::{AppId, AppSecretId};
use crate::name::Name;
use crate::oauth::ScopeSet;
use crate::session::LAST_SEEN_GRAIN;
use crate::{Owner, Timestamp, TokenDigest};

/// An app that authenticates with secrets (a confidential client, RFC 6749 §2.1).
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its name in the protocol.
    pub client_id: ClientId,
    /// Who registered it.
    pub owner: Owner,
    /// Its name for people.
    pub name: Name,
    /// The most that its tokens may carry.
    pub allowed_scopes: ScopeSet,
    /// Whether it is its owner's own product, which may handle its end users' passwords.
    pub first_party: bool,
    /// Whether it may be used at all.
    pub active: bool,
    /// Whose credentials it may ask about.
    pub introspect: Introspect,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whose credentials an app may ask about (RFC 7662 §4: who may ask must be decided).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Introspect {
    /// Those that concern its own tenant.
    #[default]
    Own,
    /// The API keys and access tokens of every tenant. Given by operators only.
    Platform,
}

impl Introspect {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Platform => "platform",
        }
    }
}

impl fmt::Display for Introspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Introspect {
    type Err = InvalidIntrospect;

    fn from_str(text: &str) -> Result<Self, InvalidIntrospect> {
        [Self::Own, Self::Platform].into_iter().find(|one| one.as_str() == text).ok_or(InvalidIntrospect)
    }
}

/// A text that does not say whose credentials an app may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be own or platform")]
pub struct InvalidIntrospect;

/// One of an app's secrets. Several may be live at once, so that they can be exchanged one by
/// one without an outage.
#[derive(Clone, Debug)]
pub struct AppSecret {
    /// Its id.
    pub id: AppSecretId,
    /// What is kept of the secret.
    pub digest: TokenDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last authenticated its app, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops to authenticate its app, where another has taken its place.
    pub ends_at: Option<Timestamp>,
}

impl AppSecret {
    /// Whether it authenticates its app.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| now < end)
    }
}

/// How many live secrets an app may have. Each more is one more that can leak unnoticed.
pub const MAX_LIVE_SECRETS: usize = 5;

/// Whether an app may get another secret while these are kept.
pub fn has_room_for_secret<'s>(kept: impl IntoIterator<Item = &'s AppSecret>, now: Timestamp) -> bool {
    kept.into_iter().filter(|secret| secret.is_live(now)).count() < MAX_LIVE_SECRETS
}

impl AppSecret {
    /// Whether using the secret at `now` is worth a write.
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last) >= LAST_SEEN_GRAIN)
    }
}

/// A `client_id` (RFC 6749 §2.2): public, 1 to 128 of RFC 3986's unreserved characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that cannot be a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a client id")]
pub struct InvalidClientId;

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidClientId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn a_secret_is_good_until_its_end_and_not_at_it() {
        let at = Timestamp::from_micros;
        let secret = |ends_at| AppSecret {
            id: Id::from_uuid(Uuid::nil()),
            digest: TokenDigest::of("kss_x"),
            created_at: at(0),
            last_used_at: None,
            ends_at,
        };
        assert!(secret(None).is_live(at(i64::MAX)));
        assert!(secret(Some(at(10))).is_live(at(9)));
        assert!(!secret(Some(at(10))).is_live(at(10)));
    }

    proptest! {
        #[test]
        fn a_client_id_is_what_was_written(text in "[A-Za-z0-9._~-]{1,128}", other: String) {
            prop_assert_eq!(text.parse::<ClientId>().unwrap().to_string(), text);
            prop_assert!(other.parse::<ClientId>().is_err() || other.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
