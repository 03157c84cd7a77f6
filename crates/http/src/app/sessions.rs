//! An end user's sessions: `sessions`, `sessions/revoke`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use keystead_service::Error;
use keystead_service::sessions::{self, SessionsToEnd};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::UserCall;
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::{Problem, ProblemBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Serialize, ToSchema)]
struct SessionsAnswer {
    sessions: Vec<ListedSession>,
}

#[derive(Serialize, ToSchema)]
struct ListedSession {
    session_id: String,
    current: bool,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    #[schema(nullable, required)]
    ip: Option<String>,
    #[schema(nullable, required)]
    user_agent: Option<String>,
}

#[utoipa::path(
    get,
    path = "/v2/auth/sessions",
    tag = "Sessions",
    summary = "The end user's sessions, the newest first",
    responses(
        (status = 200, description = "The sessions", body = SessionsAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn list(call: UserCall) -> Result<Json<SessionsAnswer>, Problem> {
    let UserCall { caller, signed_in, engine, .. } = call;
    let presented = signed_in.session_id();
    let sessions = run(&engine, move |engine| sessions::list(engine, &caller, &signed_in)).await?;
    let listed = sessions.into_iter().map(|(session, expires_at)| ListedSession {
        session_id: session.id.to_string(),
        current: session.id == presented,
        created_at: instant(session.created_at),
        last_seen_at: instant(session.last_seen_at),
        expires_at: instant(expires_at),
        ip: session.ip.map(|ip| ip.to_string()),
        user_agent: session.user_agent.map(|agent| agent.as_str().to_owned()),
    });
    Ok(Json(SessionsAnswer { sessions: listed.collect() }))
}

#[derive(Deserialize, ToSchema)]
struct RevokeBody {
    session_id: Option<String>,
    all: Option<bool>,
}

impl JsonBody for RevokeBody {
    type Command = SessionsToEnd;

    fn empty() -> Option<Self> {
        Some(Self { session_id: None, all: None })
    }

    fn parse(self) -> Result<SessionsToEnd, Error> {
        let mut fields = Fields::default();
        let session = fields.optional("session_id", self.session_id.as_deref());
        let all = self.all.unwrap_or(false);
        if all && self.session_id.is_some() {
            fields.refuse("session_id", "cannot be given with all");
        }
        fields.finish(Some(match session {
            _ if all => SessionsToEnd::All,
            Some(id) => SessionsToEnd::One(id),
            None => SessionsToEnd::Presented,
        }))
    }
}

#[utoipa::path(
    post,
    path = "/v2/auth/sessions/revoke",
    tag = "Sessions",
    summary = "End the presented session, another one, or all",
    request_body = Option<RevokeBody>,
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "There is no such session of this user", body = ProblemBody)
    ),
    security(("app" = [], "session" = []))
)]
async fn revoke(call: UserCall<RevokeBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, body)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_list>(web::to(list)), endpoint::<__path_revoke>(web::to(revoke))]
}
