//! Organizations on the account surface: made, seen and renamed, their members and roles, leaving, what they
//! demand, and their audit logs.

use std::time::Duration;

use keystead_domain::Secret;
use keystead_domain::registration::TypedCode;
use keystead_domain::role::Role;
use keystead_domain::second_factor::{TotpStep, TypedFactor};
use keystead_service::people::{self, Presented};
use keystead_service::sessions::SignedIn;
use keystead_service::{Arrival, Caller, Reauthentication, members, mfa, tenants};
use keystead_testkit::{Answer, Keystead, TestDatabase, TestPerson, both_backends, totp_code};
use serde_json::{Value, json};

use crate::people::{key, put_on};

const ALL: &str = "/api/user/organizations";
/// Ids of one instant have no order.
const SECOND: Duration = Duration::from_secs(1);

/// A request of somebody with a session.
pub(crate) fn ask(keystead: &Keystead, who: &TestPerson, method: &str, path: &str, body: Value) -> Answer {
    let call = keystead.request(method, path).cookie(&who.session);
    if body.is_null() { call.send() } else { call.json(&body).send() }
}

/// Makes somebody a member of another's organization.
pub(crate) fn join(keystead: &Keystead, of: &TestPerson, who: &TestPerson, role: Role) -> String {
    keystead.advance(SECOND);
    let added = members::add(&keystead.engine, &Caller::host(), of.tenant.id, &who.user.email, role);
    added.unwrap().0.id.to_ulid()
}

/// Lets the address of somebody whom nothing is remembered of count as confirmed.
pub(crate) fn confirm_address(database: &TestDatabase, who: &TestPerson) {
    database.execute(&format!("UPDATE users SET email_verified_at = 1 WHERE id = '{}'", who.user.id));
}

fn at(person: &TestPerson, rest: &str) -> String {
    format!("{ALL}/{}{rest}", person.tenant.id.to_ulid())
}

fn signed_in(keystead: &Keystead, person: &TestPerson) -> SignedIn {
    let presented = Presented::Session(Secret::new(person.session.clone()));
    let verified = people::verify(&keystead.engine, &presented, &Arrival::default()).unwrap();
    verified.session().unwrap().clone()
}

/// Gives somebody a second factor.
pub(crate) fn enroll(keystead: &Keystead, person: &TestPerson) {
    let (caller, here) = (keystead.caller_of(person), signed_in(keystead, person));
    let password = keystead_domain::password::Password::attempt(TestPerson::PASSWORD).unwrap();
    let proof = Reauthentication { password, second_factor: None::<TypedFactor> };
    let enrolment = mfa::enroll(&keystead.engine, &caller, &here, proof).unwrap();
    let [_, now, _] = TotpStep::accepted(keystead.now());
    let code = totp_code(enrolment.secret.expose(), now);
    mfa::confirm(&keystead.engine, &caller, &here, TypedCode::parse(&code)).unwrap();
}

fn roles(members: &Value) -> Vec<(String, String)> {
    let text = |member: &Value, name: &str| member[name].as_str().unwrap().to_owned();
    members.as_array().unwrap().iter().map(|member| (text(member, "name"), text(member, "role"))).collect()
}

