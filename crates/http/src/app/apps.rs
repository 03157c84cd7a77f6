//! `GET /v2/apps/me`: the app that calls.

use actix_web::web::{self, Json};
use keystead_domain::policy::{Action, AppPrincipal};
use keystead_service::Error;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::AppCall;
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};

/// Slug, name and network identity are the tenant's; an app of the platform has only a name.
#[derive(Serialize, ToSchema)]
struct AppView {
    app_id: String,
    #[schema(nullable, required)]
    slug: Option<String>,
    name: String,
    #[schema(nullable, required)]
    entity_hotkey: Option<String>,
    allowed_scopes: Vec<String>,
    active: bool,
}

impl From<&AppPrincipal> for AppView {
    fn from(app: &AppPrincipal) -> Self {
        let tenant = app.tenant.as_ref();
        Self {
            app_id: app.id.to_string(),
            slug: tenant.map(|tenant| tenant.slug.to_string()),
            name: app.product().to_string(),
            entity_hotkey: tenant
                .and_then(|tenant| tenant.entity_hotkey.as_ref())
                .map(|identity| identity.as_str().to_owned()),
            allowed_scopes: app.allowed_scopes.iter().map(str::to_owned).collect(),
            // An app that is not is refused before it gets here.
            active: true,
        }
    }
}

#[utoipa::path(
    get,
    path = "/v2/apps/me",
    tag = "Apps",
    summary = "The app that calls",
    responses(
        (status = 200, description = "The app", body = AppView)
    ),
    security(("app" = []))
)]
async fn me(call: AppCall) -> Result<Json<AppView>, Problem> {
    let app = call.caller.app().map_err(Error::from)?;
    call.caller.allow(Action::ReadOwnApp, app.owner()).map_err(Error::from)?;
    Ok(Json(app.into()))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_me>(web::to(me))]
}
