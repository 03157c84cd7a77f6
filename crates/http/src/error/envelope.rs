//! The errors of the account API: an envelope that says in itself what it is.
//!
//! Under `/api/auth` they are what npm `better-auth/client` reads, `code` and `message`, in the same envelope.

use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use keystead_domain::policy::Denied;
use keystead_service::{Code, Error};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Fault, Rejection};

/// A refusal, in an envelope.
#[derive(Debug)]
pub(crate) enum Envelope {
    Service(Error),
    /// A validation error about the query of the request.
    Query(Error),
    Request(Fault),
    /// `Authorization` is empty, or no Bearer.
    NoToken,
    /// The request was sent by the page of another origin.
    ForeignOrigin,
    /// Where the caller is to be sent on to is neither a path of ours nor at a trusted origin.
    ForeignTarget {
        code: &'static str,
    },
    /// A refusal that this endpoint has its own words for.
    Told {
        status: StatusCode,
        code: &'static str,
        error: Box<Error>,
    },
}

/// The envelope of a refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnvelopeBody {
    success: bool,
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<EnvelopeMeta>,
}

/// What else is told of a refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnvelopeMeta {
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<EnvelopeField>>,
    /// The scopes that the API key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<Vec<&'static str>>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnvelopeField {
    field: String,
    error: String,
    location: &'static str,
}

impl From<Error> for Envelope {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

impl From<Fault> for Envelope {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<Denied> for Envelope {
    fn from(denied: Denied) -> Self {
        Self::Service(denied.into())
    }
}

impl From<Rejection> for Envelope {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Service(error) => Self::Service(error),
            Rejection::Request(fault) => Self::Request(fault),
        }
    }
}

/// A field as this surface names it: use cases that have several surfaces have its name in snake case.
fn named(field: &str) -> String {
    if field == "totp_code" {
        return "code".to_owned();
    }
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    name
}

