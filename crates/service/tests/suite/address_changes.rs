//! Changing an address: asking for it, confirming it from the new address, undoing it from the former.

use std::time::Duration;

use keystead_domain::Secret;
use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::TotpStep;
use keystead_domain::user::User;
use keystead_service::address_changes::{self, Readdressed};
use keystead_service::profile::{self, ProfileChange};
use keystead_service::sessions::{self, NewSession};
use keystead_service::sign_ins::SignIn;
use keystead_service::users::{self, NewUser};
use keystead_service::{Arrival, Caller, Code, Error, mfa, passwords, sign_ups};
use keystead_storage::audit;
use keystead_testkit::{Keystead, TestDatabase, TestTenant, both_backends, only_slowdown, totp_code};

use crate::steps::{
    ADA, PASSWORD, proof, refusal, sign_in, sign_in_with, sign_up, signed_in, verified, verify,
};

const NEW: &str = "ada@new.example";
const OTHER: &str = "ada@other.example";
const HOUR: Duration = Duration::from_secs(3600);

/// An app of a tenant, with a user that is signed in.
struct Ada {
    keystead: Keystead,
    tenant: TestTenant,
    app: Caller,
    user: User,
    session: NewSession,
}

impl Ada {
    fn on(database: &TestDatabase) -> Self {
        Self::of(Keystead::on(database))
    }

    fn of(keystead: Keystead) -> Self {
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        let (user, session) = verified(&keystead, &app, ADA);
        Self { keystead, tenant, app, user, session }
    }

