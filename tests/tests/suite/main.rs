//! Suites that concern all of Keystead: protocols by specification, isolation between tenants,
//! timing, licences.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod documentation;
mod isolation;
mod licences;
mod rfc9068;
mod strangers;
mod timing;
