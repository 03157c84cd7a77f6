//! Users made by operators.

use keystead_domain::{Owner, Secret};
use keystead_service::users::{NewUser, create, list, show, show_by_email};
use keystead_service::{Caller, Code};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_up};

fn ada(directory: Owner) -> NewUser {
    NewUser {
        directory,
        email: ADA.parse().unwrap(),
        password: Secret::new(PASSWORD.to_owned()),
        name: None,
        verified: true,
        operator: false,
    }
}

both_backends! {
    fn a_verified_user_can_sign_in_at_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        create(&keystead.engine, &Caller::host(), ada(acme.owner())).unwrap();
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        assert_eq!(refusal(create(&keystead.engine, &Caller::host(), ada(acme.owner()))), Code::Conflict);
    }

    fn directories_are_apart(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, host) = (keystead.tenant("Acme"), Caller::host());
        let one = create(&keystead.engine, &host, ada(acme.owner())).unwrap();
        let other = create(&keystead.engine, &host, ada(Owner::Platform)).unwrap();
        assert_ne!(one.id, other.id);
        assert_eq!(list(&keystead.engine, &host, Owner::Platform).unwrap().len(), 1);
        assert_eq!(refusal(show(&keystead.engine, &host, Owner::Platform, one.id)), Code::NotFound);
        let email = ADA.parse().unwrap();
        assert_eq!(show_by_email(&keystead.engine, &host, Owner::Platform, &email).unwrap().id, other.id);
    }

    fn operators_are_the_platforms_people(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let wrong = NewUser { operator: true, ..ada(acme.owner()) };
        assert_eq!(refusal(create(&keystead.engine, &Caller::host(), wrong)), Code::ValidationError);
        let right = NewUser { operator: true, ..ada(Owner::Platform) };
        assert!(create(&keystead.engine, &Caller::host(), right).unwrap().operator);
    }

    fn an_app_cannot_make_users(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        assert!(create(&keystead.engine, &app, ada(acme.owner())).is_err());
        assert!(list(&keystead.engine, &app, acme.owner()).is_err());
    }
}
