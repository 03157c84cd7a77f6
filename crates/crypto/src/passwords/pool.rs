//! The threads that hash. Hashing is slow by design; a bounded number of threads does it and a
//! bounded queue waits, so that a wave of sign-ins can neither starve every other request nor
//! take all memory. A full queue is refused at once.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use keystead_domain::Env;
use keystead_domain::password::Password;
use keystead_domain::user::PasswordHash;

use super::Verdict;
use super::argon2id::{self, Argon2Cost, Memory, NotArgon2id, SALT_LEN};

/// Hashes and checks passwords on threads of its own.
pub struct Hasher {
    queue: SyncSender<Job>,
    env: Arc<dyn Env>,
    decoy: PasswordHash,
}

enum Job {
    Hash(Password, [u8; SALT_LEN], SyncSender<Result<PasswordHash, NotArgon2id>>),
    Verify(Password, PasswordHash, SyncSender<Result<Verdict, NotArgon2id>>),
}

/// Too many passwords wait to be hashed. Trying again after a second may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Busy;

/// Why a password was not hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// Too many wait.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The stored hash is none, or the hashing threads are gone.
    #[error("the stored password hash cannot be checked")]
    Broken,
}

impl From<NotArgon2id> for HashingError {
    fn from(_: NotArgon2id) -> Self {
        Self::Broken
    }
}

impl Hasher {
    /// Starts `threads` threads (at least one) in front of which at most `queue` passwords wait.
    /// They end when the hasher goes away.
    pub fn start(
        cost: Argon2Cost,
        threads: usize,
        queue: usize,
        env: Arc<dyn Env>,
    ) -> Result<Self, std::io::Error> {
        let mut random = [0; 48];
        env.fill(&mut random);
        let decoy = argon2id::decoy(random, &cost).map_err(std::io::Error::other)?;
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let (receiver, cost) = (Arc::clone(&receiver), cost.clone());
            thread::Builder::new().name(format!("hash-{number}")).spawn(move || work(&receiver, &cost))?;
        }
        Ok(Self { queue: sender, env, decoy })
    }

    /// Hashes a chosen password. Blocks until it is done.
    pub fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let mut salt = [0; SALT_LEN];
        self.env.fill(&mut salt);
        self.ask(|reply| Job::Hash(password, salt, reply))
    }

    /// Checks a typed password. Without a stored hash it takes as long as with one, and the
    /// password is wrong. Blocks until it is done.
    pub fn verify(&self, password: Password, stored: Option<&PasswordHash>) -> Result<Verdict, HashingError> {
        let stored = stored.unwrap_or(&self.decoy).clone();
        self.ask(|reply| Job::Verify(password, stored, reply))
    }

    /// What is waited for here is most of a sign-in, so traces show it.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, NotArgon2id>>) -> Job) -> Result<T, HashingError> {
        let _span = tracing::trace_span!(target: "keystead::trace", "password hash").entered();
        let (reply, answer) = sync_channel(1);
        self.queue.try_send(job(reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => HashingError::Busy(Busy),
            TrySendError::Disconnected(_) => HashingError::Broken,
        })?;
        Ok(answer.recv().map_err(|_| HashingError::Broken)??)
    }
}

fn work(queue: &Mutex<Receiver<Job>>, cost: &Argon2Cost) {
    let mut memory = Memory::default();
    loop {
        // The lock is held while waiting: one idle thread waits for work, the others for the lock.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // Whoever asked may have gone away in the meantime; then nobody misses the answer.
        match next {
            Ok(Job::Hash(password, salt, reply)) => {
                let _ = reply.send(argon2id::hash(&password, salt, cost, &mut memory));
            }
            Ok(Job::Verify(password, stored, reply)) => {
                let _ = reply.send(argon2id::verify(&password, &stored, cost, &mut memory));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    fn hasher(cost: Argon2Cost, threads: usize, queue: usize) -> Hasher {
        Hasher::start(cost, threads, queue, Arc::new(SystemEnv)).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::attempt(text).unwrap()
    }

    #[test]
    fn a_hashed_password_is_right_and_no_stored_hash_is_wrong() {
        let hasher = hasher(Argon2Cost::new(8, 1, 1).unwrap(), 2, 8);
        let stored = hasher.hash(password("open sesame")).unwrap();
        let right = Verdict::Right { rehash: false };
        assert_eq!(hasher.verify(password("open sesame"), Some(&stored)), Ok(right));
        assert_eq!(hasher.verify(password("open sesame"), None), Ok(Verdict::Wrong));
        assert_ne!(stored, hasher.hash(password("open sesame")).unwrap(), "salted");
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        // Each hash takes long enough that eight callers cannot all be served by one thread
        // with one place to wait.
        let hasher = hasher(Argon2Cost::new(16_384, 3, 1).unwrap(), 1, 1);
        let results: Vec<_> = thread::scope(|scope| {
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| hasher.hash(password("x")))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert!(results.iter().any(Result::is_ok));
        assert!(results.contains(&Err(HashingError::Busy(Busy))));
    }
}
