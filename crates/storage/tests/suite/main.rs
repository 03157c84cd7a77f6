//! What storage promises, on both databases.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod access_requests;
mod address_changes;
mod async_reader;
mod counters;
mod imports;
mod inspection;
mod isolation;
mod migrations;
mod queues;
mod registrations;
mod revocations;
mod rows;
mod seals;
mod sign_in_rows;
mod slowdowns;
mod snapshots;
mod transactions;
