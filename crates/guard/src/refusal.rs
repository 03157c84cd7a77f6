//! Why a request goes no further, in the words of Keystead's own bearer API.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use keystead_domain::role::Role;
use serde::Serialize;

/// Why not. As an answer it is `{"error":{"code","message"}}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no credential.
    #[error("This needs an API key or an access token.")]
    NoCredential,
    /// The credential is no good.
    #[error("The credential is not valid, or has ended.")]
    Invalid,
    /// There are two credentials, or one cannot be read.
    #[error("A request uses one credential, in one header.")]
    Malformed,
    /// The credential lacks a scope.
    #[error("This needs the scope {0}.")]
    MissingScope(String),
    /// It is no person of such a role.
    #[error("This needs at least the role {0}.")]
    RoleTooLow(Role),
    /// The plan does not include this.
    #[error("The plan of the organization does not include this.")]
    PlanLacks {
        /// The smallest plan that does.
        required: Option<String>,
    },
    /// A key for testing where none is accepted.
    #[error("This does not take keys for testing.")]
    TestKey,
    /// This kind of credential is not for this.
    #[error("This kind of credential is not for this.")]
    WrongKind,
    /// Keystead cannot be asked.
    #[error("Credentials cannot be checked at the moment.")]
    Unavailable,
}

#[derive(Serialize)]
struct Body<'a> {
    error: View<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_plan: Option<&'a str>,
}

impl Refusal {
    /// The stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCredential | Self::Invalid => "unauthenticated",
            Self::Malformed => "bad_request",
            Self::MissingScope(_) | Self::RoleTooLow(_) | Self::TestKey | Self::WrongKind => {
                "forbidden_scope"
            }
            Self::PlanLacks { .. } => "forbidden_plan",
            Self::Unavailable => "unavailable",
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoCredential | Self::Invalid => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::MissingScope(_) | Self::RoleTooLow(_) | Self::TestKey | Self::WrongKind => {
                StatusCode::FORBIDDEN
            }
            Self::PlanLacks { .. } => StatusCode::PAYMENT_REQUIRED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CACHE_CONTROL, "no-store"));
        match self {
            // RFC 6750 §3.1: without an error code where no credential was sent.
            Self::NoCredential => response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            Self::Invalid => response.insert_header((WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#)),
            Self::Unavailable => response.insert_header((RETRY_AFTER, "1")),
            _ => &mut response,
        };
        let required_plan = match self {
            Self::PlanLacks { required } => required.as_deref(),
            _ => None,
        };
        response.json(Body { error: View { code: self.code(), message: self.to_string(), required_plan } })
    }
}
