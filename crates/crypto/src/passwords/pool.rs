//! The threads that hash. Hashing is slow by design; a bounded number of threads does it and a
//! bounded queue waits, so that a wave of sign-ins can neither starve every other request nor
//! take all memory. A full queue is refused at once.
//!
//! They yield to every other thread: whoever waits for a hash does not notice that it took a little
//! longer, and whoever waits for one of the thousand requests that it takes as long as does. So that a
//! machine that is always busy does not keep everybody from signing in, there is one more thread, which
//! yields to nobody and takes what has waited for too long.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keystead_domain::Env;
use keystead_domain::password::Password;
use keystead_domain::user::PasswordHash;

use super::argon2id::{self, Argon2Cost, Memory, SALT_LEN};
use super::imported::ImportedHash;
use super::{NotAHash, Verdict};

/// After how long without a password a thread gives back the memory that it hashes in.
const IDLE: Duration = Duration::from_secs(5);

/// How long a password waits at most for a thread that yields.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hashes and checks passwords on threads of its own.
pub struct Hasher {
    queue: Arc<Queue>,
    env: Arc<dyn Env>,
    decoy: PasswordHash,
}

enum Job {
    Hash(Password, [u8; SALT_LEN], SyncSender<Result<PasswordHash, NotAHash>>),
    Verify(Box<Check>, SyncSender<Result<Verdict, NotAHash>>),
}

/// What checking one password takes. All of it is computed, whatever decides.
struct Check {
    password: Password,
    ours: PasswordHash,
    imported: Option<ImportedHash>,
    decides: Decides,
}

/// Whose verdict counts. The other is there for the time that it takes.
enum Decides {
    Ours,
    Imported,
}

impl Check {
    fn run(self, cost: &Argon2Cost, memory: &mut Memory) -> Result<Verdict, NotAHash> {
        let ours = argon2id::verify(&self.password, &self.ours, cost, memory);
        let imported = self.imported.map(|hash| hash.verify(&self.password));
        match self.decides {
            Decides::Ours => ours,
            Decides::Imported => imported.unwrap_or(Err(NotAHash)),
        }
    }
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

impl From<NotAHash> for HashingError {
    fn from(_: NotAHash) -> Self {
        Self::Broken
    }
}

impl Hasher {
    /// Starts `threads` threads (at least one) in front of which at most `queue` passwords wait, and one
    /// for those that wait too long. They end when the hasher goes away.
    pub fn start(
        cost: Argon2Cost,
        threads: usize,
        queue: usize,
        env: Arc<dyn Env>,
    ) -> Result<Self, std::io::Error> {
        let mut random = [0; 48];
        env.fill(&mut random);
        let decoy = argon2id::decoy(random, &cost).map_err(std::io::Error::other)?;
        let this = Self { queue: Arc::new(Queue::of(queue)), env, decoy };
        let start = |name: String, turn: Turn| {
            let (queue, cost) = (Arc::clone(&this.queue), cost.clone());
            thread::Builder::new().name(name).spawn(move || work(&queue, turn, &cost))
        };
        let turn = if cost.is_long() { Turn::Yielding } else { Turn::First };
        for number in 0..threads.max(1) {
            start(format!("hash-{number}"), turn)?;
        }
        if turn == Turn::Yielding {
            start("hash-late".to_owned(), Turn::Late)?;
        }
        Ok(this)
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
        let check = match stored.and_then(ImportedHash::from_stored).transpose()? {
            // As much of ours as anybody else has, so that none takes less time than that.
            Some(imported) => Check {
                password,
                ours: self.decoy.clone(),
                imported: Some(imported),
                decides: Decides::Imported,
            },
            None => Check {
                password,
                ours: stored.unwrap_or(&self.decoy).clone(),
                imported: None,
                decides: Decides::Ours,
            },
        };
        self.ask(|reply| Job::Verify(Box::new(check), reply))
    }

    /// The same where there is no user, and so `stored` is no user's: it takes as long as it would
    /// for a user whose hash is `alike`, which decides nothing.
    pub fn verify_alike(
        &self,
        password: Password,
        stored: Option<&PasswordHash>,
        alike: Option<&PasswordHash>,
    ) -> Result<Verdict, HashingError> {
        // A hash that cannot be read is the trouble of the user who has it.
        let imported = alike.and_then(ImportedHash::from_stored).and_then(Result::ok);
        let ours = stored.unwrap_or(&self.decoy).clone();
        let check = Check { password, ours, imported, decides: Decides::Ours };
        self.ask(|reply| Job::Verify(Box::new(check), reply))
    }

    /// What is waited for here is most of a sign-in, so traces show it.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, NotAHash>>) -> Job) -> Result<T, HashingError> {
        let _span = tracing::trace_span!(target: "keystead::trace", "password hash").entered();
        let (reply, answer) = sync_channel(1);
        self.queue.push(job(reply))?;
        Ok(answer.recv().map_err(|_| HashingError::Broken)??)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.queue.state().open = false;
        self.queue.changed.notify_all();
        self.queue.closed.notify_all();
    }
}

/// Which passwords a thread takes, and who goes first: it or the other threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Yielding,
    /// Those only that have waited for too long.
    Late,
}

