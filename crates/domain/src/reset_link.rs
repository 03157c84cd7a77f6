//! Links to set a new password with, for whoever forgot the old one.

use std::time::Duration;

/// How long a link is good for.
pub const RESET_LINK_LIFETIME: Duration = Duration::from_secs(3600);
