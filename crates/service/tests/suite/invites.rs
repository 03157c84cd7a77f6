//! Invitations: used once however many try, and swept when they are old.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use keystead_domain::invite::Invite;
use keystead_domain::role::Role;
use keystead_domain::{Owner, Secret};
use keystead_service::invites::{self, Named, NewInvite, NewMember, accept, accept_as_new, cancel, create};
use keystead_service::members;
use keystead_service::paging::PageAsked;
use keystead_service::{Arrival, Caller, Code, Error, restored, users};
use keystead_testkit::{Keystead, TestDatabase, TestPerson, both_backends};

use crate::steps::refusal;

const TRIES: usize = 8;
const ROUNDS: usize = 5;

fn invite(keystead: &Keystead, of: &TestPerson, email: &str) -> (Invite, Secret<String>) {
    let new = NewInvite { email: email.parse().unwrap(), role: Role::Member };
    let made = create(&keystead.engine, &keystead.caller_of(of), of.tenant.id, new).unwrap();
    (made, Secret::new(keystead.mailed_token(email, "/invite/")))
}

fn confirm_address(database: &TestDatabase, who: &TestPerson) {
    database.execute(&format!("UPDATE users SET email_verified_at = 1 WHERE id = '{}'", who.user.id));
}

fn members(keystead: &Keystead, of: &TestPerson) -> i64 {
    let page = PageAsked { number: 1, size: 1 };
    members::list(&keystead.engine, &Caller::host(), of.tenant.id, page).unwrap().total
}

fn at_once<T: Send>(take: impl Fn() -> Result<T, Error> + Sync) -> Vec<Result<T, Error>> {
    let start = Barrier::new(TRIES);
    thread::scope(|scope| {
        let tries: Vec<_> = (0..TRIES)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    take()
                })
            })
            .collect();
        tries.into_iter().map(|each| each.join().unwrap()).collect()
    })
}

#[track_caller]
fn one_won<T>(outcomes: Vec<Result<T, Error>>, codes: &[Code]) {
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for error in lost.into_iter().filter_map(Result::err) {
        assert!(codes.contains(&error.code()), "{error:?}");
    }
}

