//! Where Keystead's rows live: SQLite or PostgreSQL, from one schema and one set of queries.
//!
//! [`Store::read`] and [`Store::write`] are the ways in, and [`AsyncReader`] that of an event loop. Each noun has a module of
//! functions over the transaction that it is given; which of them can be called depends on the
//! scope that opened the transaction:
//!
//! - [`TenantTx`], from a [`TenantScope`](keystead_domain::policy::TenantScope): the rows of one
//!   owner, and no query through it can name another;
//! - [`PlatformTx`], from a [`PlatformScope`](keystead_domain::policy::PlatformScope): what
//!   belongs to no owner, or to all;
//! - [`Tx`] itself: only what [`locate`] looks up to find out who is calling.

#[macro_use]
mod connection;
#[macro_use]
mod part;
#[macro_use]
mod prepared;
mod async_reader;
mod dialect;
mod error;
mod feed;
mod generations;
mod migrations;
mod pool;
mod postgres;
mod row;
mod schema;
mod sqlite;
mod store;
mod trail;
mod writer;

pub mod access_requests;
pub mod address_changes;
pub mod address_proofs;
pub mod api_keys;
pub mod apps;
pub mod audit;
pub mod claim_links;
pub mod counters;
pub mod deployment;
pub mod devices;
pub mod former_addresses;
pub mod idempotency;
pub mod inspection;
pub mod invites;
pub mod jobs;
pub mod leak_reports;
pub mod locate;
pub mod memberships;
pub mod outbox;
pub mod projects;
pub mod registrations;
pub mod reset_codes;
pub mod reset_links;
pub mod revocations;
pub mod seals;
pub mod second_factors;
pub mod sessions;
pub mod sign_in_challenges;
pub mod signing_keys;
pub mod slowdowns;
pub mod snapshot;
pub mod tenants;
pub mod users;

pub use async_reader::{AsyncReader, Question};
pub use connection::{PlatformTx, TenantTx, Tx};
pub use error::{StoreError, UniqueKey};
pub use feed::Feed;
pub use generations::{Generation, Generations};
pub use migrations::Schema;
pub use store::{Database, Store};
pub use trail::{Sealable, Trail};
