//! Errors of pages: pages themselves, for people.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use keystead_service::{Code, Error};
use maud::html;

use super::Fault;
use crate::pages::page;

/// A refusal, as a page.
#[derive(Debug)]
pub(crate) enum PageError {
    Service(Error),
    Request(Fault),
    /// The form was sent from a page of another server, or of this one under another name.
    ForeignOrigin {
        home: String,
    },
    /// The form was not shown to this browser, or the browser has forgotten its cookie.
    StaleForm,
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<Fault> for PageError {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl std::fmt::Display for PageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl PageError {
    const fn title(&self) -> &'static str {
        match self {
            Self::Service(error) => match error.code() {
                Code::InvalidLink => "This link is no longer good",
                Code::TenantSuspended => "Suspended",
                Code::Unavailable => "Please try again in a moment",
                Code::Internal => "Something went wrong",
                _ => "This did not work",
            },
            Self::Request(Fault::NoSuchPath) => "There is nothing here",
            Self::Request(_) => "This request cannot be read",
            Self::ForeignOrigin { .. } => "This form came from somewhere else",
            Self::StaleForm => "This form is too old",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Service(error) if error.code() == Code::InvalidLink => {
                "It is wrong, or too old, or it was used already. A link is good for a few days at most, and for \
                 one use. If you still need one, ask for a fresh one where this one came from."
                    .to_owned()
            }
            Self::Service(error) => error.public().to_owned(),
            Self::Request(fault) => fault.message().into_owned(),
            Self::ForeignOrigin { home } => {
                format!("Nothing was done. Forms are accepted from the pages under {home} only: open the page there.")
            }
            Self::StaleForm => {
                "Nothing was done. Go back, reload the page and send the form again. Your browser has to accept \
                 this server’s cookie."
                    .to_owned()
            }
        }
    }

    /// The response to a method that a path does not have.
    pub(crate) fn method_not_allowed(allow: &str) -> HttpResponse {
        Self::from(Fault::Method { allow: allow.to_owned() }).error_response()
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Service(error) => super::status(error.code()),
            Self::Request(fault) => fault.status(),
            Self::ForeignOrigin { .. } | Self::StaleForm => StatusCode::FORBIDDEN,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Service(error) = self {
            super::log(error);
        }
        let status = self.status_code();
        let content = html! {
            h1 { (self.title()) }
            p { (self.sentence()) }
        };
        let mut response = page(status, self.title(), content);
        let headers = response.headers_mut();
        if let Self::Request(Fault::Method { allow }) = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(ALLOW, allow);
        }
        if let Self::Service(error) = self
            && let Some((name, after)) = super::retry_after(error)
        {
            headers.insert(name, after);
        }
        response
    }
}
