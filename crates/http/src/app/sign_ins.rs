//! Signing end users in: `login`.

use actix_web::web::{self, Json};
use keystead_domain::second_factor::TypedFactor;
use keystead_service::Error;
use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::AppCall;
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
struct LoginBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    password: Option<String>,
    /// Of the authenticator app, or a recovery code.
    totp_code: Option<String>,
}

impl JsonBody for LoginBody {
    type Command = PasswordSignIn;

    fn parse(self) -> Result<PasswordSignIn, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.password("password", self.password);
        let (email, password) = fields.finish((email, password))?;
        let second_factor = self.totp_code.as_deref().map(TypedFactor::read);
        Ok(PasswordSignIn { email, password, second_factor })
    }
}

/// With a second factor and no code of it, there is no session, and `mfa_required` is true.
#[derive(Serialize, ToSchema)]
struct LoginAnswer {
    user_id: String,
    email: String,
    #[schema(nullable, required)]
    session_token: Option<String>,
    #[schema(nullable, required)]
    session_expires_at: Option<String>,
    mfa_required: bool,
}

#[utoipa::path(
    post,
    path = "/v2/auth/login",
    tag = "Sign-in",
    summary = "Sign an end user in",
    request_body = LoginBody,
    responses(
        (status = 200, description = "A session; or none, where a second factor is required and no code of it was sent", body = LoginAnswer)
    ),
    security(("app" = []))
)]
async fn login(call: AppCall<LoginBody>) -> Result<Json<LoginAnswer>, Problem> {
    let AppCall { caller, body, engine } = call;
    let sign_in = run(&engine, move |engine| sign_ins::with_password(engine, &caller, body)).await?;
    let (user, session) = match sign_in {
        SignIn::Done(user, session) => (user, Some(session)),
        SignIn::SecondFactorRequired(user) => (user, None),
    };
    Ok(Json(LoginAnswer {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        mfa_required: session.is_none(),
        session_expires_at: session.as_ref().map(|session| instant(session.expires_at)),
        session_token: session.map(|session| session.token.expose().clone()),
    }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_login>(web::to(login))]
}
