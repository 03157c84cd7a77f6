//! Rotating the keys that sign: what was signed before stays good, and every process follows.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use keystead_crypto::jwt;
use keystead_crypto::signing::SigningKey;
use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::oauth::AccessTokenClaims;
use keystead_domain::{Owner, Timestamp};
use keystead_service::signing_keys::{Rotation, list, rotate};
use keystead_service::{Caller, Code, access};
use keystead_testkit::{Keystead, TestTenant, both_backends};

use crate::steps::{events, refusal};

const HOUR: Duration = Duration::from_secs(3600);

/// The kids of the key set, in its order.
fn published(keystead: &Keystead) -> Vec<String> {
    let jwks = serde_json::to_value(keystead.engine.jwks()).unwrap();
    jwks.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn states(keystead: &Keystead) -> Vec<(String, &'static str)> {
    let keys = list(&keystead.engine, &Caller::host()).unwrap();
    keys.into_iter().map(|key| (key.kid, key.state.as_str())).collect()
}

fn rotated(keystead: &Keystead, why: Rotation) -> String {
    rotate(&keystead.engine, &Caller::host(), why).unwrap().kid
}

fn accepts(keystead: &Keystead, token: &str) -> bool {
    access::app(&keystead.engine, token, Default::default()).is_ok()
}

fn token(keystead: &Keystead, tenant: &TestTenant) -> String {
    keystead.token(&tenant.client_id, &tenant.client_secret)
}

both_backends! {
    fn a_key_is_published_before_it_signs_and_until_its_last_token_has_ended(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let before = published(&keystead);
        let [first, second] = &before[..] else { panic!("{before:?}") };
        assert_eq!(states(&keystead), [(first.clone(), "current"), (second.clone(), "next")]);
        let old = token(&keystead, &acme);

        keystead.advance(Duration::from_secs(1));
        assert_eq!(rotated(&keystead, Rotation::Planned), *second, "the key that was published signs");
        let after = published(&keystead);
        assert_eq!((&after[0], &after[2], after.len()), (second, first, 3));
        assert_eq!(states(&keystead)[2], (first.clone(), "retired"));
        let new = token(&keystead, &acme);
        assert!(accepts(&keystead, &old) && accepts(&keystead, &new));

        // An hour that tokens live, and an hour of margin.
        keystead.advance(2 * HOUR - Duration::from_secs(1));
        assert!(published(&keystead).contains(first));
        keystead.advance(Duration::from_secs(1));
        assert!(!published(&keystead).contains(first));
        assert_eq!(events(&database, Owner::Platform, AuditAction::SigningKeyRotated, Outcome::Done), 1);
    }

    fn keys_that_got_out_are_replaced_with_all_that_they_signed(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        rotated(&keystead, Rotation::Planned);
        let (before, old) = (published(&keystead), token(&keystead, &acme));
        rotated(&keystead, Rotation::Compromised);
        assert!(!accepts(&keystead, &old));
        let after = published(&keystead);
        assert!(after.len() == 2 && after.iter().all(|kid| !before.contains(kid)), "{before:?} {after:?}");
        assert!(accepts(&keystead, &token(&keystead, &acme)));
    }

    fn other_nodes_follow_within_a_second(database: TestDatabase) {
        let (one, other) = (Keystead::on(&database), Keystead::on(&database));
        let acme = one.tenant("Acme");
        let (old, first) = (token(&other, &acme), published(&other)[0].clone());
        let second = rotated(&one, Rotation::Planned);
        let new = token(&one, &acme);
        assert!(accepts(&other, &new), "it was published before it signed");
        assert!(accepts(&one, &old));
        other.advance(Duration::from_secs(1));
        let signed = token(&other, &acme);
        assert_eq!(kid(&signed), second);
        assert_ne!(first, second);

        let fresh = rotated(&one, Rotation::Compromised);
        other.advance(Duration::from_secs(1));
        assert!(!accepts(&other, &signed));
        assert_eq!(published(&other)[0], fresh);
    }

    fn a_key_that_was_just_made_elsewhere_is_looked_for_once_a_second(database: TestDatabase) {
        let (one, other) = (Keystead::on(&database), Keystead::on(&database));
        let acme = one.tenant("Acme");
        // Both at the same instant, and nobody tells the other one.
        rotated(&one, Rotation::Compromised);
        assert!(accepts(&other, &token(&one, &acme)), "found at once");
        let claims = |now: Timestamp| AccessTokenClaims {
            iss: "https://id.test".to_owned(),
            sub: acme.client_id.clone(),
            aud: "https://id.test".to_owned(),
            exp: now.as_unix_seconds() + 60,
            iat: now.as_unix_seconds(),
            jti: "1".to_owned(),
            client_id: acme.client_id.clone(),
            scope: "api".to_owned(),
            tenant_id: None,
        };
        let stranger = SigningKey::from_seed(&[3; 32]).unwrap();
        assert!(!accepts(&other, jwt::sign(&claims(other.now()), &stranger).expose()));
        rotated(&one, Rotation::Compromised);
        let fresh = token(&one, &acme);
        assert!(!accepts(&other, &fresh), "somebody looked this second");
        one.advance(Duration::from_secs(1));
        other.advance(Duration::from_secs(1));
        assert!(accepts(&other, &fresh));
    }

    fn of_rotations_at_once_one_wins_and_one_key_signs(database: TestDatabase) {
        let nodes: Vec<_> = (0..4).map(|_| Keystead::on(&database)).collect();
        let mut wins = 0;
        for round in 0..6 {
            let why = if round % 2 == 0 { Rotation::Planned } else { Rotation::Compromised };
            let start = Barrier::new(nodes.len());
            let outcomes: Vec<_> = thread::scope(|scope| {
                let racing: Vec<_> = nodes.iter().map(|node| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        rotate(&node.engine, &Caller::host(), why).map_err(|error| error.code())
                    })
                }).collect();
                racing.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
            assert!(outcomes.iter().all(|one| !matches!(one, Err(code) if *code != Code::Conflict)), "{outcomes:?}");
            wins += i64::try_from(outcomes.iter().filter(|one| one.is_ok()).count()).unwrap();
            let all = states(&nodes[0]);
            let count = |state| all.iter().filter(|key| key.1 == state).count();
            assert_eq!((count("current"), count("next")), (1, 1), "{all:?}");
        }
        let rotations = events(&database, Owner::Platform, AuditAction::SigningKeyRotated, Outcome::Done);
        assert!(wins <= rotations && rotations <= 24, "{wins} {rotations}");
    }

    fn only_the_host_rotates(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        assert_eq!(refusal(rotate(&keystead.engine, &app, Rotation::Planned)), Code::AppNotAllowed);
        assert_eq!(refusal(list(&keystead.engine, &app)), Code::AppNotAllowed);
    }

    fn a_database_of_before_rotations_gets_a_next_key(database: TestDatabase) {
        let before = published(&Keystead::on(&database));
        database.execute("DELETE FROM signing_keys WHERE state = 'next'");
        database.execute("UPDATE signing_keys SET activated_at = NULL");
        let keystead = Keystead::on(&database);
        let after = published(&keystead);
        assert_eq!((after.len(), &after[0]), (2, &before[0]));
        assert_eq!(rotated(&keystead, Rotation::Planned), after[1]);
    }
}

/// The name of the key that signed a token.
fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
