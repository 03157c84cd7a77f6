//! A second tenant's app with the first one's users, on every endpoint: it reaches none of them,
//! and cannot tell that they exist.

use keystead_service::access_requests::{self, Terms};
use keystead_service::{Arrival, Caller, address_changes, claims};
use keystead_testkit::{Keystead, both_backends};
use serde_json::{Value, json};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

both_backends! {
    fn a_second_tenants_app_cannot_reach_the_first_ones_users(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, other) = (keystead.tenant("Acme"), keystead.tenant("Other"));
        let mine = keystead.token(&acme.client_id, &acme.client_secret);
        let theirs = keystead.token(&other.client_id, &other.client_secret);
        let post = |token: &str, path: &str, body: Value| keystead.post(path).bearer(token).json(&body).send();
        let signup = json!({"email": ADA, "password": PASSWORD});
        let login = signup.clone();

        // A sign-up of mine that waits: they cannot confirm it, have its code sent, or learn of it.
        post(&mine, "/v2/auth/signup", signup.clone()).expect(201);
        let code = keystead.code_for(ADA);
        let confirm = json!({"email": ADA, "code": code});
        assert_eq!(post(&theirs, "/v2/auth/verify-email", confirm.clone()).problem(422), "invalid_code");
        assert_eq!(post(&theirs, "/v2/auth/login", login.clone()).problem(401), "invalid_credentials");
        post(&theirs, "/v2/auth/resend-otp", json!({"email": ADA})).expect(202);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 1);

        // A user of mine: they cannot sign it in, see its session or end it.
        let session = post(&mine, "/v2/auth/verify-email", confirm).expect(200);
        let session = session["session_token"].as_str().unwrap();
        assert_eq!(post(&theirs, "/v2/auth/login", login.clone()).problem(401), "invalid_credentials");
        let me = |token: &str| keystead.get("/v2/auth/me").bearer(token).session(session).send();
        assert_eq!(me(&theirs).problem(401), "invalid_session");
        for body in [json!({}), json!({"all": true})] {
            let revoke = keystead.post("/v2/auth/sessions/revoke").bearer(&theirs).session(session).json(&body);
            assert_eq!(revoke.send().problem(401), "invalid_session");
        }

        post(&theirs, "/v2/auth/password-reset/request", json!({"email": ADA})).expect(202);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 1);
        post(&mine, "/v2/auth/password-reset/request", json!({"email": ADA})).expect(202);
        let reset = json!({"email": ADA, "code": keystead.code_for(ADA), "new_password": "a stranger's new one"});
        assert_eq!(post(&theirs, "/v2/auth/password-reset/confirm", reset).problem(422), "invalid_code");
        for (method, path) in [
            ("GET", "/v2/auth/sessions"),
            ("PATCH", "/v2/auth/me"),
            ("DELETE", "/v2/auth/me"),
            ("POST", "/v2/auth/password/change"),
            ("POST", "/v2/auth/mfa/totp/enroll"),
            ("POST", "/v2/auth/mfa/totp/confirm"),
            ("POST", "/v2/auth/mfa/totp/disable"),
            ("POST", "/v2/auth/mfa/recovery-codes"),
        ] {
            let body = json!({"current_password": PASSWORD, "new_password": "a stranger's new one", "name": "Eve", "email": "eve@example.com", "code": "1"});
            let answer = keystead.request(method, path).bearer(&theirs).session(session).json(&body).send();
            assert_eq!(answer.problem(401), "invalid_session", "{method} {path}");
        }

        // Their own user of the same address is somebody else, before and after.
        post(&theirs, "/v2/auth/signup", json!({"email": ADA, "password": "an entirely different one"})).expect(201);
        let their_code = keystead.code_for(ADA);
        assert_eq!(post(&mine, "/v2/auth/verify-email", json!({"email": ADA, "code": their_code})).problem(422), "invalid_code");
        let their_user = post(&theirs, "/v2/auth/verify-email", json!({"email": ADA, "code": their_code})).expect(200);
        let my_user = me(&mine).expect(200);
        assert_ne!(my_user["user_id"], their_user["user_id"]);
        let their_session = their_user["session_token"].as_str().unwrap();
        let all = keystead.post("/v2/auth/sessions/revoke").bearer(&theirs).session(their_session);
        assert_eq!(all.json(&json!({"all": true})).send().status, 204);
        me(&mine).expect(200);
        assert_eq!(post(&theirs, "/v2/auth/login", login.clone()).problem(401), "invalid_credentials", "my password");
        post(&mine, "/v2/auth/login", login).expect(200);

        // And their app is told about their tenant only.
        let app = keystead.get("/v2/apps/me").bearer(&theirs).send().expect(200);
        assert_eq!(app["slug"], "other");
    }

    fn a_change_of_address_concerns_its_own_directory_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let new = "ada@new.example";
        let link = |address: &str| {
            keystead.deliver();
            let (_, text) = keystead.mailbox.to(address).pop().unwrap();
            text.split_whitespace().find(|word| word.contains("-address/link_")).map(|word| word.rsplit('/').next().unwrap().to_owned())
        };
        let [mine, theirs] = ["Acme", "Other"].map(|name| {
            let tenant = keystead.tenant(name);
            let token = keystead.token(&tenant.client_id, &tenant.client_secret);
            let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();
            post("/v2/auth/signup", json!({"email": ADA, "password": PASSWORD})).expect(201);
            let user = post("/v2/auth/verify-email", json!({"email": ADA, "code": keystead.code_for(ADA)})).expect(200);
            (token.clone(), user["session_token"].as_str().unwrap().to_owned())
        });
        let ask = |(token, session): &(String, String)| {
            let body = json!({"current_password": PASSWORD, "email": new});
            keystead.request("PATCH", "/v2/auth/me").bearer(token).session(session).json(&body).send().expect(200);
        };
        let email = |(token, session): &(String, String)| keystead.get("/v2/auth/me").bearer(token).session(session).send().expect(200)["email"].clone();
        let visitor = Caller::visitor(Arrival::default());

        ask(&theirs);
        let their_link = link(new).unwrap();
        ask(&mine);
        let my_link = link(new).unwrap();
        address_changes::confirm(&keystead.engine, &visitor, &my_link).unwrap();
        assert_eq!((email(&mine), email(&theirs)), (json!(new), json!(ADA)), "theirs stays");
        let my_undo = link(ADA).unwrap();
        // What is kept for my user, and taken by it, is neither for theirs.
        address_changes::confirm(&keystead.engine, &visitor, &their_link).unwrap();
        assert_eq!(email(&theirs), new);
        address_changes::undo(&keystead.engine, &visitor, &my_undo).unwrap();
        assert_eq!(email(&theirs), new, "and their session goes on");
    }

    fn a_one_time_link_leads_to_its_own_tenants_app_and_leaves_the_others_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let approve = |company: &str, contact: &str| {
            let body = json!({"company": company, "contact_email": contact, "intended_use": "To sign in."});
            let answer = keystead.post("/v2/access-requests").json(&body).send().expect(202);
            let id = answer["request_id"].as_str().unwrap().parse().unwrap();
            access_requests::approve(&keystead.engine, &host, id, Terms::default()).unwrap();
            id
        };
        let link = |contact: &str| {
            keystead.deliver();
            let (_, text) = keystead.mailbox.to(contact).pop().unwrap();
            text.split_whitespace().find_map(|word| word.strip_prefix("https://id.test/claim/")).unwrap().to_owned()
        };
        let claim = |token: &str| claims::redeem(&keystead.engine, &Caller::visitor(Arrival::default()), token);
        approve("Acme", ADA);
        let other = approve("Other", "bob@example.com");
        let (mine, theirs) = (link(ADA), link("bob@example.com"));

        let claimed = claim(&theirs).unwrap();
        let token = keystead.token(claimed.client_id.as_str(), claimed.client_secret.expose());
        assert_eq!(keystead.get("/v2/apps/me").bearer(&token).send().expect(200)["slug"], "other");
        // What happens to their link and their secrets does nothing to mine.
        access_requests::send_fresh_link(&keystead.engine, &host, other).unwrap();
        claim(&link("bob@example.com")).unwrap();
        let claimed = claim(&mine).unwrap();
        let token = keystead.token(claimed.client_id.as_str(), claimed.client_secret.expose());
        assert_eq!(keystead.get("/v2/apps/me").bearer(&token).send().expect(200)["slug"], "acme");
        assert!(claim(&mine).is_err());
    }
}
