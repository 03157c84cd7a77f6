//! A signed-in end user itself: `GET`, `PATCH` and `DELETE` on `me`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use keystead_domain::policy::AppPrincipal;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::user::User;
use keystead_service::profile::{self, ProfileChange};
use keystead_service::{Error, Reauthentication};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::UserCall;
use super::mfa::ProofBody;
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// The end user, and the app that asks.
#[derive(Serialize, ToSchema)]
struct MeAnswer {
    user_id: String,
    email: String,
    email_verified: bool,
    #[schema(nullable, required)]
    name: Option<String>,
    mfa_enabled: bool,
    app_id: String,
    created_at: String,
}

impl MeAnswer {
    fn new(user: &User, mfa_enabled: bool, app: &AppPrincipal) -> Self {
        Self {
            user_id: user.id.to_string(),
            email: user.email.to_string(),
            email_verified: user.email_verified_at.is_some(),
            name: user.name.as_ref().map(ToString::to_string),
            mfa_enabled,
            app_id: app.id.to_string(),
            created_at: instant(user.created_at),
        }
    }
}

#[utoipa::path(
    get,
    path = "/v2/auth/me",
    tag = "End user",
    summary = "The end user whose session is presented",
    responses(
        (status = 200, description = "The user", body = MeAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn me(call: UserCall) -> Result<Json<MeAnswer>, Problem> {
    let app = call.caller.app().map_err(Error::from)?;
    Ok(Json(MeAnswer::new(call.signed_in.user(), call.signed_in.mfa_enabled(), app)))
}

#[derive(Deserialize, ToSchema)]
struct ProfileChangeBody {
    #[serde(alias = "password")]
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    current_password: Option<String>,
    /// Where a second factor is enrolled and the address is to change.
    totp_code: Option<String>,
    /// Absent: unchanged. `null`: none. (A present member is `Some`, whatever it holds.)
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Another address. It takes effect when it is confirmed by the link that is mailed there.
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

struct Change {
    proof: Reauthentication,
    change: ProfileChange,
}

impl JsonBody for ProfileChangeBody {
    type Command = Change;

    fn parse(self) -> Result<Change, Error> {
        let mut fields = Fields::default();
        let password = fields.password("current_password", self.current_password);
        if self.name.is_none() && self.email.is_none() {
            fields.refuse("name", "is required, unless there is an email: one of them is to change");
        }
        let name = self.name.map(|name| fields.optional("name", name.as_deref()));
        let email = fields.optional("email", self.email.as_deref());
        let password = fields.finish(password)?;
        let second_factor = self.totp_code.as_deref().map(TypedFactor::read);
        Ok(Change {
            proof: Reauthentication { password, second_factor },
            change: ProfileChange { name, email },
        })
    }
}

#[utoipa::path(
    patch,
    path = "/v2/auth/me",
    tag = "End user",
    summary = "Rename the end user, or ask for another address",
    request_body = ProfileChangeBody,
    responses(
        (status = 200, description = "The user as it is now: with the address that it had", body = MeAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn change(call: UserCall<ProfileChangeBody>) -> Result<Json<MeAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let (caller, user, mfa_enabled) = run(&engine, move |engine| {
        let user = profile::change(engine, &caller, &signed_in, body.proof, body.change)?;
        Ok((caller, user, signed_in.mfa_enabled()))
    })
    .await?;
    let app = caller.app().map_err(Error::from)?;
    Ok(Json(MeAnswer::new(&user, mfa_enabled, app)))
}

#[utoipa::path(
    delete,
    path = "/v2/auth/me",
    tag = "End user",
    summary = "Delete the end user",
    request_body = ProofBody,
    responses(
        (status = 204, description = "Deleted")
    ),
    security(("app" = [], "session" = []))
)]
async fn remove(call: UserCall<ProofBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    run(&engine, move |engine| profile::delete(engine, &caller, &signed_in, body)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_me>(web::to(me)),
        endpoint::<__path_change>(web::to(change)),
        endpoint::<__path_remove>(web::to(remove)),
    ]
}
