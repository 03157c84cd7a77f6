//! What a guard finds out, for how long it remembers that, and what it does without a Keystead.

use std::future::Future;
use std::time::{Duration, Instant};

use actix_web::rt;
use keystead_domain::Owner;
use keystead_domain::api_key::Environment;
use keystead_guard::{CredentialKind, Guard, MAX_AGE, Refusal, Role};
use keystead_service::{Caller, apps, tenants};

use crate::served::Served;

fn run<T>(future: impl Future<Output = T>) -> T {
    rt::System::new().block_on(future)
}

/// Asks until the answer is this; how long that took.
async fn until(guard: &Guard, credential: &str, expected: Refusal) -> Duration {
    let began = Instant::now();
    loop {
        match guard.check(credential).await {
            Err(refusal) if refusal == expected => return began.elapsed(),
            other => assert!(began.elapsed() < Duration::from_secs(10), "{other:?}"),
        }
        rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_key_is_asked_about_once_for_all_who_show_it_at_the_same_time() {
    let served = Served::start();
    let ada = served.keystead.person("Ada");
    let key = served.key(&ada, Environment::Live);
    let guard = served.builder().remember_for(MAX_AGE).build().unwrap();
    run(async {
        let all: Vec<_> = (0..50)
            .map(|_| {
                let (guard, key) = (guard.clone(), key.clone());
                rt::spawn(async move { guard.check(&key).await })
            })
            .collect();
        for one in all {
            let identity = one.await.unwrap().unwrap();
            assert_eq!(
                (identity.kind, &identity.subject),
                (CredentialKind::ApiKey, &ada.user.id.to_string())
            );
            let organization = identity.organization.as_ref().unwrap();
            assert_eq!((organization.id, organization.role), (ada.tenant.id, Some(Role::Owner)));
            assert_eq!(organization.plan.as_deref(), Some("free"));
            assert!(identity.require_scope("read").is_ok());
            assert_eq!(identity.require_scope("write"), Err(Refusal::MissingScope("write".to_owned())));
        }
    });
    assert_eq!(served.asked(), (1, 0));
}

#[test]
fn what_is_revoked_is_refused_within_the_time_that_is_promised() {
    let served = Served::start();
    let ada = served.keystead.person("Ada");
    let key = served.key(&ada, Environment::Live);
    let (id, secret) = served.keystead.app(Owner::Tenant(ada.tenant.id), &["read"]);
    let token = served.keystead.token(&id, &secret);
    let guard = served.guard();
    run(async {
        guard.check(&key).await.unwrap();
        guard.check(&token).await.unwrap();
        tenants::suspend(&served.keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert!(until(&guard, &key, Refusal::Invalid).await < MAX_AGE);
        assert!(until(&guard, &token, Refusal::Invalid).await < MAX_AGE);
        tenants::resume(&served.keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        guard.check(&key).await.unwrap();
        guard.check(&token).await.unwrap();
        apps::set_active(&served.keystead.engine, &Caller::host(), &id.parse().unwrap(), false).unwrap();
        assert!(until(&guard, &token, Refusal::Invalid).await < MAX_AGE);
        // Nothing is remembered where that is asked for.
        let strict = served.builder().remember_for(Duration::ZERO).build().unwrap();
        strict.check(&key).await.unwrap();
        tenants::suspend(&served.keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert_eq!(strict.check(&key).await.unwrap_err(), Refusal::Invalid);
    });
}

#[test]
fn keys_for_testing_are_refused_unless_they_are_asked_for() {
    let served = Served::start();
    let key = served.key(&served.keystead.person("Ada"), Environment::Test);
    run(async {
        assert_eq!(served.guard().check(&key).await.unwrap_err(), Refusal::TestKey);
        let lenient = served.builder().allow_test_keys().build().unwrap();
        assert_eq!(lenient.check(&key).await.unwrap().environment, Some(Environment::Test));
    });
}

#[test]
fn noise_costs_no_question_and_a_token_is_for_somebody() {
    let served = Served::start();
    let acme = served.keystead.tenant("Acme");
    let token = served.keystead.token(&acme.client_id, &acme.client_secret);
    let ada = served.keystead.person("Ada");
    let mut key = served.key(&ada, Environment::Live);
    key.replace_range(key.len() - 1.., if key.ends_with('0') { "1" } else { "0" });
    let guard = served.guard();
    run(async {
        for noise in ["", "a b", &key, "a.b.c", &format!("{token}x"), &"a".repeat(10_000)] {
            assert_eq!(guard.check(noise).await.unwrap_err(), Refusal::Invalid, "{noise}");
        }
        assert_eq!(served.asked().0, 0);
        // Names of keys that there are none of do not make it ask each time.
        let payload = token.split('.').nth(1).unwrap();
        for number in 0..50 {
            use base64::Engine as _;
            let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{number}"}}"#);
            let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
            assert_eq!(guard.check(&format!("{header}.{payload}.AAAA")).await.unwrap_err(), Refusal::Invalid);
        }
        assert_eq!(served.asked(), (0, 1));

        let identity = guard.check(&token).await.unwrap();
        assert_eq!(
            (identity.kind, identity.subject.as_str()),
            (CredentialKind::AccessToken, acme.client_id.as_str())
        );
        assert_eq!((identity.tenant, &identity.organization), (Some(acme.tenant.id), &None));
        assert_eq!(identity.require_role(Role::Member), Err(Refusal::RoleTooLow(Role::Member)));
        let other = served.builder().audience("https://api.example.com").build().unwrap();
        assert_eq!(other.check(&token).await.unwrap_err(), Refusal::Invalid);
        // A session is for browsers and for the app's own server.
        assert_eq!(guard.check(&ada.session).await.unwrap_err(), Refusal::Invalid);
    });
}

#[test]
fn offline_a_token_is_good_until_it_expires_and_no_longer() {
    // The clock of the deployment stands in the past, that of the guard does not.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let mut served = Served::with_tokens_for(CENTURY);
    let acme = served.keystead.tenant("Acme");
    let token = served.keystead.token(&acme.client_id, &acme.client_secret);
    let key = served.key(&served.keystead.person("Ada"), Environment::Live);
    let guard = served.builder().offline().build().unwrap();
    run(async {
        let identity = guard.check(&token).await.unwrap();
        assert_eq!(identity.subject, acme.client_id);
        assert_eq!(served.asked(), (0, 1));
        guard.check(&key).await.unwrap();
        assert_eq!(served.asked(), (1, 1), "a key is asked about all the same");
        for (issuer, audience) in
            [("https://other.example", None), (served.url.as_str(), Some("https://api.example"))]
        {
            let mut other = served.builder().offline().issuer(issuer);
            if let Some(audience) = audience {
                other = other.audience(audience);
            }
            assert_eq!(other.build().unwrap().check(&token).await.unwrap_err(), Refusal::Invalid);
        }
    });
    // It does not learn what ended, which is what offline means.
    apps::set_active(&served.keystead.engine, &Caller::host(), &acme.client_id.parse().unwrap(), false)
        .unwrap();
    served.stop();
    run(async {
        rt::time::sleep(MAX_AGE).await;
        guard.check(&token).await.unwrap();
        assert_eq!(guard.check(&key).await.unwrap_err(), Refusal::Unavailable);
    });

    let served = Served::start();
    let acme = served.keystead.tenant("Acme");
    let expired = served.keystead.token(&acme.client_id, &acme.client_secret);
    let guard = served.builder().offline().build().unwrap();
    assert_eq!(run(guard.check(&expired)).unwrap_err(), Refusal::Invalid);
}

#[test]
fn without_keystead_nobody_is_let_in() {
    let mut served = Served::start();
    let key = served.key(&served.keystead.person("Ada"), Environment::Live);
    let acme = served.keystead.tenant("Acme");
    let token = served.keystead.token(&acme.client_id, &acme.client_secret);
    let guard = served.guard();
    let stranger = Guard::builder(&served.url, &served.app.0, "wrong").build().unwrap();
    run(async {
        guard.check(&key).await.unwrap();
        // Its own credentials are wrong: that says nothing of those that it is shown.
        assert_eq!(stranger.check(&key).await.unwrap_err(), Refusal::Unavailable);
    });
    served.stop();
    run(async {
        assert!(until(&guard, &key, Refusal::Unavailable).await < MAX_AGE);
        assert_eq!(guard.check(&token).await.unwrap_err(), Refusal::Unavailable);
        assert_eq!(guard.check("a.b.c").await.unwrap_err(), Refusal::Invalid);
    });
}
