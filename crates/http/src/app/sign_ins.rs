//! Signing end users in: `login`.

use actix_web::web::{self, Json, ServiceConfig};
use keystead_domain::password::Password;
use keystead_service::Error;
use keystead_service::sign_ins::{self, PasswordSignIn};
use serde::{Deserialize, Serialize};

use super::call::{AppCall, JsonBody};
use super::views::SessionView;
use crate::body::Fields;
use crate::error::Problem;
use crate::resource::{path, post};
use crate::run;

#[derive(Deserialize)]
struct LoginBody {
    email: Option<String>,
    password: Option<String>,
}

impl JsonBody for LoginBody {
    type Command = PasswordSignIn;

    fn parse(self) -> Result<PasswordSignIn, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.secret("password", self.password);
        let password = password.and_then(|text| {
            Password::attempt(text.expose()).map_err(|error| fields.refuse("password", error)).ok()
        });
        let (email, password) = fields.finish((email, password))?;
        Ok(PasswordSignIn { email, password })
    }
}

#[derive(Serialize)]
struct LoginAnswer {
    user_id: String,
    email: String,
    #[serde(flatten)]
    session: SessionView,
    mfa_required: bool,
}

async fn login(call: AppCall<LoginBody>) -> Result<Json<LoginAnswer>, Problem> {
    let AppCall { caller, body, engine } = call;
    let (user, session) = run(&engine, move |engine| sign_ins::with_password(engine, &caller, body)).await?;
    Ok(Json(LoginAnswer {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        session: session.into(),
        mfa_required: false,
    }))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/auth/login", [post(web::to(login))], Problem::method_not_allowed);
}
