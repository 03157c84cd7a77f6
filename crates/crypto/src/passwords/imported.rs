//! Password hashes that other systems made.
//!
//! They are checked as they are, and replaced by one of ours when their owner first signs in. How
//! the other system came from a password to bytes is not for us to guess: what was typed is hashed
//! as it came, and, where that is something else, in the form in which we keep passwords (NFKC).
//! Whoever could sign in there can sign in here, and so can whoever types the same password on a
//! keyboard that composes its letters otherwise.
//!
//! A hash says what checking it costs, and it is checked for whoever asks. So costs are bounded
//! when it is read: none takes much longer than a second of one core, or more than 256 MiB.

mod argon2;
mod bcrypt;
mod encoding;
mod pbkdf2;
mod scrypt;

use std::fmt;
use std::str::FromStr;

use keystead_domain::password::Password;
use keystead_domain::user::PasswordHash;
use subtle::ConstantTimeEq as _;

use super::{NotAHash, Verdict};

/// What another system's hash is stored behind, so that it is never taken for one of ours.
const MARK: &str = "imported:";
/// No hash of a form that is known is longer than a fraction of this.
const MAX_BYTES: usize = 1024;
/// The fewest bytes of an output: fewer would let other passwords in.
const MIN_OUTPUT: usize = 16;
const MAX_OUTPUT: usize = 64;
const MAX_SALT: usize = 128;

/// A password hash that another system made.
#[derive(Clone)]
pub struct ImportedHash {
    text: String,
    scheme: Scheme,
}

#[derive(Clone)]
enum Scheme {
    Argon2(argon2::Argon2Hash),
    Bcrypt(bcrypt::BcryptHash),
    Pbkdf2(pbkdf2::Pbkdf2Hash),
    Scrypt(scrypt::ScryptHash),
}

/// Why a text is not taken as a password hash. None of it repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing that is known looks like this.
    #[error("is in no form that is known: argon2, bcrypt, PBKDF2 and scrypt are")]
    Unknown,
    /// It begins like a hash of this kind, and is none.
    #[error("is no whole {0} hash")]
    Malformed(&'static str),
    /// It would take too long, or too much memory, at every sign-in.
    #[error("costs too much to be checked: {0} at most")]
    TooCostly(&'static str),
    /// It is known, and cannot be checked.
    #[error("cannot be checked: {0}")]
    Unsupported(&'static str),
}

impl ImportedHash {
    /// The hash as it is to be stored.
    pub fn to_stored(&self) -> PasswordHash {
        PasswordHash::new(format!("{MARK}{}", self.text))
    }

    /// Reads a stored hash; nothing where it is one of ours.
    pub(super) fn from_stored(stored: &PasswordHash) -> Option<Result<Self, NotAHash>> {
        let text = stored.as_stored().strip_prefix(MARK)?;
        Some(text.parse().map_err(|_| NotAHash))
    }

    /// Checks a password. A right one has to be hashed anew.
    pub(super) fn verify(&self, password: &Password) -> Result<Verdict, NotAHash> {
        let as_typed = password.as_typed().map_or(Ok(false), |bytes| self.matches(bytes))?;
        let is_right = as_typed || self.matches(password.as_bytes())?;
        Ok(if is_right { Verdict::Right { rehash: true } } else { Verdict::Wrong })
    }

    fn matches(&self, password: &[u8]) -> Result<bool, NotAHash> {
        let (computed, expected) = match &self.scheme {
            Scheme::Argon2(hash) => (hash.compute(password)?, hash.output()),
            Scheme::Bcrypt(hash) => (hash.compute(password), hash.output()),
            Scheme::Pbkdf2(hash) => (hash.compute(password), hash.output()),
            Scheme::Scrypt(hash) => (hash.compute(password)?, hash.output()),
        };
        Ok(computed.ct_eq(expected).into())
    }
}

impl FromStr for ImportedHash {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        // A salt may be written as it is: nothing in it may be what a database does not take.
        if text.len() > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unusable::Unknown);
        }
        let (kind, rest) = text.strip_prefix('$').unwrap_or(text).split_once('$').ok_or(Unusable::Unknown)?;
        let is_modular = text.starts_with('$');
        let scheme = match (is_modular, kind) {
            // Django puts a name of its own before these.
            (false, "argon2") => argon2::Argon2Hash::parse(rest).map(Scheme::Argon2),
            (false, "bcrypt") => match rest.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
                Some((version, rest)) => bcrypt::BcryptHash::parse(version, rest).map(Scheme::Bcrypt),
                None => Err(Unusable::Malformed("bcrypt")),
            },
            (false, "bcrypt_sha256") | (true, "bcrypt-sha256") => {
                Err(Unusable::Unsupported("what bcrypt was given there is a hash of the password"))
            }
            (false, "scrypt") => scrypt::ScryptHash::parse_django(rest).map(Scheme::Scrypt),
            (false, "pbkdf2_sha1" | "pbkdf2_sha256") => {
                pbkdf2::Pbkdf2Hash::parse_django(kind, rest).map(Scheme::Pbkdf2)
            }
            (false, _) if kind.starts_with("pbkdf2:") => {
                pbkdf2::Pbkdf2Hash::parse_werkzeug(kind, rest).map(Scheme::Pbkdf2)
            }
            (false, _) if kind.starts_with("scrypt:") => {
                scrypt::ScryptHash::parse_werkzeug(kind, rest).map(Scheme::Scrypt)
            }
            (true, "argon2i" | "argon2d" | "argon2id") => {
                argon2::Argon2Hash::parse(&text[1..]).map(Scheme::Argon2)
            }
            (true, "2" | "2a" | "2b" | "2x" | "2y") => {
                bcrypt::BcryptHash::parse(kind, rest).map(Scheme::Bcrypt)
            }
            (true, "pbkdf2" | "pbkdf2-sha256" | "pbkdf2-sha512") => {
                pbkdf2::Pbkdf2Hash::parse_modular(kind, rest).map(Scheme::Pbkdf2)
            }
            (true, "scrypt") => scrypt::ScryptHash::parse_modular(rest).map(Scheme::Scrypt),
            _ => Err(Unusable::Unknown),
        }?;
        Ok(Self { text: text.to_owned(), scheme })
    }
}

