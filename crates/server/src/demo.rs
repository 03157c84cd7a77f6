//! `serve --demo`: a tenant, an app and a user to try things with, and the commands to paste.

use keystead_crypto::env::SystemEnv;
use keystead_crypto::tokens;
use keystead_domain::app::Introspect;
use keystead_domain::{Owner, Secret};
use keystead_service::apps::{self, NewApp};
use keystead_service::tenants::{self, NewTenant};
use keystead_service::users::{self, NewUser};
use keystead_service::{Caller, Code, Engine};

use crate::config::Config;
use crate::failure::Failure;

/// What is pasted after the credentials. The README has it too, and a test holds them together.
const QUICKSTART: &str = include_str!("demo/quickstart.sh");

const USER: &str = "demo@example.com";

/// Makes the demo's rows, once, and says how to use them. Their secrets are random and shown now
/// or never.
pub(crate) fn prepare(engine: &Engine, config: &Config, issuer: &str) -> Result<String, Failure> {
    let host = Caller::host();
    let slug = parse("demo")?;
    match tenants::show(engine, &host, &slug) {
        Ok(_) => {
            return Ok(
                "The demo exists already, and its credentials were shown when it was made. For new ones:\n\
                       \n    keystead app create --tenant demo --name 'Another demo app'\n\n"
                    .to_owned(),
            );
        }
        Err(error) if error.code() == Code::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let new = NewTenant { name: parse("Demo")?, slug: Some(slug), plan: None, entity_hotkey: None };
    let owner = Owner::Tenant(tenants::create(engine, &host, new)?.id);
    let app = apps::create(
        engine,
        &host,
        NewApp { owner, name: parse("Demo app")?, scopes: Vec::new(), introspect: Introspect::Own },
    )?;
    let (password, _) = tokens::mint("demo-", &SystemEnv);
    let user = NewUser {
        directory: owner,
        email: parse(USER)?,
        password: Secret::new(password.expose().clone()),
        name: Some(parse("Demo user")?),
        verified: true,
        operator: false,
    };
    users::create(engine, &host, user)?;

    let keystead = std::env::current_exe()?;
    let data_dir = config.data_dir.canonicalize()?;
    let credentials = [
        ("URL", issuer),
        ("KEYSTEAD", &keystead.to_string_lossy()),
        ("KEYSTEAD_DATA_DIR", &data_dir.to_string_lossy()),
        ("CLIENT_ID", app.app.client_id.as_str()),
        ("CLIENT_SECRET", app.client_secret.expose()),
        ("DEMO_EMAIL", USER),
        ("DEMO_PASSWORD", password.expose()),
    ]
    .map(|(name, value)| format!("export {name}={}\n", quoted(value)))
    .concat();
    Ok(format!(
        "\nA demo tenant, app and user were made. Their credentials are shown this once; paste into another\n\
         terminal:\n\n{credentials}\n{QUICKSTART}\n"
    ))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(format!("{text}: {error}")))
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }

    #[test]
    fn the_readme_has_the_same_quickstart() {
        assert!(include_str!("../../../README.md").contains(QUICKSTART), "README.md");
    }
}
