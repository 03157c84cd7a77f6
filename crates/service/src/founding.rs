//! A person that is about to be, and the tenant that it will own.

use keystead_domain::audit::{Actor, AuditAction, Event};
use keystead_domain::handle::Handle;
use keystead_domain::id::{MembershipId, TenantId, UserId};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, PlatformScope, TenantScope};
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::{Demands, Tenant, TenantStatus};
use keystead_domain::user::{PasswordHash, User, UserStatus};
use keystead_domain::{Email, Owner, Timestamp};
use keystead_storage::{StoreError, Tx, UniqueKey, audit, memberships, tenants, users};

use crate::audit::Refine as _;
use crate::users::with_free_handle;
use crate::{Caller, Engine, Result, slugs};

/// A person with its first tenant.
#[derive(Clone)]
pub(crate) struct Founding {
    pub(crate) user: User,
    password: Option<PasswordHash>,
    pub(crate) tenant: Tenant,
    membership: Membership,
    people: TenantScope,
    platform: PlatformScope,
    founded: TenantScope,
    made: Event,
    organized: Event,
}

/// What a person brings along.
pub(crate) struct Founder {
    pub(crate) id: UserId,
    pub(crate) email: Email,
    pub(crate) name: Name,
    pub(crate) password: Option<PasswordHash>,
    /// When its address was proven.
    pub(crate) verified_at: Option<Timestamp>,
}

impl Founding {
    pub(crate) fn of(engine: &Engine, caller: &Caller, founder: Founder, now: Timestamp) -> Result<Self> {
        let Founder { id, email, name, password, verified_at } = founder;
        let env = &*engine.env;
        let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
        let tenant = Tenant {
            id: TenantId::mint(now, env),
            slug: Slug::derive(&name, "organization"),
            name: name.of_organization(),
            plan: engine.settings.default_plan.clone(),
            status: TenantStatus::Active,
            entity_hotkey: None,
            demands: Demands::default(),
            created_at: now,
        };
        let membership = Membership {
            id: MembershipId::mint(now, env),
            tenant: tenant.id,
            user: id,
            role: Role::Owner,
            founder: true,
            created_at: now,
        };
        let user = User {
            id,
            directory: Owner::Platform,
            email,
            email_verified_at: verified_at,
            name: Some(name),
            status: UserStatus::Active,
            operator: false,
            handle: None,
            created_at: now,
            last_login_at: None,
            updated_at: now,
        };
        let (platform, founded) = caller.found(tenant.id)?;
        let by = Actor::User(id);
        let made = engine.event(caller, Owner::Platform, AuditAction::AccountCreated, now).by(by).on(id);
        let owner = Owner::Tenant(tenant.id);
        let organized = engine.event(caller, owner, AuditAction::TenantCreated, now).by(by).on(tenant.id);
        Ok(Self { user, password, tenant, membership, people, platform, founded, made, organized })
    }

    /// Stores it all. The address may be [taken](UniqueKey::UserEmail), and so may the
    /// [handle](UniqueKey::UserHandle) and the [slug](UniqueKey::TenantSlug).
    pub(crate) fn insert(&self, tx: &mut Tx<'_>) -> std::result::Result<(), StoreError> {
        let mut people = tx.tenant(&self.people);
        users::insert(&mut people, &self.user, self.password.as_ref())?;
        audit::insert(&mut people, &self.made)?;
        tenants::insert(&mut tx.platform(&self.platform), &self.tenant)?;
        let mut rows = tx.tenant(&self.founded);
        memberships::insert(&mut rows, &self.membership)?;
        audit::insert(&mut rows, &self.organized)
    }

    /// Runs a transaction that inserts it with a handle and a slug that nobody has.
    pub(crate) fn with_free_names<T>(
        &self,
        engine: &Engine,
        transaction: impl Fn(Self) -> std::result::Result<T, StoreError>,
    ) -> std::result::Result<T, StoreError> {
        with_free_handle(engine, &self.user, |user| {
            let slug = user.handle.as_ref().map_or_else(|| self.tenant.slug.clone(), Handle::to_slug);
            for slug in slugs::candidates(engine, None, slug) {
                let tenant = Tenant { slug, ..self.tenant.clone() };
                match transaction(Self { user: user.clone(), tenant, ..self.clone() }) {
                    Err(StoreError::Taken(UniqueKey::TenantSlug)) => {}
                    other => return other,
                }
            }
            Err(StoreError::Taken(UniqueKey::TenantSlug))
        })
    }
}
