//! Bringing a schema up to date.

use std::sync::{Arc, Barrier};
use std::thread;

use keystead_storage::{Database, Store, StoreError};
use keystead_testkit::{TestDatabase, both_backends};

both_backends! {
    fn a_second_run_does_nothing(database: TestDatabase) {
        assert_eq!(database.open().migrate().unwrap(), 0);
    }

    fn a_database_of_a_newer_version_is_refused(database: TestDatabase) {
        database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
        assert!(matches!(database.open().migrate(), Err(StoreError::Newer(version)) if version == "99990101000000"));
    }

    fn several_processes_may_start_at_once(database: TestDatabase) {
        database.clear();
        let start = Arc::new(Barrier::new(4));
        let starters: Vec<_> = (0..4).map(|_| {
            let (store, start) = (database.open(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                store.migrate().unwrap()
            })
        }).collect();
        let steps: Vec<_> = starters.into_iter().map(|starter| starter.join().unwrap()).collect();
        assert_eq!(steps.iter().filter(|&&steps| steps > 0).count(), 1, "{steps:?}");
    }
}

#[test]
fn a_sqlite_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let database = TestDatabase::sqlite();
    let Database::Sqlite(path) = database.database() else { panic!("not a file") };
    let _open = database.open();
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_postgresql_that_is_not_there_is_said_to_be_unreachable() {
    let nowhere = Database::Postgres("postgres://ks:hunter2@127.0.0.1:1/ks".to_owned());
    let error = Store::open(&nowhere, 1).unwrap().migrate().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains("hunter2"));
}
