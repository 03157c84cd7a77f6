//! The configuration: what an operator decided about one server, read once at the start.
//!
//! Values come from four sources, the later ones winning: built-in defaults, `keystead.toml`,
//! environment variables `KEYSTEAD_…` and flags. The table below is the one list of settings: the
//! fields of [`Config`], their keys, defaults, limits and documentation are all made from its lines.
//! To add a setting, add a line.

mod error;
mod loaded;
mod named;
#[cfg(test)]
mod reference;
mod setting;
mod sources;
mod url;
mod values;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use keystead_crypto::reports::ReporterKey;
use keystead_domain::api_key::Brand;
use keystead_domain::mail::Sender;
use keystead_domain::network::Cidr;
use keystead_domain::rate_limit::Quota;
use keystead_domain::role::Role;
use keystead_domain::tenant::PlanName;

pub use self::error::{ConfigError, ConfigErrors, InsecurePublicUrl, Warning};
pub use self::loaded::{Loaded, Shown};
pub use self::named::{Custom, CustomPlan, CustomScope};
pub use self::setting::Setting;
pub use self::sources::{ConfigFile, DEFAULT_FILE, HANDLED_ELSEWHERE, Source};
pub use self::values::{Database, Mail, Ratio};

use self::setting::settings;
use self::sources::Reader;
use self::url::is_loopback;
pub(crate) use self::url::{host_name, without_password};
use self::values::{
    ADDRESS, BRAND, DATABASE, HEADER, LINE, MAIL, MAILBOX, ORIGINS, Origin, PATH, PLAN, PREFIX, QUOTA,
    RANGES, RATIO, REPORTERS, ROLE, Rule, SENTENCE, SWITCH, URL, Value, one_of, whole_number,
};

