//! Changes of address and former addresses: used once, in their time, by their owner.

use std::time::Duration;

use keystead_domain::address_change::{AddressChange, CONFIRM_LIFETIME, FormerAddress, UNDO_LIFETIME};
use keystead_domain::policy::TenantScope;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner, Timestamp, TokenDigest};
use keystead_storage::{Store, address_changes, former_addresses, locate, users};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, scope, tenant, user};

const SECOND: Duration = Duration::from_secs(1);

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn have_user(store: &Store, scope: TenantScope) -> User {
    let ada = user(&scope, "ada@example.com");
    let row = ada.clone();
    store.write(move |tx| users::insert(&mut tx.tenant(&scope), &row, None)).unwrap();
    ada
}

fn ask(store: &Store, scope: TenantScope, ada: &User, token: &str) -> TokenDigest {
    let digest = TokenDigest::of(token);
    let change = AddressChange::asked(ada.id, email("new@example.com"), digest, NOW);
    store.write(move |tx| address_changes::replace(&mut tx.tenant(&scope), &change)).unwrap();
    digest
}

fn leave(store: &Store, scope: TenantScope, ada: &User, address: &str, at: Timestamp) -> TokenDigest {
    let digest = TokenDigest::of(address);
    let former = FormerAddress::left(ada.id, email(address), false, digest, at);
    store.write(move |tx| former_addresses::insert(&mut tx.tenant(&scope), &former)).unwrap();
    digest
}

fn consume(store: &Store, scope: TenantScope, ada: &User, digest: TokenDigest, at: Timestamp) -> [bool; 2] {
    let id = ada.id;
    store
        .write(move |tx| {
            let mut rows = tx.tenant(&scope);
            Ok([
                address_changes::consume(&mut rows, id, &digest, at)?,
                former_addresses::consume(&mut rows, id, &digest, at)?,
            ])
        })
        .unwrap()
}

