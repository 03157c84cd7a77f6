//! The app API, `/v2`, as a client meets it.

use keystead_testkit::{Keystead, both_backends};
use serde_json::{Value, json};

use crate::token;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

fn is_instant(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 20 && text.ends_with('Z') && !text.contains('.')
}

both_backends! {
    fn from_credentials_to_a_signed_in_end_user(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();

        let app = keystead.get("/v2/apps/me").bearer(&token).send().expect(200);
        assert_eq!(app["slug"], "acme");
        assert_eq!(app["name"], "Acme");
        assert_eq!(app["entity_hotkey"], Value::Null);
        assert_eq!(app["allowed_scopes"], json!(["api"]));
        assert_eq!(app["active"], true);

        let signed_up = post("/v2/auth/signup", json!({"email": ADA, "password": PASSWORD, "name": "Ada"}));
        assert_eq!(signed_up.header("cache-control"), "no-store");
        let signed_up = signed_up.expect(201);
        let user_id = signed_up["user_id"].as_str().unwrap().to_owned();
        assert!(user_id.starts_with("usr_"));
        assert_eq!(signed_up, json!({"user_id": user_id, "email": ADA, "email_verified": false, "otp_sent": true}));

        let login = json!({"email": ADA, "password": PASSWORD});
        assert_eq!(post("/v2/auth/login", login.clone()).problem(403), "email_not_verified");

        let resent = post("/v2/auth/resend-otp", json!({"email": ADA})).expect(202);
        assert_eq!(resent, json!({"otp_sent": true}));
        let code = keystead.code_for(ADA);
        let verified = post("/v2/auth/verify-email", json!({"email": ADA, "code": code})).expect(200);
        assert_eq!((&verified["user_id"], &verified["email_verified"]), (&json!(user_id), &json!(true)));
        assert!(verified["session_token"].as_str().unwrap().starts_with("sess_"));
        assert!(is_instant(&verified["session_expires_at"]));

        let signed_in = post("/v2/auth/login", login).expect(200);
        assert_eq!((&signed_in["user_id"], &signed_in["mfa_required"]), (&json!(user_id), &json!(false)));
        let session = signed_in["session_token"].as_str().unwrap();

        let me = keystead.get("/v2/auth/me").bearer(&token).session(session).send().expect(200);
        assert_eq!((&me["user_id"], &me["email"], &me["name"]), (&json!(user_id), &json!(ADA), &json!("Ada")));
        assert_eq!((&me["email_verified"], &me["mfa_enabled"]), (&json!(true), &json!(false)));
        assert_eq!(me["app_id"], app["app_id"]);
        assert!(is_instant(&me["created_at"]));

        let ended = keystead.post("/v2/auth/sessions/revoke").bearer(&token).session(session).send();
        assert_eq!((ended.status, ended.body.len()), (204, 0));
        let me = keystead.get("/v2/auth/me").bearer(&token).session(session).send();
        assert_eq!(me.problem(401), "invalid_session");
        // The session that the code opened goes on.
        let first = verified["session_token"].as_str().unwrap();
        keystead.get("/v2/auth/me").bearer(&token).session(first).send().expect(200);
        let all = keystead.post("/v2/auth/sessions/revoke").bearer(&token).session(first);
        assert_eq!(all.json(&json!({"all": true})).send().status, 204);
        assert_eq!(keystead.get("/v2/auth/me").bearer(&token).session(first).send().status, 401);
    }

    fn known_and_unknown_addresses_are_answered_alike(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();
        post("/v2/auth/signup", json!({"email": ADA, "password": PASSWORD})).expect(201);
        let code = keystead.code_for(ADA);
        post("/v2/auth/verify-email", json!({"email": ADA, "code": code})).expect(200);

        let same = |path: &str, status: u16, body: &dyn Fn(&str) -> Value| {
            let [known, unknown] = [ADA, "bob@example.com"].map(|address| {
                let mut answer = post(path, body(address)).expect(status);
                // What is different by nature: what was typed, and a new id.
                for member in ["email", "user_id"] {
                    if answer.get(member).is_some() {
                        answer[member] = json!("…");
                    }
                }
                answer
            });
            assert_eq!(known, unknown, "{path}");
        };
        same("/v2/auth/signup", 201, &|address| json!({"email": address, "password": "another passphrase"}));
        same("/v2/auth/resend-otp", 202, &|address| json!({"email": address}));
        same("/v2/auth/login", 401, &|address| json!({"email": address, "password": "wrong"}));
        same("/v2/auth/verify-email", 422, &|address| json!({"email": address, "code": "000000"}));
    }

    fn what_is_wrong_with_fields_is_said_all_at_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let post = |body: Value| keystead.post("/v2/auth/signup").bearer(&token).json(&body).send();
        let errors = |body: Value| {
            let problem = post(body).expect(422);
            assert_eq!((&problem["code"], &problem["title"], &problem["type"]), (&json!("validation_error"), &json!("Unprocessable Entity"), &json!("about:blank")));
            let of = |error: &Value| format!("{} {}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap());
            problem["errors"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(errors(json!({})), ["email required", "password required"]);
        assert_eq!(errors(json!({"email": "x", "name": "\n"})), ["email invalid", "password required", "name invalid"]);
        assert_eq!(errors(json!({"email": ADA, "password": "short"})), ["password too_short"]);
        assert_eq!(errors(json!({"email": 1})), ["email wrong_type"]);
        assert_eq!(errors(json!([])), ["body wrong_type"]);
    }

    fn each_token_problem_has_its_challenge(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let good = token(&keystead, &acme);
        let get = || keystead.get("/v2/apps/me");
        for (call, status, code, challenge) in [
            (get(), 401, "invalid_token", "Bearer"),
            (get().header("authorization", "Bearer "), 401, "invalid_token", "Bearer"),
            (get().basic(&acme.client_id, &acme.client_secret), 401, "invalid_token", "Bearer"),
            (get().bearer("nonsense"), 401, "invalid_token", r#"Bearer error="invalid_token""#),
            (get().bearer(&acme.client_secret), 401, "invalid_token", r#"Bearer error="invalid_token""#),
            (get().bearer(&good).bearer(&good), 400, "malformed_request", ""),
            (get().bearer(&good).header("x-api-key", "ks_live_x"), 400, "malformed_request", ""),
        ] {
            let answer = call.send();
            assert_eq!(answer.header("www-authenticate"), challenge);
            assert_eq!(answer.problem(status), code);
        }
        let (id, secret) = keystead.app(acme.owner(), &["read"]);
        let answer = get().bearer(&keystead.token(&id, &secret)).send();
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="insufficient_scope", scope="api""#);
        assert_eq!(answer.problem(403), "insufficient_scope");
    }

    fn an_app_of_the_platform_is_itself_and_handles_nobodys_end_users(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (id, secret) = keystead.app(keystead_domain::Owner::Platform, &[]);
        let token = keystead.token(&id, &secret);
        let app = keystead.get("/v2/apps/me").bearer(&token).send().expect(200);
        assert_eq!((&app["slug"], &app["name"]), (&Value::Null, &json!("Test app")));
        let body = json!({"email": ADA, "password": PASSWORD});
        let answer = keystead.post("/v2/auth/signup").bearer(&token).json(&body).send();
        assert_eq!(answer.problem(403), "app_not_allowed");
        let answer = keystead.get("/v2/auth/me").bearer(&token).session("sess_x").send();
        assert_eq!(answer.problem(403), "app_not_allowed");
    }

    fn sessions_are_revoked_by_id_too(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();
        post("/v2/auth/signup", json!({"email": ADA, "password": PASSWORD})).expect(201);
        let code = keystead.code_for(ADA);
        let session = post("/v2/auth/verify-email", json!({"email": ADA, "code": code})).expect(200);
        let session = session["session_token"].as_str().unwrap();
        let revoke = |body: Value| {
            keystead.post("/v2/auth/sessions/revoke").bearer(&token).session(session).json(&body).send()
        };
        assert_eq!(revoke(json!({"session_id": "nonsense"})).problem(422), "validation_error");
        assert_eq!(revoke(json!({"session_id": "ses_01h455vb4pex5vsknk084sn02q"})).problem(404), "not_found");
        let both = json!({"session_id": "ses_01h455vb4pex5vsknk084sn02q", "all": true});
        assert_eq!(revoke(both).problem(422), "validation_error");
        assert_eq!(revoke(json!({})).status, 204);
    }
}
