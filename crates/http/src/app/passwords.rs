//! An end user's password: `password-reset/request`, `password-reset/confirm`, `password/change`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_domain::{Email, Secret};
use keystead_service::{Error, passwords};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{AppCall, UserCall};
use super::sign_ups::{EmailBody, OtpSentAnswer};
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[utoipa::path(
    post,
    path = "/v2/auth/password-reset/request",
    tag = "Password",
    summary = "Ask for a code to set a new password with",
    request_body = EmailBody,
    responses(
        (status = 202, description = "The same for every address", body = OtpSentAnswer)
    ),
    security(("app" = []))
)]
async fn request(call: AppCall<EmailBody>) -> Result<HttpResponse, Problem> {
    let AppCall { caller, body, engine } = call;
    run(&engine, move |engine| passwords::request_reset(engine, &caller, body)).await?;
    Ok(HttpResponse::Accepted().json(OtpSentAnswer { otp_sent: true }))
}

#[derive(Deserialize, ToSchema)]
struct ResetBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required)]
    code: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    new_password: Option<String>,
}

struct Confirm {
    email: Email,
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    code: Option<TypedCode>,
    new_password: Secret<String>,
}

impl JsonBody for ResetBody {
    type Command = Confirm;

    fn parse(self) -> Result<Confirm, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let code = fields.secret("code", self.code);
        let new_password = fields.secret("new_password", self.new_password);
        let (email, (code, new_password)) = fields.finish((email, code.zip(new_password)))?;
        Ok(Confirm { email, code: TypedCode::parse(code.expose()), new_password })
    }
}

#[derive(Serialize, ToSchema)]
struct ResetAnswer {
    user_id: String,
    email: String,
}

#[utoipa::path(
    post,
    path = "/v2/auth/password-reset/confirm",
    tag = "Password",
    summary = "Set a new password with the mailed code; every session ends",
    request_body = ResetBody,
    responses(
        (status = 200, description = "Set; nobody is signed in by it", body = ResetAnswer)
    ),
    security(("app" = []))
)]
async fn confirm(call: AppCall<ResetBody>) -> Result<Json<ResetAnswer>, Problem> {
    let AppCall { caller, body, engine } = call;
    let user = run(&engine, move |engine| {
        passwords::confirm_reset(engine, &caller, body.email, body.code, body.new_password)
    })
    .await?;
    Ok(Json(ResetAnswer { user_id: user.id.to_string(), email: user.email.to_string() }))
}

#[derive(Deserialize, ToSchema)]
struct PasswordChangeBody {
    #[serde(alias = "password")]
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    current_password: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    new_password: Option<String>,
}

impl JsonBody for PasswordChangeBody {
    type Command = (Password, Secret<String>);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let current = fields.password("current_password", self.current_password);
        let new = fields.secret("new_password", self.new_password);
        fields.finish((current, new))
    }
}

#[utoipa::path(
    post,
    path = "/v2/auth/password/change",
    tag = "Password",
    summary = "Change the password; the user's other sessions end",
    request_body = PasswordChangeBody,
    responses(
        (status = 204, description = "Changed")
    ),
    security(("app" = [], "session" = []))
)]
async fn change(call: UserCall<PasswordChangeBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body: (current, new), engine } = call;
    run(&engine, move |engine| passwords::change(engine, &caller, &signed_in, &current, new)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_request>(web::to(request)),
        endpoint::<__path_confirm>(web::to(confirm)),
        endpoint::<__path_change>(web::to(change)),
    ]
}
