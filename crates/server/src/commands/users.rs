//! `keystead user`.

use std::io::BufRead as _;

use keystead_domain::id::UserId;
use keystead_domain::user::User;
use keystead_domain::{Owner, Secret};
use keystead_service::users::{self, NewUser};
use keystead_service::{Caller, Engine};
use serde::Serialize;

use super::{Context, owned};
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct UserView {
    id: String,
    directory: String,
    email: String,
    email_verified: bool,
    name: Option<String>,
    status: &'static str,
    role: &'static str,
    created_at: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            directory: user.directory.to_string(),
            email: user.email.to_string(),
            email_verified: user.email_verified_at.is_some(),
            name: user.name.map(|name| name.to_string()),
            status: user.status.as_str(),
            role: if user.operator { "operator" } else { "user" },
            created_at: user.created_at.to_rfc3339_seconds(),
        }
    }
}

impl Show for UserView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("directory", self.directory.clone()),
            ("e-mail", self.email.clone()),
            ("verified", self.email_verified.to_string()),
        ];
        lines.extend(self.name.clone().map(|name| ("name", name)));
        lines.extend([
            ("status", self.status.to_owned()),
            ("role", self.role.to_owned()),
            ("created", self.created_at.clone()),
        ]);
        lines
    }
}

pub(crate) fn run(context: &Context, command: cli::User) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    match command {
        cli::User::Create { directory, email, password_stdin: _, name, verified, operator } => {
            let directory = owned::resolve(engine, &directory)?;
            let password = first_line_of_stdin()?;
            let new = NewUser { directory, email, password, name, verified, operator };
            output::one(context.format, &UserView::from(users::create(engine, &host, new)?))
        }
        cli::User::List { directory } => {
            let directory = owned::resolve(engine, &directory)?;
            let users = users::list(engine, &host, directory)?;
            output::list(context.format, &users.into_iter().map(UserView::from).collect::<Vec<_>>())
        }
        cli::User::Show { directory, user } => {
            let directory = owned::resolve(engine, &directory)?;
            output::one(context.format, &UserView::from(find(engine, &host, directory, &user)?))
        }
        cli::User::Lock { directory, user } => {
            let directory = owned::resolve(engine, &directory)?;
            let user = find(engine, &host, directory, &user)?;
            output::one(context.format, &UserView::from(users::lock(engine, &host, &user)?))
        }
        cli::User::Unlock { directory, user } => {
            let directory = owned::resolve(engine, &directory)?;
            let user = find(engine, &host, directory, &user)?;
            output::one(context.format, &UserView::from(users::unlock(engine, &host, &user)?))
        }
        cli::User::ResetMfa { directory, user } => {
            let directory = owned::resolve(engine, &directory)?;
            let user = find(engine, &host, directory, &user)?;
            users::reset_mfa(engine, &host, &user)?;
            output::one(context.format, &UserView::from(user))
        }
    }
}

/// The directory's user with this address or id.
fn find(engine: &Engine, host: &Caller, directory: Owner, user: &str) -> Result<User, Failure> {
    if let Ok(id) = user.parse::<UserId>() {
        return Ok(users::show(engine, host, directory, id)?);
    }
    let email = user
        .parse()
        .map_err(|_| Failure::new(format!("{user} is neither an e-mail address nor a user's id")))?;
    Ok(users::show_by_email(engine, host, directory, &email)?)
}

fn first_line_of_stdin() -> Result<Secret<String>, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = Secret::new(line);
    let text = password.expose().trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::new("there was no password on stdin"));
    }
    Ok(Secret::new(text.to_owned()))
}
