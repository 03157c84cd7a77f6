//! What the key is, whose it is, and where it acts.

use actix_web::web::{self, Json};
use keystead_domain::Owner;
use keystead_domain::policy::{Action, Denied};
use keystead_service::projects;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::KeyCall;
use super::views::Single;
use crate::account::views::{UserView, instant};
use crate::error::BearerError;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    org_id: String,
    org_name: String,
    plan: String,
    role: &'static str,
    token_name: String,
    /// What the key may do now: its scopes, cut down to its holder's role.
    scopes: Vec<String>,
    project_ids: Vec<String>,
}

#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "Bearer",
    summary = "What the key is, and where it acts",
    responses(
        (status = 200, description = "The key and its organization", body = Single<Me>),
        (status = 402, description = "The plan of the organization does not open this API", body = crate::error::BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn me(call: KeyCall) -> Result<Json<Single<Me>>, BearerError> {
    let (owner, tenant) = (call.owner(), call.tenant);
    let ids = match projects::recall_ids(&call.engine, tenant) {
        Some(ids) => ids,
        None => {
            let caller = call.caller.clone();
            run(&call.engine, move |engine| projects::ids(engine, &caller, owner)).await?
        }
    };
    let (person, standing) = (call.person()?, call.standing()?);
    let key = person.key().ok_or(Denied::Forbidden)?;
    let me = Me {
        org_id: tenant.to_ulid(),
        org_name: standing.tenant.name.to_string(),
        plan: standing.tenant.plan.to_string(),
        role: standing.role.as_str(),
        token_name: key.name.to_string(),
        scopes: person.effective_scopes(Some(tenant)).iter().map(str::to_owned).collect(),
        project_ids: ids.iter().map(|id| id.to_ulid()).collect(),
    };
    Ok(Json(Single { data: me }))
}

#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    tag = "Bearer",
    summary = "The user whose key it is",
    responses(
        (status = 200, description = "The user", body = Single<UserView>),
        (status = 402, description = "The plan of the organization does not open this API", body = crate::error::BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn user(call: KeyCall) -> Result<Json<Single<UserView>>, BearerError> {
    call.caller.allow(Action::ReadProfile, Owner::Platform)?;
    Ok(Json(Single { data: UserView::from(call.person()?) }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Workspace {
    id: String,
    name: String,
    slug: String,
    plan: String,
    /// What the key's holder is in it.
    role: &'static str,
    /// Whether its members have to have a second factor.
    mfa_required: bool,
    /// Whether it lets in only keys that are pinned to it.
    pinned_keys_only: bool,
    created_at: String,
}

#[utoipa::path(
    get,
    path = "/api/v1/organization",
    tag = "Bearer",
    summary = "The organization that the key acts in",
    responses(
        (status = 200, description = "The organization", body = Single<Workspace>),
        (status = 402, description = "The plan of the organization does not open this API", body = crate::error::BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn organization(call: KeyCall) -> Result<Json<Single<Workspace>>, BearerError> {
    call.caller.allow(Action::ReadTenant, call.owner())?;
    let standing = call.standing()?;
    let tenant = &standing.tenant;
    let data = Workspace {
        id: tenant.id.to_ulid(),
        name: tenant.name.to_string(),
        slug: tenant.slug.to_string(),
        plan: tenant.plan.to_string(),
        role: standing.role.as_str(),
        mfa_required: tenant.demands.second_factor,
        pinned_keys_only: tenant.demands.pinned_keys,
        created_at: instant(tenant.created_at),
    };
    Ok(Json(Single { data }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_me>(web::to(me)),
        endpoint::<__path_user>(web::to(user)),
        endpoint::<__path_organization>(web::to(organization)),
    ]
}
