//! People of the platform: every endpoint of the account and the bearer API, called well.

use keystead_domain::second_factor::TotpStep;
use keystead_testkit::totp_code;
use serde_json::{Value, json};

use super::walk::{NEW_PASSWORD, PASSWORD, RESET_PASSWORD, Walk};

const GRACE: &str = "canary.grace@example.com";
const HEDY: &str = "canary.hedy@example.com";
const KATE: &str = "canary.kate@example.com";
const IVY: &str = "canary.ivy@example.com";
const JOE: &str = "canary.joe@example.com";

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

/// The id in an answer, whatever surrounds it.
fn id(answer: &Value) -> String {
    let id = answer["data"]["id"].as_str().or(answer["id"].as_str());
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Organizations, their members and invitations. Grace runs one, Ivy is invited to it and has no account yet.
pub(super) fn organizations(walk: &mut Walk) {
    const ONE: &str = "/api/user/organizations/{organizationId}";
    let grace = walk.cookie.clone();
    let acme = id(&walk.as_person("POST /api/user/organizations", &json!({"name": "Canary Inc."})));
    let here = format!("/api/user/organizations/{acme}");
    let call = |walk: &mut Walk, method: &str, pattern: &str, path: &str, body: &Value| {
        walk.as_person_at(&format!("{method} {ONE}{pattern}"), &format!("{here}{path}"), body)
    };
    walk.as_person("GET /api/user/organizations", &Value::Null);
    call(walk, "GET", "", "", &Value::Null);
    call(walk, "PUT", "", "", &json!({"name": "Canary Ltd"}));
    let new = json!({"email": IVY, "role": "member"});
    let invite = id(&call(walk, "POST", "/invites", "/invites", &new));
    let first = walk.mailed_link(IVY);
    let resent = format!("/invites/{invite}/resend");
    call(walk, "POST", "/invites/{inviteId}/resend", &resent, &Value::Null);
    assert_eq!(walk.ask("GET /invite/{token}", &first, &[], "").status, 404);
    let link = walk.mailed_link(IVY);
    let fields = [("step", "sign_up"), ("name", "Canary Ivy"), ("password", PASSWORD)];
    let joined = walk.answer_to_form("/invite/{token}", &link, &fields);
    assert_eq!(joined.status, 200);
    let ivy = joined.cookie.unwrap();
    call(walk, "GET", "/invites", "/invites", &Value::Null);
    let joes = id(&call(walk, "POST", "/invites", "/invites", &json!({"email": JOE, "role": "admin"})));
    walk.mailed_link(JOE);
    call(walk, "DELETE", "/invites/{inviteId}", &format!("/invites/{joes}"), &Value::Null);
    let members = call(walk, "GET", "/members", "/members", &Value::Null);
    let member = members["data"][1]["id"].as_str().unwrap_or_else(|| panic!("{members}")).to_owned();
    let role = format!("/members/{member}/role");
    call(walk, "PUT", "/members/{memberId}/role", &role, &json!({"role": "manager"}));
    let body = json!({"name": "Canary site", "website": "https://canary.example"});
    let project = format!("/projects/{}", id(&call(walk, "POST", "/projects", "/projects", &body)));
    call(walk, "GET", "/projects", "/projects", &Value::Null);
    call(walk, "GET", "/projects/{projectId}", &project, &Value::Null);
    call(walk, "PUT", "/projects/{projectId}", &project, &json!({"name": "Canary shop"}));
    call(walk, "DELETE", "/projects/{projectId}", &project, &Value::Null);
    let key = id(&walk.as_person("POST /api/auth/api-key/create", &json!({"name": "Canary free"})));
    call(walk, "GET", "/api-keys", "/api-keys", &Value::Null);
    let key = format!("/api-keys/{key}");
    call(walk, "PUT", "/api-keys/{keyId}", &key, &json!({"barred": true}));
    call(walk, "DELETE", "/api-keys/{keyId}", &key, &Value::Null);
    call(walk, "GET", "/mfa", "/mfa", &Value::Null);
    call(walk, "PUT", "/mfa", "/mfa", &json!({"pinnedKeysOnly": true}));
    call(walk, "GET", "/audit-logs", "/audit-logs", &Value::Null);
    call(walk, "GET", "/audit-logs/export", "/audit-logs/export?format=csv", &Value::Null);
    walk.cookie = ivy.clone();
    call(walk, "GET", "/my-membership", "/my-membership", &Value::Null);
    call(walk, "DELETE", "/my-membership", "/my-membership", &Value::Null);
    // She comes back, as an account that exists, and is removed.
    walk.cookie = grace.clone();
    call(walk, "POST", "/invites", "/invites", &new);
    let token = walk.mailed_link(IVY).rsplit('/').next().unwrap().to_owned();
    walk.cookie = ivy.clone();
    let path = format!("/api/user/invites/{token}/accept");
    let joined = walk.as_person_at("POST /api/user/invites/{token}/accept", &path, &Value::Null);
    walk.cookie = grace.clone();
    let path = format!("/members/{}", id(&joined));
    call(walk, "DELETE", "/members/{memberId}", &path, &Value::Null);
    as_the_client_does(walk, &grace, &ivy);
    walk.cookie = grace;
}

/// The same as npm `better-auth/client` calls it.
fn as_the_client_does(walk: &mut Walk, grace: &str, ivy: &str) {
    let call = |walk: &mut Walk, cookie: &str, operation: &str, body: &Value| {
        walk.cookie = cookie.to_owned();
        let (method, name) = operation.split_once(' ').unwrap();
        walk.as_person(&format!("{method} /api/auth/organization/{name}"), body)
    };
    let own = id(&call(walk, grace, "POST create", &json!({"name": "Canary Works"})));
    call(walk, grace, "GET list", &Value::Null);
    call(walk, grace, "POST set-active", &json!({"organizationId": own}));
    call(walk, grace, "POST update", &json!({"data": {"name": "Canary Labs"}}));
    call(walk, grace, "GET get-full-organization", &Value::Null);
    let new = json!({"email": IVY, "role": "member"});
    let invite = id(&call(walk, grace, "POST invite-member", &new));
    walk.mailed_link(IVY);
    call(walk, ivy, "GET list-user-invitations", &Value::Null);
    call(walk, ivy, "POST reject-invitation", &json!({"invitationId": invite}));
    let invite = id(&call(walk, grace, "POST invite-member", &new));
    walk.mailed_link(IVY);
    let joined = call(walk, ivy, "POST accept-invitation", &json!({"invitationId": invite}));
    let member = id(&joined["member"]);
    call(walk, ivy, "GET get-active-member", &Value::Null);
    call(walk, ivy, "GET get-active-member-role", &Value::Null);
    call(walk, grace, "GET list-members", &Value::Null);
    call(walk, grace, "POST update-member-role", &json!({"memberId": member, "role": "owner"}));
    call(walk, ivy, "POST leave", &json!({"organizationId": own}));
    let slug = slug(walk, grace, &own);
    let add = ["member", "add", "--tenant", &slug, "--email", IVY, "--role", "member"];
    assert_eq!(walk.host.run(&add).code, 0);
    call(walk, grace, "POST remove-member", &json!({"memberIdOrEmail": IVY}));
    let invite = id(&call(walk, grace, "POST invite-member", &json!({"email": JOE, "role": "member"})));
    walk.mailed_link(JOE);
    call(walk, grace, "GET list-invitations", &Value::Null);
    call(walk, grace, "POST cancel-invitation", &json!({"invitationId": invite}));
}

/// The slug of an organization.
fn slug(walk: &mut Walk, cookie: &str, organization: &str) -> String {
    walk.cookie = cookie.to_owned();
    let path = format!("/api/user/organizations/{organization}");
    let shown = walk.as_person_at("GET /api/user/organizations/{organizationId}", &path, &Value::Null);
    shown["data"]["slug"].as_str().unwrap().to_owned()
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
    let members = walk.as_script("GET /api/v1/members", &Value::Null);
    let path = format!("/api/v1/members/{}", members["data"][0]["id"].as_str().unwrap());
    walk.ask("GET /api/v1/members/{memberId}", &path, &headers, "");
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
