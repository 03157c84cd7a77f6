//! The two questions that a Keystead is asked: what a credential is, and which keys sign.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_domain::policy::CredentialKind;
use keystead_domain::{Secret, Timestamp};
use serde::Deserialize;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::identity::scopes;
use crate::{Identity, Organization, Refusal};

/// The most of an answer that is read.
const MAX_BYTES: u64 = 256 * 1024;

/// A running Keystead. It blocks.
pub(crate) struct Keystead {
    agent: Agent,
    introspection: String,
    keys: String,
    authorization: Secret<String>,
}

/// Why there is no answer. It says nothing of the credential that was asked about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer: {0}")]
    Unreachable(#[from] ureq::Error),
    #[error("it refuses this service's own client id and secret")]
    Client,
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer cannot be understood")]
    Nonsense,
}

impl Keystead {
    pub(crate) fn new(
        url: &str,
        client_id: &str,
        client_secret: &Secret<String>,
        patience: Duration,
    ) -> Self {
        // The machine's trusted roots. Where it has none, no https server is trusted.
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Credentials go where the program says, and nowhere else.
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(patience))
            .tls_config(tls)
            .build();
        // RFC 6749 §2.3.1: both parts are form-urlencoded first.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Secret::new(format!("{}:{}", encoded(client_id), encoded(client_secret.expose())));
        Self {
            agent: config.into(),
            introspection: format!("{url}/oauth/introspect"),
            keys: format!("{url}/.well-known/jwks.json"),
            authorization: Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))),
        }
    }

    /// What a credential is (RFC 7662).
    pub(crate) fn introspect(&self, shown: &Secret<String>) -> Result<Told, Failure> {
        let request = self.agent.post(&self.introspection);
        let request = request.header("authorization", self.authorization.expose());
        read(request.send_form([("token", shown.expose().as_str())])?)
    }

    /// The public keys that tokens are checked with (RFC 7517 §5).
    pub(crate) fn keys(&self) -> Result<Jwks, Failure> {
        read(self.agent.get(&self.keys).call()?)
    }
}

fn read<T: for<'de> Deserialize<'de>>(mut answer: Response<Body>) -> Result<T, Failure> {
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(Failure::Client),
        other => return Err(Failure::Status(other)),
    }
    let body = answer.body_mut().with_config().limit(MAX_BYTES).read_to_vec()?;
    serde_json::from_slice(&body).map_err(|_| Failure::Nonsense)
}

/// A JWK Set, as far as it matters here.
#[derive(Deserialize)]
pub(crate) struct Jwks {
    pub(crate) keys: Vec<Jwk>,
}

/// A public key. Those of other kinds are passed over.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kty: String,
    pub(crate) crv: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) x: Option<String>,
}

/// For whom a token is: one or several (RFC 7519 §4.1.3).
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(crate) fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(several) => several.iter().any(|one| one == wanted),
        }
    }
}

/// The answer of the introspection endpoint.
#[derive(Deserialize)]
pub(crate) struct Told {
    active: bool,
    kind: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    exp: Option<i64>,
    iss: Option<String>,
    aud: Option<Audience>,
    jti: Option<String>,
    tenant_id: Option<String>,
    org_id: Option<String>,
    org_slug: Option<String>,
    role: Option<String>,
    plan: Option<String>,
    env: Option<String>,
}

impl Told {
    /// Who it is, if it is somebody whom a service lets in: API keys, and access tokens for this one.
    pub(crate) fn accept(self, audience: Option<&str>) -> Result<Identity, Refusal> {
        if !self.active {
            return Err(Refusal::Invalid);
        }
        // A word that an older guard does not know must not be passed over: it may take something away.
        let kind = self.kind.as_deref().and_then(|kind| kind.parse().ok()).ok_or(Refusal::Invalid)?;
        match kind {
            CredentialKind::ApiKey => {}
            CredentialKind::AccessToken => {
                let wanted = audience.or(self.iss.as_deref());
                let ours = self.aud.as_ref().zip(wanted).is_some_and(|(aud, wanted)| aud.has(wanted));
                if !ours {
                    return Err(Refusal::Invalid);
                }
            }
            CredentialKind::Session => return Err(Refusal::Invalid),
        }
        let unreadable = |_| Refusal::Unavailable;
        let organization = match self.org_id {
            None => None,
            Some(id) => Some(Organization {
                id: id.parse().map_err(unreadable)?,
                slug: self.org_slug,
                role: self.role.and_then(|role| role.parse().ok()),
                plan: self.plan,
            }),
        };
        Ok(Identity {
            kind,
            subject: self.sub.ok_or(Refusal::Invalid)?,
            client_id: self.client_id,
            scopes: scopes(&self.scope.unwrap_or_default()),
            tenant: self.tenant_id.map(|id| id.parse()).transpose().map_err(unreadable)?,
            organization,
            // One that is not said to be live is treated as one for testing.
            environment: self
                .env
                .map(|env| env.parse().unwrap_or(keystead_domain::api_key::Environment::Test)),
            expires_at: self.exp.map(|exp| Timestamp::from_micros(exp.saturating_mul(1_000_000))),
            credential_id: self.jti,
        })
    }
}
