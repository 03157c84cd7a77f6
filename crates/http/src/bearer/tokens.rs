//! API keys that reach the organization that the key acts in: one's own, and for owners and admins all.

use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_service::{Code, Error, api_keys};

use super::call::KeyCall;
use super::listing;
use super::views::Many;
use crate::account::tenant_keys::TenantKeyView;
use crate::error::{BearerError, BearerErrorBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "Bearer",
    summary = "The API keys that reach the organization, part by part: one's own, and for owners and admins all",
    params(
        ("limit" = Option<u16>, Query, description = "How many at most", minimum = 1, maximum = 200),
        ("sort" = Option<String>, Query, description = "`id`, `createdAt` or `name`; with a hyphen before it the other way round"),
        ("search" = Option<String>, Query, description = "Only those that have this in their name"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the part before")
    ),
    responses(
        (status = 200, description = "A part of the keys, without what they are", body = Many<TenantKeyView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 422, description = "Parameters are wrong; `fields` names each", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn list(call: KeyCall, request: HttpRequest) -> Result<Json<Many<TenantKeyView>>, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let listing = listing::asked(&request, tenant)?;
    let asked = listing.clone();
    let part = run(&engine, move |engine| api_keys::list_part(engine, &caller, tenant, &asked)).await?;
    Ok(Json(listing::shown(part, tenant, &listing, |found| TenantKeyView::new(found, &engine))))
}

#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{tokenId}",
    tag = "Bearer",
    summary = "Revoke an API key: one's own, and for owners and admins any; another's that is pinned to no organization is barred from this one",
    params(("tokenId" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "It is refused from now on"),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 404, description = "There is no such key, or it is another's", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn revoke(call: KeyCall, request: HttpRequest) -> Result<HttpResponse, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let id = request.match_info().get("tokenId").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Error::of(Code::KeyNotFound))?;
    run(&engine, move |engine| api_keys::end(engine, &caller, tenant, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_list>(web::to(list)), endpoint::<__path_revoke>(web::to(revoke))]
}
