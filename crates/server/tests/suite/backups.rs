//! Backups: copied while a server writes, restored where there is nothing to lose.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use keystead_testkit::{TestDatabase, postgres};
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";
const ADA: &str = "ada@example.com";

/// A deployment with a user, and what is known of it.
struct Original {
    host: Host,
    _database: TestDatabase,
    app: (String, String),
}

impl Original {
    fn new() -> Self {
        let database = TestDatabase::sqlite();
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let create = ["user", "create", "--tenant", "acme", "--email", ADA, "--verified", "--password-stdin"];
        assert_eq!(host.run_with(&create, PASSWORD).code, 0);
        Self { host, _database: database, app }
    }

    fn key(&self) -> String {
        fs::read_to_string(self.host.data_dir().join("master.key")).unwrap()
    }

    /// Backs up to a file of this name; the file, and what was printed.
    fn backup(&self, name: &str) -> (PathBuf, Value) {
        let file = self.host.folder().join(name);
        let printed = self.host.run(&["backup", file.to_str().unwrap(), "--json"]).json();
        (file, printed)
    }
}

/// Another machine: an empty folder, but for this master key.
struct Elsewhere {
    host: Host,
    _database: TestDatabase,
}

impl Elsewhere {
    fn new(key: &str) -> Self {
        let database = TestDatabase::sqlite();
        let mut host = Host::new(&database);
        host.set("KEYSTEAD_DATABASE_URL", "sqlite:{data_dir}/keystead.db");
        fs::create_dir(host.data_dir()).unwrap();
        fs::write(host.data_dir().join("master.key"), key).unwrap();
        Self { host, _database: database }
    }

    fn target(&self) -> PathBuf {
        self.host.data_dir().join("keystead.db")
    }

    fn restore(&self, file: &Path, more: &[&str]) -> crate::process::Output {
        self.host.run(&[&["restore", file.to_str().unwrap(), "--json"], more].concat())
    }

    /// What restoring is refused with. The data directory is as it was.
    #[track_caller]
    fn refused(&self, file: &Path) -> String {
        let listing = || {
            let mut files: Vec<_> = fs::read_dir(self.host.data_dir())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file())
                .map(|path| (path.clone(), fs::read(path).unwrap()))
                // Whoever reads a database has these there, and the header says which journal it has.
                .filter(|(path, _)| !["-shm", "-wal"].iter().any(|end| path.to_str().unwrap().ends_with(end)))
                .map(|(path, mut bytes)| {
                    bytes.drain(..bytes.len().min(100));
                    (path, bytes)
                })
                .collect();
            files.sort();
            files
        };
        let before = listing();
        let output = self.restore(file, &[]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
        assert!(listing() == before, "{output:?}");
        output.stderr
    }
}

/// Status and answer of a sign-in.
fn login(server: &Server, app: &(String, String), email: &str) -> (u16, Value) {
    let body = json!({"email": email, "password": PASSWORD});
    server.post("/v2/auth/login", Some(&token(server, app)), &body).unwrap()
}

fn me(server: &Server, app: &(String, String), session: &str) -> u16 {
    let bearer = format!("Bearer {}", token(server, app));
    let headers = [("authorization", bearer.as_str()), ("x-session-token", session)];
    server.request("GET", &format!("{}/v2/auth/me", server.url), &headers, "").0
}

