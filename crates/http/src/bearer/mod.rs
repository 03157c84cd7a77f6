//! The bearer API, `/api/v1`: scripts of people, in the organization that their key belongs to.

mod call;
mod cors;
mod listing;
mod me;
mod members;
mod projects;
mod tokens;
mod views;

use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, ServiceConfig};

use crate::error::{BearerError, Fault};
use crate::limits;
use crate::resource::{Endpoint, mount};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    let all = [me::endpoints(), members::endpoints(), projects::endpoints(), tokens::endpoints()];
    all.into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/api/v1")
            .wrap(from_fn(limits::bearer))
            .wrap(DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store")))
            .wrap(from_fn(cors::any_origin))
            .configure(|cfg| mount(cfg, "/api/v1", endpoints(), BearerError::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, BearerError> {
                Err(Fault::NoSuchPath.into())
            })),
    );
}
