//! Sealing: encrypting what rests in the database, so that a stolen copy of it tells nothing.
//!
//! XChaCha20-Poly1305, whose 192-bit nonces can be drawn at random for as many rows as there
//! will ever be. The place that a value is stored in is authenticated with it, so that a sealed
//! value cannot be moved to another row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use keystead_domain::{Env, Secret};

use crate::master_key::{MasterKeyId, Purpose};
use crate::root_key::RootKey;

/// Seals and opens under one key.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: MasterKeyId,
}

/// A sealed value: a version byte, the nonce, and the ciphertext with its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// A value read back from where it was stored.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A value read back from a column of text; what is no such text opens nowhere.
    pub fn from_text(text: &str) -> Self {
        Self(URL_SAFE_NO_PAD.decode(text).unwrap_or_default())
    }

    /// The value for a column of text: base64url (RFC 4648 §5).
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

/// A sealed value that this key did not seal for this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: it was altered, moved, or sealed under another key")]
pub struct DoesNotOpen;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

impl Sealer {
    /// The sealer under `root`.
    pub fn new(root: &RootKey) -> Self {
        Self::with_key(&root.derive(Purpose::Sealing), root.id())
    }

    pub(crate) fn with_key(key: &Secret<[u8; 32]>, key_id: MasterKeyId) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.expose().into()), key_id }
    }

    /// The id to store beside what is sealed.
    pub const fn key_id(&self) -> &MasterKeyId {
        &self.key_id
    }

    /// Seals `plain` for `place`, such as a table's name and a row's id.
    pub fn seal(&self, place: &str, plain: &[u8], env: &dyn Env) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        env.fill(&mut nonce);
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        // Fails only for plaintexts of more than 256 GiB.
        let text = self.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        Sealed([&[VERSION][..], &nonce, &text].concat())
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, DoesNotOpen> {
        let (nonce, text) = match sealed.0.split_first() {
            Some((&VERSION, rest)) => rest.split_at_checked(NONCE_LEN).ok_or(DoesNotOpen)?,
            _ => return Err(DoesNotOpen),
        };
        let nonce = <[u8; NONCE_LEN]>::try_from(nonce).map_err(|_| DoesNotOpen)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher.decrypt(&XNonce::from(nonce), payload).map(Secret::new).map_err(|_| DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;
    use proptest::prelude::*;

    fn sealer() -> Sealer {
        Sealer::new(&RootKey::from_bytes(Secret::new([7; 32])))
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_only(plain: Vec<u8>, place in "[a-z]{1,9}") {
            let sealed = sealer().seal(&place, &plain, &SystemEnv);
            let opened = sealer().open(&place, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain);
            prop_assert!(Sealed::from_text(&sealed.to_text()) == sealed);
            prop_assert!(sealer().open("Elsewhere", &sealed).is_err());
        }

        #[test]
        fn nothing_altered_opens(plain: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
            let mut bytes = sealer().seal("here", &plain, &SystemEnv).as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(sealer().open("here", &Sealed::from_bytes(bytes)).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            prop_assert!(sealer().open("here", &Sealed::from_bytes(bytes)).is_err());
        }

        #[test]
        fn no_text_panics(text: String) {
            prop_assert!(sealer().open("here", &Sealed::from_text(&text)).is_err());
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let other = Sealer::new(&RootKey::from_bytes(Secret::new([8; 32])));
        let sealed = sealer().seal("here", b"x", &SystemEnv);
        assert!(other.open("here", &sealed).is_err());
    }
}
