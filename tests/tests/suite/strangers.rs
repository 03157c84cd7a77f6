//! Every route of the OpenAPI document that carries an id, called by strangers: with what names something of
//! another tenant, and with what names nothing. The answers are alike, in status and body, and have nothing of the
//! other tenant in them.
//!
//! Which routes those are, and where in them an id stands, is read from the document. A new one fails the test
//! until [`world`] knows what to put there: a `real` value, a `fake` one, and a body if it wants one.

mod route;
mod world;

use std::collections::BTreeMap;

use keystead_testkit::{Answer, Call, Keystead, TestDatabase, both_backends};
use serde_json::{Value, json};

use self::route::{Place, Route, SESSION};
use self::world::{World, is_lead};

/// Who tries it.
struct Strangers {
    /// The id of its own organization.
    own: String,
    session: String,
    unpinned: String,
    pinned: String,
    client: (String, String),
    app: String,
    /// A session of one of the app's own end users.
    end_user: String,
}

impl Strangers {
    fn arrive(keystead: &Keystead) -> Self {
        let eve = keystead.person("Eve");
        world::put_on(keystead, &eve.tenant.slug, "studio");
        let own = eve.tenant.id.to_ulid();
        let active = keystead.post("/api/auth/organization/set-active").cookie(&eve.session);
        active.json(&json!({"organizationId": own})).send().expect(200);
        let tenant = keystead.tenant("Strangers");
        let app = keystead.token(&tenant.client_id, &tenant.client_secret);
        Self {
            unpinned: world::key(keystead, &eve.session, None),
            pinned: world::key(keystead, &eve.session, Some(&own)),
            session: eve.session,
            end_user: world::end_user(keystead, &app, "mallory@example.com"),
            client: (tenant.client_id, tenant.client_secret),
            own,
            app,
        }
    }

    /// What each of them is told: status, media type and body.
    fn ask(&self, call: impl Fn() -> Call) -> Vec<(&'static str, Told)> {
        let (id, secret) = &self.client;
        let calls = [
            ("a session", call().cookie(&self.session)),
            ("an unpinned key", call().key(&self.unpinned)),
            ("a pinned key", call().key(&self.pinned)),
            ("an app", call().bearer(&self.app)),
            ("a client", call().basic(id, secret)),
        ];
        calls.into_iter().map(|(who, call)| (who, told(&call.send()))).collect()
    }
}

type Told = (u16, String, String);

fn told(answer: &Answer) -> Told {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status, answer.header("content-type").to_owned(), body)
}

/// What stands in the places of a request.
type Filled<'r> = Vec<(&'r Place, String)>;

/// How a request says whose rows it is about, where it does, and which of them: an organization can often be named
/// in more than one place, and then one of them wins.
fn ways(route: &Route) -> Vec<(Option<&Place>, Vec<&Place>)> {
    let (leads, records): (Vec<_>, Vec<_>) = route.places.iter().partition(|place| is_lead(&place.name));
    if leads.is_empty() {
        return vec![(None, records)];
    }
    leads.into_iter().map(|lead| (Some(lead), records.clone())).collect()
}

/// What is asked for that there is, beside what there is not.
fn pairs<'r>(
    world: &World,
    strangers: &Strangers,
    lead: Option<&'r Place>,
    records: &[&'r Place],
) -> Vec<(Filled<'r>, Filled<'r>)> {
    let real = || records.iter().map(|place| (*place, world.real(&place.name)));
    let fake = || records.iter().map(|place| (*place, world.fake(&place.name)));
    let Some(lead) = lead else { return vec![(real().collect(), fake().collect())] };
    let [here, nowhere] = [world.real(&lead.name), world.fake(&lead.name)].map(|value| (lead, value));
    let with = |lead: &(&'r Place, String), records: Filled<'r>| {
        std::iter::once(lead.clone()).chain(records).collect::<Filled<'r>>()
    };
    let mut pairs = vec![
        (with(&here, real().collect()), with(&nowhere, real().collect())),
        (with(&here, real().collect()), with(&nowhere, fake().collect())),
        (with(&here, real().collect()), with(&here, fake().collect())),
    ];
    // A stranger's own organization has none of these records either.
    let own = match lead.name.as_str() {
        SESSION => Some(&strangers.end_user),
        "organizationSlug" => None,
        _ => Some(&strangers.own),
    };
    if let Some(own) = own.filter(|_| !records.is_empty()) {
        let own = (lead, own.clone());
        pairs.push((with(&own, real().collect()), with(&own, fake().collect())));
    }
    pairs
}

fn walk(keystead: &Keystead, database: &TestDatabase, strangers: &Strangers, route: &Route) {
    let world = World::new(keystead, database, route);
    for (lead, records) in ways(route) {
        let mut told_before: BTreeMap<Vec<String>, Vec<(&str, Told)>> = BTreeMap::new();
        let mut ask = |filled: &Filled<'_>| {
            let values: Vec<_> = filled.iter().map(|(_, value)| value.clone()).collect();
            told_before
                .entry(values)
                .or_insert_with(|| strangers.ask(|| route.call(keystead, filled)))
                .clone()
        };
        for (real, fake) in pairs(&world, strangers, lead, &records) {
            for ((who, there), (_, nowhere)) in ask(&real).into_iter().zip(ask(&fake)) {
                assert_eq!(there, nowhere, "{} with {who}: {real:?} and {fake:?}", route.name);
                let body = there.2.to_lowercase();
                for mark in world.marks() {
                    assert!(!body.contains(&mark), "{} with {who} tells {mark}: {body}", route.name);
                }
            }
        }
        world.still_stands(keystead);
        // The same of somebody who may do it: that it is a request that leads somewhere, and that all is still there.
        let places = lead.into_iter().chain(records);
        let real: Filled<'_> = places.map(|place| (place, world.real(&place.name))).collect();
        let answer = world.may(route, route.call(keystead, &real)).send();
        let known = told(&answer);
        assert!(answer.status < 300 || route.wants_more(), "{} {real:?}: {known:?}", route.name);
        let all_alike = ask(&real).iter().all(|(_, told)| *told == known);
        assert!(!all_alike || route.is_mute(), "{} {real:?}: {known:?}", route.name);
    }
}

both_backends! {
    fn a_stranger_learns_nothing_from_the_ids_of_another_tenant(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let document: Value = keystead.get("/openapi.json").send().expect(200);
        let routes = route::with_ids(&document);
        assert!(routes.len() > 60, "{}", routes.len());
        let strangers = Strangers::arrive(&keystead);
        for route in &routes {
            walk(&keystead, &database, &strangers, route);
        }
    }
}
