//! Keystead inside another program, without HTTP: makes an organization, issues an API key, and checks it.
#![expect(clippy::print_stdout, reason = "an example shows what came out")]

use std::sync::Arc;

use keystead_crypto::{env::SystemEnv, master_key::MasterKey};
use keystead_domain::{Secret, api_key::Environment};
use keystead_service::people::{self, Presented};
use keystead_service::{Arrival, Caller, Engine, Error, Settings, accounts, api_keys};
use keystead_storage::{Database, Store};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("keystead-embedded-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let store = Store::open(&Database::Sqlite(folder.join("keystead.db")), 1)?;
    store.migrate()?;
    // Keep the master key: nothing else opens the database again.
    let key = MasterKey::generate(&SystemEnv);
    let engine = Engine::start(store, &key, Settings::new("https://id.example.com")?, Arc::new(SystemEnv))?;

    // Whoever signs up owns an organization from then on.
    let (email, name) = ("ada@example.com".parse()?, "Ada".parse()?);
    let password = Secret::new("correct horse battery staple".to_owned());
    let ada = accounts::NewAccount { email, password, name, onward: None };
    let signed_up = accounts::sign_up(&engine, &Caller::visitor(Arrival::default()), ada)?;
    let session = signed_up.session().ok_or("the address has to be confirmed first")?;
    let session = people::verify(&engine, &Presented::Session(session.token), &Arrival::default())?;
    let ada = people::admit(&engine, &session, Arrival::default())?;

    let (name, scopes, environment) = ("CI".parse()?, Some("read".parse()?), Environment::Live);
    let new = api_keys::NewKey { name, environment, scopes, expires_in: None, pin: None };
    let (_, key) = api_keys::create(&engine, &ada, new)?;

    let shown = people::verify(&engine, &Presented::Key(key), &Arrival::default())?;
    let at = shown.principal().acts_in(None).map_err(Error::from)?;
    println!("{} is {} of {}", shown.principal().user.email, at.role, at.tenant.name);
    Ok(std::fs::remove_dir_all(folder)?)
}
