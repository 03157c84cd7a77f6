//! The public keys that tokens are signed with, remembered.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Mutex;

use crate::keystead::Jwks;
use crate::{Inner, Refusal};

/// After this long the keys are asked for again: one that got out is taken off the list.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// For this long they are used where Keystead cannot be asked.
const USABLE_FOR: Duration = Duration::from_secs(3600);
/// At most this often are they asked for because of a name that is not among them: anybody can make one up.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// How many are looked at.
const MAX_KEYS: usize = 32;

/// An Ed25519 public key (RFC 8037).
pub(crate) type PublicKey = [u8; 32];

#[derive(Default)]
pub(crate) struct KeySet {
    known: RwLock<Option<Known>>,
    /// When they were last asked for. Whoever holds it asks; the others wait and look again.
    asked: Mutex<Option<Instant>>,
}

struct Known {
    keys: Arc<HashMap<String, PublicKey>>,
    since: Instant,
}

impl KeySet {
    /// The key of this name.
    pub(crate) async fn find(&self, guard: &Inner, kid: String) -> Result<PublicKey, Refusal> {
        let kid = kid.as_str();
        if let Some(key) = self.remembered(kid, FRESH_FOR) {
            return Ok(key);
        }
        let mut asked = self.asked.lock().await;
        if let Some(key) = self.remembered(kid, FRESH_FOR) {
            return Ok(key);
        }
        if asked.is_none_or(|asked| asked.elapsed() >= AT_MOST_EVERY) {
            *asked = Some(Instant::now());
            let keystead = Arc::clone(&guard.keystead);
            match guard.ask(move || keystead.keys()).await {
                Ok(jwks) => self.remember(jwks),
                Err(away) => return self.remembered(kid, USABLE_FOR).ok_or(away),
            }
        }
        match self.remembered(kid, USABLE_FOR) {
            Some(key) => Ok(key),
            None if self.is_fresh() => Err(Refusal::Invalid),
            None => Err(Refusal::Unavailable),
        }
    }

    fn remembered(&self, kid: &str, for_long: Duration) -> Option<PublicKey> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.since.elapsed() < for_long)?.keys.get(kid).copied()
    }

    fn is_fresh(&self) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|known| known.since.elapsed() < FRESH_FOR)
    }

    fn remember(&self, jwks: Jwks) {
        let keys = jwks.keys.into_iter().take(MAX_KEYS).filter_map(|key| {
            let ed25519 = key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519");
            let x = URL_SAFE_NO_PAD.decode(key.x.filter(|_| ed25519)?).ok()?;
            Some((key.kid?, x.try_into().ok()?))
        });
        let known = Known { keys: Arc::new(keys.collect()), since: Instant::now() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}
