//! The app API, `/v2`: a tenant's own server acts for itself and for its end users. Errors are
//! problems (RFC 9457).

mod access_requests;
mod apps;
mod call;
mod sessions;
mod sign_ins;
mod sign_ups;
mod views;

use actix_web::http::header;
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, ServiceConfig};

pub(crate) use access_requests::AccessRequestBody;
pub(crate) use call::JsonBody;

use crate::error::{Fault, Problem};

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/v2")
            // Answers hold credentials and personal data.
            .wrap(DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store")))
            .configure(access_requests::routes)
            .configure(apps::routes)
            .configure(sign_ups::routes)
            .configure(sign_ins::routes)
            .configure(sessions::routes)
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}
