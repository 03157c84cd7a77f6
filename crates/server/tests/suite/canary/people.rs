//! People of the platform: every endpoint of the account and the bearer API, called well.

use serde_json::{Value, json};

use super::walk::{PASSWORD, Walk};

const GRACE: &str = "canary.grace@example.com";

/// What people and their scripts do on the account surface.
pub(super) fn account(walk: &mut Walk) {
    let body = json!({"email": GRACE, "password": PASSWORD, "name": "Canary Grace"});
    let signed_up = walk.as_person("POST /api/auth/sign-up/email", &body);
    walk.cookie = format!("keystead_session={}", signed_up["token"].as_str().unwrap());
    walk.as_person("GET /api/auth/get-session", &Value::Null);
    walk.as_person("GET /api/user/me", &Value::Null);
    walk.as_person("PUT /api/user/me", &json!({"fullName": "Canary Hopper"}));
    let key = walk.as_person("POST /api/auth/api-key/create", &json!({"name": "Canary key"}));
    walk.key = key["key"].as_str().unwrap().to_owned();
}

/// What scripts do on the bearer surface.
pub(super) fn bearer(walk: &mut Walk) {
    assert_eq!(walk.host.run(&["tenant", "set-plan", "canarygrace", "studio"]).code, 0);
    walk.as_script("GET /api/v1/me", &Value::Null);
    walk.as_script("POST /v1/leaked-keys", &json!(["canary"]));
}

/// What ends the credentials that the rest is done with.
pub(super) fn end(walk: &mut Walk) {
    walk.as_person("POST /api/auth/sign-out", &json!({}));
}
