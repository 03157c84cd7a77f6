//! One argon2id computation, in memory that the caller keeps.

use argon2_rust::params::{Memory as Kibibytes, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params, Version, decode_string, encode_string_alloc};
use keystead_domain::password::Password;
use keystead_domain::user::PasswordHash;
use subtle::ConstantTimeEq;

use super::{NotAHash, Verdict};

/// Bytes of salt and of output: RFC 9106 §4's recommendation.
pub(crate) const SALT_LEN: usize = 16;
const OUTPUT_LEN: usize = 32;

/// What one hash costs.
#[derive(Clone, Debug)]
pub struct Argon2Cost(Params);

/// Costs that argon2 does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "argon2id cannot run with m={memory_kib}, t={iterations}, p={parallelism}: m must be at least 8 times p"
)]
pub struct InvalidCost {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Argon2Cost {
    /// `memory_kib` KiB of memory, `iterations` passes over it, in `parallelism` lanes.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, InvalidCost> {
        Params::builder()
            .memory(Kibibytes::kib(memory_kib.into()))
            .passes(iterations)
            .lanes(parallelism)
            .tag_len(TagLen::bytes(OUTPUT_LEN as u64))
            .build()
            .map(Self)
            .map_err(|_| InvalidCost { memory_kib, iterations, parallelism })
    }

    /// Whether a hash takes so long that others should not wait for it: longer than a request.
    pub(super) fn is_long(&self) -> bool {
        u64::from(self.0.memory_kib()) * u64::from(self.0.passes()) >= 1024
    }

    fn is(&self, other: &Params) -> bool {
        let cost = |p: &Params| (p.memory_kib(), p.passes(), p.lanes());
        cost(&self.0) == cost(other)
    }
}

/// Working memory, kept from one hash to the next: fresh pages for each would cost a tenth of the time.
/// It is wiped after each.
pub(crate) struct Memory(Hasher);

impl Default for Memory {
    /// None yet: the first hash takes what it needs.
    fn default() -> Self {
        Self(argon2id(Params::DEFAULT).hasher())
    }
}

impl Memory {
    fn compute(
        &mut self,
        password: &Password,
        salt: &[u8],
        params: Params,
        output: &mut [u8],
    ) -> Result<(), NotAHash> {
        self.0.set_argon2(argon2id(params));
        self.0.hash_into(password.as_bytes(), salt, output).map_err(|error| {
            // The machine has no room for it, say, which is not what the caller is told.
            tracing::error!(%error, "a password could not be hashed");
            NotAHash
        })
    }
}

