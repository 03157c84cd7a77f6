//! Reading request bodies, and naming what is wrong with them.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use futures_core::Stream as _;
use keystead_domain::password::Password;
use keystead_domain::{Secret, TokenDigest};
use keystead_service::{Error, FieldError};
use percent_encoding::percent_decode;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest as _, Sha256};

use crate::error::{Fault, Rejection};

/// The most bytes that the app API and the token endpoint read.
pub(crate) const LIMIT: usize = 64 * 1024;

/// What a request's body is read as.
pub(crate) trait Body: Sized {
    /// What the handler gets.
    type Parsed;

    /// Reads it, at most `limit` bytes.
    async fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        limit: usize,
    ) -> Result<Self::Parsed, Rejection>;
}

/// No body is read, whatever is sent.
impl Body for () {
    type Parsed = ();

    async fn read(_: &HttpRequest, _: &mut Payload, _: usize) -> Result<(), Rejection> {
        Ok(())
    }
}

/// A body of JSON that is parsed into a command.
pub(crate) trait JsonBody: DeserializeOwned {
    /// The command.
    type Command;

    /// What an empty body means, where one is allowed.
    fn empty() -> Option<Self> {
        None
    }

    /// Parses the fields, naming all that are wrong.
    fn parse(self) -> Result<Self::Command, Error>;
}

impl<T: JsonBody> Body for T {
    type Parsed = T::Command;

    async fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        limit: usize,
    ) -> Result<T::Command, Rejection> {
        Ok(digested::<T>(request, payload, limit).await?.0)
    }
}

/// A body of JSON, parsed into a command, and the SHA-256 of what was sent.
pub(crate) async fn digested<T: JsonBody>(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<(T::Command, TokenDigest), Rejection> {
    let is_json = media_type(request).is_some_and(|media| media == "application/json");
    let bytes = bytes(request, payload, limit).await?;
    let body = match T::empty() {
        Some(empty) if bytes.is_empty() || (is_json && bytes.trim_ascii() == b"null") => empty,
        _ if !is_json => return Err(Fault::MediaType { expected: "application/json" }.into()),
        _ => json(&bytes)?,
    };
    Ok((body.parse()?, TokenDigest::from_bytes(Sha256::digest(&bytes).into())))
}

/// Reads the whole body, refusing it as soon as it is known to be too large.
pub(crate) async fn bytes(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<Bytes, Fault> {
    let too_large = || Fault::TooLarge { limit };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next(payload).await {
        let chunk = chunk.map_err(|_| Fault::Malformed("The body ended early.".into()))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

async fn next(payload: &mut Payload) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|cx| Pin::new(&mut *payload).poll_next(cx)).await
}

/// The media type of the body: type and subtype in lower case, without parameters.
pub(crate) fn media_type(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

/// Reads a JSON object. Wrong syntax is malformed; right syntax with a member of the wrong type names
/// it. (By itself serde would also read a struct from an array of its members.)
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let malformed = || Fault::Malformed("The body is not JSON.".into());
    if !body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<IgnoredAny>(body).map_err(|_| malformed())?;
        return Err(Fault::WrongType { member: "body".to_owned(), message: "is no object".to_owned() });
    }
    json_value(body)
}

/// Reads JSON that may be no object, as [`json`] does.
pub(crate) fn json_value<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let malformed = || Fault::Malformed("The body is not JSON.".into());
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        if error.inner().is_data() {
            let member = error.path().to_string();
            // The library's message would quote the value.
            Fault::WrongType { member, message: "is missing or of the wrong type".to_owned() }
        } else {
            malformed()
        }
    })?;
    deserializer.end().map_err(|_| malformed())?;
    Ok(value)
}

/// The most fields that a form of ours is sent with.
const MAX_FIELDS: usize = 32;

/// Reads a form, strictly: bytes that are not UTF-8 are refused instead of being replaced, and so is
/// a field that came twice.
pub(crate) fn form(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let malformed = |message: &'static str| Fault::Malformed(message.into());
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
        let [name, value] = [name, value].map(form_decoded);
        let not_utf8 = || malformed("The form is not UTF-8.");
        let (name, value) = name.zip(value).ok_or_else(not_utf8)?;
        if fields.len() == MAX_FIELDS {
            return Err(malformed("The form has too many fields."));
        }
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(malformed("A field of the form came more than once."));
        }
        fields.push((name, value));
    }
    Ok(fields)
}

