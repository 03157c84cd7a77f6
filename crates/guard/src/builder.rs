//! How a guard is made.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keystead_domain::Secret;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use ureq::http::Uri;

use crate::jwks::KeySet;
use crate::keystead::Keystead;
use crate::{AT_ONCE, Guard, Inner, MAX_AGE};

/// A guard to be made.
#[must_use]
pub struct Builder {
    url: String,
    client_id: String,
    client_secret: Secret<String>,
    issuer: Option<String>,
    audience: Option<String>,
    max_age: Duration,
    patience: Duration,
    max_entries: usize,
    test_keys: bool,
    offline: bool,
    plain_http: bool,
}

/// Why a guard cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGuard {
    /// The address is none.
    #[error("{0:?} is no http or https URL")]
    Url(String),
    /// The address would send credentials in the clear.
    #[error(
        "{0} is plain http and not on this machine: credentials would travel in the clear (Builder::allow_plain_http)"
    )]
    PlainHttp(String),
    /// Id or secret is empty.
    #[error("the client id or the client secret is empty")]
    Credentials,
}

impl Builder {
    pub(crate) fn new(url: String, client_id: String, client_secret: Secret<String>) -> Self {
        Self {
            url,
            client_id,
            client_secret,
            issuer: None,
            audience: None,
            max_age: MAX_AGE / 2,
            patience: Duration::from_secs(3),
            max_entries: 10_000,
            test_keys: false,
            offline: false,
            plain_http: false,
        }
    }

    /// Keystead's `public_url`, where that is not the URL that is asked. It counts for [offline](Self::offline) guards.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// What this service is called in the `aud` of access tokens. Tokens for others are refused. Without it, tokens are
    /// accepted that were asked for without a `resource`: their `aud` is Keystead's own.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long an answer is remembered: half a second by default, [`MAX_AGE`] at most, and not at all for zero. It is how
    /// long something that was revoked may still be let in.
    pub fn remember_for(mut self, max_age: Duration) -> Self {
        self.max_age = max_age.min(MAX_AGE);
        self
    }

    /// How long a question to Keystead may take: 3 seconds by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many answers are remembered: 10,000 by default. The least useful make room.
    pub fn max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }

    /// Accepts keys for testing (`…_test_…`) as well. To Keystead they are as good as live ones.
    pub fn allow_test_keys(mut self) -> Self {
        self.test_keys = true;
        self
    }

    /// Checks access tokens by their signature, `iss`, `aud` and `exp` alone, and asks Keystead nothing about them.
    ///
    /// **Such a guard does not learn that a token was revoked**: not that its app was disabled, not that its tenant was
    /// suspended, not that its person lost a membership or its account. It lets the token in until it expires: an app's
    /// token for an hour, unless `tokens.app_access_token` says otherwise. What the token carries is what its
    /// holder was allowed when it was issued. Keystead may be away for up to an hour meanwhile, after which
    /// the public keys that are remembered are too old.
    ///
    /// API keys are not JWTs: they are asked about all the same, and are refused with 503 while Keystead is away.
    pub fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// Talks to a Keystead on another machine over plain http. Whoever can read that network can read every credential
    /// that this service is shown, and its own.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// The guard. It asks nothing yet.
    pub fn build(self) -> Result<Guard, InvalidGuard> {
        let url = self.url.trim_end_matches('/').to_owned();
        let invalid = || InvalidGuard::Url(self.url.clone());
        let parsed: Uri = url.parse().map_err(|_| invalid())?;
        let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        match parsed.scheme_str() {
            Some("https") => {}
            Some("http") if self.plain_http || is_this_machine(host) => {}
            Some("http") => return Err(InvalidGuard::PlainHttp(url)),
            _ => return Err(invalid()),
        }
        if parsed.query().is_some() {
            return Err(invalid());
        }
        if self.client_id.is_empty() || self.client_secret.expose().is_empty() {
            return Err(InvalidGuard::Credentials);
        }
        let keystead = Arc::new(Keystead::new(&url, &self.client_id, &self.client_secret, self.patience));
        Ok(Guard(Arc::new(Inner {
            keystead,
            keys: KeySet::default(),
            questions: Semaphore::new(AT_ONCE),
            answers: Cache::new(self.max_entries.max(1)),
            max_age: self.max_age,
            patience: self.patience,
            issuer: self.issuer.unwrap_or(url),
            audience: self.audience,
            test_keys: self.test_keys,
            offline: self.offline,
        })))
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(url: &str) -> Result<(), InvalidGuard> {
        Guard::builder(url, "ksc_x", "kss_x").build().map(drop)
    }

    #[test]
    fn credentials_do_not_travel_in_the_clear() {
        for good in
            ["https://auth.example.com", "http://127.0.0.1:8000/", "http://[::1]:8000", "http://localhost/a"]
        {
            assert_eq!(built(good), Ok(()), "{good}");
        }
        for plain in ["http://auth.example.com", "http://10.0.0.1:8000", "http://127.0.0.1.example.com"] {
            assert_eq!(built(plain), Err(InvalidGuard::PlainHttp(plain.to_owned())));
            assert!(Guard::builder(plain, "a", "b").allow_plain_http().build().is_ok());
        }
        for none in ["", "auth.example.com", "ftp://auth.example.com", "https://a/?b", "/x", "https://"] {
            assert_eq!(built(none), Err(InvalidGuard::Url(none.to_owned())), "{none}");
        }
        assert_eq!(Guard::builder("https://a", "", "b").build().err(), Some(InvalidGuard::Credentials));
    }

    #[test]
    fn nothing_is_remembered_for_longer_than_a_second() {
        let guard =
            Guard::builder("https://a", "b", "c").remember_for(Duration::from_secs(60)).build().unwrap();
        assert_eq!(guard.0.max_age, MAX_AGE);
    }
}
