//! Access requests and one-time links: from the request to an app's first secret.

use std::time::Duration;

use keystead_domain::access_request::RequestStatus;
use keystead_domain::app::MAX_LIVE_SECRETS;
use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::id::AccessRequestId;
use keystead_domain::{Owner, Secret};
use keystead_service::access_requests::{
    NewAccessRequest, Reviewed, Terms, approve, leave, list, reject, send_fresh_link, show,
};
use keystead_service::apps::rotate_secret;
use keystead_service::claims::{ClaimedSecret, redeem};
use keystead_service::tokens::{ClientCredentials, issue_to_app};
use keystead_service::{Arrival, Caller, Code, Error};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, events, refusal};

fn visitor() -> Caller {
    Caller::visitor(Arrival::default())
}

pub(crate) fn request(keystead: &Keystead, company: &str, contact: &str) -> AccessRequestId {
    // Lists are in the order of ids, which have the time in milliseconds.
    keystead.advance(Duration::from_millis(1));
    let new = NewAccessRequest {
        company: company.parse().unwrap(),
        contact: contact.parse().unwrap(),
        intended_use: "To sign our people in.".parse().unwrap(),
    };
    leave(&keystead.engine, &visitor(), new).unwrap()
}

pub(crate) fn approved(keystead: &Keystead, id: AccessRequestId) -> Result<Reviewed, Error> {
    approve(&keystead.engine, &Caller::host(), id, Terms::default())
}

/// The token in the newest mail to this address.
pub(crate) fn mailed_token(keystead: &Keystead, address: &str) -> String {
    keystead.deliver();
    let (subject, text) = keystead.mailbox.to(address).pop().unwrap();
    let link =
        text.split_whitespace().find(|word| word.contains("/claim/")).unwrap_or_else(|| panic!("{text}"));
    let token = link.strip_prefix("https://id.test/claim/").unwrap();
    assert!(!subject.contains(token) && token.starts_with("link_"), "{subject} {link}");
    token.to_owned()
}

pub(crate) fn claim(keystead: &Keystead, token: &str) -> Result<ClaimedSecret, Error> {
    redeem(&keystead.engine, &visitor(), token)
}

pub(crate) fn authenticates(keystead: &Keystead, client_id: &str, secret: &str) -> bool {
    let credentials = ClientCredentials {
        client_id: client_id.parse().unwrap(),
        client_secret: Secret::new(secret.to_owned()),
        scope: None,
    };
    issue_to_app(&keystead.engine, credentials).is_ok()
}

