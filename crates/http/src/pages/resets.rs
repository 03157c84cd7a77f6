//! `/reset/{token}` sets a new password by a mailed link. Opening it changes nothing and looks the same for
//! every token; the button does it.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::{Email, Secret};
use keystead_service::{Code, FieldError, reset_links};
use maud::{Markup, html};

use super::form::{FormCall, Visitor};
use super::{PagePath, onward, page};
use crate::account::targets;
use crate::error::PageError;
use crate::{resource, run};

const TITLE: &str = "Set a new password";

async fn show(request: HttpRequest, visitor: Visitor) -> HttpResponse {
    let engine = visitor.engine();
    // An app's own page may ask for the password, and gets the token to send it with.
    if let Some(url) = onward(&request).filter(|url| targets::is_allowed(engine, url)) {
        let token = request.match_info().get("token").unwrap_or_default();
        let url = targets::with_parameter(&url, "token", token);
        return HttpResponse::SeeOther().append_header((LOCATION, url)).finish();
    }
    visitor.shown(asked(StatusCode::OK, &visitor, &[]))
}

fn asked(status: StatusCode, visitor: &Visitor, errors: &[FieldError]) -> HttpResponse {
    let content = html! {
        h1 { (TITLE) }
        p { "Every device that is signed in to your account will be signed out." }
        (form(visitor, None, None, errors))
    };
    let title = if errors.is_empty() { TITLE } else { "Error: set a new password" };
    page(status, title, content)
}

/// The form. `token` is that of the link where the form stands on another page, which knows whose account it
/// is.
pub(super) fn form(
    visitor: &Visitor,
    token: Option<&Secret<String>>,
    email: Option<&Email>,
    errors: &[FieldError],
) -> Markup {
    let action = token.map(|token| format!("/reset/{}", token.expose()));
    html! {
        form method="post" action=[action] {
            (visitor.token_field())
            @if let Some(email) = email {
                div.field {
                    label for="username" { "Account" }
                    input #username type="email" autocomplete="username" readonly value=(email);
                }
            }
            div.field {
                label for="new_password" { "New password" }
                @for error in errors {
                    p.wrong #new_password-error { "The password " (error.message) "." }
                }
                input #new_password name="new_password" type="password" required maxlength="1024"
                    autocomplete="new-password"
                    aria-describedby=[(!errors.is_empty()).then_some("new_password-error")]
                    aria-invalid=[(!errors.is_empty()).then_some("true")];
            }
            button type="submit" { (TITLE) }
        }
    }
}

async fn set(request: HttpRequest, mut call: FormCall) -> Result<HttpResponse, PageError> {
    let token = Secret::new(request.match_info().get("token").unwrap_or_default().to_owned());
    let password = Secret::new(call.take("new_password").unwrap_or_default());
    let caller = call.caller;
    let done =
        run(&call.engine, move |engine| reset_links::confirm(engine, &caller, token.expose(), password));
    match done.await {
        Err(error) if error.code() == Code::ValidationError => {
            return Ok(call.visitor.shown(asked(
                StatusCode::UNPROCESSABLE_ENTITY,
                &call.visitor,
                error.fields(),
            )));
        }
        other => other?,
    };
    let content = html! {
        h1 { "Your password was set" }
        p { "Sign in with it as usual. Every device was signed out." }
        p.soft { "A second factor is still in force. API keys still work; the mail that was just sent names them." }
    };
    Ok(page(StatusCode::OK, "Your password was set", content))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    let refuse = PageError::method_not_allowed;
    resource::page(cfg, PagePath::RESET, web::to(show), web::to(set), refuse);
}