    fn ask_with(
        &self,
        session: &NewSession,
        email: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<User, Error> {
        let signed_in = signed_in(&self.keystead, &self.app, session);
        let change = ProfileChange { name: None, email: Some(email.parse().unwrap()) };
        profile::change(&self.keystead.engine, &self.app, &signed_in, proof(password, code), change)
    }

    fn ask(&self, email: &str) {
        // The mails of each hour are counted.
        self.keystead.advance(HOUR);
        let user = self.ask_with(&self.session, email, PASSWORD, None).unwrap();
        assert_ne!(user.email.as_str(), email, "not before it is confirmed");
    }

    /// Asks for an address and confirms it.
    fn move_to(&self, email: &str) {
        self.ask(email);
        let token = confirm_token(&self.keystead, email).unwrap();
        assert_eq!(confirm(&self.keystead, &token).unwrap().email.as_str(), email);
    }

    fn email(&self) -> String {
        users::show(&self.keystead.engine, &Caller::host(), self.tenant.owner(), self.user.id)
            .unwrap()
            .email
            .to_string()
    }

    fn is_signed_in(&self) -> bool {
        sessions::authenticate(&self.keystead.engine, &self.app, &self.session.token).is_ok()
    }

    fn reset(&self, email: &str, new: &str) {
        let engine = &self.keystead.engine;
        passwords::request_reset(engine, &self.app, email.parse().unwrap()).unwrap();
        let code = TypedCode::parse(&self.keystead.code_for(email));
        passwords::confirm_reset(
            engine,
            &self.app,
            email.parse().unwrap(),
            code,
            Secret::new(new.to_owned()),
        )
        .unwrap();
    }
}

fn visitor() -> Caller {
    Caller::visitor(Arrival::default())
}

pub(crate) fn confirm(keystead: &Keystead, token: &str) -> Result<Readdressed, Error> {
    address_changes::confirm(&keystead.engine, &visitor(), token)
}

pub(crate) fn undo(keystead: &Keystead, token: &str) -> Result<Readdressed, Error> {
    address_changes::undo(&keystead.engine, &visitor(), token)
}

/// The token of the newest link of a page that an address was mailed.
fn token(keystead: &Keystead, address: &str, page: &str) -> Option<String> {
    keystead.deliver();
    let prefix = format!("https://id.test/{page}/");
    let mails = keystead.mailbox.to(address);
    mails.iter().rev().find_map(|(subject, text)| {
        let token = text.split_whitespace().find_map(|word| word.strip_prefix(&prefix))?;
        assert!(token.starts_with("link_") && !subject.contains(token), "{subject} {token}");
        Some(token.to_owned())
    })
}

pub(crate) fn confirm_token(keystead: &Keystead, address: &str) -> Option<String> {
    token(keystead, address, "confirm-address")
}

pub(crate) fn undo_token(keystead: &Keystead, address: &str) -> String {
    token(keystead, address, "restore-address").unwrap()
}

fn newest_subject(keystead: &Keystead, address: &str) -> String {
    keystead.deliver();
    keystead.mailbox.to(address).pop().unwrap().0
}

fn events(database: &TestDatabase, tenant: &TestTenant, action: AuditAction, outcome: Outcome) -> i64 {
    let scope = Caller::host().allow(Action::ManageUsers, tenant.owner()).unwrap();
    database.open().read(|tx| audit::count(&mut tx.tenant(&scope), action, outcome)).unwrap()
}

both_backends! {
    fn an_address_changes_when_it_is_confirmed_from_itself(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        passwords::request_reset(&keystead.engine, &ada.app, ADA.parse().unwrap()).unwrap();
        let reset_code = keystead.code_for(ADA);
        ada.ask(NEW);
        assert!(newest_subject(keystead, ADA).contains("new e-mail address for your account at Acme"));
        assert_eq!((ada.email().as_str(), refusal(sign_in(keystead, &ada.app, NEW, PASSWORD))), (ADA, Code::InvalidCredentials));
        // Somebody signed up with it, and does not get it any more.
        sign_up(keystead, &ada.app, NEW, "a stranger's password").unwrap();
        let sign_up_code = keystead.code_for(NEW);

        let token = confirm_token(keystead, NEW).unwrap();
        let done = confirm(keystead, &token).unwrap();
        assert_eq!((done.product.as_str(), done.email.as_str()), ("Acme", NEW));
        for spent in [&*token, "link_unknown", ""] {
            assert_eq!(refusal(confirm(keystead, spent)), Code::InvalidLink);
            assert_eq!(refusal(undo(keystead, spent)), Code::InvalidLink);
        }
        assert!(ada.is_signed_in(), "whoever is signed in stays so");
        assert_eq!(refusal(sign_in(keystead, &ada.app, ADA, PASSWORD)), Code::InvalidCredentials);
        let (user, _) = sign_in(keystead, &ada.app, NEW, PASSWORD).unwrap();
        assert_eq!((user.id, user.email_verified_at), (ada.user.id, Some(keystead.now())));
        assert_eq!(refusal(verify(keystead, &ada.app, NEW, &sign_up_code)), Code::InvalidCode);
        for email in [ADA, NEW] {
            let (code, new) = (TypedCode::parse(&reset_code), Secret::new("a stranger's password".to_owned()));
            let reset = passwords::confirm_reset(&keystead.engine, &ada.app, email.parse().unwrap(), code, new);
            assert_eq!(refusal(reset.map(|_| ())), Code::InvalidCode);
        }
        assert!(newest_subject(keystead, ADA).contains("was changed"), "the former address is told");
        for (action, outcome) in [(AuditAction::AddressChangeRequested, Outcome::Done), (AuditAction::AddressChanged, Outcome::Done)] {
            assert_eq!(events(&database, &ada.tenant, action, outcome), 1);
        }
    }

    fn it_is_asked_for_with_the_password_and_the_second_factor(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        assert_eq!(refusal(ada.ask_with(&ada.session, NEW, "wrong", None)), Code::InvalidCredentials);
        let here = signed_in(keystead, &ada.app, &ada.session);
        let enrolment = mfa::enroll(&keystead.engine, &ada.app, &here, proof(PASSWORD, None)).unwrap();
        let code = |steps| {
            let [_, now, _] = TotpStep::accepted(keystead.now());
            totp_code(enrolment.secret.expose(), TotpStep::from_number(now.number() + steps))
        };
        mfa::confirm(&keystead.engine, &ada.app, &here, TypedCode::parse(&code(0))).unwrap();
        let missing = ada.ask_with(&ada.session, NEW, PASSWORD, None).err().unwrap();
        assert_eq!((missing.code(), missing.fields()[0].field), (Code::ValidationError, "totp_code"));
        assert_eq!(refusal(ada.ask_with(&ada.session, NEW, PASSWORD, Some("000000"))), Code::InvalidCode);
        assert_eq!(confirm_token(keystead, NEW), None);
        assert_eq!(events(&database, &ada.tenant, AuditAction::AddressChangeRequested, Outcome::Refused), 3);
        // A name goes with the password alone, as ever.
        let name = ProfileChange { name: Some(Some("Countess".parse().unwrap())), email: None };
        profile::change(&keystead.engine, &ada.app, &here, proof(PASSWORD, None), name).unwrap();
        ada.ask_with(&ada.session, NEW, PASSWORD, Some(&code(1))).unwrap();
        confirm(keystead, &confirm_token(keystead, NEW).unwrap()).unwrap();
    }

    fn wrong_passwords_for_it_slow_down_like_failed_sign_ins(database: TestDatabase) {
        let ada = Ada::of(Keystead::with(&database, |settings| settings.rate_limits = Some(only_slowdown())));
        let outcomes: Vec<_> = (0..7).map(|_| refusal(ada.ask_with(&ada.session, NEW, "wrong", None))).collect();
        assert_eq!(outcomes[0], Code::InvalidCredentials);
        assert_eq!(outcomes[6], Code::RateLimited);
        assert_eq!(refusal(ada.ask_with(&ada.session, NEW, PASSWORD, None)), Code::RateLimited);
    }

    fn a_taken_address_is_answered_alike_and_its_owner_alone_is_told(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        verified(keystead, &ada.app, "Bob@example.com");
        let rows = |table: &str| database.dump(table).lines().count();
        let before = keystead.mailbox.len();
        ada.ask("bob@EXAMPLE.com");
        keystead.deliver();
        let taken = (keystead.mailbox.len() - before, rows("address_changes"));
        ada.ask("free@example.com");
        keystead.deliver();
        assert_eq!((keystead.mailbox.len() - before, rows("address_changes")), (2 * taken.0, taken.1), "one in place of the other");
        let (subject, text) = keystead.mailbox.to("Bob@example.com").pop().unwrap();
        assert!(subject.contains("already has an account at Acme"), "to the address on record: {subject}");
        assert!(!text.contains("https://"), "{text}");
        assert!(confirm_token(keystead, "free@example.com").is_some());
    }

    fn the_present_address_changes_nothing_and_another_spelling_does(database: TestDatabase) {
        let ada = Ada::on(&database);
        let before = ada.keystead.mailbox.len();
        ada.ask_with(&ada.session, ADA, PASSWORD, None).unwrap();
        ada.keystead.deliver();
        assert_eq!(ada.keystead.mailbox.len(), before);
        ada.move_to("Ada@Example.com");
        assert_eq!(ada.email(), "Ada@Example.com");
        undo(&ada.keystead, &undo_token(&ada.keystead, ADA)).unwrap();
        assert_eq!(ada.email(), ADA);
    }

    fn a_link_ends_by_time_its_successor_and_a_new_password(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        let link = |email| {
            ada.ask(email);
            confirm_token(keystead, email).unwrap()
        };
        let first = link(NEW);
        let second = link(OTHER);
        assert_eq!(refusal(confirm(keystead, &first)), Code::InvalidLink, "replaced");
        keystead.advance(24 * HOUR);
        assert_eq!(refusal(confirm(keystead, &second)), Code::InvalidLink, "expired");
        let third = link(NEW);
        let (current, new) = (Password::attempt(PASSWORD).unwrap(), Secret::new(PASSWORD.to_owned()));
        passwords::change(&keystead.engine, &ada.app, &signed_in(keystead, &ada.app, &ada.session), &current, new).unwrap();
        assert_eq!(refusal(confirm(keystead, &third)), Code::InvalidLink, "the password was changed");
        let fourth = link(OTHER);
        ada.reset(ADA, PASSWORD);
        assert_eq!(refusal(confirm(keystead, &fourth)), Code::InvalidLink, "it was reset");
        assert_eq!(ada.email(), ADA);
    }

    fn an_address_that_was_taken_in_the_meantime_is_not_taken_again(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.ask(NEW);
        let token = confirm_token(keystead, NEW).unwrap();
        let (bob, _) = verified(keystead, &ada.app, NEW);
        assert_eq!(refusal(confirm(keystead, &token)), Code::InvalidLink);
        assert_eq!((ada.email().as_str(), bob.email.as_str()), (ADA, NEW));
        assert_eq!(events(&database, &ada.tenant, AuditAction::AddressChanged, Outcome::Refused), 1);
        sign_in(keystead, &ada.app, NEW, PASSWORD).unwrap();
    }

    fn a_former_address_is_kept_for_72_hours(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.move_to(NEW);
        let undo_token = undo_token(keystead, ADA);
        keystead.advance(HOUR);

        sign_up(keystead, &ada.app, ADA, PASSWORD).unwrap();
        let (subject, text) = { keystead.deliver(); keystead.mailbox.to(ADA).pop().unwrap() };
        assert!(subject.contains("is kept for an account at Acme"), "{subject}");
        assert!(!text.split_whitespace().any(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())), "no code");
        sign_ups::resend_code(&keystead.engine, &ada.app, ADA.parse().unwrap()).unwrap();
        assert!(newest_subject(keystead, ADA).contains("is kept"), "nor is there one later");

        let (bob, session) = verified(keystead, &ada.app, "bob@example.com");
        ada.ask_with(&session, ADA, PASSWORD, None).unwrap();
        assert!(newest_subject(keystead, ADA).contains("is kept"));
        let new = || NewUser {
            directory: ada.tenant.owner(),
            email: ADA.parse().unwrap(),
            password: Secret::new(PASSWORD.to_owned()),
            name: None,
            verified: true,
            operator: false,
        };
        assert_eq!(refusal(users::create(&keystead.engine, &Caller::host(), new())), Code::Conflict);
        // In another directory it is free.
        verified(keystead, &keystead.caller(&keystead.tenant("Other")), ADA);

        keystead.advance(71 * HOUR);
        assert_eq!(refusal(undo(keystead, &undo_token)), Code::InvalidLink);
        ada.ask_with(&session, ADA, PASSWORD, None).unwrap();
        confirm(keystead, &confirm_token(keystead, ADA).unwrap()).unwrap();
        assert_eq!(sign_in(keystead, &ada.app, ADA, PASSWORD).unwrap().0.id, bob.id);
        assert_eq!((ada.email().as_str(), refusal(undo(keystead, &undo_token))), (NEW, Code::InvalidLink));
    }

