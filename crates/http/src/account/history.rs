//! What is kept of a person: `login-history`, `export`.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use keystead_service::Error;
use keystead_service::accounts::{self, PastSignIn};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_keys::KeyView;
use super::call::{PersonCall, SessionCall};
use super::sessions::PersonSessionView;
use super::views::{Answer, UserView, instant};
use crate::error::{Envelope, Fault};
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Counted from 1.
    #[param(minimum = 1, default = 1)]
    page: Option<i64>,
    /// How many on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// A page of a list, and how many its items are.
struct Asked {
    page: i64,
    limit: i64,
}

/// The last page that is looked up.
const LAST_PAGE: i64 = 1_000_000;

impl FromRequest for Asked {
    type Error = Envelope;
    type Future = std::future::Ready<Result<Self, Envelope>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(request))
    }
}

impl Asked {
    fn of(request: &HttpRequest) -> Result<Self, Envelope> {
        let query = web::Query::<HistoryQuery>::from_query(request.query_string())
            .map_err(|_| Fault::Malformed("page and limit are numbers.".into()))?
            .into_inner();
        let (page, limit) = (query.page.unwrap_or(1), query.limit.unwrap_or(20));
        if !(1..=LAST_PAGE).contains(&page) {
            return Err(Error::invalid_field("page", "out_of_range", "must be 1 to 1000000").into());
        }
        if !(1..=100).contains(&limit) {
            return Err(Error::invalid_field("limit", "out_of_range", "must be 1 to 100").into());
        }
        Ok(Self { page, limit })
    }
}

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

/// Where a page of a list stands in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HistoryPagination {
    page: i64,
    limit: i64,
    total: i64,
    total_pages: i64,
}

#[derive(Serialize, ToSchema)]
struct HistoryMeta {
    pagination: HistoryPagination,
}

/// A page of the sign-ins, in an envelope.
#[derive(Serialize, ToSchema)]
struct LoginHistory {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: Vec<PastSignInView>,
    meta: HistoryMeta,
}

#[utoipa::path(
    get,
    path = "/api/user/me/login-history",
    tag = "Profile",
    summary = "Where one signed in, or somebody tried to, the newest first",
    params(HistoryQuery),
    responses(
        (status = 200, description = "A page of the sign-ins", body = LoginHistory)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn login_history(call: PersonCall, asked: Asked) -> Result<HttpResponse, Envelope> {
    let PersonCall { caller, engine, .. } = call;
    let Asked { page, limit } = asked;
    let found = run(&engine, move |engine| accounts::sign_ins(engine, &caller, (page - 1) * limit, limit));
    let (past, total) = found.await?;
    let total_pages = (total + limit - 1) / limit;
    Ok(HttpResponse::Ok().json(LoginHistory {
        success: true,
        status: 200,
        code: "OK",
        message: "Login history fetched successfully",
        data: past.into_iter().map(PastSignInView::from).collect(),
        meta: HistoryMeta { pagination: HistoryPagination { page, limit, total, total_pages } },
    }))
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

/// The export, in an envelope.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: `Answer` is what is rendered")]
struct ExportAnswer {
    success: bool,
    status: u16,
    code: String,
    message: String,
    data: ExportView,
}

#[utoipa::path(
    get,
    path = "/api/user/me/export",
    tag = "Profile",
    summary = "All that belongs to oneself",
    responses(
        (status = 200, description = "Profile, memberships, sessions, API keys (without the keys themselves) and sign-ins", body = ExportAnswer)
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
