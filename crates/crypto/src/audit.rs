//! The key that vouches for the audit trail: HMAC-SHA256 (RFC 2104).

use aws_lc_rs::hmac;
use keystead_domain::audit::seal::{Mac, Vouch};

use crate::master_key::{MasterKeyId, Purpose};
use crate::root_key::RootKey;

/// Vouches for events and seals under one root key.
pub struct AuditKey {
    key: hmac::Key,
    key_id: MasterKeyId,
}

impl AuditKey {
    /// The key under `root`.
    pub fn new(root: &RootKey) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, root.derive(Purpose::Audit).expose());
        Self { key, key_id: root.id() }
    }
}

impl Vouch for AuditKey {
    fn vouch(&self, statement: &[u8; 32]) -> Mac {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.key, statement).as_ref());
        Mac::from_bytes(mac)
    }

    fn key_id(&self) -> &str {
        self.key_id.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn each_root_key_vouches_for_itself_only() {
        let [one, other] = [(); 2].map(|()| AuditKey::new(&RootKey::generate(&SystemEnv)));
        let mac = one.vouch(&[1; 32]);
        assert!(mac.matches(&one.vouch(&[1; 32])));
        assert!(!mac.matches(&one.vouch(&[2; 32])) && !mac.matches(&other.vouch(&[1; 32])));
        assert_ne!(one.key_id(), other.key_id());
    }
}
