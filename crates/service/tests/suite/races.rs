//! What can be used once is used once, however many try at the same moment.
//!
//! One thing a test: a way to make a new one, to use it, and to check what is left. The usual run has
//! a few rounds; `KEYSTEAD_TEST_RACE_ROUNDS=200` makes it 200, and with `--nocapture` each test says
//! what it counted. What can be used once and is not here is to be added.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use keystead_domain::Secret;
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{TotpStep, TypedFactor};
use keystead_domain::user::User;
use keystead_service::access_requests::{self, send_fresh_link};
use keystead_service::apps;
use keystead_service::people::{self, Presented};
use keystead_service::profile::{self, ProfileChange};
use keystead_service::sessions::{self, NewSession};
use keystead_service::sign_ins::{self, PersonSignIn, SignIn};
use keystead_service::users;
use keystead_service::{Arrival, Caller, Code, Error, mfa, reset_links, verification};
use keystead_testkit::{Keystead, TestDatabase, TestTenant, both_backends};

use crate::steps::{PASSWORD, proof, sign_in, sign_in_with, sign_up, signed_in, verified, verify};
use crate::{access_requests as requests, address_changes as addresses, mfa as factors, passwords};

/// How many try at once.
const TRIES: usize = 64;
/// How often, unless the environment says otherwise.
const ROUNDS: usize = 5;

fn rounds() -> usize {
    let rounds = std::env::var("KEYSTEAD_TEST_RACE_ROUNDS").ok();
    rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Where the races are run.
struct Arena {
    keystead: Keystead,
    tenant: TestTenant,
    app: Caller,
}

impl Arena {
    /// Somebody new, who is signed in.
    fn somebody(&self, name: &str) -> (User, NewSession) {
        verified(&self.keystead, &self.app, &format!("{name}@example.com"))
    }

    fn ask_for_address(&self, session: &NewSession, email: &str) -> String {
        let change = ProfileChange { name: None, email: Some(email.parse().unwrap()) };
        let here = signed_in(&self.keystead, &self.app, session);
        profile::change(&self.keystead.engine, &self.app, &here, proof(PASSWORD, None), change).unwrap();
        addresses::confirm_token(&self.keystead, email).unwrap()
    }

    /// The sessions that somebody has.
    fn sessions(&self, session: &NewSession) -> usize {
        let here = signed_in(&self.keystead, &self.app, session);
        sessions::list(&self.keystead.engine, &self.app, &here).unwrap().len()
    }

    fn address_of(&self, user: &User) -> String {
        let found = users::show(&self.keystead.engine, &Caller::host(), self.tenant.owner(), user.id);
        found.unwrap().email.to_string()
    }

    fn mails_to(&self, address: &str) -> usize {
        self.keystead.deliver();
        self.keystead.mailbox.to(address).len()
    }
}

/// Something that can be used once.
struct Once<'a, T> {
    /// Uses it.
    take: Box<dyn Fn() -> Result<T, Error> + Sync + 'a>,
    /// Looks at what the winner got, and at what is left.
    check: Box<dyn FnOnce(T) + 'a>,
}

impl<'a, T> Once<'a, T> {
    fn new(take: impl Fn() -> Result<T, Error> + Sync + 'a, check: impl FnOnce(T) + 'a) -> Self {
        Self { take: Box::new(take), check: Box::new(check) }
    }
}

