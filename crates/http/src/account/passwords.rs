//! Passwords of people: `request-password-reset`, `reset-password`, `change-password`.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Json};
use keystead_domain::password::Password;
use keystead_domain::{Email, Secret};
use keystead_service::{Error, passwords, reset_links};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{SessionCall, VisitorCall};
use super::cookie;
use super::targets::{self, Target};
use super::views::{AuthUser, Done};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResetRequestBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    /// The page to set the new password on, which gets the link's token as `token`; a page of this server where
    /// it is missing.
    redirect_to: Option<String>,
}

impl JsonBody for ResetRequestBody {
    type Command = (Email, Option<String>);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        Ok((fields.finish(email)?, self.redirect_to))
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/request-password-reset",
    tag = "Account",
    summary = "Ask for a link to set a new password with",
    description = "The answer is the same for every address.",
    request_body = ResetRequestBody,
    responses(
        (status = 200, description = "If the address has an account, it gets a mail", body = Done),
        (status = 403, description = "`redirectTo` is elsewhere", body = EnvelopeBody)
    )
)]
async fn request_reset(call: VisitorCall<ResetRequestBody>) -> Result<Json<Done>, Envelope> {
    let VisitorCall { caller, body: (email, onward), engine } = call;
    targets::check(&engine, Target::Redirect, onward.as_deref())?;
    run(&engine, move |engine| reset_links::request(engine, &caller, email, onward)).await?;
    Ok(Json(Done::YES))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PasswordResetBody {
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    new_password: Option<String>,
    /// The token of the mailed link.
    #[schema(value_type = String, required)]
    token: Option<String>,
}

impl JsonBody for PasswordResetBody {
    type Command = (Secret<String>, Secret<String>);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let password = fields.secret("newPassword", self.new_password);
        let token = fields.secret("token", self.token);
        fields.finish((password, token))
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/reset-password",
    tag = "Account",
    summary = "Set a new password with a mailed link",
    description = "Every session ends, and nobody is signed in by it. A second factor stays in force.",
    request_body = PasswordResetBody,
    responses(
        (status = 200, description = "The password is set", body = Done)
    )
)]
async fn reset(call: VisitorCall<PasswordResetBody>) -> Result<Json<Done>, Envelope> {
    let VisitorCall { caller, body: (password, token), engine } = call;
    run(&engine, move |engine| reset_links::confirm(engine, &caller, token.expose(), password)).await?;
    Ok(Json(Done::YES))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewPasswordBody {
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    current_password: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    new_password: Option<String>,
    /// Whether every other session ends.
    revoke_other_sessions: Option<bool>,
}

struct NewPassword {
    current: Password,
    new: Secret<String>,
    others_end: bool,
}

impl JsonBody for NewPasswordBody {
    type Command = NewPassword;

    fn parse(self) -> Result<NewPassword, Error> {
        let mut fields = Fields::default();
        let current = fields.password("currentPassword", self.current_password);
        let new = fields.secret("newPassword", self.new_password);
        let (current, new) = fields.finish((current, new))?;
        Ok(NewPassword { current, new, others_end: self.revoke_other_sessions == Some(true) })
    }
}

/// The token that the present session has from now on, in the cookie of the answer too.
#[derive(Serialize, ToSchema)]
struct PasswordChanged {
    token: String,
    user: AuthUser,
}

#[utoipa::path(
    post,
    path = "/api/auth/change-password",
    tag = "Account",
    summary = "Change one's password",
    request_body = NewPasswordBody,
    responses(
        (status = 200, description = "It is changed, and the session has another token", body = PasswordChanged)
    ),
    security(("cookie" = []))
)]
async fn change(call: SessionCall<NewPasswordBody>) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let user = AuthUser::new(signed_in.user(), signed_in.mfa_enabled());
    let transient = signed_in.session().transient;
    let changed = run(&engine, move |engine| {
        let NewPassword { current, new, others_end } = body;
        passwords::change_and_renew(engine, &caller, &signed_in, &current, new, others_end)
    });
    let token = changed.await.map_err(Envelope::of_password)?;
    let cookie = cookie::set(&engine, &token, transient)?;
    let answer = PasswordChanged { token: token.expose().clone(), user };
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, cookie)).json(answer))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_request_reset>(web::to(request_reset)),
        endpoint::<__path_reset>(web::to(reset)),
        endpoint::<__path_change>(web::to(change)),
    ]
}
