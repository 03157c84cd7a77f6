//! What somebody can do who writes to the database and has no key: `verify` tells all of it.

use std::time::Duration;

use keystead_domain::audit::check::{Part, Report};
use keystead_service::Caller;
use keystead_service::audit_trail::{self, SILENCE};
use keystead_service::tenants::{self, NewTenant};
use keystead_storage::Database;
use keystead_testkit::{Keystead, TestDatabase, both_backends};

const DAY: Duration = Duration::from_secs(24 * 3600);
const FOUNDING: &str = "boot_00000000000000000000000000";

fn verify(keystead: &Keystead) -> Report {
    audit_trail::verify(&keystead.engine, &Caller::host()).unwrap()
}

/// Makes tenants, which is an event each, and seals them.
fn sealed(keystead: &Keystead, names: &[&str]) {
    unsealed(keystead, names);
    audit_trail::seal(&keystead.engine).unwrap();
}

fn unsealed(keystead: &Keystead, names: &[&str]) {
    for name in names {
        let new = NewTenant { name: name.parse().unwrap(), slug: None, plan: None, entity_hotkey: None };
        tenants::create(&keystead.engine, &Caller::host(), new).unwrap();
    }
}

/// A process that wrote and sealed this, and has ended.
fn ended(database: &TestDatabase, names: &[&str]) {
    let keystead = Keystead::on(database);
    unsealed(&keystead, names);
    audit_trail::close(&keystead.engine).unwrap();
}

/// Whoever writes to the database forges a seal of the only process that is known, of this range.
fn forge_seal(database: &TestDatabase, number: i64, last: i64) {
    let zeros = match database.database() {
        Database::Sqlite(_) => "zeroblob(32)",
        Database::Postgres(_) => "decode(repeat('00', 32), 'hex')",
    };
    database.execute(&format!(
        "INSERT INTO audit_seals (number, process, ordinal, first_event, last_event, absent, sealed_by, sealed_at, hash, key_id, mac)
         SELECT {number}, id, {number}, 1, {last}, '', 'itself', 0, {zeros}, 'x', {zeros} FROM audit_processes"
    ));
}

/// Adds events that were never written, in the name of a process.
fn forge_event(database: &TestDatabase, process: &str, number: &str) {
    database.execute(&format!(
        "INSERT INTO audit_events (owner, id, at, actor_kind, action, outcome, process, number)
         VALUES ('platform', 'evt_forged', 0, 'host', 'user.locked', 'done', {process}, {number})"
    ));
}

