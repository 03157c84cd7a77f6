//! Checking who signed a report of leaked keys: GitHub's secret-scanning partner programme signs the body with
//! ECDSA on P-256 and SHA-256, in ASN.1 DER, base64.

use std::str::FromStr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A public key that reports are signed with, and the identifier that the reports name it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReporterKey {
    identifier: String,
    /// The uncompressed point.
    point: Vec<u8>,
}

/// A text that is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier, `:`, and a P-256 public key as the base64 lines of its PEM form")]
pub struct InvalidReporterKey;

/// What a SubjectPublicKeyInfo of an uncompressed point on P-256 begins with (RFC 5480 §2).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const POINT_LEN: usize = 65;

/// `IDENTIFIER:BASE64`, the base64 of the SubjectPublicKeyInfo: the lines of a PEM file without the first and the
/// last, put together.
impl FromStr for ReporterKey {
    type Err = InvalidReporterKey;

    fn from_str(text: &str) -> Result<Self, InvalidReporterKey> {
        let (identifier, key) = text.split_once(':').ok_or(InvalidReporterKey)?;
        let named = (1..=128).contains(&identifier.len()) && identifier.bytes().all(|b| b.is_ascii_graphic());
        let der = STANDARD.decode(key).map_err(|_| InvalidReporterKey)?;
        let point = der.strip_prefix(&SPKI).ok_or(InvalidReporterKey)?;
        if !named || point.len() != POINT_LEN || point.first() != Some(&4) {
            return Err(InvalidReporterKey);
        }
        Ok(Self { identifier: identifier.to_owned(), point: point.to_vec() })
    }
}

impl std::fmt::Display for ReporterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.identifier, STANDARD.encode([&SPKI[..], &self.point].concat()))
    }
}

/// Whether one of these keys signed `body`: that which the report names.
pub fn is_signed(keys: &[ReporterKey], identifier: &str, signature: &str, body: &[u8]) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    keys.iter().any(|key| {
        key.identifier == identifier
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.point).verify(body, &signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of GitHub's documentation of its partner programme: a key, a body, and its signature.
    const IDENTIFIER: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\
                       AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==";
    const SIGNATURE: &str =
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";
    const BODY: &str = r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;

    #[test]
    fn githubs_own_example_is_signed() {
        let keys = [format!("{IDENTIFIER}:{KEY}").parse::<ReporterKey>().unwrap()];
        assert!(is_signed(&keys, IDENTIFIER, SIGNATURE, BODY.as_bytes()));
        assert!(!is_signed(&keys, IDENTIFIER, SIGNATURE, &BODY.as_bytes()[1..]), "another body");
        assert!(!is_signed(&keys, "other", SIGNATURE, BODY.as_bytes()), "another key");
        assert!(!is_signed(&keys, IDENTIFIER, "", BODY.as_bytes()));
        assert!(!is_signed(&[], IDENTIFIER, SIGNATURE, BODY.as_bytes()));
        assert_eq!(keys[0].to_string().parse(), Ok(keys[0].clone()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", signature in "\\PC{0,100}") {
            let _ = text.parse::<ReporterKey>();
            let _ = is_signed(&[], &text, &signature, b"");
        }
    }
}
