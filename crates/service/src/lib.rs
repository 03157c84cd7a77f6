//! What Keystead does: each use case is a function that asks the gate, decides, writes in one
//! transaction, and returns a value of the domain. Surfaces, commands and embedding programs
//! call the same functions.
//!
//! Everything here blocks, but for what says that it does not; call it where blocking is allowed.

mod arrival;
mod audit;
mod budgets;
mod caller;
mod devices;
mod engine;
mod error;
mod founding;
mod links;
mod memory;
mod reauthentication;
mod second_factor;
mod slowdowns;
mod slugs;

pub mod access;
pub mod access_requests;
pub mod accounts;
pub mod address_changes;
pub mod api_keys;
pub mod apps;
pub mod audit_trail;
pub mod claims;
pub mod demands;
pub mod file_outbox;
pub mod forms;
pub mod forward_auth;
pub mod idempotency;
pub mod imports;
pub mod inspection;
pub mod introspection;
pub mod invites;
pub mod leaks;
pub mod master_key;
pub mod members;
pub mod mfa;
pub mod organizations;
pub mod outbox;
pub mod paging;
pub mod passwords;
pub mod people;
pub mod profile;
pub mod projects;
pub mod rate_limits;
pub mod reset_links;
pub mod restored;
pub mod sessions;
pub mod sign_ins;
pub mod sign_ups;
pub mod signing_keys;
pub mod smtp;
pub mod tenant_trail;
pub mod tenants;
pub mod tokens;
pub mod users;
pub mod verification;
pub mod worker;

pub use arrival::{Arrival, Meter};
pub use caller::Caller;
pub use engine::{Engine, MasterKeyMismatch, Prefixes, Settings, StartError, master_key_id};
pub use error::{Code, Error, FieldError, Result};
pub use keystead_storage::AsyncReader;
pub use reauthentication::Reauthentication;
