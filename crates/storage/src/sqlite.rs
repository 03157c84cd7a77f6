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

/// After how many pages of the log the writer copies them into the file: after four times the usual, which makes
/// the log 16 MB. The pages that most writes change (the ends of the tables and of their indexes) are copied that
/// much less often. The log's index stays within the one hash table that its first 4,062 pages have.
const CHECKPOINTS: &str = "PRAGMA wal_autocheckpoint = 4000;";

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
        let opened = open(path, &format!("{PRAGMAS}{CHECKPOINTS}"));
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

/// A connection that changes nothing: it makes no file, and leaves the ones that are there as they are.
pub(crate) fn open_to_inspect(path: &Path) -> Result<Connection, StoreError> {
    let unavailable =
        |error: String| StoreError::Unavailable(format!("cannot open {}: {error}", path.display()));
    let text = path.to_str().ok_or_else(|| unavailable("its name is not UTF-8".to_owned()))?;
    // In a URI, these three would end the path or stand for something else.
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // To read a database in WAL mode, SQLite makes the files that go with it, unless it is told that
    // nobody writes. Whoever writes has made them.
    let immutable = if Path::new(&log).exists() { "" } else { "&immutable=1" };
    let mut conn = SqliteConnection::establish(&format!("file:{escaped}?mode=ro{immutable}"))
        .map_err(|error| unavailable(error.to_string()))?;
    conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON")
        .map_err(|error| unavailable(error.to_string()))?;
    Ok(Connection::Sqlite(Box::new(conn)))
}

/// Whether SQLite takes it when it is told that a commit has to be on the disk.
pub(crate) fn is_synchronous() -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Level {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        synchronous: i32,
    }
    let mut conn = SqliteConnection::establish(":memory:")
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    conn.batch_execute(PRAGMAS)?;
    let level: Level = diesel::RunQueryDsl::get_result(diesel::sql_query("PRAGMA synchronous"), &mut conn)?;
    Ok(level.synchronous >= 2)
}
