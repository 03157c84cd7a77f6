//! From the configuration to an open engine.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_crypto::env::SystemEnv;
use keystead_crypto::master_key::MasterKey;
use keystead_crypto::passwords::Argon2Cost;
use keystead_domain::network::ClientAddress;
use keystead_domain::oauth::{GrantableScope, ScopeCatalogue};
use keystead_domain::password::PasswordPolicy;
use keystead_domain::plan::{Plan, Plans};
use keystead_domain::rate_limit::Quotas;
use keystead_domain::session::SessionLifetime;
use keystead_domain::slowdown::Slowdown;
use keystead_domain::user::AddressRule;
use keystead_service::file_outbox::FileOutbox;
use keystead_service::outbox::Transport;
use keystead_service::rate_limits::RateLimits;
use keystead_service::smtp::{Relay, Smtp};
use keystead_service::{Engine, Prefixes, Settings, master_key_id};
use keystead_storage::{Database, Store};

use crate::cli::Global;
use crate::config::{self, Config, ConfigFile, Loaded};
use crate::failure::Failure;
use crate::master_key;

/// Reads the configuration: file, environment, then `flags` and the flags of every command.
pub(crate) fn load(global: &Global, flags: Vec<(String, String)>) -> Result<Loaded, Failure> {
    let file = match &global.config {
        Some(path) => ConfigFile::Required(path),
        None => ConfigFile::Optional(Path::new(config::DEFAULT_FILE)),
    };
    let of_every_command =
        [(Config::data_dir.key, &global.data_dir), (Config::database_url.key, &global.database_url)];
    let flags = of_every_command
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
        .chain(flags);
    // Variables that are not UTF-8 are not ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = Config::load(file, environment, flags)?;
    for warning in &loaded.warnings {
        crate::output::complain(warning);
    }
    Ok(loaded)
}

/// The database that the configuration names.
pub(crate) fn database(config: &Config) -> Database {
    match &config.database_url {
        config::Database::Sqlite(path) => Database::Sqlite(path.clone()),
        config::Database::Postgres(url) => Database::Postgres(url.clone()),
    }
}

/// Opens the database and brings its schema up to date; returns how many steps that took.
pub(crate) fn open_store(config: &Config) -> Result<(Store, usize), Failure> {
    make_folder(&config.data_dir)?;
    let store = Store::open(&database(config), config.database_pool)?;
    let steps = store.migrate()?;
    Ok((store, steps))
}

/// Opens the engine, for a server that is known as `issuer`.
pub(crate) fn open_engine(config: &Config, issuer: &str) -> Result<Engine, Failure> {
    Ok(open_engine_with_key(config, issuer)?.0)
}

/// The same, with the master key that opened it.
pub(crate) fn open_engine_with_key(config: &Config, issuer: &str) -> Result<(Engine, MasterKey), Failure> {
    let (store, _) = open_store(config)?;
    let expected = master_key_id(&store)?;
    let master_key = master_key::obtain(&config.data_dir, expected.as_deref())?;
    Ok((start_engine(config, issuer, store, &master_key)?, master_key))
}

/// The engine on a migrated database.
pub(crate) fn start_engine(
    config: &Config,
    issuer: &str,
    store: Store,
    master_key: &MasterKey,
) -> Result<Engine, Failure> {
    Ok(Engine::start(store, master_key, settings(config, issuer)?, Arc::new(SystemEnv))?)
}

/// The URL that a server which listens at `address` is known by.
pub(crate) fn issuer(config: &Config, address: SocketAddr) -> String {
    config.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(address)))
}

/// The address to reach a listener by: one that listens everywhere is reached here by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}

/// The folder of the `file` transport.
pub(crate) fn outbox_folder(config: &Config) -> PathBuf {
    config.data_dir.join("outbox")
}

/// What carries the mails of a server that is known as `issuer`.
pub(crate) fn transport(config: &Config, issuer: &str) -> Result<Box<dyn Transport>, Failure> {
    match &config.mail {
        config::Mail::File => Ok(Box::new(file_outbox(config)?)),
        config::Mail::Smtp(relay) => Ok(Box::new(smtp(relay, config, issuer)?)),
    }
}

/// The `smtp` transport.
pub(crate) fn smtp(relay: &Relay, config: &Config, issuer: &str) -> Result<Smtp, Failure> {
    Smtp::new(relay.clone(), config.mail_from.clone(), &config::host_name(issuer))
        .map_err(|error| Failure::new(format!("{}: {error}", Config::mail.key)))
}

/// The `file` transport.
pub(crate) fn file_outbox(config: &Config) -> Result<FileOutbox, Failure> {
    let folder = outbox_folder(config);
    FileOutbox::open(&folder, &config.mail_from)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}

