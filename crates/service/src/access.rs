//! Finding out which app calls.

use keystead_crypto::jwt;
use keystead_domain::audit::Origin;
use keystead_domain::policy::{AppPrincipal, Principal};
use keystead_storage::locate;

use crate::{Caller, Code, Engine, Error, Result};

/// The app that an access token of its own was issued to (RFC 6750, RFC 9068 §4): as it is now,
/// with what the token carries. An app that was disabled since is refused like an unknown one.
pub fn app(engine: &Engine, access_token: &str, origin: Origin) -> Result<Caller> {
    let invalid = || Error::of(Code::InvalidToken);
    let claims = jwt::verify(access_token, engine.signing_keys.iter()).map_err(|_| invalid())?;
    let (client_id, scopes) =
        claims.client_credentials(&engine.settings.issuer, engine.env.now()).map_err(|_| invalid())?;
    let (app, tenant) = engine
        .store
        .read(|tx| locate::app(tx, &client_id))?
        .filter(|(app, _)| app.active)
        .ok_or_else(invalid)?;
    let principal = AppPrincipal::by_token(app, tenant, &scopes);
    Ok(Caller::new(Principal::App(Box::new(principal)), origin))
}
