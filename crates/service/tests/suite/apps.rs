//! Apps: what they may be given, and how they prove themselves.

use std::time::Duration;

use keystead_domain::policy::Action;
use keystead_domain::{Owner, Secret};
use keystead_service::apps::{NewApp, create, show};
use keystead_service::tokens::{ClientCredentials, issue_to_app};
use keystead_service::{Caller, Code, access};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::refusal;

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
        database.execute("UPDATE apps SET active = FALSE");
        let disabled = issue_to_app(&keystead.engine, credentials(&acme.client_id, &acme.client_secret, None));
        assert_eq!(refusal(disabled), Code::InvalidClient);
        let by_token = access::app(&keystead.engine, &token, Default::default());
        assert_eq!(refusal(by_token), Code::InvalidToken, "nor does a token from before help");
    }

    fn a_suspended_tenants_app_is_refused_with_the_reason(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        database.execute("UPDATE tenants SET status = 'suspended'");
        let caller = access::app(&keystead.engine, &token, Default::default()).unwrap();
        let denied = caller.allow(Action::ReadOwnApp, acme.owner()).map_err(keystead_service::Error::from);
        assert_eq!(refusal(denied), Code::TenantSuspended);
        let issued = issue_to_app(&keystead.engine, credentials(&acme.client_id, &acme.client_secret, None));
        assert_eq!(refusal(issued), Code::UnauthorizedClient);
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