settings! {
    /// What is in force, each value within its limits.
    Config at "", where check_config => {
        /// Where all surfaces are served: IP address and port
        listen: SocketAddr = "127.0.0.1:8000", ADDRESS;

        /// The URL that clients and browsers reach the server by, and the OAuth issuer;
        /// when unset, http:// and the address of `listen`
        public_url: Option<String>, URL;

        /// The directory of the SQLite database, the master key and the outbox
        data_dir: PathBuf = "./keystead-data", PATH;

        /// Where everything is stored; `{data_dir}` at the start of the path stands for that setting
        database_url: Database = "sqlite:{data_dir}/keystead.db", DATABASE;

        /// The most connections that are open to PostgreSQL at once
        database_pool: usize = 16, whole_number!(1..=1_000);

        /// Where health and metrics are served: IP address and port, not meant for the public
        admin_listen: SocketAddr = "127.0.0.1:8001", ADDRESS;

        /// How mail leaves the server; `file` keeps it in the outbox in the data directory, `smtp` and
        /// `smtps` URLs name a mail server
        mail: Mail = "file", MAIL;

        /// The sender of every mail
        mail_from: Sender = "Keystead <no-reply@localhost>", MAILBOX;

        /// The plan of a new tenant
        default_plan: PlanName = "free", PLAN;

        /// What `serve` logs on stderr: a tracing filter such as `info,keystead_http=debug`
        log: String = "info,actix_server=warn", LINE;

        /// How it is written: `text` for people, `json` for machines, one object a line
        log_format: String = "text", one_of!("text", "json");

        /// The proxies whose word about the client's address is taken: IP addresses and ranges
        trusted_proxies: Vec<Cidr> = "", RANGES;

        /// The one header that such a proxy writes the client's address to; when unset, none is read
        client_ip_header: Option<String>, HEADER;

        section tokens: Tokens where check_session_lifetimes {
            /// Lifetime in seconds of an access token that an app gets for itself
            app_access_token_seconds: u64 = 3_600, whole_number!(60..=86_400);

            /// Seconds after which an unused session ends; the default is 7 days
            session_idle_seconds: u64 = 604_800, whole_number!(300..=31_536_000);

            /// Seconds after which a session ends even in use, at least `tokens.session_idle_seconds`;
            /// the default is 30 days
            session_absolute_seconds: u64 = 2_592_000, whole_number!(300..=31_536_000);

            section prefixes: Prefixes {
                /// What the id of a new app starts with
                client_id: String = "ksc_", PREFIX;

                /// What the secret of a new app starts with
                client_secret: String = "kss_", PREFIX;

                /// What the token of a new session starts with
                session: String = "sess_", PREFIX;

                /// What an API key starts with, before `_live_` or `_test_`
                api_key: Brand = "ks", BRAND;
            }
        }

        section password: Password where check_argon2_memory {
            /// The fewest characters (code points) of a new password
            min_length: usize = 12, whole_number!(8..=128);

            /// Whose rules a new password follows; with `nist` it has at least 15 characters,
            /// also where `password.min_length` is less
            policy: String = "default", one_of!("default", "nist");

            /// Memory of one argon2id hash in KiB (`m`); at least 8 for each lane
            memory_kib: u32 = 19_456, whole_number!(8..=4_194_304);

            /// Passes of argon2id over its memory (`t`)
            iterations: u32 = 2, whole_number!(1..=100);

            /// Lanes of argon2id (`p`)
            parallelism: u32 = 1, whole_number!(1..=16);
        }

        section audit: Audit {
            /// Days after which sealed audit events are removed; 0 keeps them for ever
            retention_days: u64 = 0, whole_number!(0..=36_500);
        }

        section hashing: Hashing {
            /// Threads that hash passwords; 0 takes one for each core
            threads: usize = 0, whole_number!(0..=1_024);

            /// Passwords that may wait for a thread before the server answers 503
            queue: usize = 32, whole_number!(1..=100_000);
        }

        section account: Account {
            /// What people know this deployment by, in mails and authenticator apps
            product_name: String = "Keystead", LINE;

            /// Whether people of the platform have to confirm their e-mail addresses before they sign in
            require_verified_email: bool = false, SWITCH;

            /// Origins of pages, such as `https://app.example.com`, that may use the account API with a
            /// person's cookie, beside `public_url`'s own
            trusted_origins: Vec<Origin> = "", ORIGINS;
        }

        section leaked_keys: LeakedKeys {
            /// Public keys of GitHub's secret-scanning partner programme, each as its identifier, a colon and the
            /// base64 lines of its PEM file put together; reports in its format that none of these signed are
            /// refused
            github_public_keys: Vec<ReporterKey> = "", REPORTERS;
        }

        section plan: Plans {
            section free: Free {
                /// Whether the plan `free` opens the bearer API
                api_access: bool = false, SWITCH;

                /// Requests of one API key of a tenant on the plan `free`, at once
                burst: Quota = "10/10s", QUOTA;

                /// Requests of one API key of a tenant on the plan `free`, over a longer time
                sustained: Quota = "300/1m", QUOTA;
            }

            section studio: Studio {
                /// Whether the plan `studio` opens the bearer API
                api_access: bool = true, SWITCH;

                /// Requests of one API key of a tenant on the plan `studio`, at once
                burst: Quota = "30/10s", QUOTA;

                /// Requests of one API key of a tenant on the plan `studio`, over a longer time
                sustained: Quota = "600/1m", QUOTA;
            }

            section agency: Agency {
                /// Whether the plan `agency` opens the bearer API
                api_access: bool = true, SWITCH;

                /// Requests of one API key of a tenant on the plan `agency`, at once
                burst: Quota = "60/10s", QUOTA;

                /// Requests of one API key of a tenant on the plan `agency`, over a longer time
                sustained: Quota = "1200/1m", QUOTA;
            }
        }

        section scopes: Scopes {
            section read: ReadScope {
                /// What `read` opens at the services behind Keystead, as somebody is told who is asked for it
                sentence: String = "Read your organization's data", SENTENCE;

                /// The least role in an organization for `read` to count there
                min_role: Role = "member", ROLE;
            }

            section write: WriteScope {
                /// What `write` opens at the services behind Keystead, as somebody is told who is asked for it
                sentence: String = "Change your organization's data", SENTENCE;

                /// The least role in an organization for `write` to count there
                min_role: Role = "member", ROLE;
            }

            section delete: DeleteScope {
                /// What `delete` opens at the services behind Keystead, as somebody is told who is asked for it
                sentence: String = "Delete your organization's data", SENTENCE;

                /// The least role in an organization for `delete` to count there
                min_role: Role = "manager", ROLE;
            }

            section admin: AdminScope {
                /// What `admin` opens at the services behind Keystead, as somebody is told who is asked for it
                sentence: String = "Administer your organization's data", SENTENCE;

                /// The least role in an organization for `admin` to count there
                min_role: Role = "admin", ROLE;
            }
        }

        section cache: Cache {
            /// Verified credentials that are remembered, so that they need not be looked up again: this
            /// many access tokens, sessions, API keys and client credentials each; 0 remembers none
            max_entries: usize = 100_000, whole_number!(0..=100_000_000);
        }

        section rate_limits: RateLimits {
            /// Whether requests and failures are limited at all
            enabled: bool = true, SWITCH;

            /// Requests of one app
            app: Quota = "6000/1m", QUOTA;

            /// Requests from one address that proved nothing
            anonymous: Quota = "500/15m", QUOTA;

            /// Access tokens from one address that were no good
            failed_bearer: Quota = "10/1m", QUOTA;

            /// Client credentials that were no good, from one address and for one app
            failed_client: Quota = "10/1m", QUOTA;

            /// Sign-ins of one e-mail address of a tenant, and of one end user's IP address
            sign_in: Quota = "10/1m", QUOTA;

            /// Sign-ups of one e-mail address of a tenant, and of one end user's IP address
            sign_up: Quota = "10/1m", QUOTA;

            /// Sign-ins of people of the platform, from one IP address and for one e-mail address
            account_sign_in: Quota = "5/1m", QUOTA;

            /// Sign-ups of people of the platform, from one IP address and for one e-mail address
            account_sign_up: Quota = "3/1m", QUOTA;

            /// Codes of a second factor typed by people of the platform, from one IP address and for one account
            account_two_factor: Quota = "5/1m", QUOTA;

            /// Mailed codes typed for one e-mail address of a tenant, and by one end user's IP address
            code: Quota = "10/1m", QUOTA;

            /// New codes asked for one e-mail address of a tenant, and by one end user's IP address
            resend: Quota = "10/1m", QUOTA;

            /// Reports of leaked API keys from one address
            leak_report: Quota = "10/1m", QUOTA;

            /// Requests with sessions of one person of the platform
            session: Quota = "600/1m", QUOTA;

            /// Requests with one API key at once, of a person whose tenants have no plan that says otherwise
            key_burst: Quota = "10/10s", QUOTA;

            /// Requests with one API key over a longer time, of a person whose tenants have no plan that
            /// says otherwise
            key_sustained: Quota = "300/1m", QUOTA;

            /// Failed sign-ins and codes of one e-mail address before each further one delays the next
            free_failures: u32 = 5, whole_number!(1..=100);
        }

        section telemetry: Telemetry {
            /// The base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as
            /// http://127.0.0.1:4318; when unset, nothing is traced
            otlp_endpoint: Option<String>, URL;

            /// What the server is called in traces
            service_name: String = "keystead", LINE;

            /// The part of the requests that is traced, of those that do not belong to a trace already
            sample_ratio: Ratio = "1", RATIO;
        }

        named custom: Custom;
    }
}

