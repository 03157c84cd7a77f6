//! What storage promises, on both databases.

#![allow(missing_docs)]

mod counters;
mod isolation;
mod migrations;
mod queues;
mod registrations;
mod rows;
mod transactions;
