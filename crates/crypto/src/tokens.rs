//! Minting high-entropy secrets: a prefix that tells people and scanners what they look at, and
//! base62 characters.

use keystead_domain::api_key::{Brand, Environment, KeyPrefix, KeyText};
use keystead_domain::{Env, Secret, TokenDigest};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a secret after its prefix: 32 of base62 hold 190 bits.
pub const SECRET_LEN: usize = 32;
/// Characters of a client id, which is public and must only be unique: 142 bits.
const CLIENT_ID_LEN: usize = 24;

/// A new secret and what to store of it. It exists once in clear: show it, then let it go.
pub fn mint(prefix: &str, env: &dyn Env) -> (Secret<String>, TokenDigest) {
    let secret = Secret::new(format!("{prefix}{}", base62(SECRET_LEN, env)));
    let digest = TokenDigest::of(secret.expose());
    (secret, digest)
}

/// The text of a new client id.
pub fn mint_client_id(prefix: &str, env: &dyn Env) -> String {
    format!("{prefix}{}", base62(CLIENT_ID_LEN, env))
}

/// A new API key and what to store of it. It exists once in clear.
pub fn mint_api_key(brand: &Brand, environment: Environment, env: &dyn Env) -> (KeyText, TokenDigest) {
    let mut prefix = [0; 6];
    env.fill(&mut prefix);
    let random = Secret::new(base62(KeyText::RANDOM_LEN, env));
    let key = KeyText::compose(brand, environment, KeyPrefix::new(prefix), &random);
    let digest = TokenDigest::of(key.expose());
    (key, digest)
}

/// `len` characters of base62, each equally likely.
fn base62(len: usize, env: &dyn Env) -> String {
    let mut text = String::with_capacity(len);
    let mut random = [0; 64];
    while text.len() < len {
        env.fill(&mut random);
        // 248 is the largest multiple of 62 in a byte: a remainder of more would favour the
        // first characters.
        let unbiased = random.iter().filter(|&&byte| byte < 248);
        let wanted = len - text.len();
        text.extend(unbiased.take(wanted).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn a_secret_has_its_prefix_and_at_least_154_bits() {
        let (secret, digest) = mint("sess_", &SystemEnv);
        let random = secret.expose().strip_prefix("sess_").unwrap();
        assert!(random.len() as f64 * 62f64.log2() >= 154.0);
        assert!(random.bytes().all(|b| BASE62.contains(&b)));
        assert!(digest.matches(&TokenDigest::of(secret.expose())));
    }

    #[test]
    fn every_character_comes_equally_often() {
        let text = base62(62_000, &SystemEnv);
        for &c in BASE62 {
            let count = text.bytes().filter(|&b| b == c).count();
            assert!((800..1200).contains(&count), "{} came {count} times of about 1000", char::from(c));
        }
    }
}
