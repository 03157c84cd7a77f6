//! Mailed codes: six digits, kept only as an HMAC (RFC 2104) under a key of the server.

use keystead_domain::id::UserId;
use keystead_domain::registration::{CodeMac, TypedCode};
use keystead_domain::{Env, Secret};
use ring::hmac;

use crate::master_key::{MasterKey, Purpose};

/// Mints codes, and recognizes them.
pub struct CodeKey(hmac::Key);

impl CodeKey {
    /// The key under `master`.
    pub fn new(master: &MasterKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, master.derive(Purpose::Codes).expose()))
    }

    /// A new code for the sign-up of `user`, and what to store of it.
    pub fn mint_sign_up(&self, user: UserId, env: &dyn Env) -> (Secret<String>, CodeMac) {
        let code = six_digits(env);
        let mac = self.sign_up(user, &code);
        (Secret::new(code.map(char::from).iter().collect()), mac)
    }

    /// What would be stored of `code`, had it been minted for the sign-up of `user`.
    pub fn sign_up(&self, user: UserId, code: &[u8; 6]) -> CodeMac {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"sign-up\0");
        context.update(user.to_string().as_bytes());
        context.update(b"\0");
        context.update(code);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        CodeMac::from_bytes(mac)
    }

    /// What would be stored of a code that somebody typed.
    pub fn typed_sign_up(&self, user: UserId, code: &TypedCode) -> CodeMac {
        self.sign_up(user, code.digits())
    }
}

/// Six ASCII digits, each code equally likely.
fn six_digits(env: &dyn Env) -> [u8; 6] {
    /// The largest multiple of a million in 32 bits: more would favour small codes.
    const UNBIASED: u32 = u32::MAX - u32::MAX % 1_000_000;
    loop {
        let mut random = [0; 4];
        env.fill(&mut random);
        let number = u32::from_le_bytes(random);
        if number < UNBIASED {
            let mut rest = number % 1_000_000;
            let mut digits = [0; 6];
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            return digits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn a_code_is_recognized_for_its_own_registration_only() {
        let env = SystemEnv;
        let key = CodeKey::new(&MasterKey::generate(&env));
        let (one, other) = (UserId::mint(env.now(), &env), UserId::mint(env.now(), &env));
        let (code, mac) = key.mint_sign_up(one, &env);
        let typed = TypedCode::parse(code.expose()).unwrap();
        assert!(mac.matches(&key.typed_sign_up(one, &typed)));
        assert!(!mac.matches(&key.typed_sign_up(other, &typed)));
        let another_server = CodeKey::new(&MasterKey::generate(&env));
        assert!(!mac.matches(&another_server.typed_sign_up(one, &typed)));
    }
}
