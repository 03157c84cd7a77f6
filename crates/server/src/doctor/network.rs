//! What the server is to the network: its URL, the proxies before it, its limits, its mail server.

use super::{Finding, fail, ok, warn};
use crate::config::{self, Config, RateLimits};
use crate::deployment;

/// How the world knows the server.
pub(super) fn public_url(config: &Config) -> Vec<Finding> {
    let check = "public_url";
    let issuer = deployment::issuer(config, config.listen);
    vec![match config.check_public_url(false) {
        Err(error) => fail(
            check,
            error.to_string(),
            "put a proxy that terminates TLS in front, and set public_url to its https URL",
        ),
        Ok(()) if config.is_local() && !issuer.starts_with("https://") => {
            ok(check, format!("{issuer}, which is this machine alone"))
        }
        Ok(()) => ok(check, issuer),
    }]
}

/// Where requests come from.
pub(super) fn client_address(config: &Config) -> Vec<Finding> {
    let check = "client_ip_header";
    let proxies = &config.trusted_proxies;
    vec![match &config.client_ip_header {
        Some(_) if proxies.iter().any(keystead_domain::network::Cidr::is_everything) => fail(
            check,
            "trusted_proxies has all addresses: whoever connects may claim any address",
            "list the addresses of your proxies and no others",
        ),
        Some(header) => ok(check, format!("{header}, from the proxies that are listed")),
        None if !proxies.is_empty() => warn(
            check,
            "trusted_proxies are listed, and no header of theirs is read",
            "set client_ip_header to the header that your proxy writes the client's address to",
        ),
        None if !config.is_local() => warn(
            check,
            "no header is read, so behind a proxy all clients count as one",
            "set trusted_proxies and client_ip_header, unless clients connect to the server themselves",
        ),
        None => ok(check, "none: clients connect to the server themselves"),
    }]
}

/// Whether guessing costs time.
pub(super) fn rate_limits(config: &Config) -> Option<Finding> {
    let key = RateLimits::enabled.key;
    let message = format!("{key} is off: passwords and codes can be guessed as fast as they are checked");
    (!config.rate_limits.enabled && !config.is_local())
        .then(|| fail("rate_limits", message, format!("set {key} to true")))
}

/// What carries the mails.
pub(super) fn mail(config: &Config) -> Vec<Finding> {
    let check = "mail";
    vec![match &config.mail {
        config::Mail::File if config.is_local() => ok(check, "mails go to files, which is for development"),
        config::Mail::File => warn(
            check,
            "mails go to files, which is for development: nobody gets any",
            "set mail to the smtps:// URL of a mail server",
        ),
        config::Mail::Smtp(relay) => {
            let issuer = deployment::issuer(config, config.listen);
            let ready = deployment::smtp(relay, config, &issuer)
                .map_err(|failure| failure.to_string())
                .and_then(|smtp| smtp.check().map_err(|error| error.to_string()));
            match ready {
                Ok(()) => ok(check, format!("{relay} is ready to take mails")),
                Err(error) => fail(
                    check,
                    format!("{relay}: {error}"),
                    "see what docs/operating-mail.md says about this; mails wait for five days meanwhile",
                ),
            }
        }
    }]
}
