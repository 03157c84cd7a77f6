//! PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-1, -SHA-256 and -SHA-512, as others write it:
//!
//! | who | form |
//! |---|---|
//! | PHC | `$pbkdf2-sha256$i=600000,l=32$salt$hash` |
//! | passlib | `$pbkdf2-sha256$29000$salt$hash`; with SHA-1 `$pbkdf2$…` |
//! | Django | `pbkdf2_sha256$600000$salt$hash`, the salt as text |
//! | Werkzeug | `pbkdf2:sha256:600000$salt$hash`, the salt as text, the hash in hexadecimal |

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, Algorithm};

use super::encoding::{base64, hex, number, parameters};
use super::{MAX_OUTPUT, MAX_SALT, MIN_OUTPUT, Unusable};

/// About a second; no system that we know of has more than 1.2 million.
const MAX_ITERATIONS: u32 = 2_000_000;

#[derive(Clone)]
pub(super) struct Pbkdf2Hash {
    algorithm: Algorithm,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

const MALFORMED: Unusable = Unusable::Malformed("PBKDF2");

impl Pbkdf2Hash {
    /// Reads what stands behind `$pbkdf2-sha256$`, as PHC or passlib have it.
    pub(super) fn parse_modular(kind: &str, rest: &str) -> Result<Self, Unusable> {
        let algorithm = match kind {
            "pbkdf2" => pbkdf2::PBKDF2_HMAC_SHA1,
            "pbkdf2-sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            "pbkdf2-sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(MALFORMED),
        };
        let [costs, salt, output] = parts(rest)?;
        let iterations = match parameters(costs, ["i", "l"]) {
            Some([iterations, length]) => {
                if base64(output).is_none_or(|output| u32::try_from(output.len()) != Ok(length)) {
                    return Err(MALFORMED);
                }
                Some(iterations)
            }
            None => parameters(costs, ["i"]).map(|[iterations]| iterations).or_else(|| number(costs)),
        };
        Self::new(algorithm, iterations, base64(salt), base64(output))
    }

    /// Reads what stands behind `pbkdf2_sha256$`.
    pub(super) fn parse_django(kind: &str, rest: &str) -> Result<Self, Unusable> {
        let algorithm = match kind {
            "pbkdf2_sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
            "pbkdf2_sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            _ => return Err(MALFORMED),
        };
        let [iterations, salt, output] = parts(rest)?;
        Self::new(algorithm, number(iterations), Some(salt.as_bytes().to_vec()), base64(output))
    }

    /// Reads `pbkdf2:sha256:600000` and what stands behind its `$`.
    pub(super) fn parse_werkzeug(kind: &str, rest: &str) -> Result<Self, Unusable> {
        let [_, name, iterations] = kind.split(':').collect::<Vec<_>>()[..] else { return Err(MALFORMED) };
        let algorithm = match name {
            "sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
            "sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            "sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(MALFORMED),
        };
        let (salt, output) = rest.split_once('$').ok_or(MALFORMED)?;
        Self::new(algorithm, number(iterations), Some(salt.as_bytes().to_vec()), hex(output))
    }

    fn new(
        algorithm: Algorithm,
        iterations: Option<u32>,
        salt: Option<Vec<u8>>,
        output: Option<Vec<u8>>,
    ) -> Result<Self, Unusable> {
        let iterations = iterations.and_then(NonZeroU32::new).ok_or(MALFORMED)?;
        if iterations.get() > MAX_ITERATIONS {
            return Err(Unusable::TooCostly("2000000 iterations"));
        }
        let (salt, output) = salt.zip(output).ok_or(MALFORMED)?;
        if !(1..=MAX_SALT).contains(&salt.len()) || !(MIN_OUTPUT..=MAX_OUTPUT).contains(&output.len()) {
            return Err(MALFORMED);
        }
        Ok(Self { algorithm, iterations, salt, output })
    }

    pub(super) fn compute(&self, password: &[u8]) -> Vec<u8> {
        let mut output = vec![0; self.output.len()];
        pbkdf2::derive(self.algorithm, self.iterations, &self.salt, password, &mut output);
        output
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], Unusable> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_of_the_password, check, refused};
    use super::super::{Unusable, Verdict};

