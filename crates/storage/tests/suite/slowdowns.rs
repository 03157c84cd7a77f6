//! Failures of an address, and the delay that grows with them.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use keystead_domain::policy::TenantScope;
use keystead_domain::slowdown::{Failures, Slowdown};
use keystead_domain::{Email, Timestamp};
use keystead_storage::{Store, Tx, slowdowns};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, tenant};

const SLOWDOWN: Slowdown = Slowdown { free: 2 };

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn take(store: &Store, scope: TenantScope, address: &str, now: Timestamp) -> Result<Failures, Duration> {
    let email = email(address);
    store.write(move |tx| slowdowns::take(&mut tx.tenant(&scope), SLOWDOWN, &email, now)).unwrap()
}

both_backends! {
    fn tries_are_counted_until_they_have_to_wait(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let counts = [0; 3].map(|_| take(&store, scope, "a@b.example", NOW).unwrap().count);
        assert_eq!(counts, [1, 2, 3]);
        let second = Duration::from_secs(1);
        assert_eq!(take(&store, scope, "A@B.example", NOW), Err(second), "the same address");
        assert!(take(&store, scope, "c@b.example", NOW).is_ok(), "another address");
        assert!(take(&store, tenant(), "a@b.example", NOW).is_ok(), "another directory");
        let found = store.read(|tx| slowdowns::find(&mut tx.tenant(&scope), &email("a@b.example"))).unwrap().unwrap();
        assert_eq!((found.count, found.wait(NOW)), (3, second));
        assert_eq!(take(&store, scope, "a@b.example", NOW + second).unwrap().count, 4);
    }

    fn a_try_that_did_not_fail_is_given_back(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let address = || email("a@b.example");
        let look = || store.look_up(|tx| slowdowns::find(&mut tx.tenant(&scope), &address())).unwrap();
        let find = || look().unwrap();
        let give_back = |taken: Failures| {
            store.write(move |tx| slowdowns::give_back(&mut tx.tenant(&scope), &address(), &taken)).unwrap();
        };
        let first = take(&store, scope, "a@b.example", NOW).unwrap();
        take(&store, scope, "a@b.example", NOW).unwrap();
        let third = take(&store, scope, "a@b.example", NOW).unwrap();
        give_back(first);
        assert_eq!((find().count, find().wait(NOW).as_secs()), (2, 1), "the wait is another's");
        give_back(Failures { count: 2, ..third });
        assert_eq!((find().count, find().wait(NOW).as_secs()), (1, 0));
        let cleared = take(&store, scope, "a@b.example", NOW).unwrap();
        store.write(move |tx| slowdowns::clear(&mut tx.tenant(&scope), &address())).unwrap();
        give_back(cleared);
        assert_eq!(look(), None);
    }

    fn a_try_is_taken_only_while_what_was_found_is_so(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let find = || store.look_up(|tx| slowdowns::find(&mut tx.tenant(&scope), &email("a@b.example"))).unwrap();
        let take_found = |found: Option<Failures>| {
            let taken = SLOWDOWN.take(found.unwrap_or(Failures::none(NOW)), NOW).unwrap();
            let take = move |tx: &mut Tx<'_>| {
                slowdowns::take_found(&mut tx.tenant(&scope), &email("a@b.example"), found.as_ref(), &taken)
            };
            store.write_alone(take).unwrap()
        };
        assert!(take_found(None));
        let first = find().unwrap();
        assert_eq!((first.count, first.last_at), (1, NOW));
        assert!(!take_found(None), "another began to fail");
        assert_eq!(find(), Some(first));
        assert!(take_found(Some(first)));
        let second = find().unwrap();
        assert_eq!(second.count, 2);
        assert!(!take_found(Some(first)), "another failed since");
        assert!(!take_found(Some(Failures { told: true, ..second })));
        assert_eq!(find(), Some(second));
        store.write(move |tx| slowdowns::clear(&mut tx.tenant(&scope), &email("a@b.example"))).unwrap();
        assert!(!take_found(Some(second)), "it signed in");
        assert_eq!(find(), None);
    }

    fn of_those_who_found_the_same_one_takes_a_try(database: TestDatabase) {
        const CALLERS: usize = 8;
        let (store, scope) = (Arc::new(database.open()), tenant());
        for found in [None, Some(Failures { count: 1, last_at: NOW, next_at: NOW, told: false })] {
            let start = Arc::new(Barrier::new(CALLERS));
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let (store, start) = (Arc::clone(&store), Arc::clone(&start));
                    thread::spawn(move || {
                        let taken = SLOWDOWN.take(found.unwrap_or(Failures::none(NOW)), NOW).unwrap();
                        start.wait();
                        let take = move |tx: &mut Tx<'_>| {
                            let mut tenant = tx.tenant(&scope);
                            slowdowns::take_found(&mut tenant, &email("a@b.example"), found.as_ref(), &taken)
                        };
                        store.write_alone(take).unwrap()
                    })
                })
                .collect();
            let taken = callers.into_iter().map(|caller| caller.join().unwrap());
            assert_eq!(taken.filter(|taken| *taken).count(), 1);
        }
    }

    fn the_owner_is_told_once(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let tell = || store.write(move |tx| slowdowns::tell(&mut tx.tenant(&scope), &email("a@b.example"))).unwrap();
        assert!(!tell(), "nothing to tell");
        take(&store, scope, "a@b.example", NOW).unwrap();
        assert_eq!([tell(), tell()], [true, false]);
        let later = NOW + Duration::from_secs(24 * 3600);
        take(&store, scope, "a@b.example", later).unwrap();
        assert!(tell(), "what went before is forgotten");
    }

    fn what_is_forgotten_is_removed(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        take(&store, scope, "a@b.example", NOW).unwrap();
        let remove = |now| store.write(move |tx| slowdowns::remove_expired(&mut tx.platform(&platform()), now, 10)).unwrap();
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(remove(NOW + day - Duration::from_secs(1)), 0);
        assert_eq!(remove(NOW + day), 1);
        assert_eq!(remove(NOW + day), 0);
    }

    fn concurrent_tries_get_no_more(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let start = Arc::new(Barrier::new(32));
        let tries: Vec<_> = (0..32).map(|_| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                take(&store, scope, "a@b.example", NOW).is_ok()
            })
        }).collect();
        let got = tries.into_iter().map(|one| one.join().unwrap()).filter(|&got| got).count();
        assert_eq!(got, 3, "two for nothing, and the one that begins the wait");
    }
}
