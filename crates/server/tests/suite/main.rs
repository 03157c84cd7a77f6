//! The binary, as its operator runs it: real processes, real sockets, both databases.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod audits;
mod backups;
mod better_auth;
mod canary;
mod claims;
mod collector;
mod commands;
mod configuration;
mod deploying;
mod doctor;
mod durability;
mod examples;
mod forward_auth;
mod guard;
mod imports;
mod lifecycle;
mod limits;
mod master_keys;
mod members;
mod operators;
mod people_quickstart;
mod process;
mod quickstart;
mod revocations;
mod smtp;
mod timing;
mod traces;
