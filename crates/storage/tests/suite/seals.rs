//! Numbers whose transactions nobody heard the end of.

use std::sync::Arc;

use keystead_crypto::audit::AuditKey;
use keystead_crypto::env::SystemEnv;
use keystead_crypto::root_key::RootKey;
use keystead_domain::audit::record::EventRecord;
use keystead_domain::audit::{Actor, AuditAction, Event, Origin, Outcome};
use keystead_domain::id::{EventId, ProcessId};
use keystead_domain::policy::{PlatformAction, PlatformScope, Principal};
use keystead_storage::{StoreError, Trail, audit, seals};
use keystead_testkit::both_backends;

use crate::rows::{NOW, tenant};

fn platform() -> PlatformScope {
    Principal::Host.allow_platform(PlatformAction::ReadAudit).unwrap()
}

both_backends! {
    fn only_the_database_knows_what_was_committed(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let event = Event {
            id: EventId::mint(NOW, &SystemEnv),
            owner: scope.owner(),
            at: NOW,
            actor: Actor::Host,
            action: AuditAction::TenantCreated,
            target: None,
            outcome: Outcome::Done,
            origin: Origin::default(),
        };
        let written = event.clone();
        let untold = store.write(move |tx| audit::insert(&mut tx.tenant(&scope), &written));
        assert!(matches!(untold, Err(StoreError::Failed(_))), "no trail was begun");

        let process = ProcessId::mint(NOW, &SystemEnv);
        store.begin_trail(Trail::new(process, Arc::new(AuditKey::new(&RootKey::generate(&SystemEnv)))));
        let written = event.clone();
        store.write(move |tx| audit::insert(&mut tx.tenant(&scope), &written)).unwrap();
        let digest = EventRecord::from(&event).digest(&process.to_string(), 1);
        let numbers = vec![(1, digest), (2, digest)];
        let settled = store.write(move |tx| seals::settle(&mut tx.platform(&platform()), process, numbers)).unwrap();
        assert_eq!(settled, [(1, digest)]);
        let left = store.read(|tx| seals::events(&mut tx.platform(&platform()), &process.to_string(), 1, 9, 9)).unwrap();
        assert_eq!(left.len(), 1, "nothing is left of the question");
        assert_eq!(left[0].digest(), digest);
    }
}
