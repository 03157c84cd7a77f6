//! New passwords: with a mailed code, or with the old one.

use std::time::Duration;

use keystead_domain::Secret;
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_service::users::{self, NewUser};
use keystead_service::{Caller, Code, Error, passwords, sessions};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_up, signed_in, verified, verify, wrong};

const NEW: &str = "an entirely different one";

pub(crate) fn request(keystead: &Keystead, caller: &Caller, email: &str) {
    passwords::request_reset(&keystead.engine, caller, email.parse().unwrap()).unwrap();
}

pub(crate) fn confirm(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    code: &str,
    new: &str,
) -> Result<(), Error> {
    let (email, code, new) = (email.parse().unwrap(), TypedCode::parse(code), Secret::new(new.to_owned()));
    passwords::confirm_reset(&keystead.engine, caller, email, code, new).map(|_| ())
}

both_backends! {
    fn a_mailed_code_sets_a_new_password_once_and_ends_every_session(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &app, ADA);
        request(&keystead, &app, "ADA@example.com");
        let code = keystead.code_for(ADA);
        assert!(keystead.mailbox.to(ADA).pop().unwrap().0.contains("new password for Acme"));
        let weak = confirm(&keystead, &app, ADA, &code, "short").err().unwrap();
        assert_eq!((weak.fields()[0].field, weak.fields()[0].code), ("new_password", "too_short"));
        assert_eq!(refusal(confirm(&keystead, &app, ADA, &wrong(&code), NEW)), Code::InvalidCode);
        confirm(&keystead, &app, ADA, &code, NEW).unwrap();
        assert_eq!(refusal(confirm(&keystead, &app, ADA, &code, NEW)), Code::InvalidCode, "spent");
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials);
        let ended = sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(ended), Code::InvalidSession);
        sign_in(&keystead, &app, ADA, NEW).unwrap();
        keystead.deliver();
        assert!(keystead.mailbox.to(ADA).pop().unwrap().0.contains("was changed"), "the owner is told");
    }

    fn only_users_get_a_code_and_it_opens_nothing_else(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (acme, other) = (keystead.tenant("Acme"), keystead.tenant("Other"));
        let (app, stranger) = (keystead.caller(&acme), keystead.caller(&other));
        request(&keystead, &app, ADA);
        keystead.deliver();
        assert!(keystead.mailbox.is_empty());
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let sign_up_code = keystead.code_for(ADA);
        request(&keystead, &app, ADA);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 1, "a waiting sign-up is no user");
        assert_eq!(refusal(confirm(&keystead, &app, ADA, &sign_up_code, NEW)), Code::InvalidCode);
        verify(&keystead, &app, ADA, &sign_up_code).unwrap();
        request(&keystead, &app, ADA);
        let code = keystead.code_for(ADA);
        assert_eq!(refusal(confirm(&keystead, &stranger, ADA, &code, NEW)), Code::InvalidCode);
        assert_eq!(refusal(verify(&keystead, &app, ADA, &code)), Code::InvalidCode);
        confirm(&keystead, &app, ADA, &code, NEW).unwrap();
    }

    fn a_code_ends_by_time_tries_and_its_successor(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        verified(&keystead, &app, ADA);
        request(&keystead, &app, ADA);
        let first = keystead.code_for(ADA);
        request(&keystead, &app, ADA);
        let second = keystead.code_for(ADA);
        if first != second {
            assert_eq!(refusal(confirm(&keystead, &app, ADA, &first, NEW)), Code::InvalidCode, "replaced");
        }
        for _ in 0..5 {
            let _ = confirm(&keystead, &app, ADA, &wrong(&second), NEW);
        }
        assert_eq!(refusal(confirm(&keystead, &app, ADA, &second, NEW)), Code::InvalidCode, "tried out");
        request(&keystead, &app, ADA);
        let third = keystead.code_for(ADA);
        keystead.advance(Duration::from_secs(600));
        assert_eq!(refusal(confirm(&keystead, &app, ADA, &third, NEW)), Code::InvalidCode, "expired");
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn a_reset_verifies_the_address_and_discards_waiting_sign_ups(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        let new = NewUser {
            directory: tenant.owner(),
            email: ADA.parse().unwrap(),
            password: Secret::new(PASSWORD.to_owned()),
            name: None,
            verified: false,
            operator: false,
        };
        users::create(&keystead.engine, &Caller::host(), new).unwrap();
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::EmailNotVerified);
        request(&keystead, &app, ADA);
        let code = keystead.code_for(ADA);
        confirm(&keystead, &app, ADA, &code, NEW).unwrap();
        sign_in(&keystead, &app, ADA, NEW).unwrap();
    }

    fn changing_the_password_asks_for_it_and_ends_the_other_sessions(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, other) = verified(&keystead, &app, ADA);
        let (_, session) = sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        let ada = signed_in(&keystead, &app, &session);
        let change = |current: &str, new: &str| {
            let current = Password::attempt(current).unwrap();
            passwords::change(&keystead.engine, &app, &ada, &current, Secret::new(new.to_owned()))
        };
        assert_eq!(refusal(change("wrong", NEW)), Code::InvalidCredentials);
        assert_eq!(refusal(change(PASSWORD, "Acme")), Code::ValidationError);
        change(PASSWORD, NEW).unwrap();
        assert_eq!(refusal(change(PASSWORD, NEW)), Code::InvalidCredentials);
        signed_in(&keystead, &app, &session);
        let ended = sessions::authenticate(&keystead.engine, &app, &other.token);
        assert_eq!(refusal(ended), Code::InvalidSession);
        sign_in(&keystead, &app, ADA, NEW).unwrap();
    }
}
