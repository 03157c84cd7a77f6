//! What belongs to the other tenant, and what to put into a request to name it.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::Owner;
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_service::{Caller, members, tenants};
use keystead_testkit::{Call, Keystead, TestDatabase, TestPerson};
use serde_json::{Value, json};

use super::route::{Route, SESSION};

const PASSWORD: &str = TestPerson::PASSWORD;
/// The end of ids of nothing.
const NOTHING: &str = "01h455vb4pex5vsknk084sn02q";

static COUNT: AtomicU64 = AtomicU64::new(0);

fn next() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// What nothing else was called.
pub(super) fn once() -> String {
    format!("once-{}", next())
}

/// Whether what is called so says whose rows a request is about, rather than which of them: an organization, or
/// the session of an end user.
pub(super) fn is_lead(name: &str) -> bool {
    ["organizationId", "organizationSlug", "X-Organization-Id", SESSION].contains(&name)
}

pub(super) fn put_on(keystead: &Keystead, slug: &Slug, plan: &str) {
    tenants::set_plan(&keystead.engine, &Caller::host(), slug, plan.parse().unwrap()).unwrap();
}

fn make_key(keystead: &Keystead, session: &str, pin: Option<&str>) -> Value {
    let scopes = [
        "user:read",
        "user:write",
        "projects:read",
        "projects:write",
        "api-keys:read",
        "api-keys:write",
        "api-keys:delete",
        "read",
        "write",
        "delete",
    ];
    let metadata = pin.map(|pin| json!({"organizationId": pin}));
    let body = json!({"name": "Script", "scopes": scopes, "metadata": metadata});
    keystead.post("/api/auth/api-key/create").cookie(session).json(&body).send().expect(200)
}

/// An API key for all that keys can do.
pub(super) fn key(keystead: &Keystead, session: &str, pin: Option<&str>) -> String {
    make_key(keystead, session, pin)["key"].as_str().unwrap().to_owned()
}

