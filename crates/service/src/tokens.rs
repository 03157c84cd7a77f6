//! Issuing access tokens (RFC 6749 §4.4: client credentials).

use std::time::Duration;

use keystead_crypto::jwt;
use keystead_domain::app::{AppSecret, ClientId};
use keystead_domain::oauth::{AccessTokenClaims, ScopeSet};
use keystead_domain::policy::{Action, AppPrincipal, Denied, Principal};
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::session::LAST_SEEN_GRAIN;
use keystead_domain::{Secret, TokenDigest};
use keystead_storage::{apps, locate};

use crate::rate_limits::refused_client;
use crate::{Arrival, Code, Engine, Error, Result};

/// What an app presents at the token endpoint.
pub struct ClientCredentials {
    /// Its name.
    pub client_id: ClientId,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// What it asks for; nothing for all that it is allowed (RFC 6749 §3.3).
    pub scope: Option<ScopeSet>,
}

/// An access token, as the token endpoint answers it (RFC 6749 §5.1).
pub struct IssuedToken {
    /// The token.
    pub access_token: Secret<String>,
    /// How long it lives.
    pub expires_in: Duration,
    /// What it carries.
    pub scope: ScopeSet,
}

/// Answers an app that asks for an access token from outside: the request counts for the app.
///
/// One whose credentials are no good counts for where it came from and for the app that it names.
/// No number of those keeps the right secret out: it cannot be guessed, and strangers would only
/// have to know an app's id to stop it.
pub fn exchange(engine: &Engine, arrival: &Arrival, request: ClientCredentials) -> Result<IssuedToken> {
    let (app, secret) = match authenticate(engine, &request.client_id, &request.client_secret) {
        Err(error) if error.code() == Code::InvalidClient => {
            return Err(refused_client(engine, arrival, Some(&request.client_id)).err().unwrap_or(error));
        }
        other => other?,
    };
    engine.count(&arrival.meter, &[(Limit::App, Subject::App(app.id))])?;
    issue(engine, app, secret, request.scope)
}

/// Refuses a client whose credentials cannot be read, and counts that like wrong ones.
pub fn refuse(engine: &Engine, arrival: &Arrival) -> Error {
    refused_client(engine, arrival, None).err().unwrap_or(Error::of(Code::InvalidClient))
}

/// Issues an access token to an app for itself.
pub fn issue_to_app(engine: &Engine, request: ClientCredentials) -> Result<IssuedToken> {
    let (app, secret) = authenticate(engine, &request.client_id, &request.client_secret)?;
    issue(engine, app, secret, request.scope)
}

fn issue(
    engine: &Engine,
    app: AppPrincipal,
    secret: AppSecret,
    asked: Option<ScopeSet>,
) -> Result<IssuedToken> {
    let principal = Principal::App(Box::new(app.clone()));
    let tenant_scope =
        principal.allow(Action::IssueAppToken, app.owner()).map_err(|denied| match denied {
            Denied::TenantSuspended => Error::of(Code::UnauthorizedClient),
            other => other.into(),
        })?;
    let scope = asked.unwrap_or_else(|| app.allowed_scopes.clone());
    if !scope.is_subset(&app.allowed_scopes) {
        return Err(Error::of(Code::InvalidScope));
    }

    let now = engine.env.now();
    if secret.last_used_at.is_none_or(|last| now.since(last) >= LAST_SEEN_GRAIN) {
        engine.store.write(move |tx| apps::touch_secret(&mut tx.tenant(&tenant_scope), secret.id, now))?;
    }

    let expires_in = engine.settings.app_token_lifetime;
    let mut jti = [0; 16];
    engine.env.fill(&mut jti);
    let claims = AccessTokenClaims {
        iss: engine.settings.issuer.clone(),
        sub: app.client_id.to_string(),
        aud: engine.settings.issuer.clone(),
        exp: (now + expires_in).as_unix_seconds(),
        iat: now.as_unix_seconds(),
        jti: jti.iter().map(|byte| format!("{byte:02x}")).collect(),
        client_id: app.client_id.to_string(),
        scope: scope.to_string(),
        tenant_id: app.tenant.as_ref().map(|tenant| tenant.id.to_string()),
    };
    let key = engine.signing_key()?;
    Ok(IssuedToken { access_token: jwt::sign(&claims, &key), expires_in, scope })
}

/// The app with this id and secret (RFC 6749 §2.3.1). An unknown app, a wrong or ended secret and a
/// disabled app are refused alike: after one query and one comparison at least.
fn authenticate(
    engine: &Engine,
    client_id: &ClientId,
    client_secret: &Secret<String>,
) -> Result<(AppPrincipal, AppSecret)> {
    let presented = TokenDigest::of(client_secret.expose());
    let located = engine.store.read(|tx| locate::client(tx, client_id))?;
    let Some(client) = located else {
        let _ = presented.matches(&TokenDigest::from_bytes([0; 32]));
        return Err(Error::of(Code::InvalidClient));
    };
    let now = engine.env.now();
    let matching = client.secrets.into_iter().find(|secret| secret.digest.matches(&presented));
    match matching {
        Some(secret) if client.app.active && secret.is_live(now) => {
            Ok((AppPrincipal::by_secret(client.app, client.tenant), secret))
        }
        _ => Err(Error::of(Code::InvalidClient)),
    }
}
