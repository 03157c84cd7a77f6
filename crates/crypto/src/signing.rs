//! Signing keys: Ed25519 (RFC 8032), published as JWKs (RFC 7517, RFC 8037).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::{Env, Secret};
use serde::Serialize;

/// A key pair that signs access tokens.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: String,
}

/// Bytes that are no private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key")]
pub struct InvalidSigningKey;

impl SigningKey {
    /// A new private key: 32 bytes to seal and store.
    pub fn generate_seed(env: &dyn Env) -> Secret<[u8; 32]> {
        let mut seed = [0; 32];
        env.fill(&mut seed);
        Secret::new(seed)
    }

    /// The pair of a private key.
    pub fn from_seed(seed: &[u8]) -> Result<Self, InvalidSigningKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidSigningKey)?;
        let kid = thumbprint(pair.public_key().as_ref());
        Ok(Self { pair, kid })
    }

    /// The key's name in `kid`: its thumbprint (RFC 7638, RFC 8037 §2).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, for the JWKS.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            r#use: "sig",
            kid: self.kid.clone(),
            x: URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref()),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        self.pair.sign(message)
    }

    /// Whether this key made the signature.
    ///
    /// A key gives a message one signature and no other (RFC 8032 §5.1.6), so whoever has the private
    /// key can make it again and compare the two in constant time, as one does with a MAC. That takes a
    /// quarter of what a check by the public key does: see `docs/decisions/0190-own-signatures.md`.
    pub(crate) fn made(&self, message: &[u8], signature: &[u8]) -> bool {
        verify_slices_are_equal(self.sign(message).as_ref(), signature).is_ok()
    }
}

/// A public key as the JWKS shows it.
#[derive(Serialize, Clone, Debug)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    r#use: &'static str,
    kid: String,
    x: String,
}

/// RFC 7638 §3: the SHA-256 of the required members in alphabetical order, without white space.
fn thumbprint(public: &[u8]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use proptest::prelude::*;

    #[test]
    fn the_key_of_rfc_8037_has_its_thumbprint() {
        // RFC 8037 appendices A.1 to A.3.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.jwk().x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    }

    #[test]
    fn a_message_has_the_one_signature_of_rfc_8032() {
        // RFC 8032 §7.1, TEST 2.
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.sign(&[0x72]).as_ref(), signature);
        assert!(key.made(&[0x72], &signature));
        assert!(!key.made(&[0x73], &signature));
        for truncated in [&signature[..63], &signature[..32], &[]] {
            assert!(!key.made(&[0x72], truncated));
        }
    }

    #[test]
    fn the_other_form_of_a_signature_is_not_ours() {
        // RFC 8032 §5.1.7 has a verifier refuse S + L, which fulfils the equation as S does.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let mut signature = key.sign(b"message").as_ref().to_vec();
        let mut carry = 0;
        for (byte, of_l) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(of_l) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!key.made(b"message", &signature));
    }

    proptest! {
        #[test]
        fn what_the_key_made_is_what_its_public_half_verifies(
            seed: [u8; 32],
            message: Vec<u8>,
            at in 0..64_usize,
            flip in 0..8_u8,
        ) {
            let key = SigningKey::from_seed(&seed).unwrap();
            let public = URL_SAFE_NO_PAD.decode(key.jwk().x).unwrap();
            let verified = |signature: &[u8]| {
                UnparsedPublicKey::new(&ED25519, &public).verify(&message, signature).is_ok()
            };
            let mut signature = key.sign(&message).as_ref().to_vec();
            prop_assert!(key.made(&message, &signature) && verified(&signature));
            signature[at] ^= 1 << flip;
            prop_assert!(!key.made(&message, &signature) && !verified(&signature));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(SigningKey::from_seed(b"short").is_err());
    }

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }
}