/// A session of a new end user of an app.
pub(super) fn end_user(keystead: &Keystead, app: &str, email: &str) -> String {
    let post = |path: &str, body: Value| keystead.post(path).bearer(app).json(&body).send();
    post("/v2/auth/signup", json!({"email": email, "password": PASSWORD})).expect(201);
    let code = keystead.code_for(email);
    let verified = post("/v2/auth/verify-email", json!({"email": email, "code": code})).expect(200);
    text(&verified["session_token"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The body that a route wants, without what stands in its places.
pub(super) fn body(route: &Route) -> Value {
    let (method, path) = route.name.split_once(' ').unwrap();
    let name = json!({"name": "Renamed"});
    let current = json!({"current_password": PASSWORD});
    match path.rsplit('/').next().unwrap() {
        "create" => json!({"name": "Made", "metadata": {}}),
        "update" if path.contains("/organization/") => json!({"data": {"name": "Renamed"}}),
        "update" | "{projectId}" | "projects" | "{organizationId}" => name,
        "invites" | "invite-member" => json!({"email": "nobody@example.com", "role": "member"}),
        "role" | "update-member-role" => json!({"role": "member"}),
        "mfa" => json!({"required": false}),
        "{keyId}" => json!({"barred": true}),
        "me" if method == "PATCH" => json!({"current_password": PASSWORD, "name": "Renamed"}),
        "me" | "enroll" | "disable" | "recovery-codes" => current,
        "change" => json!({"current_password": PASSWORD, "new_password": "another long enough password"}),
        "confirm" => json!({"code": "123456"}),
        "delete" | "get" | "rotate" | "leaked-keys" | "accept-invitation" | "reject-invitation"
        | "cancel-invitation" | "leave" | "remove-member" | "set-active" | "revoke-session" | "revoke"
        | "introspect" => json!({}),
        _ if route.has_body() => panic!("{}: say what its body is, in strangers/world.rs", route.name),
        _ => Value::Null,
    }
}

/// A tenant with one of everything.
pub(super) struct World {
    /// Who runs the organization.
    owner: TestPerson,
    member: TestPerson,
    invited: TestPerson,
    /// What is named by the places of a request.
    named: Vec<(&'static str, String)>,
    /// A key for all that keys can do.
    key: String,
    /// A session that only its owner may end.
    other_session: String,
    /// The tenant's app, as it authenticates.
    client: (String, String),
    app: String,
}

impl World {
    pub(super) fn new(keystead: &Keystead, database: &TestDatabase, route: &Route) -> Self {
        let n = next();
        let person = |name: &str| keystead.person(&format!("{name} {n}"));
        let (owner, member, invited) = (person("Victoria"), person("Zebedee"), person("Yolanda"));
        let confirm = format!("UPDATE users SET email_verified_at = 1 WHERE id = '{}'", invited.user.id);
        database.execute(&confirm);
        put_on(keystead, &owner.tenant.slug, "studio");
        let organization = owner.tenant.id.to_ulid();
        let ask = |method: &str, path: &str, body: Value| {
            let call = keystead.request(method, path).cookie(&owner.session);
            if body.is_null() { call.send() } else { call.json(&body).send() }
        };
        let of_it = |rest: &str| format!("/api/user/organizations/{organization}{rest}");
        let new_member = (owner.tenant.id, &member.user.email, Role::Member);
        let (membership, _) =
            members::add(&keystead.engine, &Caller::host(), new_member.0, new_member.1, new_member.2)
                .unwrap();
        let project = ask("POST", &of_it("/projects"), json!({"name": "Victoria's project"})).expect(201);
        ask("POST", &of_it("/projects"), json!({"name": "Victoria's second"})).expect(201);
        let new = json!({"email": invited.user.email.as_str(), "role": "member"});
        let invite = ask("POST", &of_it("/invites"), new).expect(201);
        let (made, revoked) =
            (make_key(keystead, &owner.session, None), make_key(keystead, &owner.session, None));
        make_key(keystead, &owner.session, Some(&organization));
        ask("POST", "/api/auth/api-key/delete", json!({"keyId": revoked["id"]})).expect(200);
        let key = text(&made["key"]);
        let sign_in = json!({"email": owner.user.email.as_str(), "password": PASSWORD});
        let signed_in = keystead.post("/api/auth/sign-in/email").json(&sign_in).send().expect(200);
        let other_session = text(&signed_in["token"]);
        let session = keystead.get("/api/auth/get-session").cookie(&other_session).send().expect(200);
        let (client_id, client_secret) = keystead.app(Owner::Tenant(owner.tenant.id), &[]);
        let app = keystead.token(&client_id, &client_secret);
        let mut named = vec![
            ("organizationId", organization.clone()),
            ("X-Organization-Id", organization),
            ("organizationSlug", owner.tenant.slug.to_string()),
            ("memberId", membership.id.to_ulid()),
            ("memberIdOrEmail", membership.id.to_ulid()),
            ("projectId", text(&project["data"]["id"])),
            ("keyId", text(&made["id"])),
            ("tokenId", text(&made["id"])),
            ("id", text(&made["id"])),
            ("inviteId", text(&invite["data"]["id"])),
            ("invitationId", text(&invite["data"]["id"])),
            ("actor", owner.user.id.to_ulid()),
            (
                "token",
                if route.name.contains("session") { text(&session["session"]["token"]) } else { key.clone() },
            ),
            ("keys", key.clone()),
            ("nothing", text(&revoked["key"])),
        ];
        if route.path().starts_with("/v2/") {
            let email = format!("wanda.{n}@example.com");
            let token = end_user(keystead, &app, &email);
            let login = json!({"email": email, "password": PASSWORD});
            let second = keystead.post("/v2/auth/login").bearer(&app).json(&login).send().expect(200);
            let list =
                keystead.get("/v2/auth/sessions").bearer(&app).session(&text(&second["session_token"]));
            let list = list.send().expect(200);
            let sessions =
                list["sessions"].as_array().or(list.as_array()).unwrap_or_else(|| panic!("{list}"));
            let other = sessions
                .iter()
                .find(|session| session["current"] == true)
                .unwrap_or_else(|| panic!("{list}"));
            named.extend([(SESSION, token), ("session_id", text(&other["session_id"]))]);
        }
        if route.places.iter().any(|place| place.name == "cursor") {
            let part = keystead.get(&format!("{}?limit=1", route.path())).key(&key).send().expect(200);
            named.push(("cursor", text(&part["pagination"]["nextCursor"])));
        }
        Self { owner, member, invited, named, key, other_session, client: (client_id, client_secret), app }
    }

    /// What names something here.
    pub(super) fn real(&self, name: &str) -> String {
        let named = self.named.iter().find(|(known, _)| *known == name);
        let (_, value) = named.unwrap_or_else(|| panic!("{name}: say what it names, in strangers/world.rs"));
        value.clone()
    }

    /// What names nothing anywhere, and looks alike.
    pub(super) fn fake(&self, name: &str) -> String {
        let real = self.real(name);
        match name {
            "organizationSlug" => "no-such-slug".to_owned(),
            "cursor" => {
                let cursor = String::from_utf8(URL_SAFE_NO_PAD.decode(real).unwrap()).unwrap();
                URL_SAFE_NO_PAD
                    .encode(cursor.replace(&self.owner.tenant.id.to_string(), &format!("ten_{NOTHING}")))
            }
            SESSION => {
                format!("sess_{}", real.chars().skip(5).collect::<String>().chars().rev().collect::<String>())
            }
            "keys" | "token" if !real.starts_with("ses_") => self.real("nothing"),
            _ => match real.split_once('_') {
                Some((prefix, _)) => format!("{prefix}_{NOTHING}"),
                None => NOTHING.to_ascii_uppercase(),
            },
        }
    }

    /// What no stranger may be told, in lower case.
    pub(super) fn marks(&self) -> Vec<String> {
        let names = ["victoria", "zebedee", "yolanda", "wanda"].map(str::to_owned);
        let ids = self.named.iter().filter(|(name, _)| !["nothing", "cursor"].contains(name));
        let ids = ids.map(|(_, value)| value.rsplit('_').next().unwrap_or_default().to_lowercase());
        names.into_iter().chain(ids).collect()
    }

    /// The request as somebody sends it who may.
    pub(super) fn may(&self, route: &Route, call: Call) -> Call {
        let path = route.path();
        let by_itself = path.ends_with("/leave") || path.ends_with("/my-membership");
        let invited = path.ends_with("/accept-invitation") || path.ends_with("/reject-invitation");
        match path {
            _ if path.starts_with("/v2/") => call.bearer(&self.app),
            _ if path.starts_with("/oauth/") => call.basic(&self.client.0, &self.client.1),
            _ if path.starts_with("/api/v1/") => call.key(&self.key),
            _ if by_itself => call.cookie(&self.member.session),
            _ if invited => call.cookie(&self.invited.session),
            _ => call.cookie(&self.owner.session),
        }
    }

    /// That a session is there that strangers named.
    pub(super) fn still_stands(&self, keystead: &Keystead) {
        let session = keystead.get("/api/auth/get-session").cookie(&self.other_session).send().expect(200);
        assert!(session.is_object(), "a stranger ended a session");
    }
}
