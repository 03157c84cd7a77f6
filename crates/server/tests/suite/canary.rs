//! Every endpoint and every page is called, with secrets and personal data that can be recognized, right
//! and wrong. Then they are looked for in all that the server tells of itself: its log at its most
//! talkative, its figures, its errors, its traces, the audit trail and the files of the database.
//!
//! An endpoint or a page that is not called here, or is only called well or only badly, fails the test:
//! add a call of it where it is called with what is right. What is wrong is sent to all of them.

mod people;
mod relying;
mod walk;

use keystead_testkit::{both_backends, totp_code};
use serde_json::json;

use self::walk::{NEW_PASSWORD, PASSWORD, RESET_PASSWORD, WRONG_PASSWORD, Walk};

const ADA: &str = "canary.ada@example.com";
const BOB: &str = "canary.bob@example.com";
const EVE: &str = "canary.eve@example.com";
const EVES_NEW: &str = "canary.eve@new.example.com";

both_backends! {
    fn no_secret_is_told_by_anything(database: TestDatabase) {
        let mut walk = Walk::start(&database);
        tokens(&mut walk);
        sign_up(&mut walk);
        signed_in(&mut walk);
        second_factor(&mut walk);
        passwords(&mut walk);
        sessions(&mut walk);
        addresses(&mut walk);
        access_requests(&mut walk);
        public(&mut walk);
        people::account(&mut walk);
        people::bearer(&mut walk);
        relying::ask(&mut walk);
        people::organizations(&mut walk);
        walk.send_what_is_wrong();
        people::end(&mut walk);
        walk.call("DELETE /v2/auth/me", &json!({"current_password": RESET_PASSWORD}));
        walk.check_that_all_was_called();
        walk.check_what_was_told(&database);
    }
}

fn tokens(walk: &mut Walk) {
    let (id, secret) = walk.app.clone();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let token = walk.ask("POST /oauth/token", "/oauth/token", &headers, &form).json();
    walk.access_token = token["access_token"].as_str().unwrap().to_owned();
    let body = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    walk.call("POST /v2/oauth/token", &body);
}

fn sign_up(walk: &mut Walk) {
    walk.call(
        "POST /v2/auth/signup",
        &json!({"email": BOB, "password": WRONG_PASSWORD, "name": "Canary Bob"}),
    );
    walk.call("POST /v2/auth/resend-otp", &json!({"email": BOB}));
    walk.call("POST /v2/auth/signup", &json!({"email": ADA, "password": PASSWORD, "name": "Canary Ada"}));
    let code = walk.mailed_code(ADA);
    let verified = walk.call("POST /v2/auth/verify-email", &json!({"email": ADA, "code": code}));
    walk.session = verified["session_token"].as_str().unwrap().to_owned();
    // Used once more, it is an error, which tells nothing of it either.
    walk.call("POST /v2/auth/verify-email", &json!({"email": ADA, "code": code}));
}

fn sign_in(walk: &mut Walk, password: &str, totp_code: Option<&str>) -> String {
    let body = json!({"email": ADA, "password": password, "totp_code": totp_code});
    walk.call("POST /v2/auth/login", &body)["session_token"].as_str().unwrap_or_default().to_owned()
}

fn signed_in(walk: &mut Walk) {
    sign_in(walk, WRONG_PASSWORD, None);
    assert!(!sign_in(walk, PASSWORD, None).is_empty());
    walk.call("GET /v2/apps/me", &json!({}));
    walk.call("GET /v2/auth/me", &json!({}));
    walk.call("PATCH /v2/auth/me", &json!({"current_password": PASSWORD, "name": "Canary Lovelace"}));
}

