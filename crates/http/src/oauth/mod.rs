//! OAuth endpoints and metadata. Errors are those of RFC 6749.

mod jwks;
mod token;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use crate::error::{Fault, OAuthError, Problem};
use crate::limits;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    jwks::routes(cfg);
    cfg.service(
        web::scope("/oauth")
            .wrap(from_fn(limits::oauth))
            .configure(token::routes)
            .default_service(web::to(async || -> Result<&str, OAuthError> { Err(Fault::NoSuchPath.into()) })),
    );
    // The same endpoint under the app API's prefix, which is why it comes before that one.
    cfg.service(
        web::scope("/v2/oauth")
            .wrap(from_fn(limits::oauth))
            .configure(token::routes)
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}
