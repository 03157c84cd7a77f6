//! Sessions: how long they live, who can end them, who sees them.

use std::time::Duration;

use keystead_domain::Secret;
use keystead_service::Code;
use keystead_service::sessions::{SessionsToEnd, authenticate, revoke};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, refusal, sign_in, verified};

const DAY: Duration = Duration::from_secs(24 * 3600);

both_backends! {
    fn use_prolongs_a_session_to_its_end_and_no_further(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme");
        let (_, session) = verified(&keystead, &keystead.caller(&tenant), ADA);
        assert_eq!(session.expires_at, keystead.now() + DAY * 7);
        for _ in 0..4 {
            keystead.advance(DAY * 6);
            authenticate(&keystead.engine, &keystead.caller(&tenant), &session.token).unwrap();
        }
        keystead.advance(DAY * 6);
        let over = authenticate(&keystead.engine, &keystead.caller(&tenant), &session.token);
        assert_eq!(refusal(over), Code::InvalidSession, "30 days");

        let (_, idle) = sign_in(&keystead, &keystead.caller(&tenant), ADA, PASSWORD).unwrap();
        keystead.advance(DAY * 7);
        let over = authenticate(&keystead.engine, &keystead.caller(&tenant), &idle.token);
        assert_eq!(refusal(over), Code::InvalidSession, "7 days without use");
    }

    fn a_session_ends_itself_one_or_all_of_its_users(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let (_, first) = verified(&keystead, &app, ADA);
        let [second, third, fourth] =
            [(); 3].map(|()| sign_in(&keystead, &app, ADA, PASSWORD).unwrap().1);
        let (_, bobs) = verified(&keystead, &app, "bob@example.com");
        let check = |token: &Secret<String>| authenticate(&keystead.engine, &app, token);
        let end = |by: &Secret<String>, which| revoke(&keystead.engine, &app, &check(by).unwrap(), which);

        end(&first.token, SessionsToEnd::Presented).unwrap();
        assert_eq!(refusal(check(&first.token)), Code::InvalidSession);

        let third_id = check(&third.token).unwrap().session_id();
        end(&second.token, SessionsToEnd::One(third_id)).unwrap();
        assert_eq!(refusal(check(&third.token)), Code::InvalidSession);
        assert_eq!(refusal(end(&second.token, SessionsToEnd::One(third_id))), Code::NotFound);

        let bobs_id = check(&bobs.token).unwrap().session_id();
        assert_eq!(refusal(end(&second.token, SessionsToEnd::One(bobs_id))), Code::NotFound, "another user's");

        end(&second.token, SessionsToEnd::All).unwrap();
        for ended in [&second, &fourth] {
            assert_eq!(refusal(check(&ended.token)), Code::InvalidSession);
        }
        check(&bobs.token).unwrap();
    }

    fn a_session_is_known_in_its_own_directory_only(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let (_, session) = verified(&keystead, &keystead.caller(&acme), ADA);
        let stranger = keystead.caller(&keystead.tenant("Other"));
        assert_eq!(refusal(authenticate(&keystead.engine, &stranger, &session.token)), Code::InvalidSession);
        // Through another first-party app of the same tenant it works.
        let (client_id, client_secret) = keystead.app(acme.owner(), &[]);
        let token = keystead.token(&client_id, &client_secret);
        let second = keystead_service::access::app(&keystead.engine, &token, Default::default()).unwrap();
        authenticate(&keystead.engine, &second, &session.token).unwrap();
    }
}
