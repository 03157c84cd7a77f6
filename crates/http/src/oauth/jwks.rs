//! `/.well-known/jwks.json`: the keys that our tokens can be checked with (RFC 7517 §5).

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use keystead_service::Engine;
use serde_json::json;

use crate::error::OAuthError;
use crate::resource::{get, path};

async fn jwks(engine: Data<Engine>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(json!({ "keys": engine.jwks() }))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/.well-known/jwks.json", [get(web::to(jwks))], OAuthError::method_not_allowed);
}
