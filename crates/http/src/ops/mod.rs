//! What operators' machines ask.

pub(crate) mod health;
pub(crate) mod metrics;
