//! Folders and files: that nobody else can read them.

use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, fail, ok, warn};
use crate::config::Config;

/// The data directory.
pub(super) fn data_dir(config: &Config) -> Vec<Finding> {
    let check = "data_dir";
    let folder = &config.data_dir;
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => {
            vec![fail(check, format!("{} is no folder", folder.display()), "set data_dir to a folder")]
        }
        Ok(found) => vec![private(check, folder, &found, 0o700)],
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("{} is not there yet", folder.display());
            vec![warn(check, message, "nothing, if this is new: `keystead serve` makes it")]
        }
        Err(error) => {
            let message = format!("{}: {error}", folder.display());
            vec![fail(check, message, "run doctor as the user that the server runs as")]
        }
    }
}

/// A file that holds secrets; nothing where it is not there.
pub(super) fn secret_file(check: &'static str, file: &Path) -> Option<Finding> {
    match fs::metadata(file) {
        Ok(found) => Some(private(check, file, &found, 0o600)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("{}: {error}", file.display());
            Some(fail(check, message, "run doctor as the user that the server runs as"))
        }
    }
}

/// Whether nobody but its owner, who is us, can do anything with it.
fn private(check: &'static str, path: &Path, found: &Metadata, wanted: u32) -> Finding {
    let (path, mode) = (path.display(), found.mode() & 0o7777);
    if mode & 0o077 != 0 {
        let message = format!("{path} has the mode {mode:04o}: others on this machine can reach it");
        return fail(check, message, format!("chmod {wanted:04o} {path}"));
    }
    // The process's own entry belongs to whoever runs it. Where there is none, nobody is asked.
    if let Ok(own) = fs::metadata("/proc/self")
        && own.uid() != found.uid()
    {
        let message = format!("{path} belongs to user {}, and this is user {}", found.uid(), own.uid());
        return warn(check, message, "run commands as the user that the server runs as");
    }
    ok(check, format!("{path} is its owner's alone ({mode:04o})"))
}

/// Whether a SQLite database is in WAL mode, by its header (the file format's §1.3.3): SQLite does not
/// say so of a file that it must not change. To be asked before SQLite has the file open: closing it
/// here would give up SQLite's locks on it.
pub(super) fn is_wal(file: &Path) -> Option<bool> {
    let mut header = [0; 20];
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    Some(header[18..20] == [2, 2])
}

/// When a file was last written to, in seconds since the Unix epoch.
pub(super) fn written_at(file: &Path) -> Option<i64> {
    fs::metadata(file).ok().map(|found| found.mtime())
}
