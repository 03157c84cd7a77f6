//! `--tenant SLUG | --platform`.

use keystead_domain::Owner;
use keystead_service::{Caller, Engine, tenants};

use crate::cli::Owned;
use crate::failure::Failure;

/// Whose rows a command is about.
pub(crate) fn resolve(engine: &Engine, owned: &Owned) -> Result<Owner, Failure> {
    match &owned.tenant {
        Some(slug) => Ok(Owner::Tenant(tenants::show(engine, &Caller::host(), slug)?.id)),
        None => Ok(Owner::Platform),
    }
}
