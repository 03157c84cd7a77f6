//! Keystead inside another program, without HTTP: makes an organization, issues an API key, and checks it.
#![expect(clippy::print_stdout, reason = "an example shows what came out")]

use std::sync::Arc;

use keystead_crypto::{env::SystemEnv, master_key::MasterKey};
use keystead_domain::{Secret, api_key::Environment};
use keystead_service::accounts::{self, SignedUp};
use keystead_service::people::{self, Presented};
use keystead_service::{Arrival, Caller, Engine, Error, Settings, api_keys};
use keystead_storage::{Database, Store};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("keystead-embedded-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let store = Store::open(&Database::Sqlite(folder.join("keystead.db")), 1)?;
    store.migrate()?;
    // Keep the master key: nothing else opens the database again.
    let master_key = MasterKey::generate(&SystemEnv);
    let engine =
        Engine::start(store, &master_key, Settings::new("https://id.example.com")?, Arc::new(SystemEnv))?;

    // Whoever signs up owns an organization from then on.
    let password = Secret::new("correct horse battery staple".to_owned());
    let (email, name) = ("ada@example.com".parse()?, "Ada".parse()?);
    let ada = accounts::NewAccount { email, password, name, onward: None };
    let SignedUp::Done(_, session) = accounts::sign_up(&engine, &Caller::visitor(Arrival::default()), ada)?
    else {
        return Err("the address has to be confirmed first".into());
    };
    let session = people::verify(&engine, &Presented::Session(session.token), &Arrival::default())?;
    let ada = people::admit(&engine, &session, Arrival::default())?;

    let (name, scopes, environment) = ("CI".parse()?, Some("read".parse()?), Environment::Live);
    let new = api_keys::NewKey { name, environment, scopes, expires_in: None, pin: None };
    let (_, key) = api_keys::create(&engine, &ada, new)?;

    let shown = people::verify(&engine, &Presented::Key(key), &Arrival::default())?;
    let organization = shown.principal().acts_in(None).map_err(Error::from)?;
    println!("{} is {} of {}", shown.principal().user.email, organization.role, organization.tenant.name);
    Ok(std::fs::remove_dir_all(folder)?)
}
