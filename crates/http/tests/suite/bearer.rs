//! The bearer API: projects, keys, cursors, idempotency, origins, plans and limits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_domain::plan::{Plan, Plans};
use keystead_domain::role::Role;
use keystead_testkit::{Answer, Call, Keystead, TestPerson, both_backends, rate_limits};
use serde_json::{Value, json};

use crate::api_keys::join;
use crate::people::{key, put_on};

const PROJECTS: &str = "/api/v1/projects";

/// A person whose organization is on a plan that opens the API, and a key of it.
fn owner(keystead: &Keystead, name: &str) -> (TestPerson, String) {
    let person = keystead.person(name);
    put_on(keystead, &person.tenant.slug, "studio");
    let scopes = json!(["user:read", "projects:read", "projects:write", "api-keys:read", "api-keys:delete"]);
    let pin = json!({"organizationId": person.tenant.id.to_ulid()});
    let text = key(keystead, &person, &json!({"name": name, "scopes": scopes, "metadata": pin}));
    (person, text)
}

fn post(keystead: &Keystead, key: &str, name: &str, body: &Value) -> Answer {
    keystead.post(PROJECTS).key(key).header("idempotency-key", name).json(body).send()
}

/// All ids of a list, read in parts of `limit`; between the parts something happens.
fn walk(keystead: &Keystead, key: &str, query: &str, limit: usize, mut between: impl FnMut()) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let part =
            keystead.get(&format!("{PROJECTS}?limit={limit}{query}{cursor}")).key(key).send().expect(200);
        let data = part["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        assert_eq!(part["pagination"]["limit"], limit);
        ids.extend(data.iter().map(|project| project["id"].as_str().unwrap().to_owned()));
        match part["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
        between();
    }
}