fn argon2id(params: Params) -> Argon2 {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

pub(crate) fn hash(
    password: &Password,
    salt: [u8; SALT_LEN],
    cost: &Argon2Cost,
    memory: &mut Memory,
) -> Result<PasswordHash, NotAHash> {
    let mut output = [0; OUTPUT_LEN];
    memory.compute(password, &salt, cost.0, &mut output)?;
    phc(cost, &salt, &output)
}

/// A hash of no password: checking against it takes as long as against a real one, and fails.
pub(crate) fn decoy(
    random: [u8; SALT_LEN + OUTPUT_LEN],
    cost: &Argon2Cost,
) -> Result<PasswordHash, NotAHash> {
    let (salt, output) = random.split_at(SALT_LEN);
    phc(cost, salt, output)
}

fn phc(cost: &Argon2Cost, salt: &[u8], output: &[u8]) -> Result<PasswordHash, NotAHash> {
    encode_string_alloc(Algorithm::Argon2id, Version::V0x13, &cost.0, salt, output)
        .map(PasswordHash::new)
        .map_err(|_| NotAHash)
}

pub(crate) fn verify(
    password: &Password,
    stored: &PasswordHash,
    cost: &Argon2Cost,
    memory: &mut Memory,
) -> Result<Verdict, NotAHash> {
    let stored = decode_string(stored.as_stored(), Algorithm::Argon2id).map_err(|_| NotAHash)?;
    if stored.version != Version::V0x13 {
        return Err(NotAHash);
    }
    let mut output = vec![0; stored.hash.len()];
    memory.compute(password, &stored.salt, stored.params, &mut output)?;
    if bool::from(output.ct_eq(&stored.hash)) {
        Ok(Verdict::Right { rehash: !cost.is(&stored.params) })
    } else {
        Ok(Verdict::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn password(text: &str) -> Password {
        Password::attempt(text).unwrap()
    }

    #[test]
    fn a_password_is_recognized_and_another_is_not() {
        let cost = Argon2Cost::new(8, 1, 1).unwrap();
        let mut memory = Memory::default();
        let stored = hash(&password("open sesame"), [7; SALT_LEN], &cost, &mut memory).unwrap();
        assert!(stored.as_stored().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", stored.as_stored());
        let mut check = |text| verify(&password(text), &stored, &cost, &mut memory).unwrap();
        assert_eq!(check("open sesame"), Verdict::Right { rehash: false });
        assert_eq!(check("open sesamE"), Verdict::Wrong);
    }

    #[test]
    fn a_changed_cost_asks_for_a_new_hash() {
        let mut memory = Memory::default();
        let (old, new) = (Argon2Cost::new(8, 1, 1).unwrap(), Argon2Cost::new(16, 2, 1).unwrap());
        let stored = hash(&password("open sesame"), [7; SALT_LEN], &old, &mut memory).unwrap();
        let verdict = verify(&password("open sesame"), &stored, &new, &mut memory);
        assert_eq!(verdict, Ok(Verdict::Right { rehash: true }));
    }

    /// Computed by the reference implementation, with the cost that is the default:
    /// `echo -n password | argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -l 32 -e`.
    #[test]
    fn the_default_cost_agrees_with_another_implementation() {
        let cost = Argon2Cost::new(19_456, 2, 1).unwrap();
        let stored = PasswordHash::new(REFERENCE.to_owned());
        let verdict = verify(&password("password"), &stored, &cost, &mut Memory::default());
        assert_eq!(verdict, Ok(Verdict::Right { rehash: false }));
    }

    const REFERENCE: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$K13EBUiG7JV+9ZxztmHFTdb7J0WQsnj2V8bZaqyPptE";

    #[test]
    fn the_decoy_matches_nothing() {
        let cost = Argon2Cost::new(8, 1, 1).unwrap();
        let decoy = decoy([1; SALT_LEN + OUTPUT_LEN], &cost).unwrap();
        assert_eq!(verify(&password("x"), &decoy, &cost, &mut Memory::default()), Ok(Verdict::Wrong));
    }

    #[test]
    fn nonsense_is_told_apart_from_a_wrong_password() {
        let cost = Argon2Cost::new(8, 1, 1).unwrap();
        for text in ["", "x", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=19$m=8,t=1,p=1"] {
            let stored = PasswordHash::new(text.to_owned());
            assert!(verify(&password("x"), &stored, &cost, &mut Memory::default()).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whichever instructions it takes for this processor, what is computed is argon2id.
        #[test]
        fn any_cost_agrees_with_another_implementation(
            text in ".{0,100}", salt: [u8; SALT_LEN], kib in 32..400_u32, passes in 1..4_u32, lanes in 1..5_u32,
        ) {
            let (password, cost) = (password(&text), Argon2Cost::new(kib, passes, lanes).unwrap());
            let ours = hash(&password, salt, &cost, &mut Memory::default()).unwrap();
            let params = argon2::Params::new(kib, passes, lanes, Some(OUTPUT_LEN)).unwrap();
            let mut theirs = [0; OUTPUT_LEN];
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
                .hash_password_into(password.as_bytes(), &salt, &mut theirs)
                .unwrap();
            prop_assert_eq!(ours, phc(&cost, &salt, &theirs).unwrap());
        }
    }
}
