//! What one process ends is known to others, and nothing that was ended counts as current.

use std::thread;
use std::time::{Duration, Instant};

use keystead_domain::id::SessionId;
use keystead_domain::policy::{PlatformScope, TenantScope};
use keystead_domain::revocation::Revocation;
use keystead_domain::tenant::TenantStatus;
use keystead_domain::user::UserStatus;
use keystead_storage::{Store, StoreError, Tx, apps, sessions, tenants, users};
use keystead_testkit::both_backends;

use crate::rows::{NOW, id, platform, tenant};

/// Ends a session that nobody has, of a user that nobody is.
fn end(store: &Store, session: SessionId) {
    let scope = tenant();
    store.write(move |tx| sessions::remove(&mut tx.tenant(&scope), id(1), session)).unwrap();
}

both_backends! {
    fn an_end_counts_at_once_in_the_process_that_made_it(database: TestDatabase) {
        let store = database.open();
        store.feed().look().unwrap();
        let before = store.generations().current();
        let on = [Revocation::Session(id(7)), Revocation::User(id(1))];
        assert!(store.generations().still_stands(before, &on));
        end(&store, id(7));
        assert!(!store.generations().still_stands(before, &on));
        assert!(store.generations().still_stands(before, &[Revocation::Session(id(8))]));
    }

    fn what_an_operator_changes_is_an_end(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        store.feed().look().unwrap();
        let all = [Revocation::Tenant(id(1)), Revocation::App(id(2)), Revocation::User(id(3))];
        let ended = |change: fn(&mut Tx<'_>, &TenantScope, &PlatformScope) -> Result<(), StoreError>| {
            let before = store.generations().current();
            store.write(move |tx| change(tx, &scope, &platform)).unwrap();
            all.map(|one| !store.generations().still_stands(before, &[one]))
        };
        let (of_tenant, of_app, of_user) = ([true, false, false], [false, true, false], [false, false, true]);
        assert_eq!(ended(|tx, _, rows| tenants::set_status(&mut tx.platform(rows), id(1), TenantStatus::Suspended).map(|_| ())), of_tenant);
        assert_eq!(ended(|tx, _, rows| tenants::set_plan(&mut tx.platform(rows), id(1), &"free".parse().unwrap()).map(|_| ())), of_tenant);
        assert_eq!(ended(|tx, rows, _| apps::set_active(&mut tx.tenant(rows), id(2), false).map(|_| ())), of_app);
        assert_eq!(ended(|tx, rows, _| apps::end_secrets(&mut tx.tenant(rows), id(2), NOW)), of_app);
        assert_eq!(ended(|tx, rows, _| users::set_status(&mut tx.tenant(rows), id(3), UserStatus::Locked).map(|_| ())), of_user);
    }

    fn an_end_that_was_rolled_back_is_none(database: TestDatabase) {
        let (store, other, scope) = (database.open(), database.open(), tenant());
        let mut feed = other.feed();
        feed.look().unwrap();
        store.feed().look().unwrap();
        let (here, there) = (store.generations().current(), other.generations().current());
        let refused: Result<(), _> = store.write(move |tx| {
            sessions::remove(&mut tx.tenant(&scope), id(1), id(7))?;
            Err(StoreError::Failed("no".to_owned()))
        });
        assert!(refused.is_err());
        feed.look().unwrap();
        let on = [Revocation::Session(id(7))];
        assert!(store.generations().still_stands(here, &on));
        assert!(other.generations().still_stands(there, &on));
    }

    fn an_end_counts_in_another_process_once_it_looked(database: TestDatabase) {
        let (store, other) = (database.open(), database.open());
        let mut feed = other.feed();
        feed.look().unwrap();
        for round in 1..20 {
            let before = other.generations().current();
            let (ended, kept) = (Revocation::Session(id(round)), Revocation::Session(id(round + 1000)));
            end(&store, id(round));
            feed.look().unwrap();
            assert!(!other.generations().still_stands(before, &[ended]), "round {round}");
            assert!(other.generations().still_stands(before, &[kept]), "round {round}");
        }
    }

    fn who_never_looked_or_not_for_a_second_trusts_nothing(database: TestDatabase) {
        let store = database.open();
        let now = store.generations().current();
        assert!(!store.generations().still_stands(now, &[]));
        store.feed().look().unwrap();
        let now = store.generations().current();
        assert!(store.generations().still_stands(now, &[]));
        thread::sleep(Duration::from_millis(1_050));
        assert!(!store.generations().still_stands(now, &[]));
    }

    fn who_waits_is_called_or_looks_by_itself_in_time(database: TestDatabase) {
        let (store, other) = (database.open(), database.open());
        let (mut feed, mut own) = (other.feed(), store.feed());
        feed.look().unwrap();
        // Both connect to where calls are heard.
        feed.wait();
        own.wait();
        for round in 1..10 {
            let before = other.generations().current();
            end(&store, id(round));
            let ended = Instant::now();
            while other.generations().still_stands(before, &[Revocation::Session(id(round))]) {
                feed.wait();
                feed.look().unwrap();
            }
            assert!(ended.elapsed() < Duration::from_millis(900), "{:?}", ended.elapsed());
        }
    }

    fn the_newest_rows_are_kept(database: TestDatabase) {
        let (store, platform) = (database.open(), crate::rows::platform());
        end(&store, id(7));
        let removed = store.write(move |tx| {
            keystead_storage::revocations::remove_old(&mut tx.platform(&platform), 500)
        });
        assert_eq!(removed.unwrap(), 0);
        assert!(database.dump("revocations").contains("session"));
    }
}

