//! A throwaway PostgreSQL cluster for tests, started by the test process and gone with it.
//!
//! [`cluster`] gives the one cluster of this process, or `None` where the machine has no PostgreSQL:
//! the test then calls [`skip`] and returns. The cluster listens on a unix socket in its own
//! directory and nowhere else, so test processes side by side share neither a port nor a database.
//!
//! | variable | what it does |
//! |---|---|
//! | `KEYSTEAD_TEST_POSTGRES_URL` | a database on the server to use; its user may create databases |
//! | `KEYSTEAD_TEST_REQUIRE_POSTGRES` | when not empty, a machine without PostgreSQL fails the tests |
//!
//! The cluster has the semantics of a real one and not its durability: nothing is synced to disk,
//! as a crash of the machine loses nothing but tests. [`durable_cluster`] gives one that syncs, for
//! whoever measures.

#![expect(clippy::panic, reason = "a test that cannot have its database has to fail, and to say why")]

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Names a server to use in place of an own cluster.
const URL: &str = "KEYSTEAD_TEST_POSTGRES_URL";
/// Turns "no PostgreSQL here" from a skip into a failure.
const REQUIRE: &str = "KEYSTEAD_TEST_REQUIRE_POSTGRES";
/// The oldest major version that Keystead supports.
const OLDEST: u32 = 15;
/// Where Debian and its descendants keep one directory a major version, none of them on `PATH`.
const PACKAGED: &str = "/usr/lib/postgresql";
/// How long a cluster may take from `initdb` to its first connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest directory in which the socket's path is still an address: such a path ends at 107
/// bytes on Linux and at 103 on macOS.
const LONGEST_BASE: usize = 103 - "/keystead-pg-XXXXXX/.s.PGSQL.5432".len();

/// Makes the cluster, runs it, and removes it when standard input ends: when the test process does,
/// by whatever cause, as the kernel closes the other end of the pipe even after SIGKILL.
///
/// It ends by itself when `initdb` or `postgres` does, which is how [`Cluster::start`] learns of a
/// failure. It ignores the signals that end a test process: the end of that one is enough.
const WATCHDOG: &str = r#"
set -u
trap '' HUP INT TERM
bin=${1:?} dir=${2:?}
shift 2
trap 'rm -rf -- "${dir:?}"' EXIT
exec 3<&0 </dev/null

"$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
    --no-sync --no-instructions || exit

"$bin/postgres" -D "$dir/data" -k "$dir" -p 5432 -c listen_addresses= -c max_connections=300 "$@" 3<&- &
server=$!

# Again and again: a server that has yet to install its signal handlers ignores the signal.
{ cat; while kill -QUIT "$server"; do sleep 0.1; done; } <&3 >/dev/null 2>&1 &
watcher=$!

wait "$server"
status=$?
# A server that ended by itself has given its number back, perhaps to another process.
kill -KILL "$watcher"
exit "$status"
"#;

/// What a cluster of tests is started with: one that loses everything when the machine stops.
const THROWAWAY: &[&str] = &["-c", "shared_buffers=32MB", "-c", "fsync=off", "-c", "full_page_writes=off"];

/// A PostgreSQL server on which tests may create databases.
pub struct Cluster {
    /// Scheme, user and host: a URL up to its path.
    server: String,
    /// What follows the path: empty, or a query with its question mark.
    options: String,
    maintenance: String,
    /// Holds the write end of the pipe that keeps an own cluster alive.
    _watchdog: Option<Child>,
}

