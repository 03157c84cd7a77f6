//! JWT access tokens: signed and verified in JWS compact form (RFC 7515 §3.1, RFC 9068).
//!
//! The header is ours to choose, so it is never trusted to choose the algorithm (RFC 8725 §3.1):
//! a token counts only with `alg: EdDSA`, `typ: at+jwt` and a `kid` that names one of our keys.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::Secret;
use keystead_domain::oauth::{AccessTokenClaims, InvalidToken};
use serde::{Deserialize, Serialize};

use crate::signing::SigningKey;

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 8 * 1024;

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
    /// Extensions that must be understood (RFC 7515 §4.1.11); we know none, and say so.
    #[serde(skip_serializing, default)]
    crit: Option<serde::de::IgnoredAny>,
}

/// Signs an access token.
pub fn sign(claims: &AccessTokenClaims, key: &SigningKey) -> Secret<String> {
    let header = Header { alg: "EdDSA", typ: "at+jwt", kid: key.kid(), crit: None };
    let mut token = segment(&header);
    token.push('.');
    token.push_str(&segment(claims));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Secret::new(token)
}

/// The claims of an access token that one of our keys signed: `find` knows them by their `kid`, and
/// is asked only for a token that looks like ours. What the claims allow is the domain's to decide.
pub fn verify<K: Deref<Target = SigningKey>>(
    token: &str,
    find: impl FnOnce(&str) -> Option<K>,
) -> Result<AccessTokenClaims, InvalidToken> {
    if token.len() > MAX_BYTES {
        return Err(InvalidToken);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(InvalidToken)?;
    let (header, payload) = message.split_once('.').ok_or(InvalidToken)?;

    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| InvalidToken)?;
    if header.alg != "EdDSA" || header.typ != "at+jwt" || header.crit.is_some() {
        return Err(InvalidToken);
    }
    let key = find(header.kid).ok_or(InvalidToken)?;
    if !key.made(message.as_bytes(), &decode(signature)?) {
        return Err(InvalidToken);
    }
    serde_json::from_slice(&decode(payload)?).map_err(|_| InvalidToken)
}

fn segment(value: &impl Serialize) -> String {
    // Plain structs of strings and numbers always serialize.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode(segment: &str) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| InvalidToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;
    use proptest::prelude::*;

    fn key(fill: u8) -> SigningKey {
        SigningKey::from_seed(&[fill; 32]).unwrap()
    }

    /// Finds a key among these.
    fn among<'k>(keys: &[&'k SigningKey]) -> impl FnOnce(&str) -> Option<&'k SigningKey> {
        move |kid| keys.iter().copied().find(|key| key.kid() == kid)
    }

    fn claims() -> AccessTokenClaims {
        AccessTokenClaims {
            iss: "https://id.example".into(),
            sub: "ksc_1".into(),
            aud: "https://id.example".into(),
            exp: 200,
            iat: 100,
            jti: "1".into(),
            client_id: "ksc_1".into(),
            scope: "api".into(),
            tenant_id: Some("ten_1".into()),
        }
    }

    fn with_header(header: &str, key: &SigningKey) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), segment(&claims()));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    #[test]
    fn a_signed_token_is_read_back_with_its_key_among_others() {
        let (one, two) = (key(1), key(2));
        let token = sign(&claims(), &two);
        assert_eq!(verify(token.expose(), among(&[&one, &two])), Ok(claims()));
        assert!(verify(token.expose(), among(&[&one])).is_err(), "a key that is not ours");
    }

    #[test]
    fn the_header_cannot_talk_us_into_anything() {
        let key = key(1);
        let kid = key.kid();
        let good = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
        assert!(verify(&with_header(&good, &key), among(&[&key])).is_ok());
        for bad in [
            format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
            format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","crit":["b64"],"b64":false}}"#),
            "not json".to_owned(),
        ] {
            assert!(verify(&with_header(&bad, &key), among(&[&key])).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_altered_token_is_refused_wherever_it_was_altered() {
        let key = key(1);
        let token = sign(&claims(), &key);
        for at in 0..token.expose().len() {
            let mut bytes = token.expose().clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(verify(&altered, among(&[&key])).is_err(), "{altered}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-Za-z0-9_.-]{0,200}") {
            prop_assert!(verify(&text, among(&[&key(1)])).is_err());
        }
    }

    #[test]
    fn seeds_are_drawn() {
        let env = SystemEnv;
        assert_ne!(SigningKey::generate_seed(&env).expose(), SigningKey::generate_seed(&env).expose());
    }
}
