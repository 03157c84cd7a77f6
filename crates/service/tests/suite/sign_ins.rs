//! Signing in with a password.

use keystead_crypto::passwords::Argon2Cost;
use keystead_domain::Secret;
use keystead_domain::policy::Action;
use keystead_service::users::{self, NewUser};
use keystead_service::{Caller, Code};
use keystead_storage::users as rows;
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_up, verified};

both_backends! {
    fn the_right_password_signs_in_and_nothing_else_does(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        verified(&keystead, &app, ADA);
        sign_in(&keystead, &app, "ADA@example.COM", PASSWORD).unwrap();
        for (address, password) in [(ADA, "wrong"), (ADA, ""), ("bob@example.com", PASSWORD)] {
            assert_eq!(refusal(sign_in(&keystead, &app, address, password)), Code::InvalidCredentials);
        }
    }

    fn that_an_address_is_not_verified_is_told_to_whoever_knows_the_password(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::EmailNotVerified);
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, "wrong")), Code::InvalidCredentials);
        keystead.advance(std::time::Duration::from_secs(1));
        sign_up(&keystead, &app, ADA, "another password").unwrap();
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, "another password")), Code::EmailNotVerified);
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials, "the newest counts");

        let new = NewUser {
            directory: tenant.owner(),
            email: "bob@example.com".parse().unwrap(),
            password: Secret::new(PASSWORD.to_owned()),
            name: None,
            verified: false,
            operator: false,
        };
        users::create(&keystead.engine, &Caller::host(), new).unwrap();
        assert_eq!(refusal(sign_in(&keystead, &app, "bob@example.com", PASSWORD)), Code::EmailNotVerified);
    }

    fn a_password_is_hashed_again_when_the_cost_has_changed(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        verified(&keystead, &keystead.caller(&tenant), ADA);
        let hash = || {
            let scope = Caller::host().allow(Action::ManageUsers, tenant.owner()).unwrap();
            let email = ADA.parse().unwrap();
            let found = database.open().read(|tx| rows::find_by_email(&mut tx.tenant(&scope), &email));
            found.unwrap().unwrap().1.unwrap().as_stored().to_owned()
        };
        let before = hash();
        assert!(before.contains("m=8,t=1,p=1"), "{before}");
        let dearer = Keystead::with(&database, |settings| {
            settings.password_cost = Argon2Cost::new(16, 2, 1).unwrap();
        });
        let app = dearer.caller(&tenant);
        assert_eq!(refusal(sign_in(&dearer, &app, ADA, "wrong")), Code::InvalidCredentials);
        assert_eq!(hash(), before, "a wrong password changes nothing");
        sign_in(&dearer, &app, ADA, PASSWORD).unwrap();
        let after = hash();
        assert!(after.contains("m=16,t=2,p=1"), "{after}");
        sign_in(&dearer, &app, ADA, PASSWORD).unwrap();
        assert_eq!(hash(), after);
    }

    fn a_locked_user_learns_no_more_than_a_wrong_password(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &app, ADA);
        database.execute("UPDATE users SET status = 'locked'");
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials);
        let known = keystead_service::sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(known), Code::InvalidSession);
    }
}
