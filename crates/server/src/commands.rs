//! The commands: each calls the service as the host and prints what it answers.

mod apps;
mod audits;
mod backups;
mod imports;
mod invites;
mod keys;
mod mails;
mod master_keys;
mod members;
mod owned;
mod plans;
mod projects;
mod requests;
mod sealing;
mod signing_keys;
mod tenants;
mod users;

use self::sealing::Sealing;
use crate::cli::{Arguments, Command, Config, Global, Key, MasterKey, Serve};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::{deployment, doctor, serve};

/// What commands that work on the database need.
struct Context {
    engine: Sealing,
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let global = arguments.global;
    match arguments.command.unwrap_or_else(|| Command::Serve(Serve::default())) {
        Command::Serve(arguments) => serve::serve(&global, arguments),
        Command::Migrate => migrate(&global),
        Command::Doctor => doctor::run(&global, format(&global)),
        Command::Config(Config::Show) => show_config(&global),
        Command::Tenant(command) => tenants::run(&context(&global)?, command),
        Command::Plan(command) => plans::run(&global, format(&global), &command),
        Command::Project(command) => projects::run(&context(&global)?, command),
        Command::App(command) => apps::run(&context(&global)?, command),
        Command::User(command) => users::run(&context(&global)?, command),
        Command::Key(Key::Check { file, brand }) => keys::check(&global, format(&global), &file, brand),
        Command::Key(command) => keys::run(&context(&global)?, command),
        Command::Import(command) => imports::run(&context(&global)?, command),
        Command::Member(command) => members::run(&context(&global)?, command),
        Command::Invite(command) => invites::run(&context(&global)?, command),
        Command::SigningKey(command) => signing_keys::run(&context(&global)?, command),
        Command::Request(command) => requests::run(&context(&global)?, command),
        Command::Audit(command) => audits::run(&context(&global)?, command),
        Command::Backup { file } => {
            backups::backup(&deployment::load(&global, Vec::new())?.config, format(&global), &file)
        }
        Command::Restore { file, keep_sessions } => {
            let config = deployment::load(&global, Vec::new())?.config;
            backups::restore(&config, format(&global), &file, keep_sessions)
        }
        Command::MasterKey(MasterKey::Rotate { new_key_file }) => {
            let config = deployment::load(&global, Vec::new())?.config;
            master_keys::rotate(&config, format(&global), new_key_file.as_deref())
        }
        Command::Mail(command) => {
            mails::run(&deployment::load(&global, Vec::new())?.config, format(&global), command)
        }
    }
}

const fn format(global: &Global) -> Format {
    if global.json { Format::Json } else { Format::Text }
}

fn context(global: &Global) -> Result<Context, Failure> {
    let config = deployment::load(global, Vec::new())?.config;
    // Links in mails lead to the server that is configured.
    let issuer = deployment::issuer(&config, config.listen);
    Ok(Context { engine: Sealing(deployment::open_engine(&config, &issuer)?), format: format(global) })
}

fn migrate(global: &Global) -> Result<(), Failure> {
    let config = deployment::load(global, Vec::new())?.config;
    let (_, steps) = deployment::open_store(&config)?;
    match format(global) {
        Format::Json => output::json(&serde_json::json!({ "migrations_run": steps })),
        Format::Text => output::text(&match steps {
            0 => "The schema was up to date.\n".to_owned(),
            steps => format!("The schema is up to date; migrations run: {steps}.\n"),
        }),
    }
}

fn show_config(global: &Global) -> Result<(), Failure> {
    let loaded = deployment::load(global, Vec::new())?;
    match format(global) {
        Format::Json => output::json(&loaded.show()),
        Format::Text => output::text(&loaded.render_text()),
    }
}
