//! `keystead backup` and `keystead restore`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keystead_domain::Timestamp;
use keystead_service::Caller;
use keystead_service::restored::{self, Ended, Settled};
use keystead_storage::snapshot::{self, NotADatabase, Vacancy};
use keystead_storage::{Database, Store};
use serde::Serialize;

use super::sealing::Sealing;
use crate::config::{self, Config, without_password};
use crate::durable::{self, Partial};
use crate::failure::Failure;
use crate::output::{self, Format, Show};
use crate::{deployment, master_key};

#[derive(Serialize)]
struct BackupView {
    path: String,
    size: u64,
    schema_version: String,
    master_key_id: String,
}

impl Show for BackupView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("path", self.path.clone()),
            ("size", format!("{} bytes", self.size)),
            ("schema version", self.schema_version.clone()),
            ("master key", format!("{} (not in the backup, and needed to restore it)", self.master_key_id)),
        ]
    }
}

/// Copies the database into a new file. Nothing is written to the database, so it need not be of this
/// version, and the master key is not needed.
pub(crate) fn backup(config: &Config, format: Format, file: &Path) -> Result<(), Failure> {
    let database = match &config.database_url {
        config::Database::Sqlite(path) => path,
        config::Database::Postgres(url) => return Err(refused_on_postgres("backup", url, file)),
    };
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", file.display()));
    if !database.exists() {
        return Err(Failure::new(format!("there is no database at {}", database.display())));
    }
    if file.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} exists, and a backup overwrites nothing", file.display())));
    }
    let partial = Partial::beside(file).map_err(failed)?;
    snapshot::take(database, partial.path())?;
    let contents = snapshot::inspect(partial.path())
        .map_err(|error| Failure::new(format!("{}: {error}", database.display())))?;
    let Some(master_key_id) = contents.master_key_id else {
        return Err(Failure::new(format!("the database at {} has never been used", database.display())));
    };
    let size = fs::metadata(partial.path()).map_err(failed)?.len();
    partial.publish(file).map_err(failed)?;
    let path = fs::canonicalize(file).map_err(failed)?.display().to_string();
    output::one(format, &BackupView { path, size, schema_version: contents.schema_version, master_key_id })
}

#[derive(Serialize)]
struct RestoredView {
    path: String,
    schema_version: String,
    migrations_run: usize,
    master_key_id: String,
    /// When the newest event took place that the backup knows of.
    newest_event_at: Option<String>,
    /// `null` with --keep-sessions.
    revoked: Option<RevokedView>,
    may_be_stale: StaleView,
}

#[derive(Serialize)]
struct RevokedView {
    sessions: usize,
    codes: usize,
    links: usize,
    mails: usize,
}

/// Keys that are as they were when the backup was made.
#[derive(Serialize)]
struct StaleView {
    signing_keys: Vec<SigningKeyView>,
    app_secrets: Vec<AppSecretView>,
}

#[derive(Serialize)]
struct SigningKeyView {
    kid: String,
    state: &'static str,
    created_at: String,
}

#[derive(Serialize)]
struct AppSecretView {
    client_id: String,
    id: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl StaleView {
    fn new(settled: Settled) -> Self {
        let signing_keys = settled
            .signing_keys
            .into_iter()
            .map(|key| SigningKeyView {
                kid: key.kid,
                state: key.state.as_str(),
                created_at: key.created_at.to_rfc3339_seconds(),
            })
            .collect();
        let app_secrets = settled
            .app_secrets
            .into_iter()
            .map(|secret| AppSecretView {
                client_id: secret.client_id.to_string(),
                id: secret.id.to_string(),
                created_at: secret.created_at.to_rfc3339_seconds(),
                last_used_at: secret.last_used_at.map(Timestamp::to_rfc3339_seconds),
            })
            .collect();
        Self { signing_keys, app_secrets }
    }
}

impl From<Ended> for RevokedView {
    fn from(ended: Ended) -> Self {
        Self { sessions: ended.sessions, codes: ended.codes, links: ended.links, mails: ended.mails }
    }
}

impl Show for RestoredView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("path", self.path.clone()),
            ("schema version", self.schema_version.clone()),
            ("migrations run", self.migrations_run.to_string()),
            ("master key", self.master_key_id.clone()),
        ];
        lines.extend(self.newest_event_at.clone().map(|at| ("newest event", at)));
        lines.push(match &self.revoked {
            Some(revoked) => (
                "revoked",
                format!(
                    "{} sessions, {} codes, {} one-time links, {} mails that would have carried a code or link",
                    revoked.sessions, revoked.codes, revoked.links, revoked.mails
                ),
            ),
            None => ("revoked", "nothing, as --keep-sessions asks".to_owned()),
        });
        let stale = &self.may_be_stale;
        for key in &stale.signing_keys {
            lines.push((
                "may be stale",
                format!("signing key {} ({}), since {}", key.kid, key.state, key.created_at),
            ));
        }
        for secret in &stale.app_secrets {
            let used = secret.last_used_at.as_deref().unwrap_or("never");
            let (client, id, since) = (&secret.client_id, &secret.id, &secret.created_at);
            lines.push((
                "may be stale",
                format!("secret {id} of app {client}, since {since}, last used {used}"),
            ));
        }
        lines
    }
}

