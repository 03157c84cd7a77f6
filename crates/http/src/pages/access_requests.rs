//! `/request-access`: a company asks for an app.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use keystead_domain::access_request::IntendedUse;
use keystead_domain::name::Name;
use keystead_service::{Code, Error, FieldError, access_requests};
use maud::{Markup, html};

use super::form::{FormCall, Visitor};
use super::{PagePath, page};
use crate::app::AccessRequestBody;
use crate::body::JsonBody as _;
use crate::error::PageError;
use crate::resource;
use crate::run;

/// What was typed, to be shown again where some of it is wrong.
#[derive(Default)]
struct Typed {
    company: String,
    contact_email: String,
    intended_use: String,
}

/// The fields, by the names that errors have them under, and their labels.
const LABELS: [(&str, &str); 3] = [
    ("company", "Company"),
    ("contact_email", "Contact e-mail address"),
    ("intended_use", "What do you want to use it for?"),
];

async fn show(visitor: Visitor) -> HttpResponse {
    visitor.shown(form(StatusCode::OK, &visitor, &Typed::default(), &[]))
}

async fn leave(mut call: FormCall) -> Result<HttpResponse, PageError> {
    let mut take = |name| call.take(name).unwrap_or_default();
    let typed = Typed {
        company: take("company"),
        contact_email: take("contact_email"),
        intended_use: take("intended_use"),
    };
    let parsed = AccessRequestBody {
        company: Some(typed.company.clone()),
        contact_email: Some(typed.contact_email.clone()),
        intended_use: Some(typed.intended_use.clone()),
    }
    .parse();
    let new = match parsed {
        Ok(new) => new,
        Err(error) if error.code() == Code::ValidationError => return Ok(again(&call, &typed, &error)),
        Err(error) => return Err(error.into()),
    };
    let caller = call.caller;
    let id = run(&call.engine, move |engine| access_requests::leave(engine, &caller, new)).await?;
    let content = html! {
        h1 { "Your request was received" }
        p { "An operator will look at it. Whatever is decided is sent to " strong { (typed.contact_email.trim()) } "." }
        p.soft { "If you ask about it, its number is " code { (id) } "." }
    };
    Ok(page(StatusCode::ACCEPTED, "Request received", content))
}

fn again(call: &FormCall, typed: &Typed, error: &Error) -> HttpResponse {
    call.visitor.shown(form(StatusCode::UNPROCESSABLE_ENTITY, &call.visitor, typed, error.fields()))
}

fn form(status: StatusCode, visitor: &Visitor, typed: &Typed, errors: &[FieldError]) -> HttpResponse {
    let content = html! {
        h1 { "Request access" }
        p {
            "Tell us who you are and what you have in mind. An operator reads every request. If yours is \
             approved, you get a mail with a link that shows the credentials of your app, once."
        }
        (summary(errors))
        form method="post" {
            (visitor.token_field())
            (field("company", None, errors, |its| html! {
                input #company name="company" type="text" required maxlength=(Name::MAX_CHARS)
                    autocomplete="organization" value=(typed.company)
                    aria-describedby=[its.description] aria-invalid=[its.invalid];
            }))
            (field("contact_email", Some("The answer goes to this address."), errors, |its| html! {
                input #contact_email name="contact_email" type="email" required maxlength="254"
                    autocomplete="email" value=(typed.contact_email)
                    aria-describedby=[its.description] aria-invalid=[its.invalid];
            }))
            (field("intended_use", Some("A few sentences are enough; there is room for 2000 characters."), errors, |its| html! {
                textarea #intended_use name="intended_use" required rows="6" maxlength=(IntendedUse::MAX_CHARS)
                    aria-describedby=[its.description] aria-invalid=[its.invalid] {
                    // A line break right after the tag would be dropped (HTML §13.1.2.5).
                    "\n" (typed.intended_use)
                }
            }))
            button type="submit" { "Send request" }
        }
    };
    let title = if errors.is_empty() { "Request access" } else { "Error: request access" };
    page(status, title, content)
}

/// What a control is told about the texts around it.
struct Described {
    /// The ids of its hint and of what is wrong with it.
    description: Option<String>,
    invalid: Option<&'static str>,
}

/// One field: its label, its hint, what is wrong with it, and the control.
fn field(
    name: &str,
    hint: Option<&str>,
    errors: &[FieldError],
    control: impl FnOnce(Described) -> Markup,
) -> Markup {
    let error = errors.iter().find(|error| error.field == name);
    let (hint_id, error_id) = (format!("{name}-hint"), format!("{name}-error"));
    let ids = [hint.map(|_| hint_id.as_str()), error.map(|_| error_id.as_str())];
    let ids: Vec<_> = ids.into_iter().flatten().collect();
    let described =
        Described { description: (!ids.is_empty()).then(|| ids.join(" ")), invalid: error.map(|_| "true") };
    html! {
        div.field {
            label for=(name) { (label(name)) }
            @if let Some(hint) = hint { p.hint #(hint_id) { (hint) } }
            @if let Some(error) = error { p.wrong #(error_id) { (sentence(&error.message)) } }
            (control(described))
        }
    }
}

fn summary(errors: &[FieldError]) -> Markup {
    html! {
        @if !errors.is_empty() {
            div.summary role="alert" {
                p { "The request was not sent. Please look at these fields again:" }
                ul {
                    @for error in errors {
                        li { a href={ "#" (error.field) } { (label(error.field)) } }
                    }
                }
            }
        }
    }
}

fn label(field: &str) -> &'static str {
    LABELS.iter().find(|(name, _)| *name == field).map_or("", |(_, label)| label)
}

/// An error's message as a sentence of its own.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    resource::page(
        cfg,
        PagePath::REQUEST_ACCESS,
        web::to(show),
        web::to(leave),
        PageError::method_not_allowed,
    );
}
