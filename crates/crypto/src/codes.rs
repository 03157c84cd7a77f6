//! Codes that people type: six digits from a mail, recovery codes from a drawer. They are kept only
//! as an HMAC (RFC 2104) under a key of the server.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use keystead_domain::id::UserId;
use keystead_domain::registration::{CodeMac, TypedCode};
use keystead_domain::second_factor::{RECOVERY_CODES, RecoveryCode};
use keystead_domain::{Env, Secret};

use crate::master_key::Purpose;
use crate::root_key::RootKey;

/// Mints codes, and recognizes them.
pub struct CodeKey(hmac::Key);

/// What a code is for. A code of one purpose is none of another.
#[derive(Clone, Copy, Debug)]
pub enum CodePurpose {
    /// Confirming a sign-up.
    SignUp,
    /// Setting a new password.
    PasswordReset,
    /// Proving a user's address.
    ProveAddress,
}

impl CodePurpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SignUp => b"sign-up",
            Self::PasswordReset => b"password-reset",
            Self::ProveAddress => b"prove-address",
        }
    }
}

impl CodeKey {
    /// The key under `root`.
    pub fn new(root: &RootKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, root.derive(Purpose::Codes).expose()))
    }

    /// A new mailed code for `user`, and what to store of it.
    pub fn mint(&self, purpose: CodePurpose, user: UserId, env: &dyn Env) -> (Secret<String>, CodeMac) {
        let code = six_digits(env);
        let mac = self.mac(purpose.label(), user, &code);
        (Secret::new(code.map(char::from).iter().collect()), mac)
    }

    /// What would be stored of the code that somebody typed.
    pub fn typed(&self, purpose: CodePurpose, user: UserId, code: &TypedCode) -> CodeMac {
        self.mac(purpose.label(), user, code.digits())
    }

    /// A user's new recovery codes, and what to store of them.
    pub fn mint_recovery(&self, user: UserId, env: &dyn Env) -> Vec<(RecoveryCode, CodeMac)> {
        std::iter::repeat_with(|| {
            let mut random = [0; 10];
            env.fill(&mut random);
            let code = RecoveryCode::parse(&BASE32_NOPAD.encode(&random))?;
            let mac = self.recovery(user, &code);
            Some((code, mac))
        })
        .take(RECOVERY_CODES)
        .flatten()
        .collect()
    }

    /// What would be stored of a recovery code of `user`.
    pub fn recovery(&self, user: UserId, code: &RecoveryCode) -> CodeMac {
        self.mac(b"recovery", user, code.as_bytes())
    }

    fn mac(&self, purpose: &[u8], user: UserId, code: &[u8]) -> CodeMac {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(purpose);
        context.update(b"\0");
        context.update(user.to_string().as_bytes());
        context.update(b"\0");
        context.update(code);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        CodeMac::from_bytes(mac)
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
        let key = CodeKey::new(&RootKey::generate(&env));
        let (one, other) = (UserId::mint(env.now(), &env), UserId::mint(env.now(), &env));
        let (code, mac) = key.mint(CodePurpose::SignUp, one, &env);
        let typed = TypedCode::parse(code.expose()).unwrap();
        assert!(mac.matches(&key.typed(CodePurpose::SignUp, one, &typed)));
        assert!(!mac.matches(&key.typed(CodePurpose::SignUp, other, &typed)));
        assert!(!mac.matches(&key.typed(CodePurpose::PasswordReset, one, &typed)));
        let another_server = CodeKey::new(&RootKey::generate(&env));
        assert!(!mac.matches(&another_server.typed(CodePurpose::SignUp, one, &typed)));
    }

    #[test]
    fn recovery_codes_are_ten_different_ones() {
        let env = SystemEnv;
        let key = CodeKey::new(&RootKey::generate(&env));
        let user = UserId::mint(env.now(), &env);
        let codes = key.mint_recovery(user, &env);
        assert_eq!(codes.len(), RECOVERY_CODES);
        for (at, (code, mac)) in codes.iter().enumerate() {
            assert!(mac.matches(&key.recovery(user, code)));
            assert!(codes[..at].iter().all(|(earlier, _)| earlier != code));
        }
    }
}
