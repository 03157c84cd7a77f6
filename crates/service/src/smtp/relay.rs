//! The URL of a mail server.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use keystead_domain::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A mail server: `smtp://` or `smtps://`, perhaps `USER:PASSWORD@`, a host, perhaps a port, and
/// with `smtp` perhaps `?tls=required` or `?tls=off`.
#[derive(Clone)]
pub struct Relay {
    host: String,
    port: u16,
    security: Security,
    login: Option<Login>,
}

/// How a connection is encrypted. There is no "if the server offers it": whoever sits between would
/// decide (RFC 8314 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all; to this machine only.
    Plain,
    /// By STARTTLS, or no mail is sent.
    StartTls,
    /// From the first byte.
    Tls,
}

/// What the server is told to let us send.
#[derive(Clone)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// A text that names no mail server that mail may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, user and password percent-encoded; \
     ?tls=off is for this machine only"
)]
pub struct InvalidRelay;

/// Submission (RFC 6409 §3.1).
const SUBMISSION: u16 = 587;
/// Submission over TLS (RFC 8314 §7.3).
const SUBMISSIONS: u16 = 465;
/// All but what RFC 3986 §2.3 calls unreserved.
const USERINFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Relay {
    /// The host: a name in lower case, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How connections are encrypted.
    pub const fn security(&self) -> Security {
        self.security
    }

    /// How to authenticate, if at all.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}

impl FromStr for Relay {
    type Err = InvalidRelay;

    fn from_str(text: &str) -> Result<Self, InvalidRelay> {
        parse(text).ok_or(InvalidRelay)
    }
}

fn parse(text: &str) -> Option<Relay> {
    let (scheme, rest) = text.split_once("://")?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (login, server) = match authority.rsplit_once('@') {
        Some((userinfo, server)) => (Some(parse_login(userinfo)?), server),
        None => (None, authority),
    };
    // The port comes after the last colon, unless that one belongs to an IPv6 address.
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port)?)),
        _ => (server, None),
    };
    let (host, is_loopback) = parse_host(host)?;
    let security = match (scheme, query) {
        ("smtps", None) => Security::Tls,
        ("smtp", None) if is_loopback => Security::Plain,
        ("smtp", Some("tls=off")) if is_loopback => Security::Plain,
        ("smtp", None | Some("tls=required")) => Security::StartTls,
        _ => return None,
    };
    let usual = if security == Security::Tls { SUBMISSIONS } else { SUBMISSION };
    Some(Relay { host, port: port.unwrap_or(usual), security, login })
}

fn parse_login(userinfo: &str) -> Option<Login> {
    let (user, password) = userinfo.split_once(':')?;
    let (user, password) = (decode(user)?, Secret::new(decode(password)?));
    Some(Login { user, password })
}

/// Percent-decodes. What a URL cannot hold as it is has to be encoded, so that nobody can read the
/// same text in two ways; control characters separate the parts of AUTH PLAIN (RFC 4616 §2).
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let allowed = |(at, byte): (usize, &u8)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        // RFC 3986 §3.2.1.
        other => other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(other),
    };
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    let valid =
        !decoded.is_empty() && bytes.iter().enumerate().all(allowed) && !decoded.contains(char::is_control);
    valid.then(|| decoded.into_owned())
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|&port| port != 0)
}

/// The host, and whether it can only be this machine.
fn parse_host(text: &str) -> Option<(String, bool)> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some((address.to_string(), address.is_loopback()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some((address.to_string(), address.is_loopback()));
    }
    let in_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let host = text.to_ascii_lowercase();
    let is_local = host == "localhost";
    let valid =
        host.len() <= 253 && host.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label));
    valid.then_some((host, is_local))
}

/// As in the configuration, without the password.
impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.security == Security::Tls { "smtps://" } else { "smtp://" })?;
        if let Some(login) = &self.login {
            write!(f, "{}:***@", utf8_percent_encode(&login.user, USERINFO))?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        f.write_str(match self.security {
            Security::Plain => "?tls=off",
            Security::StartTls => "?tls=required",
            Security::Tls => "",
        })
    }
}

/// Without the password too.
impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relay({self})")
    }
}

impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, self.password.expose()) == (&other.user, other.password.expose())
    }
}

impl PartialEq for Relay {
    fn eq(&self, other: &Self) -> bool {
        let server = |relay: &Self| (relay.host.clone(), relay.port, relay.security);
        (server(self), &self.login) == (server(other), &other.login)
    }
}

