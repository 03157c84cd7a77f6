//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use keystead_domain::access_request::{RejectionReason, RequestStatus};
use keystead_domain::api_key::{Brand, Environment};
use keystead_domain::app::{self, ClientId};
use keystead_domain::id::{AccessRequestId, ApiKeyId, InviteId, ProjectId};
use keystead_domain::name::Name;
use keystead_domain::oauth::Scope;
use keystead_domain::project::{ProjectStatus, Website};
use keystead_domain::role::Role;
use keystead_domain::slug::{InvalidSlug, Slug};
use keystead_domain::tenant::{NetworkIdentity, PlanName};
use keystead_domain::{Email, Timestamp};

/// A self-hosted, multi-tenant authentication and API-access server.
#[derive(Parser)]
#[command(name = "keystead", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Args)]
pub(crate) struct Global {
    /// The configuration file [default: keystead.toml in this folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of the database, the master key and the mails (data_dir)
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// sqlite:PATH or postgres://… (database_url)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Print exactly one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the server; what `keystead` does by itself
    Serve(Serve),
    /// Bring the database's schema up to date; `serve` does so too
    Migrate,
    /// Look at the deployment, and say what is wrong and what to do; changes nothing
    Doctor,
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Make, see, change and suspend tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// See the plans of the configuration
    #[command(subcommand)]
    Plan(Plan),
    /// Make, see, change and delete projects of tenants
    #[command(subcommand)]
    Project(Project),
    /// Make, see and disable apps, and rotate their secrets
    #[command(subcommand)]
    App(App),
    /// Make, see and lock users
    #[command(subcommand)]
    User(User),
    /// Make, see and revoke API keys of people, and find them in texts
    #[command(subcommand)]
    Key(Key),
    /// Bring along what another system had
    #[command(subcommand)]
    Import(Import),
    /// Make people of the platform members of tenants, see and remove them
    #[command(subcommand)]
    Member(Member),
    /// Invite people to tenants by mail, see and take back invitations
    #[command(subcommand)]
    Invite(Invite),
    /// See the keys that sign tokens, and let another one sign
    #[command(subcommand)]
    SigningKey(SigningKey),
    /// See and decide requests for access
    #[command(subcommand)]
    Request(Request),
    /// Check the audit trail, and take it out
    #[command(subcommand)]
    Audit(Audit),
    /// Read the mails of the `file` transport; mails that were sent by SMTP are not kept
    #[command(subcommand)]
    Mail(Mail),
    /// Write a copy of the SQLite database to a new file, also while a server runs
    Backup {
        /// The file; one that exists is not overwritten
        file: PathBuf,
    },
    /// Put a backup where there is no database, or one without data, and end what it would revive
    Restore {
        /// The file that `backup` wrote
        file: PathBuf,
        /// Leave the sessions, codes and one-time links of the backup as they are
        #[arg(long)]
        keep_sessions: bool,
    },
    /// Change the key that opens the database
    #[command(subcommand)]
    MasterKey(MasterKey),
}

#[derive(Args, Default)]
pub(crate) struct Serve {
    /// Also make a demo tenant, app and user, once, and print commands to paste
    #[arg(long)]
    pub(crate) demo: bool,
    /// The address and port to listen on (listen)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// The URL that the world knows this server by (public_url)
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Accept a public_url of plain http that is not loopback
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Print every setting that is in force, secrets masked, and where it came from
    Show,
}

#[derive(Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant
    Create {
        /// Its name
        #[arg(long)]
        name: Name,
        /// Its slug [default: made of the name]
        #[arg(long)]
        slug: Option<Slug>,
        /// Its plan [default: default_plan]
        #[arg(long)]
        plan: Option<PlanName>,
        /// Its network identity, shown to its apps as entity_hotkey
        #[arg(long, value_name = "ID")]
        network_identity: Option<NetworkIdentity>,
    },
    /// All tenants
    List,
    /// One tenant
    Show {
        /// Its slug
        slug: Slug,
    },
    /// Put a tenant on another plan
    SetPlan {
        /// Its slug
        slug: Slug,
        /// The plan, one of `plan list`
        plan: PlanName,
    },
    /// Refuse a tenant's apps, one-time links, sessions and tokens from now on
    Suspend {
        /// Its slug
        slug: Slug,
    },
    /// Let a suspended tenant act again
    Resume {
        /// Its slug
        slug: Slug,
    },
}

