//! Accounts of people: users of the platform's own directory, who own and join tenants.

use keystead_domain::address_change::Standing;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::handle::Handle;
use keystead_domain::id::{MembershipId, TenantId, UserId};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::{Action, PersonPrincipal};
use keystead_domain::rate_limit::Limit;
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::{Demands, Tenant, TenantStatus};
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Owner, Secret};
use keystead_storage::{StoreError, UniqueKey, audit, memberships, sessions, tenants, users};

use crate::audit::Refine as _;
use crate::sessions::NewSession;
use crate::users::{weak_password, with_free_handle};
use crate::{Caller, Code, Engine, Error, Result, address_changes};

/// What somebody typed to get an account.
pub struct NewAccount {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Secret<String>,
    /// The name.
    pub name: Name,
}

/// How often the slug of a first organization that is taken gets another suffix.
const SLUG_ATTEMPTS: usize = 4;

/// Makes a user with an organization that it owns, and signs it in.
pub fn sign_up(engine: &Engine, caller: &Caller, typed: NewAccount) -> Result<(User, NewSession)> {
    let directory = Owner::Platform;
    let scope = caller.allow(Action::HandleEndUsers, directory)?;
    let NewAccount { email, password, name } = typed;
    engine.count_for(caller, Limit::SignUp, directory, &email)?;
    let known = [email.as_str(), email.key(), name.as_str(), engine.settings.product.as_str()];
    let password = Password::choose(password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("password", weak))?;
    let hash = engine.hasher.hash(password)?;

    let (now, env) = (engine.env.now(), &*engine.env);
    let user = User {
        id: UserId::mint(now, env),
        directory,
        email,
        email_verified_at: None,
        name: Some(name.clone()),
        status: UserStatus::Active,
        operator: false,
        handle: None,
        created_at: now,
        last_login_at: Some(now),
        updated_at: now,
    };
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
        user: user.id,
        role: Role::Owner,
        founder: true,
        created_at: now,
    };
    let (platform, founded) = caller.found(tenant.id)?;
    let by = Actor::User(user.id);
    let made = engine.event(caller, directory, AuditAction::AccountCreated, now).by(by).on(user.id);
    let organized =
        engine.event(caller, Owner::Tenant(tenant.id), AuditAction::TenantCreated, now).by(by).on(tenant.id);
    let minted = engine.mint_session(caller, directory, now);
    let (mut session, digest) = (minted.session.of(user.id), minted.digest);
    session.active_tenant = Some(tenant.id);

    let insert = |user: &User, slug: Slug| {
        let (user, tenant, membership) =
            (user.clone(), Tenant { slug, ..tenant.clone() }, membership.clone());
        let (hash, session, made, organized) =
            (hash.clone(), session.clone(), made.clone(), organized.clone());
        engine.store.write(move |tx| {
            let mut people = tx.tenant(&scope);
            let standing = address_changes::standing(&mut people, &user.email, None, now)?;
            if !matches!(standing, Standing::Free) {
                return Ok(None);
            }
            users::insert(&mut people, &user, Some(&hash))?;
            sessions::insert(&mut people, &session, &digest)?;
            audit::insert(&mut people, &made)?;
            tenants::insert(&mut tx.platform(&platform), &tenant)?;
            let mut rows = tx.tenant(&founded);
            memberships::insert(&mut rows, &membership)?;
            audit::insert(&mut rows, &organized)?;
            Ok(Some(user))
        })
    };
    let made = with_free_handle(engine, &user, |user| {
        let slug = user.handle.as_ref().map_or_else(|| tenant.slug.clone(), Handle::to_slug);
        let mut candidate = slug.clone();
        for _ in 1..SLUG_ATTEMPTS {
            match insert(user, candidate) {
                Err(StoreError::Taken(UniqueKey::TenantSlug)) => {}
                other => return other,
            }
            let mut random = [0; 4];
            engine.env.fill(&mut random);
            candidate = slug.with_suffix(random);
        }
        insert(user, candidate)
    });
    match made {
        Ok(Some(user)) => Ok((user, minted.shown)),
        Ok(None) | Err(StoreError::Taken(UniqueKey::UserEmail)) => Err(Error::of(Code::AccountExists)),
        Err(other) => Err(other.into()),
    }
}

/// Changes what the person that calls is called. Its handle stays.
pub fn rename(engine: &Engine, caller: &Caller, name: Name) -> Result<PersonPrincipal> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ChangeProfile, Owner::Platform)?;
    let (user, now) = (person.user.id, engine.env.now());
    let event = engine.event(caller, Owner::Platform, AuditAction::ProfileChanged, now).on(user);
    let new = name.clone();
    engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        if users::rename(&mut people, user, Some(&new), now)? {
            audit::insert(&mut people, &event)?;
        }
        Ok(())
    })?;
    let user = User { name: Some(name), updated_at: now, ..person.user.clone() };
    Ok(PersonPrincipal { user, ..person.clone() })
}
