//! The second factor.

use std::collections::BTreeSet;
use std::time::Duration;

use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{RecoveryCode, TotpStep};
use keystead_service::sessions::NewSession;
use keystead_service::sign_ins::SignIn;
use keystead_service::{Caller, Code, mfa};
use keystead_testkit::{Keystead, both_backends, totp_code};

use crate::steps::{ADA, PASSWORD, proof, refusal, sign_in, sign_in_with, signed_in, verified};

const STEP: Duration = Duration::from_secs(30);

/// An authenticator app with a user's secret.
pub(crate) struct App(String);

impl App {
    /// The code that it shows so many steps from now.
    pub(crate) fn code(&self, keystead: &Keystead, steps: i64) -> String {
        let [_, now, _] = TotpStep::accepted(keystead.now());
        totp_code(&self.0, TotpStep::from_number(now.number() + steps))
    }
}

pub(crate) fn begin(keystead: &Keystead, caller: &Caller, session: &NewSession, code: Option<&str>) -> App {
    let ada = signed_in(keystead, caller, session);
    let enrolment = mfa::enroll(&keystead.engine, caller, &ada, proof(PASSWORD, code)).unwrap();
    App(enrolment.secret.expose().clone())
}

pub(crate) fn confirm(
    keystead: &Keystead,
    caller: &Caller,
    session: &NewSession,
    code: &str,
) -> Result<Vec<RecoveryCode>, keystead_service::Error> {
    mfa::confirm(&keystead.engine, caller, &signed_in(keystead, caller, session), TypedCode::parse(code))
}

pub(crate) fn enrolled(keystead: &Keystead, caller: &Caller) -> (App, Vec<RecoveryCode>, NewSession) {
    let (_, session) = verified(keystead, caller, ADA);
    let app = begin(keystead, caller, &session, None);
    let codes = confirm(keystead, caller, &session, &app.code(keystead, 0)).unwrap();
    (app, codes, session)
}

