//! Tokens in forms: an HMAC (RFC 2104) of a secret that the browser holds as a cookie. Another site
//! can make a browser send the cookie, but cannot read it, and so cannot write the token.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::Secret;

use crate::master_key::Purpose;
use crate::root_key::RootKey;

/// Makes tokens for forms, and recognizes them.
pub struct FormKey(hmac::Key);

impl FormKey {
    /// The key under `root`.
    pub fn new(root: &RootKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, root.derive(Purpose::Forms).expose()))
    }

    /// The token for forms that are shown to the holder of `cookie`.
    pub fn token(&self, cookie: &Secret<String>) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, cookie.expose().as_bytes()))
    }

    /// Whether `token` is the one for the holder of `cookie`, in constant time.
    pub fn recognizes(&self, cookie: &Secret<String>, token: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|mac| hmac::verify(&self.0, cookie.expose().as_bytes(), &mac).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn a_token_is_good_with_its_own_cookie_on_its_own_server() {
        let key = FormKey::new(&RootKey::generate(&SystemEnv));
        let [mine, other] = ["mine", "other"].map(|text| Secret::new(text.to_owned()));
        let token = key.token(&mine);
        assert!(key.recognizes(&mine, &token));
        assert!(!key.recognizes(&other, &token));
        for wrong in ["", "x", "=", &token[1..], &token.to_lowercase()] {
            assert!(!key.recognizes(&mine, wrong), "{wrong}");
        }
        let another_server = FormKey::new(&RootKey::generate(&SystemEnv));
        assert!(!another_server.recognizes(&mine, &token));
    }
}
