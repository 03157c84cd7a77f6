//! URLs as text: which of them can be the public URL, and what of one may be shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the text can be the public URL: absolute, and ready to have a path appended.
///
/// It is also the OAuth issuer, which clients compare character by character, so spellings that
/// clients would tidy up (capitals in the host, dots in the path) are refused.
pub(super) fn is_public_url(text: &str) -> bool {
    host(text).is_some()
}

/// Whether the URL's host can only be this machine, where plain http meets no network.
pub(super) fn is_loopback(url: &str) -> bool {
    match host(url) {
        Some(Host::Ip(ip)) => ip.is_loopback(),
        Some(Host::Name(name)) => name == "localhost",
        None => false,
    }
}

/// The host of a public URL: a name, or an address without brackets.
pub(crate) fn host_name(url: &str) -> String {
    match host(url) {
        Some(Host::Ip(ip)) => ip.to_string(),
        Some(Host::Name(name)) => name.to_owned(),
        None => "localhost".to_owned(),
    }
}

/// The URL with `***` for its password; other text as it is.
///
/// A driver may end the password at another `@` than a strict reader would, so all that could
/// belong to it goes: up to the last `@`, and each parameter that is named like a password or hides
/// its name.
pub(super) fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let masked = match rest.rsplit_once('@') {
        Some((credentials, rest)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{user}:***@{rest}"),
            None => format!("{credentials}@{rest}"),
        },
        None => rest.to_owned(),
    };
    let Some((rest, query)) = masked.split_once('?') else { return format!("{scheme}://{masked}") };
    let query: Vec<_> = query.split('&').map(mask_parameter).collect();
    format!("{scheme}://{rest}?{}", query.join("&"))
}

/// The URL without its password, for a command line: the tool that reads it asks for one, or finds it
/// elsewhere.
pub(crate) fn without_password(url: &str) -> String {
    let masked = mask_password(url);
    let (rest, query) = masked.split_once('?').map_or((masked.as_str(), None), |(r, q)| (r, Some(q)));
    let rest = rest.replacen(":***@", "@", 1);
    let kept: Vec<_> =
        query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.ends_with("=***")).collect();
    if kept.is_empty() { rest } else { format!("{rest}?{}", kept.join("&")) }
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.contains('%') || name.to_ascii_lowercase().contains("password") => {
            format!("{name}=***")
        }
        _ => parameter.to_owned(),
    }
}

enum Host<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

/// The host of a URL that can be the public one.
fn host(url: &str) -> Option<Host<'_>> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (authority, path) =
        rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    if path.is_some_and(|path| !path.split('/').all(is_segment)) {
        return None;
    }
    // The port comes after the last colon, unless that one belongs to an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| !is_port(port)) {
        return None;
    }
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Ip(address.into()));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(Host::Ip(address.into()));
    }
    let in_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label)).then_some(Host::Name(host))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether a path may have the segment: not empty, not dots that a client would resolve, and of the
/// characters that RFC 3986 allows in one.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_the_host_of_its_url() {
        for (url, name) in [
            ("https://auth.example.com:8443/eu", "auth.example.com"),
            ("http://127.0.0.1:8000", "127.0.0.1"),
            ("http://[::1]:8000", "::1"),
        ] {
            assert_eq!(host_name(url), name);
        }
    }

    #[test]
    fn public_urls_are_absolute_and_canonical() {
        for url in [
            "https://auth.example.com",
            "https://auth.example.com:8443/keystead/eu",
            "http://localhost:8000",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "https://[2001:db8::1]",
        ] {
            assert!(is_public_url(url), "{url}");
        }
        for url in [
            "",
            "auth.example.com",
            "ftp://example.com",
            "HTTPS://example.com",
            "https://Example.com",
            "https://",
            "https:///path",
            "https://example.com/",
            "https://example.com/a/",
            "https://example.com/a//b",
            "https://example.com/../b",
            "https://example.com?x",
            "https://example.com/a?x=1",
            "https://example.com#top",
            "https://user@example.com",
            "https://user:password@example.com",
            "https://example.com:0",
            "https://example.com:65536",
            "https://example.com:",
            "https://example.com:+80",
            "https://example..com",
            "https://exa mple.com",
            "https://example.com\n",
            "https://example.com\\a",
            "https://[::1",
            "https://::1",
            "https://[127.0.0.1]",
        ] {
            assert!(!is_public_url(url), "{url}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        for url in [
            "http://localhost",
            "http://localhost:8000/a",
            "http://127.0.0.1",
            "http://127.9.8.7:1",
            "http://[::1]:80",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://127.1",
            "http://192.168.0.1",
            "http://0.0.0.0",
            "http://[::]",
            "http://example.com/localhost",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_url_for_a_command_line_has_no_password() {
        for (url, without) in [
            ("postgres://user:hunter2@host/db", "postgres://user@host/db"),
            ("postgres://user:hun@ter2@host/db?sslmode=require", "postgres://user@host/db?sslmode=require"),
            (
                "postgres://host/db?user=u&password=hunter2&sslmode=require",
                "postgres://host/db?user=u&sslmode=require",
            ),
            ("postgres://u@%2Frun%2Fpostgresql/db", "postgres://u@%2Frun%2Fpostgresql/db"),
        ] {
            assert_eq!(without_password(url), without);
        }
    }

    #[test]
    fn a_password_is_masked_however_the_url_is_written() {
        for (url, masked) in [
            ("postgres://user:hunter2@host/db", "postgres://user:***@host/db"),
            ("postgres://:hunter2@host/db", "postgres://:***@host/db"),
            ("postgres://user@host/db", "postgres://user@host/db"),
            ("postgres://host:5432/db", "postgres://host:5432/db"),
            ("postgres://user:hun/ter2@host/db", "postgres://user:***@host/db"),
            ("postgres://user:hun@ter2@host/db", "postgres://user:***@host/db"),
            ("postgres://user:hun?ter2@host/db", "postgres://user:***@host/db"),
            (
                "postgres://host/db?user=u&password=hunter2&sslmode=require",
                "postgres://host/db?user=u&password=***&sslmode=require",
            ),
            ("postgres://host/db?p%61ssword=hunter2", "postgres://host/db?p%61ssword=***"),
            ("postgres://u:hunter2@host/db?sslpassword=hunter2", "postgres://u:***@host/db?sslpassword=***"),
            ("smtps://user:hunter2@mail.example.com", "smtps://user:***@mail.example.com"),
            ("info", "info"),
        ] {
            assert_eq!(mask_password(url), masked);
        }
    }
}