/// The status and the code of a service's error.
const fn told(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::ValidationError | Code::InvalidScope | Code::TenantNotNamed => {
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR")
        }
        Code::InvalidCode => (StatusCode::BAD_REQUEST, "INVALID_CODE"),
        Code::InvalidLink => (StatusCode::BAD_REQUEST, "INVALID_TOKEN"),
        Code::InvalidToken
        | Code::InvalidSession
        | Code::InvalidClient
        | Code::UnauthorizedClient
        | Code::InvalidSignature => (StatusCode::UNAUTHORIZED, "INVALID_OR_EXPIRED_TOKEN"),
        Code::InvalidApiKey => (StatusCode::UNAUTHORIZED, "INVALID_API_KEY"),
        Code::InvalidCredentials => (StatusCode::UNAUTHORIZED, "INVALID_EMAIL_OR_PASSWORD"),
        Code::UserNotActive => (StatusCode::UNAUTHORIZED, "USER_NOT_ACTIVE"),
        Code::InvalidChallenge => (StatusCode::UNAUTHORIZED, "INVALID_TWO_FACTOR_COOKIE"),
        Code::EmailNotVerified => (StatusCode::FORBIDDEN, "EMAIL_NOT_VERIFIED"),
        Code::InsufficientScope => (StatusCode::FORBIDDEN, "API_KEY_MISSING_SCOPES"),
        Code::NoScopesLeft => (StatusCode::FORBIDDEN, "NO_SCOPES_AVAILABLE"),
        Code::RoleTooLow => (StatusCode::FORBIDDEN, "INSUFFICIENT_PERMISSIONS"),
        Code::SecondFactorRequired => (StatusCode::FORBIDDEN, "MFA_REQUIRED"),
        Code::TenantSuspended => (StatusCode::FORBIDDEN, "TENANT_VIOLATION"),
        Code::AppNotAllowed | Code::NotAMember | Code::SessionRequired => {
            (StatusCode::FORBIDDEN, "FORBIDDEN")
        }
        Code::SessionNotFresh => (StatusCode::FORBIDDEN, "SESSION_NOT_FRESH"),
        Code::PlanLacks => (StatusCode::PAYMENT_REQUIRED, "PLAN_REQUIRED"),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Code::KeyNotFound => (StatusCode::NOT_FOUND, "KEY_NOT_FOUND"),
        Code::Conflict => (StatusCode::CONFLICT, "CONFLICT"),
        Code::AccountExists => (StatusCode::UNPROCESSABLE_ENTITY, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_ERROR"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}

impl Envelope {
    /// The error of something that asks for the current password: that it is wrong does not mean that nobody is
    /// signed in.
    pub(crate) fn of_password(error: Error) -> Self {
        match error.code() {
            Code::InvalidCredentials => Self::Told {
                status: StatusCode::BAD_REQUEST,
                code: "INVALID_PASSWORD",
                error: Box::new(error),
            },
            _ => error.into(),
        }
    }

    /// The error of something that takes a code of the second factor instead of a password.
    pub(crate) fn of_factor(error: Error) -> Self {
        match error.code() {
            Code::InvalidCode => {
                Self::Told { status: StatusCode::UNAUTHORIZED, code: "INVALID_CODE", error: Box::new(error) }
            }
            _ => error.into(),
        }
    }

    fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Service(error) => match (error.code(), error.fields()) {
                // What better-auth has a code for.
                (Code::ValidationError, [one]) if one.code == "too_short" => {
                    (StatusCode::BAD_REQUEST, "PASSWORD_TOO_SHORT")
                }
                (Code::ValidationError, [one]) if one.code == "too_long" => {
                    (StatusCode::BAD_REQUEST, "PASSWORD_TOO_LONG")
                }
                (code, _) => told(code),
            },
            Self::Query(error) => told(error.code()),
            Self::Request(fault) => match fault {
                Fault::Malformed(_) | Fault::WrongType { .. } => {
                    (StatusCode::BAD_REQUEST, "VALIDATION_ERROR")
                }
                Fault::TooLarge { .. } => (fault.status(), "PAYLOAD_TOO_LARGE"),
                Fault::MediaType { .. } => (fault.status(), "UNSUPPORTED_MEDIA_TYPE"),
                Fault::NoSuchPath => (fault.status(), "NOT_FOUND"),
                Fault::Method { .. } => (fault.status(), "METHOD_NOT_ALLOWED"),
                Fault::NoCredential => (fault.status(), "AUTHENTICATION_REQUIRED"),
            },
            Self::NoToken => (StatusCode::UNAUTHORIZED, "NO_TOKEN_PROVIDED"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::ForeignTarget { code } => (StatusCode::FORBIDDEN, code),
            Self::Told { status, code, .. } => (*status, code),
        }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.told().1
    }

    fn message(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Service(error) | Self::Query(error) => error.public().into(),
            Self::Told { error, .. } => error.public().into(),
            Self::ForeignTarget { .. } => {
                "A callback URL is a path here, or an address at one of the trusted origins.".into()
            }
            Self::Request(Fault::NoCredential) => "This needs a session or an API key.".into(),
            Self::Request(fault) => fault.message(),
            Self::NoToken => "The header Authorization holds no bearer token.".into(),
            Self::ForeignOrigin => {
                "The request came from a page of another origin, and nothing was done.".into()
            }
        }
    }

    fn meta(&self) -> Option<EnvelopeMeta> {
        let location = if matches!(self, Self::Query(_)) { "query" } else { "body" };
        let field =
            |(field, _, error): (String, _, _)| EnvelopeField { field: named(&field), error, location };
        let (errors, required) = match self {
            Self::Service(error) | Self::Query(error) => {
                let errors: Vec<_> = super::fields(error.fields()).map(field).collect();
                let required = match error.denied() {
                    Some(Denied::MissingScope(scope)) => Some(vec![scope]),
                    _ => None,
                };
                ((!errors.is_empty()).then_some(errors), required)
            }
            Self::Request(Fault::WrongType { member, message }) => {
                (Some(vec![field(super::wrong_type(member, message))]), None)
            }
            Self::Request(_)
            | Self::NoToken
            | Self::ForeignOrigin
            | Self::ForeignTarget { .. }
            | Self::Told { .. } => (None, None),
        };
        (errors.is_some() || required.is_some()).then_some(EnvelopeMeta { errors, required })
    }

    /// The response to a method that a path does not have.
    pub(crate) fn method_not_allowed(allow: &str) -> HttpResponse {
        Self::from(Fault::Method { allow: allow.to_owned() }).error_response()
    }
}

impl std::fmt::Display for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message())
    }
}

impl ResponseError for Envelope {
    fn status_code(&self) -> StatusCode {
        self.told().0
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Service(error) = self {
            super::log(error);
        }
        let (status, code) = self.told();
        let body = EnvelopeBody {
            success: false,
            status: status.as_u16(),
            code,
            message: self.message().into_owned(),
            meta: self.meta(),
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 wants a challenge with every 401.
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::Request(Fault::Method { allow }) = self {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Self::Service(error) = self
            && let Some(after) = super::retry_after(error)
        {
            response.insert_header(after);
        }
        response.json(body)
    }
}
