//! `application/problem+json` (RFC 9457), the errors of the app API.
//!
//! `type` is `about:blank`, so `title` is the status's phrase (RFC 9457 §4.2.1); programs read
//! the stable `code`.

use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use keystead_service::{Code, Error};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Fault, Rejection};

/// A refusal, as a problem.
#[derive(Debug)]
pub(crate) enum Problem {
    Service(Error),
    Request(Fault),
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// Stable, for programs.
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldBody>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldBody {
    field: String,
    code: &'static str,
    message: String,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Service(error) => Self::Service(error),
            Rejection::Request(fault) => Self::Request(fault),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(error) => std::fmt::Display::fmt(error, f),
            Self::Request(fault) => f.write_str(&fault.message()),
        }
    }
}

impl Problem {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Service(error) => error.code().as_str(),
            Self::Request(fault) => match fault {
                Fault::Malformed(_) => "malformed_request",
                Fault::WrongType { .. } => "validation_error",
                Fault::TooLarge { .. } => "payload_too_large",
                Fault::MediaType { .. } => "unsupported_media_type",
                Fault::NoSuchPath => "not_found",
                Fault::Method { .. } => "method_not_allowed",
                Fault::NoCredential => "invalid_token",
            },
        }
    }

    /// RFC 9110 §15.5.2 wants a challenge with every 401. RFC 6750 §3.1: without an error code
    /// where no token was sent.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Service(error) => match error.code() {
                Code::InvalidToken => Some(r#"Bearer error="invalid_token""#),
                Code::InsufficientScope => Some(r#"Bearer error="insufficient_scope", scope="api""#),
                _ if self.status_code() == StatusCode::UNAUTHORIZED => Some("Bearer"),
                _ => None,
            },
            Self::Request(Fault::NoCredential) => Some("Bearer"),
            Self::Request(_) => None,
        }
    }

    fn errors(&self) -> Vec<FieldBody> {
        let body = |(field, code, message)| FieldBody { field, code, message };
        match self {
            Self::Service(error) => super::fields(error.fields()).map(body).collect(),
            Self::Request(Fault::WrongType { member, message }) => {
                vec![body(super::wrong_type(member, message))]
            }
            Self::Request(_) => Vec::new(),
        }
    }

    /// The response to a method that a path does not have.
    pub(crate) fn method_not_allowed(allow: &str) -> HttpResponse {
        Self::from(Fault::Method { allow: allow.to_owned() }).error_response()
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Service(error) => super::status(error.code()),
            Self::Request(fault) => fault.status(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Service(error) = self {
            super::log(error);
        }
        let status = self.status_code();
        let detail: std::borrow::Cow<'_, str> = match self {
            Self::Service(error) => error.public().into(),
            Self::Request(fault) => fault.message(),
        };
        let body = ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into_owned(),
            code: self.code(),
            errors: self.errors(),
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(challenge) = self.challenge() {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if let Self::Request(Fault::Method { allow }) = self {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Self::Service(error) = self
            && let Some(after) = super::retry_after(error)
        {
            response.insert_header(after);
        }
        response
            .content_type("application/problem+json")
            .body(serde_json::to_string(&body).unwrap_or_default())
    }
}
