//! An end user's sessions: `sessions`, `sessions/revoke`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json, ServiceConfig};
use keystead_service::Error;
use keystead_service::sessions::{self, Revocation};
use serde::{Deserialize, Serialize};

use super::call::{JsonBody, UserCall};
use super::views::instant;
use crate::body::Fields;
use crate::error::Problem;
use crate::resource::{get, path, post};
use crate::run;

#[derive(Serialize)]
struct SessionsAnswer {
    sessions: Vec<ListedSession>,
}

#[derive(Serialize)]
struct ListedSession {
    session_id: String,
    current: bool,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    ip: Option<String>,
    user_agent: Option<String>,
}

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

#[derive(Deserialize)]
struct RevokeBody {
    session_id: Option<String>,
    all: Option<bool>,
}

impl JsonBody for RevokeBody {
    type Command = Revocation;

    fn empty() -> Option<Self> {
        Some(Self { session_id: None, all: None })
    }

    fn parse(self) -> Result<Revocation, Error> {
        let mut fields = Fields::default();
        let session = fields.optional("session_id", self.session_id.as_deref());
        let all = self.all.unwrap_or(false);
        if all && self.session_id.is_some() {
            fields.refuse("session_id", "cannot be given with all");
        }
        fields.finish(Some(match session {
            _ if all => Revocation::All,
            Some(id) => Revocation::One(id),
            None => Revocation::Presented,
        }))
    }
}

async fn revoke(call: UserCall<RevokeBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    run(&engine, move |engine| sessions::revoke(engine, &caller, &signed_in, body)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/auth/sessions", [get(web::to(list))], Problem::method_not_allowed);
    path(cfg, "/auth/sessions/revoke", [post(web::to(revoke))], Problem::method_not_allowed);
}
