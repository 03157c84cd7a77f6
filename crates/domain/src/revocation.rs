//! What a right hangs on. Whoever keeps something that was verified in memory forgets it when one
//! of the things that it hung on was ended or changed.

use crate::id::{ApiKeyId, AppId, SessionId, TenantId, UserId};

/// Something that was ended or changed, with all that hangs on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Revocation {
    /// A tenant: its status, its plan, what it is called.
    Tenant(TenantId),
    /// An app: whether it is active, its secrets.
    App(AppId),
    /// A user: its status, its profile, its second factor, its memberships, all of its sessions.
    User(UserId),
    /// One session.
    Session(SessionId),
    /// One API key: its name, its scopes, its secrets, whether a tenant bars it.
    ApiKey(ApiKeyId),
    /// Which projects a tenant has.
    Projects(TenantId),
    /// The keys that tokens are checked with.
    SigningKeys,
}

impl Revocation {
    /// The words that are stored: the kind, and the id where there are several of the kind.
    pub fn to_words(self) -> (&'static str, String) {
        match self {
            Self::Tenant(id) => ("tenant", id.to_string()),
            Self::App(id) => ("app", id.to_string()),
            Self::User(id) => ("user", id.to_string()),
            Self::Session(id) => ("session", id.to_string()),
            Self::ApiKey(id) => ("api_key", id.to_string()),
            Self::Projects(id) => ("projects", id.to_string()),
            Self::SigningKeys => ("signing_keys", String::new()),
        }
    }

    /// Reads the words; nothing where a newer version wrote them.
    pub fn from_words(kind: &str, key: &str) -> Option<Self> {
        match kind {
            "tenant" => key.parse().ok().map(Self::Tenant),
            "app" => key.parse().ok().map(Self::App),
            "user" => key.parse().ok().map(Self::User),
            "session" => key.parse().ok().map(Self::Session),
            "api_key" => key.parse().ok().map(Self::ApiKey),
            "projects" => key.parse().ok().map(Self::Projects),
            "signing_keys" => Some(Self::SigningKeys),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn what_is_written_is_read() {
        let id = Uuid::from_u128(7);
        for revocation in [
            Revocation::Tenant(Id::from_uuid(id)),
            Revocation::App(Id::from_uuid(id)),
            Revocation::User(Id::from_uuid(id)),
            Revocation::Session(Id::from_uuid(id)),
            Revocation::ApiKey(Id::from_uuid(id)),
            Revocation::Projects(Id::from_uuid(id)),
            Revocation::SigningKeys,
        ] {
            let (kind, key) = revocation.to_words();
            assert_eq!(Revocation::from_words(kind, &key), Some(revocation));
        }
        assert_eq!(Revocation::from_words("moon", "1"), None);
        assert_eq!(Revocation::from_words("user", "nonsense"), None);
    }
}
