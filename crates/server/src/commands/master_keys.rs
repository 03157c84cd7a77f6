//! `keystead master-key`.

use std::path::Path;

use keystead_service::{Caller, Code, master_key};
use serde::Serialize;

use super::sealing::Sealing;
use crate::config::Config;
use crate::deployment;
use crate::failure::Failure;
use crate::master_key::{self as keys, Source};
use crate::output::{self, Format, Show};

#[derive(Serialize)]
struct RotatedView {
    master_key_id: String,
    former_master_key_id: String,
    key_file: String,
    /// Only where the former key was in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_key_file: Option<String>,
    /// What is left to be done.
    next_step: String,
}

impl Show for RotatedView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("master key", self.master_key_id.clone()),
            ("key file", self.key_file.clone()),
            ("former master key", self.former_master_key_id.clone()),
        ];
        lines.extend(self.former_key_file.clone().map(|file| ("former key file", file)));
        lines.push(("next", self.next_step.clone()));
        lines
    }
}

/// Puts a new master key in place of the present one. A key that is ours is replaced; one that the
/// operator gives is left alone, and the operator told what to do. No key is printed.
pub(crate) fn rotate(config: &Config, format: Format, new_key_file: Option<&Path>) -> Result<(), Failure> {
    let source = Source::of(&config.data_dir);
    match (&source, new_key_file) {
        (Source::Ours(_), Some(_)) => {
            return Err(Failure::new(format!(
                "the master key is in {}, where it is replaced: leave --new-key-file away",
                source.name()
            )));
        }
        (Source::Variable | Source::File(_), None) => {
            return Err(Failure::new(format!(
                "the master key comes from {}, which is yours to change: name a file for the new key with --new-key-file; it is made there, unless it exists, and not printed",
                source.name()
            )));
        }
        _ => {}
    }
    let issuer = deployment::issuer(config, config.listen);
    let (engine, old) = deployment::open_engine_with_key(config, &issuer)?;
    let engine = Sealing(engine);
    let new = match (&source, new_key_file) {
        (_, Some(file)) => keys::read_or_make(file)?,
        (Source::Ours(keyring), None) => keyring.make_next()?,
        (Source::Variable | Source::File(_), None) => return Err(Failure::new("there is no new key")),
    };
    if let Err(refused) = master_key::rotate(&engine, &Caller::host(), &old, &new) {
        // Of anything but a refusal it is not known whether it was committed.
        if let (Source::Ours(keyring), Code::Conflict) = (&source, refused.code()) {
            keyring.discard_next(&new);
        }
        return Err(refused.into());
    }
    let (id, former) = (new.id().to_string(), old.id().to_string());
    let (key_file, former_key_file, next_step) = match (&source, new_key_file) {
        (Source::Ours(keyring), _) => {
            keyring.put_in_place(&new)?;
            let former_file = keyring.named_file(&former).display().to_string();
            let next = "copy the key file to a safe place, apart from backups; keep the former one for as long as backups from before";
            (keyring.file().display().to_string(), Some(former_file), next.to_owned())
        }
        (_, file) => {
            let file = file.map(|file| file.display().to_string()).unwrap_or_default();
            let next = format!(
                "before anything of Keystead starts again, let {} give the key that is in the key file; keep the former one for as long as backups from before",
                source.name()
            );
            (file, None, next)
        }
    };
    let view =
        RotatedView { master_key_id: id, former_master_key_id: former, key_file, former_key_file, next_step };
    output::one(format, &view)
}
