//! Finding out which app calls.

use std::sync::Arc;

use keystead_crypto::jwt;
use keystead_domain::TokenDigest;
use keystead_domain::oauth::AccessTokenClaims;
use keystead_domain::policy::AppPrincipal;
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::revocation::Revocation;
use keystead_storage::locate;

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
    let verified = match look(engine, access_token) {
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
    let invalid = || Error::of(Code::InvalidToken);
    let since = engine.store.generations().current();
    let claims = jwt::verify(access_token, |kid| engine.verifying_key(kid)).map_err(|_| invalid())?;
    let (client_id, scopes) =
        claims.client_credentials(&engine.settings.issuer, engine.env.now()).map_err(|_| invalid())?;
    let (app, tenant) = engine
        .store
        .look_up(|tx| locate::app(tx, &client_id))?
        .filter(|(app, _)| app.active)
        .ok_or_else(invalid)?;
    let hangs_on = [Revocation::SigningKeys, Revocation::App(app.id)]
        .into_iter()
        .chain(tenant.as_ref().map(|tenant| Revocation::Tenant(tenant.id)));
    let hangs_on: Vec<_> = hangs_on.collect();
    let principal = Arc::new(AppPrincipal::by_token(app, tenant, &scopes));
    let verified = Arc::new(VerifiedApp { principal, claims });
    engine.apps.keep(*TokenDigest::of(access_token).as_bytes(), Arc::clone(&verified), since, hangs_on);
    Ok(verified)
}
