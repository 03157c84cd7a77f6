//! Every function on an owner's rows, tried with another owner's ids: nothing is found, nothing
//! changes.

use keystead_crypto::env::SystemEnv;
use keystead_domain::api_key::{ApiKey, Environment, KeyPrefix, KeyStart, Pin};
use keystead_domain::app::{App, AppSecret};
use keystead_domain::claim::ClaimLink;
use keystead_domain::id::{ApiKeyId, AppId, AppSecretId, InviteId, JobId, Kind, MembershipId, ProjectId};
use keystead_domain::idempotency::{Attempt, Attempted, StoredAnswer};
use keystead_domain::invite::{INVITE_LIFETIME, Invite, InviteStatus};
use keystead_domain::listing::Listing;
use keystead_domain::membership::Membership;
use keystead_domain::policy::TenantScope;
use keystead_domain::project::{Project, ProjectChange, ProjectStatus};
use keystead_domain::registration::{CodeMac, PendingCode};
use keystead_domain::role::Role;
use keystead_domain::second_factor::TotpStep;
use keystead_domain::tenant::{Demands, Tenant, TenantStatus};
use keystead_domain::user::{PasswordHash, User, UserStatus};
use keystead_domain::{Owner, TokenDigest};
use keystead_storage::{
    api_keys, apps, claim_links, idempotency, invites, jobs, locate, memberships, projects, registrations,
    reset_codes, second_factors, sessions, tenants, users,
};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, registration, scope, session, tenant, user};

/// A tenant, and what opens its rows.
fn organization(slug: &str) -> (TenantScope, Tenant) {
    let scope = tenant();
    let tenant = Tenant {
        id: scope.owner().tenant().unwrap(),
        slug: slug.parse().unwrap(),
        name: slug.parse().unwrap(),
        plan: "free".parse().unwrap(),
        status: TenantStatus::Active,
        entity_hotkey: None,
        demands: Demands::default(),
        created_at: NOW,
    };
    (scope, tenant)
}