#[test]
fn a_number_that_is_committed_late_is_not_missed() {
    let Some(database) = keystead_testkit::TestDatabase::postgres() else {
        return keystead_testkit::postgres::skip(
            "revocations::a_number_that_is_committed_late_is_not_missed",
        );
    };
    let (slow, fast, other) = (database.open(), database.open(), database.open());
    let mut feed = other.feed();
    feed.look().unwrap();
    let before = other.generations().current();
    // Takes a number as storage does before its commit, and commits after a later number was.
    let slow_one = thread::spawn({
        let sql = "BEGIN; INSERT INTO revocations (kind, key) VALUES ('session', 'late'); \
                   SELECT pg_sleep(0.6); COMMIT;";
        let sql = sql.replace("late", &id::<keystead_domain::id::kind::Session>(1).to_string());
        move || {
            database.execute(&sql);
            database
        }
    });
    thread::sleep(Duration::from_millis(200));
    end(&fast, id(2));
    feed.look().unwrap();
    assert!(!other.generations().still_stands(before, &[Revocation::Session(id(2))]));
    assert!(other.generations().still_stands(before, &[Revocation::Session(id(1))]), "not committed yet");
    let database = slow_one.join().unwrap();
    feed.look().unwrap();
    assert!(!other.generations().still_stands(before, &[Revocation::Session(id(1))]));
    drop((slow, database));
}

#[test]
fn without_its_listener_a_feed_looks_by_itself() {
    let Some(database) = keystead_testkit::TestDatabase::postgres() else {
        return keystead_testkit::postgres::skip("revocations::without_its_listener_a_feed_looks_by_itself");
    };
    let (store, other) = (database.open(), database.open());
    let mut feed = other.feed();
    feed.look().unwrap();
    feed.wait();
    for round in 1..5 {
        // The server ends every connection that listens; it may just be reconnecting.
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        );
        let before = other.generations().current();
        end(&store, id(round));
        let ended = Instant::now();
        while other.generations().still_stands(before, &[Revocation::Session(id(round))]) {
            feed.wait();
            feed.look().unwrap();
        }
        assert!(ended.elapsed() < Duration::from_millis(900), "{:?}", ended.elapsed());
    }
}
