//! The surfaces' contracts: what a client sees, endpoint by endpoint.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod access_requests;
mod account;
mod api_keys;
mod app_api;
mod bad_input;
mod bearer;
mod bearer_members;
mod credentials;
mod devices;
mod end_users;
mod forward_auth;
mod health;
mod introspection;
mod invites;
mod leaked_keys;
mod openapi;
mod organization_client;
mod organizations;
mod pages;
mod people;
mod projects;
mod rate_limits;
mod tenant_keys;
mod token_endpoint;

use keystead_testkit::{Keystead, TestTenant};

/// A token of the tenant's app.
fn token(keystead: &Keystead, tenant: &TestTenant) -> String {
    keystead.token(&tenant.client_id, &tenant.client_secret)
}
