//! What a request brings along besides what it asks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use keystead_domain::TokenDigest;
use keystead_domain::audit::Origin;
use keystead_domain::rate_limit::Standing;

/// What a request brings along besides what it asks: where it came from, and what it was counted
/// by so far.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// Where it came from, as far as we can see.
    pub origin: Origin,
    /// Where the end user is, if the app says so. Only a first-party app is believed.
    pub end_user_ip: Option<IpAddr>,
    /// The cookie of a browser that has signed somebody in before. An app has none.
    pub device: Option<TokenDigest>,
    /// What it was counted by.
    pub meter: Meter,
}

/// What one request was counted by: use cases write it, the surface tells the caller.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Vec<Standing>>>);

impl Meter {
    /// Reads how the quotas stood after the request was counted.
    pub fn read<T>(&self, read: impl FnOnce(&[Standing]) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn note(&self, standing: Standing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(standing);
    }
}
