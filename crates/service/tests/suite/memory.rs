//! What was verified is remembered, and forgotten when what it hangs on ends.

use std::time::{Duration, Instant};

use keystead_domain::Secret;
use keystead_domain::api_key::Environment;
use keystead_domain::second_factor::TotpStep;
use keystead_service::api_keys::{self, NewKey};
use keystead_service::people::{self, Presented};
use keystead_service::profile::{self, ProfileChange};
use keystead_service::sessions::{self, NewSession, SessionsToEnd};
use keystead_service::tokens::{self, ClientCredentials};
use keystead_service::{Arrival, Caller, Code, access, address_changes, mfa, passwords};
use keystead_testkit::{Keystead, TestTenant, both_backends, totp_code};

use crate::steps::{ADA, PASSWORD, proof, refusal, sign_in, signed_in, verified};

/// A tenant's app that follows what others end, with a token and a session of Ada that were both
/// used a moment ago.
struct Remembered {
    keystead: Keystead,
    caller: Caller,
    token: String,
    session: NewSession,
    _following: keystead_testkit::Following,
}

impl Remembered {
    fn on(keystead: Keystead, tenant: &TestTenant, session: NewSession) -> Self {
        let following = keystead.follow();
        let token = keystead.token(&tenant.client_id, &tenant.client_secret);
        let caller = access::app(&keystead.engine, &token, Arrival::default()).unwrap();
        sessions::authenticate(&keystead.engine, &caller, &session.token).unwrap();
        let this = Self { keystead, caller, token, session, _following: following };
        assert!(this.token_is_remembered() && this.session_is_remembered());
        this
    }

    fn token_is_remembered(&self) -> bool {
        access::recall(&self.keystead.engine, &self.token).is_some()
    }

    fn session_is_remembered(&self) -> bool {
        sessions::recall(&self.keystead.engine, &self.caller, &self.session.token).is_some()
    }
}

fn remembered(database: &keystead_testkit::TestDatabase) -> (Remembered, TestTenant) {
    let keystead = Keystead::on(database);
    let tenant = keystead.tenant("Acme");
    let (_, session) = verified(&keystead, &keystead.caller(&tenant), ADA);
    (Remembered::on(keystead, &tenant, session), tenant)
}

fn credentials(tenant: &TestTenant) -> ClientCredentials {
    ClientCredentials {
        client_id: tenant.client_id.parse().unwrap(),
        client_secret: Secret::new(tenant.client_secret.clone()),
        scope: None,
    }
}

