//! Whatever is sent, the answer is a 4xx in the surface's format, and nothing has changed.

use keystead_testkit::{Call, Keystead, both_backends};
use serde_json::{Value, json};

use crate::people::{key, put_on};
use crate::token;

/// The paths of pages, which the OpenAPI document does not describe.
fn pages() -> Vec<String> {
    keystead_http::PAGES.iter().map(|page| page.replace("{token}", "link_x")).collect()
}

/// Every path of the OpenAPI document, with what `Allow` says of it.
fn paths(keystead: &Keystead) -> Vec<(String, String)> {
    let document = keystead.get("/openapi.json").send().expect(200);
    let of = |item: &Value| {
        let methods =
            ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| item.get(method).is_some());
        let allow: Vec<_> = methods
            .map(|method| if method == "get" { "GET, HEAD".to_owned() } else { method.to_uppercase() })
            .collect();
        allow.join(", ")
    };
    document["paths"].as_object().unwrap().iter().map(|(path, item)| (path.clone(), of(item))).collect()
}

/// Method and path of all that people and their scripts send JSON to.
fn bodies_of_people(keystead: &Keystead) -> Vec<(String, String)> {
    let document = keystead.get("/openapi.json").send().expect(200);
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/"));
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    let with_body = operations.filter(|(_, _, operation)| operation["requestBody"].is_object());
    with_body.map(|(method, path, _)| (method, path)).collect()
}

/// Those that an app calls with JSON.
const JSON_PATHS: [&str; 6] = [
    "/v2/auth/signup",
    "/v2/auth/verify-email",
    "/v2/auth/resend-otp",
    "/v2/auth/login",
    "/v2/auth/password-reset/request",
    "/v2/auth/password-reset/confirm",
];

/// Those that it calls with JSON for a signed-in end user.
const SESSION_PATHS: [(&str, &str); 7] = [
    ("PATCH", "/v2/auth/me"),
    ("DELETE", "/v2/auth/me"),
    ("POST", "/v2/auth/password/change"),
    ("POST", "/v2/auth/mfa/totp/enroll"),
    ("POST", "/v2/auth/mfa/totp/confirm"),
    ("POST", "/v2/auth/mfa/totp/disable"),
    ("POST", "/v2/auth/mfa/recovery-codes"),
];