/// Every setting, in the order of the documentation.
pub fn reference() -> impl Iterator<Item = &'static Setting> {
    Config::settings()
}

impl Config {
    /// Reads all sources. The flags are pairs of a key and a value.
    ///
    /// A mistake in one source is an error even where a later source wins: it would surface on the
    /// day that the later one goes away.
    pub fn load(
        file: ConfigFile<'_>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new();
        reader.add_file(file);
        reader.add_environment(environment);
        reader.add_flags(flags);
        let config = Self::read(&mut reader)
            .map(|config| Self { database_url: config.database_url.placed_in(&config.data_dir), ..config });
        reader.finish(config)
    }

    /// Refuses to be known by plain http, unless on this machine or the operator insists. Without a
    /// public URL the server is known by the address that it listens at.
    pub fn check_public_url(&self, insecure_http: bool) -> Result<(), InsecurePublicUrl> {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen));
        if insecure_http || self.is_local() || url.starts_with("https://") {
            return Ok(());
        }
        Err(InsecurePublicUrl { key: Self::public_url.key, url })
    }

    /// Whether the server is known on this machine only, as one is that is being tried out.
    pub fn is_local(&self) -> bool {
        match &self.public_url {
            Some(url) => is_loopback(url),
            None => self.listen.ip().is_loopback(),
        }
    }
}

fn check_config(config: &Config, reader: &mut Reader) {
    check_client_address(config, reader);
    check_default_plan(config, reader);
}

/// A tenant on a plan that there is none of could do nothing.
fn check_default_plan(config: &Config, reader: &mut Reader) {
    let custom = config.custom.plans.iter().map(|plan| plan.name.as_str());
    let known: Vec<_> = Plans::NAMES.into_iter().chain(custom).collect();
    if !known.contains(&config.default_plan.as_str()) {
        reader.require_one_of(&Config::default_plan, config.default_plan.as_str(), &known);
    }
}

