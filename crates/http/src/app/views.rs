//! How the app API shows instants and sessions.

use keystead_domain::Timestamp;
use keystead_service::sessions::NewSession;
use serde::Serialize;
use utoipa::ToSchema;

/// RFC 3339 in UTC without a fraction.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_rfc3339_seconds()
}

/// A session that was just made: the one answer that holds its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    session_token: String,
    session_expires_at: String,
}

impl From<NewSession> for SessionView {
    fn from(session: NewSession) -> Self {
        Self {
            session_token: session.token.expose().clone(),
            session_expires_at: instant(session.expires_at),
        }
    }
}
