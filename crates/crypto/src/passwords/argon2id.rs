//! One argon2id computation, in memory that the caller keeps.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
        Params::new(memory_kib, iterations, parallelism, Some(OUTPUT_LEN))
            .map(Self)
            .map_err(|_| InvalidCost { memory_kib, iterations, parallelism })
    }

    /// Whether a hash takes so long that others should not wait for it: longer than a request.
    pub(super) fn is_long(&self) -> bool {
        u64::from(self.0.m_cost()) * u64::from(self.0.t_cost()) >= 1024
    }

    fn is(&self, other: &Params) -> bool {
        let cost = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
        cost(&self.0) == cost(other)
    }
}

/// Working memory, kept from one hash to the next: fresh pages for each would cost a tenth of
/// the time.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

/// How many blocks are asked for at least: more than 32 MiB. glibc keeps what is smaller than that for
/// itself when it is freed. Pages that are not used take no memory.
const AT_LEAST: usize = 32 * 1024 + 1;

impl Memory {
    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let count = params.block_count();
        if self.0.len() < count {
            self.0.reserve_exact(count.max(AT_LEAST) - self.0.len());
            self.0.resize(count, Block::default());
        }
        &mut self.0[..count]
    }
}

pub(crate) fn hash(
    password: &Password,
    salt: [u8; SALT_LEN],
    cost: &Argon2Cost,
    memory: &mut Memory,
) -> Result<PasswordHash, NotAHash> {
    let mut output = [0; OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.0.clone());
    argon2
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory.blocks(&cost.0))
        .map_err(|_| NotAHash)?;
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
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&cost.0).map_err(|_| NotAHash)?,
        salt: Some(Salt::new(salt).map_err(|_| NotAHash)?),
        hash: Some(Output::new(output).map_err(|_| NotAHash)?),
    };
    Ok(PasswordHash::new(phc.to_string()))
}

pub(crate) fn verify(
    password: &Password,
    stored: &PasswordHash,
    cost: &Argon2Cost,
    memory: &mut Memory,
) -> Result<Verdict, NotAHash> {
    let stored = Phc::new(stored.as_stored()).map_err(|_| NotAHash)?;
    let version = Version::try_from(stored.version.ok_or(NotAHash)?).map_err(|_| NotAHash)?;
    let params = Params::try_from(&stored).map_err(|_| NotAHash)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Err(NotAHash) };
    if stored.algorithm != Algorithm::Argon2id.ident() {
        return Err(NotAHash);
    }
    let mut output = vec![0; expected.len()];
    Argon2::new(Algorithm::Argon2id, version, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, memory.blocks(&params))
        .map_err(|_| NotAHash)?;
    if bool::from(output.ct_eq(expected.as_bytes())) {
        Ok(Verdict::Right { rehash: !cost.is(&params) })
    } else {
        Ok(Verdict::Wrong)
    }
}

#[cfg(test)]
mod tests {
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
}
