//! `/forward-auth`: a proxy asks whether a request may pass to the service behind it.
//!
//! nginx takes 2xx, 401 and 403 from it and makes a 500 of all else, so nothing else is answered: not for
//! a wrong method or path, not when the database is away. What cannot be understood does not pass: a
//! parameter that is unknown or came twice may be somebody's who found a way to put it there.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use keystead_domain::oauth::ScopeSet;
use keystead_service::forward_auth::{self, Demand, Passing, Shown};
use keystead_service::people::Presented;
use keystead_service::{Code, Engine, Error};

use crate::account::cookie;
use crate::credentials::{self, PersonHeader};
use crate::{body, engine, error, run};

const PATH: &str = "/forward-auth";

/// Why a request does not pass.
enum Refusal {
    /// It shows no credential.
    NoCredential,
    /// Its credential is no good.
    NoGood,
    /// Its credential lacks a scope.
    Scope(String),
    /// Anything else.
    Forbidden,
}

/// What the proxy asks.
struct Asked {
    demand: Demand,
    /// Whether the session of a browser counts.
    cookie: bool,
}

async fn forward_auth(request: HttpRequest) -> HttpResponse {
    match check(&request).await {
        Ok(passing) => passed(&passing),
        Err(refusal) => refused(&refusal),
    }
}

async fn check(request: &HttpRequest) -> Result<Passing, Refusal> {
    let known = matches!(*request.method(), Method::GET | Method::HEAD | Method::POST);
    if !known || request.path() != PATH {
        return Err(Refusal::Forbidden);
    }
    let engine = engine(request).map_err(|_| Refusal::Forbidden)?;
    let Asked { demand, cookie } = asked(request.query_string()).ok_or(Refusal::Forbidden)?;
    let shown = shown(request, &engine, cookie)?;
    let wanted = demand.scopes.to_string();
    let checked = match forward_auth::check_at_once(&engine, &shown, &demand) {
        Some(checked) => checked,
        None => run(&engine, move |engine| forward_auth::check(engine, &shown, &demand)).await,
    };
    checked.map_err(|error| refusal(&error, wanted))
}

fn refusal(error: &Error, wanted: String) -> Refusal {
    error::log(error);
    match error.code() {
        Code::InvalidToken | Code::InvalidSession | Code::InvalidApiKey => Refusal::NoGood,
        Code::InsufficientScope => Refusal::Scope(wanted),
        // Also when the database is away: whoever is told 401 would give up a credential that is good.
        _ => Refusal::Forbidden,
    }
}

/// Reads the query; nothing where any of it cannot be understood.
fn asked(query: &str) -> Option<Asked> {
    let mut asked = Asked { demand: Demand::default(), cookie: false };
    for (name, value) in body::form(query.as_bytes()).ok()? {
        match name.as_str() {
            "scope" => {
                asked.demand.scopes = value.parse().ok().filter(|scopes: &ScopeSet| !scopes.is_empty())?;
            }
            "tenant" => asked.demand.tenant = Some(value.parse().ok()?),
            "cookie" if value == "1" => asked.cookie = true,
            _ => return None,
        }
    }
    Some(asked)
}

/// The one credential of the request. With one in a header, a cookie is not read.
fn shown(request: &HttpRequest, engine: &Data<Engine>, cookie: bool) -> Result<Shown, Refusal> {
    let header = credentials::person(request, &engine.settings().prefixes.api_key);
    match header.map_err(|_| Refusal::Forbidden)? {
        PersonHeader::Key(key) => Ok(Shown::Person(key)),
        PersonHeader::Token(token) => Ok(Shown::Token(token)),
        PersonHeader::Absent if cookie => {
            let session = cookie::read(request, engine).ok_or(Refusal::NoCredential)?;
            Ok(Shown::Person(Presented::Session(session)))
        }
        PersonHeader::Absent | PersonHeader::NoToken => Err(Refusal::NoCredential),
    }
}

fn passed(passing: &Passing) -> HttpResponse {
    let mut response = answer(StatusCode::OK);
    let optional =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    for (name, value) in [
        ("x-auth-subject", passing.subject.clone()),
        ("x-auth-tenant", optional(passing.tenant.map(|tenant| tenant.to_string()))),
        ("x-auth-scopes", optional(Some(passing.scopes.to_string()))),
        ("x-auth-role", optional(passing.role.map(|role| role.to_string()))),
        ("x-auth-kind", passing.kind.to_string()),
        ("x-auth-env", optional(passing.environment.map(|environment| environment.to_string()))),
    ] {
        // Ids, scopes and words of ours: all of them are visible ASCII.
        let Ok(value) = HeaderValue::from_str(&value) else { return refused(&Refusal::Forbidden) };
        response.insert_header((HeaderName::from_static(name), value));
    }
    response.finish()
}

/// RFC 6750 §3: without an error code where no credential was sent.
fn refused(refusal: &Refusal) -> HttpResponse {
    let (status, challenge) = match refusal {
        Refusal::NoCredential => (StatusCode::UNAUTHORIZED, Some("Bearer".to_owned())),
        Refusal::NoGood => (StatusCode::UNAUTHORIZED, Some(r#"Bearer error="invalid_token""#.to_owned())),
        Refusal::Scope(wanted) => {
            (StatusCode::FORBIDDEN, Some(format!(r#"Bearer error="insufficient_scope", scope="{wanted}""#)))
        }
        Refusal::Forbidden => (StatusCode::FORBIDDEN, None),
    };
    let mut response = answer(status);
    if let Some(challenge) = challenge {
        response.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    response.finish()
}

fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route(PATH, web::to(forward_auth)).route("/forward-auth/{rest:.*}", web::to(forward_auth));
}
