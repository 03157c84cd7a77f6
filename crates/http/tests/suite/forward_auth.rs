//! `/forward-auth`: what a proxy is told.

use keystead_domain::Owner;
use keystead_domain::app::Introspect;
use keystead_service::{Caller, apps, tenants};
use keystead_testkit::{Answer, Call, Keystead, both_backends};
use serde_json::json;

use crate::introspection::{Service, join, pinned};
use crate::people::key;

const NAMES: [&str; 6] = ["subject", "tenant", "scopes", "role", "kind", "env"];

/// What the service behind the proxy is told, given that the request passes.
#[track_caller]
pub(crate) fn passed(call: Call) -> [String; 6] {
    let answer = call.send();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body.is_empty());
    NAMES.map(|name| {
        let value = answer.header(&format!("x-auth-{name}")).to_owned();
        assert!(!value.is_empty(), "{name} of {answer:?}");
        value
    })
}

/// The status of a refusal, which tells nothing of anybody.
#[track_caller]
fn refused(answer: Answer) -> u16 {
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    assert!(answer.body.is_empty());
    let challenge = answer.header("www-authenticate");
    assert!(if answer.status == 401 {
        challenge.starts_with("Bearer")
    } else {
        !challenge.contains("invalid")
    });
    for name in NAMES {
        assert_eq!(answer.header(&format!("x-auth-{name}")), "");
    }
    for limit in ["retry-after", "ratelimit", "x-ratelimit-limit", "set-cookie", "location"] {
        assert_eq!(answer.header(limit), "", "{limit}");
    }
    answer.status
}

