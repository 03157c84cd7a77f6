//! Sessions of people: `get-session`, `list-sessions`, `sign-out`, `revoke-session`, `revoke-sessions`,
//! `revoke-other-sessions`.

use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Timestamp;
use keystead_domain::id::SessionId;
use keystead_domain::session::Session;
use keystead_service::sessions::{self, SessionsToEnd, SignedIn};
use keystead_service::{Code, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{SessionCall, try_session};
use super::cookie;
use super::views::{AuthUser, Done, instant};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// A session. `token` is its id, which authenticates nothing: only a digest of the token is kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersonSessionView {
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

impl PersonSessionView {
    pub(crate) fn new(session: &Session, expires_at: Timestamp) -> Self {
        let id = session.id.to_string();
        Self {
            token: id.clone(),
            id,
            user_id: session.user.to_ulid(),
            expires_at: instant(expires_at),
            created_at: instant(session.created_at),
            updated_at: instant(session.last_seen_at),
            ip_address: session.ip.map(|ip| ip.to_string()),
            user_agent: session.user_agent.as_ref().map(|agent| agent.as_str().to_owned()),
            active_organization_id: session.active_tenant.map(|tenant| tenant.to_ulid()),
        }
    }
}

impl CurrentSession {
    fn new(signed_in: &SignedIn, engine: &keystead_service::Engine) -> Self {
        let expires_at = signed_in.session().expires_at(engine.settings().session_lifetime);
        Self {
            session: PersonSessionView::new(signed_in.session(), expires_at),
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
    let cleared = cookie::clear(&engine)?;
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, cleared)).json(SignedOut { success: true }))
}

#[utoipa::path(
    get,
    path = "/api/auth/list-sessions",
    tag = "Account",
    summary = "One's sessions, the newest first",
    responses(
        (status = 200, description = "The sessions", body = Vec<PersonSessionView>)
    ),
    security(("cookie" = []))
)]
async fn list_sessions(call: SessionCall) -> Result<Json<Vec<PersonSessionView>>, Envelope> {
    let SessionCall { caller, signed_in, engine, .. } = call;
    let sessions = run(&engine, move |engine| sessions::list(engine, &caller, &signed_in)).await?;
    Ok(Json(sessions.iter().map(|(session, ends)| PersonSessionView::new(session, *ends)).collect()))
}

#[derive(Deserialize, ToSchema)]
struct SessionBody {
    /// What `list-sessions` shows as `token`: the id of a session.
    #[schema(value_type = String, required)]
    token: Option<String>,
}

impl JsonBody for SessionBody {
    /// Nothing for what cannot be an id: there is no such session.
    type Command = Option<SessionId>;

    fn parse(self) -> Result<Option<SessionId>, Error> {
        let mut fields = Fields::default();
        let token = fields.secret("token", self.token);
        Ok(fields.finish(token)?.expose().parse().ok())
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/revoke-session",
    tag = "Account",
    summary = "End one of one's sessions",
    request_body = SessionBody,
    responses(
        (status = 200, description = "It has ended", body = Done),
        (status = 404, description = "One has no such session", body = EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn revoke_session(call: SessionCall<SessionBody>) -> Result<Json<Done>, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let which = body.ok_or_else(|| Error::of(Code::NotFound).saying("There is no such session."))?;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, SessionsToEnd::One(which)))
        .await?;
    Ok(Json(Done::YES))
}

#[utoipa::path(
    post,
    path = "/api/auth/revoke-sessions",
    tag = "Account",
    summary = "End all of one's sessions, this one too",
    responses(
        (status = 200, description = "They have ended, and the cookie is cleared", body = Done)
    ),
    security(("cookie" = []))
)]
async fn revoke_sessions(call: SessionCall) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, engine, .. } = call;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, SessionsToEnd::All)).await?;
    let cleared = cookie::clear(&engine)?;
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, cleared)).json(Done::YES))
}

#[utoipa::path(
    post,
    path = "/api/auth/revoke-other-sessions",
    tag = "Account",
    summary = "End all of one's sessions but this one",
    responses(
        (status = 200, description = "They have ended", body = Done)
    ),
    security(("cookie" = []))
)]
async fn revoke_other_sessions(call: SessionCall) -> Result<Json<Done>, Envelope> {
    let SessionCall { caller, signed_in, engine, .. } = call;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, SessionsToEnd::Others)).await?;
    Ok(Json(Done::YES))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_get_session>(web::to(get_session)),
        endpoint::<__path_sign_out>(web::to(sign_out)),
        endpoint::<__path_list_sessions>(web::to(list_sessions)),
        endpoint::<__path_revoke_session>(web::to(revoke_session)),
        endpoint::<__path_revoke_sessions>(web::to(revoke_sessions)),
        endpoint::<__path_revoke_other_sessions>(web::to(revoke_other_sessions)),
    ]
}
