//! A guard in front of a real Keystead.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod answers;
mod requests;
mod served;
