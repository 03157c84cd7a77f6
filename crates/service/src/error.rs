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
    denied: Option<Denied>,
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
    ($($(#[doc = $when:literal])+ $name:ident = $word:literal: $public:literal;)*) => {
        /// The stable codes. The tables of `docs/http-status.md` are made from them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[doc = $when])+ $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// When it is the answer: the documentation of the code, for that of the surfaces.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$name => concat!($($when),+).trim_ascii(),)* }
            }

            const fn public(self) -> &'static str {
                match self { $(Self::$name => $public,)* }
            }
        }
    };
}

codes! {
    /// Right syntax, wrong content: `errors` names each field.
    ValidationError = "validation_error": "Some fields are missing or wrong.";
    /// The code (mailed, of an authenticator app, or a recovery code) is wrong, expired, spent, tried out,
    /// or no code at all; which, is not told.
    InvalidCode = "invalid_code": "The code is wrong or no longer valid.";
    /// No access token of an app, or one that is wrong, expired, of a disabled app, or meant for another
    /// server.
    InvalidToken = "invalid_token": "The access token is missing, invalid or expired.";
    /// No `X-Session-Token`, or one that is wrong, expired, ended, of a locked user or of another tenant.
    InvalidSession = "invalid_session": "The session is missing, invalid or expired.";
    /// At login: the address, the password or the code of the second factor is wrong, or the user is
    /// locked; which, is not told. Elsewhere: the current password is wrong.
    InvalidCredentials = "invalid_credentials": "The e-mail address or the password is wrong.";
    /// No API key, or one that is malformed, unknown, expired, revoked or of a locked user; which, is not told.
    InvalidApiKey = "invalid_api_key": "The API key is missing, invalid or expired.";
    /// The access token lacks the scope `api`, or the app may no longer have it.
    InsufficientScope = "insufficient_scope": "The access token lacks the scope that this needs.";
    /// The app is not a first-party app of a tenant, so it may not handle end users.
    AppNotAllowed = "app_not_allowed": "This app may not do this.";
    /// The tenant that owns the app is suspended.
    TenantSuspended = "tenant_suspended": "The tenant is suspended.";
    /// The password was right, and an operator has locked the account.
    UserNotActive = "user_not_active": "The account is not active.";
    /// It takes the current password, or a session that began a moment ago.
    SessionNotFresh = "session_not_fresh": "Send the current password, or sign in again first.";
    /// No sign-in waits for a second factor in this browser, or it waited too long or failed too often.
    InvalidChallenge = "invalid_challenge": "No sign-in waits for a second factor. Sign in again.";
    /// At login: the password was right, of a user or of the newest sign-up, but the address is not
    /// confirmed.
    EmailNotVerified = "email_not_verified": "The e-mail address has not been verified.";
    /// The organization is not one that the caller is a member of or that its API key reaches, whether or not it
    /// exists.
    NotAMember = "not_a_member": "There is no such organization among yours.";
    /// The caller's role in the organization is too low.
    RoleTooLow = "role_too_low": "This needs a higher role in the organization.";
    /// Nothing of what the API key carries is left after the role of its holder.
    NoScopesLeft = "no_scopes_left": "The role of this key's holder leaves none of the key's scopes.";
    /// The organization demands a second factor that its member does not have.
    SecondFactorRequired = "second_factor_required": "The organization requires a second factor. Enable one first.";
    /// It takes a session, not an API key or an access token.
    SessionRequired = "session_required": "This takes a signed-in session; API keys and access tokens may not.";
    /// The organization's plan does not open this.
    PlanLacks = "plan_lacks": "The plan of the organization does not include this.";
    /// The caller is a member of several organizations, or of none, and did not say which one is meant.
    TenantNotNamed = "tenant_not_named": "Say which organization is meant, in the header X-Organization-Id.";
    /// A scanner's report of leaked keys is not signed by a key that the settings name.
    InvalidSignature = "invalid_signature": "The report is not signed by anybody whose reports are taken.";
    /// There is no such thing, or it is another's.
    NotFound = "not_found": "There is no such thing.";
    /// There is no such API key, or it is another's.
    KeyNotFound = "key_not_found": "There is no such API key among yours.";
    /// Something with this name exists, or it is decided already, or its address got all its mails for now.
    Conflict = "conflict": "This is taken.";
    /// A user of the platform has this address, or had it so lately that it can go back to it.
    AccountExists = "account_exists": "An account with this address exists.";
    /// A one-time link is wrong, expired or spent; which, is not told.
    InvalidLink = "invalid_link": "The link is wrong, or no longer good.";
    /// No client credentials, or wrong ones, or of a disabled app; which, is not told.
    InvalidClient = "invalid_client": "Client authentication failed";
    /// A scope is malformed, or more than the app may have.
    InvalidScope = "invalid_scope": "The scope is unknown, malformed, or more than this client may have";
    /// The tenant that owns the app is suspended.
    UnauthorizedClient = "unauthorized_client": "The tenant of this client is suspended";
    /// Too many requests, or too many failed sign-ins or codes for the address; `Retry-After`.
    RateLimited = "rate_limited": "Too many requests or failed tries. Try again later.";
    /// Too many passwords wait to be hashed, or the database is away or too busy; `Retry-After`.
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
            denied: None,
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

    /// What the gate said, where it was the gate: the scope, the role or the feature that is missing.
    pub const fn denied(&self) -> Option<Denied> {
        self.denied
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
        let error = match denied {
            Denied::TenantSuspended => Self::of(Code::TenantSuspended),
            Denied::MissingScope(scope) => Self::of(Code::InsufficientScope)
                .saying(format!("This needs a credential with the scope {scope}.")),
            Denied::NotFirstParty => Self::of(Code::AppNotAllowed)
                .saying("Only a first-party app of a tenant may handle its end users."),
            Denied::Forbidden => Self::of(Code::AppNotAllowed),
            Denied::NotAMember => Self::of(Code::NotAMember),
            Denied::PinnedElsewhere => Self::of(Code::NotAMember)
                .saying("The API key belongs to one organization and reaches nothing else."),
            Denied::KeyBarred => {
                Self::of(Code::NotAMember).saying("The organization does not let this API key in.")
            }
            Denied::RoleTooLow { needed } => {
                Self::of(Code::RoleTooLow).saying(format!("This needs the role {needed} or a higher one."))
            }
            Denied::NoScopesLeft => Self::of(Code::NoScopesLeft),
            Denied::SecondFactorRequired => Self::of(Code::SecondFactorRequired),
            Denied::SessionRequired => Self::of(Code::SessionRequired),
            Denied::PlanLacks(_) => Self::of(Code::PlanLacks),
            Denied::TenantNotNamed => Self::of(Code::TenantNotNamed),
        };
        Self { denied: Some(denied), ..error }
    }
}
