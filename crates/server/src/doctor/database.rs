//! The database, and whether the keys fit it.

use std::time::Duration;

use keystead_crypto::env::SystemEnv;
use keystead_domain::{Env as _, Timestamp};
use keystead_service::inspection;
use keystead_storage::inspection::{Inspection, PostgresFacts, SqliteFacts};
use keystead_storage::{Database, Schema, StoreError};

use super::{Finding, fail, files, ok, warn};
use crate::config::Config;
use crate::{deployment, master_key};

/// How far two clocks may be apart before somebody should know.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// The oldest PostgreSQL that is supported, as it numbers itself.
const OLDEST: i32 = 150_000;

/// What to do about a damaged database.
const RESTORE: &str = "stop the server, keep a copy of the files, and restore a backup";

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let database = deployment::database(config);
    let mut findings = Vec::new();
    if let Database::Sqlite(file) = &database {
        findings.extend(files::secret_file("database_file", file));
        findings.extend(files::is_wal(file).map(of_journal));
    }
    let mut inspection = match Inspection::open(&database) {
        Ok(Some(inspection)) => inspection,
        Ok(None) => {
            let advice = "nothing, if this is new: `keystead serve` makes it";
            findings.push(warn("database", "is not there yet", advice));
            findings.extend(key_of_new_database(config));
            return findings;
        }
        Err(error) => {
            findings.push(fail(
                "database",
                error.to_string(),
                "see that it runs, and that database_url is right",
            ));
            return findings;
        }
    };
    findings.push(ok("database", "answers"));
    let schema = inspection.schema();
    let can_be_read = matches!(schema, Ok(Schema::Current | Schema::Behind(_)));
    findings.push(of_schema(schema));
    if can_be_read {
        findings.extend(keys(config, &mut inspection));
    }
    findings.extend(of_kind(config, &database, &mut inspection));
    findings
}

fn of_schema(schema: Result<Schema, StoreError>) -> Finding {
    let check = "schema";
    match schema {
        Ok(Schema::Current) => ok(check, "is that of this version"),
        Ok(Schema::Empty) => {
            warn(check, "is not there yet", "nothing, if the database is new: `keystead serve` makes it")
        }
        Ok(Schema::Behind(steps)) => {
            let message = format!("is older than this version; steps missing: {steps}");
            warn(check, message, "back the database up, then run `keystead migrate`, or start the server")
        }
        Ok(Schema::Newer(step)) => {
            let message = format!("was made by a newer version of Keystead (step {step})");
            fail(check, message, "run that version or a later one")
        }
        Err(error) => fail(check, error.to_string(), RESTORE),
    }
}

/// The key that is there already for a database that is not.
fn key_of_new_database(config: &Config) -> Option<Finding> {
    let check = "master_key";
    match master_key::look(&config.data_dir, None) {
        Ok(Some(kept)) => Some(ok(check, format!("{}, in {}", kept.key.id(), kept.place))),
        Ok(None) => None,
        Err(failure) => Some(fail(check, failure.to_string(), "put the right key there, or remove it")),
    }
}

/// The master key, and all that it opens.
fn keys(config: &Config, inspection: &mut Inspection) -> Vec<Finding> {
    let check = "master_key";
    let expected = match inspection::master_key_id(inspection) {
        Ok(Some(expected)) => expected,
        Ok(None) => return key_of_new_database(config).into_iter().collect(),
        Err(error) => return vec![fail(check, error.to_string(), RESTORE)],
    };
    let put = format!("put the key {expected} there, from the copy that you keep apart from the database");
    let kept = match master_key::look(&config.data_dir, Some(&expected)) {
        Ok(Some(kept)) => kept,
        Ok(None) => return vec![fail(check, format!("{expected} is not there"), put)],
        Err(failure) => return vec![fail(check, failure.to_string(), put)],
    };
    if kept.key.id().as_str() != expected {
        let message =
            format!("the database belongs to {expected}, and the one in {} is {}", kept.place, kept.key.id());
        return vec![fail(check, message, put)];
    }
    let mut findings = vec![ok(check, format!("{expected}, in {}, is the database's", kept.place))];
    // A file that the operator named is the operator's: others who mount secrets choose their modes.
    findings.extend(kept.our_file.and_then(|file| files::secret_file("master_key_file", &file)));
    findings.push(match inspection::open_keys(inspection, &kept.key) {
        Ok(count) => ok("signing_keys", format!("open: {count}")),
        Err(error) => fail("signing_keys", error.to_string(), RESTORE),
    });
    findings
}

