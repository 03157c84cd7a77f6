//! The two things a decision cannot know by itself: what time it is, and chance.

use crate::Timestamp;

/// Where services take time and randomness from. Only they hold one; decisions get its results.
pub trait Env: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` from a cryptographically secure source. An implementation whose source
    /// fails must abort rather than return predictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}