impl Cluster {
    /// The URL of the database of this name, which need not exist yet.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{}{}", self.server, percent_encode(database.as_bytes()), self.options)
    }

    /// The URL of a database that is always there, for `CREATE DATABASE` and `DROP DATABASE`.
    pub fn maintenance_url(&self) -> &str {
        &self.maintenance
    }

    /// The server that somebody else runs.
    fn at(url: &str) -> Result<Self, String> {
        let (location, options) = url.split_at(url.find('?').unwrap_or(url.len()));
        let (scheme, rest) = location
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "postgres" | "postgresql"))
            .ok_or_else(|| format!("{URL} has to begin with postgres://"))?;
        // It would win over the path: every test would get the maintenance database.
        if options.split(['?', '&']).any(|option| option.starts_with("dbname=")) {
            return Err(format!("{URL} has to name the database in its path, not as dbname"));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        Ok(Self {
            server: format!("{scheme}://{authority}"),
            options: options.to_owned(),
            maintenance: url.to_owned(),
            _watchdog: None,
        })
    }

    /// Makes a cluster with the programs in `bin` and these options of `postgres`, and waits until it
    /// takes connections.
    fn start(bin: &Path, options: &[&str]) -> Result<Self, String> {
        let account = Account::for_server()?;
        let (dir, mut watchdog, mut log) = launch(bin, options, account.as_ref())
            .map_err(|error| format!("cannot start a PostgreSQL cluster: {error}"))?;
        let mut failed = |what: &str| {
            let mut printed = Vec::new();
            let _ = log.read_to_end(&mut printed);
            format!(
                "PostgreSQL from {} {what}; it printed:\n{}",
                bin.display(),
                String::from_utf8_lossy(&printed)
            )
        };

        let started = Instant::now();
        while !is_ready(&dir.join("data")) {
            match watchdog.try_wait() {
                Ok(None) if started.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
                Ok(None) => return Err(failed(&format!("was not ready after {PATIENCE:?}"))),
                Ok(Some(status)) => return Err(failed(&format!("did not start ({status})"))),
                Err(error) => return Err(failed(&format!("was lost sight of ({error})"))),
            }
        }

        let server = format!("postgres://postgres@{}", percent_encode(dir.as_os_str().as_bytes()));
        Ok(Self {
            maintenance: format!("{server}/postgres"),
            server,
            options: String::new(),
            _watchdog: Some(watchdog),
        })
    }
}

/// The cluster of this test process, found or started by the first call; `None` where there is no
/// PostgreSQL.
///
/// # Panics
/// When PostgreSQL is there and does not start, with what it printed, or when it is required and
/// not there.
pub fn cluster() -> Option<&'static Cluster> {
    // The failure is kept as well: the next test need not wait for the same one.
    static CLUSTER: OnceLock<Result<Option<Cluster>, String>> = OnceLock::new();
    match CLUSTER.get_or_init(find_or_start) {
        Ok(cluster) => cluster.as_ref(),
        Err(reason) => panic!("{reason}"),
    }
}

/// A cluster that syncs what it commits, with PostgreSQL's own defaults, for whoever measures; `None`
/// where there is no PostgreSQL, or the reason why it does not start. It ends when it is dropped.
pub fn durable_cluster() -> Result<Option<Cluster>, String> {
    installed().map(|bin| Cluster::start(&bin, &[])).transpose()
}

/// Reports that a test did not run for want of a PostgreSQL.
///
/// The line goes to the handle itself: libtest captures what `eprintln!` writes, and shows it only
/// when the test fails.
pub fn skip(test: &str) {
    let line = format!("test … skipped: {test} (no PostgreSQL: install it or set {URL})\n");
    // A closed stderr is no reason for a test to fail.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn find_or_start() -> Result<Option<Cluster>, String> {
    if let Some(url) = variable(URL) {
        return Cluster::at(&url).map(Some);
    }
    match installed() {
        Some(bin) => Cluster::start(&bin, THROWAWAY).map(Some),
        None if variable(REQUIRE).is_some() => Err(format!(
            "{REQUIRE} is set, but {URL} is not, and neither PATH nor {PACKAGED} has initdb and \
             postgres, {OLDEST} or newer"
        )),
        None => Ok(None),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The directory with the `initdb` and `postgres` to use: on `PATH`, else the newest packaged one.
fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|dir| has_programs(dir))
        .filter(|dir| version_of(dir).is_some_and(|version| version >= OLDEST))
        // The watchdog works elsewhere, where a relative directory is another one.
        .find_map(|dir| dir.canonicalize().ok())
        .or_else(|| newest(Path::new(PACKAGED)))
}

/// The newest version's programs, of directories named for a major version; `None` if all are too
/// old.
fn newest(packaged: &Path) -> Option<PathBuf> {
    fs::read_dir(packaged)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(version, bin)| *version >= OLDEST && has_programs(bin))
        .max()
        .map(|(_, bin)| bin)
}

