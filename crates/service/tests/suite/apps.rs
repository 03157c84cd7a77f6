//! Apps: what they may be given, and how they prove themselves.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use keystead_domain::app::{ClientId, Introspect, MAX_LIVE_SECRETS};
use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::policy::Action;
use keystead_domain::{Owner, Secret};
use keystead_service::apps::{NewApp, create, rotate_secret, set_active, show};
use keystead_service::tokens::{ClientCredentials, issue_to_app};
use keystead_service::{Caller, Code, access, tenants};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{events, refusal};

fn credentials(client_id: &str, client_secret: &str, scope: Option<&str>) -> ClientCredentials {
    ClientCredentials {
        client_id: client_id.parse().unwrap(),
        client_secret: Secret::new(client_secret.to_owned()),
        scope: scope.map(|scope| scope.parse().unwrap()),
    }
}

both_backends! {
    fn an_app_gets_no_more_than_it_is_allowed(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (id, secret) = keystead.app(acme.owner(), &["api", "read"]);
        let scope = |asked| issue_to_app(&keystead.engine, credentials(&id, &secret, asked)).map(|t| t.scope.to_string());
        assert_eq!(scope(None).unwrap(), "api read");
        assert_eq!(scope(Some("read")).unwrap(), "read");
        assert_eq!(refusal(scope(Some("read write"))), Code::InvalidScope);
        let unknown = NewApp {
            owner: acme.owner(),
            name: "Web".parse().unwrap(),
            scopes: vec!["nonsense".parse().unwrap()],
            introspect: Introspect::Own,
        };
        assert_eq!(refusal(create(&keystead.engine, &Caller::host(), unknown)), Code::ValidationError);
    }

    fn a_wrong_secret_and_an_unknown_or_disabled_app_are_one_refusal(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        let other = keystead.tenant("Other");
        for (id, secret) in [
            (acme.client_id.as_str(), "kss_wrong"),
            (&acme.client_id, &other.client_secret),
            ("ksc_unknown", &acme.client_secret),
        ] {
            assert_eq!(refusal(issue_to_app(&keystead.engine, credentials(id, secret, None))), Code::InvalidClient);
        }
        let client = acme.client_id.parse().unwrap();
        assert!(!set_active(&keystead.engine, &Caller::host(), &client, false).unwrap().active);
        let disabled = issue_to_app(&keystead.engine, credentials(&acme.client_id, &acme.client_secret, None));
        assert_eq!(refusal(disabled), Code::InvalidClient);
        let by_token = access::app(&keystead.engine, &token, Default::default());
        assert_eq!(refusal(by_token), Code::InvalidToken, "nor does a token from before help");
        set_active(&keystead.engine, &Caller::host(), &client, false).unwrap();
        set_active(&keystead.engine, &Caller::host(), &client, true).unwrap();
        access::app(&keystead.engine, &token, Default::default()).unwrap();
        for (action, times) in [(AuditAction::AppDisabled, 1), (AuditAction::AppEnabled, 1)] {
            assert_eq!(events(&database, acme.owner(), action, Outcome::Done), times);
        }
    }

    fn an_older_secret_works_until_its_end(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (host, client) = (Caller::host(), acme.client_id.parse().unwrap());
        let works = |secret: &str| issue_to_app(&keystead.engine, credentials(&acme.client_id, secret, None)).is_ok();
        let rotate = |seconds| {
            // Secrets are listed in the order of their ids, which have the time in milliseconds.
            keystead.advance(Duration::from_millis(1));
            rotate_secret(&keystead.engine, &host, &client, Duration::from_secs(seconds)).unwrap()
        };
        let second = rotate(60);
        let ends: Vec<_> = second.secrets.iter().map(|secret| secret.ends_at).collect();
        assert_eq!(ends, [Some(keystead.now() + Duration::from_secs(60)), None]);
        let second = second.client_secret.expose().clone();
        assert!(works(&acme.client_secret) && works(&second));
        let secrets = show(&keystead.engine, &host, &client).unwrap().1;
        assert!(secrets.iter().all(|secret| secret.last_used_at == Some(keystead.now())), "each its own last use");

        let third = rotate(3600).client_secret.expose().clone();
        keystead.advance(Duration::from_secs(59));
        assert!(works(&acme.client_secret), "its end did not move");
        keystead.advance(Duration::from_secs(1));
        assert_eq!(refusal(issue_to_app(&keystead.engine, credentials(&acme.client_id, &acme.client_secret, None))), Code::InvalidClient);
        assert!(works(&second) && works(&third));
        let shown = show(&keystead.engine, &host, &client).unwrap().1;
        assert_eq!(shown.len(), 3, "one that has ended is still shown");

        let fourth = rotate(0).client_secret.expose().clone();
        assert!(!works(&second) && !works(&third) && works(&fourth));
        assert_eq!(events(&database, acme.owner(), AuditAction::SecretRotated, Outcome::Done), 3);
        let app = keystead.caller(&keystead.tenant("Other"));
        assert_eq!(refusal(rotate_secret(&keystead.engine, &app, &client, Duration::ZERO)), Code::AppNotAllowed);
        let unknown = rotate_secret(&keystead.engine, &host, &"ksc_unknown".parse().unwrap(), Duration::ZERO);
        assert_eq!(refusal(unknown), Code::NotFound);
    }

    fn an_app_has_so_many_live_secrets_and_no_more_also_in_a_race(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (id, first) = keystead.app(Owner::Platform, &[]);
        let client: ClientId = id.parse().unwrap();
        let rotate = |keep| rotate_secret(&keystead.engine, &Caller::host(), &client, keep);
        let day = Duration::from_secs(86_400);
        let start = Barrier::new(8);
        let made = thread::scope(|scope| {
            let (start, rotate) = (&start, &rotate);
            let racing: Vec<_> = (0..8).map(|_| scope.spawn(move || {
                start.wait();
                rotate(day).map(|_| ()).map_err(|error| error.code())
            })).collect();
            racing.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(made.iter().filter(|outcome| outcome.is_ok()).count(), MAX_LIVE_SECRETS - 1);
        assert!(made.iter().all(|outcome| !matches!(outcome, Err(code) if *code != Code::Conflict)), "{made:?}");
        keystead.token(&id, &first);
        // What ended makes room, and ending all at once always works.
        keystead.advance(day);
        rotate(day).unwrap();
        rotate(Duration::ZERO).unwrap();
        let live = |now| show(&keystead.engine, &Caller::host(), &client).unwrap().1.iter().filter(|secret| secret.is_live(now)).count();
        assert_eq!(live(keystead.now()), 1);
    }

    fn a_suspended_tenants_app_is_refused_with_the_reason(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        let slug = &acme.tenant.slug;
        tenants::suspend(&keystead.engine, &Caller::host(), slug).unwrap();
        let caller = access::app(&keystead.engine, &token, Default::default()).unwrap();
        let denied = caller.allow(Action::ReadOwnApp, acme.owner()).map_err(keystead_service::Error::from);
        assert_eq!(refusal(denied), Code::TenantSuspended);
        let issued = issue_to_app(&keystead.engine, credentials(&acme.client_id, &acme.client_secret, None));
        assert_eq!(refusal(issued), Code::UnauthorizedClient);
        tenants::resume(&keystead.engine, &Caller::host(), slug).unwrap();
        let caller = access::app(&keystead.engine, &token, Default::default()).unwrap();
        caller.allow(Action::ReadOwnApp, acme.owner()).unwrap();
    }

    fn a_token_ends_with_its_hour(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        keystead.advance(Duration::from_secs(3599));
        access::app(&keystead.engine, &token, Default::default()).unwrap();
        keystead.advance(Duration::from_secs(1));
        assert_eq!(refusal(access::app(&keystead.engine, &token, Default::default())), Code::InvalidToken);
    }

    fn another_deployments_token_is_refused(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let elsewhere = Keystead::with(&database, |settings| settings.issuer = "https://other.test".to_owned());
        let token = elsewhere.token(&acme.client_id, &acme.client_secret);
        assert_eq!(refusal(access::app(&keystead.engine, &token, Default::default())), Code::InvalidToken);
    }

    fn the_last_use_of_a_secret_is_kept_to_the_minute(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (id, secret) = keystead.app(Owner::Platform, &[]);
        let client = id.parse().unwrap();
        let last_used = || show(&keystead.engine, &Caller::host(), &client).unwrap().1[0].last_used_at;
        assert_eq!(last_used(), None);
        let first = keystead.now();
        keystead.token(&id, &secret);
        assert_eq!(last_used(), Some(first));
        keystead.advance(Duration::from_secs(59));
        keystead.token(&id, &secret);
        assert_eq!(last_used(), Some(first));
        keystead.advance(Duration::from_secs(1));
        keystead.token(&id, &secret);
        assert_eq!(last_used(), Some(keystead.now()));
    }
}
