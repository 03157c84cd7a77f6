//! What every page has in common: its frame, its looks, and the headers that keep it apart from the
//! rest of the web.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// The looks of all pages. It stands in the page, so that a page is one request.
const STYLE: &str = include_str!("style.css");

/// Content Security Policy Level 3: no script at all, no other style than ours, which its hash
/// names, no other request; forms go to ourselves, and nobody frames us.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'"
    )
});

/// A page. `content` is escaped by the macro that makes it; only the style is put in as it is.
pub(crate) fn page(status: StatusCode, title: &str, content: Markup) -> HttpResponse {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                // The header says `no-referrer`. A browser that keeps to that sends `Origin: null` with
                // our own forms (Fetch, "append a request `Origin` header"), which nobody may accept. So
                // from here on our own server, and nobody else, is told.
                meta name="referrer" content="same-origin";
                title { (title) " · Keystead" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.brand { "Keystead" }
                    (content)
                }
            }
        }
    };
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type("text/html; charset=utf-8")
        .body(markup.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_stays_inside_its_element_and_asks_for_nothing() {
        for forbidden in ["<", "url(", "@import", "@font-face"] {
            assert!(!STYLE.contains(forbidden), "{forbidden}");
        }
    }
}
