//! Signing end users in: `login`.

use actix_web::web::{self, Json, ServiceConfig};
use keystead_domain::second_factor::TypedFactor;
use keystead_service::Error;
use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
use serde::{Deserialize, Serialize};

use super::call::{AppCall, JsonBody};
use super::views::instant;
use crate::body::Fields;
use crate::error::Problem;
use crate::resource::{path, post};
use crate::run;

#[derive(Deserialize)]
struct LoginBody {
    email: Option<String>,
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
#[derive(Serialize)]
struct LoginAnswer {
    user_id: String,
    email: String,
    session_token: Option<String>,
    session_expires_at: Option<String>,
    mfa_required: bool,
}

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

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/auth/login", [post(web::to(login))], Problem::method_not_allowed);
}
