//! `/verify/{token}` proves the address that its link was mailed to.
//!
//! Opening the link does it, which is the one exception among links that are mailed: whoever gets the mail
//! reads it. What a stranger made with the address ends by that. In a browser in which its user is signed in,
//! what belongs to that browser stays; in any other, the page asks for a new password.

use actix_web::http::header::LOCATION;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::{Email, Secret};
use keystead_service::verification::{self, Verified};
use keystead_service::{Caller, Code, Engine, rate_limits};
use maud::{Markup, html};

use super::form::{FormCall, Visitor};
use super::{PagePath, onward, page, resets};
use crate::account::{targets, try_session};
use crate::error::PageError;
use crate::{credentials, resource, run};

const TITLE: &str = "Confirm your e-mail address";

async fn open(request: HttpRequest, visitor: Visitor) -> Result<HttpResponse, PageError> {
    let engine = visitor.engine().clone();
    // A mail program that only looks whether a link leads somewhere does not follow it.
    if request.method() == Method::HEAD {
        return Ok(page(StatusCode::OK, TITLE, html! { h1 { (TITLE) } }));
    }
    let arrival = credentials::arrival(&request, &engine);
    rate_limits::anonymous(&engine, &arrival)?;
    let caller = Caller::visitor(arrival);
    // A cookie that is no good is none.
    let browser = try_session(&request, &engine).await.unwrap_or_default();
    let token = Secret::new(request.match_info().get("token").unwrap_or_default().to_owned());
    let proven = run(&engine, move |engine| {
        verification::by_link(engine, &caller, token.expose(), browser.as_ref(), true)
    });
    let onward = onward(&request).filter(|url| targets::is_allowed(&engine, url));
    match proven.await {
        Ok(proven) => Ok(shown(&engine, &visitor, &proven, onward.as_deref())),
        Err(error) if error.code() == Code::InvalidLink => Ok(dead(&visitor)),
        Err(error) => Err(error.into()),
    }
}

fn shown(engine: &Engine, visitor: &Visitor, proven: &Verified, onward: Option<&str>) -> HttpResponse {
    if let (Some(url), false) = (onward, proven.needs_password) {
        return HttpResponse::SeeOther().append_header((LOCATION, url)).finish();
    }
    let product = &engine.settings().product;
    let content = html! {
        h1 { "Your address is confirmed" }
        p { strong { (proven.user.email) } " is yours at " (product) "." }
        @if let Some(token) = &proven.reset {
            p {
                "You are not signed in in this browser, so somebody else may have signed up with your address. \
                 Every device was signed out, and the old password opens nothing any more. Set a new one:"
            }
            (resets::form(visitor, Some(token), Some(&proven.user.email), &[]))
        } @else {
            p { "You can close this page and go on where you signed up." }
        }
    };
    visitor.shown(page(StatusCode::OK, "Your address is confirmed", content))
}

/// What is shown for a link that is no good, whichever it was.
fn dead(visitor: &Visitor) -> HttpResponse {
    let content = html! {
        h1 { "This link is no longer good" }
        p {
            "It is wrong, or older than 24 hours, or it was used already. If your address still has to be \
             confirmed, ask for another mail."
        }
        (ask_again(visitor))
    };
    visitor.shown(page(StatusCode::NOT_FOUND, "This link is no longer good", content))
}

fn ask_again(visitor: &Visitor) -> Markup {
    html! {
        form method="post" {
            (visitor.token_field())
            div.field {
                label for="email" { "E-mail address" }
                input #email name="email" type="email" required maxlength="254" autocomplete="email";
            }
            button type="submit" { "Send another mail" }
        }
    }
}

async fn send_again(mut call: FormCall) -> Result<HttpResponse, PageError> {
    let typed = call.take("email").unwrap_or_default();
    // What is no address gets no mail, and the same answer.
    if let Ok(email) = typed.parse::<Email>() {
        let caller = call.caller;
        run(&call.engine, move |engine| verification::request(engine, &caller, email, None)).await?;
    }
    let content = html! {
        h1 { "Look into your mail" }
        p { "If the address has to be confirmed, a mail with a new link and a new code is on its way." }
    };
    Ok(page(StatusCode::ACCEPTED, "Look into your mail", content))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    let refuse = PageError::method_not_allowed;
    resource::page(cfg, PagePath::VERIFY, web::to(open), web::to(send_again), refuse);
}
