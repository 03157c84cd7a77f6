//! Errors of the OAuth endpoints (RFC 6749 §5.2).

use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use keystead_domain::oauth::OAuthErrorCode;
use keystead_service::{Code, Error};
use serde::Serialize;
use utoipa::ToSchema;

use super::Fault;

/// A refusal, as RFC 6749 has it.
#[derive(Debug)]
pub(crate) struct OAuthError(Cause);

#[derive(Debug)]
enum Cause {
    Service(Error),
    Request(Fault),
    Protocol(OAuthErrorCode, &'static str),
    /// The access token that a client authenticates with is no good.
    Token(Error),
}

/// RFC 6749 §5.2.
#[derive(Serialize, ToSchema)]
pub(crate) struct OAuthErrorBody {
    error: &'static str,
    error_description: String,
}

impl From<Error> for OAuthError {
    fn from(error: Error) -> Self {
        Self(Cause::Service(error))
    }
}

impl From<Fault> for OAuthError {
    fn from(fault: Fault) -> Self {
        Self(Cause::Request(fault))
    }
}

impl std::fmt::Display for OAuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.description())
    }
}

impl OAuthError {
    /// An error that the protocol layer finds by itself.
    pub(crate) const fn protocol(code: OAuthErrorCode, description: &'static str) -> Self {
        Self(Cause::Protocol(code, description))
    }

    /// The refusal of a client that authenticated with an access token that is no good (RFC 7662 §2.3).
    pub(crate) const fn refused_token(error: Error) -> Self {
        Self(Cause::Token(error))
    }

    /// The response to a method that a path does not have.
    pub(crate) fn method_not_allowed(allow: &str) -> HttpResponse {
        Self::from(Fault::Method { allow: allow.to_owned() }).error_response()
    }

    pub(super) fn code(&self) -> &'static str {
        let code = match &self.0 {
            // RFC 6750 §3.1.
            Cause::Token(_) => return "invalid_token",
            Cause::Protocol(code, _) => *code,
            Cause::Request(Fault::NoCredential) => OAuthErrorCode::InvalidClient,
            Cause::Request(_) => OAuthErrorCode::InvalidRequest,
            Cause::Service(error) => match error.code() {
                Code::InvalidClient => OAuthErrorCode::InvalidClient,
                Code::InvalidScope => OAuthErrorCode::InvalidScope,
                Code::UnauthorizedClient => OAuthErrorCode::UnauthorizedClient,
                // RFC 6749 §4.1.2.1 has words for these at the authorization endpoint; clients
                // of the token endpoint know them too.
                Code::Unavailable | Code::RateLimited => return "temporarily_unavailable",
                Code::Internal => return "server_error",
                _ => OAuthErrorCode::InvalidRequest,
            },
        };
        code.as_str()
    }

    fn description(&self) -> std::borrow::Cow<'_, str> {
        match &self.0 {
            Cause::Service(error) | Cause::Token(error) => error.public().into(),
            Cause::Request(Fault::NoCredential) => "Client authentication failed".into(),
            Cause::Request(fault) => fault.message(),
            Cause::Protocol(_, description) => (*description).into(),
        }
    }
}

impl ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        match &self.0 {
            Cause::Service(error) | Cause::Token(error) => super::status(error.code()),
            // RFC 6749 §5.2 knows one status for a request that cannot be understood.
            Cause::Request(Fault::WrongType { .. }) => StatusCode::BAD_REQUEST,
            Cause::Request(fault) => fault.status(),
            Cause::Protocol(OAuthErrorCode::InvalidClient, _) => StatusCode::UNAUTHORIZED,
            Cause::Protocol(..) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Cause::Service(error) = &self.0 {
            super::log(error);
        }
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 wants a challenge with every 401. Basic is what we take, and it needs a realm (RFC 7617 §2).
            let challenge = match &self.0 {
                Cause::Token(_) => r#"Bearer error="invalid_token""#,
                _ => r#"Basic realm="keystead", charset="UTF-8""#,
            };
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if let Cause::Request(Fault::Method { allow }) = &self.0 {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Cause::Service(error) = &self.0
            && let Some(after) = super::retry_after(error)
        {
            response.insert_header(after);
        }
        let error_description = self.description().into_owned();
        response.json(OAuthErrorBody { error: self.code(), error_description })
    }
}
