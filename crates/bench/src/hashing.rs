//! Raw argon2id: what the machine can hash, with as many threads as the server has, each of which
//! keeps its memory.

use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::deployment::DEFAULT_COST;
use crate::failure::{Failure, Result};

/// Hashes a second on this many threads.
pub(crate) fn per_second(threads: usize, seconds: f64) -> Result<f64> {
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds);
    let counts: Vec<Result<u32>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(move || hash_until(end))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|done| done.unwrap_or_else(|_| Err(Failure::new("hashing panicked")))).collect()
    });
    let took = began.elapsed().as_secs_f64();
    let mut all = 0;
    for count in counts {
        all += count?;
    }
    Ok(f64::from(all) / took)
}

fn hash_until(end: Instant) -> Result<u32> {
    let failed = |error: argon2::Error| Failure::while_doing("argon2", error);
    let (memory, iterations, lanes) = DEFAULT_COST;
    let params = Params::new(memory, iterations, lanes, Some(32)).map_err(failed)?;
    let mut blocks = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut output, mut hashed) = ([0; 32], 0);
    while Instant::now() < end {
        argon2
            .hash_password_into_with_memory(b"lake amber violin twelve", &[7; 16], &mut output, &mut blocks)
            .map_err(failed)?;
        hashed += 1;
    }
    Ok(hashed)
}
