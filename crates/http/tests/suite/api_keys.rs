//! API keys on the account surface: seen, narrowed, rotated and revoked.

use std::time::Duration;

use keystead_domain::Owner;
use keystead_domain::id::MembershipId;
use keystead_domain::membership::Membership;
use keystead_domain::policy::{Action, Principal};
use keystead_domain::role::Role;
use keystead_service::people;
use keystead_storage::memberships;
use keystead_testkit::{Answer, Keystead, TestDatabase, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::people::{key, put_on};

/// Makes a person a member of another's organization.
pub(crate) fn join(
    database: &TestDatabase,
    keystead: &Keystead,
    host: &TestPerson,
    guest: &TestPerson,
    role: Role,
) -> Membership {
    let scope = Principal::Host.allow(Action::ManageMembers, Owner::Tenant(host.tenant.id)).unwrap();
    let membership = Membership {
        id: MembershipId::mint(keystead.now(), &*keystead.env),
        tenant: host.tenant.id,
        user: guest.user.id,
        role,
        founder: false,
        created_at: keystead.now(),
    };
    let row = membership.clone();
    database.open().write(move |tx| memberships::insert(&mut tx.tenant(&scope), &row)).unwrap();
    membership
}

fn call(keystead: &Keystead, who: &TestPerson, path: &str, body: &Value) -> Answer {
    keystead.post(&format!("/api/auth/api-key/{path}")).cookie(&who.session).json(body).send()
}

fn works(keystead: &Keystead, key: &str) -> u16 {
    keystead.get("/api/user/me").key(key).send().status
}

both_backends! {
    fn keys_are_listed_found_and_revoked_in_both_shapes(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let made = call(&keystead, &ada, "create", &json!({"name": "CI", "metadata": {"organizationId": ada.tenant.id.to_ulid()}})).expect(200);
        let text = made["key"].as_str().unwrap();
        let list = keystead.get("/api/auth/api-key/list").cookie(&ada.session).send().expect(200);
        assert_eq!((&list["total"], &list["success"], &list["code"]), (&json!(1), &json!(true), &json!("OK")));
        assert_eq!((&list["apiKeys"], list["apiKeys"][0].get("key")), (&list["data"], None));
        assert_eq!(list["apiKeys"][0]["metadata"]["organizationId"], ada.tenant.id.to_ulid());
        assert!(text.starts_with(list["apiKeys"][0]["start"].as_str().unwrap()));

        let id = made["id"].as_str().unwrap();
        let get = |who: &TestPerson, id: &str| keystead.get(&format!("/api/auth/api-key/get?id={id}")).cookie(&who.session).send();
        let found = get(&ada, id).expect(200);
        assert_eq!((&found["name"], &found["data"]["name"], &found["message"]), (&json!("CI"), &json!("CI"), &json!("API key fetched successfully")));
        for id in [id, "ak_01m80sh855fw3s68whfvqtw6fj", "nonsense"] {
            assert_eq!(get(&bob, id).refusal(404), "KEY_NOT_FOUND", "{id}");
            for path in ["update", "delete"] {
                assert_eq!(call(&keystead, &bob, path, &json!({"keyId": id, "name": "x"})).refusal(404), "KEY_NOT_FOUND", "{path} {id}");
            }
            assert_eq!(call(&keystead, &bob, "rotate", &json!({"keyId": id})).refusal(404), "KEY_NOT_FOUND");
        }
        assert_eq!(keystead.get("/api/auth/api-key/get").cookie(&ada.session).send().refusal(400), "VALIDATION_ERROR");
        assert_eq!(keystead.get("/api/auth/api-key/get?id=a&id=b").cookie(&ada.session).send().refusal(400), "VALIDATION_ERROR");
        assert_eq!(call(&keystead, &ada, "delete", &json!({})).refusal(400), "VALIDATION_ERROR");
        assert_eq!(works(&keystead, text), 200);
        let deleted = call(&keystead, &ada, "delete", &json!({"keyId": id})).expect(200);
        assert_eq!((&deleted["success"], &deleted["code"]), (&json!(true), &json!("OK")));
        assert_eq!(keystead.get("/api/user/me").key(text).send().refusal(401), "INVALID_API_KEY");
        assert_eq!(call(&keystead, &ada, "delete", &json!({"keyId": id})).refusal(404), "KEY_NOT_FOUND");
        assert_eq!(keystead.get("/api/auth/api-key/list").cookie(&ada.session).send().expect(200)["total"], 0);
    }

    fn a_key_is_renamed_and_narrowed_and_never_widened(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let following = keystead.follow();
        let ada = keystead.person("Ada");
        let made = call(&keystead, &ada, "create", &json!({"scopes": ["user:read", "api-keys:write"]})).expect(200);
        let (id, text) = (made["id"].clone(), made["key"].as_str().unwrap());
        assert_eq!(works(&keystead, text), 200);
        let wider = call(&keystead, &ada, "update", &json!({"keyId": id, "scopes": ["user:read", "user:write"]})).expect(400);
        assert_eq!((&wider["code"], &wider["meta"]["errors"][0]["field"]), (&json!("VALIDATION_ERROR"), &json!("scopes")));
        // A key that may change keys narrows itself.
        let by_key = keystead.post("/api/auth/api-key/update").key(text).json(&json!({"keyId": id, "name": "Less", "scopes": ["api-keys:write"]})).send();
        let narrowed = by_key.expect(200);
        assert_eq!((&narrowed["name"], &narrowed["scopes"]), (&json!("Less"), &json!(["api-keys:write"])));
        assert_eq!(keystead.get("/api/user/me").key(text).send().refusal(403), "API_KEY_MISSING_SCOPES", "at the next request");
        let back = keystead.post("/api/auth/api-key/update").key(text).json(&json!({"keyId": id, "scopes": ["user:read"]})).send();
        assert_eq!(back.refusal(400), "VALIDATION_ERROR");
        let reads = keystead.get("/api/auth/api-key/list").key(text).send().expect(403);
        assert_eq!(reads["meta"]["required"], json!(["api-keys:read"]));
        let ends = keystead.post("/api/auth/api-key/delete").key(text).json(&json!({"keyId": id})).send().expect(403);
        assert_eq!(ends["meta"]["required"], json!(["api-keys:delete"]));
        drop(following);
    }

    fn a_pinned_key_sees_only_keys_with_its_pin(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let pin = json!({"organizationId": ada.tenant.id.to_ulid()});
        let pinned = key(&keystead, &ada, &json!({"scopes": ["api-keys:read", "api-keys:delete"], "metadata": pin}));
        let unpinned = call(&keystead, &ada, "create", &json!({"name": "Free"})).expect(200)["id"].clone();
        let seen = keystead.get("/api/auth/api-key/list").key(&pinned).send().expect(200);
        assert_eq!((&seen["total"], &seen["apiKeys"][0]["metadata"]), (&json!(1), &pin));
        let get = keystead.get(&format!("/api/auth/api-key/get?id={}", unpinned.as_str().unwrap())).key(&pinned).send();
        assert_eq!(get.refusal(404), "KEY_NOT_FOUND");
        let end = keystead.post("/api/auth/api-key/delete").key(&pinned).json(&json!({"keyId": unpinned})).send();
        assert_eq!(end.refusal(404), "KEY_NOT_FOUND");
    }

    fn a_rotated_key_has_two_secrets_for_a_while(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let following = keystead.follow();
        let ada = keystead.person("Ada");
        let made = call(&keystead, &ada, "create", &json!({"name": "CI", "scopes": ["user:read", "api-keys:write"]})).expect(200);
        let (id, first) = (made["id"].clone(), made["key"].as_str().unwrap());
        let rotate = |body: Value| call(&keystead, &ada, "rotate", &body);
        let by_key = keystead.post("/api/auth/api-key/rotate").key(first).json(&json!({"keyId": id})).send();
        assert_eq!(by_key.refusal(403), "FORBIDDEN");
        assert_eq!(rotate(json!({"keyId": id, "keepOldFor": 2_592_001})).refusal(400), "VALIDATION_ERROR");

        let rotated = rotate(json!({"keyId": id, "keepOldFor": 3600})).expect(200);
        assert_eq!((&rotated["id"], &rotated["name"], &rotated["data"]["key"]), (&id, &json!("CI"), &rotated["key"]));
        assert_eq!(rotated["previousEndsAt"], rotated["data"]["previousEndsAt"]);
        let second = rotated["key"].as_str().unwrap();
        assert_ne!(first, second);
        assert!(second.starts_with(rotated["start"].as_str().unwrap()));
        assert_eq!([works(&keystead, first), works(&keystead, second)], [200, 200]);
        assert_eq!(rotate(json!({"keyId": id})).refusal(409), "CONFLICT", "two at most");
        let listed = keystead.get("/api/auth/api-key/list").cookie(&ada.session).send().expect(200);
        assert_eq!((&listed["total"], &listed["apiKeys"][0]["start"]), (&json!(1), &rotated["start"]));

        keystead.advance(Duration::from_secs(3599));
        assert_eq!([works(&keystead, first), works(&keystead, second)], [200, 200]);
        keystead.advance(Duration::from_secs(1));
        assert_eq!([works(&keystead, first), works(&keystead, second)], [401, 200]);
        // Now there is room again, and with no time at all the old one ends at once.
        let third = rotate(json!({"keyId": id})).expect(200)["key"].as_str().unwrap().to_owned();
        let fourth = rotate(json!({"keyId": id, "keepOldFor": 0})).expect(200)["key"].as_str().unwrap().to_owned();
        assert_eq!([second, &third, &fourth].map(|key| works(&keystead, key)), [401, 401, 200]);
        assert_eq!(call(&keystead, &ada, "delete", &json!({"keyId": id})).status, 200);
        assert_eq!(works(&keystead, &fourth), 401);
        drop(following);
    }

    fn a_key_that_ended_is_not_rotated(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let made = call(&keystead, &ada, "create", &json!({"expiresIn": 60})).expect(200);
        let text = made["key"].as_str().unwrap();
        assert_eq!(works(&keystead, text), 200);
        keystead.advance(Duration::from_secs(60));
        assert_eq!(works(&keystead, text), 401);
        assert_eq!(call(&keystead, &ada, "rotate", &json!({"keyId": made["id"]})).refusal(409), "CONFLICT");
    }

    fn the_last_use_is_written_once_a_minute(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let following = keystead.follow();
        let ada = keystead.person("Ada");
        let text = key(&keystead, &ada, &json!({}));
        let used = || {
            people::write_key_uses(&keystead.engine).unwrap();
            let list = keystead.get("/api/auth/api-key/list").cookie(&ada.session).send().expect(200);
            list["apiKeys"][0]["lastRequest"].clone()
        };
        assert_eq!(used(), Value::Null);
        let mut times = Vec::new();
        for _ in 0..7 {
            assert_eq!(works(&keystead, &text), 200);
            times.push(used());
            keystead.advance(Duration::from_secs(20));
        }
        let first = times[0].clone();
        assert_ne!(first, Value::Null);
        assert_eq!(times[..3], [first.clone(), first.clone(), first.clone()]);
        assert!(times[3] != first && times[3..6].iter().all(|time| *time == times[3]), "{times:?}");
        assert!(times[6] != times[3]);
        drop(following);
    }

    fn a_key_dies_with_its_membership_and_shrinks_with_its_role(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let following = keystead.follow();
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        put_on(&keystead, &ada.tenant.slug, "studio");
        let scope = Principal::Host.allow(Action::ManageMembers, Owner::Tenant(ada.tenant.id)).unwrap();
        let mut membership = join(&database, &keystead, &ada, &bob, Role::Manager);
        let told = || std::thread::sleep(Duration::from_millis(800));
        told();
        // Who has not confirmed its address has no key pinned to what it did not make.
        let body = json!({"scopes": ["projects:write"], "metadata": {"organizationId": ada.tenant.id.to_ulid()}});
        assert_eq!(call(&keystead, &bob, "create", &body).refusal(403), "EMAIL_NOT_VERIFIED");
        let unpinned = key(&keystead, &bob, &json!({"scopes": ["projects:write"]}));
        let scopes = |text: &str| {
            let me = keystead.get("/api/v1/me").key(text).header("x-organization-id", ada.tenant.id.to_ulid()).send();
            me.expect(200)["data"]["scopes"].clone()
        };
        assert_eq!(scopes(&unpinned), json!(["projects:write"]));
        let seen = membership.clone();
        database.open().write(move |tx| memberships::set_role(&mut tx.tenant(&scope), &seen, Role::Member)).unwrap();
        membership.role = Role::Member;
        told();
        assert_eq!(scopes(&unpinned), json!([]));
        let made = keystead.post("/api/v1/projects").key(&unpinned).header("x-organization-id", ada.tenant.id.to_ulid())
            .header("idempotency-key", "1").json(&json!({"name": "Web"})).send();
        assert_eq!(made.bearer_error(403), "forbidden_scope");
        database.open().write(move |tx| memberships::remove(&mut tx.tenant(&scope), &membership)).unwrap();
        told();
        let gone = keystead.get("/api/v1/me").key(&unpinned).header("x-organization-id", ada.tenant.id.to_ulid()).send();
        assert_eq!(gone.bearer_error(403), "forbidden_scope");
        drop(following);
    }
}
