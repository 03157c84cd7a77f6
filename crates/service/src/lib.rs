//! What Keystead does: each use case is a function that asks the gate, decides, writes in one
//! transaction, and returns a value of the domain. Surfaces, commands and embedding programs
//! call the same functions.
//!
//! Everything here blocks; call it where blocking is allowed.

mod audit;
mod caller;
mod engine;
mod error;

pub mod access;
pub mod access_requests;
pub mod apps;
pub mod claims;
pub mod file_outbox;
pub mod forms;
pub mod outbox;
pub mod sessions;
pub mod sign_ins;
pub mod sign_ups;
pub mod tenants;
pub mod tokens;
pub mod users;
pub mod worker;

pub use caller::Caller;
pub use engine::{Engine, MasterKeyMismatch, Prefixes, Settings, StartError, master_key_id};
pub use error::{Code, Error, FieldError, Result};
