//! OAuth endpoints and metadata. Errors are those of RFC 6749.

mod jwks;
mod token;

use actix_web::web::{self, ServiceConfig};

use crate::error::{Fault, OAuthError};
use crate::resource::{Endpoint, mount};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    jwks::endpoints().into_iter().chain(token::endpoints()).collect()
}

/// Before the app API's, which has one of these paths under its prefix.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    mount(cfg, "", endpoints(), OAuthError::method_not_allowed);
    cfg.service(
        web::scope("/oauth")
            .default_service(web::to(async || -> Result<&str, OAuthError> { Err(Fault::NoSuchPath.into()) })),
    );
}
