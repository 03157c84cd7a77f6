//! Settling a restored database: what it would bring back to life is ended.

use std::time::Duration;

use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::mail::Mail;
use keystead_domain::policy::{Action, Principal};
use keystead_domain::registration::TypedCode;
use keystead_domain::{Owner, Secret};
use keystead_service::access_requests::{NewAccessRequest, Terms, approve, leave, reject};
use keystead_service::profile::{self, ProfileChange};
use keystead_service::restored::{self, Ended};
use keystead_service::sign_ins::SignIn;
use keystead_service::{Arrival, Caller, Code, address_changes, passwords, sessions, sign_ups};
use keystead_storage::audit;
use keystead_testkit::{Keystead, TestDatabase, both_backends};

use crate::mfa::enrolled;
use crate::steps::{ADA, PASSWORD, proof, refusal, sign_in_with, sign_up, signed_in, verified, verify};

/// Ended by a restore: what gives access, and is not a person's or an app's own credential.
const ENDED: [&str; 13] = [
    "address_changes",
    "address_proofs",
    "claim_links",
    "devices",
    "former_addresses",
    "invites",
    "jobs",
    "outbox",
    "registrations",
    "reset_codes",
    "reset_links",
    "sessions",
    "sign_in_challenges",
];
/// As the backup has it.
const KEPT: [&str; 24] = [
    "__diesel_schema_migrations",
    "access_requests",
    "api_key_bars",
    "api_key_secrets",
    "api_keys",
    "app_secrets",
    "apps",
    "audit_events",
    "audit_processes",
    "audit_seals",
    "counters",
    "deployment",
    "idempotency_answers",
    "imported_keys",
    "leak_reports",
    "memberships",
    "projects",
    "recovery_codes",
    "revocations",
    "signing_keys",
    "slowdowns",
    "tenants",
    "totp",
    "users",
];

fn events(database: &TestDatabase) -> i64 {
    let scope = Principal::Host.allow(Action::MaintainDeployment, Owner::Platform).unwrap();
    let count = |tx: &mut keystead_storage::Tx<'_>| {
        audit::count(&mut tx.tenant(&scope), AuditAction::BackupRestored, Outcome::Done)
    };
    database.open().read(count).unwrap()
}

fn leave_request(keystead: &Keystead, company: &str) -> keystead_domain::id::AccessRequestId {
    let new = NewAccessRequest {
        company: company.parse().unwrap(),
        contact: "eve@example.com".parse().unwrap(),
        intended_use: "To sign our people in.".parse().unwrap(),
    };
    leave(&keystead.engine, &Caller::visitor(Arrival::default()), new).unwrap()
}