impl fmt::Debug for ImportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportedHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) const PASSWORD: &str = "correct horse battery staple";

    pub(super) fn check(hash: &str, password: &str) -> Verdict {
        let hash: ImportedHash = hash.parse().unwrap_or_else(|error| panic!("{hash}: {error}"));
        hash.verify(&Password::attempt(password).unwrap()).unwrap()
    }

    pub(super) fn refused(hash: &str) -> Unusable {
        hash.parse::<ImportedHash>().map(|_| hash.to_owned()).unwrap_err()
    }

    /// Asserts that each is a hash of [`PASSWORD`] and of nothing else that is tried.
    pub(super) fn are_of_the_password(hashes: &[&str]) {
        for hash in hashes {
            assert_eq!(check(hash, PASSWORD), Verdict::Right { rehash: true }, "{hash}");
            for wrong in ["", "correct horse battery stapl", "Correct horse battery staple"] {
                assert_eq!(check(hash, wrong), Verdict::Wrong, "{hash}");
            }
        }
    }

    #[test]
    fn a_stored_hash_is_read_again_and_never_taken_for_ours() {
        let text = "$2b$04$OJhSyufd1zN2905Po/A0ZOsiyx6FleVqR8LO8dhOGpMTM/w1ROSC.";
        let stored = text.parse::<ImportedHash>().unwrap().to_stored();
        let again = ImportedHash::from_stored(&stored).unwrap().unwrap();
        assert_eq!(again.to_stored(), stored);
        assert!(ImportedHash::from_stored(&PasswordHash::new(text.to_owned())).is_none());
        let broken = PasswordHash::new("imported:x".to_owned());
        assert_eq!(ImportedHash::from_stored(&broken).unwrap().err(), Some(NotAHash));
        assert_eq!(format!("{again:?}"), "ImportedHash(..)");
    }

    /// By Python's bcrypt 5.0, of the composed letters and of those in two parts.
    #[test]
    fn what_was_typed_is_right_composed_or_not() {
        let composed = "$2b$04$gxLroCuJ8K0wUSlbW07KCO3PpaKb3KMsgNemsQVo3QidT..XuGbKq";
        let decomposed = "$2b$04$WG09FNQnbBjbORZn5HfS4OpZqGSlv5HjgKcrzQ8UyVC2ESaUOBBS6";
        let right = Verdict::Right { rehash: true };
        assert_eq!(check(composed, "pâté à la crème"), right);
        assert_eq!(check(composed, "pa\u{302}te\u{301} a\u{300} la cre\u{300}me"), right);
        assert_eq!(check(decomposed, "pa\u{302}te\u{301} a\u{300} la cre\u{300}me"), right);
        // That one cannot be found again from its composed form; who types it as before gets in.
        assert_eq!(check(decomposed, "pâté à la crème"), Verdict::Wrong);
    }

    #[test]
    fn other_texts_are_refused_by_what_they_look_like() {
        for text in [
            "",
            "$",
            "$$",
            "x",
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "$1$salt$hash",
            "md5$a$b",
            "imported:$2b$04$",
            "!",
            "é$",
            "pbkdf2_sha256$1000$a\0b$aL8faYLlOIYvjBdHgF8PW53zGZbEIqsbz4mWkSSqsyM=",
        ] {
            assert_eq!(refused(text), Unusable::Unknown, "{text}");
        }
        assert_eq!(refused(&format!("$2b$04${}", "a".repeat(MAX_BYTES))), Unusable::Unknown);
        let prehashed = "bcrypt_sha256$$2b$04$nVqalGcH5zfz/6FckeWgwO79BKTZF9Z2wOZOHJggZBLvMPtl1LO66";
        assert!(matches!(refused(prehashed), Unusable::Unsupported(_)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = text.parse::<ImportedHash>();
        }

        #[test]
        fn no_text_that_looks_like_a_hash_panics(text in "(\\$(2[abxy]?|argon2(i|d|id)|scrypt|pbkdf2(-sha(256|512))?)|scrypt(:[0-9]{0,12}){0,3}|pbkdf2:sha256:[0-9]{0,12}|pbkdf2_sha256|argon2|bcrypt\\$)(\\$(v=[0-9]{1,12}|[a-z]{1,2}=[0-9]{0,12}(,[mtplnri]{1,2}=[0-9]{0,20}){0,3}|[0-9]{0,22}|[A-Za-z0-9+/.=]{0,90})){0,5}") {
            let _ = text.parse::<ImportedHash>();
        }
    }
}
