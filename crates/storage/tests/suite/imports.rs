//! Many rows in one statement, and the user that an address without one is treated like.

use keystead_crypto::env::SystemEnv;
use keystead_crypto::passwords::AlikeKey;
use keystead_crypto::root_key::RootKey;
use keystead_domain::address_change::FormerAddress;
use keystead_domain::audit::{Actor, AuditAction, Event, Origin, Outcome};
use keystead_domain::id::{EventId, ProcessId};
use keystead_domain::policy::TenantScope;
use keystead_domain::user::{PasswordHash, User};
use keystead_domain::{Email, TokenDigest};
use keystead_storage::{Store, StoreError, Trail, UniqueKey, audit, former_addresses, registrations, users};
use keystead_testkit::both_backends;

use crate::rows::{NOW, registration, tenant, user};

fn hash(text: &str) -> Option<PasswordHash> {
    Some(PasswordHash::new(text.to_owned()))
}

fn insert_all(
    store: &Store,
    scope: TenantScope,
    new: Vec<(User, Option<PasswordHash>)>,
) -> Result<(), StoreError> {
    store.write(move |tx| users::insert_all(&mut tx.tenant(&scope), &new))
}

fn emails(texts: &[&str]) -> Vec<Email> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

both_backends! {
    fn users_are_added_together_or_not_at_all(database: TestDatabase) {
        let (store, mine, other) = (database.open(), tenant(), tenant());
        let [ada, bob, eve] = ["ada@example.com", "bob@example.com", "eve@example.com"].map(|email| user(&mine, email));
        let plain = User { name: None, email_verified_at: None, ..bob.clone() };
        insert_all(&store, mine, vec![(ada.clone(), hash("one")), (plain, None)]).unwrap();
        let found = store.read(|tx| users::find_by_email(&mut tx.tenant(&mine), &ada.email)).unwrap().unwrap();
        assert_eq!((found.0.id, found.1), (ada.id, hash("one")));
        let found = store.read(|tx| users::find_by_email(&mut tx.tenant(&mine), &bob.email)).unwrap().unwrap();
        assert!(found.0.name.is_none() && found.0.email_verified_at.is_none() && found.1.is_none());

        let clash = User { email: "ADA@example.com".parse().unwrap(), ..user(&mine, "x@example.com") };
        let refused = insert_all(&store, mine, vec![(eve.clone(), None), (clash, None)]);
        assert!(matches!(refused, Err(StoreError::Taken(UniqueKey::UserEmail))), "{refused:?}");
        assert!(store.read(|tx| users::find(&mut tx.tenant(&mine), eve.id)).unwrap().is_none());

        let asked = emails(&["Ada@Example.com", "eve@example.com", "bob@example.com"]);
        let taken = store.read(|tx| users::taken(&mut tx.tenant(&mine), &asked)).unwrap();
        assert_eq!(taken, ["ada@example.com", "bob@example.com"].map(str::to_owned).into());
        assert!(store.read(|tx| users::taken(&mut tx.tenant(&other), &asked)).unwrap().is_empty());
    }

    fn sign_ups_and_former_addresses_are_found_by_many_addresses(database: TestDatabase) {
        let (store, mine, other) = (database.open(), tenant(), tenant());
        let ada = user(&mine, "new@example.com");
        let former = FormerAddress {
            user: ada.id,
            email: "ada@example.com".parse().unwrap(),
            had_second_factor: false,
            digest: TokenDigest::of("link_x"),
            changed_at: NOW,
            expires_at: NOW + std::time::Duration::from_secs(1),
        };
        let asked = emails(&["ADA@example.com", "bob@example.com"]);
        let gone = asked.clone();
        store.write(move |tx| {
            let mut rows = tx.tenant(&mine);
            users::insert(&mut rows, &ada, None)?;
            former_addresses::insert(&mut rows, &former)?;
            for email in ["ada@example.com", "bob@example.com", "eve@example.com"] {
                registrations::insert(&mut rows, &registration(&mine, email))?;
                registrations::insert(&mut tx.tenant(&other), &registration(&other, email))?;
                rows = tx.tenant(&mine);
            }
            registrations::remove_by_emails(&mut rows, &gone)
        }).unwrap();
        let kept = |scope, now| store.read(|tx| former_addresses::kept(&mut tx.tenant(&scope), &asked, now)).unwrap();
        assert_eq!(kept(mine, NOW), ["ada@example.com".to_owned()].into());
        assert!(kept(mine, NOW + std::time::Duration::from_secs(1)).is_empty() && kept(other, NOW).is_empty());
        let waiting = |scope| {
            let all = emails(&["ada@example.com", "bob@example.com", "eve@example.com"]);
            let count = |email: &Email| store.read(|tx| registrations::list_by_email(&mut tx.tenant(&scope), email, NOW)).unwrap().len();
            all.iter().map(count).collect::<Vec<_>>()
        };
        assert_eq!((waiting(mine), waiting(other)), (vec![0, 0, 1], vec![1, 1, 1]));
    }

    fn events_are_added_together(database: TestDatabase) {
        let (store, mine) = (database.open(), tenant());
        struct Nothing;
        impl keystead_domain::audit::seal::Vouch for Nothing {
            fn vouch(&self, statement: &[u8; 32]) -> keystead_domain::audit::seal::Mac {
                keystead_domain::audit::seal::Mac::from_bytes(*statement)
            }
            fn key_id(&self) -> &str {
                "key"
            }
        }
        store.begin_trail(Trail::new(ProcessId::mint(NOW, &SystemEnv), std::sync::Arc::new(Nothing)));
        let event = |n: u32| Event {
            id: EventId::mint(NOW, &SystemEnv),
            owner: mine.owner(),
            at: NOW,
            actor: Actor::Host,
            action: AuditAction::UserImported,
            target: Some(format!("usr_{n}")),
            outcome: Outcome::Done,
            origin: Origin::default(),
        };
        let events: Vec<_> = (0..300).map(event).collect();
        store.write(move |tx| audit::insert_all(&mut tx.tenant(&mine), &events)).unwrap();
        let count = store.read(|tx| audit::count(&mut tx.tenant(&mine), AuditAction::UserImported, Outcome::Done));
        assert_eq!(count.unwrap(), 300);
        let sealable = store.trail().unwrap().sealable().unwrap();
        assert_eq!((sealable.first, sealable.last, sealable.events.len()), (1, 300, 300));
    }

    /// As many of the addresses that nobody has are like users with a certain hash as there are such
    /// users, and each is always like the same one.
    fn addresses_that_nobody_has_are_like_those_of_users(database: TestDatabase) {
        let (store, mine, other) = (database.open(), tenant(), tenant());
        let key = AlikeKey::new(&RootKey::generate(&SystemEnv));
        let places: Vec<_> = (0..1_000)
            .map(|n| key.place(mine.owner(), &format!("unknown{n}@example.com").parse().unwrap()))
            .collect();
        let alike = |scope: TenantScope| -> Vec<_> {
            let find = |place: &String| store.read(|tx| users::find_alike(&mut tx.tenant(&scope), place)).unwrap();
            places.iter().map(find).collect()
        };
        assert!(alike(mine).iter().all(Option::is_none));
        insert_all(&store, mine, vec![(user(&mine, "first@example.com"), hash("a"))]).unwrap();
        assert!(alike(mine).iter().all(|found| *found == hash("a")), "also from behind the only one on");
        let many = |n: u32| (user(&mine, &format!("user{n}@example.com")), hash(if n.is_multiple_of(4) { "a" } else { "b" }));
        insert_all(&store, mine, (0..500).map(many).collect()).unwrap();
        let found = alike(mine);
        let share = found.iter().filter(|found| **found == hash("a")).count();
        assert!((150..350).contains(&share), "{share} of 1000 instead of about 250");
        assert_eq!(found, alike(mine));
        assert!(alike(other).iter().all(Option::is_none));
    }
}
