//! Opening SQLite connections.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
    let unavailable =
        |error: io::Error| StoreError::Unavailable(format!("cannot open {}: {error}", path.display()));
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .and_then(|file| file.metadata())
            .map_err(unavailable)?;
        let opened = open(path, PRAGMAS);
        // A database without data may have been replaced by a restored one while this waited to
        // open it; SQLite then refuses to write to what has gone, or does not notice. It cannot be
        // replaced any more once this has it open: `snapshot::Vacancy`.
        let there = std::fs::metadata(path).map_err(unavailable)?;
        if (file.dev(), file.ino()) == (there.dev(), there.ino()) {
            return opened;
        }
    }
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
    Ok(Connection::Sqlite(Box::new(connect(path, pragmas)?)))
}

/// A connection of the caller's own.
pub(crate) fn connect(path: &Path, pragmas: &str) -> Result<SqliteConnection, StoreError> {
    let unavailable =
        |error: String| StoreError::Unavailable(format!("cannot open {}: {error}", path.display()));
    let text = path.to_str().ok_or_else(|| unavailable("its name is not UTF-8".to_owned()))?;
    // SQLite would read a name that starts with `file:` as a URI.
    let text = if text.starts_with('/') { text.to_owned() } else { format!("./{text}") };
    let mut conn = SqliteConnection::establish(&text).map_err(|error| unavailable(error.to_string()))?;
    conn.batch_execute(pragmas).map_err(|error| unavailable(error.to_string()))?;
    Ok(conn)
}

/// The file that SQLite keeps beside a database, by its suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
