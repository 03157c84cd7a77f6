//! Where a browser may be sent on to: paths of this server, and pages at trusted origins. Anything else would let
//! a mail or an answer of ours lead to a page that only looks like one of ours.

use keystead_service::Engine;

use crate::error::Envelope;
use crate::origin;

/// Which member or parameter says so.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// `callbackURL`.
    Callback,
    /// `redirectTo`.
    Redirect,
}

/// The most characters of a target.
const MAX_CHARS: usize = 2048;

/// Refuses a target elsewhere, in the words of npm `better-auth`.
pub(crate) fn check(engine: &Engine, target: Target, url: Option<&str>) -> Result<(), Envelope> {
    if url.is_none_or(|url| is_allowed(engine, url)) {
        return Ok(());
    }
    let code = match target {
        Target::Callback => "INVALID_CALLBACK_URL",
        Target::Redirect => "INVALID_REDIRECT_URL",
    };
    Err(Envelope::ForeignTarget { code })
}

/// Whether a browser may be sent to `url`.
pub(crate) fn is_allowed(engine: &Engine, url: &str) -> bool {
    let settings = engine.settings();
    let ours = origin::of(&settings.issuer);
    let trusted = std::iter::once(&ours).chain(&settings.trusted_origins);
    is_plain(url) && (is_path(url) || trusted.into_iter().any(|origin| is_at(url, origin)))
}

/// What browsers drop or turn into a slash would change what the rest of it means (WHATWG URL).
fn is_plain(url: &str) -> bool {
    url.len() <= MAX_CHARS && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn is_path(url: &str) -> bool {
    url.starts_with('/') && !url.starts_with("//")
}

fn is_at(url: &str, origin: &str) -> bool {
    url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// `url` with one more parameter, before its fragment.
pub(crate) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (base, fragment) = match url.split_once('#') {
        Some((base, fragment)) => (base, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let separator = if base.contains('?') { '&' } else { '?' };
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    format!("{base}{separator}{pair}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_or_at_a_known_origin() {
        for url in ["/", "/welcome?x=1#y", "/a//b"] {
            assert!(is_plain(url) && is_path(url), "{url}");
        }
        for url in
            ["", "//evil.test", "/\\evil.test", "/\t/evil.test", "/\u{e4}", "https:/x", "javascript:alert(1)"]
        {
            assert!(!(is_plain(url) && is_path(url)), "{url}");
        }
        for url in ["https://app.test", "https://app.test/", "https://app.test?x", "https://app.test#x"] {
            assert!(is_at(url, "https://app.test"), "{url}");
        }
        for url in [
            "https://app.test.evil.test",
            "https://app.test@evil.test",
            "https://app.test:8443/",
            "http://app.test/",
        ] {
            assert!(!is_at(url, "https://app.test"), "{url}");
        }
    }

    #[test]
    fn a_parameter_is_added_before_the_fragment() {
        assert_eq!(with_parameter("/x", "error", "A B"), "/x?error=A+B");
        assert_eq!(
            with_parameter("https://app.test/x?a=1#f", "token", "t"),
            "https://app.test/x?a=1&token=t#f"
        );
    }
}