both_backends! {
    fn who_passes_is_told_in_six_fields(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let acme = keystead.tenant("Acme");
        let (user, tenant) = (ada.user.id.to_string(), ada.tenant.id.to_string());
        let key_ = key(&keystead, &ada, &json!({"scopes": ["read", "user:read"], "environment": "test"}));
        let scopeless = |role: &str| database.execute(&format!("UPDATE memberships SET role = '{role}'"));
        for method in ["GET", "HEAD", "POST"] {
            let told = passed(keystead.request(method, "/forward-auth").key(&key_));
            assert_eq!(told, [user.as_str(), &tenant, "read user:read", "owner", "api_key", "test"]);
        }
        assert_eq!(passed(keystead.get("/forward-auth?scope=read").bearer(&key_))[0], user);
        let app = keystead.token(&acme.client_id, &acme.client_secret);
        let told = passed(keystead.get("/forward-auth").bearer(&app));
        assert_eq!(told, [acme.client_id.as_str(), &acme.tenant.id.to_string(), "api", "-", "access_token", "-"]);
        let told = passed(keystead.get("/forward-auth?cookie=1").cookie(&ada.session));
        assert_eq!((told[0].as_str(), told[4].as_str(), told[5].as_str()), (user.as_str(), "session", "-"));
        let bare = Service::new(&keystead, Owner::Platform, Introspect::Own).token(&keystead);
        assert_eq!(passed(keystead.get("/forward-auth").bearer(&bare))[1], "-");
        // A key of whose scopes the role leaves none still says who shows it.
        let writes = key(&keystead, &ada, &json!({"scopes": ["projects:write"]}));
        scopeless("member");
        assert_eq!(passed(keystead.get("/forward-auth").key(&writes)), [user.as_str(), &tenant, "-", "member", "api_key", "live"]);
    }

    fn what_shows_nothing_or_nothing_good_is_401_and_what_may_not_is_403(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let key_ = key(&keystead, &ada, &json!({"scopes": ["read"]}));
        let here = || keystead.get("/forward-auth");
        for no_good in [
            here(),
            here().header("authorization", ""),
            here().basic("a", "b"),
            here().bearer("nonsense"),
            here().bearer("a.b.c"),
            here().bearer(&ada.session),
            here().key("ks_live_x"),
            here().key(""),
            here().session(&ada.session),
            here().cookie(&ada.session),
            here().key("nonsense").cookie(&ada.session),
            keystead.get("/forward-auth?cookie=1").key("nonsense").cookie(&ada.session),
            keystead.get("/forward-auth?cookie=1").basic("a", "b").cookie(&ada.session),
            keystead.get("/forward-auth?cookie=1").cookie("nonsense"),
            keystead.get("/forward-auth?cookie=1"),
        ] {
            assert_eq!(refused(no_good.send()), 401);
        }
        for query in [
            "scope=read&scope=read", "scope=", "scope=%ff", "scope=%22", "tenant=", "tenant=a&tenant=b", "tenant=-",
            "cookie=0", "cookie=", "cookie=1&cookie=1", "scopes=read", "scope=read&x=1", "Scope=read", "scope=write",
            "scope=read+write", "tenant=nobody", "scope[]=read", "%73cope=read&scope=read",
        ] {
            assert_eq!(refused(keystead.get(&format!("/forward-auth?{query}")).key(&key_).send()), 403, "{query}");
        }
        for path in ["/forward-auth/", "/forward-auth/x", "/forward-auth/..", "/forward-auth/x?scope=read"] {
            assert_eq!(refused(keystead.get(path).key(&key_).send()), 403, "{path}");
        }
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "MADEUP"] {
            assert_eq!(refused(keystead.request(method, "/forward-auth").key(&key_).send()), 403, "{method}");
        }
        for twice in [here().key(&key_).bearer(&key_), here().key(&key_).key(&key_), here().bearer(&key_).bearer(&key_)] {
            assert_eq!(refused(twice.send()), 403);
        }
        let lacking = keystead.get("/forward-auth?scope=write").key(&key_).send();
        assert_eq!(lacking.header("www-authenticate"), r#"Bearer error="insufficient_scope", scope="write""#);
    }

    fn the_tenant_is_the_one_that_is_named_or_the_only_one(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let acme = keystead.tenant("Acme");
        join(&database, &bob, &ada, "manager");
        let unpinned = key(&keystead, &bob, &json!({"scopes": ["read", "admin"]}));
        let pinned = key(&keystead, &bob, &pinned(&bob, &["read"]));
        let at = |tenant: &str| keystead.get(&format!("/forward-auth?tenant={tenant}"));
        assert_eq!(refused(keystead.get("/forward-auth").key(&unpinned).send()), 403, "ambiguous");
        assert_eq!(refused(keystead.get("/forward-auth?cookie=1").cookie(&bob.session).send()), 403);
        let (id, ulid, slug) = (ada.tenant.id.to_string(), ada.tenant.id.to_ulid(), ada.tenant.slug.to_string());
        for name in [&id, &ulid, &slug] {
            let told = passed(at(name).key(&unpinned));
            assert_eq!((&told[1], told[2].as_str(), told[3].as_str()), (&id, "read", "manager"));
            assert_eq!(refused(at(name).key(&pinned).send()), 403, "pinned elsewhere");
            let by_cookie = keystead.get(&format!("/forward-auth?cookie=1&tenant={name}")).cookie(&bob.session);
            assert_eq!(passed(by_cookie)[3], "manager");
        }
        let own = bob.tenant.id.to_string();
        assert_eq!(passed(keystead.get("/forward-auth").key(&pinned))[1], own);
        assert_eq!(passed(at(&own).key(&pinned))[1], own);
        // A tenant that one is not in, whether or not it exists.
        for strange in [acme.tenant.slug.as_str(), &acme.tenant.id.to_string(), "nobody"] {
            assert_eq!(refused(at(strange).key(&unpinned).send()), 403);
        }
        let app = keystead.token(&acme.client_id, &acme.client_secret);
        assert_eq!(passed(at(acme.tenant.slug.as_str()).bearer(&app))[0], acme.client_id);
        assert_eq!(passed(at(&acme.tenant.id.to_string()).bearer(&app))[0], acme.client_id);
        assert_eq!(refused(at(&id).bearer(&app).send()), 403);
    }

    fn what_ended_does_not_pass_at_the_next_request(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let service = Service::new(&keystead, Owner::Tenant(ada.tenant.id), Introspect::Own);
        let key = key(&keystead, &ada, &pinned(&ada, &["read"]));
        let token = service.token(&keystead);
        let following = keystead.follow();
        for _ in 0..3 {
            passed(keystead.get("/forward-auth?scope=read").key(&key));
            passed(keystead.get("/forward-auth?scope=read").bearer(&token));
        }
        tenants::suspend(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert_eq!(refused(keystead.get("/forward-auth").key(&key).send()), 403);
        assert_eq!(refused(keystead.get("/forward-auth").bearer(&token).send()), 403);
        tenants::resume(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        passed(keystead.get("/forward-auth?scope=read").key(&key));
        apps::set_active(&keystead.engine, &Caller::host(), &service.id.parse().unwrap(), false).unwrap();
        assert_eq!(refused(keystead.get("/forward-auth").bearer(&token).send()), 401);
        drop(following);
    }

    fn nothing_is_counted_and_nobody_is_told_to_wait(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| {
            let mut limits = keystead_testkit::rate_limits();
            for quota in [
                &mut limits.quotas.anonymous, &mut limits.quotas.failed_bearer, &mut limits.quotas.key_burst,
                &mut limits.quotas.key_sustained, &mut limits.quotas.app,
            ] {
                *quota = "5/1m".parse().unwrap();
            }
            settings.rate_limits = Some(limits);
        });
        let ada = keystead.person("Ada");
        let key = key(&keystead, &ada, &json!({"scopes": ["read"]}));
        for _ in 0..20 {
            passed(keystead.get("/forward-auth").key(&key));
            assert_eq!(refused(keystead.get("/forward-auth").send()), 401);
            assert_eq!(refused(keystead.get("/forward-auth").bearer("a.b.c").send()), 401);
            assert_eq!(refused(keystead.get("/forward-auth?x").send()), 403);
        }
    }
}
