//! Where the master key comes from: the environment, or a file that only its owner reads.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use keystead_crypto::env::SystemEnv;
use keystead_crypto::master_key::MasterKey;

use crate::failure::Failure;

/// Holds the key itself.
const VARIABLE: &str = "KEYSTEAD_MASTER_KEY";
/// Names a file that holds it.
const FILE_VARIABLE: &str = "KEYSTEAD_MASTER_KEY_FILE";

/// The master key of a database. Where there is none at all and the database is new (`expected` is
/// nothing), one is made in `data_dir`; a key is never made for a database that has one already,
/// since it could not read that database's secrets.
pub(crate) fn obtain(data_dir: &Path, expected: Option<&str>) -> Result<MasterKey, Failure> {
    if let Ok(text) = std::env::var(VARIABLE) {
        return parse(&text, VARIABLE);
    }
    if let Some(file) = std::env::var_os(FILE_VARIABLE) {
        let file = Path::new(&file);
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{FILE_VARIABLE}: {}: {error}", file.display())))?;
        return parse(&text, FILE_VARIABLE);
    }
    let file = data_dir.join("master.key");
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text, &file.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => match expected {
            None => make(&file),
            Some(id) => Err(Failure::new(format!(
                "the database belongs to the master key {id}, and there is none: put it into {}, or set {VARIABLE} or {FILE_VARIABLE}",
                file.display()
            ))),
        },
        Err(error) => Err(Failure::new(format!("{}: {error}", file.display()))),
    }
}

fn parse(text: &str, from: &str) -> Result<MasterKey, Failure> {
    MasterKey::parse(text).map_err(|error| Failure::new(format!("{from}: {error}")))
}

fn make(file: &Path) -> Result<MasterKey, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
    let key = MasterKey::generate(&SystemEnv);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut written = match written {
        // Another process on this folder was faster; its key it is.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return parse(&std::fs::read_to_string(file).map_err(failed)?, &file.display().to_string());
        }
        written => written.map_err(failed)?,
    };
    written
        .write_all(key.to_text().expose().as_bytes())
        .and_then(|()| written.write_all(b"\n"))
        .and_then(|()| written.sync_all())
        .map_err(failed)?;
    Ok(key)
}
