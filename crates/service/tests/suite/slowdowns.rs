//! The growing delay after failures.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use keystead_crypto::passwords::Argon2Cost;
use keystead_domain::audit::Origin;
use keystead_domain::slowdown::LONGEST_WAIT;
use keystead_service::{Arrival, Caller, Code, Error, access};
use keystead_testkit::{Keystead, TestDatabase, TestTenant, both_backends, only_slowdown};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, sign_up, verified, verify, wrong};

const NOBODY: &str = "nobody@example.com";
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn slowed(database: &TestDatabase) -> Keystead {
    Keystead::with(database, |settings| settings.rate_limits = Some(only_slowdown()))
}

fn start(database: &TestDatabase) -> (Keystead, TestTenant, Caller) {
    let keystead = slowed(database);
    let tenant = keystead.tenant("Acme");
    let app = keystead.caller(&tenant);
    (keystead, tenant, app)
}

/// How long a refusal says to wait.
#[track_caller]
fn wait<T>(result: Result<T, Error>) -> Duration {
    let error = result.err().unwrap();
    assert_eq!(error.code(), Code::RateLimited);
    error.retry_after().unwrap()
}

/// Fails until tries have to wait.
fn fail(keystead: &Keystead, app: &Caller, address: &str) {
    for _ in 0..6 {
        assert_eq!(refusal(sign_in(keystead, app, address, "wrong")), Code::InvalidCredentials);
    }
}