#[derive(Subcommand)]
pub(crate) enum Plan {
    /// All plans, the smallest first
    List,
    /// One plan
    Show {
        /// Its name
        name: PlanName,
    },
}

/// A project by its id or its slug. No text is both: an id has an underscore or capitals.
#[derive(Clone)]
pub(crate) enum NamedProject {
    Id(ProjectId),
    Slug(Slug),
}

impl FromStr for NamedProject {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Slug))
    }
}

#[derive(Subcommand)]
pub(crate) enum Project {
    /// Make a project
    Create {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// Its name
        #[arg(long)]
        name: Name,
        /// Its slug, unique in the tenant [default: made of the name]
        #[arg(long)]
        slug: Option<Slug>,
        /// Where it is on the web
        #[arg(long, value_name = "URL")]
        website: Option<Website>,
        /// active or archived
        #[arg(long, default_value = "active")]
        status: ProjectStatus,
    },
    /// The projects of a tenant, the oldest first
    List {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
    },
    /// One project
    Show {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// Its id or slug
        #[arg(value_name = "ID|SLUG")]
        project: NamedProject,
    },
    /// Change what is said of a project; the rest stays
    #[command(group(ArgGroup::new("change").required(true).multiple(true)
        .args(["name", "slug", "website", "no_website", "status"])))]
    Update {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// Its id or slug
        #[arg(value_name = "ID|SLUG")]
        project: NamedProject,
        /// Its name from now on
        #[arg(long)]
        name: Option<Name>,
        /// Its slug from now on
        #[arg(long)]
        slug: Option<Slug>,
        /// Where it is on the web from now on
        #[arg(long, value_name = "URL")]
        website: Option<Website>,
        /// It is nowhere on the web any more
        #[arg(long, conflicts_with = "website")]
        no_website: bool,
        /// active or archived
        #[arg(long)]
        status: Option<ProjectStatus>,
    },
    /// Delete a project, for good
    Delete {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// Its id or slug
        #[arg(value_name = "ID|SLUG")]
        project: NamedProject,
    },
}

/// Whose: a tenant's, or the platform's own.
#[derive(Args)]
#[command(group(ArgGroup::new("owner").required(true).args(["tenant", "platform"])))]
pub(crate) struct Owned {
    /// The tenant's, by its slug
    #[arg(long, value_name = "SLUG")]
    pub(crate) tenant: Option<Slug>,
    /// The platform's own
    #[arg(long)]
    pub(crate) platform: bool,
}

/// Whose credentials an app may ask about (RFC 7662).
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Introspect {
    /// Those that concern its own tenant
    Own,
    /// The API keys and access tokens of every tenant
    Platform,
}

impl From<Introspect> for app::Introspect {
    fn from(said: Introspect) -> Self {
        match said {
            Introspect::Own => Self::Own,
            Introspect::Platform => Self::Platform,
        }
    }
}

/// How an app authenticates (RFC 6749 §2.1).
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum AppKind {
    /// With a secret
    Confidential,
}

/// How an app gets tokens.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// For itself (RFC 6749 §4.4)
    ClientCredentials,
}

/// What an app's access tokens look like.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum AccessToken {
    /// RFC 9068
    Jwt,
}

