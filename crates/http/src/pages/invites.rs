//! `/invite/{token}`: an invitation to an organization.
//!
//! Opening the link changes nothing: a button accepts. Who is signed in with the invited address presses it;
//! who has an account of that address signs in here; who has none makes one here, with the address that the
//! link proves.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::second_factor::TypedFactor;
use keystead_service::invites::{self, Joined, Named, NewMember, Preview, SignedInTo};
use keystead_service::people::{self, Presented};
use keystead_service::sessions::NewSession;
use keystead_service::{Caller, Code, Engine};
use maud::{Markup, html};

use super::form::{FormCall, Visitor};
use super::{PagePath, page};
use crate::account::cookie;
use crate::error::PageError;
use crate::{credentials, engine, resource, run};

/// What the button of a form is for.
const STEP: &str = "step";
const JOIN: &str = "join";
const SIGN_IN: &str = "sign_in";
const SIGN_UP: &str = "sign_up";

/// Who looks at the page, as far as it matters.
enum Viewer {
    /// Somebody who is not signed in.
    Stranger,
    /// Somebody who is signed in with the invited address and has confirmed it.
    Invited,
    /// Somebody who is signed in with the invited address and has not confirmed it.
    Unconfirmed,
    /// Somebody who is signed in with another address.
    Another(String),
}

