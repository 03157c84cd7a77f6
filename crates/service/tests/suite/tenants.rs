//! Tenants and their slugs.

use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::tenant::TenantStatus;
use keystead_service::tenants::{NewTenant, create, list, resume, set_plan, show, suspend};
use keystead_service::{Caller, Code, access, passwords, sessions, sign_ups};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, events, refusal, sign_in, sign_up, verified};

fn named(name: &str, slug: Option<&str>) -> NewTenant {
    NewTenant {
        name: name.parse().unwrap(),
        slug: slug.map(|slug| slug.parse().unwrap()),
        plan: None,
        entity_hotkey: None,
    }
}

both_backends! {
    fn a_derived_slug_gets_a_suffix_where_a_given_one_is_a_conflict(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let first = create(&keystead.engine, &host, named("Acme, Inc.", None)).unwrap();
        assert_eq!(first.slug.as_str(), "acme-inc");
        let second = create(&keystead.engine, &host, named("Acme Inc", None)).unwrap();
        assert!(second.slug.as_str().starts_with("acme-inc-"), "{}", second.slug);
        let taken = create(&keystead.engine, &host, named("Third", Some("acme-inc")));
        assert_eq!(refusal(taken), Code::Conflict);
        assert_eq!(list(&keystead.engine, &host).unwrap().len(), 2, "a refusal leaves nothing behind");
        assert_eq!(show(&keystead.engine, &host, &first.slug).unwrap().id, first.id);
        assert_eq!(refusal(show(&keystead.engine, &host, &"nobody".parse().unwrap())), Code::NotFound);
    }

    fn a_plan_changes_and_the_trail_says_so_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, other, host) = (keystead.tenant("Acme"), keystead.tenant("Other"), Caller::host());
        for _ in 0..2 {
            let changed = set_plan(&keystead.engine, &host, &acme.tenant.slug, "agency".parse().unwrap()).unwrap();
            assert_eq!(changed.plan.as_str(), "agency");
        }
        assert_eq!(show(&keystead.engine, &host, &acme.tenant.slug).unwrap().plan.as_str(), "agency");
        assert_eq!(show(&keystead.engine, &host, &other.tenant.slug).unwrap().plan.as_str(), "free");
        assert_eq!(events(&database, acme.owner(), AuditAction::TenantPlanChanged, Outcome::Done), 1);
        let missing = set_plan(&keystead.engine, &host, &"nobody".parse().unwrap(), "free".parse().unwrap());
        assert_eq!(refusal(missing), Code::NotFound);
    }

    fn what_a_suspended_tenant_has_is_refused_and_comes_back(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, other, host) = (keystead.tenant("Acme"), keystead.tenant("Other"), Caller::host());
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        let caller = || access::app(&keystead.engine, &token, Default::default()).unwrap();
        let app = caller();
        let (_, session) = verified(&keystead, &app, ADA);
        let email = || ADA.parse().unwrap();
        passwords::request_reset(&keystead.engine, &app, email()).unwrap();
        sign_up(&keystead, &app, "bob@example.com", PASSWORD).unwrap();
        keystead.deliver();
        sign_ups::resend_code(&keystead.engine, &app, "bob@example.com".parse().unwrap()).unwrap();
        passwords::request_reset(&keystead.engine, &app, email()).unwrap();
        let mails = keystead.mailbox.len();

        for _ in 0..2 {
            let suspended = suspend(&keystead.engine, &host, &acme.tenant.slug).unwrap();
            assert_eq!(suspended.status, TenantStatus::Suspended);
        }
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), mails, "no code that nobody could use");
        let app = caller();
        let refused = sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(refused), Code::TenantSuspended);
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::TenantSuspended);
        verified(&keystead, &keystead.caller(&other), ADA);

        resume(&keystead.engine, &host, &acme.tenant.slug).unwrap();
        sessions::authenticate(&keystead.engine, &caller(), &session.token).unwrap();
        for action in [AuditAction::TenantSuspended, AuditAction::TenantResumed] {
            assert_eq!(events(&database, acme.owner(), action, Outcome::Done), 1);
        }
    }

    fn an_app_can_do_nothing_to_the_deployment(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        assert!(create(&keystead.engine, &app, named("Mine", None)).is_err());
        assert!(list(&keystead.engine, &app).is_err());
        let own = &keystead.tenant("Own").tenant.slug;
        assert!(set_plan(&keystead.engine, &app, own, "agency".parse().unwrap()).is_err());
        assert!(suspend(&keystead.engine, &app, own).is_err());
        assert!(resume(&keystead.engine, &app, own).is_err());
        assert!(keystead_service::apps::list(&keystead.engine, &app).is_err());
    }
}