/// In each round, makes a new thing and lets all use it at once: one does, the others are refused as
/// `refusal` says.
#[expect(clippy::print_stdout, reason = "what was counted is asked for by hand")]
fn race<T: Send>(
    database: &TestDatabase,
    thing: &str,
    refusal: Code,
    make: for<'a> fn(&'a Arena, &'a str) -> Once<'a, T>,
) {
    let keystead = Keystead::on(database);
    let tenant = keystead.tenant("Acme");
    let app = keystead.caller(&tenant);
    let arena = Arena { keystead, tenant, app };
    let (began, rounds) = (Instant::now(), rounds());
    let (mut wins, mut turned_away) = (0, 0);
    for round in 0..rounds {
        let name = format!("u{round}");
        let once = make(&arena, &name);
        let start = Barrier::new(TRIES);
        let results: Vec<_> = thread::scope(|scope| {
            let tries: Vec<_> = (0..TRIES)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        (once.take)()
                    })
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut won = Vec::new();
        for result in results {
            match result {
                Ok(prize) => won.push(prize),
                Err(error) if error.code() == refusal => {}
                // Nothing was done, and whoever was turned away can try again.
                Err(error) if error.code() == Code::Unavailable => turned_away += 1,
                Err(error) => panic!("{thing}, round {round}: {error:?}"),
            }
        }
        assert_eq!(won.len(), 1, "{thing}, round {round}");
        wins += won.len();
        if let Some(prize) = won.pop() {
            (once.check)(prize);
        }
    }
    let tries = rounds * TRIES;
    let took = began.elapsed();
    println!(
        "{thing}: {rounds} rounds of {TRIES}, {tries} tries, {wins} wins, {turned_away} turned away, {took:.1?}"
    );
}

fn sign_up_code<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, (User, NewSession)> {
    let address = format!("{name}@example.com");
    let pending = sign_up(&arena.keystead, &arena.app, &address, PASSWORD).unwrap();
    let code = arena.keystead.code_for(&address);
    Once::new(
        move || verify(&arena.keystead, &arena.app, &address, &code),
        move |(user, session)| {
            assert_eq!((user.id, arena.sessions(&session)), (pending.user_id, 1));
        },
    )
}

const NEW_PASSWORD: &str = "an entirely different one";

fn reset_code<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, ()> {
    let address = format!("{name}@example.com");
    arena.somebody(name);
    passwords::request(&arena.keystead, &arena.app, &address);
    let code = arena.keystead.code_for(&address);
    let to = address.clone();
    Once::new(
        move || passwords::confirm(&arena.keystead, &arena.app, &address, &code, NEW_PASSWORD),
        move |()| {
            let (_, session) = sign_in(&arena.keystead, &arena.app, &to, NEW_PASSWORD).unwrap();
            assert_eq!(arena.sessions(&session), 1);
            assert_eq!(arena.mails_to(&to), 3, "two codes, and one that says that it was done");
        },
    )
}

/// The session of a sign-in with both factors.
fn sign_in_with_code(arena: &Arena, address: &str, code: &str) -> Result<NewSession, Error> {
    match sign_in_with(&arena.keystead, &arena.app, address, PASSWORD, Some(code))? {
        SignIn::Done(_, session) => Ok(session),
        SignIn::SecondFactorRequired(_) => panic!("a code was sent"),
    }
}

fn enrolment_code<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, usize> {
    let (_, session) = arena.somebody(name);
    let authenticator = factors::begin(&arena.keystead, &arena.app, &session, None);
    let code = authenticator.code(&arena.keystead, 0);
    let here = signed_in(&arena.keystead, &arena.app, &session);
    Once::new(
        move || {
            let code = TypedCode::parse(&code);
            mfa::confirm(&arena.keystead.engine, &arena.app, &here, code).map(|codes| codes.len())
        },
        move |recovery_codes| {
            assert_eq!(recovery_codes, 10);
            assert!(signed_in(&arena.keystead, &arena.app, &session).mfa_enabled());
        },
    )
}

fn totp_code<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, NewSession> {
    let (_, session) = arena.somebody(name);
    let authenticator = factors::begin(&arena.keystead, &arena.app, &session, None);
    let code = authenticator.code(&arena.keystead, 0);
    factors::confirm(&arena.keystead, &arena.app, &session, &code).unwrap();
    arena.keystead.advance(Duration::from_secs(30));
    let (address, code) = (format!("{name}@example.com"), authenticator.code(&arena.keystead, 0));
    Once::new(
        move || sign_in_with_code(arena, &address, &code),
        |session| assert_eq!(arena.sessions(&session), 2),
    )
}

