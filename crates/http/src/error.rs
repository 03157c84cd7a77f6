//! The one place where an error becomes a response.
//!
//! [`status`] is the table; `docs/http-status.md` explains it. Each surface has a renderer, chosen
//! by the type that its handlers return.

mod bearer;
mod envelope;
mod oauth;
mod page;
mod problem;
#[cfg(test)]
mod reference;

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use keystead_domain::rate_limit::seconds_until;
use keystead_service::{Code, Error, FieldError};

pub(crate) use bearer::{BearerError, BearerErrorBody, stored};
pub(crate) use envelope::{Envelope, EnvelopeBody};
pub(crate) use oauth::{OAuthError, OAuthErrorBody};
pub(crate) use page::PageError;
pub(crate) use problem::{Problem, ProblemBody};

/// What is wrong with a request before any use case is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not what its media type says, or credentials sent twice.
    Malformed(Cow<'static, str>),
    /// JSON of the right syntax, with a member of the wrong type.
    WrongType { member: String, message: String },
    /// More than the surface reads.
    TooLarge { limit: usize },
    /// A media type that the endpoint does not read.
    MediaType { expected: &'static str },
    /// No such path.
    NoSuchPath,
    /// A path that does not have this method.
    Method { allow: String },
    /// No credential at all.
    NoCredential,
}

/// Why a request goes no further, before a surface has put it into its own words.
#[derive(Debug)]
pub(crate) enum Rejection {
    Service(Error),
    Request(Fault),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl Fault {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::WrongType { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoCredential => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Malformed(message) => message.clone(),
            Self::WrongType { .. } => "Some fields are missing or wrong.".into(),
            Self::TooLarge { limit } => format!("The body has more than {limit} bytes.").into(),
            Self::MediaType { expected } => format!("The Content-Type must be {expected}.").into(),
            Self::NoSuchPath => "There is nothing here.".into(),
            Self::Method { allow } => format!("This path answers to {allow} only.").into(),
            Self::NoCredential => "This needs an access token.".into(),
        }
    }
}

/// The status of a service's error on the surfaces that answer with problems.
pub(crate) const fn status(code: Code) -> StatusCode {
    match code {
        Code::ValidationError | Code::InvalidCode => StatusCode::UNPROCESSABLE_ENTITY,
        Code::InvalidToken
        | Code::InvalidSession
        | Code::InvalidCredentials
        | Code::InvalidClient
        | Code::InvalidApiKey
        | Code::InvalidSignature
        | Code::UserNotActive
        | Code::InvalidChallenge => StatusCode::UNAUTHORIZED,
        Code::PlanLacks => StatusCode::PAYMENT_REQUIRED,
        Code::InsufficientScope
        | Code::AppNotAllowed
        | Code::TenantSuspended
        | Code::EmailNotVerified
        | Code::NotAMember
        | Code::RoleTooLow
        | Code::NoScopesLeft
        | Code::SecondFactorRequired
        | Code::SessionRequired
        | Code::SessionNotFresh => StatusCode::FORBIDDEN,
        Code::NotFound | Code::KeyNotFound | Code::InvalidLink => StatusCode::NOT_FOUND,
        Code::Conflict | Code::AccountExists => StatusCode::CONFLICT,
        Code::InvalidScope | Code::UnauthorizedClient | Code::TenantNotNamed => StatusCode::BAD_REQUEST,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whole seconds after which trying again may do, where it may (RFC 9110 §10.2.3).
pub(crate) fn retry_after(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    Some((RETRY_AFTER, seconds_until(error.retry_after()?).max(1).into()))
}

/// Puts the cause of a failure into the log; callers do not get it.
pub(crate) fn log(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match error.code() {
        Code::Internal => tracing::error!(cause, "a request failed"),
        Code::Unavailable => tracing::warn!(cause, "a request was turned away"),
        _ => {}
    }
}

/// The error of a member of the wrong JSON type.
pub(crate) fn wrong_type(member: &str, message: &str) -> (String, &'static str, String) {
    (member.to_owned(), "wrong_type", message.to_owned())
}

/// The errors of fields as surfaces show them: field, code, message.
pub(crate) fn fields(errors: &[FieldError]) -> impl Iterator<Item = (String, &'static str, String)> {
    errors.iter().map(|error| (error.field.to_owned(), error.code, error.message.clone()))
}
