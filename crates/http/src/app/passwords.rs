//! An end user's password: `password-reset/request`, `password-reset/confirm`, `password/change`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json, ServiceConfig};
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_domain::{Email, Secret};
use keystead_service::{Error, passwords};
use serde::{Deserialize, Serialize};

use super::call::{AppCall, JsonBody, UserCall};
use super::sign_ups::{EmailBody, OtpSentAnswer};
use crate::body::Fields;
use crate::error::Problem;
use crate::resource::{path, post};
use crate::run;

async fn request(call: AppCall<EmailBody>) -> Result<HttpResponse, Problem> {
    let AppCall { caller, body, engine } = call;
    run(&engine, move |engine| passwords::request_reset(engine, &caller, body)).await?;
    Ok(HttpResponse::Accepted().json(OtpSentAnswer { otp_sent: true }))
}

#[derive(Deserialize)]
struct ConfirmBody {
    email: Option<String>,
    code: Option<String>,
    new_password: Option<String>,
}

struct Confirm {
    email: Email,
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    code: Option<TypedCode>,
    new_password: Secret<String>,
}

impl JsonBody for ConfirmBody {
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

#[derive(Serialize)]
struct ConfirmAnswer {
    user_id: String,
    email: String,
}

async fn confirm(call: AppCall<ConfirmBody>) -> Result<Json<ConfirmAnswer>, Problem> {
    let AppCall { caller, body, engine } = call;
    let user = run(&engine, move |engine| {
        passwords::confirm_reset(engine, &caller, body.email, body.code, body.new_password)
    })
    .await?;
    Ok(Json(ConfirmAnswer { user_id: user.id.to_string(), email: user.email.to_string() }))
}

#[derive(Deserialize)]
struct ChangeBody {
    #[serde(alias = "password")]
    current_password: Option<String>,
    new_password: Option<String>,
}

impl JsonBody for ChangeBody {
    type Command = (Password, Secret<String>);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let current = fields.password("current_password", self.current_password);
        let new = fields.secret("new_password", self.new_password);
        fields.finish((current, new))
    }
}

async fn change(call: UserCall<ChangeBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body: (current, new), engine } = call;
    run(&engine, move |engine| passwords::change(engine, &caller, &signed_in, &current, new)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/auth/password-reset/request", [post(web::to(request))], Problem::method_not_allowed);
    path(cfg, "/auth/password-reset/confirm", [post(web::to(confirm))], Problem::method_not_allowed);
    path(cfg, "/auth/password/change", [post(web::to(change))], Problem::method_not_allowed);
}
