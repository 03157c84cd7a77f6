//! One-time links: whoever holds one may have an app's secret, once.
//!
//! The link does not carry the secret. Claiming makes the secret, so nothing but digests ever
//! rests, and a mail scanner that opens the link burns nothing.

use std::time::Duration;

use crate::id::AppId;
use crate::{Timestamp, TokenDigest};

/// How long a link can be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(72 * 3600);

/// A link to claim a secret of an app. An app has one at most: a fresh one takes its place.
#[derive(Clone, Debug)]
pub struct ClaimLink {
    /// Whose secret.
    pub app: AppId,
    /// What is kept of its token.
    pub digest: TokenDigest,
    /// When it was issued.
    pub created_at: Timestamp,
    /// From when on it is no good.
    pub expires_at: Timestamp,
}

impl ClaimLink {
    /// A link issued at `now`.
    pub fn issued(app: AppId, digest: TokenDigest, now: Timestamp) -> Self {
        Self { app, digest, created_at: now, expires_at: now + LINK_LIFETIME }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn a_link_is_good_for_72_hours() {
        let now = Timestamp::from_micros(0);
        let link = ClaimLink::issued(Id::from_uuid(Uuid::nil()), TokenDigest::of("x"), now);
        assert_eq!(link.expires_at.since(now), Duration::from_secs(72 * 3600));
    }
}
