//! The credentials in a request's headers, and where it came from. A request uses one credential.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderName, USER_AGENT};
use actix_web::{HttpMessage as _, HttpRequest};
use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_domain::Secret;
use keystead_domain::api_key::{Brand, KeyText};
use keystead_domain::audit::Origin;
use keystead_domain::id::TenantId;
use keystead_domain::oauth::resembles_jwt;
use keystead_domain::session::UserAgent;
use keystead_service::people::Presented;
use keystead_service::{Arrival, Engine, Meter};

use crate::error::Fault;

/// A request header that may come once. Its name is read when the program is compiled: by its text, each
/// look-up would read and copy it anew.
pub(crate) struct Field {
    name: HeaderName,
    /// As messages write it.
    shown: &'static str,
}

impl Field {
    pub(crate) const fn new(name: &'static str, shown: &'static str) -> Self {
        Self { name: HeaderName::from_static(name), shown }
    }
}

const AUTHORIZATION: Field = Field { name: header::AUTHORIZATION, shown: "authorization" };
const API_KEY: Field = Field::new("x-api-key", "X-Api-Key");
const END_USER_IP: Field = Field::new("x-end-user-ip", "X-End-User-IP");
const ORGANIZATION_ID: Field = Field::new("x-organization-id", "X-Organization-Id");
const SESSION_TOKEN: Field = Field::new("x-session-token", "X-Session-Token");

/// Where a request came from, as far as it can be known, and what it was counted by so far.
pub(crate) fn arrival(request: &HttpRequest, engine: &Engine) -> Arrival {
    let user_agent = request.headers().get(USER_AGENT);
    let proxies = &engine.settings().client_address;
    let name = proxies.header.as_deref().unwrap_or_default();
    // A line that is not ASCII has no address in it; as a hop of its own it hides none to its left.
    let lines: Vec<_> =
        request.headers().get_all(name).map(|value| value.to_str().unwrap_or("unreadable")).collect();
    let origin = Origin {
        ip: request.peer_addr().map(|peer| proxies.of(peer.ip(), lines.into_iter())),
        user_agent: user_agent.and_then(|value| UserAgent::new(&String::from_utf8_lossy(value.as_bytes()))),
    };
    Arrival { origin, end_user_ip: None, device: None, meter: meter(request) }
}

/// What the request was counted by so far; the surface's wrapper put it there.
pub(crate) fn meter(request: &HttpRequest) -> Meter {
    request.extensions().get::<Meter>().cloned().unwrap_or_default()
}

/// Where the app says that its end user is: one address, without a port.
pub(crate) fn end_user_ip(request: &HttpRequest) -> Result<Option<IpAddr>, Fault> {
    let value = single(request, &END_USER_IP)?;
    let not_one = |_| Fault::Malformed("The header X-End-User-IP is no IP address.".into());
    value.map(|text| text.parse()).transpose().map_err(not_one)
}

/// The value of a header that may come once.
pub(crate) fn single<'r>(request: &'r HttpRequest, field: &Field) -> Result<Option<&'r str>, Fault> {
    let Field { name, shown } = field;
    let mut values = request.headers().get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::Malformed(format!("The header {shown} came more than once.").into()));
    }
    let text =
        value.to_str().map_err(|_| Fault::Malformed(format!("The header {shown} is not ASCII.").into()))?;
    Ok(Some(text))
}

fn scheme<'v>(value: &'v str, scheme: &str) -> Option<&'v str> {
    let (name, rest) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim_start_matches(' '))
}

/// The bearer token (RFC 6750 §2.1), where it is the only credential. Any other `Authorization`
/// is none.
pub(crate) fn bearer(request: &HttpRequest) -> Result<Secret<String>, Fault> {
    let authorization = single(request, &AUTHORIZATION)?;
    if authorization.is_some() && request.headers().contains_key(API_KEY.name) {
        return Err(Fault::Malformed("A request uses one credential, and this one has two.".into()));
    }
    let token = authorization.and_then(|value| scheme(value, "Bearer"));
    token
        .filter(|token| !token.is_empty())
        .map(|token| Secret::new(token.to_owned()))
        .ok_or(Fault::NoCredential)
}

/// The bearer token of an app, where `Authorization` holds one.
pub(crate) fn bearer_alone(request: &HttpRequest) -> Result<Option<Secret<String>>, Fault> {
    let token = single(request, &AUTHORIZATION)?.and_then(|value| scheme(value, "Bearer"));
    Ok(token.map(|token| Secret::new(token.to_owned())))
}

