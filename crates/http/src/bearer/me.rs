//! `GET /api/v1/me`: what the key is, and where it acts.

use actix_web::web::{self, Json};
use keystead_domain::policy::Denied;
use keystead_service::projects;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::KeyCall;
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
        (status = 200, description = "The key and its organization", body = Me),
        (status = 402, description = "The plan of the organization does not open this API", body = crate::error::BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn me(call: KeyCall) -> Result<Json<Me>, BearerError> {
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
    Ok(Json(Me {
        org_id: tenant.to_ulid(),
        org_name: standing.tenant.name.to_string(),
        plan: standing.tenant.plan.to_string(),
        role: standing.role.as_str(),
        token_name: key.name.to_string(),
        scopes: person.effective_scopes(Some(tenant)).iter().map(str::to_owned).collect(),
        project_ids: ids.iter().map(|id| id.to_ulid()).collect(),
    }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_me>(web::to(me))]
}
