//! Browsers that have signed somebody in before do not wait for what fails elsewhere.

use std::time::Duration;

use keystead_service::{Caller, users};
use keystead_testkit::{Keystead, TestDatabase, TestPerson, both_backends, only_slowdown};
use serde_json::json;

use crate::account::{Browser, code, enrol};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = TestPerson::PASSWORD;
const WRONG: &str = "a wrong password";

fn slowed(database: &TestDatabase) -> Keystead {
    Keystead::with(database, |settings| settings.rate_limits = Some(only_slowdown()))
}

/// The ways in which a browser's tries to sign in end, one after the other.
fn tries(keystead: &Keystead, browser: &mut Browser, passwords: &[&str]) -> Vec<u16> {
    passwords.iter().map(|password| browser.sign_in(keystead, ADA, password).status).collect()
}

/// Somebody guesses until everybody has to wait.
fn guess(keystead: &Keystead) {
    assert_eq!(tries(keystead, &mut Browser::default(), &[WRONG; 7]), [401, 401, 401, 401, 401, 401, 429]);
}

/// A browser that has signed Ada in, and out again.
fn known(keystead: &Keystead) -> Browser {
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(keystead, ADA, PASSWORD).status, 200);
    browser.post(keystead, "sign-out", &json!({})).expect(200);
    browser
}

both_backends! {
    fn the_cookie_is_given_once_and_stays_when_the_session_ends(database: TestDatabase) {
        let keystead = slowed(&database);
        keystead.person("Ada");
        let mut browser = Browser::default();
        let given = browser.sign_in(&keystead, ADA, PASSWORD);
        let device = given.headers("set-cookie").into_iter().find(|set| set.contains("device")).unwrap().to_owned();
        assert!(device.starts_with("__Host-keystead_device=dev_"), "{device}");
        assert!(device.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=15552000"), "{device}");
        let out = browser.post(&keystead, "sign-out", &json!({}));
        assert!(!out.headers("set-cookie").iter().any(|set| set.contains("device")));
        let again = browser.sign_in(&keystead, ADA, PASSWORD);
        assert!(!again.headers("set-cookie").iter().any(|set| set.contains("device")), "it has it already");
        let shared = json!({"email": ADA, "password": PASSWORD, "rememberMe": false});
        let forgetful = Browser::default().post(&keystead, "sign-in/email", &shared);
        assert!(!forgetful.headers("set-cookie").iter().any(|set| set.contains("device")), "it is to forget Ada");
    }

    fn it_signs_in_while_somebody_else_guesses(database: TestDatabase) {
        let keystead = slowed(&database);
        keystead.person("Ada");
        let mut own = known(&keystead);
        guess(&keystead);
        assert_eq!(tries(&keystead, &mut own, &[WRONG, PASSWORD]), [401, 200]);
        let change = json!({"currentPassword": PASSWORD, "newPassword": "another long enough password"});
        assert_eq!(own.post(&keystead, "change-password", &change).status, 200, "so does what asks for the password");
        assert_eq!(tries(&keystead, &mut Browser::default(), &[PASSWORD]), [429], "who guesses goes on waiting");
    }

    fn it_stands_five_failures_until_it_signs_in_again(database: TestDatabase) {
        let keystead = slowed(&database);
        keystead.person("Ada");
        let mut own = known(&keystead);
        guess(&keystead);
        assert_eq!(tries(&keystead, &mut own, &[WRONG, WRONG, WRONG, WRONG, PASSWORD, WRONG, WRONG]), [401, 401, 401, 401, 200, 401, 401]);
        assert_eq!(tries(&keystead, &mut own, &[WRONG, WRONG, WRONG, PASSWORD]), [401, 401, 401, 429], "then it waits like others");
        keystead.advance(Duration::from_secs(1));
        assert_eq!(tries(&keystead, &mut own, &[PASSWORD]), [200]);
        guess(&keystead);
        assert_eq!(tries(&keystead, &mut own, &[WRONG, PASSWORD]), [401, 200]);
    }

    fn it_is_of_use_to_its_own_user_alone(database: TestDatabase) {
        let keystead = slowed(&database);
        keystead.person("Ada");
        keystead.person("Eve");
        let mut of_eve = Browser::default();
        assert_eq!(of_eve.sign_in(&keystead, "eve@example.com", PASSWORD).status, 200);
        guess(&keystead);
        assert_eq!(tries(&keystead, &mut of_eve, &[PASSWORD]), [429]);
        let mut forged = Browser::with("__Host-keystead_device", "dev_0000000000000000000000000000");
        assert_eq!(tries(&keystead, &mut forged, &[PASSWORD]), [429]);
    }

    fn it_covers_the_second_factor(database: TestDatabase) {
        let keystead = slowed(&database);
        keystead.person("Ada");
        let mut own = Browser::default();
        own.sign_in(&keystead, ADA, PASSWORD).expect(200);
        let (secret, _) = enrol(&keystead, &mut own);
        own.post(&keystead, "sign-out", &json!({})).expect(200);
        keystead.advance(Duration::from_secs(60));
        guess(&keystead);
        let awaited = own.sign_in(&keystead, ADA, PASSWORD).expect(200);
        assert_eq!(awaited["twoFactorRedirect"], true);
        own.post(&keystead, "two-factor/verify-totp", &json!({"code": code(&keystead, &secret, 0)})).expect(200);
    }

    fn it_is_forgotten_with_all_sessions_and_after_half_a_year(database: TestDatabase) {
        let keystead = slowed(&database);
        let ada = keystead.person("Ada");
        let (mut before, mut other) = (known(&keystead), known(&keystead));
        let change = json!({"currentPassword": PASSWORD, "newPassword": "another long enough password"});
        before.sign_in(&keystead, ADA, PASSWORD).expect(200);
        before.post(&keystead, "change-password", &change).expect(200);
        guess(&keystead);
        for browser in [&mut before, &mut other] {
            assert_eq!(tries(&keystead, browser, &["another long enough password"]), [429]);
        }
        keystead.advance(Duration::from_secs(24 * 3600));
        let mut own = Browser::default();
        own.sign_in(&keystead, ADA, "another long enough password").expect(200);
        keystead.advance(Duration::from_secs(180 * 24 * 3600));
        guess(&keystead);
        assert_eq!(tries(&keystead, &mut own, &["another long enough password"]), [429]);
        users::lock(&keystead.engine, &Caller::host(), &ada.user).unwrap();
    }

    fn an_api_key_and_an_app_have_none(database: TestDatabase) {
        let keystead = slowed(&database);
        let tenant = keystead.tenant("Acme");
        let token = keystead.token(&tenant.client_id, &tenant.client_secret);
        let body = json!({"email": ADA, "password": WRONG});
        let own = known_cookie(&keystead);
        let sign_in = || keystead.post("/v2/auth/login").bearer(&token).header("cookie", own.clone()).json(&body).send().status;
        assert_eq!((0..7).map(|_| sign_in()).collect::<Vec<_>>(), [401, 401, 401, 401, 401, 401, 429]);
    }
}

/// The cookie of a browser that has signed Ada of the platform in.
fn known_cookie(keystead: &Keystead) -> String {
    keystead.person("Ada");
    let answer = Browser::default().sign_in(keystead, ADA, PASSWORD);
    let sets = answer.headers("set-cookie");
    let set = sets.iter().find(|set| set.contains("device")).unwrap();
    set.split(';').next().unwrap().to_owned()
}
