//! `/claim/{token}`: a one-time link shows an app's credentials.
//!
//! Opening the link changes nothing and looks the same for every token; the button on it claims. So
//! a mail scanner that follows links burns none.

use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_service::claims;
use maud::html;

use super::form::{FormCall, Visitor};
use super::{PagePath, page};
use crate::error::PageError;
use crate::resource;
use crate::run;

async fn show(visitor: Visitor) -> HttpResponse {
    let content = html! {
        h1 { "Your app’s credentials" }
        p {
            "The button below makes the client secret of your app and shows it to you. That happens once: \
             when you leave the page, nobody can show it again."
        }
        p { "Have a safe place ready to keep it in, such as a password manager." }
        form method="post" {
            (visitor.token_field())
            button type="submit" { "Show the credentials" }
        }
    };
    visitor.shown(page(StatusCode::OK, "Your app’s credentials", content))
}

async fn claim(request: HttpRequest, call: FormCall) -> Result<HttpResponse, PageError> {
    let token = Secret::new(request.match_info().get("token").unwrap_or_default().to_owned());
    let (caller, server) = (call.caller, call.engine.settings().issuer.clone());
    let claimed = run(&call.engine, move |engine| claims::redeem(engine, &caller, token.expose())).await?;
    let content = html! {
        h1 { "Your app’s credentials" }
        p { strong { "Copy the secret now." } " It is shown this once, and the link that led here is spent." }
        dl {
            dt { "Client id" }
            dd { code { (claimed.client_id) } }
            dt { "Client secret" }
            dd { code { (claimed.client_secret.expose()) } }
            dt { "Token endpoint" }
            dd { code { (server.trim_end_matches('/')) "/oauth/token" } }
        }
        p.soft {
            "Your server exchanges them for access tokens at the token endpoint. Keep the secret out of browsers, \
             apps and repositories."
        }
    };
    Ok(page(StatusCode::OK, "Your app’s credentials", content))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    resource::page(cfg, PagePath::CLAIM, web::to(show), web::to(claim), PageError::method_not_allowed);
}
