//! The rules of the use cases, on both databases.

#![allow(missing_docs)]

mod apps;
mod engine;
mod mail;
mod sessions;
mod sign_ins;
mod sign_ups;
mod steps;
mod tenants;
mod users;
