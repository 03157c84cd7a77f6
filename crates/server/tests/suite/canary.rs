//! Every endpoint is called with secrets that can be recognized, right and wrong; then they are looked
//! for in all that the server tells of itself: its log at its most talkative, its figures, its errors,
//! and the audit trail.

use keystead_testkit::{both_backends, totp_code};
use serde_json::{Value, json};

use crate::process::{Host, tenant_with_app, token};

const PASSWORD: &str = "canary password of ada";
const WRONG: &str = "canary guessed password";
const BODY: &str = "canary-in-a-broken-body";

both_backends! {
    fn no_secret_is_told_by_log_figures_errors_or_trail(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let mut command = host.command(&["serve"]);
        command
            .env("KEYSTEAD_LISTEN", "127.0.0.1:0")
            .env("KEYSTEAD_ADMIN_LISTEN", "127.0.0.1:0")
            .env("KEYSTEAD_LOG", "trace");
        let server = host.start(command);
        let access_token = token(&server, &app);
        let mut secrets = vec![app.1.clone(), access_token.clone(), PASSWORD.to_owned(), WRONG.to_owned(), BODY.to_owned()];
        let errors = std::cell::RefCell::new(String::new());
        let call = |method: &str, path: &str, session: &str, body: Value| {
            let bearer = format!("Bearer {access_token}");
            let headers = [("authorization", bearer.as_str()), ("x-session-token", session), ("content-type", "application/json")];
            let (status, text) = server.request(method, &format!("{}{path}", server.url), &headers, &body.to_string());
            if status >= 400 {
                errors.borrow_mut().push_str(&text);
            }
            serde_json::from_str::<Value>(&text).unwrap_or(Value::Null)
        };
        let mailed = || {
            let text = host.run(&["mail", "show", "--to", "ada@example.com", "--latest"]).stdout;
            text.split_whitespace().find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())).unwrap().to_owned()
        };

        call("POST", "/v2/auth/signup", "", json!({"email": "ada@example.com", "password": PASSWORD}));
        let code = mailed();
        call("POST", "/v2/auth/verify-email", "", json!({"email": "ada@example.com", "code": "canary"}));
        let verified = call("POST", "/v2/auth/verify-email", "", json!({"email": "ada@example.com", "code": code}));
        let session = verified["session_token"].as_str().unwrap().to_owned();
        call("POST", "/v2/auth/password-reset/request", "", json!({"email": "ada@example.com"}));
        let reset = mailed();
        call("POST", "/v2/auth/login", "", json!({"email": "ada@example.com", "password": WRONG}));
        let enrolment = call("POST", "/v2/auth/mfa/totp/enroll", &session, json!({"current_password": PASSWORD}));
        let totp = enrolment["secret"].as_str().unwrap().to_owned();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let step = keystead_domain::second_factor::TotpStep::from_number(i64::try_from(now / 30).unwrap());
        let confirmed = call("POST", "/v2/auth/mfa/totp/confirm", &session, json!({"code": totp_code(&totp, step)}));
        let recovery: Vec<_> = confirmed["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        let login = json!({"email": "ada@example.com", "password": PASSWORD, "totp_code": recovery[0]});
        let second = call("POST", "/v2/auth/login", "", login.clone());
        call("POST", "/v2/auth/login", "", login);
        secrets.extend([session.clone(), second["session_token"].as_str().unwrap().to_owned(), totp]);
        secrets.extend(recovery);

        // Everything once more, with all secrets in every place, and broken.
        let (_, document) = server.get("/openapi.json").unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|method| *method != "delete") {
                let method = method.to_uppercase();
                let body = json!({"email": "ada@example.com", "code": reset, "current_password": WRONG, "password": WRONG,
                    "new_password": "short", "totp_code": secrets[7], "client_secret": app.1, "client_id": app.0,
                    "grant_type": "client_credentials", "session_id": session, "name": "\u{1}"});
                call(&method, path, &session, body);
                for headers in [
                    [("authorization", format!("Bearer {session}")), ("x-session-token", access_token.clone())],
                    [("authorization", format!("Basic {}", app.1)), ("x-api-key", session.clone())],
                ] {
                    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    headers.push(("content-type", "application/json"));
                    let broken = format!("{{\"{BODY}\": {BODY}");
                    let url = format!("{}{path}?client_secret={}&token={session}", server.url, app.1);
                    errors.borrow_mut().push_str(&server.request(&method, &url, &headers, &broken).1);
                }
            }
        }
        let admin = format!("{}/metrics", server.admin_url());
        let (status, figures) = server.request("GET", &admin, &[], "");
        assert_eq!(status, 200);
        assert!(figures.contains(r#"path="/v2/auth/login""#), "{figures}");
        let log = server.stop();
        assert!(log.contains("/v2/auth/login") && log.contains("TRACE"), "the log is talkative");
        let trail = database.dump("audit_events");
        assert!(trail.contains("session.created"), "{trail}");

        let errors = errors.into_inner();
        for (name, told) in [("log", &log), ("figures", &figures), ("errors", &errors), ("trail", &trail)] {
            for secret in &secrets {
                assert!(!told.contains(secret.as_str()), "{secret} stands in the {name}");
                // Neither does a good part of one.
                if secret.starts_with("sess_") || secret.starts_with("kss_") {
                    assert!(!told.contains(&secret[..secret.len() / 2]), "half of {secret} stands in the {name}");
                }
            }
            assert!(!told.contains("ada@example.com"), "nor whom it is about: the {name}");
        }
    }
}
