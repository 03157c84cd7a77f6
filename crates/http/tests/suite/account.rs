//! Signing in to the account surface: passwords, the second factor, sessions, mails that prove an address and
//! set a new password.

use std::time::Duration;

use keystead_domain::second_factor::TotpStep;
use keystead_domain::user::AddressRule;
use keystead_service::{Caller, users};
use keystead_testkit::{Answer, Keystead, TestPerson, both_backends, rate_limits, totp_code};
use serde_json::{Value, json};

const PASSWORD: &str = TestPerson::PASSWORD;
const NEW: &str = "another long enough password";

/// What a browser does: it keeps its cookies.
#[derive(Default)]
pub(crate) struct Browser(Vec<(String, String)>);

impl Browser {
    /// A browser in which a session is signed in.
    pub(crate) fn of(session: &str) -> Self {
        Self::with("__Host-keystead_session", session)
    }

    /// A browser that has this cookie.
    pub(crate) fn with(name: &str, value: &str) -> Self {
        Self(vec![(name.to_owned(), value.to_owned())])
    }

    pub(crate) fn send(&mut self, keystead: &Keystead, method: &str, path: &str, body: &Value) -> Answer {
        let cookies: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut call = keystead.request(method, path).header("cookie", cookies.join("; "));
        if !body.is_null() {
            call = call.json(body);
        }
        let answer = call.send();
        for set in answer.headers("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub(crate) fn post(&mut self, keystead: &Keystead, path: &str, body: &Value) -> Answer {
        self.send(keystead, "POST", &format!("/api/auth/{path}"), body)
    }

    pub(crate) fn get(&mut self, keystead: &Keystead, path: &str) -> Answer {
        self.send(keystead, "GET", &format!("/api/auth/{path}"), &Value::Null)
    }

    fn session(&mut self, keystead: &Keystead) -> Value {
        self.get(keystead, "get-session").expect(200)
    }

    pub(crate) fn sign_in(&mut self, keystead: &Keystead, email: &str, password: &str) -> Answer {
        self.post(keystead, "sign-in/email", &json!({"email": email, "password": password}))
    }
}

/// The path of the link in the newest mail to an address.
pub(crate) fn mailed_link(keystead: &Keystead, address: &str) -> String {
    keystead.deliver();
    let (_, text) = keystead.mailbox.to(address).pop().unwrap();
    let link = text.split_whitespace().find_map(|word| word.strip_prefix("https://id.test"));
    link.unwrap_or_else(|| panic!("no link in {text}")).to_owned()
}

fn token_of(link: &str) -> &str {
    link.rsplit('/').next().unwrap()
}

/// Enrols an authenticator app: its secret, and the backup codes.
pub(crate) fn enrol(keystead: &Keystead, browser: &mut Browser) -> (String, Vec<String>) {
    let begun = browser.post(keystead, "two-factor/enable", &json!({"password": PASSWORD})).expect(200);
    let uri = begun["totpURI"].as_str().unwrap();
    let secret = uri.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
    let codes = begun["backupCodes"].as_array().unwrap();
    let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(browser.session(keystead)["user"]["twoFactorEnabled"], false, "not yet");
    let code = code(keystead, &secret, 0);
    browser.post(keystead, "two-factor/verify-totp", &json!({"code": code})).expect(200);
    (secret, codes)
}

pub(crate) fn code(keystead: &Keystead, secret: &str, steps: i64) -> String {
    let [_, now, _] = TotpStep::accepted(keystead.now());
    totp_code(secret, TotpStep::from_number(now.number() + steps))
}

both_backends! {
    fn signing_in_makes_a_session_and_a_cookie(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        keystead.person("Ada");
        let mut browser = Browser::default();
        for (email, password) in [("ada@example.com", "a wrong password"), ("eve@example.com", PASSWORD)] {
            let refused = browser.sign_in(&keystead, email, password);
            assert_eq!(refused.refusal(401), "INVALID_EMAIL_OR_PASSWORD");
        }
        let answer = browser.sign_in(&keystead, "ADA@example.com", PASSWORD);
        let cookie = answer.header("set-cookie").to_owned();
        let body = answer.expect(200);
        assert_eq!((&body["redirect"], &body["user"]["email"]), (&json!(false), &json!("ada@example.com")));
        assert!(cookie.starts_with(&format!("__Host-keystead_session={}; ", body["token"].as_str().unwrap())));
        assert!(cookie.contains("; HttpOnly; SameSite=Lax; Secure; Max-Age="), "{cookie}");
        assert_eq!(browser.session(&keystead)["user"]["id"], body["user"]["id"]);
        let me = keystead.get("/api/user/me").cookie(body["token"].as_str().unwrap()).send().expect(200);
        assert!(me["data"]["lastLoginAt"].is_string());

        let forgetful = json!({"email": "ada@example.com", "password": PASSWORD, "rememberMe": false});
        let answer = browser.post(&keystead, "sign-in/email", &forgetful);
        assert!(!answer.header("set-cookie").contains("Max-Age"), "{answer:?}");
        let changed = json!({"currentPassword": PASSWORD, "newPassword": NEW});
        let answer = browser.post(&keystead, "change-password", &changed);
        assert!(answer.status == 200 && !answer.header("set-cookie").contains("Max-Age"), "{answer:?}");

        let onward = json!({"email": "ada@example.com", "password": NEW, "callbackURL": "/welcome"});
        let body = browser.post(&keystead, "sign-in/email", &onward).expect(200);
        assert_eq!((&body["redirect"], &body["url"]), (&json!(true), &json!("/welcome")));
        let elsewhere = json!({"email": "ada@example.com", "password": NEW, "callbackURL": "https://evil.test/"});
        assert_eq!(browser.post(&keystead, "sign-in/email", &elsewhere).refusal(403), "INVALID_CALLBACK_URL");
    }

    fn a_locked_account_says_so_to_whoever_knows_the_password(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        users::lock(&keystead.engine, &Caller::host(), &ada.user).unwrap();
        let mut browser = Browser::default();
        assert_eq!(browser.sign_in(&keystead, "ada@example.com", PASSWORD).refusal(401), "USER_NOT_ACTIVE");
        let wrong = browser.sign_in(&keystead, "ada@example.com", "a wrong password");
        assert_eq!(wrong.refusal(401), "INVALID_EMAIL_OR_PASSWORD");
    }

    fn with_a_second_factor_the_password_makes_no_session(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let (secret, backup) = enrol(&keystead, &mut Browser::of(&ada.session));
        keystead.advance(Duration::from_secs(30));

        let mut browser = Browser::default();
        let answer = browser.sign_in(&keystead, "ada@example.com", PASSWORD);
        let cookie = answer.header("set-cookie").to_owned();
        assert!(cookie.starts_with("__Host-keystead_two_factor=step_") && cookie.contains("Max-Age=300"), "{cookie}");
        assert!(cookie.contains("HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        assert_eq!(answer.expect(200), json!({"twoFactorRedirect": true, "twoFactorMethods": ["totp"]}));
        assert_eq!(browser.session(&keystead), Value::Null);

        let verify = |browser: &mut Browser, code: &str| browser.post(&keystead, "two-factor/verify-totp", &json!({"code": code}));
        assert_eq!(verify(&mut browser, "000000").refusal(401), "INVALID_CODE");
        assert_eq!(verify(&mut browser, "nonsense").refusal(401), "INVALID_CODE");
        let right = code(&keystead, &secret, 0);
        let stale = Browser(browser.0.clone());
        let body = verify(&mut browser, &right).expect(200);
        assert!(body["token"].as_str().unwrap().starts_with("sess_"));
        assert_eq!(browser.session(&keystead)["user"]["twoFactorEnabled"], true);
        // The challenge is spent, and so is the code.
        let mut stale = stale;
        assert_eq!(verify(&mut stale, &code(&keystead, &secret, 1)).refusal(401), "INVALID_TWO_FACTOR_COOKIE");

        // A backup code works once.
        let mut browser = Browser::default();
        let with_backup = |browser: &mut Browser, code: &str| {
            browser.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
            browser.post(&keystead, "two-factor/verify-backup-code", &json!({"code": code}))
        };
        with_backup(&mut browser, &backup[0]).expect(200);
        assert!(browser.session(&keystead)["user"].is_object());
        assert_eq!(with_backup(&mut Browser::default(), &backup[0]).refusal(401), "INVALID_CODE");

        // New codes take the place of the old; that and disabling ask for password and code.
        let again = |browser: &mut Browser, path: &str, body: Value| browser.post(&keystead, &format!("two-factor/{path}"), &body);
        let missing = again(&mut browser, "generate-backup-codes", json!({"password": PASSWORD})).expect(400);
        assert_eq!(missing["meta"]["errors"][0]["field"], "code");
        let wrong = again(&mut browser, "disable", json!({"password": "a wrong password", "code": backup[1]}));
        assert_eq!(wrong.refusal(400), "INVALID_PASSWORD");
        let fresh = again(&mut browser, "generate-backup-codes", json!({"password": PASSWORD, "code": backup[1]})).expect(200);
        let fresh = fresh["backupCodes"].as_array().unwrap().clone();
        assert_eq!(fresh.len(), 10);
        assert_eq!(again(&mut browser, "disable", json!({"password": PASSWORD, "code": backup[2]})).refusal(400), "INVALID_CODE");
        again(&mut browser, "disable", json!({"password": PASSWORD, "code": fresh[0]})).expect(200);
        assert_eq!(Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD).expect(200)["redirect"], false);
    }

    fn a_challenge_ends_with_its_time_its_tries_and_the_sessions(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        let (secret, _) = enrol(&keystead, &mut own);
        let challenged = || {
            keystead.advance(Duration::from_secs(60));
            let mut browser = Browser::default();
            browser.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
            browser
        };
        let verify = |browser: &mut Browser, code: String| browser.post(&keystead, "two-factor/verify-totp", &json!({"code": code}));
        let dead = "INVALID_TWO_FACTOR_COOKIE";

        let mut late = challenged();
        keystead.advance(Duration::from_secs(300));
        assert_eq!(verify(&mut late, code(&keystead, &secret, 0)).refusal(401), dead);

        let mut guesser = challenged();
        for _ in 0..5 {
            assert_eq!(verify(&mut guesser, "000000".to_owned()).refusal(401), "INVALID_CODE");
        }
        assert_eq!(verify(&mut guesser, code(&keystead, &secret, 0)).refusal(401), dead);

        let mut ended = challenged();
        own.post(&keystead, "revoke-other-sessions", &json!({})).expect(200);
        assert_eq!(verify(&mut ended, code(&keystead, &secret, 0)).refusal(401), dead);
        assert_eq!(verify(&mut Browser::default(), code(&keystead, &secret, 0)).refusal(401), dead);
    }

    fn sessions_are_listed_and_ended(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, eve) = (keystead.person("Ada"), keystead.person("Eve"));
        let (mut one, mut two) = (Browser::of(&ada.session), Browser::default());
        two.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        let listed = one.get(&keystead, "list-sessions").expect(200);
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 2);
        let id = two.session(&keystead)["session"]["id"].clone();
        assert!(listed.iter().any(|session| session["id"] == id && session["token"] == id), "{listed:?}");
        // The id authenticates nothing, and nobody else ends the session by it.
        assert_eq!(keystead.get("/api/user/me").cookie(id.as_str().unwrap()).send().refusal(401), "INVALID_OR_EXPIRED_TOKEN");
        let revoke = |browser: &mut Browser, id: &Value| browser.post(&keystead, "revoke-session", &json!({"token": id}));
        assert_eq!(revoke(&mut Browser::of(&eve.session), &id).refusal(404), "NOT_FOUND");
        assert_eq!(revoke(&mut one, &json!("nonsense")).refusal(404), "NOT_FOUND");
        assert_eq!(revoke(&mut one, &id).expect(200), json!({"status": true}));
        assert_eq!(two.session(&keystead), Value::Null);

        two.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        one.post(&keystead, "revoke-other-sessions", &json!({})).expect(200);
        assert_eq!(two.session(&keystead), Value::Null);
        assert!(one.session(&keystead).is_object());
        two.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        let answer = two.post(&keystead, "revoke-sessions", &json!({}));
        assert!(answer.header("set-cookie").contains("Max-Age=0"));
        assert_eq!([one.session(&keystead), two.session(&keystead)], [Value::Null, Value::Null]);
    }