/// What waits to be hashed.
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
    closed: Condvar,
    capacity: usize,
}

struct Waiting {
    /// Each with when it came.
    jobs: VecDeque<(Instant, Job)>,
    /// Whether there is still somebody who could ask.
    open: bool,
}

/// What a thread does next.
enum Next {
    Work(Job),
    /// Nothing came for a while.
    Rest,
    End,
}

impl Queue {
    fn of(capacity: usize) -> Self {
        let state = Mutex::new(Waiting { jobs: VecDeque::new(), open: true });
        Self { state, changed: Condvar::new(), closed: Condvar::new(), capacity }
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), Busy> {
        let mut state = self.state();
        if state.jobs.len() >= self.capacity {
            return Err(Busy);
        }
        state.jobs.push_back((Instant::now(), job));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job, at most as long as that.
    fn next(&self, patience: Duration) -> Next {
        let nothing = |state: &mut Waiting| state.jobs.is_empty() && state.open;
        let waited = self.changed.wait_timeout_while(self.state(), patience, nothing);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// Looks now and then whether a job has waited for longer than that.
    fn next_late(&self, patience: Duration) -> Next {
        let late = |state: &Waiting| state.jobs.front().is_some_and(|(since, _)| since.elapsed() >= patience);
        let nothing = |state: &mut Waiting| state.open && !late(state);
        let waited = self.closed.wait_timeout_while(self.state(), patience, nothing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.open && !late(&state) { Next::Rest } else { state.take() }
    }
}

impl Waiting {
    fn take(&mut self) -> Next {
        match self.jobs.pop_front() {
            Some((_, job)) => Next::Work(job),
            None if self.open => Next::Rest,
            None => Next::End,
        }
    }
}

fn work(queue: &Queue, turn: Turn, cost: &Argon2Cost) {
    if turn == Turn::Yielding {
        yield_to_others();
    }
    let (mut memory, mut rests) = (Memory::default(), false);
    loop {
        let next = match turn {
            Turn::Late => queue.next_late(PATIENCE),
            _ => queue.next(if rests { Duration::MAX } else { IDLE }),
        };
        rests = matches!(next, Next::Rest);
        match next {
            // Whoever asked may have gone away in the meantime; then nobody misses the answer.
            Next::Work(Job::Hash(password, salt, reply)) => {
                let _ = reply.send(argon2id::hash(&password, salt, cost, &mut memory));
            }
            Next::Work(Job::Verify(check, reply)) => {
                let _ = reply.send(check.run(cost, &mut memory));
            }
            Next::Rest => memory = Memory::default(),
            Next::End => return,
        }
    }
}

/// Lets every other thread of the machine that wants to run go first. Elsewhere than on Linux a priority
/// is not a thread's own.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        // A lower priority of the normal policy is not enough: under it, a thread that runs keeps the
        // processor for a slice of milliseconds whoever wakes up meanwhile.
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let this = thread_priority::thread_native_id();
        if let Err(error) = thread_priority::set_thread_priority_and_policy(this, ThreadPriority::Min, idle) {
            tracing::warn!(?error, "passwords are hashed at the priority of everything else");
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
    fn what_waits_too_long_is_taken_by_another() {
        let queue = Queue::of(2);
        let (reply, _answer) = sync_channel(1);
        assert!(matches!(queue.next_late(Duration::from_millis(1)), Next::Rest));
        queue.push(Job::Hash(password("x"), [0; SALT_LEN], reply)).unwrap();
        let came = Instant::now();
        while !matches!(queue.next_late(Duration::from_millis(50)), Next::Work(_)) {}
        assert!(came.elapsed() >= Duration::from_millis(49));
        assert!(matches!(queue.next(Duration::from_millis(1)), Next::Rest), "by one only");
    }

    #[test]
    fn threads_that_yield_hash_as_well() {
        let hasher = hasher(Argon2Cost::new(1024, 1, 1).unwrap(), 2, 8);
        let stored = hasher.hash(password("open sesame")).unwrap();
        let right = Verdict::Right { rehash: false };
        assert_eq!(hasher.verify(password("open sesame"), Some(&stored)), Ok(right));
    }

    #[test]
    fn an_imported_hash_decides_for_its_user_alone() {
        let hasher = hasher(Argon2Cost::new(8, 1, 1).unwrap(), 1, 8);
        let text = "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";
        let imported = text.parse::<ImportedHash>().unwrap().to_stored();
        let right = || password("correct horse battery staple");
        assert_eq!(hasher.verify(right(), Some(&imported)), Ok(Verdict::Right { rehash: true }));
        assert_eq!(hasher.verify(password("another"), Some(&imported)), Ok(Verdict::Wrong));
        assert_eq!(hasher.verify_alike(right(), None, Some(&imported)), Ok(Verdict::Wrong));
        let ours = hasher.hash(password("a sign-up's")).unwrap();
        assert_eq!(hasher.verify_alike(right(), Some(&ours), Some(&imported)), Ok(Verdict::Wrong));
        let known = hasher.verify_alike(password("a sign-up's"), Some(&ours), Some(&imported));
        assert_eq!(known, Ok(Verdict::Right { rehash: false }));
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
