//! For services behind Keystead: who calls, found out in-process.
//!
//! A [`Guard`] asks a running Keystead what a credential is (RFC 7662) and remembers the answer for a moment. Put it
//! beside the routes, and take a [`Verified`] where a handler wants to know who calls:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get};
//! use keystead_guard::{Demand, Guard, Refusal, Verified};
//!
//! #[get("/reports")]
//! async fn reports(caller: Verified) -> Result<String, Refusal> {
//!     caller.require_scope("read")?;
//!     Ok(format!("the reports of {:?}", caller.organization))
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::builder("https://auth.example.com", "ksc_…", "kss_…").build()?;
//! let admin = Demand::scope("admin");
//! HttpServer::new(move || {
//!     App::new().app_data(guard.clone()).service(reports).service(
//!         // Or as a middleware, for all routes of a scope.
//!         actix_web::web::scope("/admin").wrap(guard.require(admin.clone())),
//!     )
//! })
//! .bind("127.0.0.1:9000")?
//! .run()
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! What is revoked at Keystead is refused here at most [`MAX_AGE`] after the server that is asked knows of it; by default
//! half of that. JWTs are asked about as well, since their signature does not tell that they were revoked, unless the guard
//! is built with [`Builder::offline`]. Keys for testing are refused unless [asked for](Builder::allow_test_keys).
//!
//! When Keystead cannot be asked, nobody is let in: the answer is 503.

mod builder;
mod extract;
mod identity;
mod jwks;
mod jwt;
mod keystead;
mod refusal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use keystead_domain::api_key::{Environment, KeyPrefix, KeyText};
use keystead_domain::oauth::resembles_jwt;
use keystead_domain::{Secret, TokenDigest};
use quick_cache::sync::Cache;
use tokio::sync::{OnceCell, Semaphore};

use crate::jwks::KeySet;
use crate::keystead::Keystead;

pub use crate::builder::{Builder, InvalidGuard};
pub use crate::extract::{Require, RequireService, Verified};
pub use crate::identity::{Demand, Identity, Organization};
pub use crate::refusal::Refusal;
pub use keystead_domain::policy::CredentialKind;
pub use keystead_domain::role::Role;

/// The longest that an answer is ever remembered.
pub const MAX_AGE: Duration = Duration::from_secs(1);

/// The longest credential that is looked at.
const MAX_BYTES: usize = 8 * 1024;

/// How many questions may be under way at once.
const AT_ONCE: usize = 64;

/// Checks credentials. A clone is the same guard.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    keystead: Arc<Keystead>,
    keys: KeySet,
    questions: Semaphore,
    answers: Cache<[u8; 32], Arc<Question>>,
    max_age: Duration,
    patience: Duration,
    issuer: String,
    audience: Option<String>,
    test_keys: bool,
    offline: bool,
}

/// One question and its answer, which all who ask the same at the same time wait for together.
struct Question {
    /// Before it was sent: the answer is at least as new.
    asked: Instant,
    answer: OnceCell<Result<Arc<Identity>, Refusal>>,
}

impl Question {
    /// Whether this one does for whoever asks now. A refusal is told to those who waited for it, and to nobody later.
    fn serves(&self, max_age: Duration) -> bool {
        self.asked.elapsed() < max_age && self.answer.get().is_none_or(Result::is_ok)
    }
}

/// What a text is by its form.
enum Shape {
    Jwt,
    Other,
}

impl Shape {
    /// Nothing for what cannot be a credential: it is not asked about.
    fn of(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if resembles_jwt(text) {
            return Some(Self::Jwt);
        }
        // A key that another system made may have dots, but is not that short: it could be guessed.
        if text.contains('.') && text.len() < 16 {
            return None;
        }
        // `<brand>_<env>_<prefix>_<secret>`, whose checksum tells noise from keys.
        let mut parts = text.rsplitn(4, '_');
        let (_, prefix, environment, brand) = (parts.next(), parts.next(), parts.next(), parts.next());
        // Others may be keys that another system made.
        let looks_like_a_key = environment.is_some_and(|word| word.parse::<Environment>().is_ok())
            && prefix.is_some_and(|word| word.parse::<KeyPrefix>().is_ok());
        match brand.and_then(|brand| brand.parse().ok()) {
            Some(brand) if looks_like_a_key && KeyText::parse(text, &brand).is_err() => None,
            _ => Some(Self::Other),
        }
    }
}

