//! Issuing access tokens (RFC 6749 §4.4: client credentials).

use std::sync::Arc;
use std::time::Duration;

use keystead_crypto::jwt;
use keystead_crypto::signing::SigningKey;
use keystead_domain::app::{AppSecret, ClientId};
use keystead_domain::oauth::{AccessTokenClaims, ScopeSet};
use keystead_domain::policy::{Action, AppPrincipal, Denied, Principal, TenantScope};
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::revocation::Revocation;
use keystead_domain::{Secret, TokenDigest};
use keystead_storage::locate::{LocatedClient, WhichClient};
use keystead_storage::{AsyncReader, Generation, Question as _, apps};

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
    let app = client(engine, arrival, &request.client_id, &request.client_secret)?;
    let key = engine.signing_key()?;
    admit(engine, arrival, &app, request.scope, &key)
}

/// The app with these credentials. Those that are no good count.
pub(crate) fn client(
    engine: &Engine,
    arrival: &Arrival,
    client_id: &ClientId,
    client_secret: &Secret<String>,
) -> Result<Arc<AppPrincipal>> {
    authenticate(engine, client_id, client_secret).map_err(|error| refused(engine, arrival, client_id, error))
}

/// Counts credentials that are no good.
fn refused(engine: &Engine, arrival: &Arrival, client_id: &ClientId, error: Error) -> Error {
    if error.code() == Code::InvalidClient {
        return refused_client(engine, arrival, Some(client_id)).err().unwrap_or(error);
    }
    error
}

/// Answers an app like [`exchange`], without blocking and without recalling it; nothing, and nothing is counted,
/// where that takes more than a look-up.
pub async fn exchange_unblocked(
    engine: &Engine,
    reader: &AsyncReader,
    arrival: &Arrival,
    request: &ClientCredentials,
) -> Option<Result<IssuedToken>> {
    let key = engine.signing_key_at_once()?;
    let claimed = Claimed::new(engine, &request.client_id, &request.client_secret);
    let proven = match reader.look_up(&claimed.which).await {
        Ok(located) => claimed.proven(engine, located),
        Err(error) => Err(error.into()),
    };
    let app = match proven {
        Ok(proven) => Ok(proven.at_once(engine)?),
        Err(error) => Err(refused(engine, arrival, &request.client_id, error)),
    };
    Some(app.and_then(|app| admit(engine, arrival, &app, request.scope.clone(), &key)))
}

/// The same for an app that authenticated a moment ago, if that still stands; else nothing, and
/// nothing is counted. Does not block.
pub fn exchange_at_once(
    engine: &Engine,
    arrival: &Arrival,
    request: &ClientCredentials,
) -> Option<Result<IssuedToken>> {
    let app = recall(engine, &request.client_id, &TokenDigest::of(request.client_secret.expose()))?;
    let key = engine.signing_key_at_once()?;
    Some(admit(engine, arrival, &app, request.scope.clone(), &key))
}

fn admit(
    engine: &Engine,
    arrival: &Arrival,
    app: &Arc<AppPrincipal>,
    asked: Option<ScopeSet>,
    key: &SigningKey,
) -> Result<IssuedToken> {
    engine.count(&arrival.meter, &[(Limit::App, Subject::App(app.id))])?;
    issue(engine, app, asked, key)
}

/// Refuses a client whose credentials cannot be read, and counts that like wrong ones.
pub fn refuse(engine: &Engine, arrival: &Arrival) -> Error {
    refused_client(engine, arrival, None).err().unwrap_or(Error::of(Code::InvalidClient))
}

/// Issues an access token to an app for itself.
pub fn issue_to_app(engine: &Engine, request: ClientCredentials) -> Result<IssuedToken> {
    let app = authenticate(engine, &request.client_id, &request.client_secret)?;
    issue(engine, &app, request.scope, &*engine.signing_key()?)
}

/// The scope in which an app gets a token for itself.
fn scope_of(app: &Arc<AppPrincipal>) -> Result<TenantScope> {
    let principal = Principal::App(Arc::clone(app));
    principal.allow(Action::IssueAppToken, app.owner()).map_err(|denied| match denied {
        Denied::TenantSuspended => Error::of(Code::UnauthorizedClient),
        other => other.into(),
    })
}

fn issue(
    engine: &Engine,
    app: &Arc<AppPrincipal>,
    asked: Option<ScopeSet>,
    key: &SigningKey,
) -> Result<IssuedToken> {
    scope_of(app)?;
    let scope = asked.unwrap_or_else(|| app.allowed_scopes.clone());
    if !scope.is_subset(&app.allowed_scopes) {
        return Err(Error::of(Code::InvalidScope));
    }

    let now = engine.env.now();
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
    Ok(IssuedToken { access_token: jwt::sign(&claims, key), expires_in, scope })
}

