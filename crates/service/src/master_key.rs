//! Putting another master key in place of the present one.

use keystead_crypto::master_key::MasterKey;
use keystead_crypto::sealing::Sealed;
use keystead_domain::Owner;
use keystead_domain::audit::AuditAction;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_storage::{audit, deployment};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// Seals the root key under `new` instead of `old`, in one transaction. From its commit on, only
/// `new` opens the database. Nothing else changes: processes that run go on with the root key that
/// they hold, and what was sealed or kept as an HMAC stays good.
///
/// Whoever calls this has stored `new` durably before, or a crash after the commit would lose it.
pub fn rotate(engine: &Engine, caller: &Caller, old: &MasterKey, new: &MasterKey) -> Result<()> {
    let platform = caller.allow_platform(PlatformAction::RotateMasterKey)?;
    let trail = caller.allow(Action::MaintainDeployment, Owner::Platform)?;
    let new_id = new.id();
    if old.id() == new_id {
        return Err(Error::of(Code::Conflict).saying("The new master key is the present one."));
    }
    let keys = engine.store.read(|tx| deployment::keys(&mut tx.platform(&platform)))?;
    if keys.master_key_id.as_deref() != Some(old.id().as_str()) {
        return Err(overtaken());
    }
    let stored = Sealed::from_text(keys.root_key.as_deref().unwrap_or_default());
    let root_key = old.open_root_key(&stored).map_err(Error::internal)?;
    let sealed = new.seal_root_key(&root_key, &*engine.env);
    let event =
        engine.event(caller, Owner::Platform, AuditAction::MasterKeyRotated, engine.env.now()).on(&new_id);
    let rotated = engine.store.write(move |tx| {
        let replaced = deployment::replace_master_key(
            &mut tx.platform(&platform),
            &keys,
            new_id.as_str(),
            &sealed.to_text(),
        )?;
        if replaced {
            audit::insert(&mut tx.tenant(&trail), &event)?;
        }
        Ok(replaced)
    })?;
    if rotated { Ok(()) } else { Err(overtaken()) }
}

fn overtaken() -> Error {
    Error::of(Code::Conflict).saying("Another master key has just taken the place of the present one.")
}
