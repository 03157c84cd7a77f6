//! People: an account, its organization and its API keys, on the account and the bearer surface.

use keystead_domain::slug::Slug;
use keystead_service::{Caller, tenants};
use keystead_testkit::{Answer, Keystead, TestPerson, both_backends};
use serde_json::{Value, json};

const SIGN_UP: &str = "/api/auth/sign-up/email";

fn sign_up(keystead: &Keystead, email: &str, name: &str) -> Answer {
    let body = json!({"email": email, "password": TestPerson::PASSWORD, "name": name});
    keystead.post(SIGN_UP).json(&body).send()
}

/// A key of `person`, made as the body says.
pub(crate) fn key(keystead: &Keystead, person: &TestPerson, body: &Value) -> String {
    let made =
        keystead.post("/api/auth/api-key/create").cookie(&person.session).json(body).send().expect(200);
    made["key"].as_str().unwrap().to_owned()
}

/// Puts the person's own organization on a plan.
pub(crate) fn put_on(keystead: &Keystead, slug: &Slug, plan: &str) {
    tenants::set_plan(&keystead.engine, &Caller::host(), slug, plan.parse().unwrap()).unwrap();
}

both_backends! {
    fn signing_up_makes_an_account_with_an_organization(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let answer = sign_up(&keystead, "Ada@Example.com", "Ada Lovelace");
        let cookie = answer.header("set-cookie").to_owned();
        let body = answer.expect(200);
        let token = body["token"].as_str().unwrap();
        assert!(cookie.starts_with(&format!("__Host-keystead_session={token}; ")), "{cookie}");
        for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute} in {cookie}");
        }
        assert_eq!(body["user"]["email"], "Ada@Example.com");
        assert_eq!(body["user"]["emailVerified"], false);

        let me = keystead.get("/api/user/me").cookie(token).send().expect(200);
        assert_eq!((&me["success"], &me["status"], &me["code"]), (&json!(true), &json!(200), &json!("OK")));
        assert_eq!(me["message"], "User fetched successfully");
        let data = &me["data"];
        assert_eq!(data["fullName"], "Ada Lovelace");
        assert_eq!(data["handle"], "adalovelace");
        assert_eq!((&data["role"], &data["organizationCount"]), (&json!("user"), &json!(1)));
        assert_eq!(data["id"].as_str().unwrap().len(), 26);

        let session = keystead.get("/api/auth/get-session").cookie(token).send().expect(200);
        assert_eq!(session["user"]["id"], body["user"]["id"]);
        assert!(session["session"]["token"].as_str().unwrap().starts_with("ses_"));

        let signed_out = keystead.post("/api/auth/sign-out").cookie(token).json(&json!({})).send();
        assert!(signed_out.header("set-cookie").contains("Max-Age=0"));
        assert_eq!(signed_out.expect(200), json!({"success": true}));
        assert_eq!(keystead.get("/api/user/me").cookie(token).send().refusal(401), "INVALID_OR_EXPIRED_TOKEN");
        assert_eq!(keystead.get("/api/auth/get-session").cookie(token).send().expect(200), Value::Null);
    }

    fn an_address_has_one_account_and_handles_and_slugs_do_not_clash(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        sign_up(&keystead, "ada@example.com", "Ada").expect(200);
        let again = sign_up(&keystead, "ADA@example.com", "Ada");
        assert_eq!(again.refusal(422), "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
        let (second, third) = (sign_up(&keystead, "b@example.com", "Ada"), sign_up(&keystead, "c@example.com", "Ada"));
        let handle = |answer: Answer| {
            let token = answer.expect(200)["token"].as_str().unwrap().to_owned();
            keystead.get("/api/user/me").cookie(&token).send().expect(200)["data"]["handle"].clone()
        };
        assert_eq!([handle(second), handle(third)], [json!("ada2"), json!("ada3")]);
    }

    fn bad_sign_ups_name_what_is_wrong(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let send = |body: Value| keystead.post(SIGN_UP).json(&body).send();
        let nothing = send(json!({}));
        let fields: Vec<_> = nothing.expect(400)["meta"]["errors"]
            .as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
        assert_eq!(fields, ["email", "password", "name"]);
        let short = json!({"email": "ada@example.com", "password": "short", "name": "Ada"});
        assert_eq!(send(short).refusal(400), "PASSWORD_TOO_SHORT");
        let foreign = keystead.post(SIGN_UP).header("origin", "https://evil.test").json(&json!({})).send();
        assert_eq!(foreign.refusal(403), "FORBIDDEN");
        let form = keystead.post(SIGN_UP).form("email=ada%40example.com").send();
        assert_eq!(form.refusal(415), "UNSUPPORTED_MEDIA_TYPE");
    }

    fn a_key_works_on_both_surfaces_as_far_as_its_scopes_and_the_plan_reach(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let body = json!({
            "name": "CI", "scopes": ["user:read", "projects:write"], "metadata": {"organizationId": ada.tenant.id.to_ulid()},
        });
        let made = keystead.post("/api/auth/api-key/create").cookie(&ada.session).json(&body).send().expect(200);
        assert_eq!((&made["message"], &made["data"]["name"]), (&json!("API key created"), &json!("CI")));
        assert_eq!((&made["key"], &made["id"]), (&made["data"]["key"], &made["data"]["id"]));
        let key = made["key"].as_str().unwrap();
        assert!(key.starts_with("ks_live_"), "{key}");

        let me = keystead.get("/api/user/me").key(key).send().expect(200);
        assert_eq!(me["data"]["email"], "ada@example.com");
        assert_eq!(keystead.get("/api/user/me").bearer(key).send().status, 200);

        let gated = keystead.get("/api/v1/me").bearer(key).send().expect(402);
        assert_eq!(gated["error"]["code"], "forbidden_plan");
        assert_eq!((&gated["error"]["requiredPlan"], &gated["error"]["feature"]), (&json!("studio"), &json!("apiAccess")));
        put_on(&keystead, &ada.tenant.slug, "studio");
        let me = keystead.get("/api/v1/me").bearer(key).send().expect(200)["data"].clone();
        assert_eq!(me["orgId"], ada.tenant.id.to_ulid());
        assert_eq!((&me["orgName"], &me["plan"], &me["role"]), (&json!("Ada's organization"), &json!("studio"), &json!("owner")));
        assert_eq!((&me["tokenName"], &me["scopes"]), (&json!("CI"), &json!(["projects:write", "user:read"])));
        assert_eq!(me["projectIds"], json!([]));
        put_on(&keystead, &ada.tenant.slug, "free");
        assert_eq!(keystead.get("/api/v1/me").bearer(key).send().bearer_error(402), "forbidden_plan");
    }

    fn what_is_no_credential_here_is_refused_in_the_words_of_the_surface(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let good = key(&keystead, &ada, &json!({"scopes": ["api-keys:read"]}));
        let (acme, me) = (keystead.tenant("Acme"), "/api/user/me");
        let app = keystead.token(&acme.client_id, &acme.client_secret);
        let mut wrong = good.clone();
        wrong.replace_range(wrong.len() - 1.., if good.ends_with('0') { "1" } else { "0" });

        assert_eq!(keystead.get(me).send().refusal(401), "AUTHENTICATION_REQUIRED");
        assert_eq!(keystead.get(me).header("authorization", "").send().refusal(401), "NO_TOKEN_PROVIDED");
        assert_eq!(keystead.get(me).basic("a", "b").send().refusal(401), "NO_TOKEN_PROVIDED");
        assert_eq!(keystead.get(me).key(&wrong).send().refusal(401), "INVALID_API_KEY");
        assert_eq!(keystead.get(me).bearer("nonsense").send().refusal(401), "INVALID_OR_EXPIRED_TOKEN");
        assert_eq!(keystead.get(me).bearer(&app).send().refusal(403), "FORBIDDEN");
        assert_eq!(keystead.get(me).key(&good).bearer(&good).send().refusal(400), "VALIDATION_ERROR");
        // With a header credential the cookie is not read.
        assert_eq!(keystead.get(me).key(&wrong).cookie(&ada.session).send().refusal(401), "INVALID_API_KEY");
        let lacking = keystead.get(me).key(&good).send().expect(403);
        assert_eq!((&lacking["code"], &lacking["meta"]["required"]), (&json!("API_KEY_MISSING_SCOPES"), &json!(["user:read"])));
        let with_key = keystead.post("/api/auth/api-key/create").key(&good).json(&json!({})).send();
        assert_eq!(with_key.refusal(403), "FORBIDDEN");

        assert_eq!(keystead.get("/api/v1/me").send().bearer_error(401), "unauthenticated");
        assert_eq!(keystead.get("/api/v1/me").cookie(&ada.session).send().bearer_error(401), "unauthenticated");
        assert_eq!(keystead.get("/api/v1/me").bearer(&app).send().bearer_error(403), "forbidden_scope");
        assert_eq!(keystead.get("/api/v1/nothing").send().bearer_error(404), "not_found");
        let session = keystead.get("/v2/auth/me").bearer(&app).session(&ada.session).send();
        assert_eq!(session.problem(401), "invalid_session", "of another directory");
    }

    fn keys_are_made_for_what_exists(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let create = |body: Value| keystead.post("/api/auth/api-key/create").cookie(&ada.session).json(&body).send();
        assert_eq!(create(json!({})).expect(200)["scopes"], json!(["user:read"]));
        assert_eq!(create(json!({"scopes": ["moon"]})).refusal(400), "VALIDATION_ERROR");
        assert_eq!(create(json!({"expiresIn": 5})).refusal(400), "VALIDATION_ERROR");
        let foreign = json!({"metadata": {"organizationId": bob.tenant.id.to_string()}});
        assert_eq!(create(foreign).refusal(403), "FORBIDDEN");
    }
}
