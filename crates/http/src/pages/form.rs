//! Forms: showing one to a browser, and reading what it sends back.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{COOKIE, SET_COOKIE};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use keystead_service::forms::{self, PreSession};
use keystead_service::{Caller, Engine, Error, rate_limits};
use maud::{Markup, html};

use crate::error::{Fault, PageError};
use crate::{body, credentials, origin};

/// The field that carries the token of a form.
const TOKEN: &str = "form_token";

/// A browser that is shown a form.
pub(crate) struct Visitor {
    engine: Data<Engine>,
    pre_session: PreSession,
}

impl Visitor {
    fn of(request: &HttpRequest, engine: Data<Engine>) -> Self {
        let presented = cookie(request, cookie_name(&engine));
        let pre_session = forms::pre_session(&engine, presented);
        Self { engine, pre_session }
    }

    /// The deployment's engine.
    pub(crate) const fn engine(&self) -> &Data<Engine> {
        &self.engine
    }

    /// What every form of this browser has in it.
    pub(crate) fn token_field(&self) -> Markup {
        html! { input type="hidden" name=(TOKEN) value=(self.pre_session.form_token); }
    }

    /// The page, with the cookie that its form is bound to.
    pub(crate) fn shown(&self, mut page: HttpResponse) -> HttpResponse {
        if self.pre_session.is_new
            && let Ok(value) = set_cookie(&self.engine, &self.pre_session).try_into()
        {
            page.headers_mut().append(SET_COOKIE, value);
        }
        page
    }
}

/// On https the name's prefix makes browsers take it from this host over TLS only (RFC 6265bis
/// §4.1.3.2). On loopback they would not send that one back.
fn cookie_name(engine: &Engine) -> &'static str {
    if is_https(engine) { "__Host-keystead-pre" } else { "keystead-pre" }
}

fn set_cookie(engine: &Engine, pre_session: &PreSession) -> String {
    let (name, value) = (cookie_name(engine), pre_session.cookie.expose());
    let secure = if is_https(engine) { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

pub(crate) fn is_https(engine: &Engine) -> bool {
    engine.settings().issuer.starts_with("https://")
}

/// The cookie of this name, where there is one and no second (RFC 6265 §5.4).
pub(crate) fn cookie<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let headers = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    let pairs = headers.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

impl FromRequest for Visitor {
    type Error = PageError;
    type Future = std::future::Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(engine(request).map(|engine| Self::of(request, engine)))
    }
}

/// A form that a browser sends back. It was shown by us to this browser, and sent from our page.
pub(crate) struct FormCall {
    pub(crate) caller: Caller,
    pub(crate) visitor: Visitor,
    pub(crate) engine: Data<Engine>,
    fields: Vec<(String, String)>,
}

impl FormCall {
    /// What was typed into a field; nothing where it was not sent.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(of, _)| of == name)?;
        Some(self.fields.swap_remove(at).1)
    }
}

impl FromRequest for FormCall {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            if !origin::is_ours(&request, &engine.settings().issuer, &[]) {
                return Err(PageError::ForeignOrigin { home: engine.settings().issuer.clone() });
            }
            const EXPECTED: &str = "application/x-www-form-urlencoded";
            if body::media_type(&request).as_deref() != Some(EXPECTED) {
                return Err(Fault::MediaType { expected: EXPECTED }.into());
            }
            let fields = body::form(&body::bytes(&request, &mut payload, body::LIMIT).await?)?;
            let token = fields.iter().find(|(name, _)| name == TOKEN);
            let shown_here = match (cookie(&request, cookie_name(&engine)), token) {
                (Some(cookie), Some((_, token))) => forms::recognizes(&engine, cookie, token),
                _ => false,
            };
            if !shown_here {
                return Err(PageError::StaleForm);
            }
            let arrival = credentials::arrival(&request, &engine);
            rate_limits::anonymous(&engine, &arrival)?;
            let caller = Caller::visitor(arrival);
            let visitor = Visitor::of(&request, engine.clone());
            Ok(Self { caller, visitor, engine, fields })
        })
    }
}

/// The deployment's engine, which the server puts beside every route.
fn engine(request: &HttpRequest) -> Result<Data<Engine>, PageError> {
    let engine = request.app_data::<Data<Engine>>().cloned();
    engine.ok_or_else(|| Error::internal("the pages were mounted without an engine").into())
}
