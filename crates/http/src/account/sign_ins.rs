//! Signing in: `sign-in/email`, and what a sign-in page asks first, `identify`.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Json};
use keystead_domain::Email;
use keystead_domain::password::Password;
use keystead_service::Error;
use keystead_service::sign_ins::{self, PersonSignIn};
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
#[serde(rename_all = "camelCase")]
struct EmailSignInBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    password: Option<String>,
    /// Where it is `false`, the session's cookie goes when the browser is closed.
    remember_me: Option<bool>,
    /// Where the page goes on to.
    #[serde(rename = "callbackURL")]
    callback_url: Option<String>,
}

struct EmailSignIn {
    email: Email,
    password: Password,
    transient: bool,
    onward: Option<String>,
}

impl JsonBody for EmailSignInBody {
    type Command = EmailSignIn;

    fn parse(self) -> Result<EmailSignIn, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let password = fields.password("password", self.password);
        let (email, password) = fields.finish((email, password))?;
        let transient = self.remember_me == Some(false);
        Ok(EmailSignIn { email, password, transient, onward: self.callback_url })
    }
}

/// Somebody who is signed in from now on, by the cookie of the answer.
#[derive(Serialize, ToSchema)]
struct SignedIn {
    redirect: bool,
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    user: AuthUser,
}

/// The password was right, and the second factor is still to come: the cookie of the answer says whose.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FactorAwaited {
    two_factor_redirect: bool,
    two_factor_methods: [&'static str; 1],
}

/// How a sign-in with the right password ends.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum SignInAnswer {
    SignedIn(SignedIn),
    FactorAwaited(FactorAwaited),
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-in/email",
    tag = "Account",
    summary = "Sign in with a password",
    request_body = EmailSignInBody,
    responses(
        (status = 200, description = "Signed in, or the second factor is still to come", body = SignInAnswer),
        (status = 401, description = "The address or the password is wrong, or the account is locked", body = EnvelopeBody),
        (status = 403, description = "The address is not confirmed, or the callback URL is elsewhere", body = EnvelopeBody)
    )
)]
async fn sign_in(call: VisitorCall<EmailSignInBody>) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    targets::check(&engine, Target::Callback, body.onward.as_deref())?;
    let EmailSignIn { email, password, transient, onward } = body;
    let done = run(&engine, move |engine| sign_ins::of_person(engine, &caller, email, password, transient));
    let (cookies, answer) = match done.await? {
        PersonSignIn::Done(done) => {
            let answer = SignedIn {
                redirect: onward.is_some(),
                token: done.session.token.expose().clone(),
                url: onward,
                user: AuthUser::new(&done.user, false),
            };
            (cookie::of_sign_in(&engine, &done)?, SignInAnswer::SignedIn(answer))
        }
        PersonSignIn::Challenged(token) => {
            let answer = FactorAwaited { two_factor_redirect: true, two_factor_methods: ["totp"] };
            (vec![cookie::set_challenge(&engine, &token)?], SignInAnswer::FactorAwaited(answer))
        }
    };
    let mut response = HttpResponse::Ok();
    for cookie in cookies {
        response.append_header((SET_COOKIE, cookie));
    }
    Ok(response.json(answer))
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct AddressBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
}

impl JsonBody for AddressBody {
    type Command = Email;

    fn parse(self) -> Result<Email, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        fields.finish(email)
    }
}

/// How people sign in here. It is the same for every address.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignInMethod {
    method: &'static str,
    #[schema(nullable, required)]
    sso_provider: Option<String>,
    #[schema(nullable, required)]
    sso_redirect_url: Option<String>,
    has_passkey: bool,
    allow_magic_link: bool,
}

#[utoipa::path(
    post,
    path = "/api/auth/identify",
    tag = "Account",
    summary = "How somebody with this address signs in",
    description = "Answered from the settings of the server, never from the account: the answer is the same \
                   whether or not there is one.",
    request_body = AddressBody,
    responses(
        (status = 200, description = "How to go on", body = SignInMethod)
    )
)]
async fn identify(_: VisitorCall<AddressBody>) -> Json<SignInMethod> {
    Json(SignInMethod {
        method: "password",
        sso_provider: None,
        sso_redirect_url: None,
        has_passkey: false,
        allow_magic_link: false,
    })
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_sign_in>(web::to(sign_in)), endpoint::<__path_identify>(web::to(identify))]
}
