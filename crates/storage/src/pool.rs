//! Connections that are opened when first needed and kept for the next caller.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::StoreError;

/// At most `max` connections; a caller waits at most `patience` for one.
pub(crate) struct Pool<C> {
    open: Box<dyn Fn() -> Result<C, StoreError> + Send + Sync>,
    max: usize,
    patience: Duration,
    state: Mutex<State<C>>,
    returned: Condvar,
}

struct State<C> {
    idle: Vec<C>,
    /// Idle, lent and kept ones together.
    count: usize,
    /// Those that somebody keeps.
    kept: usize,
}

impl<C> Pool<C> {
    pub(crate) fn new(
        max: usize,
        patience: Duration,
        open: impl Fn() -> Result<C, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            max: max.max(1),
            patience,
            state: Mutex::new(State { idle: Vec::new(), count: 0, kept: 0 }),
            returned: Condvar::new(),
        }
    }

    /// Takes a connection out. Whoever takes one gives it [`back`](Self::give_back) or reports it
    /// [`lost`](Self::lost).
    pub(crate) fn take(&self) -> Result<C, StoreError> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(connection);
            }
            if state.count < self.max {
                state.count += 1;
                drop(state);
                return (self.open)().inspect_err(|_| self.lost());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Unavailable("all connections are in use".to_owned()));
            }
            state = self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps a connection for the next caller.
    pub(crate) fn give_back(&self, connection: C) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.idle.push(connection);
        drop(state);
        self.returned.notify_one();
    }

    /// Makes place for another connection.
    pub(crate) fn lost(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count -= 1;
        drop(state);
        self.returned.notify_one();
    }

    /// Makes place for a connection that its owner opens and keeps; whether there is one. Half of the
    /// places can be kept, so that the others always have some. Does not block.
    pub(crate) fn keep_one(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.kept >= self.max / 2 {
            return false;
        }
        let closed = if state.count < self.max {
            state.count += 1;
            None
        } else {
            let Some(idle) = state.idle.pop() else { return false };
            Some(idle)
        };
        state.kept += 1;
        drop(state);
        drop(closed);
        true
    }

    /// Makes place for another connection, after one that was kept was closed.
    pub(crate) fn keep_no_more(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.kept -= 1;
        drop(state);
        self.lost();
    }

    /// Closes what is idle: after one connection was found dead, the others probably are too.
    pub(crate) fn forget_idle(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count -= state.idle.len();
        let dead = std::mem::take(&mut state.idle);
        drop(state);
        drop(dead);
        self.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn connections_are_reused_and_bounded() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let pool = Pool::new(2, Duration::ZERO, || Ok(OPENED.fetch_add(1, Ordering::Relaxed)));
        let (one, two) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(matches!(pool.take(), Err(StoreError::Unavailable(_))));
        pool.give_back(one);
        pool.give_back(two);
        assert_eq!(pool.take().unwrap(), two);
        assert_eq!(OPENED.load(Ordering::Relaxed), 2);
        pool.lost();
        pool.forget_idle();
        assert!(pool.take().is_ok() && pool.take().is_ok());
        assert_eq!(OPENED.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn those_that_are_kept_count_and_leave_half_of_the_places() {
        let pool = Pool::new(4, Duration::ZERO, || Ok(()));
        let all: Vec<_> = (0..4).map(|_| pool.take().unwrap()).collect();
        assert!(!pool.keep_one(), "all are in use");
        all.into_iter().for_each(|one| pool.give_back(one));
        assert!(pool.keep_one() && pool.keep_one());
        assert!(!pool.keep_one());
        assert!(pool.take().is_ok() && pool.take().is_ok());
        assert!(matches!(pool.take(), Err(StoreError::Unavailable(_))));
        pool.keep_no_more();
        assert!(pool.take().is_ok());
        assert!(!Pool::new(1, Duration::ZERO, || Ok(())).keep_one(), "nobody else would have one");
    }

    #[test]
    fn a_connection_that_cannot_be_opened_takes_no_place() {
        let pool: Pool<()> = Pool::new(1, Duration::ZERO, || Err(StoreError::Failed("no".to_owned())));
        for _ in 0..3 {
            assert!(matches!(pool.take(), Err(StoreError::Failed(_))));
        }
    }
}
