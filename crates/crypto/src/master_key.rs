//! The master key, from which every other key of a deployment is derived (HKDF, RFC 5869).

use std::fmt;

use keystead_domain::{Env, Secret};
use ring::hkdf;

/// 32 bytes from the operator's key file or environment. Whoever has it and the database can
/// read sealed rows; whoever has only one of them cannot.
pub struct MasterKey(Secret<[u8; 32]>);

/// What a derived key is for. A key serves one purpose only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Encrypting what rests in the database.
    Sealing,
    /// HMACs of mailed codes.
    Codes,
    /// HMACs that bind a form to the browser that it was shown in.
    Forms,
    /// The key id; not a key.
    KeyId,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Sealing => b"keystead sealing v1",
            Self::Codes => b"keystead codes v1",
            Self::Forms => b"keystead forms v1",
            Self::KeyId => b"keystead key id v1",
        }
    }
}

/// Names a master key without telling anything about it: 16 hexadecimal characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasterKeyId(String);

impl MasterKeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 64 hexadecimal characters")]
pub struct InvalidMasterKey;

impl MasterKey {
    /// A new key.
    pub fn generate(env: &dyn Env) -> Self {
        let mut key = [0; 32];
        env.fill(&mut key);
        Self(Secret::new(key))
    }

    /// Reads 64 hexadecimal characters; white space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, InvalidMasterKey> {
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return Err(InvalidMasterKey);
        }
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidMasterKey)?;
            if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(InvalidMasterKey);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidMasterKey)?;
        }
        Ok(Self(Secret::new(key)))
    }

    /// The text that [`parse`](Self::parse) reads.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(hex(self.0.expose()))
    }

    /// The key's name, to be stored beside what it sealed.
    pub fn id(&self) -> MasterKeyId {
        MasterKeyId(hex(&self.derive(Purpose::KeyId).expose()[..8]))
    }

    pub(crate) fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        let mut key = [0; 32];
        let info = [purpose.info()];
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keystead")
            .extract(self.0.expose())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key));
        if filled.is_err() {
            // Expanding fails only for more than 255 hash lengths, and this asks for one. Going on
            // with a key of zeros would be worse than ending.
            std::process::abort();
        }
        Secret::new(key)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_env::Counting;

    #[test]
    fn a_key_is_read_back_as_written() {
        let key = MasterKey::generate(&Counting::default());
        let again = MasterKey::parse(&format!(" {}\n", key.to_text().expose())).unwrap();
        assert_eq!(key.id(), again.id());
        assert_eq!(key.id().as_str().len(), 16);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"0".repeat(65), &"é".repeat(32)] {
            assert!(MasterKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn purposes_have_different_keys() {
        let key = MasterKey::generate(&Counting::default());
        let purposes = [Purpose::Sealing, Purpose::Codes, Purpose::Forms, Purpose::KeyId];
        let keys = purposes.map(|purpose| *key.derive(purpose).expose());
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| one != other) && *one != [0; 32]);
        }
    }
}
