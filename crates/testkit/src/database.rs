//! A fresh database for each test, on either backend.

#![expect(clippy::panic, reason = "a test that cannot have its database fails")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Nullable, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};
use keystead_storage::{Database, Store};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::postgres::{self, Cluster};

/// A migrated, empty database of the test's own.
pub struct TestDatabase {
    database: Database,
    /// Where SQLite's file lies, removed with the test.
    folder: TempDir,
    /// On PostgreSQL, where the database can be dropped from.
    maintenance_url: Option<String>,
}

impl TestDatabase {
    /// A file.
    pub fn sqlite() -> Self {
        let folder = folder();
        let database = Database::Sqlite(folder.path().join("keystead.db"));
        let this = Self { database, folder, maintenance_url: None };
        this.open().migrate().unwrap_or_else(|error| panic!("cannot migrate: {error}"));
        this
    }

    /// A database in the tests' PostgreSQL; nothing where there is none. It is copied from one that
    /// was migrated once, since that is faster than migrating.
    pub fn postgres() -> Option<Self> {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let cluster = postgres::cluster()?;
        let process = std::process::id();
        let template = TEMPLATE.get_or_init(|| {
            let name = format!("keystead_template_{process}");
            execute(cluster.maintenance_url(), &format!("CREATE DATABASE {name}"));
            open(&Database::Postgres(cluster.url(&name)))
                .migrate()
                .unwrap_or_else(|error| panic!("cannot migrate: {error}"));
            name
        });
        Some(Self::made_on(cluster, &format!(" TEMPLATE {template}")))
    }

    /// A database on this cluster, which has to outlive it.
    pub fn on(cluster: &Cluster) -> Self {
        let this = Self::made_on(cluster, "");
        this.open().migrate().unwrap_or_else(|error| panic!("cannot migrate: {error}"));
        this
    }

    fn made_on(cluster: &Cluster, options: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keystead_test_{}_{number}", std::process::id());
        execute(cluster.maintenance_url(), &format!("CREATE DATABASE {name}{options}"));
        Self {
            database: Database::Postgres(cluster.url(&name)),
            folder: folder(),
            maintenance_url: Some(cluster.maintenance_url().to_owned()),
        }
    }

    /// Opens it once more.
    pub fn open(&self) -> Store {
        open(&self.database)
    }

    /// Which database it is.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Its `database_url`.
    pub fn url(&self) -> String {
        match &self.database {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres(url) => url.clone(),
        }
    }

    /// Runs SQL that no function of storage would.
    pub fn execute(&self, sql: &str) {
        match &self.database {
            Database::Sqlite(path) => {
                let done = SqliteConnection::establish(&path.to_string_lossy())
                    .map_err(|error| error.to_string())
                    // A server may be writing.
                    .and_then(|mut conn| {
                        conn.batch_execute(&format!("PRAGMA busy_timeout = 10000; {sql}"))
                            .map_err(|error| error.to_string())
                    });
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            Database::Postgres(url) => execute(url, sql),
        }
    }

    /// Makes it as it was before it was first migrated. Nobody may have it open.
    pub fn clear(&self) {
        match &self.database {
            Database::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm"] {
                    // Those beside the file are gone once it is closed.
                    let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
                }
            }
            Database::Postgres(url) => execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"),
        }
    }

    /// All that a table holds, as text.
    pub fn dump(&self, table: &str) -> String {
        match &self.database {
            Database::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.to_string_lossy())
                    .unwrap_or_else(|error| panic!("{error}"));
                let mut text = |sql: &str| -> String {
                    let row: TextRow =
                        sql_query(sql).get_result(&mut conn).unwrap_or_else(|error| panic!("{sql}: {error}"));
                    row.text.unwrap_or_default()
                };
                let columns = text(&format!(
                    "SELECT group_concat('quote(' || name || ')', ' || ''|'' || ') AS text \
                     FROM pragma_table_info('{table}')"
                ));
                text(&format!("SELECT group_concat({columns}, char(10)) AS text FROM {table}"))
            }
            Database::Postgres(url) => query(url, &format!("SELECT t::text FROM {table} t")),
        }
    }

    /// The names of all tables.
    pub fn tables(&self) -> Vec<String> {
        let names = match &self.database {
            Database::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.to_string_lossy())
                    .unwrap_or_else(|error| panic!("{error}"));
                let row: TextRow = sql_query(
                    "SELECT group_concat(name, char(10)) AS text FROM sqlite_schema WHERE type = 'table'",
                )
                .get_result(&mut conn)
                .unwrap_or_else(|error| panic!("{error}"));
                row.text.unwrap_or_default()
            }
            Database::Postgres(url) => {
                query(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            }
        };
        names.lines().map(str::to_owned).collect()
    }

    /// The file of a SQLite database, which has others beside it while it is in use.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.database {
            Database::Sqlite(path) => Some(path),
            Database::Postgres(_) => None,
        }
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Matters for a server that outlives the tests.
        if let (Database::Postgres(url), Some(maintenance_url)) = (&self.database, &self.maintenance_url) {
            let name = url.rsplit('/').next().and_then(|name| name.split('?').next()).unwrap_or_default();
            execute(maintenance_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

/// Runs SQL on PostgreSQL, as only tests do.
fn execute(url: &str, sql: &str) {
    query(url, sql);
}

/// The first columns of what it answers, a line each.
fn query(url: &str, sql: &str) -> String {
    let done =
        Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string()).and_then(
            |runtime| {
                runtime.block_on(async {
                    let (client, connection) =
                        tokio_postgres::connect(url, NoTls).await.map_err(|error| error.to_string())?;
                    let driver = tokio::spawn(connection);
                    let done = client.simple_query(sql).await.map_err(|error| format!("{error:?}"));
                    drop(client);
                    let _ = driver.await;
                    done
                })
            },
        );
    let answers = done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let lines = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("cannot make a temporary folder: {error}"))
}

fn open(database: &Database) -> Store {
    // Few connections each, since many tests share one server.
    Store::open(database, 8).unwrap_or_else(|error| panic!("cannot open the test's database: {error}"))
}

/// Runs a test on SQLite and on PostgreSQL: `name::sqlite` and `name::postgres`, the latter
/// reported as skipped where there is no PostgreSQL.
#[macro_export]
macro_rules! both_backends {
    ($($(#[$doc:meta])* fn $name:ident($database:ident: TestDatabase) $body:block)*) => {
        $(
            $(#[$doc])*
            mod $name {
                #[allow(unused_imports)]
                use super::*;

                fn run($database: $crate::TestDatabase) $body

                #[test]
                fn sqlite() {
                    run($crate::TestDatabase::sqlite());
                }

                #[test]
                fn postgres() {
                    match $crate::TestDatabase::postgres() {
                        Some(database) => run(database),
                        None => $crate::postgres::skip(concat!(module_path!(), "::postgres")),
                    }
                }
            }
        )*
    };
}