fn recovery_code<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, NewSession> {
    let (_, session) = arena.somebody(name);
    let authenticator = factors::begin(&arena.keystead, &arena.app, &session, None);
    let code = authenticator.code(&arena.keystead, 0);
    let codes = factors::confirm(&arena.keystead, &arena.app, &session, &code).unwrap();
    let (address, code) = (format!("{name}@example.com"), codes[0].to_groups());
    Once::new(
        move || sign_in_with_code(arena, &address, &code),
        |session| assert_eq!(arena.sessions(&session), 2),
    )
}

fn approval<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, access_requests::Reviewed> {
    let address = format!("{name}@example.com");
    let id = requests::request(&arena.keystead, name, &address);
    let engine = &arena.keystead.engine;
    let count = || {
        let tenants = keystead_service::tenants::list(engine, &Caller::host()).unwrap().len();
        (tenants, apps::list(engine, &Caller::host()).unwrap().len())
    };
    let (tenants, of_apps) = count();
    Once::new(
        move || requests::approved(&arena.keystead, id),
        move |_| {
            assert_eq!(count(), (tenants + 1, of_apps + 1));
            assert_eq!(arena.mails_to(&address), 1);
            // Those who lost used none of the mails that the address may get.
            for _ in 0..4 {
                send_fresh_link(engine, &Caller::host(), id).unwrap();
            }
        },
    )
}

fn claim_link<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, keystead_service::claims::ClaimedSecret> {
    let address = format!("{name}@example.com");
    requests::approved(&arena.keystead, requests::request(&arena.keystead, name, &address)).unwrap();
    let token = requests::mailed_token(&arena.keystead, &address);
    Once::new(
        move || requests::claim(&arena.keystead, &token),
        |claimed| {
            let (_, secrets) =
                apps::show(&arena.keystead.engine, &Caller::host(), &claimed.client_id).unwrap();
            assert_eq!(secrets.len(), 1);
            let (id, secret) = (claimed.client_id.as_str(), claimed.client_secret.expose());
            assert!(requests::authenticates(&arena.keystead, id, secret));
        },
    )
}

fn link_to_confirm_an_address<'a>(
    arena: &'a Arena,
    name: &'a str,
) -> Once<'a, keystead_service::address_changes::Readdressed> {
    let (user, session) = arena.somebody(name);
    let new = format!("{name}@new.example");
    let token = arena.ask_for_address(&session, &new);
    Once::new(
        move || addresses::confirm(&arena.keystead, &token),
        move |done| {
            assert_eq!((done.email.as_str(), arena.address_of(&user)), (new.as_str(), new.clone()));
            assert_eq!(arena.mails_to(&format!("{name}@example.com")), 3, "a code, and two about the change");
        },
    )
}

fn link_to_undo_that<'a>(
    arena: &'a Arena,
    name: &'a str,
) -> Once<'a, keystead_service::address_changes::Readdressed> {
    let (user, session) = arena.somebody(name);
    let (former, new) = (format!("{name}@example.com"), format!("{name}@new.example"));
    let confirm = arena.ask_for_address(&session, &new);
    addresses::confirm(&arena.keystead, &confirm).unwrap();
    let token = addresses::undo_token(&arena.keystead, &former);
    Once::new(
        move || addresses::undo(&arena.keystead, &token),
        move |done| {
            assert_eq!((done.email.as_str(), arena.address_of(&user)), (former.as_str(), former.clone()));
            assert_eq!(arena.mails_to(&new), 2, "the link, and one that says that it was undone");
        },
    )
}

fn stranger() -> Caller {
    Caller::visitor(Arrival::default())
}

fn address_proof<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, ()> {
    let engine = &arena.keystead.engine;
    let person = arena.keystead.person(name);
    let token = arena.keystead.mailed_token(person.user.email.as_str(), "/verify/");
    Once::new(
        move || verification::by_link(engine, &stranger(), &token, None, false).map(drop),
        move |()| {
            let presented = Presented::Session(Secret::new(person.session));
            let ended = people::verify(engine, &presented, &Arrival::default());
            assert!(ended.is_err_and(|error| error.code() == Code::InvalidSession));
        },
    )
}