both_backends! {
    fn a_newer_change_takes_the_place_of_the_older_and_each_ends_in_time(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = have_user(&store, scope);
        let (old, new) = (ask(&store, scope, &ada, "old"), ask(&store, scope, &ada, "new"));
        assert_eq!(consume(&store, scope, &ada, old, NOW), [false; 2]);
        assert_eq!(consume(&store, scope, &ada, new, NOW + CONFIRM_LIFETIME), [false; 2]);
        let sweep = |at| store.write(move |tx| address_changes::remove_expired(&mut tx.platform(&platform()), at, 9)).unwrap();
        assert_eq!(sweep(NOW + CONFIRM_LIFETIME - SECOND), 0);
        assert_eq!(consume(&store, scope, &ada, new, NOW + CONFIRM_LIFETIME - SECOND), [true, false]);
        ask(&store, scope, &ada, "swept");
        assert_eq!([sweep(NOW + CONFIRM_LIFETIME), sweep(NOW + CONFIRM_LIFETIME)], [1, 0]);
    }

    fn a_former_address_is_kept_for_its_user_until_it_ends(database: TestDatabase) {
        let (store, mine) = (database.open(), tenant());
        let ada = have_user(&store, mine);
        let digest = leave(&store, mine, &ada, "Former@example.com", NOW);
        let is_kept = |scope: TenantScope, own, at| {
            store.read(|tx| former_addresses::is_kept(&mut tx.tenant(&scope), &email("former@EXAMPLE.com"), own, at)).unwrap()
        };
        let (last, end) = (NOW + UNDO_LIFETIME - SECOND, NOW + UNDO_LIFETIME);
        assert_eq!([is_kept(mine, None, last), is_kept(mine, None, end)], [true, false]);
        assert_eq!([is_kept(mine, Some(ada.id), NOW), is_kept(tenant(), None, NOW)], [false; 2]);
        let sweep = |at| store.write(move |tx| former_addresses::remove_expired(&mut tx.platform(&platform()), at, 9)).unwrap();
        assert_eq!(consume(&store, mine, &ada, digest, end), [false; 2]);
        assert_eq!([sweep(last), sweep(end), sweep(end)], [0, 1, 0]);
    }

    fn going_back_to_an_address_ends_those_that_came_after_it_alone(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = have_user(&store, scope);
        let names = ["a@example.com", "b@example.com", "c@example.com"];
        // In the same moment: what counts is the order.
        let digests = names.map(|name| leave(&store, scope, &ada, name, NOW));
        let kept = || names.map(|name| {
            store.read(|tx| former_addresses::is_kept(&mut tx.tenant(&scope), &email(name), None, NOW)).unwrap()
        });
        assert_eq!(consume(&store, scope, &ada, digests[1], NOW), [false, true]);
        assert_eq!(kept(), [true, false, false]);
        leave(&store, scope, &ada, names[2], NOW);
        let id = ada.id;
        let rejoin = |name: &'static str, at| {
            store.write(move |tx| former_addresses::rejoin(&mut tx.tenant(&scope), id, &email(name), at)).unwrap()
        };
        assert!(!rejoin(names[1], NOW) && !rejoin(names[0], NOW + UNDO_LIFETIME));
        assert!(rejoin(names[0], NOW));
        assert_eq!(kept(), [false; 3]);
    }

    fn another_owner_reaches_neither(database: TestDatabase) {
        let (store, mine) = (database.open(), tenant());
        let ada = have_user(&store, mine);
        let (change, former) = (ask(&store, mine, &ada, "change"), leave(&store, mine, &ada, "former@example.com", NOW));
        for stranger in [tenant(), scope(Owner::Platform)] {
            assert_eq!(consume(&store, stranger, &ada, change, NOW), [false; 2]);
            assert_eq!(consume(&store, stranger, &ada, former, NOW), [false; 2]);
            let ada = ada.clone();
            store.write(move |tx| {
                let mut rows = tx.tenant(&stranger);
                assert!(users::hold(&mut rows, ada.id)?.is_none());
                assert!(!users::replace_address(&mut rows, &ada, &email("stranger@example.com"), NOW)?);
                assert!(!users::remove_password(&mut rows, ada.id)?);
                assert!(!former_addresses::rejoin(&mut rows, ada.id, &email("former@example.com"), NOW)?);
                address_changes::remove(&mut rows, ada.id)
            }).unwrap();
        }
        assert_eq!(consume(&store, mine, &ada, change, NOW), [true, false]);
        assert_eq!(consume(&store, mine, &ada, former, NOW), [false, true]);
        // Without a tenant there is nobody whose link it could be.
        assert!(store.read(|tx| locate::former_address(tx, &former, NOW)).unwrap().is_none());
    }

    fn an_address_is_replaced_where_it_still_is_the_one_that_was_found(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let ada = have_user(&store, scope);
        let bob = user(&scope, "bob@example.com");
        let replace = |found: &User, new: &str, locked: bool| {
            let (found, new) = (found.clone(), email(new));
            let state = if locked { "locked" } else { "active" };
            database.execute(&format!("UPDATE users SET status = '{state}'"));
            store.write(move |tx| users::replace_address(&mut tx.tenant(&scope), &found, &new, NOW))
        };
        assert!(!replace(&ada, "new@example.com", true).unwrap());
        assert!(replace(&ada, "new@example.com", false).unwrap());
        assert!(!replace(&ada, "other@example.com", false).unwrap(), "it has moved on");
        store.write(move |tx| users::insert(&mut tx.tenant(&scope), &bob, None)).unwrap();
        let moved = User { email: email("new@example.com"), ..ada };
        let taken = replace(&moved, "BOB@example.com", false).unwrap_err();
        assert!(matches!(taken, keystead_storage::StoreError::Taken(keystead_storage::UniqueKey::UserEmail)), "{taken:?}");
    }
}