fn has_programs(dir: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| dir.join(program).is_file())
}

fn version_of(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stdout))
}

/// The 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(printed: &str) -> Option<u32> {
    let number = printed.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Spawns the watchdog with a new directory, which from then on is its to remove. The file is what
/// it and its programs print, and can be read when the directory is gone.
fn launch(bin: &Path, options: &[&str], account: Option<&Account>) -> io::Result<(PathBuf, Child, File)> {
    let dir = tempfile::Builder::new().prefix("keystead-pg-").tempdir_in(base(account.is_some()))?;
    let log = dir.path().join("log");
    let output = File::options().create_new(true).append(true).open(&log)?;
    let printed = File::open(&log)?;

    let mut watchdog = Command::new("/bin/sh");
    watchdog
        .args(["-c".as_ref(), WATCHDOG.as_ref(), OsStr::new("keystead-postgres")])
        .arg(bin)
        .arg(dir.path())
        .args(options);
    // The working directory of a test may be closed to the account. Its output stays its own:
    // whoever reads that to its end (a pipe, nextest) would wait for the cluster as well.
    watchdog.current_dir("/").stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    // Ctrl-C goes to the whole group of the tests, and the cluster should outlive them.
    watchdog.process_group(0);
    if let Some(account) = account {
        chown(dir.path(), Some(account.uid), Some(account.gid))?;
        watchdog.uid(account.uid).gid(account.gid);
    }
    let watchdog = watchdog.spawn()?;
    Ok((dir.keep(), watchdog, printed))
}

/// The system's directory for temporary files, or `/tmp` when that has too long a path or is closed
/// to the other account that runs the cluster.
fn base(other_account: bool) -> PathBuf {
    env::temp_dir()
        .canonicalize()
        .ok()
        .filter(|dir| dir.as_os_str().len() <= LONGEST_BASE)
        .filter(|dir| !other_account || is_open_to_all(dir))
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Whether any account can reach the directory, and make and remove directories in it.
fn is_open_to_all(dir: &Path) -> bool {
    let allows = |dir: &Path, bits: u32| fs::metadata(dir).is_ok_and(|found| found.mode() & bits == bits);
    allows(dir, 0o003) && dir.ancestors().all(|dir| allows(dir, 0o001))
}

/// Whether the server takes connections, as the eighth line of its lock file says; `pg_ctl` goes by
/// the same line. The socket is there earlier, but refuses.
fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|lock| lock.lines().nth(7).is_some_and(|status| status.starts_with("ready")))
}

/// The account that runs the cluster when root runs the tests: PostgreSQL refuses to be root.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` when the tests do not run as root: the cluster then runs as they do.
    fn for_server() -> Result<Option<Self>, String> {
        // std does not tell who we are; the owner of what we make does.
        let ours = tempfile::tempfile().and_then(|file| file.metadata());
        let ours = ours.map_err(|error| format!("no file in {}: {error}", env::temp_dir().display()))?;
        if ours.uid() != 0 {
            return Ok(None);
        }
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
        ["postgres", "nobody"].iter().find_map(|name| Self::named(name, &passwd)).map(Some).ok_or_else(|| {
            "PostgreSQL refuses to run as root, and /etc/passwd has no postgres and no nobody".to_owned()
        })
    }

    /// Looks an account up in the text of an `/etc/passwd`: `name:password:uid:gid:…`.
    fn named(name: &str, passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let mut ids = fields.skip(1).map_while(|id| id.parse().ok());
            Some(Self { uid: ids.next()?, gid: ids.next()? })
        })
    }
}