both_backends! {
    fn from_a_request_to_the_apps_first_secret(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let id = request(&keystead, "Acme, Inc.", ADA);
        assert!(keystead.mailbox.is_empty());
        let pending = show(&keystead.engine, &Caller::host(), id).unwrap();
        assert_eq!(pending.request.state.status(), RequestStatus::Pending);
        assert!(pending.granted.is_none());

        let terms = Terms {
            plan: Some("studio".parse().unwrap()),
            entity_hotkey: Some("5Grw".parse().unwrap()),
            scopes: vec!["api".parse().unwrap(), "read".parse().unwrap()],
            slug: None,
        };
        let reviewed = approve(&keystead.engine, &Caller::host(), id, terms).unwrap();
        let (tenant, app) = reviewed.granted.unwrap();
        assert_eq!((tenant.slug.as_str(), tenant.name.as_str(), tenant.plan.as_str()), ("acme-inc", "Acme, Inc.", "studio"));
        assert_eq!(tenant.entity_hotkey.unwrap().as_str(), "5Grw");
        assert_eq!((app.owner, app.allowed_scopes.to_string().as_str(), app.first_party), (Owner::Tenant(tenant.id), "api read", true));
        let client_id = app.client_id.to_string();
        let (_, secrets) = keystead_service::apps::show(&keystead.engine, &Caller::host(), &app.client_id).unwrap();
        assert!(secrets.is_empty(), "nothing to authenticate with yet");
        let token = mailed_token(&keystead, ADA);
        assert!(!authenticates(&keystead, &client_id, ""));
        assert!(!authenticates(&keystead, &client_id, &token));

        let claimed = claim(&keystead, &token).unwrap();
        assert_eq!(claimed.client_id.as_str(), client_id);
        assert!(authenticates(&keystead, &client_id, claimed.client_secret.expose()));
        for dead in [&*token, "link_unknown", ""] {
            assert_eq!(refusal(claim(&keystead, dead)), Code::InvalidLink);
        }

        let owner = app.owner;
        for (owner, action) in [
            (Owner::Platform, AuditAction::AccessRequested),
            (Owner::Platform, AuditAction::AccessApproved),
            (owner, AuditAction::TenantCreated),
            (owner, AuditAction::AppCreated),
            (owner, AuditAction::ClaimLinkIssued),
            (owner, AuditAction::SecretClaimed),
        ] {
            assert_eq!(events(&database, owner, action, Outcome::Done), 1, "{action:?}");
        }
    }

    fn a_request_is_decided_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let (one, other) = (request(&keystead, "Acme", ADA), request(&keystead, "Other", "bob@example.com"));
        approved(&keystead, one).unwrap();
        let reviewed = reject(&keystead.engine, &host, other, "We do not know you.\nSorry.".parse().unwrap()).unwrap();
        assert_eq!(reviewed.request.state.status(), RequestStatus::Rejected);
        for id in [one, other] {
            assert_eq!(refusal(approved(&keystead, id)), Code::Conflict);
            assert_eq!(refusal(reject(&keystead.engine, &host, id, "No.".parse().unwrap())), Code::Conflict);
        }
        assert_eq!(refusal(send_fresh_link(&keystead.engine, &host, other)), Code::Conflict);
        let unknown = "req_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        assert_eq!(refusal(approved(&keystead, unknown)), Code::NotFound);
        keystead.deliver();
        let [(subject, text)] = &keystead.mailbox.to("bob@example.com")[..] else { panic!("not one mail") };
        assert!(subject.contains("not approved") && text.contains("We do not know you.\n\nSorry.\n"), "{text}");
        let ids = |status| list(&keystead.engine, &host, status).unwrap().iter().map(|r| r.request.id).collect::<Vec<_>>();
        assert_eq!(ids(None), [one, other]);
        assert_eq!(ids(Some(RequestStatus::Rejected)), [other]);
        assert_eq!(ids(Some(RequestStatus::Pending)), []);
    }

    fn a_refused_approval_leaves_nothing_behind(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        keystead.tenant("Acme");
        let id = request(&keystead, "Acme", ADA);
        let with = |terms| approve(&keystead.engine, &Caller::host(), id, terms);
        let taken = Terms { slug: Some("acme".parse().unwrap()), ..Terms::default() };
        assert_eq!(refusal(with(taken)), Code::Conflict);
        let unknown = Terms { scopes: vec!["nonsense".parse().unwrap()], ..Terms::default() };
        assert_eq!(refusal(with(unknown)), Code::ValidationError);
        assert_eq!(keystead_service::tenants::list(&keystead.engine, &Caller::host()).unwrap().len(), 1);
        keystead.deliver();
        assert!(keystead.mailbox.is_empty());
        let (tenant, _) = with(Terms::default()).unwrap().granted.unwrap();
        assert!(tenant.slug.as_str().starts_with("acme-"), "a derived slug gets a suffix: {}", tenant.slug);
    }

    fn a_fresh_link_ends_the_old_one_and_the_secret_that_nobody_used(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let id = request(&keystead, "Acme", ADA);
        approved(&keystead, id).unwrap();
        let first = mailed_token(&keystead, ADA);
        let fresh = || {
            send_fresh_link(&keystead.engine, &host, id).unwrap();
            mailed_token(&keystead, ADA)
        };
        let second = fresh();
        assert_eq!(refusal(claim(&keystead, &first)), Code::InvalidLink);
        keystead.advance(Duration::from_secs(72 * 3600));
        assert_eq!(refusal(claim(&keystead, &second)), Code::InvalidLink, "it is good for 72 hours");

        let lost = claim(&keystead, &fresh()).unwrap();
        let found = claim(&keystead, &fresh()).unwrap();
        let client_id = found.client_id.as_str();
        assert!(!authenticates(&keystead, client_id, lost.client_secret.expose()));
        assert!(authenticates(&keystead, client_id, found.client_secret.expose()));
        let another = claim(&keystead, &fresh()).unwrap();
        for secret in [&found.client_secret, &another.client_secret] {
            assert!(authenticates(&keystead, client_id, secret.expose()), "what is in use goes on");
        }
    }

    fn a_link_is_no_good_for_a_disabled_app_or_a_suspended_tenant(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        approved(&keystead, request(&keystead, "Acme", ADA)).unwrap();
        let token = mailed_token(&keystead, ADA);
        database.execute("UPDATE tenants SET status = 'suspended'");
        assert_eq!(refusal(claim(&keystead, &token)), Code::TenantSuspended);
        database.execute("UPDATE tenants SET status = 'active'; UPDATE apps SET active = FALSE");
        assert_eq!(refusal(claim(&keystead, &token)), Code::InvalidLink);
        database.execute("UPDATE apps SET active = TRUE");
        claim(&keystead, &token).unwrap();
    }

    fn an_address_leaves_three_requests_a_day(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        for address in [ADA, "ADA@example.com", "ada@EXAMPLE.com", ADA, ADA] {
            request(&keystead, "Acme", address);
        }
        request(&keystead, "Other", "bob@example.com");
        let count = || list(&keystead.engine, &Caller::host(), Some(RequestStatus::Pending)).unwrap().len();
        assert_eq!(count(), 3 + 1);
        assert_eq!(events(&database, Owner::Platform, AuditAction::AccessRequested, Outcome::Refused), 2);
        keystead.advance(Duration::from_secs(24 * 3600));
        request(&keystead, "Acme", ADA);
        assert_eq!(count(), 5);
    }

    fn an_address_is_mailed_no_more_than_it_may_be(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let id = request(&keystead, "Acme", ADA);
        approved(&keystead, id).unwrap();
        for _ in 0..4 {
            send_fresh_link(&keystead.engine, &Caller::host(), id).unwrap();
        }
        let newest = mailed_token(&keystead, ADA);
        assert_eq!(refusal(send_fresh_link(&keystead.engine, &Caller::host(), id)), Code::Conflict);
        let next = request(&keystead, "Acme", ADA);
        assert_eq!(refusal(approved(&keystead, next)), Code::Conflict);
        assert_eq!(refusal(reject(&keystead.engine, &Caller::host(), next, "No.".parse().unwrap())), Code::Conflict);
        assert!(show(&keystead.engine, &Caller::host(), next).unwrap().granted.is_none());
        claim(&keystead, &newest).unwrap();
        keystead.advance(Duration::from_secs(3600));
        approved(&keystead, next).unwrap();
    }

    fn only_the_host_decides(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let id = request(&keystead, "Acme", ADA);
        for caller in [visitor(), keystead.caller(&keystead.tenant("Other"))] {
            assert!(list(&keystead.engine, &caller, None).is_err());
            assert!(show(&keystead.engine, &caller, id).is_err());
            assert!(approve(&keystead.engine, &caller, id, Terms::default()).is_err());
            assert!(reject(&keystead.engine, &caller, id, "No.".parse().unwrap()).is_err());
            assert!(send_fresh_link(&keystead.engine, &caller, id).is_err());
        }
        assert_eq!(show(&keystead.engine, &Caller::host(), id).unwrap().request.state.status(), RequestStatus::Pending);
    }

    fn a_link_makes_no_secret_beyond_the_most_and_none_after_all_were_ended(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let reviewed = approved(&keystead, request(&keystead, "Acme", ADA)).unwrap();
        let (id, client) = (reviewed.request.id, reviewed.granted.unwrap().1.client_id);
        let day = Duration::from_secs(86_400);
        let rotate = |keep| rotate_secret(&keystead.engine, &Caller::host(), &client, keep);
        for _ in 0..MAX_LIVE_SECRETS {
            let secret = rotate(day).unwrap().client_secret;
            assert!(authenticates(&keystead, client.as_str(), secret.expose()));
        }
        let token = mailed_token(&keystead, ADA);
        assert_eq!(refusal(claim(&keystead, &token)), Code::Conflict);
        keystead.advance(day);
        claim(&keystead, &token).unwrap();

        send_fresh_link(&keystead.engine, &Caller::host(), id).unwrap();
        let token = mailed_token(&keystead, ADA);
        rotate(Duration::ZERO).unwrap();
        assert_eq!(refusal(claim(&keystead, &token)), Code::InvalidLink);
    }
}