    fn a_code_that_was_mailed_before_does_not_get_a_kept_address(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        // Both wait for the same address; the change wins, then goes on to another one.
        sign_up(keystead, &ada.app, NEW, PASSWORD).unwrap();
        ada.move_to(NEW);
        sign_up(keystead, &ada.app, OTHER, PASSWORD).unwrap();
        let code = keystead.code_for(OTHER);
        database.execute(&format!("UPDATE former_addresses SET email = '{OTHER}', email_key = '{OTHER}'"));
        assert_eq!(refusal(verify(keystead, &ada.app, OTHER, &code)), Code::InvalidCode);
    }

    fn the_former_address_undoes_the_change_and_shuts_out_whoever_made_it(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.move_to(NEW);
        ada.ask(OTHER);
        let pending = confirm_token(keystead, OTHER).unwrap();
        // What a thief would do next: a second factor, and a code for another password.
        let here = signed_in(keystead, &ada.app, &ada.session);
        let enrolment = mfa::enroll(&keystead.engine, &ada.app, &here, proof(PASSWORD, None)).unwrap();
        let [_, step, _] = TotpStep::accepted(keystead.now());
        mfa::confirm(&keystead.engine, &ada.app, &here, TypedCode::parse(&totp_code(enrolment.secret.expose(), step))).unwrap();
        passwords::request_reset(&keystead.engine, &ada.app, NEW.parse().unwrap()).unwrap();
        let code = keystead.code_for(NEW);

        let token = undo_token(keystead, ADA);
        let done = undo(keystead, &token).unwrap();
        assert_eq!((done.product.as_str(), done.email.as_str(), ada.email().as_str()), ("Acme", ADA, ADA));
        assert!(!ada.is_signed_in());
        for email in [ADA, NEW, OTHER] {
            assert_eq!(refusal(sign_in_with(keystead, &ada.app, email, PASSWORD, None).map(|_| ())), Code::InvalidCredentials);
        }
        let typed = TypedCode::parse(&code);
        let reset = passwords::confirm_reset(&keystead.engine, &ada.app, ADA.parse().unwrap(), typed, Secret::new(PASSWORD.to_owned()));
        assert_eq!(refusal(reset.map(|_| ())), Code::InvalidCode);
        assert_eq!(refusal(confirm(keystead, &pending)), Code::InvalidLink);
        assert_eq!(refusal(undo(keystead, &token)), Code::InvalidLink, "undone once");
        assert!(newest_subject(keystead, NEW).contains("no longer has your e-mail address"));
        assert_eq!(events(&database, &ada.tenant, AuditAction::AddressRestored, Outcome::Done), 1);

        ada.reset(ADA, "an entirely different one");
        let signed_in = sign_in_with(keystead, &ada.app, ADA, "an entirely different one", None).unwrap();
        assert!(matches!(signed_in, SignIn::Done(..)), "the thief's second factor is gone");
        // The address that was undone is free.
        verified(keystead, &ada.app, NEW);
    }

