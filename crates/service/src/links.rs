//! Links that are mailed, to pages of ours.

use keystead_crypto::tokens;
use keystead_domain::{Secret, TokenDigest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Engine;

/// What the token of every link begins with.
const PREFIX: &str = "link_";

/// A new link to a page. It is built from the server's public URL, never from a request.
pub(crate) fn mint_link(engine: &Engine, page: &str) -> (Secret<String>, TokenDigest) {
    mint_link_onto(engine, page, None)
}

/// A new link to a page that leads on to another when it has done its work.
pub(crate) fn mint_link_onto(
    engine: &Engine,
    page: &str,
    onward: Option<&str>,
) -> (Secret<String>, TokenDigest) {
    let (token, digest) = tokens::mint(PREFIX, &*engine.env);
    let server = engine.settings.issuer.trim_end_matches('/');
    let onward = onward
        .map(|to| format!("?callbackURL={}", utf8_percent_encode(to, NON_ALPHANUMERIC)))
        .unwrap_or_default();
    (Secret::new(format!("{server}/{page}/{}{onward}", token.expose())), digest)
}

/// A token for a form on a page of ours, which is as good as a link.
pub(crate) fn mint_token(engine: &Engine) -> (Secret<String>, TokenDigest) {
    tokens::mint(PREFIX, &*engine.env)
}
