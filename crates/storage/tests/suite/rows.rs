//! Rows to test with.

use keystead_crypto::env::SystemEnv;
use keystead_domain::id::{Id, SessionId, UserId};
use keystead_domain::policy::{Action, PlatformAction, PlatformScope, Principal, TenantScope};
use keystead_domain::registration::{CodeMac, PendingCode, REGISTRATION_LIFETIME, Registration};
use keystead_domain::session::Session;
use keystead_domain::user::{PasswordHash, User, UserStatus};
use keystead_domain::{Env as _, Owner, Timestamp};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

/// The same id for the same number.
pub(crate) fn id<K: keystead_domain::id::Kind>(number: u128) -> Id<K> {
    Id::from_uuid(uuid::Uuid::from_u128(number))
}

pub(crate) fn tenant() -> TenantScope {
    scope(Owner::Tenant(keystead_domain::id::TenantId::mint(NOW, &SystemEnv)))
}

pub(crate) fn scope(owner: Owner) -> TenantScope {
    Principal::Host.allow(Action::ManageUsers, owner).unwrap()
}

pub(crate) fn platform() -> PlatformScope {
    Principal::Host.allow_platform(PlatformAction::ManageTenants).unwrap()
}

pub(crate) fn user(scope: &TenantScope, email: &str) -> User {
    User {
        id: UserId::mint(NOW, &SystemEnv),
        directory: scope.owner(),
        email: email.parse().unwrap(),
        email_verified_at: Some(NOW),
        name: Some("Ada".parse().unwrap()),
        status: UserStatus::Active,
        operator: false,
        handle: None,
        created_at: NOW,
        last_login_at: None,
        updated_at: NOW,
    }
}

pub(crate) fn session(user: &User) -> Session {
    Session {
        id: SessionId::mint(NOW, &SystemEnv),
        directory: user.directory,
        user: user.id,
        created_at: NOW,
        last_seen_at: NOW,
        ends_at: NOW + std::time::Duration::from_secs(3600),
        ip: Some("2001:db8::1".parse().unwrap()),
        user_agent: keystead_domain::session::UserAgent::new("curl/8"),
        active_tenant: None,
        transient: false,
    }
}

pub(crate) fn registration(scope: &TenantScope, email: &str) -> Registration {
    Registration {
        id: UserId::mint(SystemEnv.now(), &SystemEnv),
        directory: scope.owner(),
        email: email.parse().unwrap(),
        name: None,
        password: PasswordHash::new("$argon2id$".to_owned()),
        code: Some(PendingCode::sent(CodeMac::from_bytes([7; 32]), NOW)),
        link: None,
        created_at: NOW,
        expires_at: NOW + REGISTRATION_LIFETIME,
    }
}
