//! The tables of `docs/http-status.md`, which are made from the errors themselves.

use actix_web::ResponseError;
use keystead_domain::oauth::OAuthErrorCode;
use keystead_service::{Code, Error};
use keystead_testkit::generated::{check_parts, table};

use super::{BearerError, Envelope, Fault, OAuthError, Problem};

/// Status, code, sentence, when.
type Row = (u16, String, String, String);

#[test]
fn the_documentation_has_the_codes_as_they_are() {
    let parts = [
        ("codes", shown("`code`", problems())),
        ("account", shown("`code`", account_errors())),
        ("bearer", shown("`code`", bearer_errors())),
        ("oauth", shown("`error`", oauth_errors())),
    ];
    check_parts("docs/http-status.md", &parts);
}

fn shown(code: &str, mut rows: Vec<Row>) -> String {
    rows.sort_by_key(|(status, ..)| *status);
    let row = |(status, code, sentence, when): Row| [status.to_string(), format!("`{code}`"), sentence, when];
    table(["status", code, "sentence", "when"], rows.into_iter().map(row))
}

/// All but the codes that are the token endpoint's own.
fn problems() -> Vec<Row> {
    let service = Code::ALL.iter().filter(|code| oauth_word(**code) != code.as_str()).map(|code| {
        let problem = Problem::from(Error::of(*code));
        let sentence = Error::of(*code).public().to_owned();
        (problem.status_code().as_u16(), problem.code().to_owned(), sentence, code.when().to_owned())
    });
    let faults = faults().into_iter().filter(|fault| !is_said_by_a_code(fault)).map(|fault| {
        let (sentence, when) = (sentence(&fault), when(&fault).to_owned());
        let problem = Problem::from(fault);
        (problem.status_code().as_u16(), problem.code().to_owned(), sentence, when)
    });
    service.chain(faults).collect()
}

/// The codes of the account API. Several of ours can have one word there.
fn account_errors() -> Vec<Row> {
    let service = Code::ALL.iter().filter(|code| oauth_word(**code) != code.as_str()).map(|code| {
        let error = Envelope::from(Error::of(*code));
        let sentence = Error::of(*code).public().to_owned();
        (error.status_code().as_u16(), error.code().to_owned(), sentence, code.when().to_owned())
    });
    let faults = faults().into_iter().map(|fault| {
        let (own, when) = (sentence_of_its_own(&fault), when(&fault).to_owned());
        let error = Envelope::from(fault);
        let sentence = own.unwrap_or_else(|| error.to_string());
        (error.status_code().as_u16(), error.code().to_owned(), sentence, when)
    });
    let wrong = |code| Error::invalid_field("password", code, "");
    let own = [
        (Envelope::NoToken, "`Authorization` is empty or has another scheme than Bearer."),
        (Envelope::ForeignOrigin, "`Origin` or `Sec-Fetch-Site` tells of a page that is not trusted."),
        (
            Envelope::ForeignTarget { code: "INVALID_CALLBACK_URL" },
            "`callbackURL` leads neither to a path here nor to a trusted origin.",
        ),
        (
            Envelope::ForeignTarget { code: "INVALID_REDIRECT_URL" },
            "`redirectTo` leads neither to a path here nor to a trusted origin.",
        ),
        (Envelope::of_password(Error::of(Code::InvalidCredentials)), "The current password is wrong."),
        (
            Envelope::of_factor(Error::of(Code::InvalidCode)),
            "The code that takes the place of a password is wrong, expired or spent.",
        ),
        (
            wrong("too_short").into(),
            "The password is shorter than the policy allows, and nothing else is wrong.",
        ),
        (wrong("too_long").into(), "The password is longer than 1024 bytes, and nothing else is wrong."),
    ];
    let own = own.into_iter().map(|(error, when)| {
        (error.status_code().as_u16(), error.code().to_owned(), error.to_string(), when.to_owned())
    });
    service.chain(faults).chain(own).collect()
}

/// The codes of the bearer API.
fn bearer_errors() -> Vec<Row> {
    let service = Code::ALL.iter().filter(|code| oauth_word(**code) != code.as_str()).map(|code| {
        let error = BearerError::from(Error::of(*code));
        let sentence = Error::of(*code).public().to_owned();
        (error.status_code().as_u16(), error.code().to_owned(), sentence, code.when().to_owned())
    });
    let faults = faults().into_iter().map(|fault| {
        let (own, when) = (sentence_of_its_own(&fault), when(&fault).to_owned());
        let error = BearerError::from(fault);
        let sentence = own.unwrap_or_else(|| error.to_string());
        (error.status_code().as_u16(), error.code().to_owned(), sentence, when)
    });
    service.chain(faults).collect()
}

/// What RFC 6749 has a word for, what we add to its words, and what is no use case's answer.
fn oauth_errors() -> Vec<Row> {
    let service = Code::ALL.iter().filter(|code| oauth_word(**code) != "invalid_request").map(|code| {
        let error = OAuthError::from(Error::of(*code));
        let sentence = Error::of(*code).public().to_owned();
        (error.status_code().as_u16(), error.code().to_owned(), sentence, code.when().to_owned())
    });
    let said = |word: &str| Code::ALL.iter().any(|code| code.as_str() == word);
    let protocol = OAuthErrorCode::ALL.iter().filter(|code| !said(code.as_str())).map(|code| {
        let status = OAuthError::protocol(*code, "").status_code().as_u16();
        (status, code.as_str().to_owned(), "says what is wrong".to_owned(), code.when().to_owned())
    });
    let faults = faults().into_iter().filter(|fault| !is_said_by_a_code(fault)).map(|fault| {
        let (sentence, when) = (sentence(&fault), when(&fault).to_owned());
        let error = OAuthError::from(fault);
        (error.status_code().as_u16(), error.code().to_owned(), sentence, when)
    });
    protocol.chain(service).chain(faults).collect()
}

fn oauth_word(code: Code) -> &'static str {
    OAuthError::from(Error::of(code)).code()
}

/// One of each.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Malformed("".into()),
        Fault::WrongType { member: "email".to_owned(), message: String::new() },
        Fault::TooLarge { limit: crate::body::LIMIT },
        Fault::MediaType { expected: "application/json" },
        Fault::NoSuchPath,
        Fault::Method { allow: "POST".to_owned() },
        Fault::NoCredential,
    ]
}

/// A missing credential is told as a bad one is.
fn is_said_by_a_code(fault: &Fault) -> bool {
    matches!(fault, Fault::NoCredential)
}

fn sentence(fault: &Fault) -> String {
    sentence_of_its_own(fault).unwrap_or_else(|| fault.message().into_owned())
}

/// What stands for a sentence that is another each time.
fn sentence_of_its_own(fault: &Fault) -> Option<String> {
    matches!(fault, Fault::Malformed(_)).then(|| "says what is wrong".to_owned())
}

fn when(fault: &Fault) -> &'static str {
    match fault {
        Fault::Malformed(_) => {
            "The body is not what its media type says, or ended early; a header that may come once came twice \
             or is not ASCII; `Authorization` and `X-Api-Key` together; `X-End-User-IP` is no address."
        }
        Fault::WrongType { .. } => {
            "A member of the body has another JSON type than it should; other fields were not looked at."
        }
        Fault::TooLarge { .. } => "The body is too large.",
        Fault::MediaType { .. } => "The body is of a media type that is not read here, or of none.",
        Fault::NoSuchPath => "There is no such path.",
        Fault::Method { .. } => "The path does not have this method; `Allow` lists those that it has.",
        Fault::NoCredential => "No credential at all.",
    }
}
