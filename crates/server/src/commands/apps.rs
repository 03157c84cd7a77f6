//! `keystead app`.

use std::time::Duration;

use keystead_domain::Timestamp;
use keystead_domain::app::{App, AppSecret};
use keystead_service::Caller;
use keystead_service::apps::{self, NewApp};
use serde::Serialize;

use super::{Context, owned};
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
pub(super) struct AppView {
    app_id: String,
    pub(super) client_id: String,
    /// Only right after the secret was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    name: String,
    owner: String,
    allowed_scopes: Vec<String>,
    first_party: bool,
    introspect: String,
    active: bool,
    created_at: String,
    /// Only where one app is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretView>,
}

#[derive(Serialize)]
struct SecretView {
    id: String,
    created_at: String,
    last_used_at: Option<String>,
    /// Until when it works, where another has taken its place.
    ends_at: Option<String>,
}

impl From<App> for AppView {
    fn from(app: App) -> Self {
        Self {
            app_id: app.id.to_string(),
            client_id: app.client_id.to_string(),
            client_secret: None,
            name: app.name.to_string(),
            owner: app.owner.to_string(),
            allowed_scopes: app.allowed_scopes.iter().map(str::to_owned).collect(),
            first_party: app.first_party,
            introspect: app.introspect.to_string(),
            active: app.active,
            created_at: app.created_at.to_rfc3339_seconds(),
            secrets: Vec::new(),
        }
    }
}

impl From<AppSecret> for SecretView {
    fn from(secret: AppSecret) -> Self {
        Self {
            id: secret.id.to_string(),
            created_at: secret.created_at.to_rfc3339_seconds(),
            last_used_at: secret.last_used_at.map(Timestamp::to_rfc3339_seconds),
            ends_at: secret.ends_at.map(Timestamp::to_rfc3339_seconds),
        }
    }
}

impl Show for AppView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("app id", self.app_id.clone()), ("client id", self.client_id.clone())];
        lines.extend(self.client_secret.clone().map(|secret| ("client secret", secret)));
        lines.extend([
            ("name", self.name.clone()),
            ("owner", self.owner.clone()),
            ("scopes", self.allowed_scopes.join(" ")),
            ("first party", self.first_party.to_string()),
            ("introspect", self.introspect.clone()),
            ("active", self.active.to_string()),
            ("created", self.created_at.clone()),
        ]);
        for secret in &self.secrets {
            let used = secret.last_used_at.as_deref().unwrap_or("never");
            let end = secret.ends_at.as_ref().map(|end| format!(", ends {end}")).unwrap_or_default();
            let line = format!("{} made {}, last used {used}{end}", secret.id, secret.created_at);
            lines.push(("secret", line));
        }
        lines
    }
}

pub(crate) fn run(context: &Context, command: cli::App) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    match command {
        // Kind, grants and token format have one value each so far.
        cli::App::Create { owner, name, scopes, introspect, kind: _, grants: _, access_token: _ } => {
            let owner = owned::resolve(engine, &owner)?;
            let created =
                apps::create(engine, &host, NewApp { owner, name, scopes, introspect: introspect.into() })?;
            let client_secret = Some(created.client_secret.expose().clone());
            output::one(context.format, &AppView { client_secret, ..created.app.into() })
        }
        cli::App::List => {
            let apps = apps::list(engine, &host)?;
            output::list(context.format, &apps.into_iter().map(AppView::from).collect::<Vec<_>>())
        }
        cli::App::Show { client_id } => {
            let (app, secrets) = apps::show(engine, &host, &client_id)?;
            let secrets = secrets.into_iter().map(SecretView::from).collect();
            output::one(context.format, &AppView { secrets, ..app.into() })
        }
        cli::App::RotateSecret { client_id, keep_old_for } => {
            let keep = Duration::from_secs(keep_old_for);
            let rotated = apps::rotate_secret(engine, &host, &client_id, keep)?;
            let client_secret = Some(rotated.client_secret.expose().clone());
            let secrets = rotated.secrets.into_iter().map(SecretView::from).collect();
            output::one(context.format, &AppView { client_secret, secrets, ..rotated.app.into() })
        }
        cli::App::Disable { client_id } => {
            output::one(context.format, &AppView::from(apps::set_active(engine, &host, &client_id, false)?))
        }
        cli::App::Enable { client_id } => {
            output::one(context.format, &AppView::from(apps::set_active(engine, &host, &client_id, true)?))
        }
    }
}
