//! Every function on an owner's rows, tried with another owner's ids: nothing is found, nothing
//! changes.

use keystead_crypto::env::SystemEnv;
use keystead_domain::app::{App, AppSecret};
use keystead_domain::claim::ClaimLink;
use keystead_domain::id::{AppId, AppSecretId, JobId};
use keystead_domain::registration::{CodeMac, PendingCode};
use keystead_domain::second_factor::TotpStep;
use keystead_domain::user::{PasswordHash, UserStatus};
use keystead_domain::{Owner, TokenDigest};
use keystead_storage::{
    apps, claim_links, jobs, locate, registrations, reset_codes, second_factors, sessions, users,
};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, registration, scope, session, tenant, user};

both_backends! {
    fn another_owners_ids_reach_nothing(database: TestDatabase) {
        let store = database.open();
        let mine = tenant();
        let ada = user(&mine, "ada@example.com");
        let signed_in = session(&ada);
        let digest = TokenDigest::of("sess_secret");
        let waiting = registration(&mine, "bob@example.com");
        let job = JobId::mint(NOW, &SystemEnv);
        let hash = PasswordHash::new("$argon2id$".to_owned());
        let app = App {
            id: AppId::mint(NOW, &SystemEnv),
            client_id: "ksc_mine".parse().unwrap(),
            owner: mine.owner(),
            name: "Web".parse().unwrap(),
            allowed_scopes: "api".parse().unwrap(),
            first_party: true,
            active: true,
            introspect: Default::default(),
            created_at: NOW,
        };
        let secret = AppSecret {
            id: AppSecretId::mint(NOW, &SystemEnv),
            digest,
            created_at: NOW,
            last_used_at: None,
            ends_at: None,
        };
        let secret_id = secret.id;
        let mac = CodeMac::from_bytes([5; 32]);
        {
            let (ada, signed_in, waiting, hash, app) =
                (ada.clone(), signed_in.clone(), waiting.clone(), hash.clone(), app.clone());
            store.write(move |tx| {
                let mut rows = tx.tenant(&mine);
                users::insert(&mut rows, &ada, Some(&hash))?;
                sessions::insert(&mut rows, &signed_in, &digest)?;
                registrations::insert(&mut rows, &waiting)?;
                jobs::insert(&mut rows, job, jobs::JobKind::ResendSignUpCode, &ada.email, NOW)?;
                apps::insert(&mut rows, &app)?;
                apps::insert_secret(&mut rows, &app, &secret)?;
                claim_links::replace(&mut rows, &ClaimLink::issued(app.id, digest, NOW))?;
                second_factors::set_pending_totp(&mut rows, ada.id, &[1])?;
                second_factors::activate_totp(&mut rows, ada.id, signed_in.id, &[1], TotpStep::from_number(1))?;
                second_factors::set_pending_totp(&mut rows, ada.id, &[2])?;
                second_factors::replace_recovery_codes(&mut rows, ada.id, &[mac])?;
                reset_codes::replace(&mut rows, ada.id, &PendingCode::sent(mac, NOW))
            }).unwrap();
        }

        for stranger in [tenant(), scope(Owner::Platform)] {
            let (ada, signed_in, waiting, hash) = (ada.clone(), signed_in.clone(), waiting.clone(), hash.clone());
            let app = app.id;
            store.write(move |tx| {
                let mut rows = tx.tenant(&stranger);
                assert!(users::find(&mut rows, ada.id)?.is_none());
                assert!(users::find_password(&mut rows, ada.id)?.is_none());
                assert!(!users::rename(&mut rows, ada.id, None, NOW)?);
                assert!(!users::reset_password(&mut rows, ada.id, &hash, NOW)?);
                assert!(!users::remove(&mut rows, ada.id, &hash)?);
                assert!(sessions::list(&mut rows, ada.id)?.is_empty());
                assert_eq!(sessions::remove_others(&mut rows, ada.id, keystead_domain::id::Id::from_uuid(Default::default()))?, 0);
                assert!(second_factors::find_totp(&mut rows, ada.id)?.secret.is_none());
                assert!(!second_factors::spend_totp_step(&mut rows, ada.id, TotpStep::from_number(9))?);
                assert!(!second_factors::activate_totp(&mut rows, ada.id, signed_in.id, &[2], TotpStep::from_number(9))?);
                assert!(!second_factors::consume_recovery_code(&mut rows, ada.id, &mac)?);
                assert!(!second_factors::remove(&mut rows, ada.id)?);
                assert!(reset_codes::take_try(&mut rows, ada.id, NOW)?.is_none());
                assert!(!reset_codes::consume(&mut rows, ada.id)?);
                assert!(users::find_by_email(&mut rows, &ada.email)?.is_none());
                assert!(users::list(&mut rows)?.is_empty());
                assert!(!users::replace_password(&mut rows, ada.id, &hash, &hash)?);
                assert!(sessions::find_by_digest(&mut rows, &digest)?.is_none());
                sessions::touch(&mut rows, signed_in.id, NOW + std::time::Duration::from_secs(60))?;
                assert!(!sessions::remove(&mut rows, ada.id, signed_in.id)?);
                assert_eq!(sessions::remove_all(&mut rows, ada.id)?, 0);
                assert!(registrations::list_by_email(&mut rows, &waiting.email, NOW)?.is_empty());
                assert!(registrations::take_try(&mut rows, &waiting.email, NOW)?.is_empty());
                let code = PendingCode::sent(CodeMac::from_bytes([1; 32]), NOW);
                assert!(!registrations::replace_code(&mut rows, waiting.id, &code, None)?);
                assert!(!registrations::consume(&mut rows, waiting.id)?);
                registrations::remove_by_email(&mut rows, &waiting.email)?;
                assert!(!jobs::finish(&mut rows, job)?);
                assert!(!users::set_status(&mut rows, ada.id, UserStatus::Locked)?);
                assert!(!apps::hold(&mut rows, app)?);
                assert!(!apps::set_active(&mut rows, app, false)?);
                assert!(apps::list_secrets(&mut rows, app)?.is_empty());
                apps::end_secrets(&mut rows, app, NOW)?;
                claim_links::remove(&mut rows, app)?;
                apps::touch_secret(&mut rows, secret_id, NOW)
            }).unwrap();
        }

        store.read(|tx| {
            let client = locate::client(tx, &app.client_id)?.unwrap();
            assert_eq!((client.secrets[0].last_used_at, client.secrets[0].ends_at), (None, None));
            assert!(client.app.active);
            assert!(locate::claim_link(tx, &digest, NOW)?.is_some());
            let mut rows = tx.tenant(&mine);
            let found = sessions::find_by_digest(&mut rows, &digest)?.unwrap();
            let (found, of) = (found.session, found.user);
            assert_eq!((found.last_seen_at, found.ip, of.id), (NOW, signed_in.ip, ada.id));
            let still = registrations::list_by_email(&mut rows, &waiting.email, NOW)?;
            assert_eq!(still[0].code.as_ref().map(|code| code.tries_left), Some(5));
            assert!(second_factors::find_totp(&mut rows, ada.id)?.secret.is_some());
            let still = users::find(&mut rows, ada.id)?.unwrap();
            assert_eq!((still.name.is_some(), still.status), (true, UserStatus::Active));
            Ok(())
        }).unwrap();
    }

    fn secrets_get_an_end_and_are_removed_when_it_is_over(database: TestDatabase) {
        let store = database.open();
        let (mine, platform) = (tenant(), platform());
        let app = App {
            id: AppId::mint(NOW, &SystemEnv),
            client_id: "ksc_mine".parse().unwrap(),
            owner: mine.owner(),
            name: "Web".parse().unwrap(),
            allowed_scopes: "api".parse().unwrap(),
            first_party: true,
            active: true,
            introspect: Default::default(),
            created_at: NOW,
        };
        let after = |seconds| NOW + std::time::Duration::from_secs(seconds);
        let secret = |at| AppSecret {
            id: AppSecretId::mint(at, &SystemEnv),
            digest: TokenDigest::of("kss_x"),
            created_at: at,
            last_used_at: None,
            ends_at: None,
        };
        let ends = store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            apps::insert(&mut rows, &app)?;
            for (made, end) in [(after(0), after(10)), (after(1), after(5)), (after(2), after(30))] {
                apps::insert_secret(&mut rows, &app, &secret(made))?;
                apps::end_secrets(&mut rows, app.id, end)?;
            }
            apps::insert_secret(&mut rows, &app, &secret(after(3)))?;
            let secrets = apps::list_secrets(&mut rows, app.id)?;
            let mut rows = tx.platform(&platform);
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(4), 10)?, 0);
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(5), 1)?, 1, "no more than asked");
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(5), 10)?, 1);
            assert_eq!(apps::list_secrets(&mut tx.tenant(&mine), app.id)?.len(), 2);
            Ok(secrets.into_iter().map(|secret| secret.ends_at).collect::<Vec<_>>())
        }).unwrap();
        assert_eq!(ends, [Some(after(5)), Some(after(5)), Some(after(30)), None], "an end only moves closer");
    }

    fn the_same_address_in_two_directories_is_two_users(database: TestDatabase) {
        let store = database.open();
        let (one, other) = (tenant(), tenant());
        for scope in [one, other] {
            let row = user(&scope, "ada@example.com");
            store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None)).unwrap();
        }
        let email = "ada@example.com".parse().unwrap();
        let find = |scope| store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), &email)).unwrap().unwrap().0;
        assert_ne!(find(one).id, find(other).id);
    }
}