fn api_key(holder: &User, pin: Option<Pin>, number: u8) -> ApiKey {
    ApiKey {
        id: ApiKeyId::mint(NOW, &SystemEnv),
        user: holder.id,
        pin,
        name: format!("key {number}").parse().unwrap(),
        environment: Environment::Live,
        scopes: "user:read".parse().unwrap(),
        start: KeyStart::Minted(KeyPrefix::new([number; 6])),
        made_in: None,
        expires_at: None,
        last_used_at: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// The first part of a list.
fn all<K: Kind>() -> Listing<K> {
    Listing { order: Default::default(), search: None, limit: Default::default(), after: None }
}

both_backends! {
    fn another_owners_ids_reach_nothing(database: TestDatabase) {
        let store = database.open();
        let mine = tenant();
        let ada = user(&mine, "ada@example.com");
        let signed_in = session(&ada);
        let digest = TokenDigest::of("sess_secret");
        let waiting = registration(&mine, "bob@example.com");
        let job = JobId::mint(NOW, &SystemEnv);
        let hash = PasswordHash::new("$argon2id$".to_owned());
        let app = App {
            id: AppId::mint(NOW, &SystemEnv),
            client_id: "ksc_mine".parse().unwrap(),
            owner: mine.owner(),
            name: "Web".parse().unwrap(),
            allowed_scopes: "api".parse().unwrap(),
            first_party: true,
            active: true,
            introspect: Default::default(),
            created_at: NOW,
        };
        let secret = AppSecret {
            id: AppSecretId::mint(NOW, &SystemEnv),
            digest,
            created_at: NOW,
            last_used_at: None,
            ends_at: None,
        };
        let secret_id = secret.id;
        let mac = CodeMac::from_bytes([5; 32]);
        {
            let (ada, signed_in, waiting, hash, app) =
                (ada.clone(), signed_in.clone(), waiting.clone(), hash.clone(), app.clone());
            store.write(move |tx| {
                let mut rows = tx.tenant(&mine);
                users::insert(&mut rows, &ada, Some(&hash))?;
                sessions::insert(&mut rows, &signed_in, &digest)?;
                registrations::insert(&mut rows, &waiting)?;
                jobs::insert(&mut rows, job, jobs::JobKind::ResendSignUpCode, &ada.email, NOW)?;
                apps::insert(&mut rows, &app)?;
                apps::insert_secret(&mut rows, &app, &secret)?;
                claim_links::replace(&mut rows, &ClaimLink::issued(app.id, digest, NOW))?;
                second_factors::set_pending_totp(&mut rows, ada.id, &[1])?;
                second_factors::activate_totp(&mut rows, ada.id, signed_in.id, &[1], TotpStep::from_number(1))?;
                second_factors::set_pending_totp(&mut rows, ada.id, &[2])?;
                second_factors::replace_recovery_codes(&mut rows, ada.id, &[mac])?;
                reset_codes::replace(&mut rows, ada.id, &PendingCode::sent(mac, NOW))
            }).unwrap();
        }

        for stranger in [tenant(), scope(Owner::Platform)] {
            let (ada, signed_in, waiting, hash) = (ada.clone(), signed_in.clone(), waiting.clone(), hash.clone());
            let app = app.id;
            store.write(move |tx| {
                let mut rows = tx.tenant(&stranger);
                assert!(users::find(&mut rows, ada.id)?.is_none());
                assert!(users::find_password(&mut rows, ada.id)?.is_none());
                assert!(!users::rename(&mut rows, ada.id, None, NOW)?);
                assert!(!users::reset_password(&mut rows, ada.id, &hash, NOW)?);
                assert!(!users::remove(&mut rows, ada.id, &hash)?);
                assert!(sessions::list(&mut rows, ada.id)?.is_empty());
                assert_eq!(sessions::remove_others(&mut rows, ada.id, keystead_domain::id::Id::from_uuid(Default::default()))?, 0);
                assert!(second_factors::find_totp(&mut rows, ada.id)?.secret.is_none());
                assert!(!second_factors::spend_totp_step(&mut rows, ada.id, TotpStep::from_number(9))?);
                assert!(!second_factors::activate_totp(&mut rows, ada.id, signed_in.id, &[2], TotpStep::from_number(9))?);
                assert!(!second_factors::consume_recovery_code(&mut rows, ada.id, &mac)?);
                assert!(!second_factors::remove(&mut rows, ada.id)?);
                assert!(reset_codes::take_try(&mut rows, ada.id, NOW)?.is_none());
                assert!(!reset_codes::consume(&mut rows, ada.id)?);
                assert!(users::find_by_email(&mut rows, &ada.email)?.is_none());
                assert!(users::list(&mut rows)?.is_empty());
                assert!(!users::replace_password(&mut rows, ada.id, &hash, &hash)?);
                assert!(sessions::find_by_digest(&mut rows, &digest)?.is_none());
                sessions::touch(&mut rows, signed_in.id, NOW + std::time::Duration::from_secs(60))?;
                assert!(!sessions::remove(&mut rows, ada.id, signed_in.id)?);
                assert_eq!(sessions::remove_all(&mut rows, ada.id)?, 0);
                assert!(registrations::list_by_email(&mut rows, &waiting.email, NOW)?.is_empty());
                assert!(registrations::take_try(&mut rows, &waiting.email, NOW)?.is_empty());
                let code = PendingCode::sent(CodeMac::from_bytes([1; 32]), NOW);
                assert!(!registrations::replace_code(&mut rows, waiting.id, &code, None)?);
                assert!(!registrations::consume(&mut rows, waiting.id)?);
                registrations::remove_by_email(&mut rows, &waiting.email)?;
                assert!(!jobs::finish(&mut rows, job)?);
                assert!(!users::set_status(&mut rows, ada.id, UserStatus::Locked)?);
                assert!(!apps::hold(&mut rows, app)?);
                assert!(!apps::set_active(&mut rows, app, false)?);
                assert!(apps::list_secrets(&mut rows, app)?.is_empty());
                apps::end_secrets(&mut rows, app, NOW)?;
                claim_links::remove(&mut rows, app)?;
                apps::touch_secret(&mut rows, secret_id, NOW)
            }).unwrap();
        }

        store.read(|tx| {
            let client = locate::client(tx, &app.client_id)?.unwrap();
            assert_eq!((client.secrets[0].last_used_at, client.secrets[0].ends_at), (None, None));
            assert!(client.app.active);
            assert!(locate::claim_link(tx, &digest, NOW)?.is_some());
            let mut rows = tx.tenant(&mine);
            let found = sessions::find_by_digest(&mut rows, &digest)?.unwrap();
            let (found, of) = (found.session, found.user);
            assert_eq!((found.last_seen_at, found.ip, of.id), (NOW, signed_in.ip, ada.id));
            let still = registrations::list_by_email(&mut rows, &waiting.email, NOW)?;
            assert_eq!(still[0].code.as_ref().map(|code| code.tries_left), Some(5));
            assert!(second_factors::find_totp(&mut rows, ada.id)?.secret.is_some());
            let still = users::find(&mut rows, ada.id)?.unwrap();
            assert_eq!((still.name.is_some(), still.status), (true, UserStatus::Active));
            Ok(())
        }).unwrap();
    }

    fn another_tenants_members_keys_projects_and_answers_are_out_of_reach(database: TestDatabase) {
        let store = database.open();
        let (people, platform) = (scope(Owner::Platform), platform());
        let [(mine, acme), (theirs, other)] = ["acme", "other"].map(organization);
        let [ada, eve] = ["ada@example.com", "eve@example.com"].map(|email| user(&people, email));
        let [member, stranger] = [(&acme, &ada), (&other, &eve)].map(|(tenant, user)| Membership {
            id: MembershipId::mint(NOW, &SystemEnv),
            tenant: tenant.id,
            user: user.id,
            role: Role::Owner,
            founder: true,
            created_at: NOW,
        });
        let pinned = api_key(&ada, Some(Pin { tenant: acme.id, membership: member.id }), 1);
        let free = api_key(&ada, None, 2);
        let project = Project {
            id: ProjectId::mint(NOW, &SystemEnv),
            tenant: acme.id,
            name: "Web".parse().unwrap(),
            slug: "web".parse().unwrap(),
            website: None,
            status: ProjectStatus::Active,
            created_at: NOW,
            updated_at: NOW,
        };
        let invite = Invite {
            id: InviteId::mint(NOW, &SystemEnv),
            tenant: acme.id,
            email: "ivy@example.com".parse().unwrap(),
            role: Role::Member,
            inviter: Some(ada.id),
            status: InviteStatus::Pending,
            created_at: NOW,
            expires_at: NOW + INVITE_LIFETIME,
        };
        let link = TokenDigest::of("link_secret");
        let attempt = Attempt {
            user: ada.id,
            method: "POST",
            path: "/api/v1/projects".to_owned(),
            key: "once".parse().unwrap(),
            body: TokenDigest::of("{}"),
        };
        let answer = |body: &str| StoredAnswer { status: 201, body: body.to_owned() };
        {
            let (ada, member, stranger, project, invite, attempt) =
                (ada.clone(), member.clone(), stranger.clone(), project.clone(), invite.clone(), attempt.clone());
            let (pinned, free, answer) = (pinned.clone(), free.clone(), answer("mine"));
            store.write(move |tx| {
                for user in [&ada, &eve] {
                    users::insert(&mut tx.tenant(&people), user, None)?;
                }
                for tenant in [&acme, &other] {
                    tenants::insert(&mut tx.platform(&platform), tenant)?;
                }
                memberships::insert(&mut tx.tenant(&theirs), &stranger)?;
                memberships::insert(&mut tx.tenant(&mine), &member)?;
                for key in [&pinned, &free] {
                    api_keys::insert(&mut tx.tenant(&people), key, &TokenDigest::of(key.name.as_str()))?;
                }
                let mut rows = tx.tenant(&mine);
                projects::insert(&mut rows, &project)?;
                invites::insert(&mut rows, &invite, &link)?;
                idempotency::attempt(&mut rows, &attempt, &answer, NOW).map(drop)
            }).unwrap();
        }

        {
            let (member, project, invite, attempt) = (member.clone(), project.clone(), invite.clone(), attempt.clone());
            let (pinned, free, answer) = (pinned.clone(), free.clone(), answer("theirs"));
            let ada = ada.clone();
            store.write(move |tx| {
                let mut rows = tx.tenant(&theirs);
                assert!(memberships::find(&mut rows, member.id)?.is_none());
                assert!(memberships::find_of(&mut rows, ada.id)?.is_none());
                assert!(memberships::find_by_email(&mut rows, &ada.email)?.is_none());
                assert_eq!(memberships::list(&mut rows)?.len(), 1);
                assert_eq!((memberships::page(&mut rows, 0, 9)?.len(), memberships::count(&mut rows)?), (1, 1));
                assert_eq!(memberships::list_part(&mut rows, &all())?.len(), 1);
                assert_eq!(memberships::count_other_owners(&mut rows, stranger.id)?, 0);
                assert!(!memberships::set_role(&mut rows, &member, Role::Member)?);
                assert!(!memberships::remove(&mut rows, &member)?);

                // One that is pinned to none does not reach a tenant that its holder is no member of.
                assert!(api_keys::list_reaching(&mut rows)?.is_empty());
                assert!(api_keys::page_reaching(&mut rows, 0, 9)?.is_empty());
                assert_eq!(api_keys::count_reaching(&mut rows)?, 0);
                assert!(api_keys::list_reaching_part(&mut rows, None, false, &all())?.is_empty());
                assert!(api_keys::list_reaching_part(&mut rows, Some(ada.id), false, &all())?.is_empty());
                for key in [&pinned, &free] {
                    assert!(api_keys::find_reaching(&mut rows, key.id)?.is_none());
                    assert!(!api_keys::remove_pinned(&mut rows, key.id)?);
                    assert!(api_keys::find(&mut rows, key.id)?.is_none());
                    assert!(!api_keys::update(&mut rows, key, &key.name, &key.scopes, NOW)?);
                    assert!(!api_keys::hold(&mut rows, key.id, NOW)?);
                    assert!(!api_keys::remove(&mut rows, key.id)?);
                    assert_eq!(api_keys::end_secrets(&mut rows, key.id, NOW)?, 0);
                    assert!(api_keys::list_secrets(&mut rows, key.id)?.is_empty());
                }
                assert!(api_keys::list(&mut rows, ada.id)?.is_empty());
                assert_eq!(api_keys::remove_all(&mut rows, ada.id, None)?, 0);
                assert_eq!(api_keys::remove_since(&mut rows, ada.id, NOW)?, 0);

                assert!(projects::find(&mut rows, project.id)?.is_none());
                assert!(projects::list_ids(&mut rows)?.is_empty());
                assert!(projects::list_part(&mut rows, &all())?.is_empty());
                assert_eq!((projects::page(&mut rows, 0, 9)?.len(), projects::count(&mut rows)?), (0, 0));
                let renamed = ProjectChange { name: Some("Theirs".parse().unwrap()), ..Default::default() };
                assert!(!projects::update(&mut rows, project.id, &renamed, NOW)?);
                assert!(!projects::remove(&mut rows, project.id)?);

                assert!(invites::find(&mut rows, invite.id)?.is_none());
                assert!(invites::find_pending(&mut rows, &invite.email)?.is_none());
                assert_eq!((invites::page(&mut rows, 0, 9)?.len(), invites::count(&mut rows)?), (0, 0));
                assert_eq!(invites::count_pending(&mut rows, NOW)?, 0);
                assert!(invites::list_pending_by(&mut rows, ada.id)?.is_empty());
                assert!(!invites::renew(&mut rows, invite.id, &TokenDigest::of("x"), NOW)?);
                assert!(!invites::finish(&mut rows, invite.id, Some(&link), InviteStatus::Accepted, NOW)?);
                assert!(!invites::cancel(&mut rows, invite.id)?);
                invites::cancel_expired(&mut rows, &invite.email, invite.expires_at)?;

                // The same person, path and key, in another tenant, is another attempt.
                assert_eq!(idempotency::attempt(&mut rows, &attempt, &answer, NOW)?, Attempted::First);
                // What a tenant bars, it bars from itself.
                api_keys::set_barred(&mut rows, free.id, true, NOW)
            }).unwrap();
        }

        let (attempted, again) = (attempt.clone(), answer("again"));
        let found = store.write(move |tx| idempotency::attempt(&mut tx.tenant(&mine), &attempted, &again, NOW));
        assert_eq!(found.unwrap(), Attempted::Before(answer("mine")));
        store.read(|tx| {
            let mut rows = tx.tenant(&mine);
            let (still, _) = memberships::find(&mut rows, member.id)?.unwrap();
            assert_eq!(still.role, Role::Owner);
            let reaching = api_keys::list_reaching(&mut rows)?;
            assert_eq!(reaching.iter().filter(|found| !found.barred).count(), 2);
            assert_eq!(projects::find(&mut rows, project.id)?.unwrap().name.as_str(), "Web");
            let still = invites::find(&mut rows, invite.id)?.unwrap();
            assert_eq!((still.status, still.expires_at), (InviteStatus::Pending, invite.expires_at));
            let mut people = tx.tenant(&people);
            for key in [&pinned, &free] {
                assert_eq!(api_keys::list_secrets(&mut people, key.id)?[0].ends_at, None);
            }
            Ok(())
        }).unwrap();
    }

    fn secrets_get_an_end_and_are_removed_when_it_is_over(database: TestDatabase) {
        let store = database.open();
        let (mine, platform) = (tenant(), platform());
        let app = App {
            id: AppId::mint(NOW, &SystemEnv),
            client_id: "ksc_mine".parse().unwrap(),
            owner: mine.owner(),
            name: "Web".parse().unwrap(),
            allowed_scopes: "api".parse().unwrap(),
            first_party: true,
            active: true,
            introspect: Default::default(),
            created_at: NOW,
        };
        let after = |seconds| NOW + std::time::Duration::from_secs(seconds);
        let secret = |at| AppSecret {
            id: AppSecretId::mint(at, &SystemEnv),
            digest: TokenDigest::of("kss_x"),
            created_at: at,
            last_used_at: None,
            ends_at: None,
        };
        let ends = store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            apps::insert(&mut rows, &app)?;
            for (made, end) in [(after(0), after(10)), (after(1), after(5)), (after(2), after(30))] {
                apps::insert_secret(&mut rows, &app, &secret(made))?;
                apps::end_secrets(&mut rows, app.id, end)?;
            }
            apps::insert_secret(&mut rows, &app, &secret(after(3)))?;
            let secrets = apps::list_secrets(&mut rows, app.id)?;
            let mut rows = tx.platform(&platform);
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(4), 10)?, 0);
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(5), 1)?, 1, "no more than asked");
            assert_eq!(apps::remove_ended_secrets(&mut rows, after(5), 10)?, 1);
            assert_eq!(apps::list_secrets(&mut tx.tenant(&mine), app.id)?.len(), 2);
            Ok(secrets.into_iter().map(|secret| secret.ends_at).collect::<Vec<_>>())
        }).unwrap();
        assert_eq!(ends, [Some(after(5)), Some(after(5)), Some(after(30)), None], "an end only moves closer");
    }

    fn the_same_address_in_two_directories_is_two_users(database: TestDatabase) {
        let store = database.open();
        let (one, other) = (tenant(), tenant());
        for scope in [one, other] {
            let row = user(&scope, "ada@example.com");
            store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None)).unwrap();
        }
        let email = "ada@example.com".parse().unwrap();
        let find = |scope| store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), &email)).unwrap().unwrap().0;
        assert_ne!(find(one).id, find(other).id);
    }
}
