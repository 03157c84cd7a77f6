//! Known and unknown addresses take the same time: of interleaved pairs, the medians differ by
//! less than 5 % or 0.5 ms, whichever is larger.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_domain::user::AddressRule;
use keystead_domain::{Email, Secret};
use keystead_service::accounts::{self, NewAccount};
use keystead_service::imports::{self, ImportedUser};
use keystead_service::profile::{self, ProfileChange};
use keystead_service::sessions::{self, SignedIn};
use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
use keystead_service::sign_ups::{self, SignUp};
use keystead_service::{Arrival, Caller, Reauthentication, passwords, reset_links, verification};
use keystead_testkit::{Keystead, both_backends, only_slowdown};

const PAIRS: usize = 150;
const ROUNDS: usize = 4;
const PASSWORD: &str = "correct horse battery staple";

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// What else this process times or makes busy must not be timed along.
static ALONE: Mutex<()> = Mutex::new(());

/// Times both in turn; an error if their medians are not alike. Where a busy machine blurs them,
/// more pairs are timed, and the medians of all of them decide.
fn alike(
    mut prepare: impl FnMut(Range<usize>),
    mut known: impl FnMut(usize),
    mut unknown: impl FnMut(usize),
) -> Result<(), String> {
    let time = |f: &mut dyn FnMut(usize), n| {
        let start = Instant::now();
        f(n);
        start.elapsed()
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut difference = String::new();
    for round in 0..ROUNDS {
        let pairs = round * PAIRS..(round + 1) * PAIRS;
        prepare(pairs.clone());
        for n in pairs {
            // Which comes first changes, so that neither always finds the caches warm.
            if n % 2 == 0 {
                a.push(time(&mut known, n));
                b.push(time(&mut unknown, n));
            } else {
                b.push(time(&mut unknown, n));
                a.push(time(&mut known, n));
            }
        }
        let (a, b) = (median(a.clone()), median(b.clone()));
        let allowed = (a.max(b) / 20).max(Duration::from_micros(500));
        if a.abs_diff(b) < allowed {
            return Ok(());
        }
        difference = format!("known {a:?}, unknown {b:?}");
    }
    Err(difference)
}

fn have_user(keystead: &Keystead, app: &Caller, address: &str) {
    let (engine, email) = (&keystead.engine, address.parse::<Email>().unwrap());
    let password = Secret::new(PASSWORD.to_owned());
    sign_ups::sign_up(engine, app, SignUp { email: email.clone(), password, name: None }).unwrap();
    let code = TypedCode::parse(&keystead.code_for(address));
    sign_ups::verify_email(engine, app, email, code).unwrap();
}

fn signed_in(keystead: &Keystead, app: &Caller, address: &str) -> SignedIn {
    have_user(keystead, app, address);
    let (email, password) = (address.parse().unwrap(), Password::attempt(PASSWORD).unwrap());
    let typed = PasswordSignIn { email, password, second_factor: None };
    let Ok(SignIn::Done(_, session)) = sign_ins::with_password(&keystead.engine, app, typed) else {
        panic!("{address} cannot sign in")
    };
    sessions::authenticate(&keystead.engine, app, &session.token).unwrap()
}

fn fail_to_sign_in(keystead: &Keystead, app: &Caller, address: &str) {
    let (email, password) = (address.parse().unwrap(), Password::attempt("a wrong password").unwrap());
    assert!(
        sign_ins::with_password(
            &keystead.engine,
            app,
            PasswordSignIn { email, password, second_factor: None }
        )
        .is_err()
    );
}

/// Every operation on addresses of users and on others.
fn compare(keystead: &Keystead) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let app = keystead.caller(&keystead.tenant("Acme"));
    let engine = &keystead.engine;
    let known = |n: usize| format!("known{n}@example.com");
    let unknown = |n: usize| format!("unknown{n}@example.com");
    let made = Cell::new(0);
    let prepare = |pairs: Range<usize>| {
        for n in made.get()..pairs.end {
            have_user(keystead, &app, &known(n));
        }
        made.set(made.get().max(pairs.end));
    };
    let sign_in = |email: String| fail_to_sign_in(keystead, &app, &email);
    let sign_up = |email: String| {
        let password = Secret::new("another passphrase".to_owned());
        sign_ups::sign_up(engine, &app, SignUp { email: email.parse().unwrap(), password, name: None })
            .unwrap();
    };
    let resend = |email: String| sign_ups::resend_code(engine, &app, email.parse().unwrap()).unwrap();
    let verify = |email: String| {
        assert!(
            sign_ups::verify_email(engine, &app, email.parse().unwrap(), TypedCode::parse("000000")).is_err()
        );
    };
    let request = |email: String| passwords::request_reset(engine, &app, email.parse().unwrap()).unwrap();
    let reset = |email: String| {
        let new = Secret::new("another passphrase".to_owned());
        let code = TypedCode::parse("000000");
        assert!(passwords::confirm_reset(engine, &app, email.parse().unwrap(), code, new).is_err());
    };
    let changing = signed_in(keystead, &app, "changing@example.com");
    let change_address = |email: String| {
        let change = ProfileChange { name: None, email: Some(email.parse().unwrap()) };
        let proof = Reauthentication { password: Password::attempt(PASSWORD).unwrap(), second_factor: None };
        profile::change(engine, &app, &changing, proof, change).unwrap();
    };
    let operations: [(&str, &dyn Fn(String)); 7] = [
        ("sign-in", &sign_in),
        ("resend", &resend),
        ("verify", &verify),
        ("reset request", &request),
        ("reset", &reset),
        ("sign-up", &sign_up),
        ("change of address", &change_address),
    ];
    for (name, operation) in operations {
        alike(prepare, |n| operation(known(n)), |n| operation(unknown(n)))
            .unwrap_or_else(|times| panic!("{name}: {times}"));
    }
}

