//! Access requests are decided once; one-time links are spent once, and one app has one.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keystead_crypto::env::SystemEnv;
use keystead_domain::access_request::{AccessRequest, KEPT, RequestState, RequestStatus};
use keystead_domain::app::{App, AppSecret};
use keystead_domain::claim::{ClaimLink, LINK_LIFETIME};
use keystead_domain::id::{AccessRequestId, AppId, AppSecretId, TenantId};
use keystead_domain::policy::TenantScope;
use keystead_domain::tenant::{Tenant, TenantStatus};
use keystead_domain::{Owner, Timestamp, TokenDigest};
use keystead_storage::{Store, access_requests, apps, claim_links, locate, tenants};
use keystead_testkit::both_backends;

use crate::rows::{NOW, platform, scope, tenant};

fn request(store: &Store, at: Timestamp) -> AccessRequestId {
    let id = AccessRequestId::mint(at, &SystemEnv);
    let request = AccessRequest {
        id,
        company: "Acme".parse().unwrap(),
        contact: "Ada@example.com".parse().unwrap(),
        intended_use: "One line\nand another".parse().unwrap(),
        state: RequestState::Pending,
        created_at: at,
    };
    store.write(move |tx| access_requests::insert(&mut tx.platform(&platform()), &request)).unwrap();
    id
}

fn app(store: &Store, scope: TenantScope) -> App {
    let id = AppId::mint(NOW, &SystemEnv);
    let app = App {
        id,
        client_id: format!("ksc_{id}").parse().unwrap(),
        owner: scope.owner(),
        name: "Web".parse().unwrap(),
        allowed_scopes: "api".parse().unwrap(),
        first_party: true,
        active: true,
        introspect: Default::default(),
        created_at: NOW,
    };
    let row = app.clone();
    store.write(move |tx| apps::insert(&mut tx.tenant(&scope), &row)).unwrap();
    app
}

fn link(store: &Store, scope: TenantScope, app: &App, token: &str) -> TokenDigest {
    let link = ClaimLink::issued(app.id, TokenDigest::of(token), NOW);
    let digest = link.digest;
    store.write(move |tx| claim_links::replace(&mut tx.tenant(&scope), &link)).unwrap();
    digest
}

fn consume(store: &Store, scope: TenantScope, app: &App, digest: TokenDigest, at: Timestamp) -> bool {
    let id = app.id;
    store.write(move |tx| claim_links::consume(&mut tx.tenant(&scope), id, &digest, at)).unwrap()
}

