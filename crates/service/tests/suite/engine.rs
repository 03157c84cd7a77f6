//! Starting an engine.

use std::sync::{Arc, Barrier};
use std::thread;

use keystead_crypto::env::SystemEnv;
use keystead_crypto::master_key::MasterKey;
use keystead_service::{Engine, StartError, master_key_id};
use keystead_testkit::{Keystead, both_backends};

both_backends! {
    fn a_wrong_master_key_is_refused_with_the_ids_of_both(database: TestDatabase) {
        assert_eq!(master_key_id(&database.open()).unwrap(), None);
        let settings = Keystead::on(&database).engine.settings().clone();
        let wrong = MasterKey::parse(&"17".repeat(32)).unwrap();
        let refused = Engine::start(database.open(), &wrong, settings, Arc::new(SystemEnv)).err().unwrap();
        assert!(matches!(refused, StartError::MasterKey(_)));
        let expected = master_key_id(&database.open()).unwrap().unwrap();
        let message = refused.to_string();
        assert!(message.contains(&expected) && message.contains(wrong.id().as_str()), "{message}");
    }

    fn nodes_that_start_at_once_agree_on_the_signing_key(database: TestDatabase) {
        let start = Arc::new(Barrier::new(4));
        let keys: Vec<_> = thread::scope(|scope| {
            let database = &database;
            let nodes: Vec<_> = (0..4).map(|_| {
                let start = Arc::clone(&start);
                scope.spawn(move || {
                    start.wait();
                    format!("{:?}", Keystead::on(database).engine.jwks())
                })
            }).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        assert_eq!(keys[0].matches("kid").count(), 2, "one that signs, and one that comes next");
    }

    fn nothing_that_rests_is_in_clear(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        crate::steps::sign_up(&keystead, &app, crate::steps::ADA, crate::steps::PASSWORD).unwrap();
        let (_, session) = crate::steps::verified(&keystead, &app, "bob@example.com");
        crate::steps::sign_up(&keystead, &app, "eve@example.com", crate::steps::PASSWORD).unwrap();
        let keystead_storage::Database::Sqlite(path) = database.database() else { return };
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(format!("{}-wal", path.display())).unwrap());
        let rests = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(rests("eve@example.com"), "the search works");
        for secret in [&acme.client_secret, session.token.expose(), crate::steps::PASSWORD, "Your code for"] {
            assert!(!rests(secret), "{secret}");
        }
    }
}