both_backends! {
    fn somebody_makes_organizations_sees_and_renames_them(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let ask = |method: &str, path: &str, body: Value| {
            keystead.advance(SECOND);
            ask(&keystead, &ada, method, path, body)
        };
        let made = ask("POST", ALL, json!({"name": "Acme, Inc.", "slug": "acme"})).expect(201);
        assert_eq!((&made["code"], &made["status"]), (&json!("CREATED"), &json!(201)));
        let acme = &made["data"];
        assert_eq!((&acme["slug"], &acme["role"], &acme["plan"], &acme["status"]), (&json!("acme"), &json!("owner"), &json!("free"), &json!("active")));
        let id = acme["id"].as_str().unwrap();
        assert_eq!(id.len(), 26);

        // A given slug that is taken is a conflict, a derived one gets a suffix.
        assert_eq!(ask("POST", ALL, json!({"name": "Other", "slug": "acme"})).refusal(409), "CONFLICT");
        let derived = ask("POST", ALL, json!({"name": "Acme"})).expect(201);
        let slug = derived["data"]["slug"].as_str().unwrap();
        assert!(slug.starts_with("acme-") && slug.len() == 9, "{slug}");
        for bad in [json!({}), json!({"name": ""}), json!({"name": "A", "slug": "No Slug"}), json!({"name": 1})] {
            assert_eq!(ask("POST", ALL, bad).refusal(400), "VALIDATION_ERROR");
        }

        // Both forms of the id are taken.
        let path = format!("{ALL}/{id}");
        assert_eq!(ask("GET", &path, Value::Null).expect(200)["data"], *acme);
        let prefixed = format!("{ALL}/ten_{}", id.to_lowercase());
        assert_eq!(ask("GET", &prefixed, Value::Null).expect(200)["data"], *acme);
        let renamed = ask("PUT", &path, json!({"name": "Acme Ltd"})).expect(200);
        assert_eq!((&renamed["data"]["name"], &renamed["data"]["slug"]), (&json!("Acme Ltd"), &json!("acme")));
        assert_eq!(ask("GET", &path, Value::Null).expect(200)["data"]["name"], "Acme Ltd");

        let list = ask("GET", ALL, Value::Null).expect(200);
        let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|each| each["name"].clone()).collect();
        assert_eq!(names, ["Ada's organization", "Acme Ltd", "Acme"]);
        assert_eq!(list["meta"]["pagination"], json!({"page": 1, "limit": 20, "total": 3, "totalPages": 1}));
        let second = ask("GET", &format!("{ALL}?page=2&limit=2"), Value::Null).expect(200);
        assert_eq!((&second["data"][0]["name"], second["data"].as_array().unwrap().len()), (&json!("Acme"), 1));
        let beyond = ask("GET", &format!("{ALL}?page=9"), Value::Null).expect(200);
        assert_eq!(beyond["data"], json!([]));
        let wrong = ask("GET", &format!("{ALL}?page=0&limit=101"), Value::Null).expect(400);
        let errors = wrong["meta"]["errors"].as_array().unwrap();
        assert_eq!(errors.iter().map(|error| (&error["field"], &error["location"])).collect::<Vec<_>>(), [(&json!("page"), &json!("query")), (&json!("limit"), &json!("query"))]);
        let me = ask("GET", "/api/user/me", Value::Null).expect(200);
        assert_eq!(me["data"]["organizationCount"], 3);
    }

    fn a_stranger_and_a_second_organization_reach_nothing(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob, eve) = (keystead.person("Ada"), keystead.person("Bob"), keystead.person("Eve"));
        let bobs = join(&keystead, &ada, &bob, Role::Member);
        let eves_own = keystead.get(&at(&eve, "/members")).cookie(&eve.session).send().expect(200);
        let eves_own = eves_own["data"][0]["id"].as_str().unwrap().to_owned();
        let nowhere = ["ten_01h455vb4pex5vsknk084sn02q", "nonsense", "%00", "..%2f"];
        let ids: Vec<_> = nowhere.iter().map(ToString::to_string).chain([ada.tenant.id.to_ulid()]).collect();
        for id in &ids {
            for (method, rest, body) in [
                ("GET", "", Value::Null), ("PUT", "", json!({"name": "Mine"})), ("GET", "/members", Value::Null),
                ("PUT", &*format!("/members/{bobs}/role"), json!({"role": "admin"})), ("DELETE", &*format!("/members/{bobs}"), Value::Null),
                ("GET", "/my-membership", Value::Null), ("DELETE", "/my-membership", Value::Null),
                ("GET", "/mfa", Value::Null), ("PUT", "/mfa", json!({"required": false})),
                ("GET", "/audit-logs", Value::Null), ("GET", "/audit-logs/export", Value::Null),
            ] {
                let path = format!("{ALL}/{id}{rest}");
                assert_eq!(ask(&keystead, &eve, method, &path, body).refusal(403), "FORBIDDEN", "{method} {path}");
                assert_eq!(keystead.request(method, &path).json(&json!({})).send().refusal(401), "AUTHENTICATION_REQUIRED");
            }
        }
        // A member of another organization is none of one's own.
        let missing = |method, rest: &str, body| ask(&keystead, &ada, method, &at(&ada, rest), body).refusal(404);
        for id in [&*eves_own, "mbr_01h455vb4pex5vsknk084sn02q", "nonsense"] {
            assert_eq!(missing("DELETE", &format!("/members/{id}"), Value::Null), "NOT_FOUND");
            assert_eq!(missing("PUT", &format!("/members/{id}/role"), json!({"role": "member"})), "NOT_FOUND");
        }
        ask(&keystead, &eve, "GET", &at(&eve, "/my-membership"), Value::Null).expect(200);
    }

    fn roles_say_who_may_change_whom(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo, dan] = ["Ada", "Bob", "Cleo", "Dan"].map(|name| keystead.person(name));
        let [bobs, cleos, dans] = [(&bob, Role::Admin), (&cleo, Role::Manager), (&dan, Role::Member)].map(|(who, role)| join(&keystead, &ada, who, role));
        let list = ask(&keystead, &bob, "GET", &at(&ada, "/members"), Value::Null).expect(200);
        let expected = [("Ada", "owner"), ("Bob", "admin"), ("Cleo", "manager"), ("Dan", "member")];
        assert_eq!(roles(&list["data"]), expected.map(|(name, role)| (name.to_owned(), role.to_owned())));
        assert_eq!((&list["data"][0]["twoFactorEnabled"], &list["data"][0]["email"]), (&json!(false), &json!("ada@example.com")));
        assert_eq!(list["meta"]["pagination"]["total"], 4);
        let adas = list["data"][0]["id"].as_str().unwrap().to_owned();
        let seen_by_dan = ask(&keystead, &dan, "GET", &at(&ada, "/members?limit=2&page=2"), Value::Null).expect(200);
        assert_eq!(seen_by_dan["data"].as_array().unwrap().len(), 2);
        assert!(seen_by_dan["data"][0].get("twoFactorEnabled").is_none(), "for admins");

        let set = |who: &TestPerson, member: &str, role: &str| ask(&keystead, who, "PUT", &at(&ada, &format!("/members/{member}/role")), json!({"role": role}));
        for who in [&cleo, &dan] {
            assert_eq!(set(who, &dans, "manager").refusal(403), "INSUFFICIENT_PERMISSIONS");
            assert_eq!(ask(&keystead, who, "DELETE", &at(&ada, &format!("/members/{dans}")), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
            assert_eq!(ask(&keystead, who, "PUT", &at(&ada, ""), json!({"name": "Mine"})).refusal(403), "INSUFFICIENT_PERMISSIONS");
            assert_eq!(ask(&keystead, who, "GET", &at(&ada, "/audit-logs"), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
        }
        for who in [&bob, &cleo, &dan] {
            assert_eq!(ask(&keystead, who, "GET", &at(&ada, "/mfa"), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
        }
        // Nobody grants, changes or removes a role above their own.
        assert_eq!(set(&bob, &dans, "owner").refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(set(&bob, &adas, "member").refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(ask(&keystead, &bob, "DELETE", &at(&ada, &format!("/members/{adas}")), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(set(&bob, &bobs, "owner").refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(set(&bob, &dans, "king").refusal(400), "VALIDATION_ERROR");
        assert_eq!(set(&bob, &dans, "admin").expect(200)["data"]["role"], "admin");
        assert_eq!(set(&dan, &cleos, "member").expect(200)["data"]["role"], "member", "at the next request");
        // The last owner stays one, until there is another.
        assert_eq!(set(&ada, &adas, "admin").refusal(409), "CONFLICT");
        assert_eq!(ask(&keystead, &ada, "DELETE", &at(&ada, "/my-membership"), Value::Null).refusal(409), "CONFLICT");
        assert_eq!(ask(&keystead, &ada, "DELETE", &at(&ada, &format!("/members/{adas}")), Value::Null).refusal(409), "CONFLICT");
        set(&ada, &bobs, "owner").expect(200);
        ask(&keystead, &ada, "DELETE", &at(&ada, "/my-membership"), Value::Null).expect(200);
        assert_eq!(ask(&keystead, &ada, "GET", &at(&ada, ""), Value::Null).refusal(403), "FORBIDDEN");
        assert_eq!(ask(&keystead, &bob, "DELETE", &at(&ada, &format!("/members/{cleos}")), Value::Null).expect(200)["data"]["name"], "Cleo");
        assert_eq!(ask(&keystead, &cleo, "GET", &at(&ada, "/my-membership"), Value::Null).refusal(403), "FORBIDDEN");
        let session = keystead.get("/api/auth/get-session").cookie(&ada.session).send().expect(200);
        assert!(session["session"].get("activeOrganizationId").is_none(), "it is no member any more");
    }

    fn the_last_owner_among_others_cannot_end_its_account(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let bobs = join(&keystead, &ada, &bob, Role::Admin);
        let proof = json!({"password": TestPerson::PASSWORD});
        let ways = [("POST", "/api/auth/delete-user"), ("DELETE", "/api/user/me")];
        for (method, path) in ways {
            assert_eq!(ask(&keystead, &ada, method, path, proof.clone()).refusal(409), "CONFLICT", "{path}");
        }
        ask(&keystead, &ada, "GET", &at(&ada, "/my-membership"), Value::Null).expect(200);
        assert_eq!(keystead.get(&at(&ada, "")).cookie(&bob.session).send().status, 200, "nothing ended");
        // An owner stays behind, so she can go; where nobody does, the organization goes along.
        ask(&keystead, &ada, "PUT", &at(&ada, &format!("/members/{bobs}/role")), json!({"role": "owner"})).expect(200);
        ask(&keystead, &ada, "DELETE", "/api/user/me", proof.clone()).expect(200);
        let members = ask(&keystead, &bob, "GET", &at(&ada, "/members"), Value::Null).expect(200);
        assert_eq!(roles(&members["data"]), [("Bob".to_owned(), "owner".to_owned())]);
        ask(&keystead, &bob, "POST", "/api/auth/delete-user", proof).expect(200);
        assert!(!database.dump("tenants").contains(&ada.tenant.id.to_string()));
    }

    fn a_key_dies_with_its_membership_and_shrinks_with_its_role(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        confirm_address(&database, &bob);
        let following = keystead.follow();
        put_on(&keystead, &ada.tenant.slug, "studio");
        let member = join(&keystead, &ada, &bob, Role::Manager);
        let acme = ada.tenant.id.to_ulid();
        let scopes = json!(["projects:read", "projects:write"]);
        let pinned = key(&keystead, &bob, &json!({"scopes": scopes, "metadata": {"organizationId": acme}}));
        let unpinned = key(&keystead, &bob, &json!({"scopes": scopes}));
        let me = |key: &str| keystead.get("/api/v1/me").bearer(key).header("x-organization-id", acme.as_bytes()).send();
        let carried = |key: &str| me(key).expect(200)["data"]["scopes"].clone();
        let set = |role: &str| ask(&keystead, &ada, "PUT", &at(&ada, &format!("/members/{member}/role")), json!({"role": role})).expect(200);
        for key in [&pinned, &unpinned] {
            assert_eq!(carried(key), scopes);
            set("member");
            assert_eq!((carried(key), &me(key).expect(200)["data"]["role"]), (json!(["projects:read"]), &json!("member")));
            set("manager");
            assert_eq!(carried(key), scopes);
        }
        // A key sees its organization and members, and changes neither.
        assert_eq!(keystead.get(&at(&ada, "/members")).key(&pinned).send().status, 200);
        let listed = keystead.get(ALL).key(&pinned).send().expect(200);
        assert_eq!((listed["data"].as_array().unwrap().len(), &listed["data"][0]["id"]), (1, &json!(acme)));
        assert_eq!(keystead.get(&at(&bob, "")).key(&pinned).send().refusal(403), "FORBIDDEN", "pinned elsewhere");
        set("owner");
        for (method, rest, body) in [
            ("POST", String::new(), json!({"name": "X"})), ("PUT", format!("/{acme}"), json!({"name": "X"})),
            ("PUT", format!("/{acme}/members/{member}/role"), json!({"role": "owner"})), ("DELETE", format!("/{acme}/members/{member}"), json!({})),
            ("DELETE", format!("/{acme}/my-membership"), json!({})), ("GET", format!("/{acme}/mfa"), json!({})), ("PUT", format!("/{acme}/mfa"), json!({"required": false})),
            ("GET", format!("/{acme}/audit-logs"), json!({})), ("GET", format!("/{acme}/audit-logs/export"), json!({})),
        ] {
            let answer = keystead.request(method, &format!("{ALL}{rest}")).key(&pinned).json(&body).send();
            assert_eq!(answer.refusal(403), "FORBIDDEN", "{method} {rest}");
        }
        ask(&keystead, &ada, "DELETE", &at(&ada, &format!("/members/{member}")), Value::Null).expect(200);
        assert_eq!(me(&pinned).bearer_error(401), "unauthenticated", "gone for good");
        assert_eq!(me(&unpinned).bearer_error(403), "forbidden_scope");
        join(&keystead, &ada, &bob, Role::Owner);
        assert_eq!(me(&pinned).bearer_error(401), "unauthenticated", "joining again does not revive it");
        assert_eq!(carried(&unpinned), scopes);
        drop(following);
    }

    fn an_owner_demands_a_second_factor_and_pinned_keys(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        confirm_address(&database, &bob);
        let following = keystead.follow();
        put_on(&keystead, &ada.tenant.slug, "studio");
        join(&keystead, &ada, &bob, Role::Admin);
        let acme = ada.tenant.id.to_ulid();
        let unpinned = key(&keystead, &bob, &json!({}));
        let pinned = key(&keystead, &bob, &json!({"metadata": {"organizationId": acme}}));
        let put = |body: Value| ask(&keystead, &ada, "PUT", &at(&ada, "/mfa"), body);
        for bad in [json!({}), json!({"required": "yes"})] {
            assert_eq!(put(bad).refusal(400), "VALIDATION_ERROR");
        }
        assert_eq!(put(json!({"required": true})).refusal(403), "MFA_REQUIRED", "it would lock itself out");
        enroll(&keystead, &ada);
        let shown = ask(&keystead, &ada, "GET", &at(&ada, "/mfa"), Value::Null).expect(200);
        let data = &shown["data"];
        assert_eq!((&data["required"], &data["pinnedKeysOnly"], &data["compliant"], &data["nonCompliant"]), (&json!(false), &json!(false), &json!(1), &json!(1)));
        let enabled: Vec<_> = data["members"].as_array().unwrap().iter().map(|member| (&member["name"], &member["twoFactorEnabled"])).collect();
        assert_eq!(enabled, [(&json!("Ada"), &json!(true)), (&json!("Bob"), &json!(false))]);
        assert_eq!(shown["meta"]["pagination"]["total"], 2);

        ask(&keystead, &bob, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!(put(json!({"required": true})).expect(200)["data"], json!({"required": true, "pinnedKeysOnly": false}));
        assert_eq!(ask(&keystead, &bob, "GET", &at(&ada, ""), Value::Null).refusal(403), "MFA_REQUIRED");
        let asks_v1 = |key: &str| keystead.get("/api/v1/me").bearer(key).header("x-organization-id", acme.as_bytes()).send().status;
        assert_eq!((asks_v1(&unpinned), asks_v1(&pinned)), (403, 403));
        let listed = ask(&keystead, &bob, "GET", ALL, Value::Null).expect(200);
        assert!(listed["data"].as_array().unwrap().iter().any(|each| each["id"] == acme.as_str() && each["mfaRequired"] == true), "it learns what is demanded: {listed}");
        enroll(&keystead, &bob);
        ask(&keystead, &bob, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!((asks_v1(&unpinned), asks_v1(&pinned)), (200, 200));

        assert_eq!(put(json!({"pinnedKeysOnly": true})).expect(200)["data"], json!({"required": true, "pinnedKeysOnly": true}));
        assert_eq!((asks_v1(&unpinned), asks_v1(&pinned)), (403, 200));
        put(json!({"required": false, "pinnedKeysOnly": false})).expect(200);
        assert_eq!((asks_v1(&unpinned), asks_v1(&pinned)), (200, 200));
        drop(following);
    }

    fn audit_logs_are_filtered_paged_and_exported(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| keystead.person(name));
        let bobs = join(&keystead, &ada, &bob, Role::Member);
        let start = keystead.now();
        let set = |role: &str| keystead.request("PUT", &at(&ada, &format!("/members/{bobs}/role"))).cookie(&ada.session)
            .header("user-agent", "=cmd(\"x\"), y").json(&json!({"role": role})).send().expect(200);
        for role in ["manager", "admin", "member"] {
            keystead.advance(SECOND);
            set(role);
        }
        keystead.advance(SECOND);
        ask(&keystead, &ada, "PUT", &at(&ada, ""), json!({"name": "Acme"})).expect(200);
        let logs = |rest: &str| ask(&keystead, &ada, "GET", &at(&ada, &format!("/audit-logs{rest}")), Value::Null);
        let all = logs("").expect(200);
        let actions: Vec<_> = all["data"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect();
        assert_eq!(actions, ["tenant.renamed", "member.role_changed", "member.role_changed", "member.role_changed", "member.added", "tenant.created"]);
        let newest = &all["data"][0];
        assert_eq!((&newest["actor"], &newest["target"], &newest["outcome"]), (&json!({"type": "user", "id": ada.user.id.to_ulid()}), &json!(ada.tenant.id.to_ulid()), &json!("done")));
        let page = logs("?action=member.role_changed&page=2&limit=2").expect(200);
        assert_eq!((page["data"].as_array().unwrap().len(), &page["meta"]["pagination"]), (1, &json!({"page": 2, "limit": 2, "total": 3, "totalPages": 2})));
        let total = |rest: &str| logs(rest).expect(200)["meta"]["pagination"]["total"].clone();
        assert_eq!(total(&format!("?actor={}", ada.user.id.to_ulid())), 5);
        assert_eq!(total(&format!("?actor={}", ada.user.id)), 5);
        assert_eq!(total(&format!("?actor={}", bob.user.id)), 0);
        let later = (start + SECOND).to_rfc3339_seconds();
        assert_eq!((total(&format!("?from={later}")), total(&format!("?to={later}"))), (json!(4), json!(2)));
        for bad in ["?action=nonsense", "?from=yesterday", "?limit=0", "?page=x", "/export?format=xml"] {
            assert_eq!(logs(bad).refusal(400), "VALIDATION_ERROR", "{bad}");
        }

        let lines = logs("/export");
        assert_eq!((lines.status, lines.header("content-type")), (200, "application/x-ndjson"));
        assert!(lines.header("content-disposition").starts_with("attachment"));
        let text = String::from_utf8(lines.body).unwrap();
        let mut events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.reverse();
        assert_eq!(json!(events), all["data"], "the oldest first");
        let csv = logs("/export?format=csv&action=member.role_changed");
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let text = String::from_utf8(csv.body).unwrap();
        assert!(text.starts_with("id,createdAt,action,outcome,actorType,actorId,target,ipAddress,userAgent\r\n"), "{text}");
        assert_eq!((text.matches("\r\n").count(), text.matches(",\"'=cmd(\"\"x\"\"), y\"\r\n").count()), (4, 3), "{text}");
        let none = logs("/export?format=csv&actor=nobody");
        assert_eq!(String::from_utf8(none.body).unwrap().lines().count(), 1);

        // Nothing of another organization, and its people have none of this one.
        let eves = ask(&keystead, &eve, "GET", &at(&eve, "/audit-logs"), Value::Null).expect(200);
        assert_eq!(eves["meta"]["pagination"]["total"], 1);
        // Who runs a suspended organization can still look back and take it out.
        tenants::suspend(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert_eq!(logs("/export").status, 200);
        assert_eq!(ask(&keystead, &ada, "PUT", &at(&ada, ""), json!({"name": "X"})).refusal(403), "TENANT_VIOLATION");
    }

    fn a_long_trail_is_exported_whole(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let bobs = join(&keystead, &ada, &bob, Role::Member).parse().unwrap();
        let caller = keystead.caller_of(&ada);
        for turn in 0..600 {
            let role = if turn % 2 == 0 { Role::Admin } else { Role::Member };
            members::change_role(&keystead.engine, &caller, ada.tenant.id, bobs, role).unwrap();
        }
        let text = ask(&keystead, &ada, "GET", &at(&ada, "/audit-logs/export"), Value::Null).body;
        let text = String::from_utf8(text).unwrap();
        let ids: std::collections::BTreeSet<_> = text.lines().map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!((text.lines().count(), ids.len()), (602, 602));
    }
}