both_backends! {
    fn failures_slow_known_and_unknown_addresses_down_alike(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        verified(&keystead, &app, ADA);
        for address in [ADA, NOBODY] {
            fail(&keystead, &app, address);
        }
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let expected = Duration::from_secs(expected);
            for address in [ADA, NOBODY] {
                assert_eq!(wait(sign_in(&keystead, &app, address, "wrong")), expected);
                assert_eq!(wait(sign_in(&keystead, &app, address, PASSWORD)), expected, "the right one is not told");
            }
            keystead.advance(expected - Duration::from_micros(1));
            assert_eq!(wait(sign_in(&keystead, &app, ADA, PASSWORD)), Duration::from_micros(1));
            keystead.advance(Duration::from_micros(1));
            for address in [ADA, NOBODY] {
                assert_eq!(refusal(sign_in(&keystead, &app, address, "wrong")), Code::InvalidCredentials);
            }
        }
        keystead.advance(LONGEST_WAIT);
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
    }

    fn a_sign_in_that_succeeds_clears_them(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        verified(&keystead, &app, ADA);
        fail(&keystead, &app, ADA);
        keystead.advance(SECOND);
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        fail(&keystead, &app, ADA);
        assert_eq!(wait(sign_in(&keystead, &app, ADA, PASSWORD)), SECOND, "the first delay again");
    }

    fn a_restart_and_another_process_remember_them(database: TestDatabase) {
        let (keystead, tenant, app) = start(&database);
        fail(&keystead, &app, ADA);
        let restarted = slowed(&database);
        assert_eq!(wait(sign_in(&restarted, &restarted.caller(&tenant), ADA, "wrong")), SECOND);
    }

    fn another_tenants_user_of_the_same_address_is_not_concerned(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        let other = keystead.caller(&keystead.tenant("Other"));
        verified(&keystead, &other, ADA);
        fail(&keystead, &app, ADA);
        sign_in(&keystead, &other, ADA, PASSWORD).unwrap();
    }

    fn codes_count_like_passwords(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        for _ in 0..3 {
            assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
            assert_eq!(refusal(sign_in(&keystead, &app, ADA, "wrong")), Code::InvalidCredentials);
        }
        assert_eq!(wait(verify(&keystead, &app, ADA, &code)), SECOND, "even the right one");
        keystead.advance(SECOND);
        verify(&keystead, &app, ADA, &code).unwrap();
        fail(&keystead, &app, ADA);
    }

    fn whoever_signed_up_with_an_address_cannot_clear_the_codes_guessed_for_it(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let code = keystead.code_for(ADA);
        for _ in 0..5 {
            assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
            for _ in 0..3 {
                let unverified = sign_in(&keystead, &app, ADA, PASSWORD);
                assert_eq!(refusal(unverified), Code::EmailNotVerified, "right, so it costs nothing");
            }
        }
        assert_eq!(refusal(verify(&keystead, &app, ADA, &wrong(&code))), Code::InvalidCode);
        assert_eq!(wait(verify(&keystead, &app, ADA, &wrong(&code))), SECOND);
    }

    fn the_owner_is_told_once_an_episode_and_nobody_else(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        verified(&keystead, &app, ADA);
        let told = || {
            keystead.deliver();
            keystead.mailbox.to(ADA).iter().filter(|(subject, _)| subject.contains("Failed sign-ins")).count()
        };
        let before = keystead.mailbox.len();
        for _ in 0..5 {
            assert_eq!(refusal(sign_in(&keystead, &app, ADA, "wrong")), Code::InvalidCredentials);
        }
        assert_eq!(told(), 0, "slips");
        for _ in 0..4 {
            assert_eq!(refusal(sign_in(&keystead, &app, "ADA@example.com", "wrong")), Code::InvalidCredentials);
            keystead.advance(LONGEST_WAIT);
        }
        fail(&keystead, &app, NOBODY);
        assert_eq!(told(), 1);
        assert_eq!(keystead.mailbox.len(), before + 1, "to the address on record alone");
        keystead.advance(DAY);
        fail(&keystead, &app, ADA);
        assert_eq!(told(), 2, "another episode");
    }

    fn telling_the_owner_takes_from_the_budget_of_mails(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        verified(&keystead, &app, ADA);
        for _ in 0..4 {
            sign_up(&keystead, &app, ADA, "another passphrase").unwrap();
        }
        fail(&keystead, &app, ADA);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 5, "an hour's mails are used up");
    }

    fn of_64_wrong_passwords_at_once_no_more_are_checked_than_one_after_the_other(database: TestDatabase) {
        let (keystead, _, app) = start(&database);
        verified(&keystead, &app, ADA);
        let start = Barrier::new(64);
        let results: Vec<_> = thread::scope(|scope| {
            let (keystead, app, start) = (&keystead, &app, &start);
            let tries: Vec<_> = (0..64).map(|_| scope.spawn(move || {
                start.wait();
                refusal(sign_in(keystead, app, ADA, "wrong"))
            })).collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let checked = results.iter().filter(|code| **code == Code::InvalidCredentials).count();
        assert_eq!(checked, 6, "{results:?}");
        assert!(results.iter().all(|code| matches!(code, Code::InvalidCredentials | Code::RateLimited | Code::Unavailable)), "{results:?}");
        assert_eq!(wait(sign_in(&keystead, &app, ADA, PASSWORD)), SECOND);
    }

    fn a_password_that_was_not_checked_costs_nothing(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| {
            settings.rate_limits = Some(only_slowdown());
            settings.password_cost = Argon2Cost::new(32 * 1024, 1, 1).unwrap();
            (settings.hashing_threads, settings.hashing_queue) = (1, 1);
        });
        let tenant = keystead.tenant("Acme");
        let app = keystead.caller(&tenant);
        let checked: usize = thread::scope(|scope| {
            let (keystead, app) = (&keystead, &app);
            // Each address has its own count, so only the queue turns anybody away.
            let tries: Vec<_> = (0..32).map(|n| scope.spawn(move || {
                let address = format!("u{n}@example.com");
                let first = refusal(sign_in(keystead, app, &address, "wrong"));
                usize::from(first == Code::InvalidCredentials)
            })).collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert!(checked < 32, "the queue is full at once");
        let counted: i64 = {
            let scope = Caller::host().allow(keystead_domain::policy::Action::ManageUsers, tenant.owner()).unwrap();
            let count = |n: usize| database.open().read(|tx| {
                let email = format!("u{n}@example.com").parse().unwrap();
                keystead_storage::slowdowns::find(&mut tx.tenant(&scope), &email)
            }).unwrap().map_or(0, |failures| failures.count);
            (0..32).map(|n| i64::from(count(n))).sum()
        };
        assert_eq!(counted, i64::try_from(checked).unwrap());
    }

    fn nothing_is_slowed_down_where_limits_are_off(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        verified(&keystead, &app, ADA);
        for _ in 0..30 {
            assert_eq!(refusal(sign_in(&keystead, &app, ADA, "wrong")), Code::InvalidCredentials);
        }
        sign_in(&keystead, &app, ADA, PASSWORD).unwrap();
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(ADA).len(), 1);
    }

    fn only_a_first_party_app_is_believed_where_its_end_user_is(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let token = keystead.token(&tenant.client_id, &tenant.client_secret);
        let arrival = || Arrival {
            origin: Origin { ip: Some("192.0.2.1".parse().unwrap()), user_agent: None },
            end_user_ip: Some("203.0.113.7".parse().unwrap()),
            ..Arrival::default()
        };
        let app = access::app(&keystead.engine, &token, arrival()).unwrap();
        verified(&keystead, &app, ADA);
        let count = |ip: &str, table: &str| {
            // Fails unless there are such rows and no others.
            database.execute(&format!("UPDATE {table} SET ip = 'seen' WHERE ip = '{ip}'"));
            database.execute(&format!("CREATE TABLE check_{table} (ip TEXT CHECK (ip = 'seen'))"));
            database.execute(&format!("INSERT INTO check_{table} SELECT ip FROM {table} WHERE ip IS NOT NULL"));
        };
        count("203.0.113.7", "sessions");
        count("203.0.113.7", "audit_events");
        database.execute("UPDATE apps SET first_party = false");
        let other = access::app(&keystead.engine, &token, arrival()).unwrap();
        assert!(!format!("{other:?}").contains("203.0.113.7"));
    }
}