    fn changing_the_password_gives_the_session_another_token(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let (mut one, mut two) = (Browser::of(&ada.session), Browser::default());
        two.sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        let change = |browser: &mut Browser, current: &str, new: &str, others: bool| {
            let body = json!({"currentPassword": current, "newPassword": new, "revokeOtherSessions": others});
            browser.post(&keystead, "change-password", &body)
        };
        assert_eq!(change(&mut one, "a wrong password", NEW, false).refusal(400), "INVALID_PASSWORD");
        assert_eq!(change(&mut one, PASSWORD, "short", false).refusal(400), "PASSWORD_TOO_SHORT");
        let id = one.session(&keystead)["session"]["id"].clone();
        let body = change(&mut one, PASSWORD, NEW, false).expect(200);
        assert!(body["token"].as_str().unwrap().starts_with("sess_") && body["token"] != json!(ada.session));
        assert_eq!(one.session(&keystead)["session"]["id"], id, "it goes on");
        assert_eq!(Browser::of(&ada.session).session(&keystead), Value::Null, "the old token is no good");
        assert!(two.session(&keystead).is_object());
        change(&mut one, NEW, PASSWORD, true).expect(200);
        assert_eq!(two.session(&keystead), Value::Null);
        assert!(one.session(&keystead).is_object());
    }

