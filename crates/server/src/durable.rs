//! Files that are there whole or not at all, also after a crash.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keystead_crypto::env::SystemEnv;
use keystead_domain::Env as _;

/// A file under another name in the folder that it is meant for, readable by its owner only. It is
/// removed unless it was moved away, with what SQLite keeps beside it.
pub(crate) struct Partial {
    path: PathBuf,
}

impl Partial {
    /// An empty file beside `target`.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        SystemEnv.fill(&mut random);
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        name.push(format!(".{:016x}.partial", u64::from_le_bytes(random)));
        let path = target.with_file_name(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name once it is on the disk. Fails where that name is taken.
    pub(crate) fn publish(self, target: &Path) -> io::Result<()> {
        sync(&self.path)?;
        // Unlike a rename, a link never replaces a file that somebody made in the meantime.
        fs::hard_link(&self.path, target)?;
        fs::remove_file(&self.path)?;
        sync_folder_of(target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            // What is not there need not be removed, and there is nobody to tell of anything else.
            let _ = fs::remove_file(name);
        }
    }
}

/// Writes a file that is not there yet, readable by its owner only.
pub(crate) fn write_new(target: &Path, text: &str) -> io::Result<()> {
    let partial = Partial::beside(target)?;
    OpenOptions::new().write(true).open(partial.path())?.write_all(text.as_bytes())?;
    partial.publish(target)
}

/// Puts a file's contents on the disk.
pub(crate) fn sync(file: &Path) -> io::Result<()> {
    File::open(file)?.sync_all()
}

/// Puts on the disk which names the folder of a file has.
pub(crate) fn sync_folder_of(file: &Path) -> io::Result<()> {
    sync(folder_of(file))
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_new_file_is_its_owners_alone_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write_new(&file, "one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_new(&file, "two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }
}