fn of_kind(config: &Config, database: &Database, inspection: &mut Inspection) -> Vec<Finding> {
    let now = SystemEnv.now();
    let facts = inspection.sqlite().and_then(|sqlite| Ok((sqlite, inspection.postgres()?)));
    match facts {
        Ok((Some(facts), _)) => {
            let mut findings = of_sqlite(&facts);
            if let Database::Sqlite(file) = database {
                findings.extend(files::written_at(file).map(|written| of_clock_and_file(written, now)));
            }
            findings
        }
        Ok((None, Some(facts))) => of_postgres(&facts, config.database_pool, now),
        Ok((None, None)) => Vec::new(),
        Err(error) => vec![fail("database_health", error.to_string(), RESTORE)],
    }
}

fn of_sqlite(facts: &SqliteFacts) -> Vec<Finding> {
    vec![
        match facts.quick_check.as_str() {
            "ok" => ok("quick_check", "the file is whole"),
            damage => fail("quick_check", damage, RESTORE),
        },
        if facts.is_synchronous {
            ok("synchronous", "full: what was answered is on the disk")
        } else {
            let message = "this binary's SQLite does not write through to the disk";
            fail("synchronous", message, "use a binary with the SQLite that Keystead brings along")
        },
    ]
}

fn of_journal(is_wal: bool) -> Finding {
    if is_wal {
        return ok("journal_mode", "wal");
    }
    let message = "is not wal: somebody changed it, and readers wait for writers";
    warn("journal_mode", message, "start the server, which puts it back to wal")
}

/// A file that was written to in the future tells of a clock that was put back.
fn of_clock_and_file(written: i64, now: Timestamp) -> Finding {
    let ahead = written.saturating_sub(now.as_unix_seconds());
    if ahead > 60 {
        let message = format!("the database was written to {ahead} seconds from now");
        return warn("clock", message, "see that this machine's clock is right, and kept so by NTP");
    }
    ok("clock", format!("{}, not before the database was written to", now.to_rfc3339_seconds()))
}

fn of_postgres(facts: &PostgresFacts, pool: usize, now: Timestamp) -> Vec<Finding> {
    let (major, minor) = (facts.version / 10_000, facts.version % 10_000);
    let mut findings = vec![
        if facts.version >= OLDEST {
            ok("postgres_version", format!("{major}.{minor}"))
        } else {
            fail("postgres_version", format!("{major}.{minor} is too old"), "use PostgreSQL 15 or later")
        },
        of_durability(facts),
    ];
    if facts.is_replica {
        let message = "this server is a replica, which cannot be written to";
        findings.push(fail("postgres_replica", message, "let database_url name the primary"));
    }
    if facts.is_superuser {
        let message = "the role of database_url is a superuser";
        findings.push(warn("postgres_role", message, "use a role that owns its database and no more"));
    }
    findings.push(if facts.pooled_by_transaction {
        fail(
            "postgres_pooling",
            "a pooler gives each transaction another connection (PgBouncer in transaction mode)",
            "connect to PostgreSQL itself, or use pool_mode = session: Keystead pools by itself",
        )
    } else {
        ok("postgres_pooling", "no pooler was seen that lends connections for a transaction")
    });
    let wanted = i64::try_from(pool).unwrap_or(i64::MAX);
    findings.push(if facts.connections < wanted {
        fail(
            "postgres_connections",
            format!("database_pool is {pool}, and the server lets us have {}", facts.connections),
            "lower database_pool, or raise max_connections or the limit of the role or database",
        )
    } else {
        let message = format!("{} for all processes together, {pool} for each of ours", facts.connections);
        ok("postgres_connections", message)
    });
    let apart = now.since(facts.now).max(facts.now.since(now));
    findings.push(if apart > CLOCKS_APART {
        let message = format!("this machine and the database's are {} seconds apart", apart.as_secs());
        warn("clock", message, "keep both clocks right by NTP")
    } else {
        ok("clock", format!("{}, as on the database's machine", now.to_rfc3339_seconds()))
    });
    findings
}

