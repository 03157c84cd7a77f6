//! Sessions of people: `get-session`, `sign-out`.

use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_service::Error;
use keystead_service::sessions::{self, SessionsToEnd, SignedIn};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{SessionCall, try_session};
use super::cookie;
use super::views::{AuthUser, instant};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// A session. `token` is its id, which authenticates nothing: only a digest of the token is kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PersonSessionView {
    id: String,
    user_id: String,
    token: String,
    expires_at: String,
    created_at: String,
    updated_at: String,
    #[schema(nullable, required)]
    ip_address: Option<String>,
    #[schema(nullable, required)]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_organization_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CurrentSession {
    session: PersonSessionView,
    user: AuthUser,
}

impl CurrentSession {
    fn new(signed_in: &SignedIn, engine: &keystead_service::Engine) -> Self {
        let session = signed_in.session();
        let id = session.id.to_string();
        Self {
            session: PersonSessionView {
                token: id.clone(),
                id,
                user_id: session.user.to_ulid(),
                expires_at: instant(session.expires_at(engine.settings().session_lifetime)),
                created_at: instant(session.created_at),
                updated_at: instant(session.last_seen_at),
                ip_address: session.ip.map(|ip| ip.to_string()),
                user_agent: session.user_agent.as_ref().map(|agent| agent.as_str().to_owned()),
                active_organization_id: session.active_tenant.map(|tenant| tenant.to_ulid()),
            },
            user: AuthUser::new(signed_in.user(), signed_in.mfa_enabled()),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/auth/get-session",
    tag = "Account",
    summary = "Who is signed in, or `null`",
    responses(
        (status = 200, description = "The session and its user; `null` for somebody who is not signed in", body = Option<CurrentSession>)
    )
)]
async fn get_session(request: HttpRequest) -> Result<Json<Option<CurrentSession>>, Envelope> {
    let engine = crate::engine(&request)?;
    let session = try_session(&request, &engine).await?;
    Ok(Json(session.map(|signed_in| CurrentSession::new(&signed_in, &engine))))
}

#[derive(Serialize, ToSchema)]
struct SignedOut {
    success: bool,
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-out",
    tag = "Account",
    summary = "End the session",
    responses(
        (status = 200, description = "The session has ended, and the cookie is cleared", body = SignedOut)
    ),
    security(("cookie" = []))
)]
async fn sign_out(call: SessionCall) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, engine, .. } = call;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, SessionsToEnd::Presented))
        .await?;
    let cleared = cookie::clear(&engine).map_err(Error::internal)?;
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, cleared)).json(SignedOut { success: true }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_get_session>(web::to(get_session)), endpoint::<__path_sign_out>(web::to(sign_out))]
}
