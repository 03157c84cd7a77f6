//! What the tests do again and again.

use keystead_domain::Secret;
use keystead_domain::password::Password;
use keystead_domain::registration::TypedCode;
use keystead_domain::user::User;
use keystead_service::sessions::NewSession;
use keystead_service::sign_ins::{self, PasswordSignIn};
use keystead_service::sign_ups::{self, PendingSignUp, SignUp};
use keystead_service::{Caller, Code, Error};
use keystead_testkit::Keystead;

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

pub(crate) fn sign_in(
    keystead: &Keystead,
    caller: &Caller,
    email: &str,
    password: &str,
) -> Result<(User, NewSession), Error> {
    let typed =
        PasswordSignIn { email: email.parse().unwrap(), password: Password::attempt(password).unwrap() };
    sign_ins::with_password(&keystead.engine, caller, typed)
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

/// Six digits other than these.
pub(crate) fn wrong(code: &str) -> String {
    code.bytes().map(|b| char::from(b'0' + (b - b'0' + 1) % 10)).collect()
}
