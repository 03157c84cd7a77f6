//! Where the master key comes from, and how its file changes: the environment, or a file that only
//! its owner reads.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use keystead_crypto::env::SystemEnv;
use keystead_crypto::master_key::MasterKey;

use crate::durable;
use crate::failure::Failure;

/// Holds the key itself.
const VARIABLE: &str = "KEYSTEAD_MASTER_KEY";
/// Names a file that holds it.
const FILE_VARIABLE: &str = "KEYSTEAD_MASTER_KEY_FILE";

/// Where a master key is kept.
pub(crate) enum Source {
    /// In a variable, which is the operator's.
    Variable,
    /// In a file that the operator named.
    File(PathBuf),
    /// In the data directory, where it is ours.
    Ours(Keyring),
}

impl Source {
    /// The first place that is set.
    pub(crate) fn of(data_dir: &Path) -> Self {
        if std::env::var_os(VARIABLE).is_some() {
            return Self::Variable;
        }
        match std::env::var_os(FILE_VARIABLE) {
            Some(file) => Self::File(file.into()),
            None => Self::Ours(Keyring { folder: data_dir.to_owned() }),
        }
    }

    /// What operators know it by.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Variable => VARIABLE.to_owned(),
            Self::File(file) => format!("{FILE_VARIABLE} ({})", file.display()),
            Self::Ours(keyring) => keyring.file().display().to_string(),
        }
    }
}

/// The master key of a database. Where there is none at all and the database is new (`expected` is
/// nothing), one is made in `data_dir`; a key is never made for a database that has one already,
/// since it could not read that database's secrets.
pub(crate) fn obtain(data_dir: &Path, expected: Option<&str>) -> Result<MasterKey, Failure> {
    match Source::of(data_dir) {
        Source::Variable => match std::env::var(VARIABLE) {
            Ok(text) => parse(&text, VARIABLE),
            Err(_) => Err(Failure::new(format!("{VARIABLE} is not UTF-8"))),
        },
        Source::File(file) => {
            let text = fs::read_to_string(&file)
                .map_err(|error| Failure::new(format!("{FILE_VARIABLE}: {}: {error}", file.display())))?;
            parse(&text, FILE_VARIABLE)
        }
        Source::Ours(keyring) => match (keyring.find(expected)?, expected) {
            (Some(Found { key, named: false }), _) => Ok(key),
            (Some(Found { key, named: true }), _) => {
                keyring.put_in_place(&key)?;
                Ok(key)
            }
            (None, None) => keyring.make(),
            (None, Some(id)) => Err(missing("database", id, &keyring)),
        },
    }
}

/// The master key of a backup, if there is it. Nothing is changed.
pub(crate) fn of_backup(data_dir: &Path, expected: &str) -> Result<MasterKey, Failure> {
    let source = Source::of(data_dir);
    let key = match &source {
        Source::Ours(keyring) => {
            keyring.find(Some(expected))?.ok_or_else(|| missing("backup", expected, keyring))?.key
        }
        Source::Variable | Source::File(_) => obtain(data_dir, Some(expected))?,
    };
    if key.id().as_str() == expected {
        return Ok(key);
    }
    Err(Failure::new(format!(
        "the backup belongs to the master key {expected}, and the one in {} is {}",
        source.name(),
        key.id()
    )))
}

fn missing(what: &str, id: &str, keyring: &Keyring) -> Failure {
    Failure::new(format!(
        "the {what} belongs to the master key {id}, and there is none: put it into {}, or set {VARIABLE} or {FILE_VARIABLE}",
        keyring.file().display()
    ))
}

/// The master keys in the data directory: `master.key`, and others that are named by their ids.
///
/// A rotation writes the new key as `master.key.<its id>` before the database changes over to it.
/// Afterwards the old key is given the name with its id, and the new one becomes `master.key`. A
/// crash in between leaves a database whose key is there under its id, and that is where it is
/// looked for.
pub(crate) struct Keyring {
    folder: PathBuf,
}

/// A key, and where it was.
struct Found {
    key: MasterKey,
    /// Whether it was not in `master.key`, but under its id.
    named: bool,
}

