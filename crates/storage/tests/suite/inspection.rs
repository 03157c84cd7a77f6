//! Looking at a database leaves it as it is.

use keystead_storage::inspection::Inspection;
use keystead_storage::{Database, Schema, StoreError, deployment};
use keystead_testkit::both_backends;

use crate::rows::platform;

/// The files of the test's folder, and what the database's own holds.
fn files(database: &keystead_testkit::TestDatabase) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(database.folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

both_backends! {
    fn looking_changes_nothing(database: TestDatabase) {
        let before = files(&database);
        let mut inspection = Inspection::open(database.database()).unwrap().unwrap();
        assert_eq!(inspection.schema().unwrap(), Schema::Current);
        let keys = inspection.read(|tx| deployment::keys(&mut tx.platform(&platform()))).unwrap();
        assert!(keys.master_key_id.is_none());
        let refused = inspection.read(|tx| deployment::insert_master_key_id(&mut tx.platform(&platform()), "x"));
        assert!(refused.is_err(), "it cannot write");
        match database.database() {
            Database::Sqlite(_) => {
                let facts = inspection.sqlite().unwrap().unwrap();
                assert_eq!((facts.quick_check.as_str(), facts.is_synchronous), ("ok", true));
                assert!(inspection.postgres().unwrap().is_none());
            }
            Database::Postgres(_) => {
                let facts = inspection.postgres().unwrap().unwrap();
                assert!(facts.version >= 150_000 && facts.connections > 0, "{facts:?}");
                assert!(!facts.is_replica && !facts.pooled_by_transaction, "{facts:?}");
                assert!(facts.now > crate::rows::NOW);
                assert!(inspection.sqlite().unwrap().is_none());
            }
        }
        drop(inspection);
        assert!(before == files(&database));
    }

    fn a_database_in_use_is_looked_at(database: TestDatabase) {
        let (store, scope) = (database.open(), platform());
        store.write(move |tx| deployment::insert_master_key_id(&mut tx.platform(&scope), "mine")).unwrap();
        let mut inspection = Inspection::open(database.database()).unwrap().unwrap();
        let keys = inspection.read(|tx| deployment::keys(&mut tx.platform(&scope))).unwrap();
        assert_eq!(keys.master_key_id.as_deref(), Some("mine"));
    }

    fn another_schema_is_recognized(database: TestDatabase) {
        let schema = || Inspection::open(database.database()).unwrap().unwrap().schema().unwrap();
        database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261122000002'");
        assert_eq!(schema(), Schema::Behind(1));
        database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
        assert_eq!(schema(), Schema::Newer("99990101000000".to_owned()));
        database.execute("DROP TABLE __diesel_schema_migrations");
        assert_eq!(schema(), Schema::Empty);
    }
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystead.db");
    assert!(Inspection::open(&Database::Sqlite(path.clone())).unwrap().is_none());
    assert!(!path.exists());
    std::fs::write(&path, "this is no database, and long enough for anybody to see that it is none").unwrap();
    let damaged = Inspection::open(&Database::Sqlite(path)).and_then(|found| found.unwrap().schema());
    assert!(matches!(damaged, Err(StoreError::Failed(_) | StoreError::Unavailable(_))), "{damaged:?}");
}