fn settings(config: &Config, issuer: &str) -> Result<Settings, Failure> {
    let impossible = |key: &str, error: &dyn std::fmt::Display| Failure::new(format!("{key}: {error}"));
    let (tokens, password) = (&config.tokens, &config.password);
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    Ok(Settings {
        issuer: issuer.to_owned(),
        app_token_lifetime: Duration::from_secs(tokens.app_access_token_seconds),
        session_lifetime: SessionLifetime {
            idle: Duration::from_secs(tokens.session_idle_seconds),
            absolute: Duration::from_secs(tokens.session_absolute_seconds),
        },
        prefixes: Prefixes {
            client_id: tokens.prefixes.client_id.clone(),
            client_secret: tokens.prefixes.client_secret.clone(),
            session: tokens.prefixes.session.clone(),
            api_key: tokens.prefixes.api_key.clone(),
        },
        password_policy: password_policy(password),
        password_cost: Argon2Cost::new(password.memory_kib, password.iterations, password.parallelism)
            .map_err(|error| impossible("password", &error))?,
        hashing_threads: if config.hashing.threads == 0 { cores() } else { config.hashing.threads },
        hashing_queue: config.hashing.queue,
        default_plan: config.default_plan.clone(),
        plans: plans(config)?,
        scopes: Arc::new(scopes(config)?),
        people_addresses: match config.account.require_verified_email {
            true => AddressRule::Verified,
            false => AddressRule::Any,
        },
        leak_reporters: config.leaked_keys.github_public_keys.clone(),
        trusted_origins: config.account.trusted_origins.iter().map(ToString::to_string).collect(),
        product: config.account.product_name.parse().map_err(
            |error: keystead_domain::name::InvalidName| impossible("account.product_name", &error),
        )?,
        rate_limits: rate_limits(&config.rate_limits),
        audit_retention: match config.audit.retention_days {
            0 => None,
            days => Some(Duration::from_secs(days * 24 * 3600)),
        },
        client_address: ClientAddress {
            header: config.client_ip_header.clone(),
            trusted: config.trusted_proxies.clone(),
        },
        remembered: config.cache.max_entries,
    })
}

/// The plans that there are, the smallest first.
pub(crate) fn plans(config: &Config) -> Result<Plans, Failure> {
    let config::Plans { free, studio, agency } = &config.plan;
    let plans = [
        ("free", free.api_access, free.burst, free.sustained),
        ("studio", studio.api_access, studio.burst, studio.sustained),
        ("agency", agency.api_access, agency.burst, agency.sustained),
    ];
    let plan = |(name, api_access, burst, sustained): (&str, _, _, _)| {
        let name = name.parse().map_err(|error| Failure::new(format!("plan.{name}: {error}")))?;
        Ok(Plan { name, api_access, burst, sustained })
    };
    let mut plans = plans.into_iter().map(plan).collect::<Result<Vec<_>, Failure>>()?;
    plans.extend(config.custom.plans.iter().map(|custom| Plan {
        name: custom.name.clone(),
        api_access: custom.api_access,
        burst: custom.burst,
        sustained: custom.sustained,
    }));
    Ok(Plans::new(plans))
}

/// The scopes that there are.
fn scopes(config: &Config) -> Result<ScopeCatalogue, Failure> {
    let config::Scopes { read, write, delete, admin } = &config.scopes;
    let behind = [
        ("read", &read.sentence, read.min_role),
        ("write", &write.sentence, write.min_role),
        ("delete", &delete.sentence, delete.min_role),
        ("admin", &admin.sentence, admin.min_role),
    ];
    let scope = |(name, sentence, min_role): (&str, &String, _)| {
        let scope = name.parse().map_err(|error| Failure::new(format!("scopes.{name}: {error}")))?;
        Ok(GrantableScope { scope, sentence: sentence.clone(), min_role })
    };
    let behind = behind.into_iter().map(scope).collect::<Result<Vec<_>, Failure>>()?;
    let custom = config.custom.scopes.iter().map(|custom| GrantableScope {
        scope: custom.scope.clone(),
        sentence: custom.sentence.clone(),
        min_role: custom.min_role,
    });
    Ok(ScopeCatalogue::default().with(behind.into_iter().chain(custom)))
}

fn password_policy(password: &config::Password) -> PasswordPolicy {
    let chosen = PasswordPolicy { min_length: password.min_length };
    if password.policy == "nist" { chosen.as_nist_asks() } else { chosen }
}

fn rate_limits(limits: &config::RateLimits) -> Option<RateLimits> {
    let quotas = Quotas {
        app: limits.app,
        anonymous: limits.anonymous,
        failed_bearer: limits.failed_bearer,
        failed_client: limits.failed_client,
        sign_in: limits.sign_in,
        sign_up: limits.sign_up,
        account_sign_in: limits.account_sign_in,
        account_sign_up: limits.account_sign_up,
        account_two_factor: limits.account_two_factor,
        code: limits.code,
        resend: limits.resend,
        leak_report: limits.leak_report,
        session: limits.session,
        key_burst: limits.key_burst,
        key_sustained: limits.key_sustained,
    };
    limits.enabled.then_some(RateLimits { quotas, slowdown: Slowdown { free: limits.free_failures } })
}