impl Keyring {
    /// Where the key is that is in use.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("master.key")
    }

    /// Where another key is: a former one, or one to come.
    pub(crate) fn named_file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("master.key.{id}"))
    }

    /// The key that is `expected`, if there is it. Where there is only another one, that is given, so
    /// that it can be named.
    fn find(&self, expected: Option<&str>) -> Result<Option<Found>, Failure> {
        let is_expected = |key: &MasterKey| expected.is_none_or(|id| key.id().as_str() == id);
        let present = match read(&self.file())? {
            Some(key) if is_expected(&key) => return Ok(Some(Found { key, named: false })),
            present => present,
        };
        if let Some(id) = expected
            && let Some(key) = read(&self.named_file(id))?.filter(is_expected)
        {
            return Ok(Some(Found { key, named: true }));
        }
        // Another process may have put it in place in between.
        let key = read(&self.file())?.filter(is_expected).or(present);
        Ok(key.map(|key| Found { key, named: false }))
    }

    fn make(&self) -> Result<MasterKey, Failure> {
        let file = self.file();
        let key = MasterKey::generate(&SystemEnv);
        match durable::write_new(&file, &contents(&key)) {
            Ok(()) => Ok(key),
            // Another process on this folder was faster; its key it is.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                read(&file)?.ok_or_else(|| at(&file, error))
            }
            Err(error) => Err(at(&file, error)),
        }
    }

    /// Makes a new key, and keeps it under its id.
    pub(crate) fn make_next(&self) -> Result<MasterKey, Failure> {
        let key = MasterKey::generate(&SystemEnv);
        let file = self.named_file(key.id().as_str());
        durable::write_new(&file, &contents(&key)).map_err(|error| at(&file, error))?;
        Ok(key)
    }

    /// Makes the key that is kept under its id the one in use, and keeps the one before under its own.
    pub(crate) fn put_in_place(&self, key: &MasterKey) -> Result<(), Failure> {
        let (file, named) = (self.file(), self.named_file(key.id().as_str()));
        if let Some(former) = read(&file)?.filter(|former| former.id() != key.id()) {
            let former = self.named_file(former.id().as_str());
            match fs::hard_link(&file, &former) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(at(&former, error)),
                _ => {}
            }
        }
        match fs::rename(&named, &file) {
            // Another process that found the same state was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => match read(&file)? {
                Some(present) if present.id() == key.id() => {}
                _ => return Err(at(&named, error)),
            },
            renamed => renamed.map_err(|error| at(&file, error))?,
        }
        durable::sync_folder_of(&file).map_err(|error| at(&self.folder, error))
    }

    /// Removes a key that was made to come, and that no database belongs to.
    pub(crate) fn discard_next(&self, key: &MasterKey) {
        // If it stays, it is in nobody's way.
        let _ = fs::remove_file(self.named_file(key.id().as_str()));
    }
}

/// The key in a file that an operator named: read where there is one, else made there.
pub(crate) fn read_or_make(file: &Path) -> Result<MasterKey, Failure> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let key = MasterKey::generate(&SystemEnv);
    durable::write_new(file, &contents(&key)).map_err(|error| at(file, error))?;
    Ok(key)
}

/// The key in a file; nothing where there is no file.
fn read(file: &Path) -> Result<Option<MasterKey>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => parse(&text, &file.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(file, error)),
    }
}

/// A master key that is there, and where.
pub(crate) struct Kept {
    pub(crate) key: MasterKey,
    /// What operators know the place by.
    pub(crate) place: String,
    /// Its file, where that is ours to keep.
    pub(crate) our_file: Option<PathBuf>,
}

/// The master key that is there, if there is any. Nothing is made or changed.
pub(crate) fn look(data_dir: &Path, expected: Option<&str>) -> Result<Option<Kept>, Failure> {
    let source = Source::of(data_dir);
    let place = source.name();
    let Source::Ours(keyring) = source else {
        // Where the operator keeps the key, none is ever made.
        return Ok(Some(Kept { key: obtain(data_dir, expected)?, place, our_file: None }));
    };
    let Some(Found { key, named }) = keyring.find(expected)? else { return Ok(None) };
    let file = if named { keyring.named_file(key.id().as_str()) } else { keyring.file() };
    Ok(Some(Kept { key, place: file.display().to_string(), our_file: Some(file) }))
}

fn parse(text: &str, from: &str) -> Result<MasterKey, Failure> {
    MasterKey::parse(text).map_err(|error| Failure::new(format!("{from}: {error}")))
}

fn contents(key: &MasterKey) -> String {
    format!("{}\n", key.to_text().expose())
}

fn at(file: &Path, error: std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring { folder: folder.path().to_owned() };
        (folder, keyring)
    }

    fn found(keyring: &Keyring, expected: &MasterKey) -> (String, bool) {
        let found = keyring.find(Some(expected.id().as_str())).unwrap().unwrap();
        (found.key.id().to_string(), found.named)
    }

    #[test]
    fn after_a_crash_at_any_point_the_databases_key_is_there() {
        let (_folder, keyring) = keyring();
        let old = keyring.make().unwrap();
        let id = |key: &MasterKey| key.id().to_string();
        let new = keyring.make_next().unwrap();
        // The database has not changed over, or it has.
        assert_eq!(found(&keyring, &old), (id(&old), false));
        assert_eq!(found(&keyring, &new), (id(&new), true));
        // The old key has got its second name.
        fs::hard_link(keyring.file(), keyring.named_file(&id(&old))).unwrap();
        assert_eq!(found(&keyring, &old), (id(&old), false));
        assert_eq!(found(&keyring, &new), (id(&new), true));
        for _ in 0..2 {
            keyring.put_in_place(&new).unwrap();
            assert_eq!(found(&keyring, &new), (id(&new), false));
            assert_eq!(found(&keyring, &old), (id(&old), true));
        }
        assert!(!keyring.named_file(&id(&new)).exists());
        // A backup from before can be restored, and the keys change places.
        keyring.put_in_place(&old).unwrap();
        assert_eq!((found(&keyring, &old).1, found(&keyring, &new).1), (false, true));
    }

    #[test]
    fn what_is_not_the_databases_key_is_in_nobodys_way() {
        let (_folder, keyring) = keyring();
        let mine = keyring.make().unwrap();
        let next = keyring.make_next().unwrap();
        let other = MasterKey::generate(&SystemEnv);
        assert_eq!(found(&keyring, &other), (mine.id().to_string(), false), "it can be named");
        // A file that is named like the key and holds another.
        fs::copy(keyring.file(), keyring.named_file(other.id().as_str())).unwrap();
        assert_eq!(found(&keyring, &other), (mine.id().to_string(), false));
        keyring.discard_next(&next);
        assert!(!keyring.named_file(next.id().as_str()).exists());
        assert_eq!(found(&keyring, &next), (mine.id().to_string(), false));
    }
}