/// The person whose session's cookie the request brings, if it is good.
async fn person(request: &HttpRequest, engine: &Data<Engine>) -> Result<Option<Caller>, PageError> {
    let Some(token) = cookie::read(request, engine) else { return Ok(None) };
    let (presented, arrival) = (Presented::Session(token), credentials::arrival(request, engine));
    let found = run(engine, move |engine| {
        let verified = people::verify(engine, &presented, &arrival)?;
        people::admit(engine, &verified, arrival)
    });
    match found.await {
        Ok(caller) => Ok(Some(caller)),
        Err(error) if error.code() == Code::InvalidSession => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn viewer(person: Option<&Caller>, preview: &Preview) -> Viewer {
    let Some(user) = person.and_then(|caller| caller.as_person().ok()).map(|person| &person.user) else {
        return Viewer::Stranger;
    };
    if user.email.key() != preview.invite.email.key() {
        Viewer::Another(user.email.to_string())
    } else if user.email_verified_at.is_none() {
        Viewer::Unconfirmed
    } else {
        Viewer::Invited
    }
}

fn token(request: &HttpRequest) -> Secret<String> {
    Secret::new(request.match_info().get("token").unwrap_or_default().to_owned())
}

async fn show(request: HttpRequest, visitor: Visitor) -> Result<HttpResponse, PageError> {
    let engine = engine(&request)?;
    shown(&request, &engine, &visitor, StatusCode::OK, &Again::default()).await
}

/// What is said when the form is shown again.
#[derive(Default)]
struct Again {
    wrong: Option<String>,
    name: String,
}

impl Again {
    fn because(wrong: impl Into<String>) -> Self {
        Self { wrong: Some(wrong.into()), name: String::new() }
    }
}

async fn shown(
    request: &HttpRequest,
    engine: &Data<Engine>,
    visitor: &Visitor,
    status: StatusCode,
    again: &Again,
) -> Result<HttpResponse, PageError> {
    let person = person(request, engine).await?;
    let (stranger, token) = (Caller::visitor(credentials::arrival(request, engine)), token(request));
    let preview = run(engine, move |engine| invites::preview(engine, &stranger, &token)).await?;
    let viewer = viewer(person.as_ref(), &preview);
    Ok(visitor.shown(content(status, visitor, &preview, &viewer, again)))
}

fn content(
    status: StatusCode,
    visitor: &Visitor,
    preview: &Preview,
    viewer: &Viewer,
    again: &Again,
) -> HttpResponse {
    let Preview { invite, tenant, inviter, has_account } = preview;
    let content = html! {
        h1 { "Join " (tenant.name) }
        p {
            @match inviter {
                Some(inviter) => strong { (inviter) },
                None => "Somebody",
            }
            " invites " strong { (invite.email) } " to become a member of " strong { (tenant.name) }
            " with the role " (invite.role) "."
        }
        @if let Some(wrong) = &again.wrong {
            div.summary role="alert" { p { (wrong) } }
        }
        @if let Viewer::Another(address) = viewer {
            p.soft { "You are signed in as " (address) ". The invitation is for the account of " (invite.email) "." }
        }
        @match viewer {
            Viewer::Invited => (joining(visitor)),
            Viewer::Unconfirmed => p {
                "Your account has not confirmed its address yet. Confirm it with the mail that you got when you \
                 signed up, then open this link again."
            },
            Viewer::Stranger | Viewer::Another(_) if *has_account => (signing_in(visitor, invite.email.as_str())),
            Viewer::Stranger | Viewer::Another(_) => (signing_up(visitor, invite.email.as_str(), &again.name)),
        }
        p.soft { "If you do not know what this is about, close this page: nothing has happened." }
    };
    page(status, &format!("Join {}", tenant.name), content)
}

fn joining(visitor: &Visitor) -> Markup {
    html! {
        form method="post" {
            (visitor.token_field())
            input type="hidden" name=(STEP) value=(JOIN);
            button type="submit" { "Join" }
        }
    }
}

/// The address, for people and for their password managers.
fn address(email: &str) -> Markup {
    html! {
        div.field {
            label for="email" { "E-mail address" }
            input #email name="email" type="email" value=(email) readonly autocomplete="username";
        }
    }
}

fn signing_in(visitor: &Visitor, email: &str) -> Markup {
    html! {
        p { "You have an account with this address. Sign in to join." }
        form method="post" {
            (visitor.token_field())
            input type="hidden" name=(STEP) value=(SIGN_IN);
            (address(email))
            div.field {
                label for="password" { "Password" }
                input #password name="password" type="password" required maxlength=(Password::MAX_BYTES)
                    autocomplete="current-password";
            }
            div.field {
                label for="code" { "Code" }
                p.hint #code-hint { "From your authenticator app or a recovery code, if your account has a second factor." }
                input #code name="code" type="text" inputmode="numeric" autocomplete="one-time-code"
                    aria-describedby="code-hint";
            }
            button type="submit" { "Sign in and join" }
        }
    }
}

fn signing_up(visitor: &Visitor, email: &str, name: &str) -> Markup {
    html! {
        p { "Choose a name and a password: that makes your account, and you are a member." }
        form method="post" {
            (visitor.token_field())
            input type="hidden" name=(STEP) value=(SIGN_UP);
            (address(email))
            div.field {
                label for="name" { "Name" }
                input #name name="name" type="text" required maxlength=(Name::MAX_CHARS) autocomplete="name"
                    value=(name);
            }
            div.field {
                label for="password" { "Password" }
                input #password name="password" type="password" required maxlength=(Password::MAX_BYTES)
                    autocomplete="new-password";
            }
            button type="submit" { "Make my account and join" }
        }
    }
}

async fn accept(request: HttpRequest, mut call: FormCall) -> Result<HttpResponse, PageError> {
    let mut take = |name: &str| call.take(name).unwrap_or_default();
    let (step, name, password, code) = (take(STEP), take("name"), take("password"), take("code"));
    let (engine, password) = (call.engine.clone(), Secret::new(password));
    let again = async |status, again: Again| shown(&request, &engine, &call.visitor, status, &again).await;
    match step.as_str() {
        SIGN_UP => {
            let Ok(parsed) = name.parse::<Name>() else {
                return again(StatusCode::UNPROCESSABLE_ENTITY, Again::because("Please enter your name."))
                    .await;
            };
            let (visitor, token) = (call.caller.clone(), token(&request));
            let typed = NewMember { name: parsed, password };
            let made =
                run(&engine, move |engine| invites::accept_as_new(engine, &visitor, &token, typed)).await;
            match made {
                Ok((joined, session)) => welcome(&engine, &joined, Some(&session)),
                Err(error) if matches!(error.code(), Code::ValidationError | Code::AccountExists) => {
                    let wrong = error.fields().iter().map(|field| format!("The password {}.", field.message));
                    let wrong = wrong.reduce(|all, one| format!("{all} {one}"));
                    let wrong = wrong.unwrap_or_else(|| error.public().to_owned());
                    again(StatusCode::UNPROCESSABLE_ENTITY, Again { wrong: Some(wrong), name }).await
                }
                Err(error) => Err(error.into()),
            }
        }
        SIGN_IN => {
            let factor = Some(code.trim()).filter(|code| !code.is_empty()).map(TypedFactor::read);
            let Ok(password) = Password::attempt(password.expose()) else {
                return again(StatusCode::UNAUTHORIZED, Again::because("The password is wrong.")).await;
            };
            let (visitor, token) = (call.caller.clone(), token(&request));
            let signed_in = run(&engine, move |engine| {
                invites::sign_in_and_accept(engine, &visitor, &token, password, factor)
            });
            match signed_in.await {
                Ok(SignedInTo::Joined(joined, session)) => welcome(&engine, &joined, Some(&session)),
                Ok(SignedInTo::Refused(error, session)) => {
                    use actix_web::ResponseError as _;
                    with_session(&engine, PageError::from(error).error_response(), &session)
                }
                Ok(SignedInTo::SecondFactorRequired) => {
                    let wrong =
                        "Your account has a second factor. Enter a code of it, and the password again.";
                    again(StatusCode::UNAUTHORIZED, Again::because(wrong)).await
                }
                Err(error) if error.code() == Code::InvalidCredentials => {
                    let wrong = "The password or the code is wrong.";
                    again(StatusCode::UNAUTHORIZED, Again::because(wrong)).await
                }
                Err(error) => Err(error.into()),
            }
        }
        _ => {
            let Some(caller) = person(&request, &engine).await? else {
                let wrong = "You are not signed in any more.";
                return again(StatusCode::UNAUTHORIZED, Again::because(wrong)).await;
            };
            let named = Named::Link(token(&request));
            let joined = run(&engine, move |engine| invites::accept(engine, &caller, &named)).await?;
            welcome(&engine, &joined, None)
        }
    }
}

fn welcome(
    engine: &Engine,
    joined: &Joined,
    session: Option<&NewSession>,
) -> Result<HttpResponse, PageError> {
    let content = html! {
        h1 { "You are a member of " (joined.tenant.name) }
        p {
            "You joined " strong { (joined.tenant.name) } " as " strong { (joined.user.email) } " with the role "
            (joined.membership.role) "."
        }
        @if joined.tenant.demands.second_factor {
            p.soft { "It asks its members for a second factor: enable one, if you have not yet." }
        }
        p.soft { "You can close this page." }
    };
    let page = page(StatusCode::OK, &format!("You are a member of {}", joined.tenant.name), content);
    match session {
        Some(session) => with_session(engine, page, session),
        None => Ok(page),
    }
}

fn with_session(
    engine: &Engine,
    mut page: HttpResponse,
    session: &NewSession,
) -> Result<HttpResponse, PageError> {
    let value = cookie::set(engine, &session.token, false)?;
    page.headers_mut().append(SET_COOKIE, value);
    Ok(page)
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    resource::page(cfg, PagePath::INVITE, web::to(show), web::to(accept), PageError::method_not_allowed);
}