both_backends! {
    fn every_other_method_is_405_with_allow(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let forms = pages().into_iter().map(|page| (page, "GET, HEAD, POST".to_owned()));
        let paths: Vec<_> = paths(&keystead).into_iter().chain(forms).collect();
        assert!(paths.len() > 15);
        for (path, allow) in paths {
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
                let answer = keystead.request(method, &path).send();
                if allow.split(", ").any(|allowed| allowed == method) {
                    assert_ne!(answer.status, 405, "{method} {path}");
                } else {
                    assert_eq!(answer.status, 405, "{method} {path}");
                    let allowed: std::collections::BTreeSet<_> = answer.header("allow").split(", ").collect();
                    assert_eq!(allowed, allow.split(", ").collect(), "{method} {path}");
                    let media = match path.as_str() {
                        path if pages().iter().any(|page| page == path) => "text/html; charset=utf-8",
                        path if path.starts_with("/api/") => "application/json",
                        path if path.contains("oauth") || path.contains("jwks") => "application/json",
                        _ => "application/problem+json",
                    };
                    assert_eq!(answer.header("content-type"), media, "{method} {path}");
                }
            }
        }
        for path in ["/", "/v2", "/v2/", "/v2/auth/me/", "/v2/auth/nothing", "/v3", "/v2/../v2/apps/me/x", "/%00", "/claim", "/claim/", "/claim/a/b", "/confirm-address", "/restore-address/"] {
            assert_eq!(keystead.get(path).send().problem(404), "not_found", "{path}");
        }
    }

    fn a_person_is_told_what_is_wrong_with_a_body_and_nothing_happens(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let organization = ada.tenant.id.to_ulid();
        put_on(&keystead, &ada.tenant.slug, "studio");
        let scopes = json!(["projects:read", "projects:write"]);
        let script = key(&keystead, &ada, &json!({"scopes": scopes, "metadata": {"organizationId": organization}}));
        let all = || ["users", "tenants", "memberships", "projects", "api_keys", "invites", "outbox"].map(|table| database.dump(table));
        let (before, routes) = (all(), bodies_of_people(&keystead));
        assert!(routes.len() > 30, "{routes:?}");
        for (method, path) in routes {
            let is_script = path.starts_with("/api/v1/");
            let path = path.replace("{organizationId}", &organization).replace(['{', '}'], "");
            let call = || {
                let call = keystead.request(&method, &path);
                if is_script { call.key(&script).header("idempotency-key", "once") } else { call.cookie(&ada.session) }
            };
            let refused = |media: &str, body: &[u8]| {
                let answer = call().body(media, body).send();
                let status = answer.status;
                let code = if is_script { answer.bearer_error(status) } else { answer.refusal(status) };
                assert!(!code.is_empty(), "{method} {path}");
                status
            };
            for media in ["text/plain", "application/x-www-form-urlencoded", ""] {
                assert_eq!(refused(media, b"{}"), 415, "{method} {path} {media}");
            }
            for body in [b"".as_slice(), b"{", b"{}x", b"nul", b"\xff", br#"{"name":"a"#] {
                assert_eq!(refused("application/json", body), 400, "{method} {path} {body:?}");
            }
            let wrong = if is_script { 422 } else { 400 };
            for body in ["null", "[]", "1", "\"x\"", r#"["Ada"]"#] {
                assert_eq!(refused("application/json", body.as_bytes()), wrong, "{method} {path} {body}");
            }
            let deep = "[".repeat(50_000);
            assert!((400..500).contains(&refused("application/json", deep.as_bytes())), "{method} {path}");
        }
        assert_eq!(before, all());
    }

    fn a_stranger_learns_nothing_from_a_body(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        for path in JSON_PATHS {
            for body in [b"".as_slice(), b"{", b"{}", &[b'x'; 70_000]] {
                let answer = keystead.post(path).body("text/plain", body).send();
                assert_eq!(answer.problem(401), "invalid_token", "{path}");
            }
        }
    }

    fn a_session_comes_before_the_body_and_bad_bodies_change_nothing(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();
        post("/v2/auth/signup", json!({"email": "ada@example.com", "password": "correct horse battery staple"})).expect(201);
        let code = keystead.code_for("ada@example.com");
        let session = post("/v2/auth/verify-email", json!({"email": "ada@example.com", "code": code})).expect(200);
        let session = session["session_token"].as_str().unwrap();
        let mailed = keystead.mailbox.len();
        for (method, path) in SESSION_PATHS {
            let call = || keystead.request(method, path).bearer(&token);
            assert_eq!(call().body("text/plain", "x").send().problem(401), "invalid_session", "{path}");
            let call = || call().session(session);
            assert_eq!(call().body("text/plain", "{}").send().problem(415), "unsupported_media_type", "{path}");
            assert_eq!(call().body("application/json", "{").send().problem(400), "malformed_request", "{path}");
            assert_eq!(call().body("application/json", vec![b' '; 70_000]).send().problem(413), "payload_too_large", "{path}");
            for body in [json!([]), json!({}), json!({"current_password": 1, "code": 1}), json!({"current_password": "x".repeat(10_000), "code": {}})] {
                let status = call().json(&body).send();
                assert_eq!(status.problem(422), "validation_error", "{path} {body}");
            }
            for strange in ["\0", "💥", "wrong"] {
                let body = json!({"current_password": strange, "new_password": strange, "totp_code": strange, "code": strange, "name": strange, "email": strange});
                let answer = call().json(&body).send();
                assert!((400..500).contains(&answer.status), "{path} {answer:?}");
            }
        }
        let me = keystead.get("/v2/auth/me").bearer(&token).session(session).send().expect(200);
        assert_eq!((&me["name"], &me["mfa_enabled"]), (&Value::Null, &json!(false)));
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), mailed, "nothing happened");
    }

    fn what_is_not_json_is_refused_as_what_it_is(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        for path in JSON_PATHS {
            let post = |media: &str, body: &[u8]| keystead.post(path).bearer(&token).body(media, body).send();
            assert_eq!(post("text/plain", b"{}").problem(415), "unsupported_media_type");
            assert_eq!(post("application/x-www-form-urlencoded", b"email=a").problem(415), "unsupported_media_type");
            assert_eq!(keystead.post(path).bearer(&token).send().problem(415), "unsupported_media_type");
            assert_eq!(post("application/json", &[b' '; 70_000]).problem(413), "payload_too_large");
            for body in [b"".as_slice(), b"{", b"{}x", b"nul", b"\xff", br#"{"email":"\ud800"}"#, br#"{"email":"a"#] {
                let text = String::from_utf8_lossy(body).into_owned();
                assert_eq!(post("application/json; charset=utf-8", body).problem(400), "malformed_request", "{text}");
            }
            for body in ["null", "[]", r#"["ada@example.com","correct horse battery staple"]"#, "1", "\"x\"", r#"{"email":{}}"#, r#"{"email":["a"]}"#, r#"{"email":"a@b.example","email":"b"}"#] {
                assert_eq!(post("application/json", body.as_bytes()).problem(422), "validation_error", "{body}");
            }
            let deep = "[".repeat(50_000);
            assert!((400..500).contains(&post("application/json", deep.as_bytes()).status));
        }
    }

    fn an_access_request_needs_no_token_and_says_what_is_wrong(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let post = |media: &str, body: &[u8]| keystead.post("/v2/access-requests").body(media, body).send();
        assert_eq!(post("text/plain", b"{}").problem(415), "unsupported_media_type");
        assert_eq!(post("application/x-www-form-urlencoded", b"company=Acme").problem(415), "unsupported_media_type");
        assert_eq!(post("application/json", &[b' '; 70_000]).problem(413), "payload_too_large");
        for body in [b"".as_slice(), b"{", b"{}x", b"\xff", br#"{"company":"\ud800"}"#] {
            assert_eq!(post("application/json", body).problem(400), "malformed_request");
        }
        for body in ["null", "[]", "{}", r#"{"company":{}}"#, r#"{"company":1,"contact_email":"a@b.example","intended_use":"x"}"#] {
            assert_eq!(post("application/json", body.as_bytes()).problem(422), "validation_error", "{body}");
        }
        let good = json!({"company": "Acme", "contact_email": "ada@example.com", "intended_use": "To sign in."});
        let long = "x".repeat(10_000);
        for value in ["", " ", "\0", "a\0b", "\u{1b}[2J", "a\u{85}b", "a\tb", &long] {
            for field in ["company", "contact_email", "intended_use"] {
                let mut body = good.clone();
                body[field] = json!(value);
                let answer = post("application/json", body.to_string().as_bytes()).expect(422);
                assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{field} {value:?}");
                assert_eq!(answer["errors"][0]["field"], field);
            }
        }
        let requests = keystead_service::access_requests::list(&keystead.engine, &keystead_service::Caller::host(), None);
        assert!(requests.unwrap().is_empty(), "nothing happened");
    }

    fn no_value_is_too_strange(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let long = "x".repeat(10_000);
        let values = ["", " ", "\0", "a\0b", "\u{202e}", "'; DROP TABLE users; --", &long, "a@b@c", "💥", "\u{1F}"];
        let send = |call: Call| {
            let answer = call.send();
            assert!((400..500).contains(&answer.status), "{answer:?}");
        };
        for value in values {
            for path in JSON_PATHS {
                let post = |body: Value| keystead.post(path).bearer(&token).json(&body);
                send(post(json!({"email": value, "password": value, "code": value})));
                // Wrong in one place only, where there is one more.
                if path.ends_with("signup") && !["", " "].contains(&value) && value.contains(['\0', '\u{1f}']) {
                    send(post(json!({"email": "ada@example.com", "password": "correct horse battery", "name": value})));
                }
            }
            if value.bytes().all(|b| b >= 0x20) {
                send(keystead.get("/v2/auth/me").bearer(&token).session(value));
                send(keystead.get("/v2/auth/me").bearer(value).session(value));
            }
        }
        send(keystead.get("/v2/auth/me").bearer(&token).header("x-session-token", b"\xff\xfe"));
        send(keystead.get("/v2/auth/me").header("authorization", b"Bearer \xff"));
        keystead.deliver();
        assert!(keystead.mailbox.is_empty(), "nothing happened");
    }
}
