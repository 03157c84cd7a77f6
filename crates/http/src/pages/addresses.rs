//! `/confirm-address/{token}` puts a new address of an account into force, and
//! `/restore-address/{token}` brings the former one back.
//!
//! Opening either link changes nothing and looks the same for every token; the button does it. So a
//! mail scanner that follows links neither confirms nor undoes anything.

use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_service::address_changes::{self, Readdressed};
use keystead_service::{Caller, Engine};
use maud::html;

use super::form::{FormCall, Visitor};
use super::{PagePath, page};
use crate::error::PageError;
use crate::resource;
use crate::run;

const CONFIRM: &str = "Confirm your new address";
const RESTORE: &str = "Undo the change of your address";

async fn show_confirm(visitor: Visitor) -> HttpResponse {
    let content = html! {
        h1 { (CONFIRM) }
        p {
            "The button below gives your account the address that this link was mailed to. From then on you sign \
             in with that one."
        }
        p.soft { "If it is not your account, close this page: the account would get your address." }
        form method="post" {
            (visitor.token_field())
            button type="submit" { "Use the new address" }
        }
    };
    visitor.shown(page(StatusCode::OK, CONFIRM, content))
}

async fn confirm(request: HttpRequest, call: FormCall) -> Result<HttpResponse, PageError> {
    let Readdressed { product, email } = follow(&request, call, address_changes::confirm).await?;
    let content = html! {
        h1 { "Your address was changed" }
        p { "From now on you sign in to " strong { (product) } " with " strong { (email) } "." }
        p.soft {
            "Devices that are signed in stay so. The address that your account had before has been told: it can \
             undo the change for 72 hours."
        }
    };
    Ok(page(StatusCode::OK, "Your address was changed", content))
}

async fn show_restore(visitor: Visitor) -> HttpResponse {
    let content = html! {
        h1 { (RESTORE) }
        p { "The button below gives your account the address back that this link was mailed to. It also" }
        ul {
            li { "signs out every device," }
            li { "ends the password, since whoever changed the address knew it," }
            li { "removes a second factor, if there was none before the change," }
            li { "takes back every change of the address that came later." }
        }
        p { "You then set a new password with a code that is mailed to you." }
        p.soft { "If you changed the address yourself and want to keep the new one, close this page." }
        form method="post" {
            (visitor.token_field())
            button type="submit" { "Undo the change" }
        }
    };
    visitor.shown(page(StatusCode::OK, RESTORE, content))
}

async fn restore(request: HttpRequest, call: FormCall) -> Result<HttpResponse, PageError> {
    let Readdressed { product, email } = follow(&request, call, address_changes::undo).await?;
    let content = html! {
        h1 { "Your address is back" }
        p {
            "Your account at " strong { (product) } " has the address " strong { (email) } " again. Every device \
             was signed out, and the old password opens nothing any more."
        }
        p {
            "Now set a new password: go to " (product) ", choose “forgotten password”, and enter the code that is \
             mailed to you."
        }
        p.soft {
            "A second factor that was in force when the address was changed still is. If it is no longer yours, \
             ask whoever runs " (product) " to remove it."
        }
    };
    Ok(page(StatusCode::OK, "Your address is back", content))
}

/// Uses the link that the request was sent to.
async fn follow(
    request: &HttpRequest,
    call: FormCall,
    link: fn(&Engine, &Caller, &str) -> keystead_service::Result<Readdressed>,
) -> Result<Readdressed, PageError> {
    let token = Secret::new(request.match_info().get("token").unwrap_or_default().to_owned());
    let caller = call.caller;
    Ok(run(&call.engine, move |engine| link(engine, &caller, token.expose())).await?)
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    let refuse = PageError::method_not_allowed;
    resource::page(cfg, PagePath::CONFIRM_ADDRESS, web::to(show_confirm), web::to(confirm), refuse);
    resource::page(cfg, PagePath::RESTORE_ADDRESS, web::to(show_restore), web::to(restore), refuse);
}
