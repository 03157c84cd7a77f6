//! The words of OAuth 2.1 as types.

mod access_token;
mod catalogue;
mod error;
mod scope;

pub use access_token::{AccessTokenClaims, InvalidToken, resembles_jwt};
pub use catalogue::{GrantableScope, ScopeCatalogue};
pub use error::OAuthErrorCode;
pub use scope::{InvalidScope, Scope, ScopeSet};
