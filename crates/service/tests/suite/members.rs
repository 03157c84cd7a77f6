//! Members: whoever changes them at the same moment, a tenant keeps an owner, and nobody acts with a role that
//! was taken away.

use std::sync::Barrier;
use std::thread;

use keystead_domain::Owner;
use keystead_domain::id::MembershipId;
use keystead_domain::policy::{Action, Principal};
use keystead_domain::role::Role;
use keystead_service::members::{self, add, change_role, leave, remove};
use keystead_service::paging::PageAsked;
use keystead_service::{Caller, Code, Error};
use keystead_storage::memberships;
use keystead_testkit::{Keystead, TestPerson, both_backends};

use crate::steps::refusal;

const ROUNDS: usize = 30;

/// Runs both at the same moment.
fn at_once<T: Send>(one: impl FnOnce() -> T + Send, other: impl FnOnce() -> T + Send) -> [T; 2] {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            start.wait();
            one()
        });
        start.wait();
        let second = other();
        [first.join().unwrap(), second]
    })
}

fn join(keystead: &Keystead, of: &TestPerson, who: &TestPerson, role: Role) -> MembershipId {
    add(&keystead.engine, &Caller::host(), of.tenant.id, &who.user.email, role).unwrap().0.id
}

fn owners(keystead: &Keystead, of: &TestPerson) -> usize {
    let page = PageAsked { number: 1, size: 100 };
    let all = members::list(&keystead.engine, &Caller::host(), of.tenant.id, page).unwrap();
    all.items.iter().filter(|member| member.membership.role == Role::Owner).count()
}

fn own_id(keystead: &Keystead, of: &TestPerson, who: &TestPerson) -> MembershipId {
    members::own(&keystead.engine, &keystead.caller_of(who), of.tenant.id).unwrap().id
}

/// Exactly one went well, and the other was refused with one of these codes.
#[track_caller]
fn one_won<T>(outcomes: [Result<T, Error>; 2], codes: &[Code]) {
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 1));
    for error in lost.into_iter().filter_map(Result::err) {
        assert!(codes.contains(&error.code()), "{error:?}");
    }
}

both_backends! {
    fn of_two_owners_who_leave_at_once_one_stays(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        join(&keystead, &ada, &bob, Role::Owner);
        for _ in 0..ROUNDS {
            let (a, b) = (keystead.caller_of(&ada), keystead.caller_of(&bob));
            let go = |caller: Caller| leave(&keystead.engine, &caller, ada.tenant.id);
            one_won(at_once(|| go(a), || go(b)), &[Code::Conflict]);
            assert_eq!(owners(&keystead, &ada), 1);
            for who in [&ada, &bob] {
                let _ = add(&keystead.engine, &Caller::host(), ada.tenant.id, &who.user.email, Role::Owner);
            }
        }
    }

    fn of_two_owners_who_demote_or_remove_each_other_one_stays(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        join(&keystead, &ada, &bob, Role::Owner);
        for round in 0..ROUNDS {
            let (a, b) = (keystead.caller_of(&ada), keystead.caller_of(&bob));
            let (adas, bobs) = (own_id(&keystead, &ada, &ada), own_id(&keystead, &ada, &bob));
            let go = |caller: Caller, other| match round % 2 {
                0 => change_role(&keystead.engine, &caller, ada.tenant.id, other, Role::Member),
                _ => remove(&keystead.engine, &caller, ada.tenant.id, other),
            };
            let outcomes = at_once(|| go(a, bobs), || go(b, adas));
            one_won(outcomes, &[Code::RoleTooLow, Code::NotAMember, Code::Conflict]);
            assert_eq!(owners(&keystead, &ada), 1);
            for who in [&ada, &bob] {
                let host = Caller::host();
                if add(&keystead.engine, &host, ada.tenant.id, &who.user.email, Role::Owner).is_err() {
                    let id = own_id(&keystead, &ada, who);
                    change_role(&keystead.engine, &host, ada.tenant.id, id, Role::Owner).unwrap();
                }
            }
        }
    }

    fn a_role_that_was_taken_away_changes_nothing_any_more(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo] = ["Ada", "Bob", "Cleo"].map(|name| keystead.person(name));
        let (bobs, cleos) = (join(&keystead, &ada, &bob, Role::Admin), join(&keystead, &ada, &cleo, Role::Member));
        // Recognized as an admin, and then demoted.
        let late = keystead.caller_of(&bob);
        let host = Caller::host();
        change_role(&keystead.engine, &host, ada.tenant.id, bobs, Role::Member).unwrap();
        let refused = change_role(&keystead.engine, &late, ada.tenant.id, cleos, Role::Admin);
        assert_eq!(refusal(refused), Code::RoleTooLow);
        remove(&keystead.engine, &host, ada.tenant.id, bobs).unwrap();
        assert_eq!(refusal(remove(&keystead.engine, &late, ada.tenant.id, cleos)), Code::NotAMember);
        assert_eq!(refusal(leave(&keystead.engine, &late, ada.tenant.id)), Code::NotAMember);
        // Seen as a member, made an owner, and then to be removed by an admin.
        join(&keystead, &ada, &bob, Role::Admin);
        let admin = keystead.caller_of(&bob);
        change_role(&keystead.engine, &host, ada.tenant.id, cleos, Role::Owner).unwrap();
        assert_eq!(refusal(remove(&keystead.engine, &admin, ada.tenant.id, cleos)), Code::RoleTooLow);
    }

    fn somebody_is_a_member_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let go = |role| add(&keystead.engine, &Caller::host(), ada.tenant.id, &bob.user.email, role);
        one_won(at_once(|| go(Role::Member), || go(Role::Owner)), &[Code::Conflict]);
        let nobody = "nobody@example.com".parse().unwrap();
        assert_eq!(refusal(add(&keystead.engine, &Caller::host(), ada.tenant.id, &nobody, Role::Member)), Code::NotFound);
        let by_person = add(&keystead.engine, &keystead.caller_of(&ada), ada.tenant.id, &bob.user.email, Role::Member);
        assert!(by_person.is_err(), "people invite, and do not add");
    }

    fn members_are_found_by_their_own_tenant_only(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        let bobs = own_id(&keystead, &bob, &bob);
        let scope = |person: &TestPerson| Principal::Host.allow(Action::ReadMembers, Owner::Tenant(person.tenant.id)).unwrap();
        let (here, there) = (scope(&ada), scope(&bob));
        let store = database.open();
        let found = |scope| {
            store.read(|tx| {
                let mut rows = tx.tenant(scope);
                let by_id = memberships::find(&mut rows, bobs)?.is_some();
                let by_email = memberships::find_by_email(&mut rows, &bob.user.email)?.is_some();
                let listed = memberships::page(&mut rows, 0, 10)?.iter().any(|member| member.membership.id == bobs);
                Ok((by_id, by_email, listed, memberships::count(&mut rows)?))
            }).unwrap()
        };
        assert_eq!((found(&here), found(&there)), ((false, false, false, 1), (true, true, true, 1)));
    }
}
