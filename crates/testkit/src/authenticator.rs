//! An authenticator app.

#![expect(clippy::panic, reason = "a test that was given no secret fails")]

use data_encoding::BASE32_NOPAD;
use keystead_crypto::totp::TotpSecret;
use keystead_domain::second_factor::TotpStep;

/// The code that an app shows for this secret in this step.
pub fn totp_code(secret: &str, step: TotpStep) -> String {
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap_or_else(|error| panic!("{secret}: {error}"));
    let secret = TotpSecret::from_bytes(&bytes).unwrap_or_else(|error| panic!("{error}"));
    secret.code(step).expose().clone()
}
