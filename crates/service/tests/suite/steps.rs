//! What the tests do again and again.

use keystead_domain::audit::{AuditAction, Outcome};
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::user::User;
use keystead_domain::{Owner, Secret};
use keystead_service::sessions::{self, NewSession, SignedIn};
use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
use keystead_service::sign_ups::{self, PendingSignUp, SignUp};
use keystead_service::{Caller, Code, Error, Reauthentication};
use keystead_storage::audit;
use keystead_testkit::{Keystead, TestDatabase};

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Signs up as somebody would.
pub(crate) fn sign_up(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    password: &str,
) -> Result<PendingSignUp, Error> {
    let (email, password) = (email.parse().unwrap(), Secret::new(password.to_owned()));
    let name = Some("Ada".parse().unwrap());
    sign_ups::sign_up(&keystead.engine, caller, SignUp { email, password, name })
}

pub(crate) fn verify(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    code: &str,
) -> Result<(User, NewSession), Error> {
    sign_ups::verify_email(&keystead.engine, caller, email.parse().unwrap(), TypedCode::parse(code))
}

/// Signs in without a second factor.
pub(crate) fn sign_in(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    password: &str,
) -> Result<(User, NewSession), Error> {
    match sign_in_with(keystead, caller, email, password, None)? {
        SignIn::Done(user, session) => Ok((user, session)),
        SignIn::SecondFactorRequired(_) => panic!("a second factor is required"),
    }
}

/// Signs in with a code of a second factor.
pub(crate) fn sign_in_with(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    password: &str,
    code: Option<&str>,
) -> Result<SignIn, Error> {
    let typed = PasswordSignIn {
        email: email.parse().unwrap(),
        password: Password::attempt(password).unwrap(),
        second_factor: code.map(TypedFactor::read),
    };
    sign_ins::with_password(&keystead.engine, caller, typed)
}

/// The session behind a token.
pub(crate) fn signed_in(keystead: &Keystead, caller: &Caller, session: &NewSession) -> SignedIn {
    sessions::authenticate(&keystead.engine, caller, &session.token).unwrap()
}

/// What a user types to prove itself again.
pub(crate) fn proof(password: &str, code: Option<&str>) -> Reauthentication {
    Reauthentication {
        password: Password::attempt(password).unwrap(),
        second_factor: code.map(TypedFactor::read),
    }
}

/// A verified end user.
pub(crate) fn verified(keystead: &Keystead, caller: &Caller, email: &str) -> (User, NewSession) {
    sign_up(keystead, caller, email, PASSWORD).unwrap();
    verify(keystead, caller, email, &keystead.code_for(email)).unwrap()
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, Error>) -> Code {
    match result {
        Ok(_) => panic!("was not refused"),
        Err(error) => error.code(),
    }
}

/// How often the trail of `owner` has this.
pub(crate) fn events(database: &TestDatabase, owner: Owner, action: AuditAction, outcome: Outcome) -> i64 {
    let scope = Caller::host().allow(Action::ManageApps, owner).unwrap();
    database.open().read(|tx| audit::count(&mut tx.tenant(&scope), action, outcome)).unwrap()
}

/// Six digits other than these.
pub(crate) fn wrong(code: &str) -> String {
    code.bytes().map(|b| char::from(b'0' + (b - b'0' + 1) % 10)).collect()
}

/// Gives a database that was never started the keys of one that was made before the audit trail had a mark
/// of its end: a root key as the version of that time sealed it under the tests' master key.
pub(crate) fn have_keys_of_before_marks(database: &TestDatabase) {
    database.execute(
        "INSERT INTO deployment (key, value) VALUES ('master_key_id', '1b348412b622809e'), ('root_key',
         'AY8PkDoFcsDlOAl-QVB3Cg-zS9bJ0fPiicsqsA9YnVIcqnRiqoGiD9gfKk8olajmZqJEKlM74hXUaS3VpU8CO0wFxZWATrBXRw')",
    );
}
