//! Tries and their limits, under concurrency.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_domain::registration::{CODE_LIFETIME, CODE_TRIES, CodeMac, PendingCode};
use keystead_storage::registrations;
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, registration, tenant};

both_backends! {
    fn a_code_stands_five_tries_however_they_come(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let row = registration(&scope, "ada@example.com");
        let (id, email) = (row.id, row.email.clone());
        store.write(move |tx| registrations::insert(&mut tx.tenant(&scope), &row)).unwrap();
        let tries: Vec<_> = (0..16).map(|_| {
            let (store, email) = (Arc::clone(&store), email.clone());
            thread::spawn(move || {
                store.write(move |tx| registrations::take_try(&mut tx.tenant(&scope), &email, NOW)).unwrap().len()
            })
        }).collect();
        let compared: usize = tries.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(compared, usize::from(CODE_TRIES));

        let code = PendingCode::sent(CodeMac::from_bytes([8; 32]), NOW);
        assert!(store.write(move |tx| registrations::replace_code(&mut tx.tenant(&scope), id, &code, None)).unwrap());
        let again = store.write(move |tx| registrations::take_try(&mut tx.tenant(&scope), &email, NOW)).unwrap();
        assert_eq!(again.len(), 1, "a new code has tries of its own");
        assert!(again[0].code.as_ref().unwrap().mac.matches(&CodeMac::from_bytes([8; 32])));
    }

    fn a_code_that_ran_out_is_not_compared(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let row = registration(&scope, "ada@example.com");
        let email = row.email.clone();
        store.write(move |tx| registrations::insert(&mut tx.tenant(&scope), &row)).unwrap();
        let late = NOW + CODE_LIFETIME;
        let tried = store.write(move |tx| registrations::take_try(&mut tx.tenant(&scope), &email, late));
        assert!(tried.unwrap().is_empty());
    }

    fn a_registration_is_consumed_once(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let row = registration(&scope, "ada@example.com");
        let id = row.id;
        store.write(move |tx| registrations::insert(&mut tx.tenant(&scope), &row)).unwrap();
        let consumers: Vec<_> = (0..16).map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.write(move |tx| registrations::consume(&mut tx.tenant(&scope), id)).unwrap()
            })
        }).collect();
        assert_eq!(consumers.into_iter().map(|one| one.join().unwrap()).filter(|&won| won).count(), 1);
    }

    fn what_ran_out_is_removed_in_batches(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        for number in 0..5 {
            let mut row = registration(&scope, &format!("u{number}@example.com"));
            row.expires_at = NOW + Duration::from_secs(number);
            store.write(move |tx| registrations::insert(&mut tx.tenant(&scope), &row)).unwrap();
        }
        let sweep = |seconds, limit| {
            let at = NOW + Duration::from_secs(seconds);
            store.write(move |tx| registrations::remove_expired(&mut tx.platform(&platform()), at, limit)).unwrap()
        };
        assert_eq!([sweep(3, 2), sweep(3, 2), sweep(3, 2), sweep(9, 2)], [2, 2, 0, 1]);
    }
}
