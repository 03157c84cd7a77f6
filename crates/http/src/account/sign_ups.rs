//! Getting an account: `sign-up/email`.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web;
use keystead_service::Error;
use keystead_service::accounts::{self, NewAccount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::VisitorCall;
use super::cookie;
use super::views::AuthUser;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
struct AccountBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    password: Option<String>,
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

impl JsonBody for AccountBody {
    type Command = NewAccount;

    fn parse(self) -> Result<NewAccount, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.secret("password", self.password);
        let name = fields.required("name", self.name.as_deref());
        let (email, password, name) = fields.finish((email, password, name))?;
        Ok(NewAccount { email, password, name })
    }
}

/// Somebody who is signed in from now on, by the cookie of the answer.
#[derive(Serialize, ToSchema)]
struct SignedUp {
    token: String,
    user: AuthUser,
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-up/email",
    tag = "Account",
    summary = "Make an account, with an organization of its own",
    request_body = AccountBody,
    responses(
        (status = 200, description = "Signed in; the session is in the cookie too", body = SignedUp),
        (status = 422, description = "An account with this address exists", body = crate::error::EnvelopeBody)
    )
)]
async fn sign_up(call: VisitorCall<AccountBody>) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    let (user, session) = run(&engine, move |engine| accounts::sign_up(engine, &caller, body)).await?;
    let set_cookie = cookie::set(&engine, &session.token).map_err(Error::internal)?;
    let answer = SignedUp { token: session.token.expose().clone(), user: AuthUser::new(&user, false) };
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, set_cookie)).json(answer))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_sign_up>(web::to(sign_up))]
}
