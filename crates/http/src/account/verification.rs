//! Proving an address: `verify-email` by link and by code, `send-verification-email`.

use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::registration::TypedCode;
use keystead_domain::{Email, Secret};
use keystead_service::{Caller, Code, Error, rate_limits, verification};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::call::{VisitorCall, try_session};
use super::cookie;
use super::targets::{self, Target, with_parameter};
use super::views::{AuthUser, Done};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody, Fault};
use crate::resource::{Endpoint, endpoint};
use crate::{credentials, run};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LinkQuery {
    /// The token of the mailed link.
    #[param(value_type = String, required)]
    token: Option<String>,
    /// Where the browser goes on to. Where the link is no good, `error` is added to it.
    #[serde(rename = "callbackURL")]
    callback_url: Option<String>,
}

/// Whose address it is.
#[derive(Serialize, ToSchema)]
struct AddressVerified {
    status: bool,
    /// The token of a session, where a code completed a sign-up.
    #[schema(nullable, required)]
    token: Option<String>,
    user: AuthUser,
}

#[utoipa::path(
    get,
    path = "/api/auth/verify-email",
    tag = "Account",
    summary = "Prove one's address by the mailed link",
    description = "Sessions, API keys, the second factor and the password that were made before end, but for those \
                   of the browser that follows the link.",
    params(LinkQuery),
    responses(
        (status = 200, description = "The address is proven", body = AddressVerified),
        (status = 302, description = "To the callback URL"),
        (status = 400, description = "The link is wrong, expired or spent", body = EnvelopeBody),
        (status = 403, description = "The callback URL is elsewhere", body = EnvelopeBody),
        (status = 429, description = "Too many requests; `Retry-After`", body = EnvelopeBody)
    )
)]
async fn by_link(request: HttpRequest) -> Result<HttpResponse, Envelope> {
    let engine = crate::engine(&request)?;
    let arrival = credentials::arrival(&request, &engine);
    rate_limits::anonymous(&engine, &arrival)?;
    let query = web::Query::<LinkQuery>::from_query(request.query_string())
        .map_err(|_| Fault::Malformed("The query cannot be read.".into()))?
        .into_inner();
    targets::check(&engine, Target::Callback, query.callback_url.as_deref())?;
    let Some(token) = query.token.map(Secret::new) else {
        return Err(Error::invalid_field("token", "required", "is required").into());
    };
    let caller = Caller::visitor(arrival);
    // A mail program that only looks whether a link leads somewhere does not follow it.
    let proven = if request.method() == actix_web::http::Method::HEAD {
        Err(Error::of(Code::InvalidLink))
    } else {
        let browser = try_session(&request, &engine).await?;
        run(&engine, move |engine| {
            verification::by_link(engine, &caller, token.expose(), browser.as_ref(), false)
        })
        .await
    };
    match (proven, query.callback_url) {
        (Ok(_), Some(url)) => Ok(found(&url)),
        (Ok(proven), None) => {
            let user = AuthUser::new(&proven.user, false);
            Ok(HttpResponse::Ok().json(AddressVerified { status: true, token: None, user }))
        }
        (Err(error), Some(url)) if error.code() == Code::InvalidLink => {
            Ok(found(&with_parameter(&url, "error", "INVALID_TOKEN")))
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn found(url: &str) -> HttpResponse {
    HttpResponse::Found().append_header((LOCATION, url)).finish()
}

#[derive(Deserialize, ToSchema)]
struct AddressCodeBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    /// The six digits.
    #[schema(value_type = String, required)]
    code: Option<String>,
}

struct AddressCode {
    email: Email,
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    code: Option<TypedCode>,
}

impl JsonBody for AddressCodeBody {
    type Command = AddressCode;

    fn parse(self) -> Result<AddressCode, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let code = fields.secret("code", self.code);
        let (email, code) = fields.finish((email, code))?;
        Ok(AddressCode { email, code: TypedCode::parse(code.expose()) })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/verify-email",
    tag = "Account",
    summary = "Prove one's address by the mailed code",
    description = "Completes a sign-up, which signs its user in, or proves the address of an account. For an account, \
                   sessions, API keys, the second factor and the password that were made before end, but for those \
                   of the browser that sends the code.",
    request_body = AddressCodeBody,
    responses(
        (status = 200, description = "The address is proven", body = AddressVerified)
    )
)]
async fn by_code(request: HttpRequest, call: VisitorCall<AddressCodeBody>) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    let browser = try_session(&request, &engine).await?;
    let AddressCode { email, code } = body;
    let proven =
        run(&engine, move |engine| verification::by_code(engine, &caller, email, code, browser.as_ref()))
            .await?;
    let mut response = HttpResponse::Ok();
    if let Some(session) = &proven.session {
        response.append_header((SET_COOKIE, cookie::set(&engine, &session.token, false)?));
    }
    let token = proven.session.map(|session| session.token.expose().clone());
    Ok(response.json(AddressVerified { status: true, token, user: AuthUser::new(&proven.user, false) }))
}

#[derive(Deserialize, ToSchema)]
struct ProofRequestBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    /// Where the page that confirms the address goes on to.
    #[serde(rename = "callbackURL")]
    callback_url: Option<String>,
}

impl JsonBody for ProofRequestBody {
    type Command = (Email, Option<String>);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        Ok((fields.finish(email)?, self.callback_url))
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/send-verification-email",
    tag = "Account",
    summary = "Ask for a new mail that proves an address",
    description = "The answer is the same for every address.",
    request_body = ProofRequestBody,
    responses(
        (status = 200, description = "If the address has to be proven, it gets a mail", body = Done),
        (status = 403, description = "The callback URL is elsewhere", body = EnvelopeBody)
    )
)]
async fn send(call: VisitorCall<ProofRequestBody>) -> Result<Json<Done>, Envelope> {
    let VisitorCall { caller, body: (email, onward), engine } = call;
    targets::check(&engine, Target::Callback, onward.as_deref())?;
    run(&engine, move |engine| verification::request(engine, &caller, email, onward)).await?;
    Ok(Json(Done::YES))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_by_link>(web::to(by_link)),
        endpoint::<__path_by_code>(web::to(by_code)),
        endpoint::<__path_send>(web::to(send)),
    ]
}
