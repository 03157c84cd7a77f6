//! `POST /oauth/introspect`: what services learn of a credential that somebody showed them.

use std::time::Duration;

use keystead_domain::Owner;
use keystead_domain::app::Introspect;
use keystead_service::{Caller, apps, tenants};
use keystead_testkit::{Answer, Keystead, TestDatabase, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::people::{key, put_on};

const PATH: &str = "/oauth/introspect";

/// An app, as it authenticates.
pub(crate) struct Service {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Service {
    pub(crate) fn new(keystead: &Keystead, owner: Owner, introspect: Introspect) -> Self {
        let (id, secret) = keystead.asking_app(owner, &["api", "read"], introspect);
        Self { id, secret }
    }

    fn post(&self, keystead: &Keystead, form: &str) -> Answer {
        keystead.post(PATH).basic(&self.id, &self.secret).form(form).send()
    }

    #[track_caller]
    pub(crate) fn ask(&self, keystead: &Keystead, token: &str) -> Value {
        let answer = self.post(keystead, &format!("token={token}"));
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let body = answer.expect(200);
        // What is no good tells nothing else, and nothing is null (RFC 7662 §2.2).
        assert!(body["active"] == true || body == inactive(), "{body}");
        assert!(body.as_object().unwrap().values().all(|member| !member.is_null()), "{body}");
        body
    }

    #[track_caller]
    fn sees(&self, keystead: &Keystead, token: &str) -> bool {
        self.ask(keystead, token)["active"] == true
    }

    pub(crate) fn token(&self, keystead: &Keystead) -> String {
        keystead.token(&self.id, &self.secret)
    }
}

fn inactive() -> Value {
    json!({"active": false})
}

/// Makes a person a member of somebody's organization.
pub(crate) fn join(database: &TestDatabase, person: &TestPerson, of: &TestPerson, role: &str) {
    let mut id = person.tenant.id.to_string().replace("ten_", "mbr_");
    id.replace_range(id.len() - 1.., "0");
    database.execute(&format!(
        "INSERT INTO memberships (tenant_id, id, directory, user_id, role, founder, created_at) \
         VALUES ('{}', '{id}', 'platform', '{}', '{role}', false, 1)",
        of.tenant.id, person.user.id
    ));
}

pub(crate) fn pinned(person: &TestPerson, scopes: &[&str]) -> Value {
    json!({"name": "CI", "scopes": scopes, "metadata": {"organizationId": person.tenant.id.to_string()}})
}

/// An end user of a tenant, signed in: its id and the token of its session.
pub(crate) fn end_user(keystead: &Keystead, app: &str) -> (String, String) {
    let body = json!({"email": "eve@example.com", "password": TestPerson::PASSWORD});
    keystead.post("/v2/auth/signup").bearer(app).json(&body).send().expect(201);
    let code = json!({"email": "eve@example.com", "code": keystead.code_for("eve@example.com")});
    let verified = keystead.post("/v2/auth/verify-email").bearer(app).json(&code).send().expect(200);
    let text = |member: &str| verified[member].as_str().unwrap().to_owned();
    (text("user_id"), text("session_token"))
}

both_backends! {
    fn a_key_is_told_with_the_organization_that_it_acts_in(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let service = Service::new(&keystead, Owner::Platform, Introspect::Platform);
        let key = key(&keystead, &ada, &json!({
            "scopes": ["projects:write", "read"], "expiresIn": 86_400, "environment": "test",
            "metadata": {"organizationId": ada.tenant.id.to_string()}
        }));
        let told = service.ask(&keystead, &key);
        let iat = keystead.now().as_unix_seconds();
        assert!(told["jti"].as_str().unwrap().starts_with("ak_"));
        assert_eq!(told, json!({
            "active": true, "kind": "api_key", "sub": ada.user.id.to_string(), "scope": "projects:write read",
            "iat": iat, "exp": iat + 86_400, "iss": "https://id.test", "jti": told["jti"],
            "org_id": ada.tenant.id.to_string(), "org_slug": ada.tenant.slug.to_string(), "role": "owner",
            "plan": "free", "env": "test",
        }));
        // All of it is as it is now.
        put_on(&keystead, &ada.tenant.slug, "studio");
        database.execute("UPDATE memberships SET role = 'member'");
        let told = service.ask(&keystead, &key);
        assert_eq!((&told["plan"], &told["role"], &told["scope"]), (&json!("studio"), &json!("member"), &json!("read")));
        keystead.advance(Duration::from_secs(86_400));
        assert_eq!(service.ask(&keystead, &key), inactive());
    }

    fn an_app_token_is_told_with_its_claims(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let service = Service::new(&keystead, acme.owner(), Introspect::Own);
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        let told = service.ask(&keystead, &token);
        let iat = keystead.now().as_unix_seconds();
        assert_eq!(told, json!({
            "active": true, "kind": "access_token", "sub": acme.client_id, "client_id": acme.client_id, "scope": "api",
            "iat": iat, "exp": iat + 3600, "token_type": "Bearer", "iss": "https://id.test", "aud": "https://id.test",
            "jti": told["jti"], "tenant_id": acme.tenant.id.to_string(),
        }));
        keystead.advance(Duration::from_secs(3600));
        assert_eq!(service.ask(&keystead, &token), inactive());
    }

    fn a_session_is_told_to_the_apps_of_its_tenant_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, other, ada) = (keystead.tenant("Acme"), keystead.tenant("Other"), keystead.person("Ada"));
        let (user, session) = end_user(&keystead, &keystead.token(&acme.client_id, &acme.client_secret));
        let of = |owner, introspect| Service::new(&keystead, owner, introspect);
        let own = of(acme.owner(), Introspect::Own);
        let told = own.ask(&keystead, &session);
        let iat = keystead.now().as_unix_seconds();
        assert!(told["jti"].as_str().unwrap().starts_with("ses_"));
        assert_eq!(told, json!({
            "active": true, "kind": "session", "sub": user, "scope": "", "iat": iat, "exp": iat + 7 * 24 * 3600,
            "iss": "https://id.test", "jti": told["jti"], "tenant_id": acme.tenant.id.to_string(),
        }));
        for strange in [
            of(other.owner(), Introspect::Own),
            of(other.owner(), Introspect::Platform),
            of(Owner::Platform, Introspect::Platform),
            of(Owner::Platform, Introspect::Own),
        ] {
            assert!(!strange.sees(&keystead, &session));
            assert!(!strange.sees(&keystead, &ada.session), "of the platform's directory");
        }
        assert!(!own.sees(&keystead, &ada.session));
        let bearer = keystead.token(&acme.client_id, &acme.client_secret);
        keystead.post("/v2/auth/sessions/revoke").bearer(&bearer).session(&session).json(&json!({})).send().expect(204);
        assert!(!own.sees(&keystead, &session));
    }

    fn each_app_sees_what_is_its_business(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        join(&database, &bob, &ada, "manager");
        let of = |owner, introspect| Service::new(&keystead, owner, introspect);
        let (adas, bobs) = (of(Owner::Tenant(ada.tenant.id), Introspect::Own), of(Owner::Tenant(bob.tenant.id), Introspect::Own));
        let (all, none) = (of(Owner::Platform, Introspect::Platform), of(Owner::Platform, Introspect::Own));
        let ada_unpinned = key(&keystead, &ada, &json!({"scopes": ["read"]}));
        let bob_unpinned = key(&keystead, &bob, &json!({"scopes": ["read", "admin"]}));
        let bob_pinned = key(&keystead, &bob, &pinned(&bob, &["read", "admin"]));
        let (ada_token, bob_token, platforms) = (adas.token(&keystead), bobs.token(&keystead), none.token(&keystead));
        for (shown, by_adas, by_bobs, by_none) in [
            (&ada_unpinned, true, false, false),
            (&bob_unpinned, true, true, false),
            (&bob_pinned, false, true, false),
            (&ada_token, true, false, false),
            (&bob_token, false, true, false),
            (&platforms, false, false, true),
        ] {
            let seen = [&adas, &bobs, &none].map(|service| service.sees(&keystead, shown));
            assert_eq!(seen, [by_adas, by_bobs, by_none], "{shown}");
            assert!(all.sees(&keystead, shown), "{shown}");
        }
        // The platform's apps may be anybody's: they do not see each other's tokens.
        assert!(!of(Owner::Platform, Introspect::Own).sees(&keystead, &platforms));
        // Role, plan and scopes are those of the tenant that asks.
        put_on(&keystead, &bob.tenant.slug, "agency");
        let at = |service: &Service| {
            let told = service.ask(&keystead, &bob_unpinned);
            ["org_slug", "role", "plan", "scope"].map(|member| told[member].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(at(&adas), [ada.tenant.slug.as_str(), "manager", "free", "read"]);
        assert_eq!(at(&bobs), [bob.tenant.slug.as_str(), "owner", "agency", "admin read"]);
        // Where there are several, the platform's app is not told one of them.
        assert_eq!(at(&all), ["", "", "", "read"]);
    }

    fn what_ended_is_told_at_the_next_request(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let (all, own) = (
            Service::new(&keystead, Owner::Platform, Introspect::Platform),
            Service::new(&keystead, Owner::Tenant(ada.tenant.id), Introspect::Own),
        );
        let key = key(&keystead, &ada, &pinned(&ada, &["read"]));
        let token = own.token(&keystead);
        let following = keystead.follow();
        for service in [&all, &own] {
            for _ in 0..3 {
                assert!(service.sees(&keystead, &key) && service.sees(&keystead, &token));
            }
        }
        tenants::suspend(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert!(!all.sees(&keystead, &key) && !all.sees(&keystead, &token));
        let refused = own.post(&keystead, &format!("token={key}"));
        assert_eq!(refused.expect(400)["error"], "unauthorized_client");
        tenants::resume(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert!(all.sees(&keystead, &key) && own.sees(&keystead, &token));
        apps::set_active(&keystead.engine, &Caller::host(), &own.id.parse().unwrap(), false).unwrap();
        assert!(!all.sees(&keystead, &token));
        assert_eq!(own.post(&keystead, "token=x").expect(401)["error"], "invalid_client");
        drop(following);
    }

    fn a_key_that_reaches_nothing_is_good_for_nothing(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let all = Service::new(&keystead, Owner::Platform, Introspect::Platform);
        let keys = [
            key(&keystead, &ada, &pinned(&ada, &["read"])),
            key(&keystead, &ada, &json!({"scopes": ["read"]})),
        ];
        database.execute("UPDATE tenants SET pinned_keys_only = true");
        assert_eq!(keys.each_ref().map(|key| all.sees(&keystead, key)), [true, false]);
        database.execute("UPDATE tenants SET pinned_keys_only = false, mfa_required = true");
        assert_eq!(keys.each_ref().map(|key| all.sees(&keystead, key)), [false, false]);
        database.execute("UPDATE tenants SET mfa_required = false");
        assert_eq!(keys.each_ref().map(|key| all.sees(&keystead, key)), [true, true]);
        database.execute("UPDATE users SET status = 'locked'");
        assert_eq!(keys.each_ref().map(|key| all.sees(&keystead, key)), [false, false]);
        database.execute("UPDATE users SET status = 'active'");
        database.execute("DELETE FROM memberships");
        assert_eq!(keys.each_ref().map(|key| all.sees(&keystead, key)), [false, false]);
    }

    fn nonsense_is_inactive_and_a_bad_question_is_refused(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let service = Service::new(&keystead, acme.owner(), Introspect::Platform);
        for nonsense in ["x", "ks_live_0123456789ab_0123456789012345678901234567890a", "a.b.c", "sess_x", "..", "%00", "%F0%9F%92%A9"] {
            assert_eq!(service.ask(&keystead, nonsense), inactive());
        }
        for hint in ["access_token", "refresh_token", "nonsense", ""] {
            assert_eq!(service.post(&keystead, &format!("token=x&token_type_hint={hint}")).expect(200), inactive());
        }
        let refused = |answer: Answer, status: u16| {
            assert_eq!(answer.header("cache-control"), "no-store");
            answer.expect(status)["error"].as_str().unwrap().to_owned()
        };
        for bad in ["", "token=", "token=a&token=b", "token_type_hint=x"] {
            assert_eq!(refused(service.post(&keystead, bad), 400), "invalid_request", "{bad}");
        }
        let in_url = keystead.post(&format!("{PATH}?token=x")).basic(&service.id, &service.secret).form("").send();
        assert_eq!(refused(in_url, 400), "invalid_request");
        let json = keystead.post(PATH).basic(&service.id, &service.secret).json(&json!({"token": "x"})).send();
        assert_eq!(refused(json, 415), "invalid_request");
        // Who has not authenticated is told of that alone.
        for form in ["", "token=x"] {
            let wrong = keystead.post(PATH).basic(&service.id, "wrong").form(form).send();
            assert!(wrong.header("www-authenticate").starts_with("Basic"));
            assert_eq!(refused(wrong, 401), "invalid_client");
            assert_eq!(refused(keystead.post(PATH).form(form).send(), 401), "invalid_client");
            let wrong = keystead.post(PATH).bearer("nonsense").form(form).send();
            assert_eq!(wrong.header("www-authenticate"), r#"Bearer error="invalid_token""#);
            assert_eq!(refused(wrong, 401), "invalid_token");
        }
    }

    fn an_app_authenticates_in_three_ways(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let Service { id, secret } = Service::new(&keystead, acme.owner(), Introspect::Own);
        let token = keystead.token(&id, &secret);
        let form = format!("token={token}");
        let by_post = format!("{form}&client_id={id}&client_secret={secret}");
        for call in [
            keystead.post(PATH).basic(&id, &secret).form(&form),
            keystead.post(PATH).form(&by_post),
            keystead.post(PATH).bearer(&token).form(&form),
        ] {
            assert_eq!(call.send().expect(200)["active"], true);
        }
        for twice in [
            keystead.post(PATH).basic(&id, &secret).form(&by_post),
            keystead.post(PATH).bearer(&token).form(&by_post),
        ] {
            assert_eq!(twice.send().expect(400)["error"], "invalid_request");
        }
    }

    fn questions_count_for_the_app_that_asks(database: TestDatabase) {
        let limits = keystead_testkit::rate_limits();
        let keystead = Keystead::with(&database, |settings| {
            let mut limits = limits;
            limits.quotas.app = "40/1m".parse().unwrap();
            limits.quotas.key_burst = "2/10s".parse().unwrap();
            limits.quotas.failed_bearer = "2/1m".parse().unwrap();
            settings.rate_limits = Some(limits);
        });
        let ada = keystead.person("Ada");
        let service = Service::new(&keystead, Owner::Platform, Introspect::Platform);
        let key = key(&keystead, &ada, &pinned(&ada, &["read"]));
        for _ in 0..20 {
            assert!(service.sees(&keystead, &key));
            assert!(!service.sees(&keystead, "sess_unknown"));
        }
        let answer = service.post(&keystead, &format!("token={key}"));
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(answer.expect(429)["error"], "temporarily_unavailable");
        // The key has not been used up by being asked about.
        keystead.get("/api/user/me").key(&key).send().refusal(403);
    }
}
