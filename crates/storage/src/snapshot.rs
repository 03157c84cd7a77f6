//! Whole SQLite databases as files: copying one while others use it, looking at a copy, and putting
//! one where there was none.

use std::io;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, SqliteConnection, sql_query};

use crate::{StoreError, sqlite};

/// What a file holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// The newest migration that it has.
    pub schema_version: String,
    /// The id of the master key that it belongs to; nothing where no version ever worked with it.
    pub master_key_id: Option<String>,
}

/// Why a file is not taken for a database of Keystead.
#[derive(Debug, thiserror::Error)]
pub enum NotADatabase {
    /// It is something else.
    #[error("it is not a database of Keystead")]
    Foreign,
    /// It was one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It cannot be looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the present state of the database at `from` into `into`, an empty file. Writers go on
/// meanwhile. The caller makes the copy durable.
///
/// `VACUUM INTO` reads in one transaction, as any reader does, and writes what is there now and no
/// page that was freed: a mail that was erased because it was sent is not in the copy.
pub fn take(from: &Path, into: &Path) -> Result<(), StoreError> {
    let mut conn = sqlite::connect(from, "PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY")?;
    let into = into.to_str().ok_or_else(|| StoreError::Failed("the copy's name is not UTF-8".to_owned()))?;
    sql_query("VACUUM INTO ?").bind::<Text, _>(into).execute(&mut conn)?;
    Ok(())
}

/// Looks at all of a file that nobody else has open.
pub fn inspect(file: &Path) -> Result<Contents, NotADatabase> {
    let mut conn = sqlite::connect(file, "PRAGMA query_only = ON").map_err(|_| NotADatabase::Foreign)?;
    let damaged = |error: diesel::result::Error| NotADatabase::Damaged(error.to_string());
    let tables = tables(&mut conn).map_err(|error| match error {
        // What SQLite says of a file that does not begin as its files do.
        error if error.to_string().contains("not a database") => NotADatabase::Foreign,
        error => damaged(error),
    })?;
    if !tables.iter().any(|name| name == MIGRATIONS) || !tables.iter().any(|name| name == DEPLOYMENT) {
        return Err(NotADatabase::Foreign);
    }
    let verdicts = sql_query("SELECT integrity_check AS text FROM pragma_integrity_check LIMIT 1");
    let verdict: Vec<TextRow> = verdicts.load(&mut conn).map_err(damaged)?;
    if let Some(verdict) = verdict.iter().find(|verdict| verdict.text != "ok") {
        return Err(NotADatabase::Damaged(verdict.text.clone()));
    }
    let orphans =
        count(&mut conn, "SELECT count(*) AS count FROM pragma_foreign_key_check").map_err(damaged)?;
    if orphans > 0 {
        return Err(NotADatabase::Damaged(format!("{orphans} rows belong to rows that are not there")));
    }
    let one = |conn: &mut SqliteConnection, sql: &str| -> Result<Option<String>, NotADatabase> {
        let row: Option<TextRow> = sql_query(sql).get_result(conn).optional().map_err(damaged)?;
        Ok(row.map(|row| row.text))
    };
    let newest = format!("SELECT version AS text FROM {MIGRATIONS} ORDER BY version DESC LIMIT 1");
    let key = format!("SELECT value AS text FROM {DEPLOYMENT} WHERE key = 'master_key_id'");
    Ok(Contents {
        schema_version: one(&mut conn, &newest)?.ok_or(NotADatabase::Foreign)?,
        master_key_id: one(&mut conn, &key)?,
    })
}

/// A place for a database, where there is none or one without data, and nobody uses it.
pub struct Vacancy {
    path: PathBuf,
    /// Keeps others out of a database that is there.
    held: Option<SqliteConnection>,
}

/// Why a place is not vacant.
#[derive(Debug, thiserror::Error)]
pub enum Occupied {
    /// There is a database with data.
    #[error("there is a database with data (in the table {0})")]
    Data(String),
    /// Another process has it open.
    #[error("another process uses the database")]
    InUse,
    /// There is a file that is no database.
    #[error("there is a file that is not a database of Keystead")]
    Foreign,
    /// There is a part of another database, which SQLite would take for a part of the new one.
    #[error("there is {0}, which is left of another database")]
    Remains(PathBuf),
    /// The place cannot be looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vacancy {
    /// Claims the place at `path`. Nobody else can open a database that is there until this is
    /// dropped.
    pub fn claim(path: &Path) -> Result<Self, Occupied> {
        if !path.exists() {
            let remains = ["-wal", "-journal"].map(|suffix| sqlite::beside(path, suffix));
            return match remains.into_iter().find(|file| file.exists()) {
                Some(file) => Err(Occupied::Remains(file)),
                None => Ok(Self { path: path.to_owned(), held: None }),
            };
        }
        let mut conn = sqlite::connect(path, "PRAGMA busy_timeout = 0").map_err(|_| Occupied::Foreign)?;
        require_no_data(&mut conn)?;
        // Leaving WAL takes that no other connection is open, and a server keeps one open for as
        // long as it runs. The exclusive transaction keeps out whoever comes now.
        conn.batch_execute("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").map_err(occupied)?;
        // Somebody may have written since.
        require_no_data(&mut conn)?;
        Ok(Self { path: path.to_owned(), held: Some(conn) })
    }

    /// Moves a database into the place, at once or not at all. The caller has made it durable, and
    /// makes the move so.
    pub fn fill(self, file: &Path) -> io::Result<()> {
        match self.held {
            // Whoever waits to open what was there notices that it is gone: `sqlite::open_writer`.
            Some(_) => std::fs::rename(file, &self.path),
            // Fails where somebody has made a database in the meantime.
            None => {
                std::fs::hard_link(file, &self.path)?;
                std::fs::remove_file(file)
            }
        }
    }
}

const MIGRATIONS: &str = "__diesel_schema_migrations";
const DEPLOYMENT: &str = "deployment";

/// What a database has without anybody having done anything.
const MADE_AT_START: [&str; 5] = [MIGRATIONS, DEPLOYMENT, "audit_processes", "revocations", "signing_keys"];

fn require_no_data(conn: &mut SqliteConnection) -> Result<(), Occupied> {
    for table in tables(conn).map_err(occupied)? {
        if MADE_AT_START.contains(&table.as_str()) {
            continue;
        }
        let name = table.replace('"', "\"\"");
        let rows = format!("SELECT count(*) AS count FROM (SELECT 1 FROM \"{name}\" LIMIT 1)");
        if count(conn, &rows).map_err(occupied)? > 0 {
            return Err(Occupied::Data(table));
        }
    }
    Ok(())
}

fn occupied(error: diesel::result::Error) -> Occupied {
    match StoreError::from(error) {
        StoreError::Unavailable(_) => Occupied::InUse,
        StoreError::Failed(text) if text.contains("not a database") => Occupied::Foreign,
        other => Occupied::Store(other),
    }
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn tables(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    let names = "SELECT name AS text FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'";
    let rows: Vec<TextRow> = sql_query(names).load(conn)?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

fn count(conn: &mut SqliteConnection, sql: &str) -> QueryResult<i64> {
    let row: CountRow = sql_query(sql).get_result(conn)?;
    Ok(row.count)
}
