//! The OpenAPI document and its page.

use keystead_testkit::{Keystead, TestDatabase};
use serde_json::Value;

#[test]
fn every_operation_says_what_it_needs_and_how_it_can_fail() {
    let keystead = Keystead::on(&TestDatabase::sqlite());
    let document = keystead.get("/openapi.json").send().expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), path, operation))
    });
    let mut ids = std::collections::BTreeSet::new();
    for (name, path, operation) in operations {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
        let has = |status: &str| operation["responses"].get(status).is_some();
        assert!(has("400") && has("405") && has("503"), "{name}");
        let public = path.contains("oauth") || path.contains("access-requests");
        if path.starts_with("/v2/") && !public {
            assert!(has("401") && has("403"), "{name}");
            assert!(operation["security"].is_array(), "{name}");
        }
        if operation.get("requestBody").is_some() {
            assert!(has("413") && has("415"), "{name}");
        }
        // What a session is needed for says so.
        let session = keystead.request(&name.split(' ').next().unwrap().to_uppercase(), path);
        let says = operation["security"].to_string().contains("session");
        let token = keystead_token(&keystead);
        let needs = session.bearer(&token).send();
        assert_eq!(says, needs.status == 401 && needs.json()["code"] == "invalid_session", "{name}");
    }
}

fn keystead_token(keystead: &Keystead) -> String {
    let tenant = keystead.tenant("Acme");
    crate::token(keystead, &tenant)
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let keystead = Keystead::on(&TestDatabase::sqlite());
    let page = keystead.get("/docs/").send();
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("https://"), "{html}");
    for script in ["swagger-ui-bundle.js", "swagger-initializer.js", "swagger-ui.css"] {
        assert_eq!(keystead.get(&format!("/docs/{script}")).send().status, 200, "{script}");
    }
    let initializer = keystead.get("/docs/swagger-initializer.js").send();
    assert!(String::from_utf8(initializer.body).unwrap().contains("/openapi.json"));
    assert_eq!(
        keystead.get("/docs").send().header("location"),
        "/docs/",
        "the address without a slash leads there"
    );
}

#[test]
fn no_operation_is_undocumented_in_the_readme() {
    let keystead = Keystead::on(&TestDatabase::sqlite());
    let document: Value = keystead.get("/openapi.json").send().expect(200);
    let readme = include_str!("../../../../README.md");
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(readme.contains(&format!(" {path}`")), "{path}");
    }
}
