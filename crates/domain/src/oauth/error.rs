//! Error codes of the token endpoint.

macro_rules! oauth_error_codes {
    ($($(#[doc = $when:literal])+ $name:ident = $word:literal;)*) => {
        /// RFC 6749 §5.2.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum OAuthErrorCode { $($(#[doc = $when])+ $name,)* }

        impl OAuthErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// When it is the answer: the documentation of the code, for that of the endpoint.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$name => concat!($($when),+).trim_ascii(),)* }
            }
        }
    };
}

oauth_error_codes! {
    /// `grant_type` is missing; a parameter or the `Authorization` header came twice; the client
    /// authenticates in more than one way; a secret is in the URL.
    InvalidRequest = "invalid_request";
    /// Client authentication failed.
    InvalidClient = "invalid_client";
    /// The client may not use this grant.
    UnauthorizedClient = "unauthorized_client";
    /// A grant that the server does not know.
    UnsupportedGrantType = "unsupported_grant_type";
    /// A scope is malformed, unknown, or more than the client may have.
    InvalidScope = "invalid_scope";
}