    fn a_second_factor_from_before_the_change_outlives_its_undoing(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        let here = signed_in(keystead, &ada.app, &ada.session);
        let enrolment = mfa::enroll(&keystead.engine, &ada.app, &here, proof(PASSWORD, None)).unwrap();
        let code = |steps| {
            let [_, now, _] = TotpStep::accepted(keystead.now());
            totp_code(enrolment.secret.expose(), TotpStep::from_number(now.number() + steps))
        };
        mfa::confirm(&keystead.engine, &ada.app, &here, TypedCode::parse(&code(0))).unwrap();
        ada.ask_with(&ada.session, NEW, PASSWORD, Some(&code(1))).unwrap();
        confirm(keystead, &confirm_token(keystead, NEW).unwrap()).unwrap();
        undo(keystead, &undo_token(keystead, ADA)).unwrap();
        keystead.advance(HOUR);
        ada.reset(ADA, PASSWORD);
        let signed_in = sign_in_with(keystead, &ada.app, ADA, PASSWORD, None).unwrap();
        assert!(matches!(signed_in, SignIn::SecondFactorRequired(_)));
    }

    fn of_several_changes_each_can_be_undone_and_the_oldest_undoes_them_all(database: TestDatabase) {
        for oldest_first in [false, true] {
            let ada = Ada::of(Keystead::on(&database));
            let (keystead, app) = (&ada.keystead, &ada.app);
            ada.move_to(NEW);
            ada.move_to(OTHER);
            let (of_ada, of_new) = (undo_token(keystead, ADA), undo_token(keystead, NEW));
            assert_ne!(of_ada, of_new);
            if oldest_first {
                undo(keystead, &of_ada).unwrap();
                assert_eq!((ada.email().as_str(), refusal(undo(keystead, &of_new))), (ADA, Code::InvalidLink));
            } else {
                undo(keystead, &of_new).unwrap();
                assert_eq!(ada.email(), NEW);
                keystead.advance(HOUR);
                sign_up(keystead, app, ADA, PASSWORD).unwrap();
                assert!(newest_subject(keystead, ADA).contains("is kept"), "it still is");
                undo(keystead, &of_ada).unwrap();
                assert_eq!(ada.email(), ADA);
            }
            assert_eq!(refusal(undo(keystead, &of_ada)), Code::InvalidLink);
            for free in [NEW, OTHER] {
                keystead.advance(HOUR);
                verified(keystead, app, free);
            }
        }
    }