/// A person who proved its address.
fn have_person(keystead: &Keystead, visitor: &Caller, address: &str) {
    let (engine, email) = (&keystead.engine, address.parse::<Email>().unwrap());
    let password = Secret::new(PASSWORD.to_owned());
    let new = NewAccount { email: email.clone(), password, name: "Somebody".parse().unwrap(), onward: None };
    accounts::sign_up(engine, visitor, new).unwrap();
    let code = TypedCode::parse(&keystead.code_for(address));
    verification::by_code(engine, visitor, email, code, None).unwrap();
}

/// Every operation of strangers on addresses of people and on others.
fn compare_people(keystead: &Keystead) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (engine, visitor) = (&keystead.engine, Caller::visitor(Arrival::default()));
    let known = |n: usize| format!("known{n}@example.com");
    let unknown = |n: usize| format!("unknown{n}@example.com");
    let made = Cell::new(0);
    let prepare = |pairs: Range<usize>| {
        for n in made.get()..pairs.end {
            have_person(keystead, &visitor, &known(n));
        }
        made.set(made.get().max(pairs.end));
    };
    let sign_in = |email: String| {
        let password = Password::attempt("a wrong password").unwrap();
        let refused = sign_ins::of_person(engine, &visitor, email.parse().unwrap(), password, false);
        assert!(refused.is_err());
    };
    let prove = |email: String| {
        verification::request(engine, &visitor, email.parse().unwrap(), None).unwrap();
    };
    let verify = |email: String| {
        let code = TypedCode::parse("000000");
        assert!(verification::by_code(engine, &visitor, email.parse().unwrap(), code, None).is_err());
    };
    let reset = |email: String| reset_links::request(engine, &visitor, email.parse().unwrap(), None).unwrap();
    let sign_up = |email: String| {
        let password = Secret::new("another passphrase".to_owned());
        let name = "Somebody".parse().unwrap();
        let new = NewAccount { email: email.parse().unwrap(), password, name, onward: None };
        accounts::sign_up(engine, &visitor, new).unwrap();
    };
    let operations: [(&str, &dyn Fn(String)); 5] = [
        ("sign-in", &sign_in),
        ("asking for proof", &prove),
        ("code", &verify),
        ("asking for a reset", &reset),
        ("sign-up", &sign_up),
    ];
    for (name, operation) in operations {
        alike(prepare, |n| operation(known(n)), |n| operation(unknown(n)))
            .unwrap_or_else(|times| panic!("{name}: {times}"));
    }
}