#[derive(Subcommand)]
pub(crate) enum App {
    /// Make an app and print its secret, once
    Create {
        #[command(flatten)]
        owner: Owned,
        /// Its name
        #[arg(long)]
        name: Name,
        /// Whose credentials it may ask about at the introspection endpoint
        #[arg(long, value_enum, default_value = "own")]
        introspect: Introspect,
        /// How it authenticates
        #[arg(long, value_enum, default_value = "confidential")]
        kind: AppKind,
        /// How it gets tokens; may be repeated
        #[arg(long = "grant", value_name = "GRANT", value_enum, default_value = "client_credentials")]
        grants: Vec<Grant>,
        /// What it may be given; may be repeated [default: api]
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<Scope>,
        /// What its access tokens look like
        #[arg(long, value_enum, default_value = "jwt")]
        access_token: AccessToken,
    },
    /// All apps
    List,
    /// One app
    Show {
        /// Its client id
        #[arg(value_parser = client_id)]
        client_id: ClientId,
    },
    /// Make a new secret and print it, once; the older ones work a while longer
    RotateSecret {
        /// The app's client id
        #[arg(value_parser = client_id)]
        client_id: ClientId,
        /// How long the older ones work; 0 ends them at once [at most: 30 days]
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400,
              value_parser = clap::value_parser!(u64).range(..=2_592_000))]
        keep_old_for: u64,
    },
    /// Refuse an app and the access tokens that it has
    Disable {
        /// Its client id
        #[arg(value_parser = client_id)]
        client_id: ClientId,
    },
    /// Let a disabled app be used again
    Enable {
        /// Its client id
        #[arg(value_parser = client_id)]
        client_id: ClientId,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|error: keystead_domain::oauth::InvalidScope| error.to_string())
}