/// An app that authenticated, with the secrets that it has.
pub(crate) struct KnownClient {
    app: Arc<AppPrincipal>,
    secrets: Vec<AppSecret>,
}

impl KnownClient {
    /// The place of the secret that was presented. Each is compared, in constant time.
    fn matching(&self, presented: &TokenDigest) -> Option<usize> {
        let matching = |found, (place, secret): (usize, &AppSecret)| {
            if secret.digest.matches(presented) { Some(place) } else { found }
        };
        self.secrets.iter().enumerate().fold(None, matching)
    }
}

/// The app with this id, if it showed this secret a moment ago and that still stands.
pub(crate) fn recall(
    engine: &Engine,
    client_id: &ClientId,
    presented: &TokenDigest,
) -> Option<Arc<AppPrincipal>> {
    let known = engine.clients.recall(engine.store.generations(), client_id)?;
    let secret = known.secrets.get(known.matching(presented)?)?;
    let now = engine.env.now();
    // Where its use is due to be written down, the database is asked.
    (secret.is_live(now) && !secret.needs_touch(now)).then(|| Arc::clone(&known.app))
}

/// The app with this id and secret (RFC 6749 §2.3.1). An unknown app, a wrong or ended secret and a
/// disabled app are refused alike: after one query and one comparison at least.
fn authenticate(
    engine: &Engine,
    client_id: &ClientId,
    client_secret: &Secret<String>,
) -> Result<Arc<AppPrincipal>> {
    let claimed = Claimed::new(engine, client_id, client_secret);
    if let Some(app) = recall(engine, client_id, &claimed.presented) {
        return Ok(app);
    }
    let located = engine.store.look_up(|tx| claimed.which.ask(tx))?;
    let mut proven = claimed.proven(engine, located)?;
    // A suspended tenant's app gets no further, and its rows stay as they are.
    if let (Ok(scope), Some(secret)) = (scope_of(&proven.known.app), proven.due()) {
        let (id, now) = (secret.id, engine.env.now());
        engine.store.write(move |tx| apps::touch_secret(&mut tx.tenant(&scope), id, now))?;
        secret.last_used_at = Some(now);
    }
    Ok(proven.keep(engine))
}

/// Client credentials that have to be looked up.
struct Claimed {
    which: WhichClient,
    presented: TokenDigest,
    /// Before the look-up.
    since: Generation,
}

impl Claimed {
    fn new(engine: &Engine, client_id: &ClientId, client_secret: &Secret<String>) -> Self {
        let presented = TokenDigest::of(client_secret.expose());
        let since = engine.store.generations().current();
        Self { which: WhichClient(client_id.clone()), presented, since }
    }

    /// The app that was found, if the secret is its own.
    fn proven(self, engine: &Engine, located: Option<LocatedClient>) -> Result<Proven> {
        let Self { which: WhichClient(client_id), presented, since } = self;
        let invalid = || Error::of(Code::InvalidClient);
        let Some(LocatedClient { app, tenant, secrets }) = located else {
            let _ = presented.matches(&TokenDigest::from_bytes([0; 32]));
            return Err(invalid());
        };
        let active = app.active;
        let hangs_on =
            [Some(Revocation::App(app.id)), tenant.as_ref().map(|tenant| Revocation::Tenant(tenant.id))];
        let known = KnownClient { app: Arc::new(AppPrincipal::by_secret(app, tenant)), secrets };
        let now = engine.env.now();
        let place = known.matching(&presented).ok_or_else(invalid)?;
        let secret = known.secrets.get(place).ok_or_else(invalid)?;
        if !active || !secret.is_live(now) {
            return Err(invalid());
        }
        let is_due = secret.needs_touch(now);
        Ok(Proven { client_id, known, place, is_due, hangs_on, since })
    }
}

/// A client that was looked up and showed its secret, and may be remembered.
struct Proven {
    client_id: ClientId,
    known: KnownClient,
    /// Of the secret.
    place: usize,
    /// Whether its use is due to be written down.
    is_due: bool,
    hangs_on: [Option<Revocation>; 2],
    since: Generation,
}

impl Proven {
    /// The secret whose use is due to be written down.
    fn due(&mut self) -> Option<&mut AppSecret> {
        if self.is_due { self.known.secrets.get_mut(self.place) } else { None }
    }

    /// The app, if nothing has to be written down before it may be remembered.
    fn at_once(self, engine: &Engine) -> Option<Arc<AppPrincipal>> {
        (!self.is_due).then(|| self.keep(engine))
    }

    fn keep(self, engine: &Engine) -> Arc<AppPrincipal> {
        let Self { client_id, known, hangs_on, since, .. } = self;
        let app = Arc::clone(&known.app);
        engine.clients.keep(client_id, Arc::new(known), since, hangs_on.into_iter().flatten());
        app
    }
}