    /// Otherwise whoever took the account could take it again, once the older link had run out.
    fn going_back_by_a_change_ends_what_came_in_between(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.move_to(NEW);
        ada.move_to(OTHER);
        let (of_ada, of_new) = (undo_token(keystead, ADA), undo_token(keystead, NEW));
        ada.move_to(ADA);
        for token in [of_ada, of_new] {
            assert_eq!(refusal(undo(keystead, &token)), Code::InvalidLink);
        }
        assert!(newest_subject(keystead, OTHER).contains("no longer has your e-mail address"));
        assert_eq!(token(keystead, OTHER, "restore-address"), None);
        assert!(ada.is_signed_in());
        ada.move_to(NEW);
        undo(keystead, &undo_token(keystead, ADA)).unwrap();
        assert_eq!(ada.email(), ADA);
    }

    fn links_of_locked_and_deleted_users_and_suspended_tenants_do_nothing(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.move_to(NEW);
        ada.ask(OTHER);
        let (change, former) = (confirm_token(keystead, OTHER).unwrap(), undo_token(keystead, ADA));
        for (state, code) in [
            ("UPDATE users SET status = 'locked'", Code::InvalidLink),
            ("UPDATE users SET status = 'active'; UPDATE tenants SET status = 'suspended'", Code::TenantSuspended),
        ] {
            database.execute(state);
            assert_eq!(refusal(confirm(keystead, &change)), code);
            assert_eq!(refusal(undo(keystead, &former)), code);
        }
        database.execute("UPDATE tenants SET status = 'active'");
        let here = signed_in(keystead, &ada.app, &ada.session);
        profile::delete(&keystead.engine, &ada.app, &here, proof(PASSWORD, None)).unwrap();
        assert_eq!(refusal(confirm(keystead, &change)), Code::InvalidLink);
        assert_eq!(refusal(undo(keystead, &former)), Code::InvalidLink);
        keystead.advance(HOUR);
        verified(keystead, &ada.app, ADA);
    }