both_backends! {
    fn with_a_second_factor_the_password_alone_makes_no_session(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (app, _, session) = enrolled(&keystead, &caller);
        assert!(signed_in(&keystead, &caller, &session).mfa_enabled());
        let with = |code: Option<&str>| sign_in_with(&keystead, &caller, ADA, PASSWORD, code);
        assert!(matches!(with(None), Ok(SignIn::SecondFactorRequired(_))));
        assert_eq!(refusal(with(Some("000000"))), Code::InvalidCredentials);
        assert_eq!(refusal(with(Some("nonsense"))), Code::InvalidCredentials);
        keystead.advance(STEP);
        let right = app.code(&keystead, 0);
        let wrong_password = sign_in_with(&keystead, &caller, ADA, "wrong", Some(&right));
        assert_eq!(refusal(wrong_password), Code::InvalidCredentials, "which does not use up the code");
        assert!(matches!(with(Some(&right)), Ok(SignIn::Done(..))));
    }

    fn no_code_works_twice_nor_an_older_one_after_it(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (app, ..) = enrolled(&keystead, &caller);
        let with = |code: &str| sign_in_with(&keystead, &caller, ADA, PASSWORD, Some(code));
        assert_eq!(refusal(with(&app.code(&keystead, 0))), Code::InvalidCredentials, "the enrolment's own code");
        let next = app.code(&keystead, 1);
        assert!(with(&next).is_ok(), "a clock that is ahead");
        assert!(with(&next).is_err());
        keystead.advance(STEP * 2);
        assert!(with(&app.code(&keystead, 0)).is_ok());
        assert!(with(&app.code(&keystead, -1)).is_err(), "older than the last");
        keystead.advance(STEP * 3);
        // Of a million codes, one that is not accepted is at times one that is.
        let differ = || (-2..=2).map(|steps| app.code(&keystead, steps)).collect::<BTreeSet<_>>().len() == 5;
        while !differ() {
            keystead.advance(STEP);
        }
        assert!(with(&app.code(&keystead, -2)).is_err(), "too old");
        assert!(with(&app.code(&keystead, 2)).is_err(), "too far ahead");
        assert!(with(&app.code(&keystead, -1)).is_ok(), "a clock that is behind");
    }

    fn a_recovery_code_works_once(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (app, codes, session) = enrolled(&keystead, &caller);
        let with = |code: &str| sign_in_with(&keystead, &caller, ADA, PASSWORD, Some(code));
        assert_eq!(codes.len(), 10);
        assert!(with(&codes[0].to_groups().to_uppercase()).is_ok());
        assert!(with(&codes[0].to_groups()).is_err());
        keystead.advance(STEP);
        let ada = signed_in(&keystead, &caller, &session);
        let code = app.code(&keystead, 0);
        let new = mfa::new_recovery_codes(&keystead.engine, &caller, &ada, proof(PASSWORD, Some(&code))).unwrap();
        assert!(with(&codes[1].to_groups()).is_err(), "replaced");
        assert!(with(&new[0].to_groups()).is_ok());
    }

    fn changing_anything_asks_for_both_factors(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (app, _, session) = enrolled(&keystead, &caller);
        let ada = signed_in(&keystead, &caller, &session);
        keystead.advance(STEP);
        let right = app.code(&keystead, 0);
        for (password, code, expected) in [
            ("wrong", Some(right.as_str()), Code::InvalidCredentials),
            (PASSWORD, None, Code::ValidationError),
            (PASSWORD, Some("000000"), Code::InvalidCode),
        ] {
            let engine = &keystead.engine;
            assert_eq!(refusal(mfa::enroll(engine, &caller, &ada, proof(password, code))), expected);
            assert_eq!(refusal(mfa::new_recovery_codes(engine, &caller, &ada, proof(password, code))), expected);
            assert_eq!(refusal(mfa::disable(engine, &caller, &ada, proof(password, code))), expected);
        }
        // A new app takes over when it has shown a code, and not before.
        let new = begin(&keystead, &caller, &session, Some(&right));
        keystead.advance(STEP);
        assert!(sign_in_with(&keystead, &caller, ADA, PASSWORD, Some(&app.code(&keystead, 0))).is_ok());
        assert_eq!(refusal(confirm(&keystead, &caller, &session, "000000")), Code::InvalidCode);
        confirm(&keystead, &caller, &session, &new.code(&keystead, 0)).unwrap();
        keystead.advance(STEP);
        assert!(sign_in_with(&keystead, &caller, ADA, PASSWORD, Some(&app.code(&keystead, 0))).is_err());
        let code = new.code(&keystead, 0);
        mfa::disable(&keystead.engine, &caller, &ada, proof(PASSWORD, Some(&code))).unwrap();
        sign_in(&keystead, &caller, ADA, PASSWORD).unwrap();
        assert!(!signed_in(&keystead, &caller, &session).mfa_enabled());
    }

    fn without_a_second_factor_there_is_nothing_to_recover_or_confirm(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (_, session) = verified(&keystead, &caller, ADA);
        let ada = signed_in(&keystead, &caller, &session);
        let codes = mfa::new_recovery_codes(&keystead.engine, &caller, &ada, proof(PASSWORD, None));
        assert_eq!(refusal(codes), Code::InvalidCode);
        assert_eq!(refusal(confirm(&keystead, &caller, &session, "123456")), Code::InvalidCode);
        mfa::disable(&keystead.engine, &caller, &ada, proof(PASSWORD, None)).unwrap();
    }

    fn an_operator_resets_it_for_whoever_lost_both(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let caller = keystead.caller(&keystead.tenant("Acme"));
        let (_, codes, session) = enrolled(&keystead, &caller);
        let ada = signed_in(&keystead, &caller, &session);
        let reset = |by: &Caller| keystead_service::users::reset_mfa(&keystead.engine, by, ada.user());
        assert!(reset(&caller).is_err(), "an app is no operator");
        assert_eq!([reset(&Caller::host()).unwrap(), reset(&Caller::host()).unwrap()], [true, false]);
        sign_in(&keystead, &caller, ADA, PASSWORD).unwrap();
        // Enrolling anew makes new codes; the old ones are gone.
        let app = begin(&keystead, &caller, &session, None);
        confirm(&keystead, &caller, &session, &app.code(&keystead, 0)).unwrap();
        let old = sign_in_with(&keystead, &caller, ADA, PASSWORD, Some(&codes[0].to_groups()));
        assert_eq!(refusal(old), Code::InvalidCredentials);
    }
}