both_backends! {
    fn an_event_under_another_spelling_of_the_process_is_found(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        sealed(&keystead, &["A", "B"]);
        forge_event(&database, "(SELECT upper(substr(min(id), 6)) FROM audit_processes)", "1");
        let report = verify(&keystead);
        assert_eq!((report.altered, report.events), (1, 3), "{report:?}");
    }

    fn a_forged_seal_keeps_no_process_from_sealing_what_it_wrote(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        unsealed(&keystead, &["A", "B", "C"]);
        forge_seal(&database, 1, 1_000_000);
        audit_trail::close(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert!(report.altered > 0 && report.unsealed == 0, "{report:?}");
        database.execute("DELETE FROM audit_seals WHERE key_id = 'x'; DELETE FROM audit_events WHERE number > 1");
        let report = verify(&keystead);
        assert_eq!(report.missing, 3, "two events, and a seal where the forged one was: {report:?}");
    }

    fn a_forged_seal_gives_no_tail_to_nobody(database: TestDatabase) {
        let dead = Keystead::on(&database);
        unsealed(&dead, &["A", "B", "C"]);
        drop(dead);
        forge_seal(&database, 1, 1_000_000);
        let keystead = Keystead::on(&database);
        keystead.advance(SILENCE);
        audit_trail::adopt(&keystead.engine).unwrap();
        database.execute("DELETE FROM audit_seals WHERE key_id = 'x'");
        assert_eq!(verify(&keystead).unsealed, 0);
        database.execute("DELETE FROM audit_events WHERE number = 3");
        assert!(!verify(&keystead).is_sound());
    }

    fn the_highest_number_is_no_way_to_stop_a_process(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        unsealed(&keystead, &["A"]);
        forge_seal(&database, i64::MAX, 1);
        assert!(audit_trail::seal(&keystead.engine).is_err(), "there is no room behind it");
        assert!(!verify(&keystead).is_sound());
        database.execute("DELETE FROM audit_seals");
        unsealed(&keystead, &["B"]);
        audit_trail::seal(&keystead.engine).unwrap();
        assert!(verify(&keystead).findings.is_empty(), "nothing was lost");
    }

    fn the_end_cannot_be_cut_off(database: TestDatabase) {
        ended(&database, &["A", "B"]);
        ended(&database, &["C"]);
        let reader = Keystead::on(&database);
        assert!(verify(&reader).findings.is_empty());
        database.execute("DELETE FROM audit_events WHERE process = (SELECT process FROM audit_seals WHERE number = 2)");
        database.execute("DELETE FROM audit_seals WHERE number = 2");
        let report = verify(&reader);
        assert_eq!((report.missing, &report.findings[0].part, report.findings[0].first), (1, &Part::Seals, 2), "{report:?}");
        // What is sealed from now on does not hide it.
        ended(&database, &["D"]);
        assert!(!verify(&reader).is_sound());
        ended(&database, &["E", "F"]);
        assert!(!verify(&reader).is_sound());
    }

    fn a_newest_seal_without_its_seal_is_not_only_unsealed(database: TestDatabase) {
        ended(&database, &["A", "B"]);
        database.execute("DELETE FROM audit_seals");
        database.execute("DELETE FROM audit_events WHERE number = 1");
        database.execute("INSERT INTO audit_processes (id, seen_at) SELECT process, 0 FROM audit_events");
        let keystead = Keystead::on(&database);
        assert!(!verify(&keystead).is_sound());
        // A server that takes the process for dead vouches for what it finds, and not for the end.
        keystead.advance(SILENCE);
        audit_trail::adopt(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert!(report.seals == 1 && !report.is_sound(), "{report:?}");
    }

    fn a_trail_that_is_gone_is_missed(database: TestDatabase) {
        ended(&database, &["A", "B"]);
        ended(&database, &["C"]);
        for table in ["audit_events", "audit_seals", "audit_processes"] {
            database.execute(&format!("DELETE FROM {table}"));
        }
        let report = verify(&Keystead::on(&database));
        assert_eq!((report.missing, &report.findings[0].part), (2, &Part::Seals), "{report:?}");
        database.execute("DELETE FROM deployment WHERE key = 'audit_end'");
        let again = Keystead::on(&database);
        assert_eq!((verify(&again).missing, &verify(&again).findings[0].part), (1, &Part::End));
        sealed(&again, &["D"]);
        assert_eq!(verify(&again).missing, 1, "nobody makes it anew");
    }

    fn no_other_past_is_put_in_the_place_of_a_trail(database: TestDatabase) {
        ended(&database, &["A", "B"]);
        for table in ["audit_events", "audit_seals", "audit_processes"] {
            database.execute(&format!("DELETE FROM {table}"));
        }
        forge_event(&database, &format!("'{FOUNDING}'"), "1");
        database.execute(&format!("INSERT INTO audit_processes (id, seen_at) VALUES ('{FOUNDING}', 0)"));
        let keystead = Keystead::on(&database);
        let report = verify(&keystead);
        assert!(report.seals == 0 && !report.is_sound(), "a start seals no such past: {report:?}");
    }

    fn the_mark_of_the_end_cannot_be_forged_or_moved(database: TestDatabase) {
        ended(&database, &["A"]);
        let read = || database.dump("deployment");
        let first = read();
        ended(&database, &["B"]);
        let reader = Keystead::on(&database);
        assert_ne!(read(), first, "each seal moves it");
        for forged in ["", "x", "1", "2:-:00", "9223372036854775807:-:-"] {
            database.execute(&format!("UPDATE deployment SET value = '{forged}' WHERE key = 'audit_end'"));
            assert!(!verify(&reader).is_sound(), "{forged}");
        }
    }

    fn a_database_of_before_there_was_a_mark_gets_one_once(database: TestDatabase) {
        crate::steps::have_keys_of_before_marks(&database);
        ended(&database, &["A"]);
        assert!(verify(&Keystead::on(&database)).findings.is_empty());
        database.execute("DELETE FROM deployment WHERE key = 'audit_end'");
        for _ in 0..2 {
            let report = verify(&Keystead::on(&database));
            assert_eq!((report.missing, &report.findings[0].part), (1, &Part::End), "{report:?}");
        }
    }

    fn retention_hides_nothing_that_is_not_sealed(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.audit_retention = Some(7 * DAY));
        sealed(&keystead, &["A", "B"]);
        unsealed(&keystead, &["C"]);
        // A forged old seal over what is not sealed yet, and an old seal that is stretched over it.
        forge_seal(&database, 2, 3);
        database.execute("UPDATE audit_seals SET last_event = 3 WHERE number = 1");
        keystead.advance(8 * DAY);
        audit_trail::remove_old(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert_eq!((report.events, report.removed_ranges), (3, 0), "{report:?}");
        assert!(report.altered >= 2);
    }
}

/// SQLite keeps values of any type in any column.
#[test]
fn values_of_other_types_hide_nothing() {
    let database = TestDatabase::sqlite();
    let keystead = Keystead::on(&database);
    sealed(&keystead, &["A", "B"]);
    let process = "(SELECT min(id) FROM audit_processes)";
    for (process, number) in [
        (process.to_owned(), "0.5"),
        (process.to_owned(), "'x'"),
        (process.to_owned(), "x'01'"),
        (format!("CAST({process} AS BLOB)"), "1"),
        ("x'61'".to_owned(), "'y'"),
    ] {
        forge_event(&database, &process, number);
        let report = verify(&keystead);
        assert_eq!((report.altered, report.events), (1, 3), "{process} {number}: {report:?}");
        database.execute("DELETE FROM audit_events WHERE id = 'evt_forged'");
    }
    assert!(verify(&keystead).findings.is_empty());

    // Nor do they keep anybody busy for ever.
    forge_seal(&database, 2, 2);
    database.execute("UPDATE audit_seals SET number = 'x', sealed_at = 0 WHERE key_id = 'x'");
    assert!(!verify(&keystead).is_sound());
    let retention = Keystead::with(&database, |settings| settings.audit_retention = Some(7 * DAY));
    retention.advance(8 * DAY);
    audit_trail::remove_old(&retention.engine).unwrap();
    assert_eq!(verify(&keystead).removed_ranges, 1);
}