impl Eq for Login {}
impl Eq for Relay {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Relay {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted() {
        for (url, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Security::Tls),
            ("smtps://localhost:4650/", "localhost", 4650, Security::Tls),
            ("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://Mail.Example.com:25?tls=required", "mail.example.com", 25, Security::StartTls),
            ("smtp://[2001:db8::1]:25", "2001:db8::1", 25, Security::StartTls),
            // Some resolvers read these as this machine; no mail goes to them in clear all the same.
            ("smtp://127.1:25", "127.1", 25, Security::StartTls),
            ("smtp://0.0.0.0:25", "0.0.0.0", 25, Security::StartTls),
            ("smtp://[::ffff:127.0.0.1]:25", "::ffff:127.0.0.1", 25, Security::StartTls),
            ("smtp://localhost.example.com", "localhost.example.com", 587, Security::StartTls),
            ("smtp://localhost:25", "localhost", 25, Security::Plain),
            ("smtp://127.0.0.1:25?tls=off", "127.0.0.1", 25, Security::Plain),
            ("smtp://[::1]", "::1", 587, Security::Plain),
            ("smtp://localhost?tls=required", "localhost", 587, Security::StartTls),
        ] {
            let relay = parse(url);
            assert_eq!((relay.host(), relay.port(), relay.security()), (host, port, security), "{url}");
            assert!(relay.login().is_none());
            assert_eq!(parse(&relay.to_string()), relay);
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        let relay = parse("smtps://ada%40example.com:h%75nter%3A2%2F%C3%A9@mail.example.com");
        let login = relay.login().unwrap();
        assert_eq!(
            (login.user.as_str(), login.password.expose().as_str()),
            ("ada@example.com", "hunter:2/é")
        );
        let raw = parse("smtps://a:b:c@mail.example.com");
        assert_eq!(raw.login().unwrap().password.expose(), "b:c");
    }

    #[test]
    fn nothing_shows_the_password() {
        let relay = parse("smtp://ada%40example.com:hunter2@mail.example.com");
        let shown = "smtp://ada%40example.com:***@mail.example.com:587?tls=required";
        assert_eq!(format!("{relay} {relay:?}"), format!("{shown} Relay({shown})"));
    }

    #[test]
    fn what_is_unclear_or_unsafe_is_refused() {
        for url in [
            "",
            "file",
            "smtp://",
            "smtp:mail.example.com",
            "SMTP://mail.example.com",
            "http://mail.example.com",
            "smtp://mail.example.com?tls=off",
            "smtp://192.0.2.1:25?tls=off",
            "smtp://127.1:25?tls=off",
            "smtp://localhost.:25?tls=off",
            "smtp://[::ffff:127.0.0.1]?tls=off",
            "smtp://localhost@mail.example.com?tls=off",
            "smtp://mail.example.com?tls=opportunistic",
            "smtp://mail.example.com?tls=required&tls=off",
            "smtp://mail.example.com?",
            "smtps://mail.example.com?tls=off",
            "smtps://localhost?tls=required",
            "smtp://mail.example.com/path",
            "smtp://mail.example.com#x",
            "smtp://mail.example.com:0",
            "smtp://mail.example.com:+25",
            "smtp://mail.example.com:65536",
            "smtp://mail.example.com:",
            "smtp://user@mail.example.com",
            "smtp://:password@mail.example.com",
            "smtp://user:@mail.example.com",
            "smtp://us@er:password@mail.example.com",
            "smtp://user:pass word@mail.example.com",
            "smtp://user:100%@mail.example.com",
            "smtp://user:%ff@mail.example.com",
            "smtp://user:%00x@mail.example.com",
            "smtp://user:a%0d%0aRSET@mail.example.com",
            "smtp://mail..example.com",
            "smtp://mail example.com",
            "smtp://[::1",
            "smtp://::1:25",
        ] {
            assert_eq!(url.parse::<Relay>(), Err(InvalidRelay), "{url}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_without_its_password_and_read_back(
            text: String, near in "smtps?://([a-z%0-9:]{0,8}@)?[a-z0-9.:\\[\\]-]{0,12}(/|\\?tls=(off|required))?",
        ) {
            for text in [text, near] {
                if let Ok(relay) = text.parse::<Relay>() {
                    let again = relay.to_string().replace(":***@", ":x@").parse::<Relay>();
                    let seen = |relay: &Relay| (relay.host.clone(), relay.port, relay.security, relay.login.as_ref().map(|login| login.user.clone()));
                    prop_assert_eq!(again.as_ref().map(seen), Ok(seen(&relay)), "{}", text);
                }
            }
        }

        #[test]
        fn a_login_is_read_back(user in "[^\\p{Cc}]{1,12}", password in "[^\\p{Cc}]{1,12}") {
            let encoded = |text: &str| utf8_percent_encode(text, USERINFO).to_string();
            let relay = parse(&format!("smtps://{}:{}@mail.example.com", encoded(&user), encoded(&password)));
            let login = relay.login().unwrap();
            prop_assert_eq!((&login.user, login.password.expose()), (&user, &password));
        }
    }
}
