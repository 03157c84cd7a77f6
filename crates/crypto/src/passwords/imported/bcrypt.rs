//! bcrypt: `$2b$12$`, 22 characters of salt, 31 of hash.
//!
//! It takes the first 72 bytes of a password and the zero byte after it, and so do we: a longer
//! password is recognized by its beginning until it is hashed anew, whole, at the first sign-in.

use super::Unusable;
use super::encoding::bcrypt_base64;

/// Twice the time for each: 14 is about a second.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
const MAX_PASSWORD: usize = 72;
const SALT_CHARS: usize = 22;

#[derive(Clone)]
pub(super) struct BcryptHash {
    cost: u32,
    salt: [u8; 16],
    output: [u8; 23],
}

impl BcryptHash {
    /// Reads what stands behind the version: `12$saltandhash`. `2a`, `2b` and `2y` mark which
    /// mistakes an implementation no longer makes; what they compute is the same.
    pub(super) fn parse(version: &str, rest: &str) -> Result<Self, Unusable> {
        let malformed = Unusable::Malformed("bcrypt");
        match version {
            "2a" | "2b" | "2y" => {}
            "2" | "2x" => {
                return Err(Unusable::Unsupported(
                    "a faulty version of bcrypt made it; $2a$, $2b$ and $2y$ can be",
                ));
            }
            _ => return Err(malformed),
        }
        let (cost, encoded) = rest.split_once('$').ok_or(malformed)?;
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed);
        }
        let cost = cost.parse().map_err(|_| malformed)?;
        if cost > *COSTS.end() {
            return Err(Unusable::TooCostly("a cost of 14"));
        }
        let (salt, output) = encoded.split_at_checked(SALT_CHARS).ok_or(malformed)?;
        let (salt, output) = bcrypt_base64(salt).zip(bcrypt_base64(output)).ok_or(malformed)?;
        if COSTS.contains(&cost) { Ok(Self { cost, salt, output }) } else { Err(malformed) }
    }

    pub(super) fn compute(&self, password: &[u8]) -> Vec<u8> {
        let mut key = zeroize::Zeroizing::new([0; MAX_PASSWORD]);
        let taken = password.len().min(MAX_PASSWORD);
        key[..taken].copy_from_slice(&password[..taken]);
        let with_zero = (taken + 1).min(MAX_PASSWORD);
        bcrypt::bcrypt(self.cost, self.salt, &key[..with_zero])[..self.output.len()].to_vec()
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_of_the_password, check, refused};
    use super::super::{Unusable, Verdict};

    /// By Python's bcrypt 5.0; the last by Django 5.2. What `$2y$` marks computes the same.
    #[test]
    fn hashes_of_other_implementations_are_checked() {
        are_of_the_password(&[
            "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.",
            "$2y$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.",
            "$2a$05$oNP0zGogKzI5FQR/kWuEf.KakIwYbGsu55Wq5Gae/q1tyg5TK3L.O",
            "bcrypt$$2b$04$/ISx./H1i2Mu3Fo40W7so.KWiK9XAxwBFjLXycAaRr/VQ/JDtGLK6",
        ]);
        // By jBCrypt.
        let right = Verdict::Right { rehash: true };
        assert_eq!(check("$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", ""), right);
        assert_eq!(
            check(
                "$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.",
                "abcdefghijklmnopqrstuvwxyz"
            ),
            right
        );
    }

    /// Of 72 times `x`, by Python's bcrypt 5.0.
    #[test]
    fn what_comes_after_72_bytes_makes_no_difference() {
        let hash = "$2b$04$N1u9gssq5oxTimnWHjqGcOBYxl4E2nGxhYEaJVVMm3iXC8mjypnoO";
        assert_eq!(check(hash, &"x".repeat(72)), Verdict::Right { rehash: true });
        assert_eq!(check(hash, &"x".repeat(80)), Verdict::Right { rehash: true });
        assert_eq!(check(hash, &"x".repeat(71)), Verdict::Wrong);
    }

    #[test]
    fn what_costs_too_much_or_is_not_whole_is_refused() {
        let body = "OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";
        for cost in ["15", "31", "99"] {
            assert!(matches!(refused(&format!("$2b${cost}${body}")), Unusable::TooCostly(_)), "{cost}");
        }
        for version in ["2", "2x"] {
            assert!(
                matches!(refused(&format!("${version}$04${body}")), Unusable::Unsupported(_)),
                "{version}"
            );
        }
        for text in [
            format!("$2b$4${body}"),
            format!("$2b$03${body}"),
            format!("$2b$+4${body}"),
            format!("$2b$04${}", &body[1..]),
            format!("$2b$04${body}."),
            format!("$2b$04${}", body.replace('/', "+")),
            "$2b$04$".to_owned(),
            "$2b$04".to_owned(),
            format!("bcrypt$2b$04${body}"),
            format!("bcrypt$$2c$04${body}"),
        ] {
            assert_eq!(refused(&text), Unusable::Malformed("bcrypt"), "{text}");
        }
    }
}