fn second_factor(walk: &mut Walk) {
    let body = json!({"current_password": PASSWORD});
    let secret = walk.call("POST /v2/auth/mfa/totp/enroll", &body)["secret"].as_str().unwrap().to_owned();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let code = totp_code(&secret, keystead_domain::second_factor::TotpStep::from_number(now / 30));
    walk.secrets.insert(code.clone());
    let confirmed = walk.call("POST /v2/auth/mfa/totp/confirm", &json!({"code": code}));
    let recovery: Vec<_> = confirmed["recovery_codes"].as_array().unwrap().clone();
    let body = json!({"current_password": PASSWORD, "totp_code": recovery[0]});
    let recovery = walk.call("POST /v2/auth/mfa/recovery-codes", &body)["recovery_codes"].clone();
    sign_in(walk, PASSWORD, None);
    sign_in(walk, PASSWORD, Some(&code));
    assert!(!sign_in(walk, PASSWORD, recovery[0].as_str()).is_empty());
    let body = json!({"current_password": PASSWORD, "totp_code": recovery[1]});
    walk.call("POST /v2/auth/mfa/totp/disable", &body);
}

fn passwords(walk: &mut Walk) {
    let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    walk.call("POST /v2/auth/password/change", &body);
    walk.call("POST /v2/auth/password-reset/request", &json!({"email": ADA}));
    let code = walk.mailed_code(ADA);
    let body = json!({"email": ADA, "code": code, "new_password": RESET_PASSWORD});
    walk.call("POST /v2/auth/password-reset/confirm", &body);
}

fn sessions(walk: &mut Walk) {
    walk.session = sign_in(walk, RESET_PASSWORD, None);
    walk.call("GET /v2/auth/sessions", &json!({}));
    walk.call("POST /v2/auth/sessions/revoke", &json!({}));
    walk.session = sign_in(walk, RESET_PASSWORD, None);
}

/// Somebody else, since an address gets five mails an hour, moves to another address and back.
fn addresses(walk: &mut Walk) {
    let session = walk.session.clone();
    walk.call("POST /v2/auth/signup", &json!({"email": EVE, "password": PASSWORD}));
    let code = walk.mailed_code(EVE);
    let verified = walk.call("POST /v2/auth/verify-email", &json!({"email": EVE, "code": code}));
    walk.session = verified["session_token"].as_str().unwrap().to_owned();
    walk.call("PATCH /v2/auth/me", &json!({"current_password": PASSWORD, "email": EVES_NEW}));
    let confirm = walk.mailed_link(EVES_NEW);
    let (confirming, restoring) = ("/confirm-address/{token}", "/restore-address/{token}");
    assert_eq!(walk.fill_in(confirming, &confirm, &[]), 200);
    assert_eq!(walk.fill_in(confirming, &confirm, &[]), 404);
    let restore = walk.mailed_link(EVE);
    assert_eq!(walk.fill_in(restoring, &restore, &[]), 200);
    assert_eq!(walk.fill_in(restoring, &restore, &[]), 404);
    walk.session = session;
}

fn access_requests(walk: &mut Walk) {
    let (company, use_) = ("Canary Company", "A canary in a mine");
    let body = json!({"company": company, "contact_email": ADA, "intended_use": use_});
    let id = walk.call("POST /v2/access-requests", &body)["request_id"].as_str().unwrap().to_owned();
    let fields = [("company", company), ("contact_email", BOB), ("intended_use", use_)];
    assert_eq!(walk.fill_in("/request-access", "/request-access", &fields), 202);
    walk.host.set("KEYSTEAD_PUBLIC_URL", walk.server.url.clone());
    assert_eq!(walk.host.run(&["request", "approve", &id]).code, 0);
    let link = walk.mailed_link(ADA);
    assert_eq!(walk.fill_in("/claim/{token}", &link, &[]), 200);
    assert_eq!(walk.fill_in("/claim/{token}", &link, &[]), 404);
}

fn public(walk: &mut Walk) {
    for operation in ["GET /health/live", "GET /health/ready", "GET /.well-known/jwks.json"] {
        walk.call(operation, &json!({}));
    }
}
