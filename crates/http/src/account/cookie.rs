//! The cookie that holds a person's session token (RFC 6265bis).

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderValue, InvalidHeaderValue};
use keystead_domain::Secret;
use keystead_service::Engine;

use crate::pages::form;

/// On https the name's prefix makes browsers take it from this host over TLS only (RFC 6265bis
/// §4.1.3.2). On plain-http loopback cookie jars would not send a `Secure` one back.
fn name(engine: &Engine) -> &'static str {
    if form::is_https(engine) { "__Host-keystead_session" } else { "keystead_session" }
}

/// The session token in the request's cookie.
pub(crate) fn read(request: &HttpRequest, engine: &Engine) -> Option<Secret<String>> {
    form::cookie(request, name(engine))
        .filter(|value| !value.is_empty())
        .map(|value| Secret::new(value.to_owned()))
}

/// `Set-Cookie` for a session that was just made.
pub(crate) fn set(engine: &Engine, token: &Secret<String>) -> Result<HeaderValue, InvalidHeaderValue> {
    let age = engine.settings().session_lifetime.absolute.as_secs();
    written(engine, token.expose(), age)
}

/// `Set-Cookie` that makes browsers forget the session.
pub(crate) fn clear(engine: &Engine) -> Result<HeaderValue, InvalidHeaderValue> {
    written(engine, "", 0)
}

fn written(engine: &Engine, value: &str, age: u64) -> Result<HeaderValue, InvalidHeaderValue> {
    let secure = if form::is_https(engine) { "; Secure" } else { "" };
    let mut value = HeaderValue::try_from(format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age={age}",
        name(engine)
    ))?;
    value.set_sensitive(true);
    Ok(value)
}