    /// By passlib 1.7, Django 5.2, Werkzeug 3.1 and, as PHC, Python's hashlib.
    #[test]
    fn hashes_of_other_implementations_are_checked() {
        are_of_the_password(&[
            "$pbkdf2-sha256$1000$LuX8X4vxXkuJUcp5D.Hc2w$6VX9YBvsOVrngOPcq1TyHiDd2CxQ9PgSZxhAFvUxkTA",
            "$pbkdf2-sha512$1000$997be.9dy7lXam2NEWIsZQ$iZdmgP2.XsuZheYdNwlXayD5FJB/Dmp8nHC6bqXNd4VQijTH.YJ2dBMQprqkCL0sFWwRfeGeK3.OmyvGLZJNsQ",
            "$pbkdf2$1000$DaFUCsE4p1SqtTamlFKqdQ$uDGyizhHIS1fbFQztUrCGfEoCMA",
            "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHRzb21lc2FsdA$SCjY7SSTd+1t0YRKbVoolytKt+BeFjwwXJESGnfk9yY",
            "$pbkdf2-sha256$i=1000$c29tZXNhbHRzb21lc2FsdA==$SCjY7SSTd+1t0YRKbVoolytKt+BeFjwwXJESGnfk9yY=",
            "pbkdf2_sha256$1000$NaClNaCl$aL8faYLlOIYvjBdHgF8PW53zGZbEIqsbz4mWkSSqsyM=",
            "pbkdf2_sha1$1000$NaClNaCl$rFcWdMZ9rx141KX/Hwsw08ZSB80=",
            "pbkdf2:sha256:1000$neGSUNtqSGOxOYLJ$ae9d1575faabaf1d5fc01619b2b5751dc06e9e20be829cdc7c4ea3cc2df9160f",
            "pbkdf2:sha512:1000$Is2YmFJdYJ5Q7eOa$0acb4e2fb0b7c6f1159bc8fd94bb3ecaacbcb1196f08d6e986e4d1965a4c19ad2ad813f82590c4d1473a3e6b8d8e976b8979c0b7805d37a900b33381ba1225d7",
        ]);
    }

    /// RFC 6070, the third: `password`, `salt`, 4096 times.
    #[test]
    fn the_rfcs_vector() {
        let hash = "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE";
        assert_eq!(check(hash, "password"), Verdict::Right { rehash: true });
    }

    #[test]
    fn what_costs_too_much_or_is_not_whole_is_refused() {
        let output = "aL8faYLlOIYvjBdHgF8PW53zGZbEIqsbz4mWkSSqsyM=";
        for iterations in ["2000001", "4294967295"] {
            let text = format!("pbkdf2_sha256${iterations}$NaClNaCl${output}");
            assert!(matches!(refused(&text), Unusable::TooCostly(_)), "{text}");
        }
        for text in [
            format!("pbkdf2_sha256$0$NaClNaCl${output}"),
            format!("pbkdf2_sha256$4294967296$NaClNaCl${output}"),
            format!("pbkdf2_sha256$x$NaClNaCl${output}"),
            format!("pbkdf2_sha256$1000$${output}"),
            format!("pbkdf2_sha256$1000${}${output}", "s".repeat(129)),
            "pbkdf2_sha256$1000$NaClNaCl$aL8faYLlOIYv".to_owned(),
            format!("pbkdf2_sha256$1000$NaClNaCl${}", "A".repeat(88)),
            "pbkdf2_sha256$1000$NaClNaCl$%".to_owned(),
            "pbkdf2_sha256$1000$NaClNaCl".to_owned(),
            format!("$pbkdf2-sha256$i=1000,l=20$c2FsdA${output}"),
            format!("$pbkdf2-sha256$1000$c2F%dA${output}"),
            format!("pbkdf2:md5:1000$salt${}", "ab".repeat(16)),
            format!("pbkdf2:sha256$salt${}", "ab".repeat(16)),
            format!("pbkdf2:sha256:1000$salt${}", "AB".repeat(16)),
        ] {
            assert_eq!(refused(&text), Unusable::Malformed("PBKDF2"), "{text}");
        }
    }
}
