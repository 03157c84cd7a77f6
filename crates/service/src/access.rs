//! Finding out which app calls.

use std::sync::Arc;

use keystead_crypto::jwt;
use keystead_crypto::signing::SigningKey;
use keystead_domain::TokenDigest;
use keystead_domain::app::App;
use keystead_domain::oauth::{AccessTokenClaims, ScopeSet};
use keystead_domain::policy::AppPrincipal;
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::revocation::Revocation;
use keystead_domain::tenant::Tenant;
use keystead_storage::locate::WhichApp;
use keystead_storage::{AsyncReader, Generation, Question as _};

use crate::{Arrival, Caller, Code, Engine, Error, Result, rate_limits};

/// An app that showed an access token.
pub struct VerifiedApp {
    principal: Arc<AppPrincipal>,
    claims: AccessTokenClaims,
}

impl VerifiedApp {
    /// The app, with what its token carries.
    pub(crate) const fn principal(&self) -> &Arc<AppPrincipal> {
        &self.principal
    }

    /// What the token says.
    pub(crate) const fn claims(&self) -> &AccessTokenClaims {
        &self.claims
    }
}

/// The app that an access token of its own was issued to (RFC 6750, RFC 9068 §4): as it is now,
/// with what the token carries. An app that was disabled since is refused like an unknown one.
///
/// The request counts for the app. One with a token that is no good counts for where it came
/// from, and no number of those keeps a good token out: others may share the address.
pub fn app(engine: &Engine, access_token: &str, arrival: Arrival) -> Result<Caller> {
    let verified = look(engine, access_token);
    counted(engine, verified, arrival)
}

/// The app that an access token was issued to, as [`app`] finds it, without blocking and without
/// [recalling](recall) it; nothing, and nothing is counted, where the signing keys have to be read first.
pub async fn app_unblocked(
    engine: &Engine,
    reader: &AsyncReader,
    access_token: &str,
    arrival: &Arrival,
) -> Option<Result<Caller>> {
    let mut unknown = false;
    let key = |kid: &str| {
        let known = engine.verifying_key_at_once(kid);
        unknown = known.is_none();
        known
    };
    let genuine = Genuine::read(engine, access_token, key);
    if unknown {
        return None;
    }
    let verified = async {
        let genuine = genuine?;
        let found = reader.look_up(&genuine.which).await?;
        genuine.belongs_to(engine, access_token, found)
    };
    Some(counted(engine, verified.await, arrival.clone()))
}

/// Lets in an app that was verified, and counts it or whoever was refused.
fn counted(engine: &Engine, verified: Result<Arc<VerifiedApp>>, arrival: Arrival) -> Result<Caller> {
    let verified = match verified {
        Err(error) if error.code() == Code::InvalidToken => {
            return Err(rate_limits::refused_bearer(engine, &arrival).err().unwrap_or(error));
        }
        other => other?,
    };
    admit(engine, &verified, arrival)
}

/// The app whose access token this is, for a service that was shown it: nothing is counted.
pub(crate) fn look(engine: &Engine, access_token: &str) -> Result<Arc<VerifiedApp>> {
    recall(engine, access_token).map_or_else(|| verify(engine, access_token), Ok)
}

/// The app that showed this token a moment ago, if that still stands. Does not block.
pub fn recall(engine: &Engine, access_token: &str) -> Option<Arc<VerifiedApp>> {
    let recalled =
        engine.apps.recall(engine.store.generations(), TokenDigest::of(access_token).as_bytes())?;
    (engine.env.now() < recalled.claims.expires_at()).then_some(recalled)
}

/// Lets an app in that was [recalled](recall), as [`app`] does. Does not block.
pub fn admit(engine: &Engine, verified: &VerifiedApp, arrival: Arrival) -> Result<Caller> {
    engine.count(&arrival.meter, &[(Limit::App, Subject::App(verified.principal.id))])?;
    Ok(Caller::arrived(Arc::clone(&verified.principal), arrival))
}

fn verify(engine: &Engine, access_token: &str) -> Result<Arc<VerifiedApp>> {
    let genuine = Genuine::read(engine, access_token, |kid| engine.verifying_key(kid))?;
    let found = engine.store.look_up(|tx| genuine.which.ask(tx))?;
    genuine.belongs_to(engine, access_token, found)
}

/// An access token that we signed and that has not ended. Whose it is has to be looked up.
struct Genuine {
    claims: AccessTokenClaims,
    scopes: ScopeSet,
    which: WhichApp,
    /// Before the look-up.
    since: Generation,
}

impl Genuine {
    fn read(
        engine: &Engine,
        access_token: &str,
        key: impl FnOnce(&str) -> Option<Arc<SigningKey>>,
    ) -> Result<Self> {
        let invalid = || Error::of(Code::InvalidToken);
        let since = engine.store.generations().current();
        let claims = jwt::verify(access_token, key).map_err(|_| invalid())?;
        let (client_id, scopes) =
            claims.client_credentials(&engine.settings.issuer, engine.env.now()).map_err(|_| invalid())?;
        Ok(Self { claims, scopes, which: WhichApp(client_id), since })
    }

    /// The app that was found, which may be remembered.
    fn belongs_to(
        self,
        engine: &Engine,
        access_token: &str,
        found: Option<(App, Option<Tenant>)>,
    ) -> Result<Arc<VerifiedApp>> {
        let (app, tenant) =
            found.filter(|(app, _)| app.active).ok_or_else(|| Error::of(Code::InvalidToken))?;
        let hangs_on = [Revocation::SigningKeys, Revocation::App(app.id)]
            .into_iter()
            .chain(tenant.as_ref().map(|tenant| Revocation::Tenant(tenant.id)));
        let hangs_on: Vec<_> = hangs_on.collect();
        let principal = Arc::new(AppPrincipal::by_token(app, tenant, &self.scopes));
        let verified = Arc::new(VerifiedApp { principal, claims: self.claims });
        let digest = *TokenDigest::of(access_token).as_bytes();
        engine.apps.keep(digest, Arc::clone(&verified), self.since, hangs_on);
        Ok(verified)
    }
}
