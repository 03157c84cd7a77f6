//! What is true in Keystead: values that are parsed once and valid ever after, entities with
//! their states, and the decisions about them.
//!
//! Nothing here reads a clock, draws a random number, touches a disk or speaks HTTP. Time and
//! randomness arrive as arguments (see [`Env`]), so every decision can be tried at any instant.

pub mod access_request;
pub mod address_change;
pub mod address_proof;
pub mod api_key;
pub mod app;
pub mod audit;
pub mod claim;
pub mod device;
pub mod email;
pub mod env;
pub mod handle;
pub mod id;
pub mod idempotency;
pub mod invite;
pub mod limits;
pub mod listing;
pub mod mail;
pub mod membership;
pub mod name;
pub mod network;
pub mod oauth;
pub mod owner;
pub mod password;
pub mod plan;
pub mod policy;
pub mod project;
pub mod prose;
pub mod rate_limit;
pub mod registration;
pub mod reset_link;
pub mod revocation;
pub mod role;
pub mod second_factor;
pub mod secret;
pub mod session;
pub mod sign_in_challenge;
pub mod signing_key;
pub mod slowdown;
pub mod slug;
pub mod tenant;
pub mod time;
pub mod user;

pub use email::Email;
pub use env::Env;
pub use owner::Owner;
pub use secret::{InvalidDigest, Secret, TokenDigest};
pub use time::Timestamp;