impl Plans {
    /// The plans that are always there.
    pub const NAMES: [&'static str; 3] = ["free", "studio", "agency"];
}

/// A header that nobody is trusted to write would never be read.
fn check_client_address(config: &Config, reader: &mut Reader) {
    if config.client_ip_header.is_some() && config.trusted_proxies.is_empty() {
        let value = config.client_ip_header.clone();
        reader.require_with(&Config::client_ip_header, value, &Config::trusted_proxies);
    }
}

/// A session that must end before it may go idle is one of two settings misunderstood.
fn check_session_lifetimes(tokens: &Tokens, reader: &mut Reader) {
    reader.require_at_least(
        &Tokens::session_absolute_seconds,
        tokens.session_absolute_seconds,
        tokens.session_idle_seconds,
        &Tokens::session_idle_seconds,
    );
}

/// Argon2 takes no less than 8 KiB for each lane (RFC 9106 §3.1).
fn check_argon2_memory(password: &Password, reader: &mut Reader) {
    reader.require_at_least(
        &Password::memory_kib,
        u64::from(password.memory_kib),
        8 * u64::from(password.parallelism),
        &Password::parallelism,
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;
    use std::fs;
    use std::path::Path;
    use std::process;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn load(file: &str, environment: Pairs<'_>, flags: Pairs<'_>) -> Result<Loaded, ConfigErrors> {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("keystead-config-{}-{}.toml", process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::write(&path, file).unwrap();
        let owned =
            |pairs: Pairs<'_>| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>();
        let loaded = Config::load(ConfigFile::Required(&path), owned(environment), owned(flags));
        fs::remove_file(&path).unwrap();
        loaded
    }

    /// The errors of a load, each without the directory of the file.
    fn errors(file: &str, environment: Pairs<'_>, flags: Pairs<'_>) -> Vec<String> {
        let without_path = |text: String| match (text.find("file /"), text.find(".toml")) {
            (Some(start), Some(end)) => format!("{}file keystead{}", &text[..start], &text[end..]),
            _ => text,
        };
        let errors = load(file, environment, flags).unwrap_err();
        errors.iter().map(|error| without_path(error.to_string())).collect()
    }

    fn shown(loaded: &Loaded, setting: &Setting) -> String {
        loaded.show().into_iter().find(|row| row.key == setting.key).unwrap().value.unwrap()
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let missing = ConfigFile::Optional(Path::new("/nowhere/keystead.toml"));
        let loaded = Config::load(missing, [], []).unwrap();
        let config = &loaded.config;
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.public_url, None);
        assert_eq!(config.database_url, Database::Sqlite("./keystead-data/keystead.db".into()));
        assert_eq!(config.tokens.session_absolute_seconds, 30 * 24 * 3_600);
        assert_eq!(config.tokens.prefixes.client_id, "ksc_");
        assert_eq!(config.password.memory_kib, 19_456);
        assert!(loaded.warnings.is_empty());
        assert!(loaded.show().iter().all(|row| row.source == "default"));
    }

    #[test]
    fn a_named_file_must_exist() {
        let missing = ConfigFile::Required(Path::new("/nowhere/keystead.toml"));
        let errors = Config::load(missing, [], []).unwrap_err().to_string();
        assert!(errors.contains("file /nowhere/keystead.toml cannot be read"), "{errors}");
    }

    #[test]
    fn later_sources_win() {
        let file = "listen = '127.0.0.1:1'\ndatabase_pool = 1\nmail_from = 'a@b'";
        let environment = [("KEYSTEAD_LISTEN", "127.0.0.1:2"), ("KEYSTEAD_DATABASE_POOL", "2")];
        let flags = [("listen", "127.0.0.1:3")];
        let loaded = load(file, &environment, &flags).unwrap();
        assert_eq!(loaded.config.listen.port(), 3);
        assert_eq!(loaded.config.database_pool, 2);
        assert_eq!(loaded.config.mail_from.to_string(), "a@b");

        assert_eq!(loaded.source(&Config::listen), &Source::Flag("--listen".to_owned()));
        assert_eq!(loaded.source(&Config::database_pool).to_string(), "environment KEYSTEAD_DATABASE_POOL");
        assert!(matches!(loaded.source(&Config::mail_from), Source::File { line: 3, .. }));
        assert_eq!(loaded.source(&Config::log), &Source::Default);
    }

    #[test]
    fn an_address_that_was_chosen_is_told_from_the_default() {
        let chosen = load("admin_listen = '127.0.0.1:8001'", &[], &[]).unwrap();
        assert_eq!(chosen.config, load("", &[], &[]).unwrap().config);
        assert_ne!(chosen.source(&Config::admin_listen), &Source::Default);
    }

    #[test]
    fn sections_nest_in_every_source() {
        let file = "[tokens]\nsession_idle_seconds = 0x200\n[tokens.prefixes]\nclient_id = 'a_'";
        let environment = [("KEYSTEAD_TOKENS__PREFIXES__CLIENT_SECRET", "b_")];
        let tokens = load(file, &environment, &[("tokens.prefixes.session", "c_")]).unwrap().config.tokens;
        assert_eq!(tokens.session_idle_seconds, 512);
        let Prefixes { client_id, client_secret, session, .. } = tokens.prefixes;
        assert_eq!([client_id, client_secret, session], ["a_", "b_", "c_"]);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let file = "lisen = '127.0.0.1:1'\n\n[tokens]\nprefix.client_id = 'x_'";
        assert_eq!(
            errors(file, &[], &[("pubic_url", "https://a.example")]),
            [
                "`lisen` (file keystead.toml, line 1) is not a setting; the nearest is `listen`",
                "`tokens.prefix.client_id` (file keystead.toml, line 4) is not a setting; \
                 the nearest is `tokens.prefixes.client_id`",
                "`pubic_url` (flag --pubic-url) is not a setting; the nearest is `public_url`",
            ]
        );
    }

    #[test]
    fn impossible_values_are_reported_together() {
        let file = "listen = 8000\ndatabase_pool = '16'\nlog = ['info']\n\
                    [password]\nmin_length = 7\n[mail_from]\na = 1";
        let environment = [("KEYSTEAD_HASHING__QUEUE", "many"), ("KEYSTEAD_DEFAULT_PLAN", "Free")];
        let flags = [("tokens.prefixes.session", "sess-"), ("public_url", "https://user:hunter2@a.example")];
        let errors = errors(file, &environment, &flags);
        for expected in [
            "`listen` (file keystead.toml, line 1) must be an IP address and a port such as 127.0.0.1:8000, \
             not a TOML integer",
            "`database_pool` (file keystead.toml, line 2) must be a whole number from 1 to 1000, \
             not a TOML string",
            "`log` (file keystead.toml, line 3) must be text without control characters, not a TOML array",
            "`password.min_length` (file keystead.toml, line 5) must be a whole number from 8 to 128, \
             not `7`",
            "`hashing.queue` (environment KEYSTEAD_HASHING__QUEUE) must be a whole number from 1 to 100000, \
             not `many`",
            "`default_plan` (environment KEYSTEAD_DEFAULT_PLAN) must be the name of a plan, not `Free`",
        ] {
            assert!(errors.iter().any(|error| error == expected), "{expected}\n{errors:#?}");
        }
        assert!(
            errors
                .iter()
                .any(|error| error.starts_with("`mail_from`") && error.ends_with("not a TOML table"))
        );
        assert!(errors.iter().any(|error| error.starts_with("`tokens.prefixes.session` (flag")));
        assert!(errors.iter().any(|error| error.ends_with("not `https://user:***@a.example`")));
        assert_eq!(errors.len(), 9, "{errors:#?}");
    }

    #[test]
    fn a_mistake_counts_even_where_another_source_wins() {
        let errors = errors("database_pool = 0", &[("KEYSTEAD_DATABASE_POOL", "8")], &[]);
        assert_eq!(errors.len(), 1, "{errors:#?}");
    }

    #[test]
    fn broken_toml_is_an_error_beside_the_others() {
        let errors = errors("listen = '127.0.0.1:1'\nlog = \n", &[("KEYSTEAD_LISTEN", "here")], &[]);
        assert!(errors[0].starts_with("file keystead.toml, line 2 is not valid TOML: "), "{errors:#?}");
        assert!(errors[1].starts_with("`listen` (environment KEYSTEAD_LISTEN)"), "{errors:#?}");
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn no_error_tells_a_password() {
        for (file, environment) in [
            ("database_url = 'mysql://user:hunter2@host/db'", &[] as Pairs<'_>),
            ("database_url = postgres://user:hunter2@host/db", &[]),
            ("database_url = \"postgres://user:hunter2@host/db\nlog = 'info'", &[]),
            ("database_url = ['postgres://user:hunter2@host/db']", &[]),
            ("mail = 'smtp://user:hunter2@host?tls=off'", &[]),
            ("database_ur = 'postgres://user:hunter2@host/db'", &[]),
            ("", &[("KEYSTEAD_DATABASE_URL", "user:hunter2@host/db")]),
            ("", &[("KEYSTEAD_MAIL", "hunter2")]),
        ] {
            let errors = load(file, environment, &[]).unwrap_err();
            assert!(!errors.to_string().contains("hunter2"), "{errors}");
            assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let file = "database_url = 'postgres://user:hunter2@host/db'";
        let loaded = load(file, &[], &[]).unwrap();
        assert_eq!(shown(&loaded, &Config::database_url), "postgres://user:***@host/db");
        assert!(!format!("{loaded:?}").contains("hunter2"));
        let Database::Postgres(url) = loaded.config.database_url else { panic!("not PostgreSQL") };
        assert_eq!(url, "postgres://user:hunter2@host/db");
    }

    #[test]
    fn the_default_database_follows_the_data_directory() {
        let loaded = load("", &[("KEYSTEAD_DATA_DIR", "/srv/keystead")], &[]).unwrap();
        assert_eq!(loaded.config.database_url, Database::Sqlite("/srv/keystead/keystead.db".into()));
        assert_eq!(shown(&loaded, &Config::database_url), "sqlite:/srv/keystead/keystead.db");
        assert_eq!(loaded.source(&Config::database_url), &Source::Default);
    }

    #[test]
    fn an_unknown_variable_is_a_warning_and_others_are_not_ours() {
        let environment = [
            ("KEYSTEAD_LISTN", "127.0.0.1:1"),
            ("KEYSTEAD_MASTER_KEY", "x"),
            ("KEYSTEAD_MASTER_KEY_FILE", "x"),
            ("KEYSTEAD_TEST_POSTGRES", "x"),
            ("LISTEN", "x"),
            ("PATH", "x"),
        ];
        let warnings = load("", &environment, &[]).unwrap().warnings;
        let texts: Vec<_> = warnings.iter().map(Warning::to_string).collect();
        assert_eq!(
            texts,
            ["the environment variable KEYSTEAD_LISTN is not a setting and has no effect; \
             the nearest is KEYSTEAD_LISTEN"]
        );
    }

    #[test]
    fn a_session_may_not_end_before_it_is_idle() {
        assert!(
            load("tokens = { session_idle_seconds = 600, session_absolute_seconds = 600 }", &[], &[]).is_ok()
        );
        let environment = [("KEYSTEAD_TOKENS__SESSION_IDLE_SECONDS", "2592001"), ("KEYSTEAD_LISTEN", "x")];
        assert_eq!(
            errors("", &environment, &[])[1..],
            ["`tokens.session_absolute_seconds` (default) must be at least 2592001 because of \
              `tokens.session_idle_seconds` (environment KEYSTEAD_TOKENS__SESSION_IDLE_SECONDS), \
              not `2592000`"]
        );
    }

    #[test]
    fn argon2_needs_memory_for_each_lane() {
        assert!(load("password = { memory_kib = 32, parallelism = 4 }", &[], &[]).is_ok());
        assert_eq!(
            errors("password.memory_kib = 31", &[], &[("password.parallelism", "4")]),
            ["`password.memory_kib` (file keystead.toml, line 1) must be at least 32 because of \
              `password.parallelism` (flag --password.parallelism), not `31`"]
        );
    }

    #[test]
    fn lists_are_arrays_in_the_file_and_comma_separated_elsewhere() {
        let file = "trusted_proxies = ['10.0.0.0/8', '::1']\nclient_ip_header = 'X-Real-IP'";
        let in_file = load(file, &[], &[]).unwrap();
        assert_eq!(shown(&in_file, &Config::trusted_proxies), "10.0.0.0/8,::1/128");
        let variables =
            [("KEYSTEAD_TRUSTED_PROXIES", "10.0.0.0/8, ::1"), ("KEYSTEAD_CLIENT_IP_HEADER", "X-Real-IP")];
        assert_eq!(load("", &variables, &[]).unwrap().config, in_file.config);
        let none = load("trusted_proxies = []", &[], &[]).unwrap();
        assert_eq!(none.config, load("", &[], &[]).unwrap().config);
        for (file, found) in [
            ("trusted_proxies = '10.0.0.0/8'", "a TOML string"),
            ("trusted_proxies = [10]", "`a TOML integer`"),
            ("trusted_proxies = ['']", "`a TOML string`"),
            ("trusted_proxies = [[]]", "`a TOML array`"),
            ("trusted_proxies = ['10.0.0.1/8']", "`10.0.0.1/8`"),
        ] {
            let errors = errors(file, &[], &[]);
            assert!(errors.len() == 1 && errors[0].ends_with(&format!("not {found}")), "{errors:#?}");
        }
    }

    #[test]
    fn a_header_is_not_read_from_nobody() {
        let errors = errors("client_ip_header = 'X-Forwarded-For'", &[], &[]);
        assert_eq!(
            errors,
            ["`client_ip_header` (file keystead.toml, line 1) must be unset without `trusted_proxies`, \
              not `X-Forwarded-For`"]
        );
    }

    #[test]
    fn limits_are_switched_and_set_one_by_one() {
        let file = "[rate_limits]\nenabled = false\nsign_in = '3/30s'";
        let limits = load(file, &[("KEYSTEAD_RATE_LIMITS__APP", "10/1s")], &[]).unwrap().config.rate_limits;
        assert!(!limits.enabled);
        assert_eq!([limits.sign_in, limits.app].map(|quota| quota.to_string()), ["3/30s", "10/1s"]);
        for (file, found) in [
            ("rate_limits.enabled = 'no'", "a TOML string"),
            ("rate_limits.enabled = 1", "a TOML integer"),
            ("rate_limits.app = 10", "a TOML integer"),
            ("rate_limits.app = '0/1m'", "`0/1m`"),
            ("rate_limits.free_failures = 0", "`0`"),
        ] {
            let errors = errors(file, &[], &[]);
            assert!(errors.len() == 1 && errors[0].ends_with(&format!("not {found}")), "{errors:#?}");
        }
        assert_eq!(errors("", &[("KEYSTEAD_RATE_LIMITS__ENABLED", "yes")], &[]).len(), 1);
    }

    #[test]
    fn plans_and_scopes_are_added_and_changed() {
        let file = "default_plan = 'gold'\n[plan.gold]\napi_access = true\nburst = '5/10s'\nsustained = '70/1m'\n\
                    [plan.studio]\nburst = '1/1s'\n[scopes.'reports:run']\nsentence = 'Run reports'\n\
                    min_role = 'admin'\n[scopes.'a.b']\nsentence = 'Do a to b'\n[scopes.read]\nmin_role = 'manager'";
        let variables =
            [("KEYSTEAD_PLAN__GOLD__BURST", "6/10s"), ("KEYSTEAD_SCOPES__WRITE__MIN_ROLE", "owner")];
        let loaded = load(file, &variables, &[]).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let config = &loaded.config;
        let [gold] = &config.custom.plans[..] else { panic!("{config:?}") };
        assert_eq!(
            (gold.name.as_str(), gold.api_access, gold.burst.to_string()),
            ("gold", true, "6/10s".to_owned())
        );
        assert_eq!(config.plan.studio.burst.to_string(), "1/1s");
        let scopes: Vec<_> = config
            .custom
            .scopes
            .iter()
            .map(|s| (s.scope.as_str(), s.sentence.as_str(), s.min_role))
            .collect();
        assert_eq!(scopes, [("a.b", "Do a to b", Role::Member), ("reports:run", "Run reports", Role::Admin)]);
        assert_eq!((config.scopes.read.min_role, config.scopes.write.min_role), (Role::Manager, Role::Owner));
        let shown = loaded.show();
        let of = |key: &str| shown.iter().find(|row| row.key == key).unwrap();
        assert_eq!(of("plan.gold.burst").source, "environment KEYSTEAD_PLAN__GOLD__BURST");
        assert!(of("plan.gold.sustained").source.starts_with("file "));
        assert_eq!(of("scopes.a.b.min_role").value.as_deref(), Some("member"));
        assert_eq!(of("scopes.a.b.min_role").source, "default");
        assert_eq!(of("scopes.reports:run.sentence").value.as_deref(), Some("Run reports"));
    }

    #[test]
    fn what_is_added_is_whole_and_well_named() {
        for (file, expected) in [
            (
                "[plan.studo]\nburst = '1/1s'",
                &[
                    "`plan.studo.api_access` is missing: `plan.studo` (file keystead.toml, line 2) is not whole without it",
                    "`plan.studo.sustained` is missing: `plan.studo` (file keystead.toml, line 2) is not whole without it",
                ][..],
            ),
            (
                "[scopes.run]\n",
                &[
                    "`scopes.run.sentence` is missing: `scopes.run` (file keystead.toml, line 1) is not whole without it",
                ],
            ),
            (
                "plan.gold.brst = '1/1s'",
                &[
                    "`plan.gold.brst` (file keystead.toml, line 1) is not a setting; the nearest is `plan.gold.burst`",
                ],
            ),
            (
                "scopes.read.sentense = 'x'",
                &[
                    "`scopes.read.sentense` (file keystead.toml, line 1) is not a setting; the nearest is `scopes.read.sentence`",
                ],
            ),
            (
                "plan.Gold = { api_access = true, burst = '1/1s', sustained = '1/1s' }",
                &[
                    "`plan.Gold` (file keystead.toml, line 1) must be named by 1 to 32 lower-case letters, digits, hyphens and underscores, a letter first",
                ],
            ),
            (
                "scopes.'user:read'.sentence = 'See you'",
                &[
                    "`scopes.user:read` (file keystead.toml, line 1) must be named by a scope that Keystead gives no meaning to itself",
                ],
            ),
            (
                "scopes.run = { sentence = '', min_role = 'king' }",
                &[
                    "`scopes.run.sentence` (file keystead.toml, line 1) must be a sentence of at most 200 characters, not ``",
                    "`scopes.run.min_role` (file keystead.toml, line 1) must be one of member, manager, admin, owner, not `king`",
                ],
            ),
            (
                "plan.gold = { api_access = 'true', burst = '1/1s', sustained = 1 }",
                &[
                    "`plan.gold.api_access` (file keystead.toml, line 1) must be true or false, not a TOML string",
                    "`plan.gold.sustained` (file keystead.toml, line 1) must be a number of requests and a time of at most a day, such as 500/15m, 30/10s or 5/1h, not a TOML integer",
                ],
            ),
            (
                "default_plan = 'gold'",
                &[
                    "`default_plan` (file keystead.toml, line 1) must be one of free, studio, agency, not `gold`",
                ],
            ),
        ] {
            assert_eq!(errors(file, &[], &[]), expected, "{file}");
        }
        assert!(
            errors("plan.gold = 1", &[], &[])[0]
                .starts_with("`plan.gold` (file keystead.toml, line 1) is not a")
        );
        // Only a file declares.
        let warned = load("", &[("KEYSTEAD_PLAN__GOLD__BURST", "1/1s")], &[]).unwrap();
        assert_eq!(warned.warnings.len(), 1);
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_the_operator_insists() {
        let check = |url, insecure_http| {
            let loaded = load("", &[], &[("public_url", url)]).unwrap();
            loaded.config.check_public_url(insecure_http).map_err(|error| error.to_string())
        };
        for url in ["https://auth.example.com", "http://localhost:8000", "http://127.0.0.2", "http://[::1]"] {
            assert_eq!(check(url, false), Ok(()));
        }
        let error = check("http://auth.example.com", false).unwrap_err();
        assert!(error.contains("`public_url`") && error.contains("--insecure-http"), "{error}");
        assert_eq!(check("http://auth.example.com", true), Ok(()));
        assert!(load("", &[], &[]).unwrap().config.check_public_url(false).is_ok());
        for listen in ["0.0.0.0:8000", "192.0.2.1:8000", "[::]:8000"] {
            let config = load("", &[], &[("listen", listen)]).unwrap().config;
            assert!(config.check_public_url(false).is_err() && !config.is_local(), "{listen}");
            let named = [("listen", listen), ("public_url", "https://auth.example.com")];
            assert!(load("", &[], &named).unwrap().config.check_public_url(false).is_ok());
        }
    }

    #[test]
    fn the_reference_describes_each_setting_once_in_one_line() {
        let keys: BTreeSet<_> = reference().map(|setting| setting.key).collect();
        let variables: BTreeSet<_> = reference().map(Setting::variable).collect();
        assert_eq!(keys.len(), reference().count());
        assert_eq!(variables.len(), keys.len());
        for Setting { key, what, accepts, .. } in reference() {
            for text in [what, accepts] {
                assert!(!text.is_empty() && !text.contains('\n') && !text.contains("  "), "{key}: {text}");
                assert!(!text.ends_with('.'), "{key}: {text}");
            }
        }
        let secret: Vec<_> =
            reference().filter(|setting| setting.secret).map(|setting| setting.key).collect();
        assert_eq!(secret, ["database_url", "mail"]);
    }

    #[test]
    fn the_reference_written_as_variables_is_the_default_configuration() {
        let variables = reference().filter_map(|s| Some((s.variable(), s.default?.to_owned())));
        let nothing = ConfigFile::Optional(Path::new("/nowhere"));
        let loaded = Config::load(nothing, variables, []).unwrap();
        assert_eq!(loaded.config, Config::load(nothing, [], []).unwrap().config);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn the_text_is_aligned_in_the_order_of_the_reference() {
        let loaded = load("", &[("KEYSTEAD_LOG", "warn")], &[("public_url", "https://a.example")]).unwrap();
        let text = loaded.render_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), reference().count());
        assert!(reference().zip(&lines).all(|(setting, line)| line.starts_with(setting.key)));
        let column = lines[0].find("default");
        assert_eq!(lines[1].find("flag --public-url"), column, "{text}");
        assert!(
            lines.iter().any(|line| line.starts_with("log ") && line.ends_with(" environment KEYSTEAD_LOG"))
        );
        assert!(load("", &[], &[]).unwrap().render_text().contains("(unset)"));
    }
}