fn reset_link<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, ()> {
    let engine = &arena.keystead.engine;
    let email = arena.keystead.person(name).user.email;
    reset_links::request(engine, &stranger(), email.clone(), None).unwrap();
    let token = arena.keystead.mailed_token(email.as_str(), "/reset/");
    let new = || Secret::new(NEW_PASSWORD.to_owned());
    Once::new(
        move || reset_links::confirm(engine, &stranger(), &token, new()).map(drop),
        move |()| {
            assert_eq!(arena.mails_to(email.as_str()), 3, "one that proves, a link, one that it was done")
        },
    )
}

fn waiting_sign_in<'a>(arena: &'a Arena, name: &'a str) -> Once<'a, ()> {
    let engine = &arena.keystead.engine;
    let person = arena.keystead.person(name);
    let presented = Presented::Session(Secret::new(person.session.clone()));
    let verified = people::verify(engine, &presented, &Arrival::default()).unwrap();
    let here = verified.session().unwrap();
    let (begun, _) = mfa::enroll_with_codes(engine, &stranger(), here, proof(PASSWORD, None)).unwrap();
    let code = |steps: i64| {
        let [_, now, _] = TotpStep::accepted(arena.keystead.now());
        let step = TotpStep::from_number(now.number() + steps);
        TypedCode::parse(&keystead_testkit::totp_code(begun.secret.expose(), step)).unwrap()
    };
    mfa::confirm_with_codes(engine, &stranger(), here, Some(code(0))).unwrap();
    let password = Password::attempt(PASSWORD).unwrap();
    let signed_in = sign_ins::of_person(engine, &stranger(), person.user.email, password, false).unwrap();
    let PersonSignIn::Challenged(token) = signed_in else { panic!("no second factor was asked for") };
    let typed = TypedFactor::Totp(code(1));
    Once::new(
        move || sign_ins::with_second_factor(engine, &stranger(), &token, typed.clone()).map(drop),
        move |()| {
            let list = sessions::list(engine, &stranger(), verified.session().unwrap()).unwrap();
            assert_eq!(list.len(), 2);
        },
    )
}

both_backends! {
    fn a_link_proves_an_address_once(database: TestDatabase) {
        race(&database, "a link that proves an address", Code::InvalidLink, address_proof);
    }

    fn a_link_sets_a_password_once(database: TestDatabase) {
        race(&database, "a link to set a password", Code::InvalidLink, reset_link);
    }

    fn a_sign_in_that_waits_is_completed_once(database: TestDatabase) {
        race(&database, "a sign-in that waits", Code::InvalidChallenge, waiting_sign_in);
    }

    fn a_sign_up_code_is_used_once(database: TestDatabase) {
        race(&database, "a sign-up code", Code::InvalidCode, sign_up_code);
    }

    fn a_reset_code_is_used_once(database: TestDatabase) {
        race(&database, "a reset code", Code::InvalidCode, reset_code);
    }

    fn the_code_of_an_enrolment_is_used_once(database: TestDatabase) {
        race(&database, "the code of an enrolment", Code::InvalidCode, enrolment_code);
    }

    fn a_code_of_an_authenticator_app_is_used_once(database: TestDatabase) {
        race(&database, "a code of an authenticator app", Code::InvalidCredentials, totp_code);
    }

    fn a_recovery_code_is_used_once(database: TestDatabase) {
        race(&database, "a recovery code", Code::InvalidCredentials, recovery_code);
    }

    fn a_request_is_approved_once(database: TestDatabase) {
        race(&database, "an approval", Code::Conflict, approval);
    }

    fn a_one_time_link_shows_one_secret(database: TestDatabase) {
        race(&database, "a one-time link", Code::InvalidLink, claim_link);
    }

    fn a_link_confirms_an_address_once(database: TestDatabase) {
        race(&database, "a link to confirm an address", Code::InvalidLink, link_to_confirm_an_address);
    }

    fn a_link_undoes_a_change_once(database: TestDatabase) {
        race(&database, "a link to undo a change", Code::InvalidLink, link_to_undo_that);
    }
}
