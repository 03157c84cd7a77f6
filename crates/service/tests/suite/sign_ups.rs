//! Sign-ups and their codes.

use std::time::Duration;

use keystead_service::users::{self, NewUser};
use keystead_service::{Caller, Code, sign_ups};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_up, verified, verify, wrong};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

both_backends! {
    fn a_code_completes_a_sign_up_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let pending = sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
        let (user, _) = verify(&keystead, &app, "ADA@Example.com", &code).unwrap();
        assert_eq!(user.id, pending.user_id);
        assert_eq!(user.name.unwrap().as_str(), "Ada");
        assert!(user.email_verified_at.is_some());
        assert_eq!(refusal(verify(&keystead, &app, ADA, &code)), Code::InvalidCode, "spent");
    }

    fn a_code_is_good_for_ten_minutes(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        keystead.advance(10 * MINUTE);
        assert_eq!(refusal(verify(&keystead, &app, ADA, &code)), Code::InvalidCode);
    }

    fn a_code_stands_five_wrong_tries_and_they_are_remembered(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        for _ in 0..5 {
            assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
        }
        let restarted = Keystead::on(&database);
        let app = restarted.caller(&tenant);
        assert_eq!(refusal(verify(&restarted, &app, ADA, &code)), Code::InvalidCode, "tried out");
    }

    fn twenty_wrong_tries_a_day_are_all_an_address_gets(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        for _ in 0..4 {
            sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
            let code = keystead.code_for(ADA);
            for _ in 0..5 {
                assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
            }
            keystead.advance(11 * MINUTE);
        }
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        assert_eq!(refusal(verify(&keystead, &app, ADA, &code)), Code::InvalidCode, "even the right one");
        keystead.advance(DAY);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        verify(&keystead, &app, ADA, &code).unwrap();
    }

    fn a_code_confirms_only_its_own_registration(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let mine = keystead.code_for(ADA);
        sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        let strangers = keystead.code_for(ADA);
        verify(&keystead, &app, ADA, &mine).unwrap();
        assert_eq!(refusal(verify(&keystead, &app, ADA, &strangers)), Code::InvalidCode, "discarded");
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        let stranger = sign_in(&keystead, &app, ADA, "a stranger's password");
        assert_eq!(refusal(stranger), Code::InvalidCredentials);
    }

    fn strangers_cannot_discard_a_sign_up_while_its_code_is_good(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let mine = keystead.code_for(ADA);
        for _ in 0..6 {
            sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        }
        verify(&keystead, &app, ADA, &mine).unwrap();
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn a_new_code_replaces_the_old_one_of_the_newest_sign_up(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let old = keystead.code_for(ADA);
        sign_ups::resend_code(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
        let new = keystead.code_for(ADA);
        assert_eq!(keystead.mailbox.to(ADA).len(), 2);
        if old != new {
            assert_eq!(refusal(verify(&keystead, &app, ADA, &old)), Code::InvalidCode);
        }
        verify(&keystead, &app, ADA, &new).unwrap();
    }

    fn nobody_else_gets_a_code(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        verified(&keystead, &app, ADA);
        let before = keystead.mailbox.len();
        for address in [ADA, "unknown@example.com"] {
            sign_ups::resend_code(&keystead.engine, &app, address.parse().unwrap()).unwrap();
        }
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), before);
    }

    fn an_address_gets_five_mails_an_hour(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        for _ in 0..9 {
            sign_ups::resend_code(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
            keystead.deliver();
        }
        assert_eq!(keystead.mailbox.to(ADA).len(), 5);
        keystead.advance(60 * MINUTE);
        sign_ups::resend_code(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 6);
    }

    fn a_taken_address_is_told_to_its_owner_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (user, _) = verified(&keystead, &app, ADA);
        let again = sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        assert_ne!(again.user_id, user.id);
        keystead.deliver();
        let (subject, text) = keystead.mailbox.to(ADA).pop().unwrap();
        assert!(subject.contains("already have an account at Acme"), "{subject}");
        assert!(!text.contains("stranger"));
        // Neither the right password of the new registration nor a code for it helps anybody.
        let stranger = sign_in(&keystead, &app, ADA, "a stranger's password");
        assert_eq!(refusal(stranger), Code::InvalidCredentials);
        sign_ups::resend_code(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
        keystead.deliver();
        assert!(keystead.mailbox.to(ADA).pop().unwrap().0.contains("already"));
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn a_code_of_before_does_not_open_a_user_that_was_made_since(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        sign_up(&keystead, &app, ADA, "a stranger's password").unwrap();
        let code = keystead.code_for(ADA);
        let new = NewUser {
            directory: tenant.owner(),
            email: ADA.parse().unwrap(),
            password: keystead_domain::Secret::new(PASSWORD.to_owned()),
            name: None,
            verified: false,
            operator: false,
        };
        users::create(&keystead.engine, &Caller::host(), new).unwrap();
        assert_eq!(refusal(verify(&keystead, &app, ADA, &code)), Code::InvalidCode);
    }

    fn passwords_that_are_tried_first_are_refused(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme Rockets"));
        for (password, code) in [
            ("short", "too_short"),
            ("ada@example.com", "guessable"),
            ("ACME rockets", "guessable"),
            ("qwertyuiop123", "too_common"),
            (&"x".repeat(1025), "too_long"),
        ] {
            let error = sign_up(&keystead, &app, ADA, password).err().unwrap();
            assert_eq!((error.fields()[0].field, error.fields()[0].code), ("password", code), "{password}");
        }
        keystead.deliver();
        assert!(keystead.mailbox.is_empty());
    }
}