both_backends! {
    fn of_every_table_it_is_decided_what_a_restore_does_with_it(database: TestDatabase) {
        let mut tables = database.tables();
        tables.retain(|table| !table.starts_with("sqlite_"));
        tables.sort();
        let mut decided = [&ENDED[..], &KEPT].concat();
        decided.sort_unstable();
        assert_eq!(tables, decided, "what does `restored::settle` do with a table that is not listed?");
        let document = include_str!("../../../../docs/backup.md");
        let statements = document.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        for table in ENDED {
            let named = ["DELETE FROM", "UPDATE"].iter().any(|verb| statements.contains(&format!("{verb} {table}")));
            assert!(named, "{table} in docs/backup.md");
        }
        for template in Mail::WITH_SECRETS {
            assert!(statements.contains(&format!("'{template}'")), "{template}");
        }
    }

    fn sessions_codes_links_and_their_mails_are_ended(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        let (authenticator, codes, session) = enrolled(&keystead, &app);
        // Somebody signs up and is mailed a code, somebody else waits for a mail with one.
        sign_up(&keystead, &app, "bob@example.com", PASSWORD).unwrap();
        let bobs = keystead.code_for("bob@example.com");
        let reset = |address: &str| passwords::request_reset(&keystead.engine, &app, address.parse().unwrap()).unwrap();
        reset(ADA);
        let adas = keystead.code_for(ADA);
        approve(&keystead.engine, &Caller::host(), leave_request(&keystead, "Other"), Terms::default()).unwrap();
        let rejected = leave_request(&keystead, "Third");
        sign_up(&keystead, &app, "eve@example.com", PASSWORD).unwrap();
        reset(ADA);
        let why = "Not now.".parse().unwrap();
        reject(&keystead.engine, &Caller::host(), rejected, why).unwrap();
        let mailed = keystead.mailbox.len();

        let settled = restored::settle(&keystead.engine, &Caller::host(), false).unwrap();
        // Of mails: the link, Eve's code, and the job for Ada's second code.
        assert_eq!(settled.ended, Some(Ended { sessions: 1, codes: 3, links: 1, mails: 3 }));
        assert_eq!((settled.app_secrets.len(), settled.signing_keys.len()), (1, 2));
        assert_eq!(settled.app_secrets[0].client_id.as_str(), acme.client_id);
        assert_eq!((settled.newest_event_at, events(&database)), (Some(keystead.now()), 1));

        assert_eq!(refusal(sessions::authenticate(&keystead.engine, &app, &session.token)), Code::InvalidSession);
        assert_eq!(refusal(verify(&keystead, &app, "bob@example.com", &bobs)), Code::InvalidCode);
        let new = Secret::new("another good password".to_owned());
        let confirmed = passwords::confirm_reset(&keystead.engine, &app, ADA.parse().unwrap(), TypedCode::parse(&adas), new);
        assert_eq!(refusal(confirmed), Code::InvalidCode);
        keystead.deliver();
        let mails = keystead.mailbox.to("eve@example.com");
        assert_eq!((keystead.mailbox.len(), mails.len()), (mailed + 1, 1), "only the mail without a secret");
        assert!(mails[0].1.contains("Not now."), "{mails:?}");

        // A code of the authenticator app may have been used since the backup; later ones were not.
        let in_with = |code: &str| matches!(sign_in_with(&keystead, &app, ADA, PASSWORD, Some(code)), Ok(SignIn::Done(..)));
        assert!(!in_with(&authenticator.code(&keystead, 0)) && !in_with(&authenticator.code(&keystead, 1)));
        assert!(in_with(&codes[0].to_groups()), "recovery codes are as they were");
        keystead.advance(Duration::from_secs(90));
        assert!(in_with(&authenticator.code(&keystead, 0)));
        // Who waits to be confirmed can ask for a new code.
        let again = sign_ups::resend_code(&keystead.engine, &app, "bob@example.com".parse().unwrap());
        again.unwrap();
        verify(&keystead, &app, "bob@example.com", &keystead.code_for("bob@example.com")).unwrap();
    }

    fn links_about_addresses_are_ended(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &app, ADA);
        let visitor = Caller::visitor(Arrival::default());
        let link = |address: &str| {
            keystead.deliver();
            let (_, text) = keystead.mailbox.to(address).pop().unwrap();
            text.split_whitespace().find(|word| word.contains("-address/link_")).unwrap().rsplit('/').next().unwrap().to_owned()
        };
        let ask = |address: &str| {
            let change = ProfileChange { name: None, email: Some(address.parse().unwrap()) };
            profile::change(&keystead.engine, &app, &signed_in(&keystead, &app, &session), proof(PASSWORD, None), change).unwrap();
            link(address)
        };
        address_changes::confirm(&keystead.engine, &visitor, &ask("ada@new.example")).unwrap();
        let (undo, confirm) = (link(ADA), ask("ada@other.example"));
        let settled = restored::settle(&keystead.engine, &Caller::host(), false).unwrap();
        assert_eq!(settled.ended, Some(Ended { sessions: 1, codes: 0, links: 2, mails: 0 }));
        assert_eq!(refusal(address_changes::confirm(&keystead.engine, &visitor, &confirm)), Code::InvalidLink);
        assert_eq!(refusal(address_changes::undo(&keystead.engine, &visitor, &undo)), Code::InvalidLink);
    }

    fn all_of_it_can_be_declined(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (authenticator, _, session) = enrolled(&keystead, &app);
        sign_up(&keystead, &app, "bob@example.com", PASSWORD).unwrap();
        let settled = restored::settle(&keystead.engine, &Caller::host(), true).unwrap();
        assert_eq!((settled.ended, events(&database)), (None, 1));
        sessions::authenticate(&keystead.engine, &app, &session.token).unwrap();
        verify(&keystead, &app, "bob@example.com", &keystead.code_for("bob@example.com")).unwrap();
        let again = sign_in_with(&keystead, &app, ADA, PASSWORD, Some(&authenticator.code(&keystead, 1)));
        assert!(again.is_err(), "no code works twice in any case");
    }

    fn only_the_host_may(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        assert!(restored::settle(&keystead.engine, &app, false).is_err());
        assert!(restored::settle(&keystead.engine, &Caller::visitor(Arrival::default()), false).is_err());
        assert_eq!(events(&database), 0);
    }
}
