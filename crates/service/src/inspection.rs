//! What `doctor` looks at in a database that it must not change: whether the keys fit.

use keystead_crypto::master_key::MasterKey;
use keystead_crypto::sealing::{Sealed, Sealer};
use keystead_storage::inspection::Inspection;
use keystead_storage::{StoreError, deployment, signing_keys};

use crate::StartError;
use crate::engine::background;
use crate::signing_keys::open_all;

/// The id of the master key that the database belongs to; nothing while it is new.
pub fn master_key_id(inspection: &mut Inspection) -> Result<Option<String>, StoreError> {
    let scope = background()?;
    Ok(inspection.read(|tx| deployment::keys(&mut tx.platform(&scope)))?.master_key_id)
}

/// Opens all that a server opens when it starts, with the master key that the database belongs to;
/// returns how many signing keys that were.
pub fn open_keys(inspection: &mut Inspection, master_key: &MasterKey) -> Result<usize, StartError> {
    let scope = background()?;
    let (keys, stored) = inspection.read(|tx| {
        let mut tx = tx.platform(&scope);
        Ok((deployment::keys(&mut tx)?, signing_keys::list(&mut tx)?))
    })?;
    let root_key = match &keys.root_key {
        Some(sealed) => {
            let sealed = Sealed::from_text(sealed);
            let opened =
                master_key.open_root_key(&sealed).or_else(|_| master_key.open_unmarked_root_key(&sealed));
            opened.map_err(|_| StartError::RootKey)?
        }
        // As at the next start.
        None => master_key.as_root_key(),
    };
    Ok(open_all(stored, &Sealer::new(&root_key), &[])?.len())
}