both_backends! {
    fn a_request_is_read_back_with_what_was_made_for_it(database: TestDatabase) {
        let store = database.open();
        let (first, second) = (request(&store, NOW), request(&store, NOW + Duration::from_secs(1)));
        let made = Tenant {
            id: TenantId::mint(NOW, &SystemEnv),
            slug: "acme".parse().unwrap(),
            name: "Acme".parse().unwrap(),
            plan: "free".parse().unwrap(),
            status: TenantStatus::Active,
            entity_hotkey: None,
            demands: Default::default(),
            created_at: NOW,
        };
        let tenant = made.id;
        store.write(move |tx| tenants::insert(&mut tx.platform(&platform()), &made)).unwrap();
        let app = app(&store, scope(Owner::Tenant(tenant)));
        let approve = move |id| {
            store.write(move |tx| access_requests::approve(&mut tx.platform(&platform()), id, tenant, app.id, NOW)).unwrap()
        };
        assert!(approve(second));
        assert!(!approve(second), "once");
        assert!(!approve(AccessRequestId::mint(NOW, &SystemEnv)), "only what there is");

        let store = database.open();
        let list = |status| store.read(|tx| access_requests::list(&mut tx.platform(&platform()), status)).unwrap();
        assert_eq!(list(None).iter().map(|(request, _)| request.id).collect::<Vec<_>>(), [first, second]);
        assert_eq!(list(Some(RequestStatus::Pending))[0].0.id, first);
        assert_eq!(list(Some(RequestStatus::Rejected)).len(), 0);
        let (found, granted) = store.read(|tx| access_requests::find(&mut tx.platform(&platform()), second)).unwrap().unwrap();
        assert_eq!(found.state, RequestState::Approved { tenant, app: app.id, at: NOW });
        assert_eq!((found.contact.as_str(), found.intended_use.as_str()), ("Ada@example.com", "One line\nand another"));
        let (of_tenant, of_app) = granted.unwrap();
        assert_eq!((of_tenant.id, of_app.id), (tenant, app.id));
    }

    fn a_request_is_decided_once_however_many_decide(database: TestDatabase) {
        let store = Arc::new(database.open());
        let id = request(&store, NOW);
        let deciders: Vec<_> = (0..64).map(|number| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.write(move |tx| {
                let mut tx = tx.platform(&platform());
                if number % 2 == 0 {
                    let (tenant, app) = (TenantId::mint(NOW, &SystemEnv), AppId::mint(NOW, &SystemEnv));
                    access_requests::approve(&mut tx, id, tenant, app, NOW)
                } else {
                    access_requests::reject(&mut tx, id, &"No.".parse().unwrap(), NOW)
                }
            }).unwrap())
        }).collect();
        assert_eq!(deciders.into_iter().map(|one| one.join().unwrap()).filter(|&won| won).count(), 1);
    }

    fn what_was_not_approved_is_forgotten_in_time(database: TestDatabase) {
        let store = database.open();
        let [pending, rejected, approved] = [0, 1, 2].map(|second| request(&store, NOW + Duration::from_secs(second)));
        let (tenant, app) = (TenantId::mint(NOW, &SystemEnv), AppId::mint(NOW, &SystemEnv));
        store.write(move |tx| {
            let mut tx = tx.platform(&platform());
            assert!(access_requests::approve(&mut tx, approved, tenant, app, NOW)?);
            access_requests::reject(&mut tx, rejected, &"No.".parse().unwrap(), NOW + Duration::from_secs(9))
        }).unwrap();
        let sweep = |after: Duration| {
            let at = NOW + after;
            store.write(move |tx| access_requests::remove_expired(&mut tx.platform(&platform()), at, 9)).unwrap()
        };
        let second = Duration::from_secs(1);
        assert_eq!([sweep(KEPT - second), sweep(KEPT), sweep(KEPT + 8 * second), sweep(KEPT + 9 * second), sweep(KEPT * 9)], [0, 1, 0, 1, 0]);
        let left = store.read(|tx| access_requests::list(&mut tx.platform(&platform()), None)).unwrap();
        assert_eq!(left.iter().map(|(request, _)| request.id).collect::<Vec<_>>(), [approved]);
        assert_ne!(pending, approved);
    }

    fn a_fresh_link_ends_the_one_before_it_and_each_ends_in_time(database: TestDatabase) {
        let (store, scope) = (database.open(), tenant());
        let app = app(&store, scope);
        let old = link(&store, scope, &app, "link_old");
        let fresh = link(&store, scope, &app, "link_fresh");
        let leads_to = |digest, at| store.read(|tx| locate::claim_link(tx, &digest, at)).unwrap().map(|(app, _)| app.id);
        assert_eq!(leads_to(old, NOW), None);
        assert!(!consume(&store, scope, &app, old, NOW));
        let last = NOW + LINK_LIFETIME - Duration::from_secs(1);
        assert_eq!((leads_to(fresh, last), leads_to(fresh, NOW + LINK_LIFETIME)), (Some(app.id), None));
        assert!(!consume(&store, scope, &app, fresh, NOW + LINK_LIFETIME));
        let sweep = |at| store.write(move |tx| claim_links::remove_expired(&mut tx.platform(&platform()), at, 9)).unwrap();
        assert_eq!([sweep(last), sweep(NOW + LINK_LIFETIME), sweep(NOW + LINK_LIFETIME)], [0, 1, 0]);
    }

    fn another_owner_cannot_spend_a_link_or_remove_secrets(database: TestDatabase) {
        let (store, mine) = (database.open(), tenant());
        let app = app(&store, mine);
        let digest = link(&store, mine, &app, "link_x");
        let secret = AppSecret { id: AppSecretId::mint(NOW, &SystemEnv), digest, created_at: NOW, last_used_at: None, ends_at: None };
        let row = app.clone();
        store.write(move |tx| apps::insert_secret(&mut tx.tenant(&mine), &row, &secret)).unwrap();
        for stranger in [tenant(), scope(Owner::Platform)] {
            assert!(!consume(&store, stranger, &app, digest, NOW));
            let id = app.id;
            store.write(move |tx| apps::remove_unused_secrets(&mut tx.tenant(&stranger), id)).unwrap();
        }
        assert_eq!(store.read(|tx| locate::client(tx, &app.client_id)).unwrap().unwrap().secrets.len(), 1);
        assert!(consume(&store, mine, &app, digest, NOW));
    }
}
