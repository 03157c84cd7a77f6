//! The root key, from which every key that a deployment works with is derived.
//!
//! It rests in the database, sealed under the master key, and never changes: another master key
//! only has to seal it anew. What was sealed under a derived key still opens then, and what is kept
//! as an HMAC (codes) is still recognized.

use keystead_domain::{Env, Secret};

use crate::master_key::{MasterKeyId, Purpose, derive, key_id};

/// 32 bytes that only Keystead itself ever holds in clear.
pub struct RootKey(Secret<[u8; 32]>);

impl RootKey {
    /// A new key.
    pub fn generate(env: &dyn Env) -> Self {
        let mut key = [0; 32];
        env.fill(&mut key);
        Self(Secret::new(key))
    }

    pub(crate) const fn from_bytes(key: Secret<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key's name, to be stored beside what it sealed. That of
    /// [a former master key](crate::master_key::MasterKey::as_root_key) is the same as before.
    pub fn id(&self) -> MasterKeyId {
        key_id(&self.0)
    }

    pub(crate) fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        derive(&self.0, purpose)
    }
}
