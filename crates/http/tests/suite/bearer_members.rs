//! Members on the bearer API.

use std::collections::BTreeSet;

use keystead_domain::role::Role;
use keystead_testkit::{Keystead, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::organizations::join;
use crate::people::{key, put_on};

const MEMBERS: &str = "/api/v1/members";

/// A key for nothing in particular, pinned to its holder's own organization, whose plan opens the API.
fn bare_key(keystead: &Keystead, person: &TestPerson) -> String {
    put_on(keystead, &person.tenant.slug, "studio");
    key(
        keystead,
        person,
        &json!({"scopes": ["read"], "metadata": {"organizationId": person.tenant.id.to_ulid()}}),
    )
}

fn names(part: &Value) -> Vec<&str> {
    part["data"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect()
}

both_backends! {
    fn any_key_sees_the_members_of_its_organization(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo, eve] = ["Ada", "Bob", "Cleo", "Eve"].map(|name| keystead.person(name));
        let (text, foreign) = (bare_key(&keystead, &ada), bare_key(&keystead, &eve));
        let cleos = join(&keystead, &ada, &cleo, Role::Manager);
        join(&keystead, &ada, &bob, Role::Member);
        let get = |rest: &str| keystead.get(&format!("{MEMBERS}{rest}")).key(&text).send();
        let all = get("").expect(200);
        assert_eq!((names(&all), &all["pagination"]), (vec!["Ada", "Cleo", "Bob"], &json!({"nextCursor": null, "limit": 50})));
        let member = &all["data"][1];
        assert_eq!((&member["id"], &member["userId"]), (&json!(cleos), &json!(cleo.user.id.to_ulid())));
        assert_eq!((&member["email"], &member["role"]), (&json!("cleo@example.com"), &json!("manager")));
        assert!(member.get("twoFactorEnabled").is_none(), "for sessions of those who run it");
        for id in [cleos.clone(), format!("mbr_{}", cleos.to_lowercase())] {
            assert_eq!(get(&format!("/{id}")).expect(200)["data"], *member);
        }
        let theirs = keystead.get(MEMBERS).key(&foreign).send().expect(200);
        assert_eq!(names(&theirs), ["Eve"]);
        for missing in [theirs["data"][0]["id"].as_str().unwrap(), "mbr_01m80sh855fw3s68whfvqtw6fj", "nonsense"] {
            assert_eq!(get(&format!("/{missing}")).bearer_error(404), "not_found", "{missing}");
        }
        put_on(&keystead, &ada.tenant.slug, "free");
        assert_eq!(get("").bearer_error(402), "forbidden_plan");
        assert_eq!(get(&format!("/{cleos}")).bearer_error(402), "forbidden_plan");
    }

    fn members_are_sorted_searched_and_cut_into_parts(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let text = bare_key(&keystead, &ada);
        for name in ["Dan", "Bob", "Cleo"] {
            join(&keystead, &ada, &keystead.person(name), Role::Member);
        }
        // Who has no name stands where its address does.
        database.execute("UPDATE users SET name = NULL WHERE name = 'Bob'");
        let part = |query: &str| keystead.get(&format!("{MEMBERS}?{query}")).key(&text).send().expect(200);
        for (query, expected) in [
            ("sort=id", vec!["Ada", "Dan", "", "Cleo"]),
            ("sort=-createdAt", vec!["Cleo", "", "Dan", "Ada"]),
            ("search=DA", vec!["Ada", "Dan"]),
            ("search=bob%40", vec![""]),
            ("search=%25", vec![]),
        ] {
            assert_eq!(names(&part(query)), expected, "{query}");
        }
        let by_name: BTreeSet<_> = names(&part("sort=name")).into_iter().map(str::to_owned).collect();
        assert_eq!(by_name.len(), 4);
        for sort in ["id", "-id", "createdAt", "-createdAt", "name", "-name"] {
            let whole: Vec<_> = part(&format!("sort={sort}"))["data"].as_array().unwrap().clone();
            for limit in 1..=4 {
                let (mut seen, mut cursor) = (Vec::new(), String::new());
                loop {
                    let part = part(&format!("sort={sort}&limit={limit}{cursor}"));
                    seen.extend(part["data"].as_array().unwrap().clone());
                    let Some(next) = part["pagination"]["nextCursor"].as_str() else { break };
                    cursor = format!("&cursor={next}");
                }
                assert_eq!(seen, whole, "{sort} by {limit}");
            }
        }
        for bad in ["limit=0", "sort=email", "search="] {
            let refused = keystead.get(&format!("{MEMBERS}?{bad}")).key(&text).send();
            assert_eq!(refused.bearer_error(422), "validation_error", "{bad}");
        }
        let cursor = part("limit=1")["pagination"]["nextCursor"].as_str().unwrap().to_owned();
        let projects = key(&keystead, &ada, &json!({"scopes": ["projects:read"]}));
        let elsewhere = keystead.get(&format!("/api/v1/projects?cursor={cursor}")).key(&projects).send();
        assert_eq!(elsewhere.bearer_error(400), "bad_request", "of another list");
    }
}