both_backends! {
    fn what_ends_by_itself_ends_in_memory_too(database: TestDatabase) {
        let (app, _) = remembered(&database);
        app.keystead.advance(Duration::from_secs(60));
        assert!(!app.session_is_remembered(), "its use is to be written down");
        assert!(app.token_is_remembered());
        app.keystead.advance(Duration::from_secs(3600 - 60));
        assert!(!app.token_is_remembered());
        assert_eq!(refusal(access::app(&app.keystead.engine, &app.token, Arrival::default())), Code::InvalidToken);
    }

    fn keys_that_are_used_are_remembered_and_no_more_than_there_is_room_for(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.remembered = 50);
        let _following = keystead.follow();
        let _ada = keystead.person("Ada");
        let (engine, email, slug) = (&keystead.engine, ADA.parse().unwrap(), "ada".parse().unwrap());
        let keys: Vec<_> = (0..300).map(|_| {
            let new = NewKey { name: "CI".parse().unwrap(), environment: Environment::Live, scopes: None, expires_in: None, pin: None };
            Presented::Key(api_keys::create_for(engine, &Caller::host(), &slug, &email, new).unwrap().1)
        }).collect();
        let remembered = |keys: &[Presented]| keys.iter().filter(|key| people::recall(engine, key).is_some()).count();
        let present = |keys: &[Presented]| keys.iter().for_each(|key| drop(people::verify(engine, key, &Arrival::default()).unwrap()));
        assert_eq!(remembered(&keys), 0, "that a key exists takes no room");
        present(&keys[..20]);
        assert_eq!((remembered(&keys[..20]), remembered(&keys)), (20, 20));
        present(&keys);
        present(&keys);
        let all = remembered(&keys);
        assert!((1..=50).contains(&all), "{all} are remembered");
    }

    fn an_idle_session_ends_in_memory_too(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| {
            settings.session_lifetime.idle = Duration::from_secs(30);
        });
        let tenant = keystead.tenant("Acme");
        let (_, session) = verified(&keystead, &keystead.caller(&tenant), ADA);
        let app = Remembered::on(keystead, &tenant, session);
        app.keystead.advance(Duration::from_secs(29));
        assert!(app.session_is_remembered());
        app.keystead.advance(Duration::from_secs(1));
        assert!(!app.session_is_remembered());
    }

    fn a_session_is_remembered_for_its_own_directory_only(database: TestDatabase) {
        let (app, _) = remembered(&database);
        let other = app.keystead.caller(&app.keystead.tenant("Globex"));
        assert!(sessions::recall(&app.keystead.engine, &other, &app.session.token).is_none());
        let foreign = sessions::authenticate(&app.keystead.engine, &other, &app.session.token);
        assert_eq!(refusal(foreign), Code::InvalidSession);
    }

    fn what_ends_a_session_ends_it_at_the_next_request(database: TestDatabase) {
        let (app, _) = remembered(&database);
        let (keystead, engine) = (&app.keystead, &app.keystead.engine);
        let (_, second) = sign_in(keystead, &app.caller, ADA, PASSWORD).unwrap();
        sessions::revoke(engine, &app.caller, &signed_in(keystead, &app.caller, &second), SessionsToEnd::Presented).unwrap();
        assert!(sessions::recall(engine, &app.caller, &second.token).is_none());
        assert!(app.session_is_remembered(), "another session of the user stays");

        let (_, third) = sign_in(keystead, &app.caller, ADA, PASSWORD).unwrap();
        sessions::revoke(engine, &app.caller, &signed_in(keystead, &app.caller, &third), SessionsToEnd::All).unwrap();
        assert!(!app.session_is_remembered());
        let ended = sessions::authenticate(engine, &app.caller, &app.session.token);
        assert_eq!(refusal(ended), Code::InvalidSession);
    }

    fn what_changes_a_user_shows_at_the_next_request(database: TestDatabase) {
        let (app, _) = remembered(&database);
        let (keystead, engine) = (&app.keystead, &app.keystead.engine);
        let now = || sessions::authenticate(engine, &app.caller, &app.session.token).unwrap();

        let change = ProfileChange { name: Some(Some("Countess".parse().unwrap())), email: Some("ada@new.example".parse().unwrap()) };
        profile::change(engine, &app.caller, &now(), proof(PASSWORD, None), change).unwrap();
        assert_eq!(now().user().name.as_ref().unwrap().as_str(), "Countess");

        let token = keystead.mailed_token("ada@new.example", "/confirm-address/");
        let visitor = Caller::visitor(Arrival::default());
        address_changes::confirm(engine, &visitor, &token).unwrap();
        assert_eq!(now().user().email.as_str(), "ada@new.example");

        let enrolment = mfa::enroll(engine, &app.caller, &now(), proof(PASSWORD, None)).unwrap();
        let code = totp_code(enrolment.secret.expose(), TotpStep::accepted(keystead.now())[1]);
        let typed = keystead_domain::registration::TypedCode::parse(&code);
        mfa::confirm(engine, &app.caller, &now(), typed).unwrap();
        assert!(now().mfa_enabled());

        let current = keystead_domain::password::Password::attempt(PASSWORD).unwrap();
        let new = Secret::new("another horse, another battery".to_owned());
        passwords::change(engine, &app.caller, &now(), &current, new).unwrap();
        assert!(!app.session_is_remembered(), "it is looked up again");
        now();
    }

    fn who_is_deleted_is_forgotten(database: TestDatabase) {
        let (app, _) = remembered(&database);
        let engine = &app.keystead.engine;
        profile::delete(engine, &app.caller, &signed_in(&app.keystead, &app.caller, &app.session), proof(PASSWORD, None)).unwrap();
        assert!(!app.session_is_remembered());
    }

    fn an_apps_secret_is_remembered_and_a_wrong_one_is_not(database: TestDatabase) {
        let (app, tenant) = remembered(&database);
        let (engine, arrival) = (&app.keystead.engine, Arrival::default());
        let at_once = |request: &ClientCredentials| tokens::exchange_at_once(engine, &arrival, request);
        assert!(matches!(at_once(&credentials(&tenant)), Some(Ok(_))), "a token was got a moment ago");

        let wrong = ClientCredentials { client_secret: Secret::new("kss_wrong".to_owned()), ..credentials(&tenant) };
        assert!(at_once(&wrong).is_none(), "the database is asked");
        assert_eq!(refusal(tokens::exchange(engine, &arrival, wrong)), Code::InvalidClient);

        app.keystead.advance(Duration::from_secs(60));
        assert!(at_once(&credentials(&tenant)).is_none(), "its use is to be written down");
        tokens::exchange(engine, &arrival, credentials(&tenant)).unwrap();
        assert!(at_once(&credentials(&tenant)).is_some());
    }

    fn another_process_ends_a_session_within_a_second(database: TestDatabase) {
        let (app, tenant) = remembered(&database);
        let elsewhere = Keystead::on(&database);
        let there = elsewhere.caller(&tenant);
        for _ in 0..10 {
            let (_, session) = sign_in(&app.keystead, &app.caller, ADA, PASSWORD).unwrap();
            signed_in(&app.keystead, &app.caller, &session);
            let is_remembered = || sessions::recall(&app.keystead.engine, &app.caller, &session.token).is_some();
            assert!(is_remembered());
            sessions::revoke(&elsewhere.engine, &there, &signed_in(&elsewhere, &there, &session), SessionsToEnd::Presented).unwrap();
            let ended = Instant::now();
            while is_remembered() {
                std::thread::yield_now();
            }
            assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
            let presented = sessions::authenticate(&app.keystead.engine, &app.caller, &session.token);
            assert_eq!(refusal(presented), Code::InvalidSession);
        }
    }

    fn who_does_not_follow_others_remembers_nothing(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let caller = keystead.caller(&tenant);
        let (_, session) = verified(&keystead, &caller, ADA);
        signed_in(&keystead, &caller, &session);
        assert!(sessions::recall(&keystead.engine, &caller, &session.token).is_none());
        assert!(tokens::exchange_at_once(&keystead.engine, &Arrival::default(), &credentials(&tenant)).is_none());
    }
}
