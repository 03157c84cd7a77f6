//! The audit trail: who did what to what, from where, with what result. Append-only, and sealed
//! so that it shows what was done to it: [`seal`] says how, [`check`] what that proves.

pub mod check;
pub mod record;
pub mod seal;

use std::net::IpAddr;
use std::str::FromStr;

use crate::id::{AppId, EventId, UserId};
use crate::session::UserAgent;
use crate::{Owner, Timestamp};

/// Something that was done or refused. It names people by id only.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// In whose trail it stands.
    pub owner: Owner,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: AuditAction,
    /// To what, by id; nothing where what was named does not exist.
    pub target: Option<String>,
    /// With what result.
    pub outcome: Outcome,
    /// From where.
    pub origin: Origin,
}

/// Who did something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Whoever runs commands on the server's host, or a program that embeds the service.
    Host,
    /// The server by itself.
    System,
    /// An app, for itself or for somebody who has not proved who they are.
    App(AppId),
    /// A user.
    User(UserId),
    /// Somebody who proved nothing, or no more than to hold a one-time link.
    Visitor,
}

impl Actor {
    /// The word for the kind of actor.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::System => "system",
            Self::App(_) => "app",
            Self::User(_) => "user",
            Self::Visitor => "visitor",
        }
    }

    /// The actor's id, where it has one.
    pub fn id(self) -> Option<String> {
        match self {
            Self::Host | Self::System | Self::Visitor => None,
            Self::App(id) => Some(id.to_string()),
            Self::User(id) => Some(id.to_string()),
        }
    }
}

/// Where a request came from, as far as it can be known.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address.
    pub ip: Option<IpAddr>,
    /// What the device called itself.
    pub user_agent: Option<UserAgent>,
}

/// With what result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

macro_rules! actions {
    ($($(#[doc = $what:literal])+ $name:ident = $word:literal,)*) => {
        /// What can be done.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum AuditAction { $($(#[doc = $what])+ $name,)* }

        impl AuditAction {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it tells, in a sentence.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),+).trim_ascii(),)* }
            }
        }
    };
}

/// A word that names no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names no action")]
pub struct UnknownAction;

impl FromStr for AuditAction {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(UnknownAction)
    }
}

actions! {
    /// A tenant was made.
    TenantCreated = "tenant.created",
    /// A tenant got another plan.
    TenantPlanChanged = "tenant.plan_changed",
    /// A tenant was suspended.
    TenantSuspended = "tenant.suspended",
    /// A suspended tenant may act again.
    TenantResumed = "tenant.resumed",
    /// A tenant was renamed.
    TenantRenamed = "tenant.renamed",
    /// A tenant demands something else of its members: a second factor, or keys that are pinned to it.
    DemandsChanged = "tenant.demands_changed",
    /// Somebody became a member of a tenant.
    MemberAdded = "member.added",
    /// A member got another role.
    MemberRoleChanged = "member.role_changed",
    /// A member was removed.
    MemberRemoved = "member.removed",
    /// A member left.
    MemberLeft = "member.left",
    /// Somebody was invited to a tenant.
    InviteCreated = "invite.created",
    /// An invitation got a fresh link, and was mailed again.
    InviteResent = "invite.resent",
    /// An invitation was taken back.
    InviteCancelled = "invite.cancelled",
    /// An invitation was accepted.
    InviteAccepted = "invite.accepted",
    /// An invitation was declined by the one who was invited.
    InviteDeclined = "invite.declined",
    /// An app was made.
    AppCreated = "app.created",
    /// An app got a new secret, and the older ones an end.
    SecretRotated = "app.secret_rotated",
    /// An app was disabled.
    AppDisabled = "app.disabled",
    /// A disabled app may be used again.
    AppEnabled = "app.enabled",
    /// Another key signs tokens.
    SigningKeyRotated = "signing_key.rotated",
    /// A user was made by an operator.
    UserCreated = "user.created",
    /// A user was brought along from another system by an operator.
    UserImported = "user.imported",
    /// A user was locked by an operator.
    UserLocked = "user.locked",
    /// A locked user may sign in again.
    UserUnlocked = "user.unlocked",
    /// A person signed up for an account of the platform.
    AccountCreated = "account.created",
    /// A person made an API key.
    KeyCreated = "api_key.created",
    /// An API key was brought along from another system by an operator.
    KeyImported = "api_key.imported",
    /// An API key was revoked because somebody found it where it does not belong.
    KeyLeaked = "api_key.leaked",
    /// An API key was renamed or narrowed.
    KeyChanged = "api_key.changed",
    /// An API key got a new secret, and the one before it an end.
    KeyRotated = "api_key.rotated",
    /// An API key was revoked.
    KeyRevoked = "api_key.revoked",
    /// A tenant bars an API key that is pinned to none.
    KeyBarred = "api_key.barred",
    /// A tenant lets an API key in again that it had barred.
    KeyLetIn = "api_key.let_in",
    /// A project was made.
    ProjectCreated = "project.created",
    /// A project was changed.
    ProjectChanged = "project.changed",
    /// A project was deleted.
    ProjectDeleted = "project.deleted",
    /// A sign-up was received.
    SignUpReceived = "sign_up.received",
    /// A sign-up was confirmed by its code.
    SignUpConfirmed = "sign_up.confirmed",
    /// A code for a sign-up, or a mail that proves an address, was asked for anew.
    CodeRequested = "sign_up.code_requested",
    /// A user proved its address.
    AddressVerified = "user.address_verified",
    /// A tenant ended with the account of its only member.
    TenantDeleted = "tenant.deleted",
    /// Somebody signed in, or tried to.
    SignIn = "session.created",
    /// A new password was asked for by somebody who may have forgotten the old one.
    ResetRequested = "password.reset_requested",
    /// A password was set with a mailed code or link.
    PasswordReset = "password.reset",
    /// A user changed its own password.
    PasswordChanged = "password.changed",
    /// A user enrolled an authenticator app.
    TotpEnabled = "mfa.totp_enabled",
    /// A user removed its authenticator app.
    TotpDisabled = "mfa.totp_disabled",
    /// A user made new recovery codes.
    RecoveryCodesMade = "mfa.recovery_codes_made",
    /// A user changed its own profile.
    ProfileChanged = "user.changed",
    /// A user asked for another address.
    AddressChangeRequested = "user.address_change_requested",
    /// The new address confirmed the change.
    AddressChanged = "user.address_changed",
    /// The former address undid the change.
    AddressRestored = "user.address_restored",
    /// A user deleted itself.
    UserDeleted = "user.deleted",
    /// Sessions were ended before their time.
    SessionsRevoked = "session.revoked",
    /// A request for access was received, or one too many.
    AccessRequested = "access_request.received",
    /// A request for access was approved.
    AccessApproved = "access_request.approved",
    /// A request for access was rejected.
    AccessRejected = "access_request.rejected",
    /// A one-time link to an app's secret was mailed.
    ClaimLinkIssued = "claim_link.issued",
    /// A secret was made by whoever had the one-time link.
    SecretClaimed = "claim_link.claimed",
    /// Another master key took the place of the present one.
    MasterKeyRotated = "master_key.rotated",
    /// The database was restored from a backup.
    BackupRestored = "backup.restored",
}
