//! The rules of the use cases, on both databases.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod access_requests;
mod address_changes;
mod apps;
mod audit_attacks;
mod audit_trail;
mod embedded;
mod engine;
mod imports;
mod invites;
mod locks;
mod mail;
mod master_key;
mod members;
mod memory;
mod mfa;
mod passwords;
mod profile;
mod races;
mod restored;
mod sessions;
mod sign_ins;
mod sign_ups;
mod signing_keys;
mod slowdowns;
mod smtp;
mod steps;
mod tenants;
mod users;
