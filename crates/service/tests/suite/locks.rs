//! Locking users: what ends, what a stranger can tell, and that an operator is left.

use std::sync::{Arc, Barrier};
use std::thread;

use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::registration::TypedCode;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Owner, Secret};
use keystead_service::users::{NewUser, create, lock, show, unlock};
use keystead_service::{Caller, Code, passwords, sessions};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, events, refusal, sign_in, verified};

const NEW: &str = "an entirely different one";

fn operator(keystead: &Keystead, email: &str) -> User {
    let new = NewUser {
        directory: Owner::Platform,
        email: email.parse().unwrap(),
        password: Secret::new(PASSWORD.to_owned()),
        name: None,
        verified: true,
        operator: true,
    };
    create(&keystead.engine, &Caller::host(), new).unwrap()
}

both_backends! {
    fn a_locked_user_has_no_session_no_code_and_no_password(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (app, host) = (keystead.caller(&acme), Caller::host());
        let (ada, session) = verified(&keystead, &app, ADA);
        let request = || passwords::request_reset(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
        let confirm = |code: &str| {
            let new = Secret::new(NEW.to_owned());
            passwords::confirm_reset(&keystead.engine, &app, ADA.parse().unwrap(), TypedCode::parse(code), new)
        };
        request();
        let code = keystead.code_for(ADA);

        assert_eq!(lock(&keystead.engine, &host, &ada).unwrap().status, UserStatus::Locked);
        let shown = show(&keystead.engine, &host, acme.owner(), ada.id).unwrap();
        assert_eq!(shown.status, UserStatus::Locked);
        let authenticated = sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(authenticated), Code::InvalidSession);
        // As with a wrong password, and a wrong code.
        assert_eq!(refusal(sign_in(&keystead, &app, ADA, PASSWORD)), Code::InvalidCredentials);
        assert_eq!(refusal(confirm(&code)), Code::InvalidCode);
        let mails = keystead.mailbox.len();
        request();
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), mails, "it gets no code");

        assert_eq!(unlock(&keystead.engine, &host, &ada).unwrap().status, UserStatus::Active);
        assert_eq!(refusal(confirm(&code)), Code::InvalidCode, "what ended does not come back");
        let authenticated = sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(authenticated), Code::InvalidSession);
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn a_code_that_was_made_for_a_user_while_it_was_locked_is_refused(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (ada, session) = verified(&keystead, &app, ADA);
        passwords::request_reset(&keystead.engine, &app, ADA.parse().unwrap()).unwrap();
        let code = keystead.code_for(ADA);
        // As after a race: locked, with all that locking ends still there.
        database.execute("UPDATE users SET status = 'locked'");
        let new = Secret::new(NEW.to_owned());
        let reset = passwords::confirm_reset(&keystead.engine, &app, ADA.parse().unwrap(), TypedCode::parse(&code), new);
        assert_eq!(refusal(reset), Code::InvalidCode);
        unlock(&keystead.engine, &Caller::host(), &ada).unwrap();
        let authenticated = sessions::authenticate(&keystead.engine, &app, &session.token);
        assert_eq!(refusal(authenticated), Code::InvalidSession, "unlocking revives none");
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn locking_is_in_the_trail_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (ada, _) = verified(&keystead, &keystead.caller(&acme), ADA);
        let host = Caller::host();
        for _ in 0..2 {
            lock(&keystead.engine, &host, &ada).unwrap();
        }
        for _ in 0..2 {
            unlock(&keystead.engine, &host, &ada).unwrap();
        }
        let done = |action| events(&database, acme.owner(), action, Outcome::Done);
        assert_eq!((done(AuditAction::UserLocked), done(AuditAction::UserUnlocked)), (1, 1));
    }

    fn an_app_cannot_lock(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (ada, _) = verified(&keystead, &app, ADA);
        assert_eq!(refusal(lock(&keystead.engine, &app, &ada)), Code::AppNotAllowed);
        assert_eq!(refusal(unlock(&keystead.engine, &app, &ada)), Code::AppNotAllowed);
    }

    fn the_last_operator_stays(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let (one, two) = (operator(&keystead, "one@example.com"), operator(&keystead, "two@example.com"));
        lock(&keystead.engine, &host, &one).unwrap();
        assert_eq!(refusal(lock(&keystead.engine, &host, &two)), Code::Conflict);
        lock(&keystead.engine, &host, &one).unwrap();
        unlock(&keystead.engine, &host, &one).unwrap();
        lock(&keystead.engine, &host, &two).unwrap();
        assert_eq!(events(&database, Owner::Platform, AuditAction::UserLocked, Outcome::Refused), 1);
        // Somebody else of the platform is no operator.
        let ada = create(&keystead.engine, &host, NewUser {
            directory: Owner::Platform,
            email: ADA.parse().unwrap(),
            password: Secret::new(PASSWORD.to_owned()),
            name: None,
            verified: true,
            operator: false,
        }).unwrap();
        lock(&keystead.engine, &host, &ada).unwrap();
    }

    fn an_operator_is_left_also_when_all_are_locked_at_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        for round in 0..8 {
            let all: Vec<_> = (0..4).map(|n| operator(&keystead, &format!("op-{round}-{n}@example.com"))).collect();
            // Those of earlier rounds are locked but for one, which joins in.
            let active: Vec<User> = keystead_service::users::list(&keystead.engine, &Caller::host(), Owner::Platform)
                .unwrap()
                .into_iter()
                .filter(|user| user.status == UserStatus::Active)
                .collect();
            assert_eq!(active.len(), if round == 0 { all.len() } else { all.len() + 1 });
            let start = Arc::new(Barrier::new(active.len()));
            let outcomes: Vec<_> = thread::scope(|scope| {
                let keystead = &keystead;
                let running: Vec<_> = active.iter().map(|user| {
                    let start = Arc::clone(&start);
                    scope.spawn(move || {
                        start.wait();
                        lock(&keystead.engine, &Caller::host(), user).map_err(|error| error.code())
                    })
                }).collect();
                running.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert_eq!(refused, [&Code::Conflict], "{outcomes:?}");
        }
    }
}
