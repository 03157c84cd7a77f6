//! Users brought along from another system.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::policy::Action;
use keystead_domain::registration::TypedCode;
use keystead_domain::{Owner, Secret};
use keystead_service::imports::{self, Imported, ImportedUser};
use keystead_service::{Caller, Code, passwords, profile, users};
use keystead_storage::users as rows;
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, events, proof, refusal, sign_in, sign_up, signed_in, verified, verify};

/// Of [`PASSWORD`], by other implementations.
const HASHES: [&str; 5] = [
    "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.",
    "$argon2i$v=16$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$ji1ih2UJ75GM+jFDpEaOs2MLKAxz47Rp",
    "$pbkdf2-sha256$1000$LuX8X4vxXkuJUcp5D.Hc2w$6VX9YBvsOVrngOPcq1TyHiDd2CxQ9PgSZxhAFvUxkTA",
    "pbkdf2_sha256$1000$NaClNaCl$aL8faYLlOIYvjBdHgF8PW53zGZbEIqsbz4mWkSSqsyM=",
    "$scrypt$ln=4,r=8,p=2$9T7HuJfS+p9TihFiLOXcOw$q3ZhG3SWmyEju8kNxYuPAZ4lUtCS5JYx1CUV6LGhU/o",
];

fn user(email: &str, hash: Option<&str>) -> ImportedUser {
    ImportedUser {
        email: email.parse().unwrap(),
        verified: true,
        name: Some("Ada".parse().unwrap()),
        password: hash.map(|text| text.parse().unwrap()),
        created_at: Some("2019-03-01T12:00:00Z".parse().unwrap()),
    }
}

fn import(keystead: &Keystead, directory: Owner, users: &[ImportedUser]) -> Vec<Imported> {
    imports::users(&keystead.engine, &Caller::host(), directory, users).unwrap()
}