impl Guard {
    /// A guard that asks the Keystead at `url`, as the app with these credentials: one with `introspect = platform` sees
    /// the credentials of every tenant, any other those of its own.
    pub fn builder(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Builder {
        Builder::new(url.into(), client_id.into(), Secret::new(client_secret.into()))
    }

    /// Who shows this API key or access token. What was found out a moment ago is not asked again.
    pub async fn check(&self, credential: &str) -> Result<Arc<Identity>, Refusal> {
        let shape = Shape::of(credential).ok_or(Refusal::Invalid)?;
        let question = self.question(credential);
        let answer = question.answer.get_or_init(|| self.answer(credential, shape)).await;
        let identity = Arc::clone(answer.as_ref().map_err(Clone::clone)?);
        if self.0.offline && identity.kind == CredentialKind::AccessToken {
            identity.still_live(jwt::now())?;
        }
        if identity.environment == Some(Environment::Test) && !self.0.test_keys {
            return Err(Refusal::TestKey);
        }
        Ok(identity)
    }

    /// The question about this credential that is under way or was answered a moment ago, or else a new one.
    fn question(&self, credential: &str) -> Arc<Question> {
        let key = *TokenDigest::of(credential).as_bytes();
        if let Some(known) = self.0.answers.get(&key).filter(|known| known.serves(self.0.max_age)) {
            return known;
        }
        let question = Arc::new(Question { asked: Instant::now(), answer: OnceCell::new() });
        self.0.answers.insert(key, Arc::clone(&question));
        question
    }

    async fn answer(&self, credential: &str, shape: Shape) -> Result<Arc<Identity>, Refusal> {
        let inner = &*self.0;
        if matches!(shape, Shape::Jwt) {
            // One that Keystead did not sign is not worth a question.
            let claims = jwt::verify(credential, |kid| inner.keys.find(inner, kid)).await?;
            if inner.offline {
                let audience = inner.audience.as_deref().unwrap_or(&inner.issuer);
                return claims.accept(&inner.issuer, audience, jwt::now()).map(Arc::new);
            }
        }
        let (keystead, shown) = (Arc::clone(&inner.keystead), Secret::new(credential.to_owned()));
        let told = inner.ask(move || keystead.introspect(&shown)).await?;
        told.accept(inner.audience.as_deref()).map(Arc::new)
    }
}

impl Inner {
    /// Asks Keystead something on a thread that may block. Only so many do at once, and nobody waits for ever.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, keystead::Failure> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = tokio::time::timeout(self.patience, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            tracing::warn!("too many questions to Keystead are under way");
            return Err(Refusal::Unavailable);
        };
        match actix_web::web::block(question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => {
                tracing::warn!(%failure, "Keystead could not be asked");
                Err(Refusal::Unavailable)
            }
            Err(_) => Err(Refusal::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_not_asked_about() {
        assert!(Shape::of("ks_live_0123456789ab_0123456789012345678901234567890a").is_none());
        assert!(Shape::of("acme_api_test_0123456789ab_short").is_none());
        assert!(Shape::of("").is_none() && Shape::of("a b").is_none() && Shape::of("\u{e4}").is_none());
        assert!(Shape::of(&"a".repeat(MAX_BYTES + 1)).is_none());
        assert!(matches!(Shape::of("eyJhIjoxfQ.payload.signature"), Some(Shape::Jwt)));
        assert!(matches!(Shape::of("SG.key_of.another_system"), Some(Shape::Other)));
        assert!(matches!(Shape::of("at_0123"), Some(Shape::Other)));
        // RFC-style example of the format, with its checksum.
        assert!(matches!(Shape::of("opaque_token_of_some_kind"), Some(Shape::Other)));
    }
}
