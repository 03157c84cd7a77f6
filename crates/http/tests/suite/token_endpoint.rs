//! `POST /oauth/token`, which is `POST /v2/oauth/token`, and the keys to check its tokens with.

use keystead_testkit::{Answer, Keystead, both_backends};
use serde_json::json;

const GRANT: &str = "grant_type=client_credentials";

/// The code of an OAuth error, given that the answer is one of this status.
#[track_caller]
fn error(answer: Answer, status: u16) -> String {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.expect(status);
    assert!(body["error_description"].is_string());
    body["error"].as_str().unwrap().to_owned()
}

both_backends! {
    fn a_token_is_issued_four_ways_on_two_paths(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (id, secret) = (&acme.client_id, &acme.client_secret);
        let json = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
        for path in ["/oauth/token", "/v2/oauth/token"] {
            for call in [
                keystead.post(path).basic(id, secret).form(GRANT),
                keystead.post(path).form(&format!("{GRANT}&client_id={id}&client_secret={secret}")),
                keystead.post(path).basic(id, secret).json(&json!({"grant_type": "client_credentials"})),
                keystead.post(path).json(&json),
            ] {
                let answer = call.send();
                assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
                let body = answer.expect(200);
                assert_eq!((&body["token_type"], &body["expires_in"], &body["scope"]), (&json!("Bearer"), &json!(3600), &json!("api")));
                let token = body["access_token"].as_str().unwrap();
                keystead.get("/v2/apps/me").bearer(token).send().expect(200);
            }
        }
    }

    fn a_client_that_fails_to_authenticate_learns_only_that(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let id = &acme.client_id;
        for (body, basic) in [
            (GRANT.to_owned(), Some((id.as_str(), "wrong"))),
            (GRANT.to_owned(), Some(("ksc_unknown", acme.client_secret.as_str()))),
            (GRANT.to_owned(), Some(("not a client id", ""))),
            (GRANT.to_owned(), None),
            (format!("{GRANT}&client_id={id}"), None),
            (format!("{GRANT}&client_id={id}&client_secret=wrong"), None),
            (format!("{GRANT}&client_id={id}&client_secret="), None),
        ] {
            let call = keystead.post("/oauth/token").form(&body);
            let answer = match basic {
                Some((id, secret)) => call.basic(id, secret).send(),
                None => call.send(),
            };
            assert!(answer.header("www-authenticate").starts_with("Basic"));
            let expected = json!({"error": "invalid_client", "error_description": "Client authentication failed"});
            assert_eq!(answer.expect(401), expected, "{body}");
        }
    }

    fn each_mistake_has_its_word(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (id, secret) = (acme.client_id.as_str(), acme.client_secret.as_str());
        let post = |form: &str| keystead.post("/oauth/token").basic(id, secret).form(form).send();
        for (form, status, word) in [
            ("", 400, "invalid_request"),
            ("grant_type=", 400, "invalid_request"),
            ("grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
            ("grant_type=client_credentials&scope=api&scope=api", 400, "invalid_request"),
            ("grant_type=password", 400, "unsupported_grant_type"),
            ("grant_type=client_credentials&scope=admin", 400, "invalid_scope"),
            ("grant_type=client_credentials&scope=a%22b", 400, "invalid_scope"),
            ("grant_type=client_credentials&client_secret=again", 400, "invalid_request"),
            ("grant_type=client_credentials&client_id=ksc_other", 400, "invalid_request"),
        ] {
            assert_eq!(error(post(form), status), word, "{form}");
        }
        // Parameters that nobody knows are ignored, and the client may name itself beside Basic.
        post(&format!("{GRANT}&audience=x&client_id={id}")).expect(200);
        let twice = keystead.post("/oauth/token").basic(id, secret).basic(id, secret).form(GRANT).send();
        assert_eq!(error(twice, 400), "invalid_request");
        let in_url = keystead.post(&format!("/oauth/token?client_id={id}&client_secret={secret}")).form(GRANT).send();
        assert_eq!(error(in_url, 400), "invalid_request");
        let broken = keystead.post("/oauth/token").header("authorization", "Basic !!").form(GRANT).send();
        assert_eq!(error(broken, 401), "invalid_client");
    }

    fn what_cannot_be_read_is_refused_in_the_surfaces_own_format(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let post = |media, body: &[u8]| keystead.post("/oauth/token").body(media, body.to_vec()).send();
        assert_eq!(error(post("text/plain", b"x"), 415), "invalid_request");
        assert_eq!(error(keystead.post("/oauth/token").send(), 415), "invalid_request");
        assert_eq!(error(post("application/json", b"{"), 400), "invalid_request");
        assert_eq!(error(post("application/json", b"[1]"), 400), "invalid_request");
        assert_eq!(error(post("application/json", br#"{"grant_type":1}"#), 400), "invalid_request");
        assert_eq!(error(post("application/json", br#"{"grant_type":"a","grant_type":"b"}"#), 400), "invalid_request");
        let large = vec![b'x'; 65 * 1024];
        assert_eq!(error(post("application/x-www-form-urlencoded", &large), 413), "invalid_request");
        for path in ["/oauth/token", "/v2/oauth/token"] {
            let answer = keystead.get(path).send();
            assert_eq!(answer.header("allow"), "POST");
            assert_eq!(error(answer, 405), "invalid_request");
        }
        assert_eq!(error(keystead.get("/oauth/nothing").send(), 404), "invalid_request");
    }

    fn the_keys_are_published(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let answer = keystead.get("/.well-known/jwks.json").send();
        assert!(answer.header("cache-control").contains("max-age"));
        let keys = answer.expect(200);
        let key = &keys["keys"][0];
        assert_eq!((&key["kty"], &key["crv"], &key["alg"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig")));
        assert_eq!(key.as_object().unwrap().len(), 6, "nothing private: {key}");
    }
}
