//! Whom a deployment's mails come from.

use std::fmt;
use std::str::FromStr;

use crate::Email;

/// The sender of every mail: an address, and perhaps a name (RFC 5322 §3.4, one mailbox).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    email: Email,
}

impl Sender {
    /// The name beside the address.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address.
    pub const fn email(&self) -> &Email {
        &self.email
    }
}

/// A text that is no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address with or without a name")]
pub struct InvalidSender;

/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// `a@b.example`, `Name <a@b.example>` or `"Name" <a@b.example>`.
impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        let parse = |address: &str| address.parse().map_err(|_| InvalidSender);
        let text = text.trim();
        let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) else {
            return Ok(Self { name: None, email: parse(text)? });
        };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).trim();
        // A line break would add headers to every mail, a quote or bracket end the name early.
        if name.chars().count() > MAX_NAME || name.contains(|c: char| c.is_control() || "<>\"\\".contains(c))
        {
            return Err(InvalidSender);
        }
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Ok(Self { name, email: parse(address)? })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.email),
            None => fmt::Display::fmt(&self.email, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, name, address) in [
            ("a@b.example", None, "a@b.example"),
            ("<a@b.example>", None, "a@b.example"),
            ("Keystead <no-reply@localhost>", Some("Keystead"), "no-reply@localhost"),
            (" \"Bücher, Inc.\"  <a@bücher.example> ", Some("Bücher, Inc."), "a@bücher.example"),
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!((sender.name(), sender.email().as_str()), (name, address));
            assert_eq!(sender.to_string().parse::<Sender>().unwrap(), sender);
        }
    }

    #[test]
    fn a_sender_cannot_add_a_header_or_a_second_address() {
        for text in [
            "",
            "Keystead",
            "Keystead <>",
            "a@b\r\nBcc: c@d",
            "Keystead\r\nBcc: c@d <a@b.example>",
            "a@b\u{7f}",
            "a@b\0",
            "a@b.example, c@d.example",
            "A <a@b.example>, C <c@d.example>",
            "A \"B\" C <a@b.example>",
            "A <a@b.example",
        ] {
            assert_eq!(text.parse::<Sender>(), Err(InvalidSender), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_and_read_back(text: String, near in "[ \"<>a-z.@\r\n]{0,20} ?<a@b.example>") {
            for text in [text, near] {
                if let Ok(sender) = text.parse::<Sender>() {
                    let shown = sender.to_string();
                    prop_assert!(!shown.contains(char::is_control));
                    prop_assert_eq!(shown.parse::<Sender>(), Ok(sender), "{:?}", text);
                }
            }
        }
    }
}