both_backends! {
    fn a_password_from_elsewhere_signs_in_and_is_hashed_anew(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        for (n, hash) in HASHES.into_iter().enumerate() {
            let email = format!("user{n}@example.com");
            assert_eq!(import(&keystead, acme.owner(), &[user(&email, Some(hash))]), [Imported::Made]);
            let stored = || {
                let scope = Caller::host().allow(Action::ManageUsers, acme.owner()).unwrap();
                let email = email.parse().unwrap();
                let found = database.open().read(|tx| rows::find_by_email(&mut tx.tenant(&scope), &email));
                found.unwrap().unwrap().1.unwrap().as_stored().to_owned()
            };
            assert_eq!(refusal(sign_in(&keystead, &app, &email, "another password")), Code::InvalidCredentials);
            assert_eq!(stored(), format!("imported:{hash}"), "a wrong one changes nothing");
            let (made, _) = sign_in(&keystead, &app, &email, PASSWORD).unwrap();
            assert_eq!(made.created_at.to_rfc3339_seconds(), "2019-03-01T12:00:00Z");
            assert!(stored().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", stored());
            sign_in(&keystead, &app, &email, PASSWORD).unwrap();
            assert_eq!(refusal(sign_in(&keystead, &app, &email, "another password")), Code::InvalidCredentials);
        }
        assert_eq!(events(&database, acme.owner(), AuditAction::UserImported, Outcome::Done), 5);
    }

    fn what_is_there_is_left_as_it_is(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        verified(&keystead, &app, ADA);
        let file = [user("ADA@example.com", Some(HASHES[0])), user("bob@example.com", None), user("Bob@example.com", Some(HASHES[0]))];
        assert_eq!(import(&keystead, acme.owner(), &file), [Imported::Exists, Imported::Made, Imported::Exists]);
        assert_eq!(import(&keystead, acme.owner(), &file), [Imported::Exists; 3]);
        assert_eq!(users::list(&keystead.engine, &Caller::host(), acme.owner()).unwrap().len(), 2);
        assert_eq!(events(&database, acme.owner(), AuditAction::UserImported, Outcome::Done), 1);
        assert_eq!(refusal(sign_in(&keystead, &app, "bob@example.com", PASSWORD)), Code::InvalidCredentials);
        // Another directory is another matter.
        assert_eq!(import(&keystead, Owner::Platform, &file[..1]), [Imported::Made]);
    }

    fn whoever_has_no_password_or_no_verified_address_sets_one_by_mail(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        let unverified = ImportedUser { verified: false, ..user("bob@example.com", Some(HASHES[0])) };
        assert_eq!(import(&keystead, acme.owner(), &[user(ADA, None), unverified]), [Imported::Made; 2]);
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials);
        assert_eq!(refusal(sign_in(&keystead, &app, "bob@example.com", PASSWORD)), Code::EmailNotVerified);
        for email in [ADA, "bob@example.com"] {
            passwords::request_reset(&keystead.engine, &app, email.parse().unwrap()).unwrap();
            let code = TypedCode::parse(&keystead.code_for(email));
            let new = Secret::new("a password of one's own".to_owned());
            passwords::confirm_reset(&keystead.engine, &app, email.parse().unwrap(), code, new).unwrap();
            sign_in(&keystead, &app, email, "a password of one's own").unwrap();
        }
    }

    fn a_sign_up_that_waits_for_the_address_is_discarded(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        let code = keystead.code_for(ADA);
        assert_eq!(import(&keystead, acme.owner(), &[user(ADA, Some(HASHES[0]))]), [Imported::Made]);
        assert!(verify(&keystead, &app, ADA, &code).is_err());
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, "a stranger's password")), Code::InvalidCredentials);
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn an_address_that_can_be_gone_back_to_and_the_future_are_refused(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        let (_, session) = verified(&keystead, &app, ADA);
        let session = signed_in(&keystead, &app, &session);
        let change = profile::ProfileChange { name: None, email: Some("new@example.com".parse().unwrap()) };
        profile::change(&keystead.engine, &app, &session, proof(PASSWORD, None), change).unwrap();
        let token = keystead.mailed_token("new@example.com", "/confirm-address/");
        keystead_service::address_changes::confirm(&keystead.engine, &Caller::visitor(Default::default()), &token).unwrap();
        let tomorrow = ImportedUser { created_at: Some(keystead.now() + Duration::from_secs(1)), ..user("bob@example.com", None) };
        let file = [user(ADA, None), tomorrow, user("new@example.com", None)];
        assert_eq!(import(&keystead, acme.owner(), &file), [Imported::AddressKept, Imported::NotYet, Imported::Exists]);
        keystead.advance(Duration::from_secs(72 * 3600 + 1));
        assert_eq!(import(&keystead, acme.owner(), &file), [Imported::Made, Imported::Made, Imported::Exists]);
    }

    fn people_of_the_same_name_get_handles_of_their_own(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let people = |range: std::ops::Range<u32>| range.map(|n| user(&format!("ada{n}@example.com"), None)).collect::<Vec<_>>();
        assert_eq!(import(&keystead, Owner::Platform, &people(0..20)), [Imported::Made; 20]);
        assert_eq!(import(&keystead, Owner::Platform, &people(10..40))[10..], [Imported::Made; 20]);
        let users = users::list(&keystead.engine, &Caller::host(), Owner::Platform).unwrap();
        let handles: std::collections::HashSet<_> = users.iter().map(|user| user.handle.as_ref().unwrap().as_str()).collect();
        assert_eq!((users.len(), handles.len()), (40, 40));
        for handle in ["ada", "ada2", "ada3", "ada4"] {
            assert!(handles.contains(handle), "{handles:?}");
        }
    }

    fn an_app_cannot_import(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        assert!(imports::users(&keystead.engine, &app, acme.owner(), &[user(ADA, None)]).is_err());
    }

    /// Eight at once bring along the same users: each user is made once, and nobody fails.
    fn imports_at_once_make_nothing_twice(database: TestDatabase) {
        let keystead = Arc::new(Keystead::on(&database));
        let acme = keystead.tenant("Acme");
        let directory = acme.owner();
        let file: Arc<Vec<_>> = Arc::new((0..100).map(|n| user(&format!("user{n}@example.com"), None)).collect());
        let barrier = Arc::new(Barrier::new(8));
        let importers: Vec<_> = (0..8)
            .map(|_| {
                let (keystead, file, barrier) = (Arc::clone(&keystead), Arc::clone(&file), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    file.chunks(10).flat_map(|batch| import(&keystead, directory, batch)).collect::<Vec<_>>()
                })
            })
            .collect();
        let outcomes: Vec<_> = importers.into_iter().flat_map(|importer| importer.join().unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::Made).count(), 100);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::Exists).count(), 700);
        assert_eq!(users::list(&keystead.engine, &Caller::host(), directory).unwrap().len(), 100);
        assert_eq!(events(&database, directory, AuditAction::UserImported, Outcome::Done), 100);
    }
}
