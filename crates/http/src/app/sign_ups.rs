//! Signing end users up: `signup`, `verify-email`, `resend-otp`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use keystead_domain::Email;
use keystead_domain::registration::TypedCode;
use keystead_service::Error;
use keystead_service::sign_ups::{self, SignUp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::AppCall;
use super::views::SessionView;
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
struct SignUpBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    password: Option<String>,
    name: Option<String>,
}

impl JsonBody for SignUpBody {
    type Command = SignUp;

    fn parse(self) -> Result<SignUp, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.secret("password", self.password);
        let name = fields.optional("name", self.name.as_deref());
        let (email, password) = fields.finish((email, password))?;
        Ok(SignUp { email, password, name })
    }
}

#[derive(Serialize, ToSchema)]
struct SignUpAnswer {
    user_id: String,
    email: String,
    email_verified: bool,
    otp_sent: bool,
}

#[utoipa::path(
    post,
    path = "/v2/auth/signup",
    tag = "Sign-up",
    summary = "Sign an end user up, and mail it a code",
    request_body = SignUpBody,
    responses(
        (status = 201, description = "The same whether or not the address is taken", body = SignUpAnswer)
    ),
    security(("app" = []))
)]
async fn sign_up(call: AppCall<SignUpBody>) -> Result<HttpResponse, Problem> {
    let AppCall { caller, body, engine } = call;
    let pending = run(&engine, move |engine| sign_ups::sign_up(engine, &caller, body)).await?;
    Ok(HttpResponse::Created().json(SignUpAnswer {
        user_id: pending.user_id.to_string(),
        email: pending.email.to_string(),
        email_verified: false,
        otp_sent: true,
    }))
}

#[derive(Deserialize, ToSchema)]
struct VerifyBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required)]
    code: Option<String>,
}

struct Verify {
    email: Email,
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    code: Option<TypedCode>,
}

impl JsonBody for VerifyBody {
    type Command = Verify;

    fn parse(self) -> Result<Verify, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let code = fields.secret("code", self.code);
        let (email, code) = fields.finish((email, code))?;
        Ok(Verify { email, code: TypedCode::parse(code.expose()) })
    }
}

#[derive(Serialize, ToSchema)]
struct VerifyAnswer {
    user_id: String,
    email: String,
    email_verified: bool,
    #[serde(flatten)]
    session: SessionView,
}

#[utoipa::path(
    post,
    path = "/v2/auth/verify-email",
    tag = "Sign-up",
    summary = "Complete a sign-up with the mailed code, and sign the user in",
    request_body = VerifyBody,
    responses(
        (status = 200, description = "The user, and a session", body = VerifyAnswer)
    ),
    security(("app" = []))
)]
async fn verify_email(call: AppCall<VerifyBody>) -> Result<Json<VerifyAnswer>, Problem> {
    let AppCall { caller, body, engine } = call;
    let (user, session) =
        run(&engine, move |engine| sign_ups::verify_email(engine, &caller, body.email, body.code)).await?;
    Ok(Json(VerifyAnswer {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        email_verified: true,
        session: session.into(),
    }))
}

/// An address, and nothing else.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmailBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
}

impl JsonBody for EmailBody {
    type Command = Email;

    fn parse(self) -> Result<Email, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        fields.finish(email)
    }
}

/// Says the same whether or not a code is on its way.
#[derive(Serialize, ToSchema)]
pub(super) struct OtpSentAnswer {
    pub(super) otp_sent: bool,
}

#[utoipa::path(
    post,
    path = "/v2/auth/resend-otp",
    tag = "Sign-up",
    summary = "Ask for a new code",
    request_body = EmailBody,
    responses(
        (status = 202, description = "The same for every address", body = OtpSentAnswer)
    ),
    security(("app" = []))
)]
async fn resend_otp(call: AppCall<EmailBody>) -> Result<HttpResponse, Problem> {
    let AppCall { caller, body, engine } = call;
    run(&engine, move |engine| sign_ups::resend_code(engine, &caller, body)).await?;
    Ok(HttpResponse::Accepted().json(OtpSentAnswer { otp_sent: true }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_sign_up>(web::to(sign_up)),
        endpoint::<__path_verify_email>(web::to(verify_email)),
        endpoint::<__path_resend_otp>(web::to(resend_otp)),
    ]
}
