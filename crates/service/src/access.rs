//! Finding out which app calls.

use keystead_crypto::jwt;
use keystead_domain::policy::AppPrincipal;
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_storage::locate;

use crate::{Arrival, Caller, Code, Engine, Error, Result, rate_limits};

/// The app that an access token of its own was issued to (RFC 6750, RFC 9068 §4): as it is now,
/// with what the token carries. An app that was disabled since is refused like an unknown one.
///
/// The request counts for the app. One with a token that is no good counts for where it came
/// from, and no number of those keeps a good token out: others may share the address.
pub fn app(engine: &Engine, access_token: &str, arrival: Arrival) -> Result<Caller> {
    let principal = match principal(engine, access_token) {
        Err(error) if error.code() == Code::InvalidToken => {
            return Err(rate_limits::refused_bearer(engine, &arrival).err().unwrap_or(error));
        }
        other => other?,
    };
    engine.count(&arrival.meter, &[(Limit::App, Subject::App(principal.id))])?;
    Ok(Caller::arrived(principal, arrival))
}

fn principal(engine: &Engine, access_token: &str) -> Result<AppPrincipal> {
    let invalid = || Error::of(Code::InvalidToken);
    let claims = jwt::verify(access_token, |kid| engine.verifying_key(kid)).map_err(|_| invalid())?;
    let (client_id, scopes) =
        claims.client_credentials(&engine.settings.issuer, engine.env.now()).map_err(|_| invalid())?;
    let (app, tenant) = engine
        .store
        .read(|tx| locate::app(tx, &client_id))?
        .filter(|(app, _)| app.active)
        .ok_or_else(invalid)?;
    Ok(AppPrincipal::by_token(app, tenant, &scopes))
}