/// Leaves only what RFC 3986 (2.3) calls unreserved: a path can be a host then, and any name a
/// segment of a path.
fn percent_encode(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory laid out as Debian's, with these versions installed.
    fn packaged(versions: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for version in versions {
            let bin = root.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            File::create(bin.join("initdb")).unwrap();
            File::create(bin.join("postgres")).unwrap();
        }
        root
    }

    #[test]
    fn a_path_becomes_a_host() {
        assert_eq!(percent_encode(b"/tmp/keystead-pg-a1_.~"), "%2Ftmp%2Fkeystead-pg-a1_.~");
        assert_eq!(percent_encode("ü/?#% @".as_bytes()), "%C3%BC%2F%3F%23%25%20%40");
    }

    #[test]
    fn a_given_url_changes_only_its_database() {
        let given = "postgresql://me:s%2Fcret@db:5433/postgres?sslmode=disable&application_name=a/b";
        let cluster = Cluster::at(given).unwrap();
        assert_eq!(cluster.maintenance_url(), given);
        assert_eq!(
            cluster.url("test 1"),
            "postgresql://me:s%2Fcret@db:5433/test%201?sslmode=disable&application_name=a/b"
        );
        assert_eq!(Cluster::at("postgres://db").unwrap().url("t"), "postgres://db/t");
        assert_eq!(Cluster::at("postgres:///x?host=/run").unwrap().url("t"), "postgres:///t?host=/run");
    }

    #[test]
    fn a_url_that_cannot_change_its_database_is_refused() {
        for given in
            ["host=db user=me", "mysql://db/x", "postgres://db/x?a=b&dbname=y", "postgres://db?dbname=y"]
        {
            assert!(Cluster::at(given).is_err(), "{given}");
        }
    }

    #[test]
    fn the_major_version_is_read() {
        for (printed, version) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 9.6.24", Some(9)),
            ("postgres (PostgreSQL) 19devel", Some(19)),
            ("postgres (PostgreSQL)", None),
            ("", None),
        ] {
            assert_eq!(major_version(printed), version, "{printed}");
        }
    }

    #[test]
    fn the_newest_packaged_version_is_chosen_by_number() {
        let root = packaged(&["9.6", "14", "15", "100", "old"]);
        fs::create_dir_all(root.path().join("200/bin")).unwrap();
        assert_eq!(newest(root.path()), Some(root.path().join("100/bin")));
    }

    #[test]
    fn versions_too_old_are_none() {
        assert_eq!(newest(packaged(&["9.6", "13", "14"]).path()), None);
        assert_eq!(newest(Path::new("/nonexistent")), None);
    }

    #[test]
    fn accounts_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\n# a note\npostgres2:x:7:7::/:\n\
                      postgres:x:101:104:administrator,,,:/var:/bin/sh\nbad:x:1\n";
        assert_eq!(Account::named("postgres", passwd), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named("nobody", passwd), None);
        assert_eq!(Account::named("bad", passwd), None);
    }

    #[test]
    fn a_private_directory_is_not_open_to_all() {
        let private = tempfile::tempdir().unwrap();
        assert!(!is_open_to_all(private.path()));
        assert!(is_open_to_all(Path::new("/tmp")));
    }

    #[test]
    fn the_cluster_answers() {
        let Some(cluster) = cluster() else {
            return skip("the_cluster_answers");
        };
        let asked = Command::new("psql").args(["-XAtc", "select 1", cluster.maintenance_url()]).output();
        let Ok(asked) = asked else { return };
        assert_eq!(
            String::from_utf8_lossy(&asked.stdout),
            "1\n",
            "{}",
            String::from_utf8_lossy(&asked.stderr)
        );
    }

    /// Dropping the handle closes the pipe, all that the watchdog sees of the end of a process.
    #[test]
    fn nothing_is_left_of_a_cluster() {
        let Some(bin) = installed() else {
            return skip("nothing_is_left_of_a_cluster");
        };
        let cluster = Cluster::start(&bin, THROWAWAY).unwrap();
        let host = cluster.server.strip_prefix("postgres://postgres@").unwrap();
        let dir = PathBuf::from(host.replace("%2F", "/"));
        assert!(is_ready(&dir.join("data")), "{}", dir.display());
        drop(cluster);

        let dropped = Instant::now();
        while dir.exists() {
            assert!(dropped.elapsed() < PATIENCE, "{} is still there", dir.display());
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_start_that_fails_says_what_was_printed() {
        let root = packaged(&["15"]);
        let bin = root.path().join("15/bin");
        let Err(reason) = Cluster::start(&bin, THROWAWAY) else { panic!("empty programs made a cluster") };
        assert!(reason.contains("initdb"), "{reason}");
    }
}
