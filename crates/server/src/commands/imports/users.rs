//! `keystead import users`.

use std::path::Path;

use keystead_service::Caller;
use keystead_service::imports::{self, Imported, ImportedUser};

use super::members::{Members, Refusal};
use super::report::Report;
use super::{Fate, Record, import};
use crate::cli::Owned;
use crate::commands::{Context, owned};
use crate::failure::Failure;

impl Record for ImportedUser {
    fn read(members: &mut Members) -> Option<Self> {
        let (email, verified) = (members.required("email"), members.flag("email_verified"));
        let (name, password) = (members.optional("name"), members.optional("password_hash"));
        let created_at = members.optional("created_at");
        Some(Self { email: email?, verified, name, password, created_at })
    }
}

pub(super) fn run(context: &Context, file: &Path, directory: &Owned) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let directory = owned::resolve(engine, directory)?;
    let mut report = Report::default();
    let done = import(file, imports::BATCH, &mut report, |users: &[ImportedUser]| {
        Ok(imports::users(engine, &host, directory, users)?.into_iter().map(fate).collect())
    });
    report.print(context.format, done)
}

fn fate(imported: Imported) -> Fate {
    match imported {
        Imported::Made => Fate::Accepted,
        Imported::Exists => Fate::Exists,
        Imported::AddressKept => Fate::Refused(Refusal::of_field(
            "email",
            "was a user's of this directory less than 72 hours ago, who can still go back to it",
        )),
        Imported::NotYet => Fate::Refused(Refusal::of_field("created_at", "is in the future")),
    }
}