both_backends! {
    fn people_take_the_same_time_where_their_addresses_come_first(database: TestDatabase) {
        let strict = Keystead::with(&database, |settings| settings.people_addresses = AddressRule::Verified);
        compare_people(&strict);
    }

    fn known_and_unknown_addresses_take_the_same_time(database: TestDatabase) {
        compare(&Keystead::on(&database));
    }

    /// The delay grows with each failure here, but no two failures are of one address.
    fn so_they_do_where_requests_and_failures_are_counted(database: TestDatabase) {
        compare(&Keystead::with(&database, |settings| settings.rate_limits = Some(only_slowdown())));
    }

    /// Users whose hashes another system made, and addresses that nobody has, or somebody has just
    /// signed up with.
    fn so_they_do_where_users_were_imported(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let acme = keystead.tenant("Acme");
        let app = keystead.caller(&acme);
        let known = |n: usize| format!("known{n}@example.com");
        let unknown = |n: usize| format!("unknown{n}@example.com");
        // Some milliseconds, far more than a hash of ours takes here.
        let hash = "$pbkdf2-sha512$1000$997be.9dy7lXam2NEWIsZQ$iZdmgP2.XsuZheYdNwlXayD5FJB/Dmp8nHC6bqXNd4VQijTH.YJ2dBMQprqkCL0sFWwRfeGeK3.OmyvGLZJNsQ";
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let prepare = |pairs: Range<usize>| {
            let user = |n| ImportedUser {
                email: known(n).parse().unwrap(),
                verified: true,
                name: None,
                password: Some(hash.parse().unwrap()),
                created_at: None,
            };
            let users: Vec<_> = pairs.clone().map(user).collect();
            imports::users(&keystead.engine, &Caller::host(), acme.owner(), &users).unwrap();
            for n in pairs.filter(|n| n.is_multiple_of(3)) {
                let (email, password) = (unknown(n).parse().unwrap(), Secret::new(PASSWORD.to_owned()));
                sign_ups::sign_up(&keystead.engine, &app, SignUp { email, password, name: None }).unwrap();
            }
        };
        alike(prepare, |n| fail_to_sign_in(&keystead, &app, &known(n)), |n| fail_to_sign_in(&keystead, &app, &unknown(n)))
            .unwrap_or_else(|times| panic!("imported: {times}"));
    }

    /// From the first failure over the one that the owner is told of to those that have to wait.
    fn so_they_do_while_failures_slow_them_down(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.rate_limits = Some(only_slowdown()));
        let app = keystead.caller(&keystead.tenant("Acme"));
        let known = |n: usize| format!("known{}@example.com", n / 10);
        let unknown = |n: usize| format!("unknown{}@example.com", n / 10);
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let prepare = |pairs: Range<usize>| {
            for n in pairs.step_by(10) {
                have_user(&keystead, &app, &known(n));
            }
        };
        alike(
            prepare,|n| fail_to_sign_in(&keystead, &app, &known(n)), |n| fail_to_sign_in(&keystead, &app, &unknown(n)))
            .unwrap_or_else(|times| panic!("slowed down: {times}"));
        // By now both of these have to wait, whatever is tried.
        alike(
            |_| {},|_| fail_to_sign_in(&keystead, &app, &known(0)), |_| fail_to_sign_in(&keystead, &app, &unknown(0)))
            .unwrap_or_else(|times| panic!("waiting: {times}"));
    }
}
