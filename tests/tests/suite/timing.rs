//! Known and unknown addresses take the same time: of interleaved pairs, the medians differ by
//! less than 5 % or 0.5 ms, whichever is larger.

use std::time::{Duration, Instant};

use keystead_domain::Secret;
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_service::passwords;
use keystead_service::sign_ins::{self, PasswordSignIn};
use keystead_service::sign_ups::{self, SignUp};
use keystead_testkit::{Keystead, both_backends};

const PAIRS: usize = 150;
const PASSWORD: &str = "correct horse battery staple";

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Times both in turn; true if their medians are alike.
fn alike(mut known: impl FnMut(usize), mut unknown: impl FnMut(usize)) -> Result<(), String> {
    let time = |f: &mut dyn FnMut(usize), n| {
        let start = Instant::now();
        f(n);
        start.elapsed()
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for n in 0..PAIRS {
        // Which comes first changes, so that neither always finds the caches warm.
        if n % 2 == 0 {
            a.push(time(&mut known, n));
            b.push(time(&mut unknown, n));
        } else {
            b.push(time(&mut unknown, n));
            a.push(time(&mut known, n));
        }
    }
    let (a, b) = (median(a), median(b));
    let allowed = (a.max(b) / 20).max(Duration::from_micros(500));
    if a.abs_diff(b) < allowed { Ok(()) } else { Err(format!("known {a:?}, unknown {b:?}")) }
}

both_backends! {
    fn known_and_unknown_addresses_take_the_same_time(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let engine = &keystead.engine;
        let known = |n: usize| format!("known{n}@example.com");
        let unknown = |n: usize| format!("unknown{n}@example.com");
        for n in 0..PAIRS {
            let email: keystead_domain::Email = known(n).parse().unwrap();
            let password = Secret::new(PASSWORD.to_owned());
            sign_ups::sign_up(engine, &app, SignUp { email: email.clone(), password, name: None }).unwrap();
            let code = TypedCode::parse(&keystead.code_for(&known(n)));
            sign_ups::verify_email(engine, &app, email, code).unwrap();
        }
        let sign_in = |email: String| {
            let password = Password::attempt("a wrong password").unwrap();
            assert!(sign_ins::with_password(engine, &app, PasswordSignIn { email: email.parse().unwrap(), password, second_factor: None }).is_err());
        };
        let sign_up = |email: String| {
            let password = Secret::new("another passphrase".to_owned());
            sign_ups::sign_up(engine, &app, SignUp { email: email.parse().unwrap(), password, name: None }).unwrap();
        };
        let resend = |email: String| sign_ups::resend_code(engine, &app, email.parse().unwrap()).unwrap();
        let verify = |email: String| {
            assert!(sign_ups::verify_email(engine, &app, email.parse().unwrap(), TypedCode::parse("000000")).is_err());
        };
        let request = |email: String| passwords::request_reset(engine, &app, email.parse().unwrap()).unwrap();
        let reset = |email: String| {
            let new = Secret::new("another passphrase".to_owned());
            let code = TypedCode::parse("000000");
            assert!(passwords::confirm_reset(engine, &app, email.parse().unwrap(), code, new).is_err());
        };
        let operations: [(&str, &dyn Fn(String)); 6] = [
            ("sign-in", &sign_in),
            ("resend", &resend),
            ("verify", &verify),
            ("reset request", &request),
            ("reset", &reset),
            ("sign-up", &sign_up),
        ];
        for (name, operation) in operations {
            alike(|n| operation(known(n)), |n| operation(unknown(n))).unwrap_or_else(|times| panic!("{name}: {times}"));
        }
    }
}
