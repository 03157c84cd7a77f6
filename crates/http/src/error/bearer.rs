//! The errors of the bearer API, `/api/v1`.

use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use keystead_domain::idempotency::StoredAnswer;
use keystead_domain::policy::Denied;
use keystead_service::{Code, Error};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Fault, Rejection};

/// A refusal, as the bearer API has it.
#[derive(Debug)]
pub(crate) enum BearerError {
    Service(Error),
    Request(Fault),
    /// The plan does not open a feature, and the smallest that does has this name.
    Plan {
        feature: &'static str,
        required: Option<String>,
    },
}

/// The body of a refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct BearerErrorBody {
    error: BearerErrorView,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BearerErrorView {
    /// Stable, for programs.
    code: &'static str,
    message: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<BearerField>,
    /// The smallest plan that opens the feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<&'static str>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
pub(crate) struct BearerField {
    field: String,
    code: &'static str,
    message: String,
}

impl From<Error> for BearerError {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<Fault> for BearerError {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<Denied> for BearerError {
    fn from(denied: Denied) -> Self {
        Self::Service(denied.into())
    }
}

impl From<Rejection> for BearerError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Service(error) => Self::Service(error),
            Rejection::Request(fault) => Self::Request(fault),
        }
    }
}

/// The code of a service's error.
const fn told(code: Code) -> &'static str {
    match code {
        Code::ValidationError | Code::InvalidCode | Code::InvalidScope => "validation_error",
        Code::InvalidToken
        | Code::InvalidSession
        | Code::InvalidCredentials
        | Code::InvalidClient
        | Code::UnauthorizedClient
        | Code::InvalidSignature
        | Code::UserNotActive
        | Code::InvalidChallenge
        | Code::InvalidApiKey => "unauthenticated",
        Code::PlanLacks => "forbidden_plan",
        Code::InsufficientScope
        | Code::AppNotAllowed
        | Code::TenantSuspended
        | Code::EmailNotVerified
        | Code::NotAMember
        | Code::RoleTooLow
        | Code::NoScopesLeft
        | Code::SecondFactorRequired
        | Code::SessionRequired
        | Code::SessionNotFresh => "forbidden_scope",
        Code::TenantNotNamed => "bad_request",
        Code::NotFound | Code::KeyNotFound | Code::InvalidLink => "not_found",
        Code::Conflict | Code::AccountExists => "conflict",
        Code::RateLimited => "rate_limited",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
    }
}

/// The status of a service's error.
const fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidScope => StatusCode::UNPROCESSABLE_ENTITY,
        Code::UnauthorizedClient => StatusCode::UNAUTHORIZED,
        code => super::status(code),
    }
}

/// The answer to a refusal, to be given again.
pub(crate) fn stored(error: &Error) -> StoredAnswer {
    let error_view = BearerErrorView {
        code: told(error.code()),
        message: error.public().to_owned(),
        fields: fields(error),
        required_plan: None,
        feature: None,
    };
    let body = serde_json::to_string(&BearerErrorBody { error: error_view }).unwrap_or_default();
    StoredAnswer { status: status(error.code()).as_u16(), body }
}

fn fields(error: &Error) -> Vec<BearerField> {
    let field = |(field, code, message)| BearerField { field, code, message };
    super::fields(error.fields()).map(field).collect()
}

impl BearerError {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Service(error) => told(error.code()),
            Self::Request(fault) => match fault {
                Fault::Malformed(_) => "bad_request",
                Fault::WrongType { .. } => "validation_error",
                Fault::TooLarge { .. } => "payload_too_large",
                Fault::MediaType { .. } => "unsupported_media_type",
                Fault::NoSuchPath => "not_found",
                Fault::Method { .. } => "method_not_allowed",
                Fault::NoCredential => "unauthenticated",
            },
            Self::Plan { .. } => "forbidden_plan",
        }
    }

    fn message(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Service(error) => error.public().into(),
            Self::Request(Fault::NoCredential) => "This needs an API key or an access token.".into(),
            Self::Request(fault) => fault.message(),
            Self::Plan { required: Some(plan), .. } => {
                format!("The plan of the organization does not include this; the plan {plan} does.").into()
            }
            Self::Plan { required: None, .. } => "No plan includes this.".into(),
        }
    }

    fn fields(&self) -> Vec<BearerField> {
        let field = |(field, code, message)| BearerField { field, code, message };
        match self {
            Self::Service(error) => fields(error),
            Self::Request(Fault::WrongType { member, message }) => {
                vec![field(super::wrong_type(member, message))]
            }
            Self::Request(_) | Self::Plan { .. } => Vec::new(),
        }
    }

    /// RFC 9110 §15.5.2 wants a challenge with every 401. RFC 6750 §3.1: without an error code where no
    /// token was sent.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Service(_) if self.status_code() == StatusCode::UNAUTHORIZED => {
                Some(r#"Bearer error="invalid_token""#)
            }
            Self::Request(Fault::NoCredential) => Some("Bearer"),
            _ => None,
        }
    }

    /// The response to a method that a path does not have.
    pub(crate) fn method_not_allowed(allow: &str) -> HttpResponse {
        Self::from(Fault::Method { allow: allow.to_owned() }).error_response()
    }
}

impl std::fmt::Display for BearerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message())
    }
}

impl ResponseError for BearerError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Service(error) => status(error.code()),
            Self::Request(fault) => fault.status(),
            Self::Plan { .. } => StatusCode::PAYMENT_REQUIRED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Service(error) = self {
            super::log(error);
        }
        let (feature, required_plan) = match self {
            Self::Plan { feature, required } => (Some(*feature), required.clone()),
            Self::Service(_) | Self::Request(_) => (None, None),
        };
        let error = BearerErrorView {
            code: self.code(),
            message: self.message().into_owned(),
            fields: self.fields(),
            required_plan,
            feature,
        };
        let mut response = HttpResponse::build(self.status_code());
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
        response.json(BearerErrorBody { error })
    }
}
