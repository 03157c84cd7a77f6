//! Sessions: signed-in users.

use std::net::IpAddr;
use std::time::Duration;

use crate::id::{SessionId, TenantId, UserId};
use crate::{Owner, Timestamp};

/// A signed-in user on one device. Its token is known to the device alone; only a digest of it
/// is stored, and the id authenticates nothing.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// In whose directory.
    pub directory: Owner,
    /// Who is signed in.
    pub user: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends however much it is used.
    pub ends_at: Timestamp,
    /// From where it began.
    pub ip: Option<IpAddr>,
    /// What the device called itself.
    pub user_agent: Option<UserAgent>,
    /// The tenant that its user, a person of the platform, works in. It says what is shown first, and
    /// opens nothing.
    pub active_tenant: Option<TenantId>,
    /// Whether its cookie goes when the browser is closed.
    pub transient: bool,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct SessionLifetime {
    /// Without use.
    pub idle: Duration,
    /// In any case.
    pub absolute: Duration,
}

/// How exactly the last use of a session or secret is kept: a finer record would be a write a
/// request.
pub const LAST_SEEN_GRAIN: Duration = Duration::from_secs(60);

impl Session {
    /// When the session ends if it is not used again.
    pub fn expires_at(&self, lifetime: SessionLifetime) -> Timestamp {
        self.ends_at.min(self.last_seen_at + lifetime.idle)
    }

    /// Whether the session can be used at `now`.
    pub fn is_live(&self, lifetime: SessionLifetime, now: Timestamp) -> bool {
        now < self.expires_at(lifetime)
    }

    /// Whether using the session at `now` is worth a write.
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        now.since(self.last_seen_at) >= LAST_SEEN_GRAIN
    }
}

/// A `User-Agent`, cut to 256 characters and freed of control characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserAgent(String);

impl UserAgent {
    /// What is kept of the header's value; nothing where nothing visible is left.
    pub fn new(text: &str) -> Option<Self> {
        let kept: String = text.chars().filter(|c| !c.is_control()).take(256).collect();
        let kept = kept.trim();
        (!kept.is_empty()).then(|| Self(kept.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    const HOUR: Duration = Duration::from_secs(3600);

    fn session(last_seen: Timestamp) -> Session {
        let start = Timestamp::from_micros(0);
        Session {
            id: Id::from_uuid(Uuid::nil()),
            directory: Owner::Platform,
            user: Id::from_uuid(Uuid::nil()),
            created_at: start,
            last_seen_at: last_seen,
            ends_at: start + HOUR * 10,
            ip: None,
            user_agent: None,
            active_tenant: None,
            transient: false,
        }
    }

    #[test]
    fn use_prolongs_a_session_up_to_its_end() {
        let lifetime = SessionLifetime { idle: HOUR * 2, absolute: HOUR * 10 };
        let start = Timestamp::from_micros(0);
        assert!(session(start).is_live(lifetime, start + HOUR));
        assert!(!session(start).is_live(lifetime, start + HOUR * 2), "idle");
        assert!(session(start + HOUR).is_live(lifetime, start + HOUR * 2), "prolonged");
        assert!(!session(start + HOUR * 9).is_live(lifetime, start + HOUR * 10), "over");
    }

    #[test]
    fn a_user_agent_is_bounded_and_printable() {
        assert_eq!(UserAgent::new(" curl/8\r\n\x1b[31m").unwrap().as_str(), "curl/8[31m");
        assert_eq!(UserAgent::new(&"x".repeat(1000)).unwrap().as_str().len(), 256);
        assert!(UserAgent::new("\t ").is_none());
    }
}