    /// Whoever could use up the mails of an address could otherwise take its account unnoticed.
    fn no_address_is_left_without_being_told(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.ask(NEW);
        let token = confirm_token(keystead, NEW).unwrap();
        for _ in 0..6 {
            passwords::request_reset(&keystead.engine, &ada.app, ADA.parse().unwrap()).unwrap();
            keystead.deliver();
        }
        let sent = keystead.mailbox.to(ADA).len();
        assert_eq!(refusal(confirm(keystead, &token)), Code::Conflict);
        assert_eq!((ada.email().as_str(), keystead.mailbox.to(ADA).len()), (ADA, sent));
        keystead.advance(HOUR);
        confirm(keystead, &token).unwrap();
        undo_token(keystead, ADA);
    }

    fn an_address_gets_no_more_links_than_mails(database: TestDatabase) {
        let ada = Ada::on(&database);
        let keystead = &ada.keystead;
        ada.ask(NEW);
        for _ in 0..8 {
            ada.ask_with(&ada.session, NEW, PASSWORD, None).unwrap();
        }
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(NEW).len(), 5);
        assert_eq!(refusal(confirm(keystead, &confirm_token(keystead, NEW).unwrap())), Code::Conflict);
        keystead.advance(HOUR);
        confirm(keystead, &confirm_token(keystead, NEW).unwrap()).unwrap();
    }
}
