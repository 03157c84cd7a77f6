//! Argon2 (RFC 9106) in any variant and version, as PHC strings:
//! `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`.

use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Params, Version};

use super::encoding::{base64, parameters};
use super::{MAX_OUTPUT, MAX_SALT, MIN_OUTPUT, NotAHash, Unusable};

/// What a check may take: 256 MiB, and as much time as four passes over that.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_WORK_KIB: u64 = 4 * MAX_MEMORY_KIB as u64;
/// Lanes cost nothing here, where one thread computes them all; some are set to 255.
const MAX_LANES: u32 = 255;
/// RFC 9106 §3.1.
const MIN_SALT: usize = 8;

#[derive(Clone)]
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Argon2Hash {
    /// Reads `argon2id$v=19$m=…,t=…,p=…$salt$hash`. Before version 19 there was no `v`.
    pub(super) fn parse(text: &str) -> Result<Self, Unusable> {
        let malformed = Unusable::Malformed("argon2");
        let parts: Vec<_> = text.split('$').collect();
        let (kind, version, costs, salt, output) = match parts[..] {
            [kind, version, costs, salt, output] => (kind, version, costs, salt, output),
            [kind, costs, salt, output] => (kind, "v=16", costs, salt, output),
            _ => return Err(malformed),
        };
        let algorithm = match kind {
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            "argon2id" => Algorithm::Argon2id,
            _ => return Err(malformed),
        };
        let version = match version {
            "v=16" => Version::V0x10,
            "v=19" => Version::V0x13,
            _ => return Err(malformed),
        };
        let [memory, passes, lanes] = parameters(costs, ["m", "t", "p"]).ok_or(malformed)?;
        if memory > MAX_MEMORY_KIB
            || u64::from(memory) * u64::from(passes) > MAX_WORK_KIB
            || lanes > MAX_LANES
        {
            return Err(Unusable::TooCostly("256 MiB (m=262144), m times t 1048576, p 255"));
        }
        let (salt, output) = base64(salt).zip(base64(output)).ok_or(malformed)?;
        if !(MIN_SALT..=MAX_SALT).contains(&salt.len()) || !(MIN_OUTPUT..=MAX_OUTPUT).contains(&output.len())
        {
            return Err(malformed);
        }
        let params = Params::builder()
            .memory(Memory::kib(memory.into()))
            .passes(passes)
            .lanes(lanes)
            .tag_len(TagLen::bytes(output.len() as u64))
            .build()
            .map_err(|_| malformed)?;
        Ok(Self { algorithm, version, params, salt, output })
    }

    /// Its memory is not kept: it may be far more than a hash of ours takes.
    pub(super) fn compute(&self, password: &[u8]) -> Result<Vec<u8>, NotAHash> {
        let mut output = vec![0; self.output.len()];
        Argon2::new(self.algorithm, self.version, self.params)
            .hash_into(password, &self.salt, &mut output)
            .map_err(|_| NotAHash)?;
        Ok(output)
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unusable;
    use super::super::tests::{are_of_the_password, refused};

    /// By the reference implementation, through argon2-cffi 25.1; the last by Django 5.2.
    #[test]
    fn all_variants_and_versions_are_checked() {
        are_of_the_password(&[
            "$argon2i$v=16$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$ji1ih2UJ75GM+jFDpEaOs2MLKAxz47Rp",
            "$argon2i$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$ji1ih2UJ75GM+jFDpEaOs2MLKAxz47Rp",
            "$argon2i$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$uzPi2ZU7CCWxH+jlrM1RrfinjhRzYKf/",
            "$argon2d$v=16$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$+qBx+cEUZYlKxNl8xXtTgIBxEm4DH9I+",
            "$argon2d$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$eoaMXzxqfPSuAVBIEIgoikenRleocsOk",
            "$argon2id$v=16$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$6Bj6L1k3wZ8hnq08hn9hTg1uu3K2gscV",
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ",
            "argon2$argon2id$v=19$m=64,t=1,p=2$TlRIOXo2WTFXVTJaVDRqMVoyM2xZcQ$qcPNJ3uwSpWTLDe+eTH4+VdKgX97LfqzDh4Nk1QEvlU",
        ]);
    }

    #[test]
    fn what_costs_too_much_or_is_not_whole_is_refused() {
        let with = |costs: &str| {
            refused(&format!(
                "$argon2id$v=19${costs}$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ"
            ))
        };
        for costs in ["m=262145,t=1,p=1", "m=262144,t=5,p=1", "m=64,t=4294967295,p=1", "m=8192,t=1,p=256"] {
            assert!(matches!(with(costs), Unusable::TooCostly(_)), "{costs}");
        }
        for costs in
            ["m=7,t=1,p=1", "m=64,t=0,p=1", "m=64,t=1,p=0", "m=64,t=1", "m=64,t=1,p=1,keyid=AAAA", ""]
        {
            assert_eq!(with(costs), Unusable::Malformed("argon2"), "{costs}");
        }
        for text in [
            "$argon2id$v=18$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ",
            "$argon2id$v=19$m=64,t=2,p=2$c2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ",
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rR",
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA",
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ$",
            "argon2$scrypt$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ",
        ] {
            assert_eq!(refused(text), Unusable::Malformed("argon2"), "{text}");
        }
    }
}
