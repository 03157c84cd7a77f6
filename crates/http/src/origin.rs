//! Whether a browser sends a request from a page of ours (the `Origin` of RFC 6454 §7, and Fetch
//! Metadata).
//!
//! A browser adds the user's cookies to what any site makes it send, and tells which site that was.
//! Programs that are no browsers send neither header, and carry nobody's cookies.

use actix_web::HttpRequest;
use actix_web::http::header::ORIGIN;

/// Whether a request that changes something may go on: not if it comes from the page of another
/// origin than `public_url`'s and those that are `trusted`, `null` (a page that has none) included.
pub(crate) fn is_ours(request: &HttpRequest, public_url: &str, trusted: &[String]) -> bool {
    let mut origins = request.headers().get_all(ORIGIN);
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let is = |known: &str| origin.as_bytes() == known.as_bytes();
            is(&of(public_url)) || trusted.iter().any(|known| is(known))
        }
        (Some(_), Some(_)) => false,
        (None, _) => {
            !request.headers().get_all("sec-fetch-site").any(|site| site.as_bytes() == b"cross-site")
        }
    }
}

/// The origin of the public URL as browsers write it: without a path, and without the scheme's own
/// port (RFC 6454 §6.2). The configuration keeps its scheme and host in lower case.
pub(crate) fn of(public_url: &str) -> String {
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("", public_url));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(default_port).unwrap_or(authority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_origin_is_written_as_browsers_write_it() {
        for (url, origin) in [
            ("https://id.test", "https://id.test"),
            ("https://id.test/auth/x", "https://id.test"),
            ("https://id.test:443", "https://id.test"),
            ("https://id.test:80", "https://id.test:80"),
            ("http://[::1]:80/", "http://[::1]"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ] {
            assert_eq!(of(url), origin);
        }
    }

    #[test]
    fn a_page_of_another_origin_is_told_apart() {
        let ours = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::default(), |r, &header| r.append_header(header));
            is_ours(&request.to_http_request(), "https://id.test/auth", &["https://app.test".to_owned()])
        };
        assert!(ours(&[("origin", "https://app.test"), ("sec-fetch-site", "cross-site")]), "trusted");
        assert!(ours(&[]), "no browser");
        assert!(ours(&[("origin", "https://id.test"), ("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("sec-fetch-site", "none")]));
        for foreign in [
            "null",
            "",
            "http://id.test",
            "https://id.test:8443",
            "https://id.test.evil.test",
            "https://ID.test",
        ] {
            assert!(!ours(&[("origin", foreign), ("sec-fetch-site", "same-origin")]), "{foreign}");
        }
        assert!(!ours(&[("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[("origin", "https://id.test"), ("origin", "https://id.test")]), "two are none");
    }
}
