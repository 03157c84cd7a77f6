//! The guard as an extractor and as a middleware: what clients see.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{App, rt, test as calls};
use keystead_domain::api_key::Environment;
use keystead_guard::{Demand, Refusal, Role, Verified};
use serde_json::{Value, json};

use crate::served::Served;

/// A path, the headers of a request to it, the status and the code of the answer.
type Row<'r> = (&'r str, Vec<(&'r str, &'r str)>, u16, Value);

async fn whoami(caller: Verified) -> Result<String, Refusal> {
    caller.require_scope("read")?;
    Ok(caller.subject.clone())
}

#[test]
fn a_request_shows_one_credential_and_is_told_what_is_wrong_with_it() {
    let served = Served::start();
    let ada = served.keystead.person("Ada");
    let key = served.key(&ada, Environment::Live);
    let guard = served.guard();
    let admins = Demand::role(Role::Admin).and_scope("read");
    let paying = Demand::scope("read").and_plan(["studio", "agency"]);
    let (bearer, strange) = (format!("Bearer {key}"), "Bearer a.b.c");
    let rows: Vec<Row<'_>> = vec![
        ("/free", vec![], 401, json!("unauthenticated")),
        ("/free", vec![("authorization", "")], 401, json!("unauthenticated")),
        ("/free", vec![("authorization", "Basic eDp5")], 401, json!("unauthenticated")),
        ("/free", vec![("authorization", strange)], 401, json!("unauthenticated")),
        ("/free", vec![("x-api-key", &key), ("authorization", &bearer)], 400, json!("bad_request")),
        ("/free", vec![("x-api-key", &key), ("x-api-key", &key)], 400, json!("bad_request")),
        ("/free", vec![("x-api-key", &key)], 200, Value::Null),
        ("/free", vec![("authorization", &bearer)], 200, Value::Null),
        ("/admins", vec![("x-api-key", &key)], 200, Value::Null),
        ("/admins", vec![], 401, json!("unauthenticated")),
        ("/paying", vec![("x-api-key", &key)], 402, json!("forbidden_plan")),
        ("/moon", vec![("x-api-key", &key)], 403, json!("forbidden_scope")),
    ];
    rt::System::new().block_on(async {
        let here = || web::resource("").to(whoami);
        let app = App::new()
            .app_data(guard.clone())
            .service(web::resource("/free").to(whoami))
            .service(web::scope("/admins").wrap(guard.require(admins)).service(here()))
            .service(web::scope("/paying").wrap(guard.require(paying)).service(here()))
            .service(web::scope("/moon").wrap(guard.require(Demand::scope("moon"))).service(here()));
        let app = calls::init_service(app).await;
        for (path, headers, status, code) in rows {
            let mut request = calls::TestRequest::with_uri(path);
            for header in &headers {
                request = request.append_header(*header);
            }
            let (answered, challenge, body) = match calls::try_call_service(&app, request.to_request()).await
            {
                Ok(answer) => {
                    let challenge = answer.headers().contains_key("www-authenticate");
                    (answer.status(), challenge, calls::read_body(answer).await)
                }
                // What a middleware refuses, the server turns into its answer.
                Err(error) => {
                    let answer = error.error_response();
                    let challenge = answer.headers().contains_key("www-authenticate");
                    let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap_or(Bytes::new());
                    (error.as_response_error().status_code(), challenge, body)
                }
            };
            assert_eq!(answered.as_u16(), status, "{path} {headers:?} {body:?}");
            assert_eq!(challenge, answered == StatusCode::UNAUTHORIZED);
            if answered.is_success() {
                assert_eq!(body, ada.user.id.to_string());
            } else {
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["error"]["code"], code, "{path} {headers:?}");
                assert!(body["error"]["message"].is_string());
                let required = if status == 402 { json!("studio") } else { Value::Null };
                assert_eq!(body["error"].get("requiredPlan").cloned().unwrap_or_default(), required);
            }
        }
    });
}
