//! For Keystead's tests: both databases, an environment whose clock the test sets, a deployment in
//! the test's own process, and a client for it.
//!
//! ```no_run
//! use keystead_testkit::{Keystead, both_backends};
//!
//! both_backends! {
//!     fn a_tenant_has_an_app(database: TestDatabase) {
//!         let keystead = Keystead::on(&database);
//!         assert!(keystead.tenant("Acme").client_id.starts_with("ksc_"));
//!     }
//! }
//! # fn main() {}
//! ```

mod authenticator;
mod client;
mod database;
mod deployment;
mod env;
pub mod generated;
pub mod postgres;
pub mod scale;
pub mod smtp;
pub mod tools;

pub use authenticator::totp_code;
pub use client::{Answer, Call};
pub use database::TestDatabase;
pub use deployment::{Following, Keystead, Mailbox, TestPerson, TestTenant, only_slowdown, rate_limits};
pub use env::TestEnv;
