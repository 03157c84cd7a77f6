//! What was verified a moment ago, so that the next request with the same credential needs neither
//! a signature check nor the database.
//!
//! What makes remembering honest is forgetting: an entry is kept together with all that it hangs on
//! (its tenant, its app, its user, …) and with the generation that was current before its rows
//! were read, and it is recalled only while nothing of that was ended since, here or by another
//! process. Whatever ends by itself (an expiry, a session's idle time) is compared with the present
//! at each recall by whoever recalls. That something does not exist is never remembered.

use std::hash::Hash;
use std::sync::Arc;

use keystead_domain::revocation::Revocation;
use keystead_storage::{Generation, Generations};
use quick_cache::sync::Cache;

/// Verified things of one kind, by what was presented. The least useful make room.
pub(crate) struct Memory<K, V>(Option<Cache<K, Kept<V>>>);

struct Kept<V> {
    value: Arc<V>,
    since: Generation,
    hangs_on: Arc<[Revocation]>,
}

// Not derived: that would want `V: Clone`.
impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), since: self.since, hangs_on: Arc::clone(&self.hangs_on) }
    }
}

impl<K: Eq + Hash + Clone, V> Memory<K, V> {
    /// Room for `max` entries; none for 0.
    pub(crate) fn new(max: usize) -> Self {
        Self((max > 0).then(|| Cache::new(max)))
    }

    /// What was verified, if that still stands.
    pub(crate) fn recall(&self, generations: &Generations, key: &K) -> Option<Arc<V>> {
        let kept = self.0.as_ref()?.get(key)?;
        generations.still_stands(kept.since, &kept.hangs_on).then_some(kept.value)
    }

    /// Keeps what was verified from rows that were read after `since`.
    pub(crate) fn keep(
        &self,
        key: K,
        value: Arc<V>,
        since: Generation,
        hangs_on: impl IntoIterator<Item = Revocation>,
    ) {
        if let Some(cache) = &self.0 {
            cache.insert(key, Kept { value, since, hangs_on: hangs_on.into_iter().collect() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_end_must_be_known() {
        let (memory, generations) = (Memory::new(10), Generations::default());
        memory.keep(1, Arc::new("one"), generations.current(), []);
        assert_eq!(memory.recall(&generations, &1), None);
    }

    #[test]
    fn no_room_is_no_memory() {
        let memory = Memory::<u8, &str>::new(0);
        memory.keep(1, Arc::new("one"), Generations::default().current(), []);
        assert!(memory.0.is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let (memory, generations) = (Memory::new(100), Generations::default());
        for number in 0..10_000 {
            memory.keep(number, Arc::new(number), generations.current(), []);
        }
        assert!(memory.0.as_ref().is_some_and(|cache| cache.len() <= 100));
    }
}
