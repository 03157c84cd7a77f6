//! People of the platform: every endpoint of the account and the bearer API, called well.

use keystead_domain::second_factor::TotpStep;
use keystead_testkit::totp_code;
use serde_json::{Value, json};

use super::walk::{NEW_PASSWORD, PASSWORD, RESET_PASSWORD, Walk};

const GRACE: &str = "canary.grace@example.com";
const HEDY: &str = "canary.hedy@example.com";
const KATE: &str = "canary.kate@example.com";

/// What people and their scripts do on the account surface.
pub(super) fn account(walk: &mut Walk) {
    let body = json!({"email": GRACE, "password": PASSWORD, "name": "Canary Grace"});
    let signed_up = walk.as_person("POST /api/auth/sign-up/email", &body);
    walk.cookie = format!("keystead_session={}", signed_up["token"].as_str().unwrap());
    let proof = walk.mailed_link(GRACE);
    let verify = format!("/api/auth/verify-email?token={}", proof.rsplit('/').next().unwrap());
    let cookie = walk.cookie.clone();
    walk.ask("GET /api/auth/verify-email", &verify, &[("cookie", &cookie)], "");
    walk.as_person("GET /api/auth/get-session", &Value::Null);
    walk.as_person("GET /api/user/me", &Value::Null);
    walk.as_person("PUT /api/user/me", &json!({"fullName": "Canary Hopper"}));
    keys(walk);
    second_factor(walk);
    credentials(walk);
    mails(walk);
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

/// The cookie that the answer to a call sets.
fn cookie_of(walk: &mut Walk, operation: &str, body: &Value) -> String {
    let (cookie, origin) = (walk.cookie.clone(), walk.server.url.clone());
    let headers = [("content-type", "application/json"), ("origin", &*origin), ("cookie", &*cookie)];
    let (_, path) = operation.split_once(' ').unwrap();
    let answer = walk.ask(operation, path, &headers, &body.to_string());
    answer.cookie.unwrap_or_else(|| panic!("{operation}: {}", answer.text))
}

fn code(uri: &str, ahead: i64) -> String {
    let secret = uri.split_once("secret=").unwrap().1.split('&').next().unwrap();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    totp_code(secret, TotpStep::from_number(now / 30 + ahead))
}

fn second_factor(walk: &mut Walk) {
    let own = walk.cookie.clone();
    let sign_in = json!({"email": GRACE, "password": PASSWORD});
    walk.as_person("POST /api/auth/identify", &json!({"email": GRACE}));
    let enabled = walk.as_person("POST /api/auth/two-factor/enable", &json!({"password": PASSWORD}));
    let uri = enabled["totpURI"].as_str().unwrap().to_owned();
    let verify = "POST /api/auth/two-factor/verify-totp";
    for ahead in [0, 1] {
        let code = code(&uri, ahead);
        walk.secrets.insert(code.clone());
        let verified = walk.as_person(verify, &json!({"code": code}));
        assert!(verified["token"].is_string(), "{verified}");
        walk.cookie = cookie_of(walk, "POST /api/auth/sign-in/email", &sign_in);
    }
    let with = |n: usize| json!({"password": PASSWORD, "code": enabled["backupCodes"][n]});
    walk.as_person(
        "POST /api/auth/two-factor/verify-backup-code",
        &json!({"code": enabled["backupCodes"][0]}),
    );
    walk.cookie = own;
    let fresh = walk.as_person("POST /api/auth/two-factor/generate-backup-codes", &with(1));
    let disable = json!({"password": PASSWORD, "code": fresh["backupCodes"][0]});
    walk.as_person("POST /api/auth/two-factor/disable", &disable);
}

fn credentials(walk: &mut Walk) {
    let sessions = walk.as_person("GET /api/auth/list-sessions", &Value::Null);
    walk.as_person("POST /api/auth/revoke-session", &json!({"token": sessions[0]["token"]}));
    walk.as_person("POST /api/auth/revoke-other-sessions", &json!({}));
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    walk.cookie = cookie_of(walk, "POST /api/auth/change-password", &change);
    walk.as_person("POST /api/auth/update-user", &json!({"name": "Canary Murray"}));
    let change = json!({"newEmail": "canary.grace@new.example.com", "password": NEW_PASSWORD});
    walk.as_person("POST /api/auth/change-email", &change);
    walk.as_person("GET /api/user/me/login-history", &Value::Null);
    walk.as_person("GET /api/user/me/export", &Value::Null);
}

/// Others, since an address gets five mails an hour.
fn mails(walk: &mut Walk) {
    let own = std::mem::take(&mut walk.cookie);
    let sign_up = |email: &str| json!({"email": email, "password": PASSWORD, "name": "Canary Hedy"});
    walk.as_person("POST /api/auth/sign-up/email", &sign_up(HEDY));
    let (verify, reset) = ("/verify/{token}", "/reset/{token}");
    let link = walk.mailed_link(HEDY);
    assert_eq!(walk.ask(&format!("GET {verify}"), &link, &[], "").status, 200);
    assert_eq!(walk.fill_in(verify, &link, &[("email", HEDY)]), 202);
    walk.as_person("POST /api/auth/request-password-reset", &json!({"email": HEDY}));
    let link = walk.mailed_link(HEDY);
    assert_eq!(walk.fill_in(reset, &link, &[("new_password", RESET_PASSWORD)]), 200);
    assert_eq!(walk.fill_in(reset, &link, &[("new_password", RESET_PASSWORD)]), 404);
    walk.as_person("POST /api/auth/request-password-reset", &json!({"email": HEDY}));
    let link = walk.mailed_link(HEDY);
    let token = link.rsplit('/').next().unwrap();
    walk.as_person("POST /api/auth/reset-password", &json!({"newPassword": NEW_PASSWORD, "token": token}));
    let sign_in = json!({"email": HEDY, "password": NEW_PASSWORD});
    walk.cookie = cookie_of(walk, "POST /api/auth/sign-in/email", &sign_in);
    walk.as_person("POST /api/auth/revoke-sessions", &json!({}));
    walk.cookie = cookie_of(walk, "POST /api/auth/sign-in/email", &sign_in);
    walk.as_person("POST /api/auth/sign-out", &json!({}));
    walk.cookie = cookie_of(walk, "POST /api/auth/sign-in/email", &sign_in);
    walk.as_person("POST /api/auth/delete-user", &json!({"password": NEW_PASSWORD}));

    walk.cookie = cookie_of(walk, "POST /api/auth/sign-up/email", &sign_up(KATE));
    walk.as_person("POST /api/auth/send-verification-email", &json!({"email": KATE}));
    let first = walk.mailed_code(KATE);
    let code = (0..50)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Some(walk.mailed_code(KATE)).filter(|code| *code != first)
        })
        .unwrap_or(first);
    let proven = walk.as_person("POST /api/auth/verify-email", &json!({"email": KATE, "code": code}));
    assert_eq!(proven["status"], true, "{proven}");
    walk.as_person("DELETE /api/user/me", &json!({"password": PASSWORD}));
    walk.cookie = own;
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
