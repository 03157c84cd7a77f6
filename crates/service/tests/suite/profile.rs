//! What a user does to itself.

use keystead_service::profile::{self, ProfileChange};
use keystead_service::{Code, sessions};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, proof, refusal, sign_in, sign_up, signed_in, verified, verify};

both_backends! {
    fn a_user_renames_itself_with_its_password(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &app, ADA);
        let ada = signed_in(&keystead, &app, &session);
        let rename = |password: &str, name: Option<&str>| {
            let name = name.map(|name| name.parse().unwrap());
            let change = ProfileChange { name: Some(name), email: None };
            profile::change(&keystead.engine, &app, &ada, proof(password, None), change)
        };
        assert_eq!(refusal(rename("wrong", Some("Eve"))), Code::InvalidCredentials);
        assert_eq!(rename(PASSWORD, Some("Countess")).unwrap().name.unwrap().as_str(), "Countess");
        assert_eq!(signed_in(&keystead, &app, &session).user().name.as_ref().unwrap().as_str(), "Countess");
        rename(PASSWORD, None).unwrap();
        assert!(signed_in(&keystead, &app, &session).user().name.is_none());
    }

    fn a_user_deletes_itself_and_the_address_is_free_again(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (user, session) = verified(&keystead, &app, ADA);
        let ada = signed_in(&keystead, &app, &session);
        let delete = |password: &str| profile::delete(&keystead.engine, &app, &ada, proof(password, None));
        assert_eq!(refusal(delete("wrong")), Code::InvalidCredentials);
        delete(PASSWORD).unwrap();
        assert_eq!(refusal(delete(PASSWORD)), Code::InvalidCredentials);
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials);
        assert_eq!(refusal(sessions::authenticate(&keystead.engine, &app, &session.token)), Code::InvalidSession);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let (new, _) = verify(&keystead, &app, ADA, &keystead.code_for(ADA)).unwrap();
        assert_ne!(new.id, user.id);
    }

    fn sessions_are_listed_for_their_user_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &app, ADA);
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        verified(&keystead, &app, "bob@example.com");
        let ada = signed_in(&keystead, &app, &session);
        let list = || sessions::list(&keystead.engine, &app, &ada).unwrap();
        assert_eq!(list().len(), 2);
        assert!(list().iter().any(|(listed, _)| listed.id == ada.session_id()));
        keystead.advance(std::time::Duration::from_secs(7 * 24 * 3600));
        assert!(list().is_empty(), "what has ended is not listed");
    }
}