/// A header credential of a person or its script.
pub(crate) enum PersonHeader {
    /// There is none.
    Absent,
    /// `Authorization` is empty, or not Bearer.
    NoToken,
    /// An API key, in `X-Api-Key` or as a bearer token.
    Key(Presented),
    /// A bearer token that is a JWT.
    Token(Secret<String>),
}

/// The credential that a person's script sends. Two are one too many.
pub(crate) fn person(request: &HttpRequest, brand: &Brand) -> Result<PersonHeader, Fault> {
    let (key, authorization) = (single(request, &API_KEY)?, single(request, &AUTHORIZATION)?);
    match (key, authorization) {
        (Some(_), Some(_)) => {
            Err(Fault::Malformed("A request uses one credential, and this one has two.".into()))
        }
        (Some(key), None) => Ok(PersonHeader::Key(Presented::Key(Secret::new(key.to_owned())))),
        (None, None) => Ok(PersonHeader::Absent),
        (None, Some(value)) => {
            let token = scheme(value, "Bearer").filter(|token| !token.is_empty());
            let Some(text) = token else { return Ok(PersonHeader::NoToken) };
            let token = Secret::new(text.to_owned());
            Ok(if KeyText::resembles(text, brand) {
                PersonHeader::Key(Presented::Key(token))
            } else if resembles_jwt(text) {
                PersonHeader::Token(token)
            } else {
                PersonHeader::Key(Presented::Opaque(token))
            })
        }
    }
}

/// The organization that the caller says it acts in.
pub(crate) fn organization(request: &HttpRequest) -> Result<Option<TenantId>, Fault> {
    let value = single(request, &ORGANIZATION_ID)?;
    let not_one = |_| Fault::Malformed("The header X-Organization-Id is no organization's id.".into());
    value.map(|text| text.parse()).transpose().map_err(not_one)
}

/// The end user's session token; an empty one where there is none, which no session has.
pub(crate) fn session_token(request: &HttpRequest) -> Result<Secret<String>, Fault> {
    Ok(Secret::new(single(request, &SESSION_TOKEN)?.unwrap_or_default().to_owned()))
}

/// Client credentials in an `Authorization` header.
pub(crate) enum Basic {
    /// There is no such header.
    Absent,
    /// There is one, and it cannot be read.
    Unreadable,
    /// Id and secret.
    Present { client_id: String, client_secret: Secret<String> },
}

/// HTTP Basic as RFC 6749 §2.3.1 has it: both parts are form-urlencoded first.
pub(crate) fn basic(request: &HttpRequest) -> Result<Basic, Fault> {
    let Some(value) = single(request, &AUTHORIZATION)? else { return Ok(Basic::Absent) };
    Ok(read_basic(value).unwrap_or(Basic::Unreadable))
}

fn read_basic(value: &str) -> Option<Basic> {
    let decoded = Secret::new(STANDARD.decode(scheme(value, "Basic")?.trim_end()).ok()?);
    let text = std::str::from_utf8(decoded.expose()).ok()?;
    let (client_id, client_secret) = text.split_once(':')?;
    Some(Basic::Present {
        client_id: form_decoded(client_id),
        client_secret: Secret::new(form_decoded(client_secret)),
    })
}

fn form_decoded(text: &str) -> String {
    // A name without a value: the parser decodes it and stops at nothing but `&` and `=`, which
    // an encoder would have escaped.
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn basic_credentials_are_decoded_twice() {
        let encoded = STANDARD.encode("a%2Bb:p+%C3%A4=&x:y");
        let Some(Basic::Present { client_id, client_secret }) = read_basic(&format!("basic {encoded}"))
        else {
            panic!("unreadable");
        };
        assert_eq!((client_id.as_str(), client_secret.expose().as_str()), ("a+b", "p ä=&x:y"));
    }

    #[test]
    fn other_authorizations_are_unreadable() {
        for value in ["", "Basic", "Basic !", "Bearer x", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert!(read_basic(value).is_none(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn basic_credentials_are_read_back(id: String, secret: String, extra in " {1,3}") {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let value = format!("Basic{extra}{}", STANDARD.encode(format!("{}:{}", encoded(&id), encoded(&secret))));
            let Some(Basic::Present { client_id, client_secret }) = read_basic(&value) else {
                panic!("unreadable: {value}");
            };
            prop_assert_eq!((&client_id, client_secret.expose()), (&id, &secret));
        }

        #[test]
        fn no_header_panics(text: String, bytes: Vec<u8>, name in "(?i)(basic|bearer)") {
            for value in [text.clone(), format!("{name} {text}"), format!("{name} {}", STANDARD.encode(&bytes))] {
                let _ = (read_basic(&value), scheme(&value, "Bearer"));
            }
        }
    }
}