/// Puts a backup where there is no database. All is done to a copy beside the target, which takes its
/// place in the end, so that a failure before leaves it as it was.
pub(crate) fn restore(
    config: &Config,
    format: Format,
    file: &Path,
    keep_sessions: bool,
) -> Result<(), Failure> {
    let target = match &config.database_url {
        config::Database::Sqlite(path) => path,
        config::Database::Postgres(url) => return Err(refused_on_postgres("restore", url, file)),
    };
    let of_file = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", file.display()));
    if unfinished(file) {
        return Err(of_file(&"it is in use, or was not closed; use `keystead backup` to copy a database"));
    }
    deployment::make_folder(durable::folder_of(target))?;
    let of_target = |error: io::Error| Failure::new(format!("{}: {error}", target.display()));
    let copy = Partial::beside(target).map_err(of_target)?;
    // Into the file that is there, which nobody else can read.
    let mut source = fs::File::open(file).map_err(|error| of_file(&error))?;
    let mut into = fs::OpenOptions::new().write(true).open(copy.path()).map_err(of_target)?;
    io::copy(&mut source, &mut into).map_err(|error| of_file(&error))?;
    drop(into);

    let contents = snapshot::inspect(copy.path()).map_err(|error: NotADatabase| of_file(&error))?;
    let Some(expected) = contents.master_key_id else {
        return Err(of_file(&"it is a database that has never been used"));
    };
    let master_key = master_key::of_backup(&config.data_dir, &expected)?;
    let vacancy = Vacancy::claim(target).map_err(|occupied| {
        Failure::new(format!(
            "{}: {occupied}; stop what uses it and move it away, a backup is restored only where nothing can be lost",
            target.display()
        ))
    })?;

    let store = Store::open(&Database::Sqlite(copy.path().to_owned()), 1)?;
    let migrations_run = store.migrate()?;
    let issuer = deployment::issuer(config, config.listen);
    let engine = Sealing(deployment::start_engine(config, &issuer, store, &master_key)?);
    let settled = restored::settle(&engine, &Caller::host(), keep_sessions)?;
    drop(engine);
    // Closing it has put all of it into the one file; a part that is left would be lost.
    if unfinished(copy.path()) {
        return Err(Failure::new("the restored database could not be closed"));
    }
    let schema_version = snapshot::inspect(copy.path()).map_err(|error| of_file(&error))?.schema_version;
    durable::sync(copy.path()).map_err(of_target)?;
    vacancy.fill(copy.path()).and_then(|()| durable::sync_folder_of(target)).map_err(of_target)?;

    let view = RestoredView {
        path: fs::canonicalize(target).map_err(of_target)?.display().to_string(),
        schema_version,
        migrations_run,
        master_key_id: expected,
        newest_event_at: settled.newest_event_at.map(Timestamp::to_rfc3339_seconds),
        revoked: settled.ended.map(RevokedView::from),
        may_be_stale: StaleView::new(settled),
    };
    output::one(format, &view)
}

/// Whether a part of a database is still in a file beside it.
fn unfinished(database: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        fs::metadata(PathBuf::from(name)).is_ok_and(|file| file.len() > 0)
    })
}

/// PostgreSQL has tools of its own, which do this better.
fn refused_on_postgres(command: &str, url: &str, file: &Path) -> Failure {
    let (url, file) = (quoted(&without_password(url)), quoted(&file.display().to_string()));
    let instead = match command {
        "backup" => format!("pg_dump --format=custom --file={file} --dbname={url}"),
        _ => format!("pg_restore --exit-on-error --single-transaction --no-owner --dbname={url} {file}"),
    };
    Failure::new(format!(
        "{command} is for SQLite, and the database is on PostgreSQL: use {instead} (docs/backup.md says what else to do)"
    ))
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
