//! E-mail addresses, parsed once.

use std::fmt;
use std::str::FromStr;

/// An e-mail address (RFC 5321 §4.1.2, unquoted local part): at most 254 bytes, the local part
/// at most 64, ASCII before the `@`.
///
/// The address is kept as it was typed, since mail goes to it; it is looked up and compared by
/// its [`key`](Self::key).
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    address: String,
    key: String,
}

impl Email {
    /// The address as its owner wrote it, to send mail to.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What makes two addresses the same: all of it in lower case, the domain in punycode.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address as SMTP takes it without SMTPUTF8 (RFC 6531 §3.2): the local part as its owner
    /// wrote it, the domain in punycode.
    pub fn to_ascii(&self) -> (&str, &str) {
        let local = self.address.rsplit_once('@').map_or("", |(local, _)| local);
        let domain = self.key.rsplit_once('@').map_or("", |(_, domain)| domain);
        (local, domain)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.address, f)
    }
}

/// A text that is no e-mail address that Keystead can send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct InvalidEmail;

/// RFC 5321 §4.5.3.1.3 allows a path of 256 octets, two of which are its angle brackets.
const MAX_BYTES: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let address = text.trim();
        let (local, domain) = address.rsplit_once('@').ok_or(InvalidEmail)?;
        if address.len() > MAX_BYTES || local.len() > MAX_LOCAL_BYTES {
            return Err(InvalidEmail);
        }
        if !local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext)) {
            return Err(InvalidEmail);
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        let domain = domain.to_ascii_lowercase();
        if domain.is_empty() || domain.ends_with('.') || local.len() + 1 + domain.len() > MAX_BYTES {
            return Err(InvalidEmail);
        }
        let key = format!("{}@{domain}", local.to_ascii_lowercase());
        Ok(Self { address: address.to_owned(), key })
    }
}

/// RFC 5322 §3.2.3. It has no character that could end a mail header or an address list.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_key_ignores_case_and_spells_the_domain_in_ascii() {
        let email: Email = " Ada.Lovelace+x@BÜCHER.example ".parse().unwrap();
        assert_eq!(email.as_str(), "Ada.Lovelace+x@BÜCHER.example");
        assert_eq!(email.key(), "ada.lovelace+x@xn--bcher-kva.example");
        assert_eq!(email.to_ascii(), ("Ada.Lovelace+x", "xn--bcher-kva.example"));
    }

    #[test]
    fn what_cannot_be_mailed_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.example", "b.".repeat(130));
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.example",
            "a@b c",
            "a@b\r\nBcc: x@y.example",
            ".a@b.example",
            "a..b@c.example",
            "\"a b\"@c.example",
            "a,b@c.example",
            "<a@b.example>",
            "ä@b.example",
            "a@[127.0.0.1]",
            "a@b_c.example",
            "a@-b.example",
            "a@b.example.",
            "a\0@b.example",
            "plain",
            &long,
            &longer,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_has_one_key_however_it_is_cased(local in "[a-zA-Z0-9]{1,20}", domain in "[a-zA-Z]{1,20}\\.[a-z]{2,5}") {
            let text = format!("{local}@{domain}");
            let email: Email = text.parse().unwrap();
            let shouted: Email = text.to_uppercase().parse().unwrap();
            prop_assert_eq!(email.key(), shouted.key());
            let again: Email = email.key().parse().unwrap();
            prop_assert_eq!(email.key(), again.key());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,300}") {
            let _ = text.parse::<Email>();
        }
    }
}
