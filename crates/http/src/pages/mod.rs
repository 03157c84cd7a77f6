//! Pages for people. They are HTML that works without JavaScript and by keyboard; nothing in them
//! comes from another server. Errors are pages too.

mod access_requests;
mod claims;
mod form;
mod layout;

use actix_web::web::ServiceConfig;

pub(crate) use layout::page;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    access_requests::routes(cfg);
    claims::routes(cfg);
}
