//! Copies of SQLite databases, and the places for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use keystead_storage::deployment::{self, StoredKeys};
use keystead_storage::snapshot::{self, NotADatabase, Occupied, Vacancy};
use keystead_storage::{Database, Store, Tx};
use keystead_testkit::TestDatabase;

use crate::rows::platform;

fn store(path: &Path) -> Store {
    let store = Store::open(&Database::Sqlite(path.to_owned()), 1).unwrap();
    store.migrate().unwrap();
    store
}

/// A migrated database of this master key.
fn used(path: &Path, key: &'static str) {
    let scope = platform();
    store(path).write(move |tx| deployment::insert_master_key_id(&mut tx.platform(&scope), key)).unwrap();
}

fn keys(store: &Store) -> StoredKeys {
    store.read(|tx| deployment::keys(&mut tx.platform(&platform()))).unwrap()
}

fn key_id(store: &Store) -> Option<String> {
    keys(store).master_key_id
}

#[test]
fn a_copy_has_one_state_however_much_is_written() {
    let database = TestDatabase::sqlite();
    let (path, scope) = (database.file().unwrap(), platform());
    let at = |number: u32| StoredKeys {
        master_key_id: Some(number.to_string()),
        root_key: Some(number.to_string()),
    };
    let store = store(path);
    let first = move |tx: &mut Tx<'_>| {
        let mut tx = tx.platform(&scope);
        deployment::insert_master_key_id(&mut tx, "0")?;
        deployment::insert_root_key(&mut tx, "0")
    };
    store.write(first).unwrap();
    let stop = AtomicBool::new(false);
    let states: BTreeSet<_> = thread::scope(|threads| {
        threads.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (old, next) = (at(number), (number + 1).to_string());
                let both = move |tx: &mut Tx<'_>| {
                    deployment::replace_master_key(&mut tx.platform(&scope), &old, &next, &next)
                };
                assert!(store.write(both).unwrap());
            }
        });
        let copies = (0..20).map(|number| {
            let copy = database.folder().join(format!("copy{number}"));
            fs::write(&copy, "").unwrap();
            snapshot::take(path, &copy).unwrap();
            let contents = snapshot::inspect(&copy).unwrap();
            let beside = format!("copy{number}-");
            let mut names = fs::read_dir(database.folder()).unwrap().map(|entry| entry.unwrap().file_name());
            assert!(names.all(|name| !name.to_str().unwrap().starts_with(&beside)), "one file is all of it");
            let keys = keys(&self::store(&copy));
            assert_eq!((&keys.master_key_id, &keys.master_key_id), (&keys.root_key, &contents.master_key_id));
            keys.master_key_id
        });
        let states = copies.collect();
        stop.store(true, Ordering::Relaxed);
        states
    });
    assert!(states.len() > 1, "it was written to in between");
}

#[test]
fn what_a_file_holds_is_looked_at_before_it_is_believed() {
    let database = TestDatabase::sqlite();
    let folder = database.folder();
    let path = folder.join("place.db");
    used(&path, "k");
    let contents = snapshot::inspect(&path).unwrap();
    assert!(contents.schema_version.starts_with("2026"), "{contents:?}");
    let foreign = folder.join("foreign");
    fs::write(&foreign, "").unwrap();
    assert!(matches!(snapshot::inspect(&foreign), Err(NotADatabase::Foreign)));
    fs::write(&foreign, [b'x'; 4096]).unwrap();
    assert!(matches!(snapshot::inspect(&foreign), Err(NotADatabase::Foreign)));
    fs::remove_file(&foreign).unwrap();
    drop(Store::open(&Database::Sqlite(foreign.clone()), 1).unwrap());
    assert!(
        matches!(snapshot::inspect(&foreign), Err(NotADatabase::Foreign)),
        "a database of something else"
    );
}

#[test]
fn a_place_is_vacant_where_nothing_can_be_lost() {
    let database = TestDatabase::sqlite();
    let folder = database.folder();
    let path = folder.join("place.db");
    drop(Vacancy::claim(&path).unwrap_or_else(|occupied| panic!("{occupied}")));
    used(&path, "old");
    let open = store(&path);
    assert!(matches!(Vacancy::claim(&path), Err(Occupied::InUse)), "a store is open");
    drop(open);
    let vacancy = Vacancy::claim(&path).unwrap_or_else(|occupied| panic!("{occupied}"));
    drop(vacancy);
    assert_eq!(key_id(&store(&path)).as_deref(), Some("old"), "claiming changes nothing");

    // Where there was none, one that appears in the meantime is not overwritten.
    let (empty, copy) = (folder.join("empty.db"), folder.join("copy.db"));
    used(&copy, "restored");
    let vacancy = Vacancy::claim(&empty).unwrap_or_else(|occupied| panic!("{occupied}"));
    used(&empty, "faster");
    assert!(vacancy.fill(&copy).is_err());
    assert_eq!(key_id(&store(&empty)).as_deref(), Some("faster"));
}

#[test]
fn who_waits_to_open_what_is_replaced_opens_what_replaces_it() {
    let database = TestDatabase::sqlite();
    let folder = database.folder();
    let (path, copy) = (folder.join("place.db"), folder.join("copy.db"));
    used(&path, "old");
    used(&copy, "restored");
    let vacancy = Vacancy::claim(&path).unwrap_or_else(|occupied| panic!("{occupied}"));
    let (opened, has_opened) = mpsc::channel();
    thread::scope(|scope| {
        let path = &path;
        scope.spawn(move || opened.send(key_id(&store(path))).unwrap());
        assert!(has_opened.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
        vacancy.fill(&copy).unwrap();
        assert_eq!(has_opened.recv().unwrap().as_deref(), Some("restored"));
    });
}
