//! Budgets.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_domain::limits::Budget;
use keystead_storage::counters;
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, tenant};

const BUDGET: Budget = Budget { name: "test", max: 3, window: Duration::from_secs(60) };

both_backends! {
    fn a_budget_is_used_up_and_comes_back(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let take = |subject: &'static str, now| {
            store.write(move |tx| counters::take(&mut tx.tenant(&scope), BUDGET, subject, now)).unwrap()
        };
        assert_eq!([0; 4].map(|_| take("a", NOW)), [true, true, true, false]);
        assert!(take("b", NOW), "another subject has its own");
        let later = NOW + BUDGET.window;
        assert!(take("a", later), "so has another window");
        store.write(move |tx| counters::remove_expired(&mut tx.platform(&platform()), later, 100)).unwrap();
        assert_eq!([0; 3].map(|_| take("a", later)), [true, true, false], "a running window is kept");
    }

    fn what_is_given_back_can_be_taken_again(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let results = store.write(move |tx| {
            let mut rows = tx.tenant(&scope);
            for _ in 0..BUDGET.max {
                assert!(counters::take(&mut rows, BUDGET, "a", NOW)?);
            }
            counters::give_back(&mut rows, BUDGET, "a", NOW)?;
            Ok([counters::take(&mut rows, BUDGET, "a", NOW)?, counters::take(&mut rows, BUDGET, "a", NOW)?])
        });
        assert_eq!(results.unwrap(), [true, false]);
    }

    fn three_at_once_count_up_to_the_first_that_is_used_up(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let three = [
            Budget { name: "first", max: 4, ..BUDGET },
            Budget { name: "second", max: 2, ..BUDGET },
            Budget { name: "third", max: 9, ..BUDGET },
        ];
        let took = [0; 4].map(|_| {
            store.write(move |tx| counters::take_three(&mut tx.tenant(&scope), &three, "a", NOW)).unwrap()
        });
        assert_eq!(took, [true, true, false, false]);
        let left = three.map(|budget| {
            let left = |_: &i32| {
                store.write(move |tx| counters::take(&mut tx.tenant(&scope), budget, "a", NOW)).unwrap()
            };
            (1..=20).take_while(left).count()
        });
        assert_eq!(left, [0, 0, 7], "the third was counted where the second had room");
    }

    fn owners_do_not_share_budgets(database: TestDatabase) {
        let (store, one, other) = (database.open(), tenant(), tenant());
        for _ in 0..5 {
            store.write(move |tx| counters::take(&mut tx.tenant(&one), BUDGET, "a", NOW)).unwrap();
        }
        assert!(store.write(move |tx| counters::take(&mut tx.tenant(&other), BUDGET, "a", NOW)).unwrap());
    }

    fn concurrent_callers_get_no_more(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let takers: Vec<_> = (0..16).map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.write(move |tx| counters::take(&mut tx.tenant(&scope), BUDGET, "a", NOW)).unwrap()
            })
        }).collect();
        let got = takers.into_iter().map(|taker| taker.join().unwrap()).filter(|&got| got).count();
        assert_eq!(got, 3);
    }
}
