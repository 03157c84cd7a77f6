//! OAuth endpoints and metadata. Errors are those of RFC 6749.

mod jwks;
mod token;

use actix_web::web::{self, ServiceConfig};

use crate::error::{Fault, OAuthError};

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    jwks::routes(cfg);
    token::routes(cfg, "/oauth/token");
    // The same endpoint under the app API's prefix, which is why it comes before that one.
    token::routes(cfg, "/v2/oauth/token");
    cfg.service(
        web::scope("/oauth")
            .default_service(web::to(async || -> Result<&str, OAuthError> { Err(Fault::NoSuchPath.into()) })),
    );
}
