//! What a use case says when it does not do what it was asked.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use keystead_crypto::passwords::HashingError;
use keystead_domain::policy::Denied;
use keystead_storage::StoreError;

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// A refusal or a failure: a stable code and a sentence for the caller, a cause for the log.
#[derive(Debug)]
pub struct Error {
    code: Code,
    public: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as the surface names it.
    pub field: &'static str,
    /// A stable word for what is wrong: `required`, `invalid`, `too_short`, …
    pub code: &'static str,
    /// A sentence for people, without the value.
    pub message: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal: $public:literal;)*) => {
        /// The stable codes, each documented in `docs/http-status.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            const fn public(self) -> &'static str {
                match self { $(Self::$name => $public,)* }
            }
        }
    };
}

codes! {
    /// Fields are missing or wrong; they are listed.
    ValidationError = "validation_error": "Some fields are missing or wrong.";
    /// A mailed code is wrong, expired, spent or tried out; which, is not told.
    InvalidCode = "invalid_code": "The code is wrong or no longer valid.";
    /// No good access token of an app.
    InvalidToken = "invalid_token": "The access token is missing, invalid or expired.";
    /// No good session of the app's directory.
    InvalidSession = "invalid_session": "The session is missing, invalid or expired.";
    /// The address or the password is wrong; which, is not told.
    InvalidCredentials = "invalid_credentials": "The e-mail address or the password is wrong.";
    /// The token lacks a scope.
    InsufficientScope = "insufficient_scope": "The access token lacks the scope that this needs.";
    /// Only first-party apps of a tenant may handle its end users.
    AppNotAllowed = "app_not_allowed": "This app may not do this.";
    /// The tenant is suspended.
    TenantSuspended = "tenant_suspended": "The tenant is suspended.";
    /// The password was right, but the address is not confirmed.
    EmailNotVerified = "email_not_verified": "The e-mail address has not been verified.";
    /// There is no such thing.
    NotFound = "not_found": "There is no such thing.";
    /// Something with this name exists.
    Conflict = "conflict": "This is taken.";
    /// A one-time link is wrong, expired or spent; which, is not told.
    InvalidLink = "invalid_link": "The link is wrong, or no longer good.";
    /// RFC 6749 §5.2.
    InvalidClient = "invalid_client": "Client authentication failed";
    /// RFC 6749 §5.2.
    InvalidScope = "invalid_scope": "The scope is unknown, malformed, or more than this client may have";
    /// RFC 6749 §5.2.
    UnauthorizedClient = "unauthorized_client": "The tenant of this client is suspended";
    /// Too many requests, or too many failures; when to try again is told.
    RateLimited = "rate_limited": "Too many requests or failed tries. Try again later.";
    /// The database is away, or too much waits.
    Unavailable = "unavailable": "The server is too busy, or its database is away. Try again in a moment.";
    /// Our fault; the log has the cause.
    Internal = "internal": "The server failed. Its log has the cause.";
}

impl Error {
    /// An error that says no more than its code does.
    pub const fn of(code: Code) -> Self {
        Self {
            code,
            public: Cow::Borrowed(code.public()),
            fields: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// The same error with another sentence.
    #[must_use]
    pub fn saying(mut self, public: impl Into<Cow<'static, str>>) -> Self {
        self.public = public.into();
        self
    }

    /// A validation error.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let mut error = Self::of(Code::ValidationError);
        error.fields = fields;
        error
    }

    /// A validation error about one field.
    pub fn invalid_field(field: &'static str, code: &'static str, message: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldError { field, code, message: message.to_string() }])
    }

    /// An error of ours.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::of(Code::Internal);
        error.source = Some(source.into());
        error
    }

    /// Too many requests, until `wait` is over.
    pub const fn limited(wait: Duration) -> Self {
        let mut error = Self::of(Code::RateLimited);
        error.retry_after = Some(wait);
        error
    }

    /// After how long trying again may do, where it may.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.code {
            Code::Unavailable => Some(Duration::from_secs(1)),
            _ => self.retry_after,
        }
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The sentence for the caller.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// What is wrong with which field.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)?;
        for field in &self.fields {
            write!(f, " {} {}.", field.field, field.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(source: StoreError) -> Self {
        let code = match source {
            StoreError::Unavailable(_) => Code::Unavailable,
            _ => Code::Internal,
        };
        Self { source: Some(Box::new(source)), ..Self::of(code) }
    }
}

impl From<HashingError> for Error {
    fn from(source: HashingError) -> Self {
        match source {
            HashingError::Busy(_) => Self { source: Some(Box::new(source)), ..Self::of(Code::Unavailable) },
            HashingError::Broken => Self::internal(source),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TenantSuspended => Self::of(Code::TenantSuspended),
            Denied::MissingScope(scope) => Self::of(Code::InsufficientScope)
                .saying(format!("This needs an access token with the scope {scope}.")),
            Denied::NotFirstParty => Self::of(Code::AppNotAllowed)
                .saying("Only a first-party app of a tenant may handle its end users."),
            Denied::Forbidden => Self::of(Code::AppNotAllowed),
        }
    }
}
