//! Opening SQLite connections.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, SqliteConnection};

use crate::StoreError;
use crate::connection::Connection;

/// WAL, so that readers and the writer do not wait for each other; `synchronous = FULL`, so that
/// a commit is on the disk when it returns; foreign keys, which are off otherwise. Another process
/// (a command on the host) may hold the write lock for a moment, hence the timeout.
const PRAGMAS: &str = "PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -2000;";

/// The connection that writes. Makes the file, readable by its owner only, where there is none;
/// SQLite gives its `-wal` and `-shm` files the same mode.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::Unavailable(format!("cannot open {}: {error}", path.display())))?;
    open(path, PRAGMAS)
}

/// A connection that reads. It cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = open(path, PRAGMAS)?;
    if let Connection::Sqlite(conn) = &mut connection {
        conn.batch_execute("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}

fn open(path: &Path, pragmas: &str) -> Result<Connection, StoreError> {
    let unavailable =
        |error: String| StoreError::Unavailable(format!("cannot open {}: {error}", path.display()));
    let text = path.to_str().ok_or_else(|| unavailable("its name is not UTF-8".to_owned()))?;
    // SQLite would read a name that starts with `file:` as a URI.
    let text = if text.starts_with('/') { text.to_owned() } else { format!("./{text}") };
    let mut conn = SqliteConnection::establish(&text).map_err(|error| unavailable(error.to_string()))?;
    conn.batch_execute(pragmas).map_err(|error| unavailable(error.to_string()))?;
    Ok(Connection::Sqlite(Box::new(conn)))
}
