//! What operators' machines ask.

pub(crate) mod health;