#[test]
fn what_was_answered_before_a_backup_is_in_it_and_it_can_be_restored() {
    let original = Original::new();
    let server = original.host.serve(&[]);
    let (_, signed_in) = login(&server, &original.app, ADA);
    let session = signed_in["session_token"].as_str().unwrap();
    assert_eq!(me(&server, &original.app, session), 200);
    let (answered, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let bearer = token(&server, &original.app);
    let (file, printed, answered) = thread::scope(|scope| {
        for client in 0..4 {
            let (server, answered, stop, bearer) = (&server, &answered, &stop, &bearer);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let email = format!("u{client}.{number}@example.com");
                    let body = json!({"email": email, "password": PASSWORD});
                    assert_eq!(server.post("/v2/auth/signup", Some(bearer), &body).unwrap().0, 201);
                    answered.lock().unwrap().push(email);
                }
            });
        }
        while answered.lock().unwrap().len() < 40 {
            thread::sleep(Duration::from_millis(1));
        }
        let before = answered.lock().unwrap().clone();
        let (file, printed) = original.backup("keystead.backup");
        stop.store(true, Ordering::Relaxed);
        (file, printed, before)
    });

    assert_eq!(printed["path"], fs::canonicalize(&file).unwrap().to_str().unwrap());
    assert_eq!(printed["size"], fs::metadata(&file).unwrap().len());
    let [schema, key_id] = ["schema_version", "master_key_id"].map(|name| printed[name].as_str().unwrap());
    assert!(schema.len() >= 14 && key_id.len() == 16, "{printed}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = original.key();
    let raw: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.windows(raw.len()).all(|window| window != raw));
    assert!(bytes.windows(64).all(|window| window != key.trim().as_bytes()));
    let leftovers = fs::read_dir(original.host.folder()).unwrap();
    assert!(
        leftovers.into_iter().all(|entry| !entry.unwrap().file_name().to_str().unwrap().contains("partial"))
    );

    // It is written once.
    let again = original.host.run(&["backup", file.to_str().unwrap()]);
    assert!(again.code == 1 && again.stderr.contains("overwrites nothing"), "{again:?}");
    assert!(fs::read(&file).unwrap() == bytes);
    let text = original.host.run(&["backup", "second.backup"]).stdout;
    assert!(text.contains(key_id) && text.contains("needed to restore it"), "{text}");

    let elsewhere = Elsewhere::new(&key);
    let restored = elsewhere.restore(&file, &[]).json();
    assert!(fs::read(&file).unwrap() == bytes, "the backup is left alone");
    assert_eq!((&restored["master_key_id"], &restored["schema_version"]), (&json!(key_id), &json!(schema)));
    assert_eq!((&restored["migrations_run"], &restored["revoked"]["sessions"]), (&json!(0), &json!(1)));
    assert!(restored["revoked"]["codes"].as_u64().unwrap() >= 40, "{restored}");
    assert!(restored["newest_event_at"].is_string());
    let stale = &restored["may_be_stale"];
    assert_eq!(stale["app_secrets"][0]["client_id"], original.app.0);
    let states: Vec<_> = stale["signing_keys"].as_array().unwrap().iter().map(|key| &key["state"]).collect();
    assert_eq!(states, ["current", "next"], "{stale}");
    assert_eq!(fs::metadata(elsewhere.target()).unwrap().permissions().mode() & 0o777, 0o600);

    let second = elsewhere.host.serve(&[]);
    assert_eq!(me(&second, &original.app, session), 401, "the session has ended");
    assert_eq!(me(&server, &original.app, session), 200, "where the backup was made it has not");
    assert_eq!(login(&second, &original.app, ADA).0, 200);
    for email in answered {
        let (status, answer) = login(&second, &original.app, &email);
        assert_eq!((status, &answer["code"]), (403, &json!("email_not_verified")), "{email}");
    }
}

#[test]
fn sessions_can_be_kept_and_a_database_without_data_is_replaced() {
    let original = Original::new();
    let server = original.host.serve(&[]);
    let session = login(&server, &original.app, ADA).1["session_token"].as_str().unwrap().to_owned();
    let (file, _) = original.backup("keystead.backup");

    let elsewhere = Elsewhere::new(&original.key());
    // A server was started here once, and has made a database.
    elsewhere.host.serve(&[]).stop();
    let restored = elsewhere.restore(&file, &["--keep-sessions"]).json();
    assert_eq!(restored["revoked"], Value::Null);
    assert_eq!(me(&elsewhere.host.serve(&[]), &original.app, &session), 200);
    let files: Vec<_> = fs::read_dir(elsewhere.host.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("partial"))
        .collect();
    assert_eq!(files, [""; 0]);
}

