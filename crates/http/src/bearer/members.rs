//! Members of the organization that the key acts in.

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::id::MembershipId;
use keystead_service::members::{self, Found};

use super::call::KeyCall;
use super::listing;
use super::views::{Many, Single};
use crate::account::members::MemberView;
use crate::error::{BearerError, BearerErrorBody};
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

fn view((membership, user): &Found) -> MemberView {
    MemberView::new(membership, user, None)
}

#[utoipa::path(
    get,
    path = "/api/v1/members",
    tag = "Bearer",
    summary = "The organization's members, part by part",
    params(
        ("limit" = Option<u16>, Query, description = "How many at most", minimum = 1, maximum = 200),
        ("sort" = Option<String>, Query, description = "`id`, `createdAt` or `name`; with a hyphen before it the other way round"),
        ("search" = Option<String>, Query, description = "Only those that have this in their name or address"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the part before")
    ),
    responses(
        (status = 200, description = "A part of the members", body = Many<MemberView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 422, description = "Parameters are wrong; `fields` names each", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn list(call: KeyCall, request: HttpRequest) -> Result<Json<Many<MemberView>>, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let listing = listing::asked(&request, tenant)?;
    let asked = listing.clone();
    let part = run(&engine, move |engine| members::list_part(engine, &caller, tenant, &asked)).await?;
    Ok(Json(listing::shown(part, tenant, &listing, view)))
}

#[utoipa::path(
    get,
    path = "/api/v1/members/{memberId}",
    tag = "Bearer",
    summary = "One of the organization's members",
    params(("memberId" = String, Path, description = "The membership's id")),
    responses(
        (status = 200, description = "The member", body = Single<MemberView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 404, description = "There is no such member in the organization", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn show(call: KeyCall, request: HttpRequest) -> Result<Json<Single<MemberView>>, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let id: MembershipId = path::record(&request, "memberId")?;
    let found = run(&engine, move |engine| members::show(engine, &caller, tenant, id)).await?;
    Ok(Json(Single { data: view(&found) }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_list>(web::to(list)), endpoint::<__path_show>(web::to(show))]
}
