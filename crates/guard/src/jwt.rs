//! Access tokens as JWTs (RFC 9068), signed with Ed25519.

use std::future::Future;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::Timestamp;
use keystead_domain::policy::CredentialKind;
use serde::Deserialize;

use crate::identity::scopes;
use crate::jwks::PublicKey;
use crate::keystead::Audience;
use crate::{Identity, Organization, Refusal};

/// How far in the future a token may have been issued: two machines' clocks differ.
const SKEW_SECONDS: i64 = 5;

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    crit: Option<serde::de::IgnoredAny>,
}

/// The claims of RFC 9068 §2.2 and those of Keystead's.
#[derive(Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    jti: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    scope: String,
    tenant_id: Option<String>,
    org_id: Option<String>,
}

/// The present, as this machine has it.
#[expect(clippy::disallowed_methods, reason = "the guard runs in other programs, which have no `Env`")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The claims of a token that one of Keystead's keys signed. What they allow is another matter.
pub(crate) async fn verify<F: Future<Output = Result<PublicKey, Refusal>>>(
    token: &str,
    find: impl FnOnce(String) -> F,
) -> Result<Claims, Refusal> {
    let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Invalid)?;
    let (header, payload) = message.split_once('.').ok_or(Refusal::Invalid)?;
    let header: Header = decoded(header)?;
    // The token does not choose how it is checked.
    if header.alg != "EdDSA" || header.typ != "at+jwt" || header.crit.is_some() {
        return Err(Refusal::Invalid);
    }
    let key = find(header.kid).await?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Invalid)?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message.as_bytes(), &signature)
        .map_err(|_| Refusal::Invalid)?;
    decoded(payload)
}

fn decoded<T: for<'de> Deserialize<'de>>(segment: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refusal::Invalid)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Invalid)
}

impl Claims {
    /// Who it is, as the token itself says (RFC 9068 §4).
    pub(crate) fn accept(self, issuer: &str, audience: &str, now: Timestamp) -> Result<Identity, Refusal> {
        let seconds = now.as_unix_seconds();
        if self.iss != issuer
            || !self.aud.has(audience)
            || seconds >= self.exp
            || self.iat > seconds + SKEW_SECONDS
        {
            return Err(Refusal::Invalid);
        }
        let invalid = |_| Refusal::Invalid;
        let organization = self.org_id.map(|id| id.parse()).transpose().map_err(invalid)?;
        Ok(Identity {
            kind: CredentialKind::AccessToken,
            subject: self.sub,
            client_id: self.client_id,
            scopes: scopes(&self.scope),
            tenant: self.tenant_id.map(|id| id.parse()).transpose().map_err(invalid)?,
            // A token says neither role nor plan: they change while it lives.
            organization: organization.map(|id| Organization { id, slug: None, role: None, plan: None }),
            environment: None,
            expires_at: Some(Timestamp::from_micros(self.exp.saturating_mul(1_000_000))),
            credential_id: self.jti,
        })
    }
}
