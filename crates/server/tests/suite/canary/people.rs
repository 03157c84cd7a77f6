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
    keys(walk);
}

fn keys(walk: &mut Walk) {
    let scopes = ["user:read", "projects:read", "projects:write", "api-keys:read", "api-keys:delete"];
    let key =
        walk.as_person("POST /api/auth/api-key/create", &json!({"name": "Canary key", "scopes": scopes}));
    walk.key = key["key"].as_str().unwrap().to_owned();
    let other = walk.as_person("POST /api/auth/api-key/create", &json!({"name": "Canary other"}));
    let id = other["id"].as_str().unwrap();
    walk.as_person("GET /api/auth/api-key/list", &Value::Null);
    let cookie = walk.cookie.clone();
    let path = format!("/api/auth/api-key/get?id={id}");
    walk.ask("GET /api/auth/api-key/get", &path, &[("cookie", &cookie)], "");
    walk.as_person("POST /api/auth/api-key/update", &json!({"keyId": id, "name": "Canary renamed"}));
    walk.as_person("POST /api/auth/api-key/rotate", &json!({"keyId": id}));
    walk.as_person("POST /api/auth/api-key/delete", &json!({"keyId": id}));
}

/// What scripts do on the bearer surface.
pub(super) fn bearer(walk: &mut Walk) {
    assert_eq!(walk.host.run(&["tenant", "set-plan", "canarygrace", "studio"]).code, 0);
    for path in ["me", "users/me", "organization", "projects", "tokens"] {
        walk.as_script(&format!("GET /api/v1/{path}"), &Value::Null);
    }
    let key = walk.key.clone();
    let headers = [
        ("content-type", "application/json"),
        ("x-api-key", key.as_str()),
        ("idempotency-key", "canary-once"),
    ];
    let body = json!({"name": "Canary project", "website": "https://canary.example"}).to_string();
    let made = walk.ask("POST /api/v1/projects", "/api/v1/projects", &headers, &body).json();
    let path = format!("/api/v1/projects/{}", made["data"]["id"].as_str().unwrap());
    walk.ask("GET /api/v1/projects/{projectId}", &path, &headers, "");
    walk.ask(
        "PATCH /api/v1/projects/{projectId}",
        &path,
        &headers,
        &json!({"name": "Canary renamed"}).to_string(),
    );
    walk.ask("DELETE /api/v1/projects/{projectId}", &path, &headers, "");
    let made = walk.as_person("POST /api/auth/api-key/create", &json!({"name": "Canary short"}));
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    walk.ask("DELETE /api/v1/tokens/{tokenId}", &path, &headers, "");
    walk.as_script("POST /v1/leaked-keys", &json!(["canary"]));
}

/// What ends the credentials that the rest is done with.
pub(super) fn end(walk: &mut Walk) {
    walk.as_person("POST /api/auth/sign-out", &json!({}));
}
