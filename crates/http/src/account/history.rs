//! What is kept of a person: `login-history`, `export`.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_service::accounts::{self, PastSignIn};
use serde::Serialize;
use utoipa::ToSchema;

use super::api_keys::KeyView;
use super::call::{PersonCall, SessionCall};
use super::query;
use super::sessions::PersonSessionView;
use super::views::{Answer, UserView, instant};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// A sign-in, or a try of one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PastSignInView {
    id: String,
    at: String,
    succeeded: bool,
    #[schema(nullable, required)]
    ip_address: Option<String>,
    #[schema(nullable, required)]
    user_agent: Option<String>,
}

impl From<PastSignIn> for PastSignInView {
    fn from(past: PastSignIn) -> Self {
        Self {
            id: past.id,
            at: instant(past.at),
            succeeded: past.succeeded,
            ip_address: past.ip,
            user_agent: past.user_agent,
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/user/me/login-history",
    tag = "Profile",
    summary = "Where one signed in, or somebody tried to, the newest first",
    params(
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of the sign-ins", body = Answer<Vec<PastSignInView>>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn login_history(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let PersonCall { caller, engine, .. } = call;
    let page = query::page(&request)?;
    let found = run(&engine, move |engine| accounts::sign_ins(engine, &caller, page)).await?;
    let views: Vec<_> = found.items.into_iter().map(PastSignInView::from).collect();
    Ok(Answer::ok("Login history fetched successfully", views).paged(page, found.total).response())
}

/// Where somebody is a member.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExportedMembership {
    id: String,
    organization_id: String,
    organization_name: String,
    organization_slug: String,
    role: String,
    created_at: String,
}

/// What belongs to a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExportView {
    user: UserView,
    memberships: Vec<ExportedMembership>,
    sessions: Vec<PersonSessionView>,
    api_keys: Vec<KeyView>,
    login_history: Vec<PastSignInView>,
}

#[utoipa::path(
    get,
    path = "/api/user/me/export",
    tag = "Profile",
    summary = "All that belongs to oneself",
    responses(
        (status = 200, description = "Profile, memberships, sessions, API keys (without the keys themselves) and sign-ins", body = Answer<ExportView>)
    ),
    security(("cookie" = []))
)]
async fn export(call: SessionCall) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, engine, .. } = call;
    let user = UserView::from(caller.as_person()?);
    let found = run(&engine, move |engine| accounts::export(engine, &caller, &signed_in)).await?;
    let memberships = found.memberships.iter().map(|(membership, tenant)| ExportedMembership {
        id: membership.id.to_ulid(),
        organization_id: tenant.id.to_ulid(),
        organization_name: tenant.name.to_string(),
        organization_slug: tenant.slug.to_string(),
        role: membership.role.to_string(),
        created_at: instant(membership.created_at),
    });
    let view = ExportView {
        user,
        memberships: memberships.collect(),
        sessions: found
            .sessions
            .iter()
            .map(|(session, ends)| PersonSessionView::new(session, *ends))
            .collect(),
        api_keys: found.keys.iter().map(|key| KeyView::new(key, &engine)).collect(),
        login_history: found.sign_ins.into_iter().map(PastSignInView::from).collect(),
    };
    let mut response = Answer::ok("User exported successfully", view).response();
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        actix_web::http::header::HeaderValue::from_static("attachment; filename=\"keystead-account.json\""),
    );
    Ok(response)
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_login_history>(web::to(login_history)), endpoint::<__path_export>(web::to(export))]
}