fn form_decoded(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).decode_utf8().map(Cow::into_owned).ok()
}

/// Collects what is wrong with the fields of a request, so that a caller learns all of it at once.
#[derive(Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    fn error(&mut self, field: &'static str, code: &'static str, message: impl fmt::Display) {
        self.0.push(FieldError { field, code, message: message.to_string() });
    }

    /// A field that must be there and be a `T`.
    pub(crate) fn required<T>(&mut self, field: &'static str, value: Option<&str>) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        if value.is_none() {
            self.error(field, "required", "is required");
        }
        self.optional(field, value)
    }

    /// A field that, if it is there, must be a `T`.
    pub(crate) fn optional<T>(&mut self, field: &'static str, value: Option<&str>) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        value?.parse().map_err(|error| self.error(field, "invalid", error)).ok()
    }

    /// A secret that must be there.
    pub(crate) fn secret(&mut self, field: &'static str, value: Option<String>) -> Option<Secret<String>> {
        if value.is_none() {
            self.error(field, "required", "is required");
        }
        value.map(Secret::new)
    }

    /// A password that must be there, to be checked against a stored one.
    pub(crate) fn password(&mut self, field: &'static str, value: Option<String>) -> Option<Password> {
        let text = self.secret(field, value)?;
        Password::attempt(text.expose()).map_err(|error| self.refuse(field, error)).ok()
    }

    /// Says that a field is wrong.
    pub(crate) fn refuse(&mut self, field: &'static str, message: impl fmt::Display) {
        self.error(field, "invalid", message);
    }

    /// The required values, or all errors there were.
    pub(crate) fn finish<T: Required>(self, values: T) -> Result<T::Present, Error> {
        match values.present() {
            Some(present) if self.0.is_empty() => Ok(present),
            _ => Err(Error::invalid(self.0)),
        }
    }
}

/// Values that must all be there; one that is not has left its error with [`Fields`].
pub(crate) trait Required {
    /// The values themselves.
    type Present;

    fn present(self) -> Option<Self::Present>;
}

impl<A> Required for Option<A> {
    type Present = A;

    fn present(self) -> Option<A> {
        self
    }
}

impl<A, B> Required for (Option<A>, Option<B>) {
    type Present = (A, B);

    fn present(self) -> Option<(A, B)> {
        self.0.zip(self.1)
    }
}

impl<A, B, C> Required for (Option<A>, Option<B>, Option<C>) {
    type Present = (A, B, C);

    fn present(self) -> Option<(A, B, C)> {
        Some((self.0?, self.1?, self.2?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it_and_no_other_way() {
        let read = form(b"a=1+2%2B&b=%C3%A4%0D%0Ax&&c&d==").unwrap();
        let expected = [("a", "1 2+"), ("b", "\u{e4}\r\nx"), ("c", ""), ("d", "=")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for bad in [&b"a=%ff"[..], b"a=\xff", b"%c3=1", b"a=1&a=1", b"a=1&%61=2"] {
            assert!(matches!(form(bad), Err(Fault::Malformed(_))), "{bad:?}");
        }
        let many: Vec<_> = (0..=MAX_FIELDS).map(|number| number.to_string()).collect();
        assert!(form(many[1..].join("&").as_bytes()).is_ok());
        assert!(matches!(form(many.join("&").as_bytes()), Err(Fault::Malformed(_))));
    }

    proptest! {
        #[test]
        fn a_form_is_read_back(fields in prop::collection::btree_map(any::<String>(), any::<String>(), 0..8)) {
            let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            let read: std::collections::BTreeMap<_, _> = form(written.as_bytes()).unwrap().into_iter().collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn no_body_panics(bytes: Vec<u8>, near in "[a-c%0-9A-F=&+]{0,40}", text in r#"[\[\]{}":,a0. -]{0,40}"#) {
            for body in [&bytes[..], near.as_bytes(), text.as_bytes()] {
                let _ = form(body);
                let _ = json::<std::collections::BTreeMap<String, Option<String>>>(body);
            }
        }
    }
}