#[test]
fn restoring_is_refused_where_something_could_be_lost() {
    let original = Original::new();
    let (file, printed) = original.backup("keystead.backup");
    let key_id = printed["master_key_id"].as_str().unwrap();

    let elsewhere = Elsewhere::new(&original.key());
    tenant_with_app(&elsewhere.host, "other");
    let occupied = elsewhere.refused(&file);
    assert!(occupied.contains("there is a database with data"), "{occupied}");

    let elsewhere = Elsewhere::new(&original.key());
    let server = elsewhere.host.serve(&[]);
    let in_use = elsewhere.refused(&file);
    assert!(in_use.contains("another process uses the database"), "{in_use}");
    drop(server);
    assert_eq!(elsewhere.restore(&file, &[]).code, 0);

    let elsewhere = Elsewhere::new(&original.key());
    let remains = elsewhere.host.data_dir().join("keystead.db-wal");
    fs::write(&remains, "left").unwrap();
    let refused = elsewhere.restore(&file, &[]);
    assert!(refused.code == 1 && refused.stderr.contains("keystead.db-wal"), "{refused:?}");
    assert!(!elsewhere.target().exists() && fs::read(&remains).unwrap() == b"left");

    let elsewhere = Elsewhere::new(&original.key());
    fs::write(elsewhere.target(), "something else").unwrap();
    let foreign = elsewhere.refused(&file);
    assert!(foreign.contains("not a database of Keystead"), "{foreign}");

    let wrong = Elsewhere::new(&"17".repeat(32));
    let refused = wrong.refused(&file);
    assert!(refused.contains(&format!("belongs to the master key {key_id}")), "{refused}");
    assert!(refused.contains("master.key is "), "{refused}");
    assert!(!wrong.target().exists());
    fs::remove_file(wrong.host.data_dir().join("master.key")).unwrap();
    let refused = wrong.refused(&file);
    assert!(refused.contains(key_id) && refused.contains("there is none"), "{refused}");
    assert_eq!(fs::read_dir(wrong.host.data_dir()).unwrap().count(), 0, "none is made");
}

#[test]
fn a_crash_in_the_middle_leaves_all_of_it_or_nothing() {
    let original = Original::new();
    let (file, _) = original.backup("keystead.backup");
    for delay in (0..16).map(|step| Duration::from_millis(6 * step)) {
        let elsewhere = Elsewhere::new(&original.key());
        let mut restoring = elsewhere.host.command(&["restore", file.to_str().unwrap()]).spawn().unwrap();
        thread::sleep(delay);
        let _ = restoring.kill();
        restoring.wait().unwrap();
        if elsewhere.target().exists() {
            let users = elsewhere.host.run(&["user", "list", "--tenant", "acme", "--json"]).json();
            assert_eq!(users[0]["email"], ADA);
            assert!(!elsewhere.host.data_dir().join("keystead.db-wal").exists());
        } else {
            assert_eq!(elsewhere.restore(&file, &[]).code, 0, "{delay:?}");
        }
    }
}

