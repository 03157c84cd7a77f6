//! Getting an account: `sign-up/email`.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web;
use keystead_service::Error;
use keystead_service::accounts::{self, NewAccount, SignedUp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::VisitorCall;
use super::cookie;
use super::targets::{self, Target};
use super::views::AuthUser;
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
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
    /// Where the page that confirms the address goes on to.
    #[serde(rename = "callbackURL")]
    callback_url: Option<String>,
}

impl JsonBody for AccountBody {
    type Command = NewAccount;

    fn parse(self) -> Result<NewAccount, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.secret("password", self.password);
        let name = fields.required("name", self.name.as_deref());
        let (email, password, name) = fields.finish((email, password, name))?;
        Ok(NewAccount { email, password, name, onward: self.callback_url })
    }
}

/// Somebody who got an account.
#[derive(Serialize, ToSchema)]
struct AccountAnswer {
    /// The token of the session; `null` where the address has to be confirmed first.
    #[schema(nullable, required)]
    token: Option<String>,
    user: AuthUser,
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-up/email",
    tag = "Account",
    summary = "Make an account, with an organization of its own",
    description = "A mail with a code and a link confirms the address. Where the server wants that first \
                   (`account.require_verified_email`), nobody is signed in, and the answer is the same whether or \
                   not the address has an account.",
    request_body = AccountBody,
    responses(
        (status = 200, description = "Signed in, by the cookie too; or the address is to be confirmed first", body = AccountAnswer),
        (status = 403, description = "The callback URL is elsewhere", body = EnvelopeBody),
        (status = 422, description = "An account with this address exists", body = EnvelopeBody)
    )
)]
async fn sign_up(call: VisitorCall<AccountBody>) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    targets::check(&engine, Target::Callback, body.onward.as_deref())?;
    Ok(match run(&engine, move |engine| accounts::sign_up(engine, &caller, body)).await? {
        SignedUp::Done(user, session) => {
            let set_cookie = cookie::set(&engine, &session.token, false)?;
            let token = Some(session.token.expose().clone());
            let answer = AccountAnswer { token, user: AuthUser::new(&user, false) };
            HttpResponse::Ok().append_header((SET_COOKIE, set_cookie)).json(answer)
        }
        SignedUp::Waiting(user) => {
            HttpResponse::Ok().json(AccountAnswer { token: None, user: AuthUser::new(&user, false) })
        }
    })
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_sign_up>(web::to(sign_up))]
}
