//! OAuth endpoints and metadata. Errors are those of RFC 6749.

mod introspect;
mod jwks;
mod token;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use crate::error::{Fault, OAuthError, Problem};
use crate::limits;
use crate::resource::{Endpoint, mount};

/// All of them, for the OpenAPI document.
#[cfg(test)]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    [jwks::endpoints(), here(), vec![token::there()]].into_iter().flatten().collect()
}

fn here() -> Vec<Endpoint> {
    [introspect::endpoints(), vec![token::here()]].into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    mount(cfg, "", jwks::endpoints(), OAuthError::method_not_allowed);
    cfg.service(
        web::scope("/oauth")
            .wrap(from_fn(limits::alone::<OAuthError>))
            .configure(|cfg| mount(cfg, "/oauth", here(), OAuthError::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, OAuthError> { Err(Fault::NoSuchPath.into()) })),
    );
    // The same endpoint under the app API's prefix, which is why it comes before that one.
    cfg.service(
        web::scope("/v2/oauth")
            .wrap(from_fn(limits::alone::<OAuthError>))
            .configure(|cfg| mount(cfg, "/v2/oauth", vec![token::there()], OAuthError::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}
