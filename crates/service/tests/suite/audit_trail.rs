//! The audit trail: sealed, checked, taken out, and removed when it is old.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use keystead_domain::Owner;
use keystead_domain::audit::check::{Problem, Report};
use keystead_domain::id::EventId;
use keystead_service::audit_trail::{self, Exported, SILENCE};
use keystead_service::tenants::{self, NewTenant};
use keystead_service::{Caller, Engine};
use keystead_storage::Database;
use keystead_storage::audit::Period;
use keystead_testkit::{Keystead, TestDatabase, both_backends};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn verify(keystead: &Keystead) -> Report {
    audit_trail::verify(&keystead.engine, &Caller::host()).unwrap()
}

fn seal(keystead: &Keystead) -> usize {
    audit_trail::seal(&keystead.engine).unwrap()
}

/// Makes a tenant, which is one event; whether that worked.
fn act(engine: &Engine, name: &str) -> bool {
    let new = NewTenant { name: name.parse().unwrap(), slug: None, plan: None, entity_hotkey: None };
    tenants::create(engine, &Caller::host(), new).is_ok()
}

fn acts(keystead: &Keystead, count: usize) {
    (0..count).for_each(|number| assert!(act(&keystead.engine, &format!("T{number}"))));
}

/// What an export hands out: the ids of events and the numbers of seals, in order.
fn exported(keystead: &Keystead, of: Option<Owner>, period: Period) -> (Vec<String>, Vec<i64>) {
    let (mut events, mut seals) = (Vec::new(), Vec::new());
    audit_trail::export(&keystead.engine, &Caller::host(), of, period, &mut |part| {
        match part {
            Exported::Event(event) => events.push(event.record.id.clone()),
            Exported::Seal(seal) => seals.push(seal.number),
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    (events, seals)
}

/// Has the database refuse every third number of the audit trail.
fn refuse_every_third(database: &TestDatabase) {
    database.execute(match database.database() {
        Database::Sqlite(_) => {
            "CREATE TRIGGER refuse AFTER INSERT ON audit_events WHEN NEW.number % 3 = 0
             BEGIN SELECT RAISE(ABORT, 'a test refuses'); END"
        }
        Database::Postgres(_) => {
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'a test refuses'; END $$ LANGUAGE plpgsql;
             CREATE TRIGGER refuse AFTER INSERT ON audit_events FOR EACH ROW WHEN (NEW.number % 3 = 0)
             EXECUTE FUNCTION refuse()"
        }
    });
}

both_backends! {
    fn what_was_written_is_sealed_and_holds(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        assert_eq!(seal(&keystead), 0, "nothing is sealed where nothing was done");
        acts(&keystead, 3);
        let report = verify(&keystead);
        assert_eq!((report.unsealed, report.seals, report.is_sound()), (3, 0, true));
        assert_eq!(seal(&keystead), 1);
        acts(&keystead, 1);
        assert_eq!((seal(&keystead), seal(&keystead)), (1, 0));
        let report = verify(&keystead);
        assert_eq!((report.events, report.seals), (4, 2));
        assert!(report.findings.is_empty(), "{report:?}");
    }

    fn a_seal_covers_a_thousand_events_at_most(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        acts(&keystead, 1);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        for number in 0..1_000 {
            // Refused, and remembered.
            let email = format!("u{number}@example.com");
            assert!(crate::steps::sign_in(&keystead, &app, &email, "wrong horse battery staple").is_err());
        }
        assert_eq!(seal(&keystead), 2);
        assert!(verify(&keystead).findings.is_empty());
    }

    fn what_is_rolled_back_under_load_is_no_false_alarm(database: TestDatabase) {
        refuse_every_third(&database);
        let nodes = [Keystead::on(&database), Keystead::on(&database)];
        thread::scope(|scope| {
            for (node, keystead) in nodes.iter().enumerate() {
                for writer in 0..3 {
                    scope.spawn(move || {
                        for number in 0..30 {
                            act(&keystead.engine, &format!("T{node} {writer} {number}"));
                        }
                    });
                }
                scope.spawn(|| (0..20).for_each(|_| {
                    seal(keystead);
                    assert!(verify(keystead).is_sound());
                    thread::sleep(Duration::from_millis(5));
                }));
            }
        });
        for keystead in &nodes {
            seal(keystead);
        }
        let report = verify(&nodes[0]);
        assert!(report.findings.is_empty(), "{report:?}");
        assert_eq!(report.events, 120, "of 180, every third was refused");
    }

    fn what_a_dead_process_left_is_reported_until_a_server_seals_it(database: TestDatabase) {
        let dead = Keystead::on(&database);
        acts(&dead, 2);
        seal(&dead);
        acts(&dead, 3);
        drop(dead);
        let keystead = Keystead::on(&database);
        acts(&keystead, 1);
        seal(&keystead);
        audit_trail::adopt(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert_eq!((report.unsealed, report.is_sound()), (3, true), "it may still live");
        keystead.advance(SILENCE);
        // Two that find it at once.
        thread::scope(|scope| {
            let other = Keystead::on(&database);
            other.advance(SILENCE);
            scope.spawn(move || audit_trail::adopt(&other.engine).unwrap());
            audit_trail::adopt(&keystead.engine).unwrap();
        });
        let report = verify(&keystead);
        assert!(report.findings.is_empty(), "{report:?}");
        assert_eq!((report.events, report.seals), (6, 3));
        keystead.advance(DAY);
        audit_trail::adopt(&keystead.engine).unwrap();
        assert_eq!(database.dump("audit_processes").lines().count(), 1, "it is forgotten");
    }

    fn nothing_forged_is_sealed_with_a_tail(database: TestDatabase) {
        let dead = Keystead::on(&database);
        acts(&dead, 3);
        drop(dead);
        database.execute("UPDATE audit_events SET target = 'ten_x' WHERE number = 2");
        database.execute("INSERT INTO audit_events (owner, id, at, actor_kind, action, outcome, process, number, mac)
            SELECT owner, 'evt_x', at, actor_kind, action, outcome, process, 4, mac FROM audit_events WHERE number = 1");
        let keystead = Keystead::on(&database);
        keystead.advance(SILENCE);
        audit_trail::adopt(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert_eq!((report.altered, report.missing, report.unsealed), (2, 0, 0), "{report:?}");
    }

    fn a_process_that_was_taken_for_dead_goes_on(database: TestDatabase) {
        let slow = Keystead::on(&database);
        acts(&slow, 2);
        let other = Keystead::on(&database);
        other.advance(SILENCE);
        audit_trail::adopt(&other.engine).unwrap();
        assert_eq!(verify(&other).unsealed, 0);
        acts(&slow, 2);
        seal(&slow);
        acts(&slow, 1);
        audit_trail::close(&slow.engine).unwrap();
        let report = verify(&other);
        assert!(report.findings.is_empty(), "{report:?}");
        assert_eq!((report.events, report.seals), (5, 3));
    }

    fn what_was_done_to_the_trail_is_told(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        acts(&keystead, 3);
        seal(&keystead);
        acts(&keystead, 3);
        seal(&keystead);
        database.execute("UPDATE audit_events SET ip = '192.0.2.1', user_agent = NULL");
        assert!(verify(&keystead).findings.is_empty(), "addresses and devices may be erased");
        database.execute("UPDATE audit_events SET outcome = 'refused' WHERE number = 2");
        let report = verify(&keystead);
        assert_eq!((report.altered, report.findings[0].problem, report.findings[0].first), (1, Problem::Altered, 2));
        database.execute("DELETE FROM audit_events WHERE number IN (4, 5)");
        let report = verify(&keystead);
        assert_eq!((report.altered, report.missing, report.findings[1].first, report.findings[1].last), (1, 2, 4, 5));
        database.execute("INSERT INTO audit_events (owner, id, at, actor_kind, action, outcome) VALUES ('platform', 'evt_x', 0, 'host', 'x', 'done')");
        assert_eq!(verify(&keystead).altered, 2);
        database.execute("DELETE FROM audit_seals WHERE number = 1");
        assert!(verify(&keystead).findings.iter().any(|found| found.part == keystead_domain::audit::check::Part::Seals));
        // What is sealed from now on does not hide it.
        acts(&keystead, 1);
        seal(&keystead);
        assert!(!verify(&keystead).is_sound());
    }

    fn a_process_seals_what_it_wrote_and_not_what_it_finds(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        acts(&keystead, 3);
        database.execute("DELETE FROM audit_events WHERE number = 1");
        database.execute("UPDATE audit_events SET target = NULL WHERE number = 3");
        seal(&keystead);
        let report = verify(&keystead);
        assert_eq!((report.missing, report.altered, report.unsealed), (1, 1, 0), "{report:?}");
    }

    fn seals_that_are_gone_are_missed_by_the_next(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        acts(&keystead, 2);
        seal(&keystead);
        acts(&keystead, 2);
        seal(&keystead);
        database.execute("DELETE FROM audit_seals WHERE number = 2; DELETE FROM audit_events WHERE number > 2");
        acts(&keystead, 1);
        seal(&keystead);
        let report = verify(&keystead);
        assert_eq!((report.missing, report.findings[0].first, report.findings[0].last), (2, 3, 4));
    }

    fn whole_sealed_ranges_that_are_old_are_removed(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.audit_retention = Some(7 * DAY));
        acts(&keystead, 2);
        seal(&keystead);
        acts(&keystead, 2);
        seal(&keystead);
        database.execute("UPDATE audit_events SET target = 'ten_x' WHERE number = 4");
        keystead.advance(8 * DAY);
        acts(&keystead, 2);
        seal(&keystead);
        acts(&keystead, 1);
        audit_trail::remove_old(&keystead.engine).unwrap();
        let report = verify(&keystead);
        assert_eq!((report.events, report.removed_ranges, report.missing, report.unsealed), (5, 1, 0, 1));
        assert_eq!((report.altered, report.findings[0].first), (1, 4), "what does not hold is kept");
        audit_trail::remove_old(&keystead.engine).unwrap();
        assert_eq!(verify(&keystead), report);

        // A mark cannot be copied.
        database.execute("UPDATE audit_seals SET removed_at = (SELECT removed_at FROM audit_seals WHERE number = 1),
            removal_mac = (SELECT removal_mac FROM audit_seals WHERE number = 1) WHERE number = 3");
        database.execute("DELETE FROM audit_events WHERE number IN (5, 6)");
        let report = verify(&keystead);
        assert_eq!((report.removed_ranges, report.missing, report.altered), (1, 2, 2), "{report:?}");
    }

    fn a_seal_that_nobody_can_read_keeps_no_other_from_being_removed(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.audit_retention = Some(7 * DAY));
        // More than one page of them.
        for _ in 0..120 {
            acts(&keystead, 1);
            seal(&keystead);
        }
        database.execute("UPDATE audit_seals SET absent = 'x' WHERE number IN (1, 100, 120)");
        keystead.advance(8 * DAY);
        audit_trail::remove_old(&keystead.engine).unwrap();
        let report = verify(&keystead);
        // The last one is followed by none that would miss its event.
        assert_eq!((report.removed_ranges, report.altered, report.unsealed), (117, 3, 1), "{report:?}");
    }

    fn nothing_is_removed_unless_that_is_set(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        acts(&keystead, 1);
        seal(&keystead);
        keystead.advance(10_000 * DAY);
        audit_trail::remove_old(&keystead.engine).unwrap();
        assert_eq!(verify(&keystead).events, 1);
    }

    fn events_of_before_there_were_seals_are_sealed_first(database: TestDatabase) {
        database.execute("DROP TABLE audit_seals");
        database.execute("DROP TABLE audit_processes");
        database.execute("DROP INDEX audit_events_number");
        for column in ["process", "number", "mac"] {
            database.execute(&format!("ALTER TABLE audit_events DROP COLUMN {column}"));
        }
        database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261125000070'");
        for number in 0..1_200 {
            if number % 100 == 0 {
                let rows: Vec<_> = (number..number + 100)
                    .map(|n| format!("('platform', 'evt_{n:05}', {n}, 'host', 'tenant.created', 'done')"))
                    .collect();
                database.execute(&format!("INSERT INTO audit_events (owner, id, at, actor_kind, action, outcome) VALUES {}", rows.join(",")));
            }
        }
        assert_eq!(database.open().migrate().unwrap(), 1);
        crate::steps::have_keys_of_before_marks(&database);
        let keystead = Keystead::on(&database);
        acts(&keystead, 1);
        seal(&keystead);
        let report = verify(&keystead);
        assert!(report.findings.is_empty(), "{report:?}");
        assert_eq!((report.events, report.seals), (1_201, 3));
        assert_eq!(exported(&keystead, None, Period::default()).0.len(), 1_201);

        let one_more = "INSERT INTO audit_events (owner, id, at, actor_kind, action, outcome, process, number) VALUES
            ('platform', 'evt_x', 0, 'host', 'x', 'done', 'boot_00000000000000000000000000', 1201)";
        database.execute(one_more);
        database.execute("INSERT INTO audit_processes (id, seen_at) VALUES ('boot_00000000000000000000000000', 0)");
        let again = Keystead::on(&database);
        assert_eq!(verify(&again).altered, 1, "not even a start takes it for old");
    }

    fn an_export_has_the_events_and_their_seals(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        seal(&keystead);
        keystead.advance(DAY);
        let later = keystead.now();
        let other = keystead.tenant("Other");
        seal(&keystead);
        keystead.app(other.owner(), &[]);
        let all = exported(&keystead, None, Period::default());
        assert_eq!((all.0.len(), all.1), (5, vec![1, 2]));
        assert!(all.0.iter().all(|id| id.parse::<EventId>().is_ok()));
        let since = exported(&keystead, None, Period { since: Some(later), until: None });
        assert_eq!((since.0.as_slice(), since.1), (&all.0[2..], vec![2]));
        let until = exported(&keystead, None, Period { since: None, until: Some(later) });
        assert_eq!((until.0.as_slice(), until.1), (&all.0[..2], vec![1]));

        let of_acme = exported(&keystead, Some(acme.owner()), Period::default());
        assert_eq!((of_acme.0.len(), of_acme.1), (2, vec![1]));
        // Those of one instant may come in another order.
        assert!(of_acme.0.iter().all(|id| all.0[..2].contains(id)));
        let of_other = exported(&keystead, Some(other.owner()), Period::default());
        assert_eq!((of_other.0.len(), of_other.1), (3, vec![2]));
        assert!(of_other.0.iter().all(|id| all.0[2..].contains(id)));
        let none = exported(&keystead, Some(Owner::Platform), Period::default());
        assert_eq!(none, (Vec::new(), Vec::new()));
    }

    fn whoever_is_not_the_host_reads_no_trail(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        assert!(audit_trail::verify(&keystead.engine, &app).is_err());
        for of in [None, Some(acme.owner())] {
            let refused = audit_trail::export(&keystead.engine, &app, of, Period::default(), &mut |_| panic!("it is handed out"));
            assert!(refused.is_err());
        }
    }
}
