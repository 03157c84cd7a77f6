//! The master key, which opens a deployment's root key and nothing else.

use std::fmt;

use aws_lc_rs::hkdf;
use keystead_domain::{Env, Secret};

use crate::root_key::RootKey;
use crate::sealing::{DoesNotOpen, Sealed, Sealer};

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
    /// HMACs of audit events and of their seals.
    Audit,
    /// HMACs that say which user an address without one is treated like.
    Alike,
    /// Encrypting the root key under the master key.
    RootKey,
    /// The key id; not a key.
    KeyId,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Sealing => b"keystead sealing v1",
            Self::Codes => b"keystead codes v1",
            Self::Forms => b"keystead forms v1",
            Self::Audit => b"keystead audit v1",
            Self::Alike => b"keystead alike v1",
            Self::RootKey => b"keystead root key v1",
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
        key_id(&self.0)
    }

    /// The root key of a database that was made when keys were derived from the master key itself:
    /// with it, what is sealed there opens, and its codes are recognized.
    pub fn as_root_key(&self) -> RootKey {
        RootKey::from_bytes(self.0.clone())
    }

    /// Seals the root key, to be stored in the database beside the mark of where the audit trail ends.
    pub fn seal_root_key(&self, root: &RootKey, env: &dyn Env) -> Sealed {
        self.root_key_sealer().seal(ROOT_KEY_PLACE, root.as_bytes(), env)
    }

    /// Opens the root key that [`seal_root_key`](Self::seal_root_key) sealed.
    pub fn open_root_key(&self, sealed: &Sealed) -> Result<RootKey, DoesNotOpen> {
        self.open_root_key_in(ROOT_KEY_PLACE, sealed)
    }

    /// Opens a root key that was sealed before there was such a mark: only to such a database may one
    /// be added.
    pub fn open_unmarked_root_key(&self, sealed: &Sealed) -> Result<RootKey, DoesNotOpen> {
        self.open_root_key_in(UNMARKED_ROOT_KEY_PLACE, sealed)
    }

    fn open_root_key_in(&self, place: &str, sealed: &Sealed) -> Result<RootKey, DoesNotOpen> {
        let opened = self.root_key_sealer().open(place, sealed)?;
        let bytes = <[u8; 32]>::try_from(opened.expose().as_slice()).map_err(|_| DoesNotOpen)?;
        Ok(RootKey::from_bytes(Secret::new(bytes)))
    }

    fn root_key_sealer(&self) -> Sealer {
        Sealer::with_key(&derive(&self.0, Purpose::RootKey), self.id())
    }
}

/// Where the root key is sealed for.
const ROOT_KEY_PLACE: &str = "deployment/root_key beside deployment/audit_end";
/// Where it was sealed for before the audit trail had a mark of its end.
const UNMARKED_ROOT_KEY_PLACE: &str = "deployment/root_key";

/// Names a key by a value derived from it.
pub(crate) fn key_id(key: &Secret<[u8; 32]>) -> MasterKeyId {
    MasterKeyId(hex(&derive(key, Purpose::KeyId).expose()[..8]))
}

/// Derives a key for one purpose (HKDF, RFC 5869).
pub(crate) fn derive(from: &Secret<[u8; 32]>, purpose: Purpose) -> Secret<[u8; 32]> {
    let mut key = [0; 32];
    let info = [purpose.info()];
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keystead")
        .extract(from.expose())
        .expand(&info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key));
    if filled.is_err() {
        // Expanding fails only for more than 255 hash lengths, and this asks for one. Going on
        // with a key of zeros would be worse than ending.
        std::process::abort();
    }
    Secret::new(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_env::Counting;
    use proptest::prelude::*;

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
        let key = Secret::new([7; 32]);
        let purposes = [
            Purpose::Sealing,
            Purpose::Codes,
            Purpose::Forms,
            Purpose::Audit,
            Purpose::RootKey,
            Purpose::KeyId,
        ];
        let keys = purposes.map(|purpose| *derive(&key, purpose).expose());
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| one != other) && *one != [0; 32]);
        }
    }

    #[test]
    fn a_root_key_opens_with_the_master_key_that_sealed_it() {
        let env = Counting::default();
        let (one, other) = (MasterKey::generate(&env), MasterKey::generate(&env));
        let root = RootKey::generate(&env);
        let sealed = one.seal_root_key(&root, &env);
        assert_eq!(one.open_root_key(&sealed).unwrap().as_bytes(), root.as_bytes());
        assert!(other.open_root_key(&sealed).is_err());
        let again = other.seal_root_key(&one.open_root_key(&sealed).unwrap(), &env);
        assert_eq!(other.open_root_key(&again).unwrap().as_bytes(), root.as_bytes());
        let unmarked = one.root_key_sealer().seal(UNMARKED_ROOT_KEY_PLACE, root.as_bytes(), &env);
        assert_eq!(one.open_unmarked_root_key(&unmarked).unwrap().as_bytes(), root.as_bytes());
        assert!(one.open_root_key(&unmarked).is_err() && one.open_unmarked_root_key(&sealed).is_err());
        // What the root key seals is no root key.
        let moved = Sealer::new(&one.as_root_key()).seal(ROOT_KEY_PLACE, root.as_bytes(), &env);
        assert!(one.open_root_key(&moved).is_err());
    }

    #[test]
    fn derived_keys_are_those_of_the_first_version() {
        // Computed with HKDF-SHA256, salt "keystead", info "keystead … v1", of 32 bytes 0x07: what
        // was sealed under them must open for ever.
        let root = MasterKey::parse(&"07".repeat(32)).unwrap().as_root_key();
        let derived = |purpose| hex(root.derive(purpose).expose());
        assert_eq!(
            derived(Purpose::Sealing),
            "0f263c86f15e905ba42793d0efe3f444b5b3c13e870ef7faf8bc0219244a0bb1"
        );
        assert_eq!(
            derived(Purpose::Codes),
            "035b285efa02a4e547ee9d57981d4fdda89b4449c2fd2641e66a57b9da7b25e6"
        );
        assert_eq!(root.id().as_str(), "6b37095181af66c5");
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_and_no_text_panics(key: [u8; 32], text: String, near in "[0-9a-gA-G é]{60,68}") {
            let key = MasterKey(Secret::new(key));
            let written = format!(" {}\n", key.to_text().expose());
            let read = MasterKey::parse(&written).unwrap();
            prop_assert_eq!(read.0.expose(), key.0.expose());
            let _ = (MasterKey::parse(&text), MasterKey::parse(&near));
        }
    }
}
