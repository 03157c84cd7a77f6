//! JWT access tokens (RFC 9068).

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::app::ClientId;
use crate::oauth::ScopeSet;

/// The claims of RFC 9068 §2.2, all of which are always there.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenClaims {
    /// Who issued it: the deployment's `public_url`.
    pub iss: String,
    /// About whom. For client credentials the client itself (RFC 9068 §2.2).
    pub sub: String,
    /// For whom: the resource, by default `public_url`.
    pub aud: String,
    /// Until when, in seconds since the Unix epoch.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// To which client.
    pub client_id: String,
    /// What for (RFC 8693 §4.2).
    pub scope: String,
    /// Whose app, where it is a tenant's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant_id: Option<String>,
}

/// Whether a text has the form of a JWT that is signed: three parts (RFC 7515 §7.1), the first of which is a JSON
/// object in base64url. Keys that other systems made may have dots as well.
pub fn resembles_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// A token that must not be accepted. Callers learn no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is invalid or expired")]
pub struct InvalidToken;

impl AccessTokenClaims {
    /// When it ends.
    pub const fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.exp.saturating_mul(1_000_000))
    }

    /// The client and the scope of a token that an app got for itself and that is meant for
    /// `issuer`'s own endpoints at `now` (RFC 9068 §4). No leeway: both clocks are ours.
    pub fn client_credentials(
        &self,
        issuer: &str,
        now: Timestamp,
    ) -> Result<(ClientId, ScopeSet), InvalidToken> {
        let now = now.as_unix_seconds();
        if self.iss != issuer
            || self.aud != issuer
            || self.sub != self.client_id
            || now < self.iat
            || now >= self.exp
        {
            return Err(InvalidToken);
        }
        let client = self.client_id.parse().map_err(|_| InvalidToken)?;
        let scope = self.scope.parse().map_err(|_| InvalidToken)?;
        Ok((client, scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> AccessTokenClaims {
        AccessTokenClaims {
            iss: "https://id.example".into(),
            sub: "ksc_1".into(),
            aud: "https://id.example".into(),
            exp: 200,
            iat: 100,
            jti: "1".into(),
            client_id: "ksc_1".into(),
            scope: "api".into(),
            tenant_id: None,
        }
    }

    #[test]
    fn each_claim_that_decides_is_looked_at() {
        let at = |s: i64| Timestamp::from_micros(s * 1_000_000);
        let ok = |c: AccessTokenClaims, s| c.client_credentials("https://id.example", at(s)).is_ok();
        assert!(ok(claims(), 100));
        assert!(ok(claims(), 199));
        assert!(!ok(claims(), 200), "expired");
        assert!(!ok(claims(), 99), "from the future");
        assert!(!ok(AccessTokenClaims { iss: "https://evil.example".into(), ..claims() }, 150));
        assert!(!ok(AccessTokenClaims { aud: "https://api.example".into(), ..claims() }, 150));
        assert!(!ok(AccessTokenClaims { sub: "usr_1".into(), ..claims() }, 150), "a person's token");
        assert!(!ok(AccessTokenClaims { scope: "a\\b".into(), ..claims() }, 150));
    }
}
