//! `/.well-known/jwks.json`: the keys that our tokens can be checked with (RFC 7517 §5).

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data};
use keystead_service::Engine;
use serde_json::json;

use crate::error::OAuthError;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "OAuth",
    summary = "The public keys that access tokens are checked with (RFC 7517)",
    responses(
        (status = 200, description = "A JWK Set", body = serde_json::Value)
    )
)]
async fn jwks(engine: Data<Engine>) -> Result<HttpResponse, OAuthError> {
    // They may have to be read anew.
    let keys = run(&engine, |engine| Ok(engine.jwks())).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(json!({ "keys": keys })))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_jwks>(web::to(jwks))]
}
