//! The app API, `/v2`: a tenant's own server acts for itself and for its end users. Errors are
//! problems (RFC 9457).

mod access_requests;
mod apps;
mod call;
mod mfa;
mod passwords;
mod profile;
mod sessions;
mod sign_ins;
mod sign_ups;
mod views;

use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, ServiceConfig};

pub(crate) use access_requests::AccessRequestBody;

use crate::error::{Fault, Problem};
use crate::limits;
use crate::resource::{Endpoint, mount};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    let nouns = [
        access_requests::endpoints(),
        apps::endpoints(),
        sign_ups::endpoints(),
        sign_ins::endpoints(),
        passwords::endpoints(),
        sessions::endpoints(),
        profile::endpoints(),
        mfa::endpoints(),
    ];
    nouns.into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/v2")
            .wrap(from_fn(limits::problems))
            // Answers hold credentials and personal data.
            .wrap(DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store")))
            .configure(|cfg| mount(cfg, "/v2", endpoints(), Problem::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}
