//! What a signed-in end user sees of itself, and signing out: `me`, `sessions/revoke`.

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

/// The end user, and the app that asks.
#[derive(Serialize)]
struct MeAnswer {
    user_id: String,
    email: String,
    email_verified: bool,
    name: Option<String>,
    mfa_enabled: bool,
    app_id: String,
    created_at: String,
}

async fn me(call: UserCall) -> Result<Json<MeAnswer>, Problem> {
    let app = call.caller.app().map_err(Error::from)?;
    let user = call.signed_in.user();
    Ok(Json(MeAnswer {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        email_verified: user.email_verified_at.is_some(),
        name: user.name.as_ref().map(ToString::to_string),
        mfa_enabled: false,
        app_id: app.id.to_string(),
        created_at: instant(user.created_at),
    }))
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
    path(cfg, "/auth/me", [get(web::to(me))], Problem::method_not_allowed);
    path(cfg, "/auth/sessions/revoke", [post(web::to(revoke))], Problem::method_not_allowed);
}
