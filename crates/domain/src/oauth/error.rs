//! Error codes of the token endpoint.

/// RFC 6749 §5.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OAuthErrorCode {
    /// The request is malformed, repeats a parameter, or uses two ways to authenticate.
    InvalidRequest,
    /// Client authentication failed.
    InvalidClient,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The server does not know this grant.
    UnsupportedGrantType,
    /// A scope is malformed, unknown, or more than the client may have.
    InvalidScope,
}

impl OAuthErrorCode {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
        }
    }
}
