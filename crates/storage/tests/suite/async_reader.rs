//! Looking up without blocking.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use keystead_domain::TokenDigest;
use keystead_domain::policy::TenantScope;
use keystead_storage::locate::{WhichApp, WhichClient};
use keystead_storage::sessions::WhichSession;
use keystead_storage::{AsyncReader, Store, sessions, users};
use keystead_testkit::{TestDatabase, both_backends};
use tokio::task::LocalSet;

use crate::rows::{session, tenant, user};

/// As an event loop does.
fn on_one_thread<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(run))
}

/// A user of this name, signed in with the token of the same name.
fn sign_in(store: &Store, scope: TenantScope, name: &str) -> WhichSession {
    let user = user(&scope, &format!("{name}@example.com"));
    let (session, digest) = (session(&user), TokenDigest::of(name));
    store
        .write(move |tx| {
            let mut rows = tx.tenant(&scope);
            users::insert(&mut rows, &user, None)?;
            sessions::insert(&mut rows, &session, &digest)
        })
        .unwrap();
    WhichSession { scope, digest }
}

async fn address(reader: &AsyncReader, which: &WhichSession) -> Option<String> {
    reader.look_up(which).await.unwrap().map(|found| found.user.email.to_string())
}

/// Runs SQL from within [`on_one_thread`]. `OTHERS` are the connections but the one that this takes.
fn execute(database: &TestDatabase, sql: &str) {
    let others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    aside(|| database.execute(&sql.replace("OTHERS", others)));
}

/// What blocks does not do so on an event loop.
fn aside<T: Send>(blocks: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(blocks).join()).unwrap()
}

both_backends! {
    fn what_is_there_is_found_and_what_is_not_is_not(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let which = sign_in(&store, scope, "ada");
        on_one_thread(async {
            let reader = AsyncReader::new(store);
            assert_eq!(address(&reader, &which).await.as_deref(), Some("ada@example.com"));
            let other = WhichSession { digest: TokenDigest::of("another"), ..which };
            assert_eq!(address(&reader, &other).await, None);
            let unknown: keystead_domain::app::ClientId = "ksc_unknown".parse().unwrap();
            assert!(reader.look_up(&WhichApp(unknown.clone())).await.unwrap().is_none());
            assert!(reader.look_up(&WhichClient(unknown)).await.unwrap().is_none());
        });
    }

    fn another_tenant_does_not_find_it(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let which = sign_in(&store, scope, "ada");
        let stranger = WhichSession { scope: tenant(), ..which };
        on_one_thread(async {
            assert_eq!(address(&AsyncReader::new(store), &stranger).await, None);
        });
    }

    fn what_was_committed_before_is_seen(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        on_one_thread(async {
            let reader = AsyncReader::new(Arc::clone(&store));
            for number in 0..20 {
                let which = aside(|| sign_in(&store, scope, &format!("user{number}")));
                let there = address(&reader, &which).await;
                assert_eq!(there, Some(format!("user{number}@example.com")));
            }
        });
    }

    fn each_of_many_questions_at_once_gets_its_own_answer(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let all: Vec<_> = (0..30).map(|number| sign_in(&store, scope, &format!("user{number}"))).collect();
        on_one_thread(async {
            let reader = Rc::new(AsyncReader::new(store));
            // More than may wait for the reader's own connection.
            let asked: Vec<_> = (0..300).map(|number| {
                let (reader, which) = (Rc::clone(&reader), all[number % 30].clone());
                tokio::task::spawn_local(async move { address(&reader, &which).await })
            }).collect();
            for (number, asked) in asked.into_iter().enumerate() {
                assert_eq!(asked.await.unwrap(), Some(format!("user{}@example.com", number % 30)));
            }
        });
    }

    fn whoever_gives_up_waiting_is_in_nobodys_way(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        let which = sign_in(&store, scope, "ada");
        on_one_thread(async {
            let reader = Rc::new(AsyncReader::new(store));
            for _ in 0..10 {
                let (reader, which) = (Rc::clone(&reader), which.clone());
                let asked = tokio::task::spawn_local(async move { address(&reader, &which).await });
                // It has begun: it opens the connection, or waits for the answer.
                tokio::task::yield_now().await;
                asked.abort();
            }
            assert_eq!(address(&reader, &which).await.as_deref(), Some("ada@example.com"));
        });
    }
}

#[test]
fn connections_that_die_are_opened_again() {
    let Some(database) = TestDatabase::postgres() else { return };
    let (store, scope) = (Arc::new(database.open()), tenant());
    let which = sign_in(&store, scope, "ada");
    on_one_thread(async {
        let reader = AsyncReader::new(store);
        for _ in 0..3 {
            assert_eq!(address(&reader, &which).await.as_deref(), Some("ada@example.com"));
            execute(&database, "SELECT pg_terminate_backend(pid) FROM OTHERS");
        }
    });
}

#[test]
fn a_readers_connection_counts_as_one_of_the_pools() {
    let Some(database) = TestDatabase::postgres() else { return };
    let scope = tenant();
    for (bound, expected) in [(1, 1), (2, 2)] {
        let store = Arc::new(Store::open(database.database(), bound).unwrap());
        let which = sign_in(&store, scope, &format!("bound{bound}"));
        let other = Arc::clone(&store);
        on_one_thread(async {
            let readers = [AsyncReader::new(Arc::clone(&store)), AsyncReader::new(store)];
            for reader in &readers {
                assert!(address(reader, &which).await.is_some());
            }
            let assertion = format!("DO $$BEGIN ASSERT (SELECT count(*) FROM OTHERS) = {expected}; END$$");
            execute(&database, &assertion);
        });
        assert!(other.read(|tx| users::list(&mut tx.tenant(&scope))).is_ok());
    }
}