fn client_id(text: &str) -> Result<ClientId, String> {
    text.parse().map_err(|error: keystead_domain::app::InvalidClientId| error.to_string())
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// Make a user
    Create {
        #[command(flatten)]
        directory: Owned,
        /// Its address
        #[arg(long)]
        email: Email,
        /// Read its password from the first line of stdin
        #[arg(long, required = true)]
        password_stdin: bool,
        /// Its name
        #[arg(long)]
        name: Option<Name>,
        /// The address is known to be the user's
        #[arg(long)]
        verified: bool,
        /// It runs the platform
        #[arg(long, conflicts_with = "tenant")]
        operator: bool,
    },
    /// The users of a directory
    List {
        #[command(flatten)]
        directory: Owned,
    },
    /// One user of a directory
    Show {
        #[command(flatten)]
        directory: Owned,
        /// Its address or id
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
    /// Refuse a user from now on, and end its sessions
    Lock {
        #[command(flatten)]
        directory: Owned,
        /// Its address or id
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
    /// Let a locked user sign in again
    Unlock {
        #[command(flatten)]
        directory: Owned,
        /// Its address or id
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
    /// Remove a user's second factor and recovery codes
    ResetMfa {
        #[command(flatten)]
        directory: Owned,
        /// Its address or id
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a key for a member of a tenant, pinned to it, and print it, once
    Create {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// The member's address
        #[arg(long)]
        email: Email,
        /// What it is called
        #[arg(long)]
        name: Name,
        /// What it is for: live or test
        #[arg(long, default_value = "live")]
        env: Environment,
        /// What it may do at most; may be repeated [default: all that the member's role allows]
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<Scope>,
        /// After how long it ends [default: never]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(60..=315_360_000))]
        expires_in: Option<u64>,
    },
    /// All keys, or those that reach a tenant, or those of a person, the newest first
    List {
        /// Only those that reach this tenant, by its slug
        #[arg(long, value_name = "SLUG", conflicts_with = "email")]
        tenant: Option<Slug>,
        /// Only those of the person with this address
        #[arg(long)]
        email: Option<Email>,
    },
    /// Refuse a key from now on, for good
    Revoke {
        /// Its id
        id: ApiKeyId,
    },
    /// Find well-formed keys in a text, offline; exits with 1 where there is none
    Check {
        /// The text: a file, or - for stdin
        file: PathBuf,
        /// What the keys begin with [default: tokens.prefixes.api_key]
        #[arg(long)]
        brand: Option<Brand>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Member {
    /// Make a user of the platform a member, without asking
    Add {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// The user's address
        #[arg(long)]
        email: Email,
        /// owner, admin, manager or member
        #[arg(long)]
        role: Role,
    },
    /// The members of a tenant, those of longest standing first
    List {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
    },
    /// End a membership, and the API keys that are pinned to the tenant
    Remove {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// The member's address
        #[arg(long)]
        email: Email,
    },
}

#[derive(Subcommand)]
pub(crate) enum Invite {
    /// Mail somebody a link to become a member with
    Create {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// The address
        #[arg(long)]
        email: Email,
        /// owner, admin, manager or member
        #[arg(long)]
        role: Role,
    },
    /// The invitations of a tenant, the newest first
    List {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
    },
    /// Take an invitation back
    Cancel {
        /// The tenant, by its slug
        #[arg(long, value_name = "SLUG")]
        tenant: Slug,
        /// Its id
        id: InviteId,
    },
}

#[derive(Subcommand)]
pub(crate) enum SigningKey {
    /// The key that signs, the one that comes next, and those that are retired
    List,
    /// Let the next key sign; what the old one signed stays good until it ends
    Rotate {
        /// Replace all keys, and refuse at once whatever they signed: they are known to somebody else
        #[arg(long)]
        compromised: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Request {
    /// All requests, the oldest first
    List {
        /// Only those of this status: pending, approved, rejected
        #[arg(long, value_parser = request_status)]
        status: Option<RequestStatus>,
    },
    /// One request
    Show {
        /// Its id
        id: AccessRequestId,
    },
    /// Make a tenant and an app for a request, and mail its contact a one-time link to the credentials
    Approve {
        /// Its id
        id: AccessRequestId,
        /// The tenant's network identity, shown to its apps as entity_hotkey
        #[arg(long, value_name = "ID")]
        network_identity: Option<NetworkIdentity>,
        /// What the app may be given; may be repeated [default: api]
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<Scope>,
        /// The tenant's plan [default: default_plan]
        #[arg(long)]
        plan: Option<PlanName>,
        /// The tenant's slug [default: made of the company's name]
        #[arg(long)]
        slug: Option<Slug>,
    },
    /// Turn a request down, and mail its contact why
    Reject {
        /// Its id
        id: AccessRequestId,
        /// Why, as the contact is told
        #[arg(long)]
        reason: RejectionReason,
    },
    /// Mail the contact of an approved request a fresh link; the one before it is no good from then on
    FreshLink {
        /// Its id
        id: AccessRequestId,
    },
}

fn request_status(text: &str) -> Result<RequestStatus, String> {
    text.parse().map_err(|_| "must be one of pending, approved, rejected".to_owned())
}

#[derive(Subcommand)]
pub(crate) enum Import {
    /// Users with the password hashes that they have; exits with 1 where a line is refused
    Users {
        /// A file with a JSON object a line; - for stdin
        file: PathBuf,
        #[command(flatten)]
        directory: Owned,
    },
    /// API keys of people, by the SHA-256 of each; exits with 1 where a line is refused
    Keys {
        /// A file with a JSON object a line; - for stdin
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check all events against their seals; exits with 1 where something is altered or missing
    Verify,
    /// Print events and their seals, a JSON document a line; with --json, one array of them
    Export {
        /// Only events from this instant on, such as 2026-06-29T00:00:00Z
        #[arg(long, value_name = "INSTANT")]
        since: Option<Timestamp>,
        /// Only events before this instant
        #[arg(long, value_name = "INSTANT")]
        until: Option<Timestamp>,
        /// Only the events of a tenant, by its slug
        #[arg(long, value_name = "SLUG", conflicts_with = "platform")]
        tenant: Option<Slug>,
        /// Only the events of the platform itself
        #[arg(long)]
        platform: bool,
        /// How they are printed
        #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
        format: ExportFormat,
    },
}

/// How an export is printed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON document a line
    Jsonl,
}

#[derive(Args)]
pub(crate) struct MailFilter {
    /// Only mails to this address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<Email>,
    /// Only the newest
    #[arg(long)]
    pub(crate) latest: bool,
}

#[derive(Subcommand)]
pub(crate) enum Mail {
    /// Recipient, subject and time of each mail, the oldest first
    List(MailFilter),
    /// The text of each mail, the oldest first
    Show(MailFilter),
}

#[derive(Subcommand)]
pub(crate) enum MasterKey {
    /// Put a new master key in place of the present one; a running server goes on
    Rotate {
        /// Where the new key is, or is to be made; wanted where the present one is not in the data directory
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}
