//! The outbox and the jobs: claimed by one, left to it for a while, then due again.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_crypto::env::SystemEnv;
use keystead_domain::id::{JobId, MailId};
use keystead_storage::outbox::NewMail;
use keystead_storage::{jobs, outbox};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, tenant};

const LEASE: Duration = Duration::from_secs(60);

fn mail() -> NewMail {
    NewMail {
        id: MailId::mint(NOW, &SystemEnv),
        template: "test",
        recipient: "ada@example.com".parse().unwrap(),
        sealed: vec![1, 2, 3],
        created_at: NOW,
    }
}

both_backends! {
    fn a_mail_is_claimed_by_one_and_comes_back_when_the_lease_is_over(database: TestDatabase) {
        let (store, scope, platform) = (Arc::new(database.open()), tenant(), platform());
        for _ in 0..20 {
            store.write(move |tx| outbox::insert(&mut tx.tenant(&scope), &mail())).unwrap();
        }
        let claim = move |store: &keystead_storage::Store, now| {
            store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), now, LEASE, 50)).unwrap()
        };
        let claimers: Vec<_> = (0..4).map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || claim(&store, NOW).into_iter().map(|mail| mail.id).collect::<Vec<_>>())
        }).collect();
        let mut ids: Vec<_> = claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20, "each once");
        assert!(claim(&store, NOW + LEASE - Duration::from_secs(1)).is_empty());
        let again = claim(&store, NOW + LEASE);
        assert!(again.len() == 20 && again.iter().all(|mail| mail.attempts == 2));
    }

    fn what_was_sent_is_erased_and_later_forgotten(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        let mail = mail();
        let id = mail.id;
        let waiting = || store.read(|tx| outbox::count_waiting(&mut tx.platform(&platform))).unwrap();
        store.write(move |tx| outbox::insert(&mut tx.tenant(&scope), &mail)).unwrap();
        assert_eq!(waiting(), 1);
        store.write(move |tx| outbox::mark_sent(&mut tx.platform(&platform), id, NOW)).unwrap();
        assert_eq!(waiting(), 0);
        let later = NOW + LEASE;
        let due = store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), later, LEASE, 9)).unwrap();
        assert!(due.is_empty());
        let removed = store.write(move |tx| outbox::remove_finished(&mut tx.platform(&platform), later, 9)).unwrap();
        assert_eq!(removed, 1);
    }

    fn what_is_given_up_is_erased_and_later_forgotten(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        let mail = mail();
        let (id, later) = (mail.id, NOW + LEASE);
        store.write(move |tx| outbox::insert(&mut tx.tenant(&scope), &mail)).unwrap();
        let give_up = || store.write(move |tx| outbox::mark_failed(&mut tx.platform(&platform), id, NOW)).unwrap();
        assert_eq!([give_up(), give_up()], [true, false]);
        let retry = store.write(move |tx| outbox::retry_at(&mut tx.platform(&platform), id, NOW, 0)).unwrap();
        assert!(!retry, "it is not taken up again");
        let due = store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), later, LEASE, 9)).unwrap();
        let waiting = store.read(|tx| outbox::count_waiting(&mut tx.platform(&platform))).unwrap();
        assert_eq!((due.len(), waiting), (0, 0));
        database.execute("UPDATE outbox SET next_attempt_at = 0");
        let claimed = store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), later, LEASE, 9));
        assert!(claimed.is_err(), "its message is still there");
        let remove = |before| store.write(move |tx| {
            outbox::remove_finished(&mut tx.platform(&platform), before, 9)
        }).unwrap();
        assert_eq!([remove(NOW), remove(later)], [0, 1]);
    }

    fn what_was_sent_is_not_taken_up_again_by_whoever_lost_its_lease(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        let mail = mail();
        let id = mail.id;
        store.write(move |tx| outbox::insert(&mut tx.tenant(&scope), &mail)).unwrap();
        let [retried, given_up] = store.write(move |tx| {
            let mut tx = tx.platform(&platform);
            outbox::mark_sent(&mut tx, id, NOW)?;
            Ok([outbox::retry_at(&mut tx, id, NOW, 0)?, outbox::mark_failed(&mut tx, id, NOW)?])
        }).unwrap();
        assert_eq!([retried, given_up], [false, false]);
    }

    fn a_failed_mail_waits_for_its_time(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        let mail = mail();
        let (id, later) = (mail.id, NOW + Duration::from_secs(300));
        store.write(move |tx| outbox::insert(&mut tx.tenant(&scope), &mail)).unwrap();
        store.write(move |tx| outbox::retry_at(&mut tx.platform(&platform), id, later, 2)).unwrap();
        let due = |at| store.read(|tx| outbox::any_due(&mut tx.platform(&platform), at)).unwrap();
        assert_eq!([due(NOW), due(later)], [false, true]);
        let claimed = store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), later, LEASE, 9)).unwrap();
        assert_eq!((claimed[0].attempts, claimed[0].refusals), (1, 2));
    }

    fn a_job_is_finished_once(database: TestDatabase) {
        let (store, scope, platform) = (database.open(), tenant(), platform());
        let id = JobId::mint(NOW, &SystemEnv);
        let email = "ada@example.com".parse().unwrap();
        store.write(move |tx| {
            jobs::insert(&mut tx.tenant(&scope), id, jobs::JobKind::ResendSignUpCode, &email, NOW)
        }).unwrap();
        let claim = |at| store.write(move |tx| jobs::claim_due(&mut tx.platform(&platform), at, LEASE, 9)).unwrap();
        assert_eq!((claim(NOW).len(), claim(NOW).len(), claim(NOW + LEASE).len()), (1, 0, 1));
        let finish = || store.write(move |tx| jobs::finish(&mut tx.tenant(&scope), id)).unwrap();
        assert_eq!([finish(), finish()], [true, false]);
    }
}