#[test]
fn what_is_no_backup_is_refused() {
    let original = Original::new();
    let (file, _) = original.backup("keystead.backup");
    let bytes = fs::read(&file).unwrap();
    let elsewhere = Elsewhere::new(&original.key());
    let altered = |name: &str, alter: &dyn Fn(&mut Vec<u8>)| {
        let (path, mut bytes) = (original.host.folder().join(name), bytes.clone());
        alter(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (file, reason) in [
        (original.host.folder().join("nowhere"), "No such file"),
        (altered("empty", &|bytes| bytes.clear()), "not a database of Keystead"),
        (altered("text", &|bytes| *bytes = vec![b'x'; 9000]), "not a database of Keystead"),
        (altered("cut", &|bytes| bytes.truncate(bytes.len() / 2)), "damaged"),
        (altered("holed", &|bytes| bytes[4096..40960].fill(0x5a)), "damaged"),
    ] {
        let refused = elsewhere.refused(&file);
        assert!(refused.contains(reason) && refused.contains(file.to_str().unwrap()), "{refused}");
        assert!(!elsewhere.target().exists());
    }

    // A copy of the file of a database in use lacks what is in the file beside it.
    let beside = altered("live.db", &|_| {});
    fs::write(original.host.folder().join("live.db-wal"), "x").unwrap();
    let refused = elsewhere.refused(&beside);
    assert!(refused.contains("keystead backup"), "{refused}");

    let newer = TestDatabase::sqlite();
    let host = Host::new(&newer);
    tenant_with_app(&host, "acme");
    newer.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    // Copying asks for no version.
    let copied = host.run(&["backup", "newer.backup", "--json"]).json();
    assert_eq!(copied["schema_version"], "99990101000000");
    let elsewhere = Elsewhere::new(&fs::read_to_string(host.data_dir().join("master.key")).unwrap());
    let refused = elsewhere.refused(&host.folder().join("newer.backup"));
    assert!(refused.contains("newer version"), "{refused}");

    let unused = TestDatabase::sqlite();
    let host = Host::new(&unused);
    let refused = host.run(&["backup", "unused.backup"]);
    assert!(refused.code == 1 && refused.stderr.contains("never been used"), "{refused:?}");
    assert!(!host.folder().join("unused.backup").exists());
    let mut host = host;
    host.set("KEYSTEAD_DATABASE_URL", "sqlite:{data_dir}/none.db");
    let refused = host.run(&["backup", "none.backup"]);
    assert!(refused.code == 1 && refused.stderr.contains("there is no database"), "{refused:?}");
}

#[test]
fn on_postgresql_its_own_tools_are_named() {
    let Some(database) = TestDatabase::postgres() else {
        return postgres::skip("backups::on_postgresql_its_own_tools_are_named");
    };
    let mut host = Host::new(&database);
    for (url, user) in [
        (database.url(), ""),
        ("postgres://ks:hunter2@db.example/ks".to_owned(), "'postgres://ks@db.example/ks'"),
    ] {
        host.set("KEYSTEAD_DATABASE_URL", url);
        for (command, tool) in [("backup", "pg_dump"), ("restore", "pg_restore")] {
            let refused = host.run(&[command, "file"]);
            assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
            assert!(refused.stderr.contains(tool) && refused.stderr.contains("'file'"), "{refused:?}");
            assert!(refused.stderr.contains("docs/backup.md"), "{refused:?}");
            assert!(refused.stderr.contains(user) && !refused.stderr.contains("hunter2"), "{refused:?}");
        }
    }
}

#[test]
fn the_documented_statements_end_on_postgresql_what_restoring_ends() {
    let Some(database) = TestDatabase::postgres() else {
        return postgres::skip("backups::the_documented_statements_end_on_postgresql_what_restoring_ends");
    };
    let host = Host::new(&database);
    let app = tenant_with_app(&host, "acme");
    let create = ["user", "create", "--tenant", "acme", "--email", ADA, "--verified", "--password-stdin"];
    assert_eq!(host.run_with(&create, PASSWORD).code, 0);
    let server = host.serve(&[]);
    let session = login(&server, &app, ADA).1["session_token"].as_str().unwrap().to_owned();
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    assert_eq!(server.post("/v2/auth/signup", Some(&token(&server, &app)), &body).unwrap().0, 201);
    server.stop();
    let document = include_str!("../../../../docs/backup.md");
    let statements = document.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    database.execute(statements);
    let server = host.serve(&[]);
    assert_eq!(me(&server, &app, &session), 401);
    assert_eq!(login(&server, &app, ADA).0, 200);
    let sign_up = database.dump("registrations");
    assert!(sign_up.contains("bob@example.com") && sign_up.contains(",,,"), "{sign_up}");
}
