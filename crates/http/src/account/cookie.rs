//! The cookies of people: one holds a session token, one a sign-in that waits for its second factor, one says
//! that the browser has signed somebody in before (RFC 6265bis).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use keystead_domain::device::DEVICE_LIFETIME;
use keystead_domain::sign_in_challenge::CHALLENGE_LIFETIME;
use keystead_domain::{Secret, TokenDigest};
use keystead_service::sign_ins::SignedInPerson;
use keystead_service::{Engine, Error};

use crate::pages::form;

/// A cookie of ours.
#[derive(Clone, Copy)]
enum Cookie {
    Session,
    Challenge,
    Device,
}

impl Cookie {
    /// On https the name's prefix makes browsers take it from this host over TLS only (RFC 6265bis
    /// §4.1.3.2). On plain-http loopback cookie jars would not send a `Secure` one back.
    fn name(self, engine: &Engine) -> &'static str {
        match (self, form::is_https(engine)) {
            (Self::Session, true) => "__Host-keystead_session",
            (Self::Session, false) => "keystead_session",
            (Self::Challenge, true) => "__Host-keystead_two_factor",
            (Self::Challenge, false) => "keystead_two_factor",
            (Self::Device, true) => "__Host-keystead_device",
            (Self::Device, false) => "keystead_device",
        }
    }

    fn read(self, request: &HttpRequest, engine: &Engine) -> Option<Secret<String>> {
        form::cookie(request, self.name(engine))
            .filter(|value| !value.is_empty())
            .map(|value| Secret::new(value.to_owned()))
    }

    /// Without an age it goes when the browser is closed.
    fn written(self, engine: &Engine, value: &str, age: Option<Duration>) -> Result<HeaderValue, Error> {
        let secure = if form::is_https(engine) { "; Secure" } else { "" };
        let age = age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
        let name = self.name(engine);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
        let mut header = HeaderValue::try_from(text).map_err(Error::internal)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// The session token in the request's cookie.
pub(crate) fn read(request: &HttpRequest, engine: &Engine) -> Option<Secret<String>> {
    Cookie::Session.read(request, engine)
}

/// `Set-Cookie` for a session that was just made. A transient one goes when the browser is closed.
pub(crate) fn set(engine: &Engine, token: &Secret<String>, transient: bool) -> Result<HeaderValue, Error> {
    let age = (!transient).then_some(engine.settings().session_lifetime.absolute);
    Cookie::Session.written(engine, token.expose(), age)
}

/// `Set-Cookie` that makes browsers forget the session.
pub(crate) fn clear(engine: &Engine) -> Result<HeaderValue, Error> {
    Cookie::Session.written(engine, "", Some(Duration::ZERO))
}

/// The token of the sign-in that waits in this browser.
pub(crate) fn read_challenge(request: &HttpRequest, engine: &Engine) -> Option<Secret<String>> {
    Cookie::Challenge.read(request, engine)
}

/// `Set-Cookie` for a sign-in that waits.
pub(crate) fn set_challenge(engine: &Engine, token: &Secret<String>) -> Result<HeaderValue, Error> {
    Cookie::Challenge.written(engine, token.expose(), Some(CHALLENGE_LIFETIME))
}

/// `Set-Cookie` that makes browsers forget the sign-in that waited.
pub(crate) fn clear_challenge(engine: &Engine) -> Result<HeaderValue, Error> {
    Cookie::Challenge.written(engine, "", Some(Duration::ZERO))
}

/// The cookie that says that this browser has signed somebody in before.
pub(crate) fn read_device(request: &HttpRequest, engine: &Engine) -> Option<TokenDigest> {
    Cookie::Device.read(request, engine).map(|token| TokenDigest::of(token.expose()))
}

/// `Set-Cookie` for a browser that has just signed somebody in: the session, and where it is new that it has. That
/// stays when the session ends.
pub(crate) fn of_sign_in(engine: &Engine, done: &SignedInPerson) -> Result<Vec<HeaderValue>, Error> {
    let mut cookies = vec![set(engine, &done.session.token, done.transient)?];
    if let Some(token) = &done.device {
        cookies.push(Cookie::Device.written(engine, token.expose(), Some(DEVICE_LIFETIME))?);
    }
    Ok(cookies)
}
