//! `read` and `write`.

use std::sync::Arc;
use std::thread;

use keystead_storage::{StoreError, UniqueKey, users};
use keystead_testkit::both_backends;

use crate::rows::{tenant, user};

both_backends! {
    fn what_a_failed_closure_wrote_is_gone(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = user(&scope, "ada@example.com");
        let row = ada.clone();
        let result: Result<(), _> = store.write(move |tx| {
            users::insert(&mut tx.tenant(&scope), &row, None)?;
            Err(StoreError::Failed("no".to_owned()))
        });
        assert!(matches!(result, Err(StoreError::Failed(_))));
        assert!(store.read(|tx| users::find(&mut tx.tenant(&scope), ada.id)).unwrap().is_none());
    }

    fn what_a_panicking_closure_wrote_is_gone_and_the_store_goes_on(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = user(&scope, "ada@example.com");
        let row = ada.clone();
        let result: Result<(), _> = store.write(move |tx| {
            users::insert(&mut tx.tenant(&scope), &row, None)?;
            panic!("a test's panic");
        });
        assert!(matches!(result, Err(StoreError::Failed(_))));
        assert!(store.read(|tx| users::find(&mut tx.tenant(&scope), ada.id)).unwrap().is_none());
        let row = ada.clone();
        store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None)).unwrap();
        assert!(store.read(|tx| users::find(&mut tx.tenant(&scope), ada.id)).unwrap().is_some());
    }

    fn a_read_cannot_write(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = user(&scope, "ada@example.com");
        assert!(store.read(|tx| users::insert(&mut tx.tenant(&scope), &ada, None)).is_err());
        assert!(store.read(|tx| users::list(&mut tx.tenant(&scope))).unwrap().is_empty());
    }

    fn a_read_sees_one_state(database: TestDatabase) {
        let (store, scope) = (Arc::new(database.open()), tenant());
        store.read(|tx| {
            let mut rows = tx.tenant(&scope);
            assert!(users::list(&mut rows)?.is_empty());
            let (writer, late) = (Arc::clone(&store), user(&scope, "late@example.com"));
            let write = move || writer.write(move |tx| users::insert(&mut tx.tenant(&scope), &late, None));
            thread::spawn(write).join().unwrap()?;
            assert!(users::list(&mut rows)?.is_empty(), "what was committed meanwhile is not seen");
            Ok(())
        }).unwrap();
        assert_eq!(store.read(|tx| users::list(&mut tx.tenant(&scope))).unwrap().len(), 1);
    }

    fn a_key_that_is_taken_is_named(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        for (address, expected) in [("ada@example.com", None), ("ADA@Example.com", Some(UniqueKey::UserEmail))] {
            let row = user(&scope, address);
            let result = store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None));
            match (result, expected) {
                (Ok(()), None) => {}
                (Err(StoreError::Taken(key)), Some(expected)) => assert_eq!(key, expected),
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    fn writers_from_many_threads_and_stores_all_get_through(database: TestDatabase) {
        let scope = tenant();
        let stores = [Arc::new(database.open()), Arc::new(database.open())];
        let writers: Vec<_> = (0..16).map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            thread::spawn(move || {
                for count in 0..10 {
                    let row = user(&scope, &format!("u{number}.{count}@example.com"));
                    store.write(move |tx| {
                        let mut rows = tx.tenant(&scope);
                        // Reads first: with a lock that is taken late this would fail.
                        users::find(&mut rows, row.id)?;
                        users::insert(&mut rows, &row, None)
                    }).unwrap();
                }
            })
        }).collect();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(stores[0].read(|tx| users::list(&mut tx.tenant(&scope))).unwrap().len(), 160);
    }

    fn impossible_data_is_named(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = user(&scope, "ada@example.com");
        let row = ada.clone();
        store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None)).unwrap();
        database.execute("UPDATE users SET email = 'nonsense'");
        match store.read(|tx| users::find(&mut tx.tenant(&scope), ada.id)) {
            Err(StoreError::Impossible { table: "users", column: "email", row }) => {
                assert_eq!(row, ada.id.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
}
