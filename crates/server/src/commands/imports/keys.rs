//! `keystead import keys`.

use std::path::Path;

use keystead_domain::api_key::Environment;
use keystead_service::Caller;
use keystead_service::imports::{self, ImportedKey, KeyFate};

use super::members::{Members, Refusal};
use super::report::Report;
use super::{Fate, Record, import};
use crate::commands::Context;
use crate::failure::Failure;

impl Record for ImportedKey {
    fn read(members: &mut Members) -> Option<Self> {
        let (digest, email) = (members.required("sha256"), members.required("email"));
        let (tenant, name) = (members.optional("tenant"), members.required("name"));
        let (environment, scopes) = (members.optional("env"), members.list("scopes"));
        let (start, expires_at) = (members.optional("start"), members.optional("expires_at"));
        let created_at = members.optional("created_at");
        Some(Self {
            digest: digest?,
            email: email?,
            tenant,
            name: name?,
            environment: environment.unwrap_or(Environment::Live),
            scopes: scopes?.into_iter().collect(),
            start,
            expires_at,
            created_at,
        })
    }
}

pub(super) fn run(context: &Context, file: &Path) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let mut report = Report::default();
    let done = import(file, imports::BATCH, &mut report, |keys: &[ImportedKey]| {
        Ok(imports::keys(engine, &host, keys)?.into_iter().map(fate).collect())
    });
    report.print(context.format, done)
}

fn fate(of: KeyFate) -> Fate {
    let refused = |field, reason| Fate::Refused(Refusal::of_field(field, reason));
    match of {
        KeyFate::Made => Fate::Accepted,
        KeyFate::Exists => Fate::Exists,
        KeyFate::Ended => refused("sha256", "was imported before and has ended since"),
        KeyFate::Foreign => refused("sha256", "is somebody else's key"),
        KeyFate::NoHolder => refused("email", "is nobody's of the platform"),
        KeyFate::NoTenant => refused("tenant", "there is none with this slug"),
        KeyFate::NoMember => refused("tenant", "the holder is no member"),
        KeyFate::Unverified => {
            refused("tenant", "the holder's address is not confirmed, and another made the tenant")
        }
        KeyFate::UnknownScope => refused("scopes", "names a scope that there is none of"),
        KeyFate::NoScope => refused("scopes", "must not be empty"),
        KeyFate::Over => refused("expires_at", "is in the past"),
        KeyFate::NotYet => refused("created_at", "is in the future"),
    }
}
