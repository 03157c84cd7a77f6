//! Projects on the account surface: made, seen, changed and deleted, by sessions and by keys.

use std::time::Duration;

use keystead_domain::role::Role;
use keystead_service::{Caller, tenants};
use keystead_testkit::{Keystead, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::organizations::{ask, confirm_address, join};
use crate::people::key;

fn at(person: &TestPerson, rest: &str) -> String {
    format!("/api/user/organizations/{}/projects{rest}", person.tenant.id.to_ulid())
}

both_backends! {
    fn projects_are_made_seen_changed_and_deleted(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let ask = |method: &str, rest: &str, body: Value| {
            keystead.advance(Duration::from_secs(1));
            ask(&keystead, &ada, method, &at(&ada, rest), body)
        };
        let made = ask("POST", "", json!({"name": "Web Site", "website": "https://example.com"})).expect(201);
        assert_eq!((&made["code"], &made["status"]), (&json!("CREATED"), &json!(201)));
        let project = &made["data"];
        assert_eq!((&project["name"], &project["slug"], &project["status"]), (&json!("Web Site"), &json!("web-site"), &json!("active")));
        assert_eq!((&project["organizationId"], project["id"].as_str().unwrap().len()), (&json!(ada.tenant.id.to_ulid()), 26));
        let one = format!("/{}", project["id"].as_str().unwrap());
        assert_eq!(ask("GET", &one, Value::Null).expect(200)["data"], *project);
        let prefixed = format!("/prj_{}", project["id"].as_str().unwrap().to_lowercase());
        assert_eq!(ask("GET", &prefixed, Value::Null).expect(200)["data"], *project, "both forms of the id are taken");

        // A given slug that is taken is a conflict, a derived one gets a suffix; another organization has its own.
        assert_eq!(ask("POST", "", json!({"name": "Other", "slug": "web-site"})).refusal(409), "CONFLICT");
        let second = ask("POST", "", json!({"name": "Web Site", "status": "archived"})).expect(201)["data"].clone();
        assert!(second["slug"].as_str().unwrap().starts_with("web-site-"), "{second}");
        let theirs = crate::organizations::ask(&keystead, &bob, "POST", &at(&bob, ""), json!({"name": "Theirs", "slug": "web-site"})).expect(201);

        let changed = ask("PUT", &one, json!({"name": "Site", "website": null})).expect(200)["data"].clone();
        assert_eq!((&changed["name"], &changed["slug"], &changed["website"]), (&json!("Site"), &json!("web-site"), &Value::Null));
        assert_eq!(ask("PUT", &one, json!({"slug": second["slug"]})).refusal(409), "CONFLICT");
        for bad in [json!({"name": ""}), json!({"slug": "-"}), json!({"website": "ftp://x"}), json!({"status": "gone"}), json!({"name": 1})] {
            assert_eq!(ask("PUT", &one, bad.clone()).refusal(400), "VALIDATION_ERROR", "{bad}");
            assert_eq!(ask("POST", "", bad.clone()).refusal(400), "VALIDATION_ERROR", "{bad}");
        }
        let list = ask("GET", "?limit=1&page=2", Value::Null).expect(200);
        assert_eq!((&list["data"], &list["meta"]["pagination"]), (&json!([second]), &json!({"page": 2, "limit": 1, "total": 2, "totalPages": 2})));
        assert_eq!(ask("GET", "", Value::Null).expect(200)["data"], json!([changed, second]), "the oldest first");
        assert_eq!(ask("GET", "?limit=0", Value::Null).refusal(400), "VALIDATION_ERROR");

        let their_id = format!("/{}", theirs["data"]["id"].as_str().unwrap());
        for missing in [&*their_id, "/prj_01m80sh855fw3s68whfvqtw6fj", "/nonsense"] {
            for (method, body) in [("GET", Value::Null), ("PUT", json!({"name": "Mine"})), ("DELETE", Value::Null)] {
                assert_eq!(ask(method, missing, body).refusal(404), "NOT_FOUND", "{method} {missing}");
            }
        }
        assert_eq!(ask("DELETE", &one, Value::Null).expect(200)["data"], changed, "what it was");
        assert_eq!(ask("DELETE", &one, Value::Null).refusal(404), "NOT_FOUND");
        assert_eq!(ask("GET", "", Value::Null).expect(200)["meta"]["pagination"]["total"], 1);
    }

    fn all_members_read_projects_and_managers_write_them(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo, eve] = ["Ada", "Bob", "Cleo", "Eve"].map(|name| keystead.person(name));
        confirm_address(&database, &bob);
        join(&keystead, &ada, &bob, Role::Manager);
        join(&keystead, &ada, &cleo, Role::Member);
        let made = ask(&keystead, &bob, "POST", &at(&ada, ""), json!({"name": "Web"})).expect(201);
        let one = at(&ada, &format!("/{}", made["data"]["id"].as_str().unwrap()));
        ask(&keystead, &cleo, "GET", &at(&ada, ""), Value::Null).expect(200);
        ask(&keystead, &cleo, "GET", &one, Value::Null).expect(200);
        let writes = [("POST", at(&ada, ""), json!({"name": "x"})), ("PUT", one.clone(), json!({"name": "x"})), ("DELETE", one.clone(), Value::Null)];
        for (method, path, body) in &writes {
            assert_eq!(ask(&keystead, &cleo, method, path, body.clone()).refusal(403), "INSUFFICIENT_PERMISSIONS", "{method}");
            assert_eq!(ask(&keystead, &eve, method, path, body.clone()).refusal(403), "FORBIDDEN", "{method}");
            assert_eq!(keystead.request(method, path).json(body).send().refusal(401), "AUTHENTICATION_REQUIRED", "{method}");
        }
        for path in [&at(&ada, ""), &one] {
            assert_eq!(ask(&keystead, &eve, "GET", path, Value::Null).refusal(403), "FORBIDDEN");
        }

        // A key does what its scopes say, without a plan that opens the bearer API.
        let acme = json!({"organizationId": ada.tenant.id.to_ulid()});
        let reads = key(&keystead, &bob, &json!({"scopes": ["projects:read"], "metadata": acme}));
        let unpinned = key(&keystead, &bob, &json!({"scopes": ["projects:read", "projects:write"]}));
        let elsewhere = key(&keystead, &bob, &json!({"scopes": ["projects:read"], "metadata": {"organizationId": bob.tenant.id.to_ulid()}}));
        assert_eq!(keystead.get(&one).key(&reads).send().expect(200)["data"], made["data"]);
        let refused = keystead.request("PUT", &one).key(&reads).json(&json!({"name": "x"})).send().expect(403);
        assert_eq!((&refused["code"], &refused["meta"]["required"]), (&json!("API_KEY_MISSING_SCOPES"), &json!(["projects:write"])));
        assert_eq!(keystead.get(&one).key(&elsewhere).send().refusal(403), "FORBIDDEN");
        assert_eq!(keystead.request("PUT", &one).key(&unpinned).json(&json!({"name": "Key"})).send().expect(200)["data"]["name"], "Key");

        // Who runs a suspended organization can still look.
        tenants::suspend(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        ask(&keystead, &ada, "GET", &one, Value::Null).expect(200);
        assert_eq!(ask(&keystead, &ada, "DELETE", &one, Value::Null).refusal(403), "TENANT_VIOLATION");
    }
}
