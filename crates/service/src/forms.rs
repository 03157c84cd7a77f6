//! Forms: whether what a browser sends was written on a page of ours.
//!
//! A browser that has no session gets a *pre-session*: a random cookie that identifies nobody. Each
//! form that is shown to it carries a token bound to that cookie.

use keystead_crypto::tokens;
use keystead_domain::Secret;

use crate::Engine;

/// What the cookie of a pre-session begins with.
const PREFIX: &str = "pre_";

/// A browser without a session.
pub struct PreSession {
    /// The value of its cookie.
    pub cookie: Secret<String>,
    /// Whether the browser still has to be given it.
    pub is_new: bool,
    /// What its forms carry.
    pub form_token: String,
}

/// The pre-session of the browser that presents this cookie, or a new one. The same cookie goes on,
/// so that forms in several tabs stay good.
pub fn pre_session(engine: &Engine, presented: Option<&str>) -> PreSession {
    let known = presented.filter(|value| is_ours(value)).map(|value| Secret::new(value.to_owned()));
    let is_new = known.is_none();
    let cookie = known.unwrap_or_else(|| tokens::mint(PREFIX, &*engine.env).0);
    let form_token = engine.forms.token(&cookie);
    PreSession { cookie, is_new, form_token }
}

/// Whether a form with this token was shown to the browser that presents this cookie.
pub fn recognizes(engine: &Engine, cookie: &str, form_token: &str) -> bool {
    is_ours(cookie) && engine.forms.recognizes(&Secret::new(cookie.to_owned()), form_token)
}

fn is_ours(cookie: &str) -> bool {
    cookie.strip_prefix(PREFIX).is_some_and(|random| {
        random.len() == tokens::SECRET_LEN && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