/// Whether what was answered survives a power cut.
fn of_durability(facts: &PostgresFacts) -> Finding {
    let check = "postgres_durability";
    let off: Vec<_> = [
        ("synchronous_commit", &facts.synchronous_commit),
        ("fsync", &facts.fsync),
        ("full_page_writes", &facts.full_page_writes),
    ]
    .into_iter()
    .filter(|(_, value)| *value == "off")
    .map(|(name, _)| name)
    .collect();
    if off.is_empty() {
        return ok(check, format!("synchronous_commit is {}, fsync is on", facts.synchronous_commit));
    }
    let message = format!("off: {}. What was answered can be lost in a power cut", off.join(", "));
    fail(check, message, "set them to on, for the server, the database and the role")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    const NOW: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    fn good() -> PostgresFacts {
        PostgresFacts {
            version: 150_004,
            synchronous_commit: "on".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            is_replica: false,
            is_superuser: false,
            connections: 97,
            now: NOW,
            pooled_by_transaction: false,
        }
    }

    /// The checks that did not go well.
    fn bad(facts: PostgresFacts, pool: usize) -> Vec<(&'static str, Status)> {
        let findings = of_postgres(&facts, pool, NOW);
        findings
            .into_iter()
            .filter(|finding| finding.status != Status::Ok)
            .map(|finding| {
                assert!(finding.advice.is_some(), "{}", finding.check);
                (finding.check, finding.status)
            })
            .collect()
    }

    #[test]
    fn what_is_wrong_with_postgresql_is_told() {
        let off = || "off".to_owned();
        let (warn, fail) = (Status::Warn, Status::Fail);
        assert_eq!(bad(good(), 16), []);
        for facts in [
            PostgresFacts { synchronous_commit: off(), ..good() },
            PostgresFacts { fsync: off(), ..good() },
            PostgresFacts { full_page_writes: off(), ..good() },
        ] {
            assert_eq!(bad(facts, 16), [("postgres_durability", fail)]);
        }
        assert_eq!(bad(PostgresFacts { synchronous_commit: "local".to_owned(), ..good() }, 16), []);
        assert_eq!(bad(PostgresFacts { version: 140_011, ..good() }, 16), [("postgres_version", fail)]);
        assert_eq!(bad(PostgresFacts { is_replica: true, ..good() }, 16), [("postgres_replica", fail)]);
        assert_eq!(bad(PostgresFacts { is_superuser: true, ..good() }, 16), [("postgres_role", warn)]);
        assert_eq!(
            bad(PostgresFacts { pooled_by_transaction: true, ..good() }, 16),
            [("postgres_pooling", fail)]
        );
        assert_eq!(bad(good(), 98), [("postgres_connections", fail)]);
        for now in [NOW + Duration::from_secs(6), NOW - Duration::from_secs(6)] {
            assert_eq!(bad(PostgresFacts { now, ..good() }, 16), [("clock", warn)]);
        }
    }

    #[test]
    fn a_damaged_file_and_a_changed_journal_are_told() {
        let good = SqliteFacts { is_synchronous: true, quick_check: "ok".into() };
        let statuses = |facts: &SqliteFacts| {
            of_sqlite(facts).into_iter().map(|finding| finding.status).collect::<Vec<_>>()
        };
        let (ok, warn, fail) = (Status::Ok, Status::Warn, Status::Fail);
        assert_eq!(statuses(&good), [ok, ok]);
        assert_eq!(statuses(&SqliteFacts { quick_check: "row 3".into(), ..good.clone() }), [fail, ok]);
        assert_eq!((of_journal(true).status, of_journal(false).status), (ok, warn));
        assert_eq!(statuses(&SqliteFacts { is_synchronous: false, ..good }), [ok, fail]);
        assert_eq!(of_clock_and_file(NOW.as_unix_seconds() + 61, NOW).status, warn);
        assert_eq!(of_clock_and_file(NOW.as_unix_seconds() + 60, NOW).status, ok);
    }
}
