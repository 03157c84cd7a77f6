//! A signed-in end user, through its app: second factor, password, sessions, profile, end.

use keystead_testkit::{Answer, Keystead, both_backends};
use serde_json::{Value, json};

use crate::token;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// An app of a tenant, with a verified end user that is signed in.
struct Product<'k> {
    keystead: &'k Keystead,
    token: String,
    session: String,
}

impl<'k> Product<'k> {
    fn new(keystead: &'k Keystead) -> Self {
        let token = token(keystead, &keystead.tenant("Acme"));
        let mut this = Self { keystead, token, session: String::new() };
        this.app("/v2/auth/signup", json!({"email": ADA, "password": PASSWORD})).expect(201);
        let code = keystead.code_for(ADA);
        let verified = this.app("/v2/auth/verify-email", json!({"email": ADA, "code": code})).expect(200);
        this.session = verified["session_token"].as_str().unwrap().to_owned();
        this
    }

    fn app(&self, path: &str, body: Value) -> Answer {
        self.keystead.post(path).bearer(&self.token).json(&body).send()
    }

    fn user(&self, method: &str, path: &str, body: Value) -> Answer {
        self.keystead.request(method, path).bearer(&self.token).session(&self.session).json(&body).send()
    }

    fn get(&self, path: &str) -> Value {
        self.keystead.get(path).bearer(&self.token).session(&self.session).send().expect(200)
    }
}

