//! `keystead key`.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use keystead_domain::Timestamp;
use keystead_domain::api_key::{ApiKey, Brand, KeyStart, KeyText};
use keystead_domain::oauth::ScopeSet;
use keystead_domain::user::User;
use keystead_service::Caller;
use keystead_service::api_keys::{self, NewKey};
use keystead_service::tenants;
use serde::Serialize;

use super::Context;
use crate::cli::{self, Global};
use crate::deployment;
use crate::failure::Failure;
use crate::output::{self, Format, Show};

#[derive(Serialize)]
struct KeyView {
    id: String,
    /// Only right after it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    name: String,
    /// What the key begins with, up to its look-up part.
    start: String,
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The one tenant that it reaches; `null` where it reaches all of its holder's.
    tenant_id: Option<String>,
    environment: &'static str,
    scopes: Vec<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    created_at: String,
    /// Only where the keys that reach a tenant are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    barred: Option<bool>,
}

impl KeyView {
    fn new(key: &ApiKey, brand: &Brand) -> Self {
        Self {
            id: key.id.to_string(),
            key: None,
            name: key.name.to_string(),
            start: key.start.shown(brand, key.environment),
            user_id: key.user.to_string(),
            email: None,
            tenant_id: key.pin.map(|pin| pin.tenant.to_string()),
            environment: key.environment.as_str(),
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            expires_at: key.expires_at.map(Timestamp::to_rfc3339_seconds),
            last_used_at: key.last_used_at.map(Timestamp::to_rfc3339_seconds),
            created_at: key.created_at.to_rfc3339_seconds(),
            barred: None,
        }
    }

    fn of(mut self, holder: &User) -> Self {
        self.email = Some(holder.email.to_string());
        self
    }
}

impl Show for KeyView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("id", self.id.clone())];
        lines.extend(self.key.clone().map(|key| ("key", key)));
        lines.extend([
            ("name", self.name.clone()),
            ("starts", self.start.clone()),
            ("holder", self.email.clone().unwrap_or_else(|| self.user_id.clone())),
            ("tenant", self.tenant_id.clone().unwrap_or_else(|| "any of the holder's".to_owned())),
            ("scopes", self.scopes.join(" ")),
            ("expires", self.expires_at.clone().unwrap_or_else(|| "never".to_owned())),
            ("last used", self.last_used_at.clone().unwrap_or_else(|| "never".to_owned())),
            ("created", self.created_at.clone()),
        ]);
        lines.extend(self.barred.map(|barred| ("barred", barred.to_string())));
        lines
    }
}

pub(crate) fn run(context: &Context, command: cli::Key) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let brand = &engine.settings().prefixes.api_key;
    match command {
        cli::Key::Create { tenant, email, name, env, scopes, expires_in } => {
            let scopes: ScopeSet = scopes.into_iter().collect();
            let new = NewKey {
                name,
                environment: env,
                scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
                expires_in: expires_in.map(Duration::from_secs),
                pin: None,
            };
            let (key, text) = api_keys::create_for(engine, &host, &tenant, &email, new)?;
            let (key, email) = (KeyView::new(&key, brand), Some(email.to_string()));
            output::one(context.format, &KeyView { key: Some(text.expose().clone()), email, ..key })
        }
        cli::Key::List { tenant: Some(slug), email: _ } => {
            let tenant = tenants::show(engine, &host, &slug)?;
            let keys = api_keys::list_reaching(engine, &host, tenant.id)?;
            let views = keys.iter().map(|found| KeyView {
                barred: Some(found.barred),
                ..KeyView::new(&found.key, brand).of(&found.holder)
            });
            output::list(context.format, &views.collect::<Vec<_>>())
        }
        cli::Key::List { tenant: None, email } => {
            let keys = api_keys::list_all(engine, &host, email.as_ref())?;
            let views = keys.iter().map(|(key, holder)| KeyView::new(key, brand).of(holder));
            output::list(context.format, &views.collect::<Vec<_>>())
        }
        cli::Key::Revoke { id } => {
            output::one(context.format, &KeyView::new(&api_keys::revoke(engine, &host, id)?, brand))
        }
        cli::Key::Check { .. } => Err(Failure::new("this command needs no database")),
    }
}

/// Where a well-formed key stands. The key itself is not printed.
#[derive(Serialize)]
struct FoundKey {
    line: usize,
    /// In bytes, from 1.
    column: usize,
    start: String,
    environment: &'static str,
}

/// Says where in a text well-formed keys stand; that there is none is a failure, as grep has it.
pub(crate) fn check(
    global: &Global,
    format: Format,
    file: &Path,
    brand: Option<Brand>,
) -> Result<(), Failure> {
    let brand = match brand {
        Some(brand) => brand,
        None => deployment::load(global, Vec::new())?.config.tokens.prefixes.api_key,
    };
    let text = read(file)?;
    let found: Vec<_> = KeyText::find_all(&text, &brand)
        .map(|(at, key)| {
            let before = &text[..at];
            FoundKey {
                line: before.matches('\n').count() + 1,
                column: at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1,
                start: KeyStart::Minted(key.prefix).shown(&brand, key.environment),
                environment: key.environment.as_str(),
            }
        })
        .collect();
    match format {
        Format::Json => output::json(&found)?,
        Format::Text => {
            let line = |key: &FoundKey| format!("{}:{}: {}\n", key.line, key.column, key.start);
            output::text(&found.iter().map(line).collect::<String>())?;
        }
    }
    if found.is_empty() { Err(Failure::new("there is no well-formed key in this text")) } else { Ok(()) }
}

fn read(file: &Path) -> Result<String, Failure> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        bytes
    } else {
        std::fs::read(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?
    };
    // A key is ASCII: whatever else is no text cannot hide one.
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