    fn limits_count_for_the_network_and_for_the_address(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.rate_limits = Some(rate_limits()));
        let sign_in = |n: usize, from: &str| {
            let body = json!({"email": format!("nobody{n}@example.com"), "password": PASSWORD});
            keystead.post("/api/auth/sign-in/email").from(from).json(&body).send()
        };
        for n in 0..5 {
            assert_eq!(sign_in(n, "203.0.113.1").refusal(401), "INVALID_EMAIL_OR_PASSWORD");
        }
        let limited = sign_in(5, "203.0.113.1");
        assert!(!limited.header("retry-after").is_empty());
        assert_eq!(limited.refusal(429), "RATE_LIMIT_ERROR");
        assert_eq!(sign_in(0, "203.0.113.2").refusal(401), "INVALID_EMAIL_OR_PASSWORD");
        for n in 0..4 {
            let body = json!({"email": format!("new{n}@example.com"), "password": PASSWORD, "name": "New"});
            let answer = keystead.post("/api/auth/sign-up/email").from("203.0.113.3").json(&body).send();
            assert_eq!(answer.status, if n < 3 { 200 } else { 429 });
        }
    }

    fn pages_at_trusted_origins_may_call_and_no_others(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let preflight = |path: &str, origin: &str| {
            keystead.request("OPTIONS", path).header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type").send()
        };
        for path in ["/api/auth/sign-in/email", "/api/user/me"] {
            let answer = preflight(path, "https://app.test");
            assert_eq!(answer.status, 204, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "https://app.test");
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
            assert!(answer.header("access-control-allow-methods").contains("POST"));
            assert!(answer.header("access-control-allow-headers").contains("content-type"));
            assert!(answer.headers("vary").iter().any(|vary| vary.eq_ignore_ascii_case("origin")));
            let strange = preflight(path, "https://evil.test");
            assert_eq!((strange.status, strange.header("access-control-allow-origin")), (405, ""));
        }
        let elsewhere = preflight("/v2/auth/login", "https://app.test");
        assert_eq!(elsewhere.header("access-control-allow-origin"), "");
        let read = keystead.get("/api/auth/get-session").header("origin", "https://app.test").send();
        assert_eq!(read.header("access-control-allow-origin"), "https://app.test");
        assert_eq!(read.header("access-control-allow-credentials"), "true");
    }

    fn an_address_is_proven_by_the_link_in_the_browser_that_signed_up(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        let (_, _) = enrol(&keystead, &mut own);
        let key = |session: &str| crate::people::key(&keystead, &TestPerson { session: session.to_owned(), ..clone(&ada) }, &json!({"name": "CI"}));
        let kept = key(&ada.session);
        keystead.advance(Duration::from_secs(60));
        let link = mailed_link(&keystead, "ada@example.com");
        assert!(link.starts_with("/verify/link_"), "{link}");
        let looked = own.send(&keystead, "HEAD", &link, &Value::Null);
        assert_eq!((looked.status, own.session(&keystead)["user"]["emailVerified"].clone()), (200, json!(false)));
        assert_eq!(own.send(&keystead, "GET", &link, &Value::Null).status, 200);
        let session = own.session(&keystead);
        assert_eq!((&session["user"]["emailVerified"], &session["user"]["twoFactorEnabled"]), (&json!(true), &json!(true)));
        assert_eq!(keystead.get("/api/user/me").key(&kept).send().status, 200);
        // The password stays, and the link is spent.
        assert_eq!(Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD).expect(200)["twoFactorRedirect"], true);
        assert_eq!(own.send(&keystead, "GET", &link, &Value::Null).status, 404);
    }

    fn proven_elsewhere_nothing_that_was_made_before_opens_the_account(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let key = crate::people::key(&keystead, &ada, &json!({"name": "CI"}));
        enrol(&keystead, &mut Browser::of(&ada.session));
        let link = mailed_link(&keystead, "ada@example.com");
        let page = Browser::default().send(&keystead, "GET", &link, &Value::Null);
        let html = String::from_utf8(page.body.clone()).unwrap();
        assert!(page.status == 200 && html.contains("Set a new password"), "{html}");
        assert_eq!(Browser::of(&ada.session).session(&keystead), Value::Null);
        assert_eq!(keystead.get("/api/user/me").key(&key).send().refusal(401), "INVALID_API_KEY");
        let old = Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD);
        assert_eq!(old.refusal(401), "INVALID_EMAIL_OR_PASSWORD");

        // The page sets a new password, and the second factor is gone.
        let (pre, token) = (page.header("set-cookie").split(';').next().unwrap().to_owned(), attribute(&html, "name=\"form_token\" value=\""));
        let form = format!("new_password=another+long+enough+password&form_token={token}");
        let set = keystead.post(&attribute(&html, "action=\"")).header("cookie", &pre).header("origin", "https://id.test").form(&form).send();
        assert_eq!(set.status, 200, "{set:?}");
        assert_eq!(Browser::default().sign_in(&keystead, "ada@example.com", NEW).expect(200)["user"]["emailVerified"], true);
    }

    fn an_address_is_proven_by_the_code(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        let code = keystead.code_for("ada@example.com");
        let verify = |browser: &mut Browser, code: &str| browser.post(&keystead, "verify-email", &json!({"email": "ada@example.com", "code": code}));
        let wrong = if code == "000000" { "111111" } else { "000000" };
        for _ in 0..4 {
            assert_eq!(verify(&mut own, wrong).refusal(400), "INVALID_CODE");
        }
        let body = verify(&mut own, &code).expect(200);
        assert_eq!((&body["status"], &body["token"], &body["user"]["emailVerified"]), (&json!(true), &Value::Null, &json!(true)));
        assert!(own.session(&keystead).is_object());
        Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        assert_eq!(verify(&mut own, &code).refusal(400), "INVALID_CODE");

        // A new mail makes the old one useless; one that is tried out is no good.
        let eve = keystead.person("Eve");
        let old = keystead.code_for("eve@example.com");
        let ask = json!({"email": "eve@example.com"});
        keystead.advance(Duration::from_secs(1));
        own.post(&keystead, "send-verification-email", &ask).expect(200);
        let new = keystead.code_for("eve@example.com");
        let mut eves = Browser::of(&eve.session);
        let verify = |browser: &mut Browser, code: &str| browser.post(&keystead, "verify-email", &json!({"email": "eve@example.com", "code": code}));
        if old != new {
            assert_eq!(verify(&mut eves, &old).refusal(400), "INVALID_CODE");
        }
        let wrong = if new == "000000" { "111111" } else { "000000" };
        for _ in 0..5 {
            verify(&mut eves, wrong);
        }
        assert_eq!(verify(&mut eves, &new).refusal(400), "INVALID_CODE");
        // Nobody is told whether there is an account.
        let mailed = keystead.mailbox.len();
        for nobody in ["ada@example.com", "nobody@example.com"] {
            assert_eq!(own.post(&keystead, "send-verification-email", &json!({"email": nobody})).expect(200), json!({"status": true}));
        }
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), mailed);
    }

    fn better_auths_link_leads_on(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let body = json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada", "callbackURL": "https://app.test/in"});
        let mut own = Browser::default();
        own.post(&keystead, "sign-up/email", &body).expect(200);
        let link = mailed_link(&keystead, "ada@example.com");
        let (path, query) = link.split_once('?').unwrap();
        let token = token_of(path);
        let led = own.get(&keystead, &format!("verify-email?token=wrong&{query}"));
        assert_eq!((led.status, led.header("location")), (302, "https://app.test/in?error=INVALID_TOKEN"));
        assert_eq!(own.get(&keystead, "verify-email?token=wrong").refusal(400), "INVALID_TOKEN");
        let evil = own.get(&keystead, &format!("verify-email?token={token}&callbackURL=https%3A%2F%2Fevil.test"));
        assert_eq!(evil.refusal(403), "INVALID_CALLBACK_URL");
        let led = own.get(&keystead, &format!("verify-email?token={token}&{query}"));
        assert_eq!((led.status, led.header("location")), (302, "https://app.test/in"));
        assert_eq!(own.session(&keystead)["user"]["emailVerified"], true);
    }

    fn where_addresses_come_first_nothing_tells_whether_one_is_taken(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.people_addresses = AddressRule::Verified);
        let sign_up = |email: &str, password: &str| {
            let body = json!({"email": email, "password": password, "name": "Ada"});
            keystead.post("/api/auth/sign-up/email").json(&body).send()
        };
        let first = sign_up("ada@example.com", PASSWORD);
        assert_eq!(first.header("set-cookie"), "");
        let first = first.expect(200);
        assert_eq!((&first["token"], &first["user"]["email"]), (&Value::Null, &json!("ada@example.com")));
        let mut browser = Browser::default();
        assert_eq!(browser.sign_in(&keystead, "ada@example.com", "a wrong password").refusal(401), "INVALID_EMAIL_OR_PASSWORD");
        assert_eq!(browser.sign_in(&keystead, "ada@example.com", PASSWORD).refusal(403), "EMAIL_NOT_VERIFIED");
        let code = keystead.code_for("ada@example.com");
        let body = browser.post(&keystead, "verify-email", &json!({"email": "ada@example.com", "code": code})).expect(200);
        assert_eq!(body["user"]["id"], first["user"]["id"]);
        assert!(body["token"].as_str().unwrap().starts_with("sess_"));
        let me = browser.send(&keystead, "GET", "/api/user/me", &Value::Null).expect(200);
        assert_eq!((&me["data"]["isVerified"], &me["data"]["organizationCount"]), (&json!(true), &json!(1)));

        let taken = sign_up("ada@example.com", NEW);
        assert_eq!(taken.header("set-cookie"), "");
        let taken = taken.expect(200);
        let members = |body: &Value| body["user"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((&taken["token"], members(&taken)), (&Value::Null, members(&first)));
        keystead.deliver();
        assert!(keystead.mailbox.to("ada@example.com").pop().unwrap().0.contains("already have an account"));

        // By link, whoever opens it did not show that it signed up: it sets a password of its own.
        sign_up("bob@example.com", PASSWORD).expect(200);
        let link = mailed_link(&keystead, "bob@example.com");
        assert_eq!(Browser::default().send(&keystead, "GET", &link, &Value::Null).status, 200);
        assert_eq!(Browser::default().sign_in(&keystead, "bob@example.com", PASSWORD).refusal(401), "INVALID_EMAIL_OR_PASSWORD");
    }

    fn a_forgotten_password_is_set_by_link(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        own.send(&keystead, "GET", &mailed_link(&keystead, "ada@example.com"), &Value::Null);
        let (secret, _) = enrol(&keystead, &mut own);
        let key = crate::people::key(&keystead, &ada, &json!({"name": "CI of Ada"}));
        let mut stranger = Browser::default();
        for email in ["ada@example.com", "nobody@example.com"] {
            let asked = stranger.post(&keystead, "request-password-reset", &json!({"email": email})).expect(200);
            assert_eq!(asked, json!({"status": true}));
        }
        let link = mailed_link(&keystead, "ada@example.com");
        assert!(keystead.mailbox.to("nobody@example.com").is_empty());
        assert!(link.starts_with("/reset/link_"), "{link}");
        let reset = |token: &str, password: &str| Browser::default().post(&keystead, "reset-password", &json!({"newPassword": password, "token": token}));
        assert_eq!(reset("link_wrong", NEW).refusal(400), "INVALID_TOKEN");
        assert_eq!(reset(token_of(&link), "short").refusal(400), "PASSWORD_TOO_SHORT");
        let done = reset(token_of(&link), NEW);
        assert_eq!((done.header("set-cookie"), done.status), ("", 200));
        assert_eq!(reset(token_of(&link), PASSWORD).refusal(400), "INVALID_TOKEN", "it is spent");
        assert_eq!(own.session(&keystead), Value::Null);
        assert_eq!(keystead.get("/api/user/me").key(&key).send().status, 200, "keys stay");
        keystead.deliver();
        let (_, text) = keystead.mailbox.to("ada@example.com").pop().unwrap();
        assert!(text.contains("CI of Ada") && text.contains(&key[..20]) && !text.contains(&key), "{text}");
        keystead.advance(Duration::from_secs(60));
        let signed_in = stranger.sign_in(&keystead, "ada@example.com", NEW).expect(200);
        assert_eq!(signed_in["twoFactorRedirect"], true, "it does not skip the second factor");
        stranger.post(&keystead, "two-factor/verify-totp", &json!({"code": code(&keystead, &secret, 0)})).expect(200);
    }

    fn a_reset_page_works_as_a_form_and_leads_on(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let key = crate::people::key(&keystead, &ada, &json!({"name": "CI"}));
        let ask = |body: Value| Browser::default().post(&keystead, "request-password-reset", &body);
        let evil = ask(json!({"email": "ada@example.com", "redirectTo": "https://evil.test/"}));
        assert_eq!(evil.refusal(403), "INVALID_REDIRECT_URL");
        ask(json!({"email": "ada@example.com", "redirectTo": "https://app.test/set"})).expect(200);
        let link = mailed_link(&keystead, "ada@example.com");
        let led = keystead.get(&link).send();
        let token = token_of(link.split('?').next().unwrap());
        assert_eq!((led.status, led.header("location")), (303, &*format!("https://app.test/set?token={token}")));

        let path = format!("/reset/{token}");
        let page = keystead.get(&path).send();
        let html = String::from_utf8(page.body.clone()).unwrap();
        let (pre, form_token) = (page.header("set-cookie").split(';').next().unwrap().to_owned(), attribute(&html, "name=\"form_token\" value=\""));
        let send = |password: &str| {
            let form = format!("new_password={password}&form_token={form_token}");
            keystead.post(&path).header("cookie", &pre).header("origin", "https://id.test").form(&form).send()
        };
        assert_eq!(send("short").status, 422);
        assert_eq!(send("another+long+enough+password").status, 200);
        assert_eq!(send("another+long+enough+password").status, 404);
        let body = Browser::default().sign_in(&keystead, "ada@example.com", NEW).expect(200);
        assert_eq!(body["user"]["emailVerified"], true, "whoever has the link reads the mail");
        // The address had not been proven, so all that was made before is gone.
        assert_eq!(keystead.get("/api/user/me").key(&key).send().refusal(401), "INVALID_API_KEY");
    }

    fn an_address_is_changed_from_the_new_one_and_can_be_taken_back(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        own.post(&keystead, "change-email", &json!({"newEmail": "ada@new.example", "callbackURL": "/"})).expect(200);
        let confirm = mailed_link(&keystead, "ada@new.example");
        let follow = |link: &str| {
            let page = keystead.get(link).send();
            let html = String::from_utf8(page.body.clone()).unwrap();
            let form = format!("form_token={}", attribute(&html, "name=\"form_token\" value=\""));
            let pre = page.header("set-cookie").split(';').next().unwrap().to_owned();
            keystead.post(link).header("cookie", pre).header("origin", "https://id.test").form(&form).send().status
        };
        assert_eq!(follow(&confirm), 200);
        assert_eq!(own.session(&keystead)["user"]["email"], "ada@new.example");
        let later = crate::people::key(&keystead, &ada, &json!({"name": "later"}));
        assert_eq!(follow(&mailed_link(&keystead, "ada@example.com")), 200);
        assert_eq!(own.session(&keystead), Value::Null);
        assert_eq!(keystead.get("/api/user/me").key(&later).send().refusal(401), "INVALID_API_KEY");
        assert_eq!(Browser::default().sign_in(&keystead, "ada@new.example", PASSWORD).refusal(401), "INVALID_EMAIL_OR_PASSWORD");

        let eve = keystead.person("Eve");
        let mut eves = Browser::of(&eve.session);
        keystead.advance(Duration::from_secs(601));
        let bare = json!({"newEmail": "eve@new.example"});
        assert_eq!(eves.post(&keystead, "change-email", &bare).refusal(403), "SESSION_NOT_FRESH");
        let with = |password: &str| json!({"newEmail": "eve@new.example", "password": password});
        assert_eq!(eves.post(&keystead, "change-email", &with("a wrong password")).refusal(400), "INVALID_PASSWORD");
        eves.post(&keystead, "change-email", &with(PASSWORD)).expect(200);
        assert!(mailed_link(&keystead, "eve@new.example").starts_with("/confirm-address/"));
    }

    fn an_account_ends_with_the_organizations_that_are_its_own(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let mut own = Browser::of(&ada.session);
        own.post(&keystead, "update-user", &json!({"name": "Ada Lovelace"})).expect(200);
        assert_eq!(own.session(&keystead)["user"]["name"], "Ada Lovelace");
        let key = crate::people::key(&keystead, &ada, &json!({"name": "CI"}));
        let end = |browser: &mut Browser, password: &str| browser.send(&keystead, "DELETE", "/api/user/me", &json!({"password": password}));
        assert_eq!(end(&mut own, "a wrong password").refusal(400), "INVALID_PASSWORD");
        assert_eq!(keystead.request("DELETE", "/api/user/me").key(&key).json(&json!({"password": PASSWORD})).send().refusal(403), "FORBIDDEN");
        let answer = end(&mut own, PASSWORD);
        assert!(answer.header("set-cookie").contains("Max-Age=0"));
        assert_eq!(answer.expect(200)["success"], true);
        assert_eq!(keystead.get("/api/user/me").key(&key).send().refusal(401), "INVALID_API_KEY");
        assert!(keystead_service::tenants::list(&keystead.engine, &Caller::host()).unwrap().is_empty());
        assert_eq!(Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD).refusal(401), "INVALID_EMAIL_OR_PASSWORD");

        let bob = keystead.person("Bob");
        let body = Browser::of(&bob.session).post(&keystead, "delete-user", &json!({"password": PASSWORD})).expect(200);
        assert_eq!(body, json!({"success": true, "message": "User deleted"}));
    }

    fn a_person_sees_where_it_signed_in_and_takes_its_data_along(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, _eve) = (keystead.person("Ada"), keystead.person("Eve"));
        let mut own = Browser::of(&ada.session);
        keystead.advance(Duration::from_secs(1));
        Browser::default().sign_in(&keystead, "ada@example.com", "a wrong password");
        for _ in 0..2 {
            keystead.advance(Duration::from_secs(1));
            Browser::default().sign_in(&keystead, "ada@example.com", PASSWORD).expect(200);
        }
        let page = |browser: &mut Browser, query: &str| browser.send(&keystead, "GET", &format!("/api/user/me/login-history{query}"), &Value::Null);
        let all = page(&mut own, "").expect(200);
        let succeeded: Vec<_> = all["data"].as_array().unwrap().iter().map(|one| one["succeeded"].as_bool().unwrap()).collect();
        assert_eq!(succeeded, [true, true, false, true], "the newest first; the last is the sign-up's");
        assert_eq!(all["meta"]["pagination"], json!({"page": 1, "limit": 20, "total": 4, "totalPages": 1}));
        let second = page(&mut own, "?page=2&limit=3").expect(200);
        assert_eq!((second["data"].as_array().unwrap().len(), &second["meta"]["pagination"]["totalPages"]), (1, &json!(2)));
        for bad in ["?page=0", "?limit=101", "?page=x"] {
            assert_eq!(page(&mut own, bad).refusal(400), "VALIDATION_ERROR");
        }
        let export = own.send(&keystead, "GET", "/api/user/me/export", &Value::Null);
        assert!(export.header("content-disposition").starts_with("attachment"));
        let export = export.expect(200);
        let data = &export["data"];
        assert_eq!((&data["user"]["email"], &data["memberships"][0]["role"]), (&json!("ada@example.com"), &json!("owner")));
        assert_eq!((data["sessions"].as_array().unwrap().len(), data["loginHistory"].as_array().unwrap().len()), (3, 4));
    }

    fn how_one_signs_in_is_the_same_for_every_address(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        keystead.person("Ada");
        let [known, unknown] = ["ada@example.com", "nobody@example.com"]
            .map(|email| Browser::default().post(&keystead, "identify", &json!({"email": email})).expect(200));
        let expected = json!({"method": "password", "ssoProvider": null, "ssoRedirectUrl": null, "hasPasskey": false, "allowMagicLink": false});
        assert_eq!((known, unknown), (expected.clone(), expected));
    }
}

/// What stands between `before` and the next quotation mark.
fn attribute(html: &str, before: &str) -> String {
    html.split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {html}"))
        .1
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

fn clone(person: &TestPerson) -> TestPerson {
    TestPerson { user: person.user.clone(), tenant: person.tenant.clone(), session: person.session.clone() }
}
