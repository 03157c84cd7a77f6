//! What people sign in with: challenges, proofs of addresses, links to set a password, backup codes that wait.

use std::time::Duration;

use keystead_domain::address_proof::{AddressProof, PROOF_LIFETIME};
use keystead_domain::device::{DEVICE_LIFETIME, DEVICES_KNOWN, Device};
use keystead_domain::registration::{CODE_LIFETIME, CodeMac, PendingCode};
use keystead_domain::sign_in_challenge::{CHALLENGE_LIFETIME, CHALLENGE_TRIES, SignInChallenge};
use keystead_domain::slowdown::Slowdown;
use keystead_domain::{Owner, TokenDigest};
use keystead_storage::{address_proofs, devices, reset_links, second_factors, sign_in_challenges, users};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, scope, tenant, user};

both_backends! {
    fn a_challenge_is_good_for_its_time_its_tries_and_once(database: TestDatabase) {
        let (store, mine, ada) = (database.open(), scope(Owner::Platform), user(&scope(Owner::Platform), "ada@example.com"));
        let digest = TokenDigest::of("step_x");
        let other = tenant();
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            let begin = SignInChallenge::begun(ada.id, digest, true, NOW);
            sign_in_challenges::insert(&mut rows, &begin)?;
            assert!(sign_in_challenges::find(&mut rows, &digest, NOW + CHALLENGE_LIFETIME)?.is_none());
            assert!(sign_in_challenges::take_try(&mut rows, &digest, NOW + CHALLENGE_LIFETIME)?.is_none());
            for left in (0..CHALLENGE_TRIES).rev() {
                let found = sign_in_challenges::take_try(&mut rows, &digest, NOW)?.unwrap();
                assert_eq!((found.user, found.transient, found.tries_left), (ada.id, true, left));
            }
            assert!(sign_in_challenges::take_try(&mut rows, &digest, NOW)?.is_none());
            assert!(sign_in_challenges::find(&mut rows, &digest, NOW)?.is_none());
            let mut strange = tx.tenant(&other);
            assert!(!sign_in_challenges::consume(&mut strange, &digest)?);
            let mut rows = tx.tenant(&mine);
            assert!(sign_in_challenges::consume(&mut rows, &digest)?);
            assert!(!sign_in_challenges::consume(&mut rows, &digest)?);
            sign_in_challenges::insert(&mut rows, &begin)?;
            let mut all = tx.platform(&platform());
            assert_eq!(sign_in_challenges::remove_expired(&mut all, NOW, 9)?, 0);
            assert_eq!(sign_in_challenges::remove_expired(&mut all, NOW + CHALLENGE_LIFETIME, 9)?, 1);
            Ok(())
        }).unwrap();
    }

    fn a_device_has_its_users_tries_and_the_newest_are_known(database: TestDatabase) {
        let (store, mine) = (database.open(), scope(Owner::Platform));
        let (ada, eve) = (user(&mine, "ada@example.com"), user(&mine, "eve@example.com"));
        let (other, two) = (tenant(), Slowdown { free: 2 });
        let digest = |number: i64| TokenDigest::of(&format!("dev_{number}"));
        let first = Device::signed_in(ada.id, digest(0), NOW);
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            users::insert(&mut rows, &eve, None)?;
            devices::insert(&mut rows, &first)?;
            for (email, now) in [(&eve.email, NOW), (&ada.email, NOW + DEVICE_LIFETIME)] {
                assert!(!devices::has_tries(&mut rows, two, &digest(0), email, now)?);
                assert!(!devices::take_try(&mut rows, two, &digest(0), email, now)?);
            }
            assert!(!devices::renew(&mut rows, &Device::signed_in(eve.id, digest(0), NOW), NOW)?);
            assert!(!devices::take_try(&mut tx.tenant(&other), two, &digest(0), &ada.email, NOW)?);
            let mut rows = tx.tenant(&mine);
            for _ in 0..2 {
                assert!(devices::has_tries(&mut rows, two, &digest(0), &ada.email, NOW)?);
                assert!(devices::take_try(&mut rows, two, &digest(0), &ada.email, NOW)?);
            }
            assert!(!devices::take_try(&mut rows, two, &digest(0), &ada.email, NOW)?);
            devices::give_back(&mut rows, &digest(0))?;
            assert!(devices::take_try(&mut rows, two, &digest(0), &ada.email, NOW)?);
            assert!(devices::renew(&mut rows, &first, NOW)?);
            assert!(devices::has_tries(&mut rows, two, &digest(0), &ada.email, NOW)?);

            for number in 1..=DEVICES_KNOWN {
                let later = NOW + Duration::from_secs(number.unsigned_abs());
                devices::insert(&mut rows, &Device::signed_in(ada.id, digest(number), later))?;
            }
            assert!(!devices::has_tries(&mut rows, two, &digest(0), &ada.email, NOW)?, "the oldest is forgotten");
            for number in 1..=DEVICES_KNOWN {
                assert!(devices::has_tries(&mut rows, two, &digest(number), &ada.email, NOW)?);
            }
            let mut all = tx.platform(&platform());
            assert_eq!(devices::remove_expired(&mut all, NOW + DEVICE_LIFETIME, 99)?, 0);
            assert_eq!(devices::remove_expired(&mut all, NOW + DEVICE_LIFETIME + Duration::from_secs(1), 99)?, 1);
            let mut rows = tx.tenant(&mine);
            devices::remove_all(&mut rows, ada.id)?;
            assert!(!devices::has_tries(&mut rows, two, &digest(2), &ada.email, NOW)?);
            Ok(())
        }).unwrap();
    }

    fn a_proof_is_good_by_code_and_by_link_until_it_is_replaced(database: TestDatabase) {
        let (store, mine, ada) = (database.open(), scope(Owner::Platform), user(&scope(Owner::Platform), "ada@example.com"));
        let other = tenant();
        let proof = |link: &str| {
            let code = PendingCode::sent(CodeMac::from_bytes([7; 32]), NOW);
            AddressProof::sent(ada.id, ada.email.clone(), code, TokenDigest::of(link), NOW)
        };
        let (first, second) = (proof("link_1"), proof("link_2"));
        let ada = ada.clone();
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            address_proofs::replace(&mut rows, &first)?;
            address_proofs::replace(&mut rows, &second)?;
            assert!(address_proofs::find_by_link(&mut rows, &first.link, NOW)?.is_none());
            assert!(address_proofs::find_by_link(&mut rows, &second.link, NOW + PROOF_LIFETIME)?.is_none());
            assert_eq!(address_proofs::find_by_link(&mut rows, &second.link, NOW)?.unwrap().user, ada.id);
            assert!(address_proofs::take_try(&mut rows, ada.id, NOW + CODE_LIFETIME)?.is_none());
            for _ in 0..5 {
                assert!(address_proofs::take_try(&mut rows, ada.id, NOW)?.is_some());
            }
            assert!(address_proofs::take_try(&mut rows, ada.id, NOW)?.is_none(), "tried out");
            assert!(address_proofs::find_by_link(&mut tx.tenant(&other), &second.link, NOW)?.is_none());
            let mut rows = tx.tenant(&mine);
            assert!(!address_proofs::consume(&mut rows, &first)?, "it was replaced");
            assert!(address_proofs::consume(&mut rows, &second)?);
            assert!(!address_proofs::consume(&mut rows, &second)?);
            address_proofs::replace(&mut rows, &first)?;
            let mut all = tx.platform(&platform());
            assert_eq!(address_proofs::remove_expired(&mut all, NOW + PROOF_LIFETIME, 9)?, 1);
            Ok(())
        }).unwrap();
    }

    fn a_reset_link_is_its_users_alone(database: TestDatabase) {
        let (store, mine, ada) = (database.open(), scope(Owner::Platform), user(&scope(Owner::Platform), "ada@example.com"));
        let (other, end) = (tenant(), NOW + Duration::from_secs(60));
        let (old, new) = (TokenDigest::of("link_1"), TokenDigest::of("link_2"));
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            reset_links::replace(&mut rows, ada.id, &old, end)?;
            reset_links::replace(&mut rows, ada.id, &new, end)?;
            assert!(reset_links::find(&mut rows, &old, NOW)?.is_none());
            assert!(reset_links::find(&mut rows, &new, end)?.is_none());
            assert_eq!(reset_links::find(&mut rows, &new, NOW)?, Some(ada.id));
            assert!(reset_links::find(&mut tx.tenant(&other), &new, NOW)?.is_none());
            let mut rows = tx.tenant(&mine);
            assert!(!reset_links::consume(&mut rows, ada.id, &old, NOW)?);
            assert!(!reset_links::consume(&mut rows, ada.id, &new, end)?);
            assert!(reset_links::consume(&mut rows, ada.id, &new, NOW)?);
            assert!(!reset_links::consume(&mut rows, ada.id, &new, NOW)?);
            Ok(())
        }).unwrap();
    }

    fn backup_codes_that_wait_are_none(database: TestDatabase) {
        let (store, mine, ada) = (database.open(), scope(Owner::Platform), user(&scope(Owner::Platform), "ada@example.com"));
        let [old, new] = [1, 2].map(|byte| CodeMac::from_bytes([byte; 32]));
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            second_factors::replace_recovery_codes(&mut rows, ada.id, &[old])?;
            second_factors::set_pending_codes(&mut rows, ada.id, &[new])?;
            assert!(!second_factors::consume_recovery_code(&mut rows, ada.id, &new)?);
            second_factors::activate_pending_codes(&mut rows, ada.id)?;
            assert!(!second_factors::consume_recovery_code(&mut rows, ada.id, &old)?);
            assert!(second_factors::consume_recovery_code(&mut rows, ada.id, &new)?);
            Ok(())
        }).unwrap();
    }
}
