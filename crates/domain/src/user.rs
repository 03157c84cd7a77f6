//! Users: people, each of exactly one directory.

use std::fmt;
use std::str::FromStr;

use crate::handle::Handle;
use crate::id::UserId;
use crate::name::Name;
use crate::tenant::UnknownWord;
use crate::{Email, Owner, Timestamp};

/// A person in one directory. The same address in two directories is two users who never see
/// each other.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Whose user.
    pub directory: Owner,
    /// Its address, unique within the directory.
    pub email: Email,
    /// Since when the address is known to be the user's.
    pub email_verified_at: Option<Timestamp>,
    /// What it calls itself.
    pub name: Option<Name>,
    /// Whether it may sign in.
    pub status: UserStatus,
    /// Whether it runs the platform. Only a user of the platform's directory can.
    pub operator: bool,
    /// Its short name, unique within the directory. Only people of the platform have one.
    pub handle: Option<Handle>,
    /// When it was made; for a sign-up, when it was confirmed.
    pub created_at: Timestamp,
    /// When it last signed in, where that is kept: for people of the platform.
    pub last_login_at: Option<Timestamp>,
    /// When its profile was last changed.
    pub updated_at: Timestamp,
}

/// Whether a user may sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserStatus {
    /// It may.
    Active,
    /// An operator has locked it.
    Locked,
}

impl UserStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
        }
    }
}

impl FromStr for UserStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "active" => Ok(Self::Active),
            "locked" => Ok(Self::Locked),
            _ => Err(UnknownWord),
        }
    }
}

/// A password hash as it is stored: a PHC string (`$argon2id$v=19$m=…`), or what another system
/// made, behind `imported:`. Not a secret that opens anything by itself, but nothing to print either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps what is stored.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// What is stored.
    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Whether the users of a directory have to confirm their addresses before they sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressRule {
    /// They have to.
    Verified,
    /// They may do so later.
    Any,
}

/// What a right password tells about its user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInDecision {
    /// Make a session.
    Allowed,
    /// The address has to be confirmed first.
    EmailNotVerified,
    /// Not at present; the caller learns no more than of a wrong password.
    Refused,
}

/// Why a user cannot be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The last active operator cannot be locked: make another first.")]
pub struct LastOperator;

impl User {
    /// Whether the user may be locked, given how many other operators are active.
    pub const fn may_be_locked(&self, other_operators: i64) -> Result<(), LastOperator> {
        let is_last = self.operator && matches!(self.status, UserStatus::Active) && other_operators == 0;
        if is_last { Err(LastOperator) } else { Ok(()) }
    }

    /// Whether keys that the user made can be used.
    pub const fn may_use_keys(&self) -> bool {
        matches!(self.status, UserStatus::Active)
    }

    /// Whether the user may have a session now that its password was right, in a directory whose rule
    /// about addresses is this.
    pub fn may_sign_in(&self, addresses: AddressRule) -> SignInDecision {
        match (self.status, self.email_verified_at, addresses) {
            (UserStatus::Locked, ..) => SignInDecision::Refused,
            (UserStatus::Active, None, AddressRule::Verified) => SignInDecision::EmailNotVerified,
            (UserStatus::Active, ..) => SignInDecision::Allowed,
        }
    }
}