both_backends! {
    fn enrolling_a_second_factor(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let product = Product::new(&keystead);
        let enroll = |body| product.user("POST", "/v2/auth/mfa/totp/enroll", body);
        assert_eq!(enroll(json!({"current_password": "wrong"})).problem(401), "invalid_credentials");
        let enrolment = enroll(json!({"current_password": PASSWORD}));
        assert_eq!(enrolment.header("cache-control"), "no-store");
        let enrolment = enrolment.expect(200);
        let url = enrolment["otpauth_url"].as_str().unwrap();
        assert!(url.starts_with("otpauth://totp/Acme:ada%40example.com?secret="), "{url}");
        assert!(url.contains(enrolment["secret"].as_str().unwrap()));
        assert!(enrolment["qr_svg"].as_str().unwrap().contains("<svg"));
        assert_eq!(product.get("/v2/auth/me")["mfa_enabled"], false, "not before it is confirmed");
        let wrong = product.user("POST", "/v2/auth/mfa/totp/confirm", json!({"code": "000000"}));
        assert_eq!(wrong.problem(422), "invalid_code");

        let code = authenticator(&keystead, enrolment["secret"].as_str().unwrap());
        let confirmed = product.user("POST", "/v2/auth/mfa/totp/confirm", json!({"code": code})).expect(200);
        let recovery: Vec<_> = confirmed["recovery_codes"].as_array().unwrap().clone();
        assert_eq!((recovery.len(), &confirmed["mfa_enabled"]), (10, &json!(true)));
        assert_eq!(product.get("/v2/auth/me")["mfa_enabled"], true);

        let half = product.app("/v2/auth/login", json!({"email": ADA, "password": PASSWORD})).expect(200);
        assert_eq!((&half["mfa_required"], &half["session_token"]), (&json!(true), &Value::Null));
        let login = |code: &Value| {
            product.app("/v2/auth/login", json!({"email": ADA, "password": PASSWORD, "totp_code": code}))
        };
        assert_eq!(login(&json!(code)).problem(401), "invalid_credentials", "spent by the enrolment");
        let whole = login(&recovery[0]).expect(200);
        assert_eq!(whole["mfa_required"], false);
        assert!(whole["session_token"].is_string());

        let disable = |code: Value| {
            product.user("POST", "/v2/auth/mfa/totp/disable", json!({"current_password": PASSWORD, "totp_code": code}))
        };
        let missing = product.user("POST", "/v2/auth/mfa/totp/disable", json!({"current_password": PASSWORD})).expect(422);
        assert_eq!(missing["errors"][0]["field"], "totp_code");
        assert_eq!(disable(recovery[0].clone()).problem(422), "invalid_code");
        let codes = json!({"current_password": PASSWORD, "totp_code": recovery[1]});
        let new = product.user("POST", "/v2/auth/mfa/recovery-codes", codes).expect(200);
        assert_eq!(disable(recovery[2].clone()).problem(422), "invalid_code", "replaced");
        assert_eq!(disable(new["recovery_codes"][0].clone()).status, 204);
        product.app("/v2/auth/login", json!({"email": ADA, "password": PASSWORD})).expect(200);
    }

    fn a_new_password_by_mail_or_by_the_old_one(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let product = Product::new(&keystead);
        for address in [ADA, "nobody@example.com"] {
            let answer = product.app("/v2/auth/password-reset/request", json!({"email": address})).expect(202);
            assert_eq!(answer, json!({"otp_sent": true}));
        }
        let code = keystead.code_for(ADA);
        let reset = json!({"email": ADA, "code": code, "new_password": "an entirely different one"});
        let answer = product.app("/v2/auth/password-reset/confirm", reset.clone()).expect(200);
        assert_eq!(answer["email"], ADA);
        assert_eq!(product.app("/v2/auth/password-reset/confirm", reset).problem(422), "invalid_code");
        assert_eq!(product.user("GET", "/v2/auth/me", json!({})).problem(401), "invalid_session");

        let login = json!({"email": ADA, "password": "an entirely different one"});
        let session = product.app("/v2/auth/login", login).expect(200)["session_token"].as_str().unwrap().to_owned();
        let product = Product { session, ..product };
        let change = |current: &str| {
            let body = json!({"current_password": current, "new_password": PASSWORD});
            product.user("POST", "/v2/auth/password/change", body)
        };
        assert_eq!(change("wrong").problem(401), "invalid_credentials");
        assert_eq!(change("an entirely different one").status, 204);
        product.get("/v2/auth/me");
        product.app("/v2/auth/login", json!({"email": ADA, "password": PASSWORD})).expect(200);
    }

    fn sessions_are_listed_with_the_current_one_marked(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let product = Product::new(&keystead);
        let login = keystead.post("/v2/auth/login").bearer(&product.token).header("user-agent", "Lynx/2.8");
        login.json(&json!({"email": ADA, "password": PASSWORD})).send().expect(200);
        let sessions = product.get("/v2/auth/sessions")["sessions"].as_array().unwrap().clone();
        assert_eq!(sessions.len(), 2);
        let [other] = sessions.iter().filter(|session| session["current"] == false).collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((&other["user_agent"], &other["ip"]), (&json!("Lynx/2.8"), &json!("127.0.0.1")));
        for session in &sessions {
            assert!(session["session_id"].as_str().unwrap().starts_with("ses_"));
            assert_eq!(session.as_object().unwrap().len(), 7, "no token: {session}");
        }
        let revoke = json!({"session_id": other["session_id"]});
        assert_eq!(product.user("POST", "/v2/auth/sessions/revoke", revoke).status, 204);
        assert_eq!(product.get("/v2/auth/sessions")["sessions"].as_array().unwrap().len(), 1);
    }

    fn a_user_asks_for_another_address(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let product = Product::new(&keystead);
        product.app("/v2/auth/signup", json!({"email": "bob@example.com", "password": PASSWORD})).expect(201);
        let code = keystead.code_for("bob@example.com");
        product.app("/v2/auth/verify-email", json!({"email": "bob@example.com", "code": code})).expect(200);
        let patch = |body| product.user("PATCH", "/v2/auth/me", body);
        assert_eq!(patch(json!({"current_password": "wrong", "email": "new@example.com"})).problem(401), "invalid_credentials");
        let before = product.get("/v2/auth/me");
        for taken_or_free in ["bob@example.com", "new@example.com"] {
            let answer = patch(json!({"current_password": PASSWORD, "email": taken_or_free})).expect(200);
            assert_eq!(answer, before, "{taken_or_free}");
        }
        let both = patch(json!({"current_password": PASSWORD, "name": "Ada", "email": "new@example.com"})).expect(200);
        assert_eq!((&both["name"], &both["email"]), (&json!("Ada"), &json!(ADA)));
        assert_eq!(product.get("/v2/auth/me"), both);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to("new@example.com").len(), 2);

        let enrolment = product.user("POST", "/v2/auth/mfa/totp/enroll", json!({"current_password": PASSWORD})).expect(200);
        let code = authenticator(&keystead, enrolment["secret"].as_str().unwrap());
        let codes = product.user("POST", "/v2/auth/mfa/totp/confirm", json!({"code": code})).expect(200);
        let missing = patch(json!({"current_password": PASSWORD, "email": "new@example.com"})).expect(422);
        assert_eq!(missing["errors"][0]["field"], "totp_code");
        let with = |code: &Value| patch(json!({"current_password": PASSWORD, "email": "new@example.com", "totp_code": code}));
        assert_eq!(with(&json!("000000")).problem(422), "invalid_code");
        with(&codes["recovery_codes"][0]).expect(200);
    }

    fn a_user_renames_and_deletes_itself(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let product = Product::new(&keystead);
        let patch = |body| product.user("PATCH", "/v2/auth/me", body);
        assert_eq!(patch(json!({"current_password": "wrong", "name": "Eve"})).problem(401), "invalid_credentials");
        let changed = patch(json!({"current_password": PASSWORD, "name": "Ada"})).expect(200);
        assert_eq!((&changed["name"], &changed), (&json!("Ada"), &product.get("/v2/auth/me")));
        assert_eq!(patch(json!({"current_password": PASSWORD, "name": null})).expect(200)["name"], Value::Null);
        for body in [json!({}), json!({"name": ""}), json!({"email": null}), json!({"email": "nonsense", "name": "A"})] {
            let mut body = body;
            body["current_password"] = json!(PASSWORD);
            assert_eq!(patch(body.clone()).problem(422), "validation_error", "{body}");
        }
        let delete = |password: &str| product.user("DELETE", "/v2/auth/me", json!({"current_password": password}));
        assert_eq!(delete("wrong").problem(401), "invalid_credentials");
        assert_eq!(delete(PASSWORD).status, 204);
        assert_eq!(product.user("GET", "/v2/auth/me", json!({})).problem(401), "invalid_session");
    }
}

/// The code that an authenticator app with this secret shows now.
fn authenticator(keystead: &Keystead, base32: &str) -> String {
    use keystead_domain::second_factor::TotpStep;
    let [_, now, _] = TotpStep::accepted(keystead.now());
    keystead_testkit::totp_code(base32, now)
}