both_backends! {
    fn projects_are_made_seen_changed_and_deleted(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let following = keystead.follow();
        let (ada, text) = owner(&keystead, "Ada");
        let (_, foreign) = owner(&keystead, "Bob");
        let made = post(&keystead, &text, "1", &json!({"name": "Web Site", "website": "https://example.com"})).expect(201);
        let project = &made["data"];
        assert_eq!((&project["name"], &project["slug"], &project["status"]), (&json!("Web Site"), &json!("web-site"), &json!("active")));
        assert_eq!(project["organizationId"], ada.tenant.id.to_ulid());
        let path = format!("{PROJECTS}/{}", project["id"].as_str().unwrap());
        assert_eq!(keystead.get(&path).key(&text).send().expect(200), made);
        assert_eq!(keystead.get("/api/v1/me").key(&text).send().expect(200)["data"]["projectIds"], json!([project["id"]]));

        // A given slug that is taken is a conflict, a derived one gets a suffix.
        assert_eq!(post(&keystead, &text, "2", &json!({"name": "x", "slug": "web-site"})).bearer_error(409), "conflict");
        let second = post(&keystead, &text, "3", &json!({"name": "Web Site"})).expect(201);
        assert!(second["data"]["slug"].as_str().unwrap().starts_with("web-site-"), "{second}");
        post(&keystead, &foreign, "2", &json!({"name": "x", "slug": "web-site"})).expect(201);

        let patch = |key: &str, body: Value| keystead.request("PATCH", &path).key(key).json(&body).send();
        let changed = patch(&text, json!({"name": "Site", "website": null, "status": "archived"})).expect(200);
        assert_eq!((&changed["data"]["name"], &changed["data"]["slug"]), (&json!("Site"), &json!("web-site")));
        assert_eq!((&changed["data"]["website"], &changed["data"]["status"]), (&Value::Null, &json!("archived")));
        let kept = patch(&text, json!({"website": "https://example.org"})).expect(200);
        assert_eq!((&kept["data"]["name"], &kept["data"]["website"]), (&json!("Site"), &json!("https://example.org")));
        assert_eq!(patch(&text, json!({"slug": second["data"]["slug"]})).bearer_error(409), "conflict");
        for bad in [json!({"name": ""}), json!({"slug": "-"}), json!({"website": "ftp://x"}), json!({"status": "gone"}), json!({"name": 1})] {
            assert_eq!(patch(&text, bad.clone()).bearer_error(422), "validation_error", "{bad}");
            assert_eq!(post(&keystead, &text, "4", &bad).bearer_error(422), "validation_error", "{bad}");
        }
        for (key, path) in [(&foreign, path.as_str()), (&text, "/api/v1/projects/nonsense"), (&text, "/api/v1/projects/prj_01m80sh855fw3s68whfvqtw6fj")] {
            assert_eq!(keystead.get(path).key(key).send().bearer_error(404), "not_found");
            assert_eq!(keystead.request("PATCH", path).key(key).json(&json!({"name": "Mine"})).send().bearer_error(404), "not_found");
            assert_eq!(keystead.request("DELETE", path).key(key).send().bearer_error(404), "not_found");
        }
        assert_eq!(keystead.request("DELETE", &path).key(&text).send().status, 204);
        assert_eq!(keystead.get(&path).key(&text).send().bearer_error(404), "not_found");
        assert_eq!(keystead.get("/api/v1/me").key(&text).send().expect(200)["data"]["projectIds"], json!([second["data"]["id"]]));
        drop(following);
    }

    fn the_user_and_the_organization_are_shown(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, text) = owner(&keystead, "Ada");
        let user = keystead.get("/api/v1/users/me").key(&text).send().expect(200);
        assert_eq!((&user["data"]["email"], &user["data"]["id"]), (&json!("ada@example.com"), &json!(ada.user.id.to_ulid())));
        let organization = keystead.get("/api/v1/organization").key(&text).send().expect(200);
        assert_eq!((&organization["data"]["slug"], &organization["data"]["role"]), (&json!(ada.tenant.slug.as_str()), &json!("owner")));
        let bare = key(&keystead, &ada, &json!({"scopes": ["read"]}));
        keystead.get("/api/v1/organization").key(&bare).send().expect(200);
        assert_eq!(keystead.get("/api/v1/users/me").key(&bare).send().bearer_error(403), "forbidden_scope");
        assert_eq!(keystead.get("/api/v1/tokens").key(&bare).send().bearer_error(403), "forbidden_scope");
    }

    fn lists_are_sorted_searched_and_cut_into_parts(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (_, text) = owner(&keystead, "Ada");
        for (at, name) in ["delta", "alpha", "charlie", "bravo", "100%"].iter().enumerate() {
            keystead.advance(Duration::from_secs(1));
            post(&keystead, &text, &at.to_string(), &json!({"name": name})).expect(201);
        }
        let names = |query: &str| {
            let list = keystead.get(&format!("{PROJECTS}{query}")).key(&text).send().expect(200);
            assert_eq!(list["pagination"], json!({"nextCursor": null, "limit": 50}));
            let names = list["data"].as_array().unwrap().iter().map(|project| project["name"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(""), "delta alpha charlie bravo 100%");
        assert_eq!(names("?sort=-id"), "100% bravo charlie alpha delta");
        assert_eq!(names("?sort=createdAt"), "delta alpha charlie bravo 100%");
        assert_eq!(names("?sort=-createdAt"), "100% bravo charlie alpha delta");
        assert_eq!(names("?sort=name"), "100% alpha bravo charlie delta");
        assert_eq!(names("?sort=-name"), "delta charlie bravo alpha 100%");
        assert_eq!((names("?search=LI").as_str(), names("?search=%25").as_str(), names("?search=_").as_str()), ("charlie", "100%", ""));
        for bad in ["?limit=0", "?limit=201", "?limit=x", "?sort=slug", "?search=", "?search=%00", "?limit="] {
            assert_eq!(keystead.get(&format!("{PROJECTS}{bad}")).key(&text).send().bearer_error(422), "validation_error", "{bad}");
        }
        for sort in ["id", "-id", "createdAt", "-createdAt", "name", "-name"] {
            for limit in 1..=6 {
                let ids = walk(&keystead, &text, &format!("&sort={sort}"), limit, || ());
                assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5, "{sort} by {limit}");
                assert_eq!(ids.len(), 5, "{sort} by {limit}");
            }
        }
    }

    fn a_cursor_is_good_for_its_own_list_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, text) = owner(&keystead, "Ada");
        let (_, foreign) = owner(&keystead, "Bob");
        for at in 0..3 {
            post(&keystead, &text, &at.to_string(), &json!({"name": format!("project {at}")})).expect(201);
        }
        key(&keystead, &ada, &json!({}));
        let next = |path: &str| {
            let list = keystead.get(path).key(&text).send().expect(200);
            list["pagination"]["nextCursor"].as_str().unwrap().to_owned()
        };
        let cursor = next("/api/v1/projects?limit=1&sort=name&search=project");
        let with = |query: &str, cursor: &str, key: &str| keystead.get(&format!("{PROJECTS}?cursor={cursor}&{query}")).key(key).send();
        assert_eq!(with("sort=name&search=project", &cursor, &text).expect(200)["data"].as_array().unwrap().len(), 2);
        let swapped: String = cursor.chars().rev().collect();
        let tokens = next("/api/v1/tokens?limit=1");
        for (query, cursor, key) in [
            ("", cursor.as_str(), &text),
            ("sort=name", &cursor, &text),
            ("sort=-name&search=project", &cursor, &text),
            ("sort=name&search=projec", &cursor, &text),
            ("sort=name&search=project", &cursor, &foreign),
            ("sort=name&search=project", &swapped, &text),
            ("sort=name&search=project", &cursor[1..], &text),
            ("sort=name&search=project", &format!("{cursor}A"), &text),
            ("", &tokens, &text),
            ("", "", &text),
            ("", "bm90IGpzb24", &text),
            ("", "e30", &text),
        ] {
            assert_eq!(with(query, cursor, key).bearer_error(400), "bad_request", "{query} {cursor}");
        }
    }

    fn parts_neither_skip_nor_repeat_while_rows_come_and_go(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (_, text) = owner(&keystead, "Ada");
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut made = 0;
        for round in 0..12 {
            let mut alive = BTreeSet::new();
            let list = keystead.get("/api/v1/projects?limit=200").key(&text).send().expect(200);
            alive.extend(list["data"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()));
            let mut insert = |draw: &mut dyn FnMut(u64) -> u64| {
                made += 1;
                keystead.advance(Duration::from_millis(draw(2)));
                let name = format!("{}-{}", ["a", "m", "z"][draw(3) as usize], draw(4));
                let project = post(&keystead, &text, &format!("made-{made}"), &json!({"name": name})).expect(201);
                project["data"]["id"].as_str().unwrap().to_owned()
            };
            while alive.len() < 12 {
                alive.insert(insert(&mut draw));
            }
            let before = alive.clone();
            let sort = ["id", "-id", "createdAt", "-createdAt", "name", "-name"][round % 6];
            let limit = 1 + draw(4) as usize;
            let mut deleted = BTreeSet::new();
            let seen = walk(&keystead, &text, &format!("&sort={sort}"), limit, || {
                if draw(2) == 0 {
                    insert(&mut draw);
                }
                if draw(2) == 0 && !alive.is_empty() {
                    let id = alive.iter().nth(draw(alive.len() as u64) as usize).unwrap().clone();
                    alive.remove(&id);
                    let path = format!("{PROJECTS}/{id}");
                    assert_eq!(keystead.request("DELETE", &path).key(&text).send().status, 204);
                    deleted.insert(id);
                }
            });
            let unique: BTreeSet<_> = seen.iter().cloned().collect();
            assert_eq!(unique.len(), seen.len(), "{sort} by {limit} repeats");
            let stayed: BTreeSet<_> = before.difference(&deleted).cloned().collect();
            assert!(stayed.is_subset(&unique), "{sort} by {limit} skips");
        }
    }

    fn a_post_is_done_once_for_each_key(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, text) = owner(&keystead, "Ada");
        let (_, foreign) = owner(&keystead, "Bob");
        let body = json!({"name": "Web"});
        let without = keystead.post(PROJECTS).key(&text).json(&body).send().expect(422);
        assert_eq!((&without["error"]["code"], &without["error"]["fields"][0]["field"]), (&json!("validation_error"), &json!("Idempotency-Key")));
        for bad in ["", "a b", "\u{e4}", &"k".repeat(256)] {
            assert_eq!(post(&keystead, &text, bad, &body).bearer_error(422), "validation_error", "{bad}");
        }
        let first = post(&keystead, &text, "one", &body);
        assert_eq!(first.header("idempotent-replayed"), "");
        let again = post(&keystead, &text, "one", &body);
        assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (201, "true", &first.body));
        assert_eq!(post(&keystead, &text, "one", &json!({"name": "Other"})).bearer_error(409), "conflict");
        // What was refused is answered alike, though it would do by now.
        let taken = json!({"name": "Other", "slug": "web"});
        let refused = post(&keystead, &text, "two", &taken);
        assert_eq!(refused.status, 409);
        let path = format!("{PROJECTS}/{}", first.json()["data"]["id"].as_str().unwrap());
        assert_eq!(keystead.request("DELETE", &path).key(&text).send().status, 204);
        let replayed = post(&keystead, &text, "two", &taken);
        assert_eq!((replayed.status, replayed.header("idempotent-replayed"), &replayed.body), (409, "true", &refused.body));
        assert_eq!(post(&keystead, &text, "one", &body).body, first.body, "gone, and still the answer");
        // The key of another's is another, and so is one's own in a day.
        post(&keystead, &foreign, "two", &taken).expect(201);
        keystead.advance(Duration::from_secs(24 * 3600));
        post(&keystead, &text, "two", &taken).expect(201);

        // The caller is authenticated and authorized before it is answered again.
        put_on(&keystead, &ada.tenant.slug, "free");
        assert_eq!(post(&keystead, &text, "two", &taken).bearer_error(402), "forbidden_plan");
        put_on(&keystead, &ada.tenant.slug, "studio");
        let reading = key(&keystead, &ada, &json!({"scopes": ["projects:read"]}));
        assert_eq!(post(&keystead, &reading, "two", &taken).bearer_error(403), "forbidden_scope");
        assert_eq!(post(&keystead, &reading, "three", &body).bearer_error(403), "forbidden_scope");
        post(&keystead, &text, "three", &body).expect(201);
    }

    fn of_sixteen_at_once_one_is_done(database: TestDatabase) {
        let keystead = Arc::new(Keystead::on(&database));
        let (_, text) = owner(&keystead, "Ada");
        for round in 0..3 {
            let threads: Vec<_> = (0..16).map(|_| {
                let (keystead, text) = (Arc::clone(&keystead), text.clone());
                thread::spawn(move || {
                    let answer = post(&keystead, &text, &format!("round-{round}"), &json!({"name": format!("Round {round}")}));
                    let known = answer.status == 201 || answer.status == 409 && !answer.header("retry-after").is_empty();
                    assert!(known, "{answer:?}");
                    (answer.status == 201).then_some(answer.body)
                })
            }).collect();
            let bodies: BTreeSet<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
            assert_eq!(bodies.len(), 1, "one answer");
        }
        assert_eq!(walk(&keystead, &text, "", 50, || ()).len(), 3);
    }

    fn keys_are_seen_and_ended_by_their_holders_and_by_who_runs_the_organization(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, text) = owner(&keystead, "Ada");
        let (bob, _) = owner(&keystead, "Bob");
        join(&database, &keystead, &ada, &bob, Role::Member);
        let both = json!({"name": "Bob's", "scopes": ["api-keys:read", "api-keys:delete"]});
        let bobs = key(&keystead, &bob, &both);
        let other = key(&keystead, &bob, &both);
        let here = |call: Call| call.header("x-organization-id", ada.tenant.id.to_ulid());
        let list = |key: &str| {
            let list = here(keystead.get("/api/v1/tokens?sort=-createdAt")).key(key).send().expect(200);
            list["data"].as_array().unwrap().clone()
        };
        let all = list(&text);
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(all.iter().filter(|token| token["pinned"] == true).count(), 1);
        let mine = list(&bobs);
        assert_eq!(mine.len(), 2);
        assert!(mine.iter().all(|token| token["holder"]["email"] == "bob@example.com" && token.get("key").is_none()));
        let named = |start: &str| all.iter().find(|token| start.starts_with(token["start"].as_str().unwrap())).unwrap()["id"].as_str().unwrap().to_owned();
        let end = |key: &str, id: &str| here(keystead.request("DELETE", &format!("/api/v1/tokens/{id}"))).key(key).send();
        assert_eq!(end(&bobs, &named(&text)).bearer_error(404), "not_found", "another's");
        assert_eq!(end(&bobs, "nonsense").bearer_error(404), "not_found");
        assert_eq!(end(&bobs, &named(&other)).status, 204);
        assert_eq!(here(keystead.get("/api/v1/me")).key(&other).send().bearer_error(401), "unauthenticated");
        // One that is pinned to no organization is shut out of this one, and goes on elsewhere.
        assert_eq!(end(&text, &named(&bobs)).status, 204);
        assert_eq!(here(keystead.get("/api/v1/me")).key(&bobs).send().bearer_error(403), "forbidden_scope");
        let elsewhere = keystead.get("/api/v1/me").key(&bobs).header("x-organization-id", bob.tenant.id.to_ulid());
        elsewhere.send().expect(200);
        assert_eq!(end(&text, &named(&text)).status, 204, "itself");
        assert_eq!(keystead.get("/api/v1/me").key(&text).send().bearer_error(401), "unauthenticated");
    }

    fn pages_of_any_origin_may_call_without_credentials(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let preflight = keystead.request("OPTIONS", PROJECTS).header("origin", "https://any.test")
            .header("access-control-request-method", "POST").header("access-control-request-headers", "x-api-key, idempotency-key").send();
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
        assert_eq!(preflight.header("access-control-allow-credentials"), "");
        let allowed = preflight.header("access-control-allow-headers").to_lowercase();
        for name in ["authorization", "x-api-key", "x-organization-id", "idempotency-key", "content-type"] {
            assert!(allowed.split(", ").any(|one| one == name), "{name}");
        }
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            assert!(preflight.header("access-control-allow-methods").contains(method));
        }
        let refused = keystead.get(PROJECTS).header("origin", "https://any.test").send();
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "*"));
        let elsewhere = keystead.request("OPTIONS", "/api/user/me").header("origin", "https://any.test").header("access-control-request-method", "GET").send();
        assert_eq!((elsewhere.status, elsewhere.header("access-control-allow-origin")), (405, ""));
    }

    fn a_plan_limits_how_often_a_key_asks(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.rate_limits = Some(rate_limits()));
        let (ada, text) = owner(&keystead, "Ada");
        let ask = || keystead.get("/api/v1/organization").key(&text).send();
        for left in (0..30).rev() {
            let answer = ask();
            assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left.to_string().as_str()));
        }
        let limited = ask();
        assert_eq!(limited.header("x-ratelimit-limit"), "30");
        assert!(!limited.header("retry-after").is_empty() && limited.header("ratelimit-policy").contains("key"), "{limited:?}");
        assert_eq!(limited.bearer_error(429), "rate_limited");
        // Another key is counted by itself, and a larger plan has more at once.
        let other = key(&keystead, &ada, &json!({}));
        assert_eq!(keystead.get("/api/v1/organization").key(&other).send().status, 200);
        put_on(&keystead, &ada.tenant.slug, "agency");
        assert_eq!(ask().header("x-ratelimit-limit"), "60", "from the next request on");
        keystead.advance(Duration::from_secs(10));
        assert_eq!((0..61).filter(|_| ask().status == 200).count(), 60);
    }

    fn there_is_another_limit_over_a_longer_time(database: TestDatabase) {
        let plan = Plan {
            name: "studio".parse().unwrap(),
            api_access: true,
            burst: "10/10s".parse().unwrap(),
            sustained: "15/1m".parse().unwrap(),
        };
        let keystead = Keystead::with(&database, |settings| {
            settings.rate_limits = Some(rate_limits());
            settings.plans = Plans::new(vec![plan]);
        });
        let (_, text) = owner(&keystead, "Ada");
        let ask = || keystead.get("/api/v1/organization").key(&text).send().status;
        let asked: Vec<_> = (0..11).map(|_| ask()).collect();
        assert_eq!(asked.iter().filter(|status| **status == 200).count(), 10);
        keystead.advance(Duration::from_secs(20));
        let asked: Vec<_> = (0..10).map(|_| ask()).collect();
        assert!(asked.contains(&200) && asked.contains(&429), "{asked:?}");
    }
}
