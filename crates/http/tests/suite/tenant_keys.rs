//! The API keys that reach an organization, for those who run it: seen, barred, let in again and revoked.

use std::time::Duration;

use keystead_domain::role::Role;
use keystead_testkit::{Keystead, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::organizations::{ask, confirm_address, join};
use crate::people::{key, put_on};

fn at(person: &TestPerson, rest: &str) -> String {
    format!("/api/user/organizations/{}/api-keys{rest}", person.tenant.id.to_ulid())
}

/// The name, and whether it is pinned and barred, of each key of a list.
fn listed(list: &Value) -> Vec<(String, bool, bool)> {
    let is = |key: &Value, name: &str| key[name].as_bool().unwrap();
    let keys = list["data"].as_array().unwrap().iter();
    keys.map(|key| (key["name"].as_str().unwrap().to_owned(), is(key, "pinned"), is(key, "barred"))).collect()
}

both_backends! {
    fn owners_and_admins_see_the_keys_that_reach_their_organization_and_end_that(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo, eve] = ["Ada", "Bob", "Cleo", "Eve"].map(|name| keystead.person(name));
        for person in [&bob, &cleo] {
            confirm_address(&database, person);
        }
        put_on(&keystead, &ada.tenant.slug, "studio");
        let following = keystead.follow();
        join(&keystead, &ada, &bob, Role::Admin);
        join(&keystead, &ada, &cleo, Role::Member);
        let acme = ada.tenant.id.to_ulid();
        let make = |who: &TestPerson, name: &str, pin: Option<&str>| {
            keystead.advance(Duration::from_secs(1));
            key(&keystead, who, &json!({"name": name, "scopes": ["user:read"], "metadata": pin.map(|pin| json!({"organizationId": pin}))}))
        };
        let pinned = make(&cleo, "pinned", Some(&acme));
        let free = make(&cleo, "free", None);
        make(&cleo, "own", Some(&cleo.tenant.id.to_ulid()));
        make(&eve, "strange", None);
        let list = ask(&keystead, &bob, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!(listed(&list), [("free".to_owned(), false, false), ("pinned".to_owned(), true, false)], "the newest first");
        let holder = &list["data"][0]["holder"];
        assert_eq!((&holder["userId"], &holder["email"]), (&json!(cleo.user.id.to_ulid()), &json!("cleo@example.com")));
        assert!(free.starts_with(list["data"][0]["start"].as_str().unwrap()) && !list.to_string().contains(&free));
        let second = ask(&keystead, &ada, "GET", &at(&ada, "?page=2&limit=1"), Value::Null).expect(200);
        assert_eq!((listed(&second).len(), &second["meta"]["pagination"]["total"]), (1, &json!(2)));
        let [free_id, pinned_id] = [0, 1].map(|n| format!("/{}", list["data"][n]["id"].as_str().unwrap()));

        // Others get nowhere, and another organization's keys are none of this one.
        let theirs = ask(&keystead, &eve, "GET", &at(&eve, ""), Value::Null).expect(200);
        assert_eq!(listed(&theirs), [("strange".to_owned(), false, false)]);
        let their_id = format!("/{}", theirs["data"][0]["id"].as_str().unwrap());
        for (who, code) in [(&cleo, "INSUFFICIENT_PERMISSIONS"), (&eve, "FORBIDDEN")] {
            assert_eq!(ask(&keystead, who, "GET", &at(&ada, ""), Value::Null).refusal(403), code);
            assert_eq!(ask(&keystead, who, "PUT", &at(&ada, &free_id), json!({"barred": true})).refusal(403), code);
            assert_eq!(ask(&keystead, who, "DELETE", &at(&ada, &free_id), Value::Null).refusal(403), code);
        }
        for missing in [&*their_id, "/ak_01m80sh855fw3s68whfvqtw6fj", "/nonsense"] {
            assert_eq!(ask(&keystead, &ada, "PUT", &at(&ada, missing), json!({"barred": true})).refusal(404), "NOT_FOUND", "{missing}");
            assert_eq!(ask(&keystead, &ada, "DELETE", &at(&ada, missing), Value::Null).refusal(404), "NOT_FOUND", "{missing}");
        }

        // A key that is pinned to none is barred here, at the next request, and works elsewhere.
        let me = |key: &str| keystead.get("/api/v1/me").key(key).header("x-organization-id", acme.as_bytes()).send().status;
        assert_eq!((me(&free), me(&pinned)), (200, 200));
        let set = |id: &str, barred: bool| ask(&keystead, &bob, "PUT", &at(&ada, id), json!({"barred": barred}));
        assert_eq!(set(&free_id, true).expect(200)["data"]["barred"], true);
        assert_eq!((me(&free), me(&pinned)), (403, 200));
        keystead.get("/api/user/me").key(&free).send().expect(200);
        assert_eq!(set(&free_id, true).expect(200)["data"]["barred"], true, "once more changes nothing");
        assert_eq!(set(&free_id, false).expect(200)["data"]["barred"], false);
        assert_eq!(me(&free), 200);
        let shut = ask(&keystead, &bob, "DELETE", &at(&ada, &free_id), Value::Null).expect(200);
        assert_eq!((&shut["message"], &shut["data"]["barred"]), (&json!("API key barred"), &json!(true)));
        assert_eq!(me(&free), 403);
        for bad in [json!({}), json!({"barred": null}), json!({"barred": "yes"})] {
            assert_eq!(ask(&keystead, &bob, "PUT", &at(&ada, &free_id), bad).refusal(400), "VALIDATION_ERROR");
        }

        // One that is pinned here is revoked.
        for barred in [true, false] {
            assert_eq!(set(&pinned_id, barred).refusal(409), "CONFLICT");
        }
        let revoked = ask(&keystead, &bob, "DELETE", &at(&ada, &pinned_id), Value::Null).expect(200);
        assert_eq!((&revoked["message"], &revoked["data"]["name"]), (&json!("API key revoked"), &json!("pinned")));
        assert_eq!(me(&pinned), 401);
        assert_eq!(ask(&keystead, &bob, "DELETE", &at(&ada, &pinned_id), Value::Null).refusal(404), "NOT_FOUND");
        let list = ask(&keystead, &ada, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!(listed(&list), [("free".to_owned(), false, true)]);
        let logs = ask(&keystead, &ada, "GET", &format!("/api/user/organizations/{acme}/audit-logs"), Value::Null).expect(200);
        let count = |action: &str| logs["data"].as_array().unwrap().iter().filter(|event| event["action"] == action).count();
        assert_eq!((count("api_key.barred"), count("api_key.let_in"), count("api_key.revoked")), (2, 1, 1));
        drop(following);
    }

    fn a_key_does_so_as_far_as_its_scopes_reach(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let acme = json!({"organizationId": ada.tenant.id.to_ulid()});
        let reads = key(&keystead, &ada, &json!({"name": "reads", "scopes": ["api-keys:read"], "metadata": acme}));
        let ends = key(&keystead, &ada, &json!({"name": "ends", "scopes": ["api-keys:delete"], "metadata": acme}));
        let list = keystead.get(&at(&ada, "")).key(&reads).send().expect(200);
        let one = at(&ada, &format!("/{}", list["data"][0]["id"].as_str().unwrap()));
        let required = |answer: keystead_testkit::Answer| answer.expect(403)["meta"]["required"].clone();
        assert_eq!(required(keystead.get(&at(&ada, "")).key(&ends).send()), json!(["api-keys:read"]));
        assert_eq!(required(keystead.request("DELETE", &one).key(&reads).send()), json!(["api-keys:delete"]));
        assert_eq!(required(keystead.request("PUT", &one).key(&reads).json(&json!({"barred": true})).send()), json!(["api-keys:delete"]));
        keystead.request("DELETE", &one).key(&ends).send().expect(200);
    }
}
