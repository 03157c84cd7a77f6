//! The master key: which databases it opens, and putting another in its place.

use std::sync::{Arc, Barrier};
use std::thread;

use keystead_crypto::env::SystemEnv;
use keystead_crypto::master_key::MasterKey;
use keystead_crypto::sealing::Sealer;
use keystead_crypto::signing::SigningKey;
use keystead_domain::Owner;
use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::policy::{Action, Principal};
use keystead_service::sign_ins::SignIn;
use keystead_service::{Caller, Code, StartError, master_key};
use keystead_storage::audit;
use keystead_testkit::{Keystead, TestDatabase, both_backends};

use crate::mfa::enrolled;
use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_in_with, sign_up, verify};

fn key(byte: &str) -> MasterKey {
    MasterKey::parse(&byte.repeat(32)).unwrap()
}

fn rotations(database: &TestDatabase) -> i64 {
    let scope = Principal::Host.allow(Action::MaintainDeployment, Owner::Platform).unwrap();
    let count = |tx: &mut keystead_storage::Tx<'_>| {
        audit::count(&mut tx.tenant(&scope), AuditAction::MasterKeyRotated, Outcome::Done)
    };
    database.open().read(count).unwrap()
}

both_backends! {
    fn all_that_was_sealed_or_is_recognized_stays_so(database: TestDatabase) {
        let before = Keystead::on(&database);
        let acme = before.tenant("Acme");
        let app = before.caller(&acme);
        let token = before.token(&acme.client_id, &acme.client_secret);
        let (authenticator, codes, _) = enrolled(&before, &app);
        // One sign-up waits for its code, and its mail to be sent.
        sign_up(&before, &app, "bob@example.com", PASSWORD).unwrap();

        let (old, new) = (Keystead::master_key(), key("17"));
        master_key::rotate(&before.engine, &Caller::host(), &old, &new).unwrap();
        assert_eq!(rotations(&database), 1);

        let refused = Keystead::under(&database, &old).err().unwrap();
        assert!(matches!(&refused, StartError::MasterKey(_)), "{refused}");
        let message = refused.to_string();
        assert!(message.contains(old.id().as_str()) && message.contains(new.id().as_str()), "{message}");

        let after = Keystead::under(&database, &new).unwrap();
        assert_eq!(format!("{:?}", after.engine.jwks()), format!("{:?}", before.engine.jwks()));
        let app = keystead_service::access::app(&after.engine, &token, Default::default()).unwrap();
        let bobs = after.code_for("bob@example.com");
        verify(&after, &app, "bob@example.com", &bobs).unwrap();
        let in_with = |keystead: &Keystead, code: &str| {
            matches!(sign_in_with(keystead, &app, ADA, PASSWORD, Some(code)), Ok(SignIn::Done(..)))
        };
        assert!(in_with(&after, &codes[0].to_groups()), "a recovery code from before");
        after.advance(std::time::Duration::from_secs(60));
        assert!(in_with(&after, &authenticator.code(&after, 0)), "the authenticator app from before");

        // A process that was started before goes on, and the others read what it writes.
        assert!(in_with(&before, &codes[1].to_groups()));
        sign_up(&before, &app, "eve@example.com", PASSWORD).unwrap();
        let code = after.code_for("eve@example.com");
        verify(&after, &app, "eve@example.com", &code).unwrap();
        sign_in(&before, &app, "eve@example.com", PASSWORD).unwrap();
    }

    fn only_the_present_key_can_be_replaced_and_only_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (engine, host, present) = (&keystead.engine, Caller::host(), Keystead::master_key());
        let rotate = |old: &MasterKey, new: &MasterKey| master_key::rotate(engine, &host, old, new);
        assert_eq!(refusal(rotate(&key("17"), &key("18"))), Code::Conflict);
        assert_eq!(refusal(rotate(&present, &present)), Code::Conflict);
        assert_eq!(rotations(&database), 0);

        let start = Arc::new(Barrier::new(4));
        let done: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = ["21", "22", "23", "24"].into_iter().map(|byte| {
                let (start, rotate) = (Arc::clone(&start), &rotate);
                scope.spawn(move || {
                    let new = key(byte);
                    start.wait();
                    rotate(&Keystead::master_key(), &new).is_ok().then_some(new)
                })
            }).collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!((done.len(), rotations(&database)), (1, 1));
        assert!(Keystead::under(&database, &done[0]).is_ok());
    }

    fn a_database_from_before_root_keys_opens_with_all_that_it_has(database: TestDatabase) {
        let master = Keystead::master_key();
        let seed = SigningKey::generate_seed(&SystemEnv);
        let kid = SigningKey::from_seed(seed.expose()).unwrap().kid().to_owned();
        let sealed = Sealer::new(&master.as_root_key()).seal(&format!("signing_keys/{kid}"), seed.expose(), &SystemEnv);
        let hex: String = sealed.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = if database.url().starts_with("sqlite:") { format!("X'{hex}'") } else { format!("decode('{hex}', 'hex')") };
        let id = master.id();
        database.execute(&format!("INSERT INTO deployment (key, value) VALUES ('master_key_id', '{id}');
            INSERT INTO signing_keys (kid, algorithm, sealed_seed, master_key_id, state, created_at) VALUES ('{kid}', 'EdDSA', {bytes}, '{id}', 'current', 0)"));
        let refused = Keystead::under(&database, &key("17")).err().unwrap();
        assert!(matches!(refused, StartError::MasterKey(_)), "{refused}");

        let started: Vec<_> = thread::scope(|scope| {
            let nodes: Vec<_> = (0..4).map(|_| scope.spawn(|| Keystead::on(&database))).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).collect()
        });
        for node in &started {
            let keys = format!("{:?}", node.engine.jwks());
            assert!(keys.contains(&kid) && keys.matches("kid").count() == 2, "{keys}");
        }
        master_key::rotate(&started[0].engine, &Caller::host(), &master, &key("17")).unwrap();
        let after = Keystead::under(&database, &key("17")).unwrap();
        assert!(format!("{:?}", after.engine.jwks()).contains(&kid));
    }

    fn an_altered_root_key_is_said_to_be_that(database: TestDatabase) {
        drop(Keystead::on(&database));
        database.execute("UPDATE deployment SET value = 'AQ' WHERE key = 'root_key'");
        assert!(matches!(Keystead::under(&database, &Keystead::master_key()), Err(StartError::RootKey)));
        database.execute("DELETE FROM deployment WHERE key = 'root_key'");
        let refused = Keystead::under(&database, &Keystead::master_key()).err().unwrap();
        assert!(matches!(refused, StartError::SigningKey(_)), "{refused}");
    }
}