both_backends! {
    fn an_invitation_is_accepted_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, ivy) = (keystead.person("Ada"), keystead.person("Ivy"));
        confirm_address(&database, &ivy);
        for _ in 0..ROUNDS {
            let (_, token) = invite(&keystead, &ada, "ivy@example.com");
            let caller = keystead.caller_of(&ivy);
            let outcomes = at_once(|| accept(&keystead.engine, &caller, &Named::Link(token.clone())));
            one_won(outcomes, &[Code::InvalidLink, Code::Conflict]);
            assert_eq!(members(&keystead, &ada), 2);
            members::leave(&keystead.engine, &keystead.caller_of(&ivy), ada.tenant.id).unwrap();
            keystead.advance(Duration::from_secs(3600));
        }
    }

    fn an_invitation_makes_one_account(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let visitor = Caller::visitor(Arrival::default());
        for round in 0..ROUNDS {
            let email = format!("new{round}@example.com");
            let (_, token) = invite(&keystead, &ada, &email);
            let outcomes = at_once(|| {
                let typed = NewMember { name: "New".parse().unwrap(), password: Secret::new(TestPerson::PASSWORD.to_owned()) };
                accept_as_new(&keystead.engine, &visitor, &token, typed)
            });
            one_won(outcomes, &[Code::InvalidLink, Code::AccountExists]);
            let made = users::show_by_email(&keystead.engine, &Caller::host(), Owner::Platform, &email.parse().unwrap()).unwrap();
            assert!(made.email_verified_at.is_some());
        }
        assert_eq!(members(&keystead, &ada), 1 + i64::try_from(ROUNDS).unwrap());
    }

    fn an_address_is_invited_once_at_a_time(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let caller = keystead.caller_of(&ada);
        let outcomes = at_once(|| {
            let new = NewInvite { email: "ivy@example.com".parse().unwrap(), role: Role::Member };
            create(&keystead.engine, &caller, ada.tenant.id, new)
        });
        one_won(outcomes, &[Code::Conflict]);
        keystead.deliver();
        assert_eq!(keystead.mailbox.to("ivy@example.com").len(), 1);
    }

    fn of_accepting_and_taking_back_one_wins(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, ivy) = (keystead.person("Ada"), keystead.person("Ivy"));
        confirm_address(&database, &ivy);
        for round in 0..ROUNDS {
            let (made, token) = invite(&keystead, &ada, "ivy@example.com");
            let (owner, guest) = (keystead.caller_of(&ada), keystead.caller_of(&ivy));
            let turn = std::sync::atomic::AtomicUsize::new(round);
            let outcomes = at_once(|| {
                if turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2) {
                    accept(&keystead.engine, &guest, &Named::Link(token.clone())).map(drop)
                } else {
                    cancel(&keystead.engine, &owner, ada.tenant.id, made.id).map(drop)
                }
            });
            one_won(outcomes, &[Code::InvalidLink, Code::Conflict]);
            if members(&keystead, &ada) == 2 {
                members::leave(&keystead.engine, &keystead.caller_of(&ivy), ada.tenant.id).unwrap();
            }
            keystead.advance(Duration::from_secs(3600));
        }
    }

    fn an_account_that_moved_to_another_address_does_not_accept(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, ivy) = (keystead.person("Ada"), keystead.person("Ivy"));
        confirm_address(&database, &ivy);
        let (_, token) = invite(&keystead, &ada, "ivy@example.com");
        let recognized = keystead.caller_of(&ivy);
        database.execute(&format!("UPDATE users SET email_key = 'other@example.com', email = 'other@example.com' WHERE id = '{}'", ivy.user.id));
        assert_eq!(refusal(accept(&keystead.engine, &recognized, &Named::Link(token))), Code::InvalidLink);
        assert_eq!(members(&keystead, &ada), 1);
    }

    fn a_restore_takes_waiting_invitations_back(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let (_, token) = invite(&keystead, &ada, "ivy@example.com");
        let settled = restored::settle(&keystead.engine, &Caller::host(), false).unwrap();
        assert_eq!(settled.ended.map(|ended| ended.links), Some(1));
        let visitor = Caller::visitor(Arrival::default());
        assert_eq!(refusal(invites::preview(&keystead.engine, &visitor, &token)), Code::InvalidLink);
    }

    fn a_person_mails_so_many_invitations_a_day(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let invite = |number: usize| {
            let new = NewInvite { email: format!("new{number}@example.com").parse().unwrap(), role: Role::Member };
            create(&keystead.engine, &keystead.caller_of(&ada), ada.tenant.id, new)
        };
        let first = invite(0).unwrap();
        (1..200).for_each(|number| drop(invite(number).unwrap()));
        assert_eq!(refusal(invite(200)), Code::Conflict, "so many wait");
        cancel(&keystead.engine, &keystead.caller_of(&ada), ada.tenant.id, first.id).unwrap();
        assert_eq!(refusal(invite(200)), Code::Conflict, "so many were mailed today");
        keystead.advance(Duration::from_secs(24 * 3600));
        invite(200).unwrap();
        assert_eq!(refusal(invite(201)), Code::Conflict);
    }

    fn only_those_who_run_an_organization_see_its_invitations(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, eve) = (keystead.person("Ada"), keystead.person("Eve"));
        let (made, _) = invite(&keystead, &ada, "ivy@example.com");
        let eves = keystead.caller_of(&eve);
        let page = PageAsked { number: 1, size: 10 };
        assert_eq!(refusal(invites::list(&keystead.engine, &eves, ada.tenant.id, page)), Code::NotAMember);
        assert_eq!(refusal(cancel(&keystead.engine, &eves, eve.tenant.id, made.id)), Code::NotFound);
        assert_eq!(refusal(invites::resend(&keystead.engine, &eves, eve.tenant.id, made.id)), Code::NotFound);
        assert_eq!(refusal(invites::tenant_of(&keystead.engine, &eves, made.id)), Code::NotFound);
        assert!(invites::list(&keystead.engine, &eves, eve.tenant.id, page).unwrap().items.is_empty());
    }
}
