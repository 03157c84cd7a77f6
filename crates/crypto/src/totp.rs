//! Secrets of authenticator apps, and the codes that they make (RFC 6238, over RFC 4226).

use data_encoding::BASE32_NOPAD;
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{DIGITS, STEP_SECONDS, TotpStep};
use keystead_domain::{Env, Secret, Timestamp};
use subtle::ConstantTimeEq as _;
use totp_lite::{Sha1, totp_custom};

/// A shared secret of 160 bits, as RFC 4226 §4 recommends. SHA-1 is what every app knows; its
/// broken collision resistance does not matter to HMAC.
pub struct TotpSecret(Secret<[u8; 20]>);

/// Bytes that are no such secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a TOTP secret")]
pub struct InvalidTotpSecret;

impl TotpSecret {
    /// A new secret.
    pub fn generate(env: &dyn Env) -> Self {
        let mut secret = [0; 20];
        env.fill(&mut secret);
        Self(Secret::new(secret))
    }

    /// A secret that was opened.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidTotpSecret> {
        bytes.try_into().map(|bytes| Self(Secret::new(bytes))).map_err(|_| InvalidTotpSecret)
    }

    /// The bytes to seal.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        self.0.expose()
    }

    /// As people type it into an app.
    pub fn to_base32(&self) -> Secret<String> {
        Secret::new(BASE32_NOPAD.encode(self.0.expose()))
    }

    /// The code of a step.
    pub fn code(&self, step: TotpStep) -> Secret<String> {
        let time = u64::try_from(step.number().saturating_mul(STEP_SECONDS)).unwrap_or(0);
        Secret::new(totp_custom::<Sha1>(STEP_SECONDS.unsigned_abs(), DIGITS, self.0.expose(), time))
    }

    /// The accepted step that `typed` is the code of. All are compared, each in constant time.
    pub fn matching_step(&self, typed: &TypedCode, now: Timestamp) -> Option<TotpStep> {
        let mut matching = None;
        for step in TotpStep::accepted(now) {
            if bool::from(self.code(step).expose().as_bytes().ct_eq(typed.digits())) {
                matching = Some(step);
            }
        }
        matching
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, cut to six digits: 8-digit codes of the same secret.
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(secret.code(TotpStep::from_number(seconds / STEP_SECONDS)).expose(), code);
            let typed = TypedCode::parse(code).unwrap();
            for drift in [-30, 0, 30] {
                let now = Timestamp::from_micros((seconds + drift) * 1_000_000);
                assert_eq!(secret.matching_step(&typed, now).map(TotpStep::number), Some(seconds / 30));
            }
            let late = Timestamp::from_micros((seconds + 90) * 1_000_000);
            assert_eq!(secret.matching_step(&typed, late), None);
        }
        assert_eq!(secret.to_base32().expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    proptest! {
        #[test]
        fn no_instant_and_no_secret_panic(bytes: Vec<u8>, secret: [u8; 20], micros: i64) {
            prop_assert_eq!(TotpSecret::from_bytes(&bytes).is_ok(), bytes.len() == 20);
            let secret = TotpSecret::from_bytes(&secret).unwrap();
            let now = Timestamp::from_micros(micros);
            let [_, present, _] = TotpStep::accepted(now);
            let typed = TypedCode::parse(secret.code(present).expose()).unwrap();
            prop_assert!(secret.matching_step(&typed, now).is_some());
        }
    }
}
