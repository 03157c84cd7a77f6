//! Which user an address without one is treated like.
//!
//! Checking a hash that another system made takes another time than checking one of ours. Were an
//! address that nobody has always answered like a user of ours, the time would tell that an address
//! is an imported user's. So such an address is given the place of some user of its directory, and
//! takes as long as that one: of the addresses that nobody has, as many take a certain time as of
//! those of users, and the time tells nothing about whether there is one.

use aws_lc_rs::hmac;
use keystead_domain::{Email, Owner};

use crate::master_key::Purpose;
use crate::root_key::RootKey;

/// Gives addresses a place among users. Without the key nobody can tell which addresses are beside
/// each other, and so find users by where the time changes.
pub struct AlikeKey(hmac::Key);

/// Crockford's base32, in which the random end of an id is written.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl AlikeKey {
    /// How many characters a place has. That many at the end of an id are random: 60 of the 62 last
    /// bits of a UUIDv7.
    pub const PLACE_LEN: usize = 12;

    /// The key under `root`.
    pub fn new(root: &RootKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, root.derive(Purpose::Alike).expose()))
    }

    /// The place of an address: as likely one as another, and always the same.
    pub fn place(&self, directory: Owner, email: &Email) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(directory.to_string().as_bytes());
        context.update(b"\0");
        context.update(email.key().as_bytes());
        let mac = context.sign();
        mac.as_ref()
            .iter()
            .take(Self::PLACE_LEN)
            .map(|byte| char::from(DIGITS[usize::from(byte % 32)]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn an_address_has_one_place_in_each_directory_of_each_server() {
        let key = AlikeKey::new(&RootKey::generate(&SystemEnv));
        let [ada, bob] = ["ada@example.com", "bob@example.com"].map(|text| text.parse::<Email>().unwrap());
        let place = key.place(Owner::Platform, &ada);
        assert_eq!(place.len(), AlikeKey::PLACE_LEN);
        assert_eq!(place, key.place(Owner::Platform, &"ADA@Example.com".parse().unwrap()));
        assert_ne!(place, key.place(Owner::Platform, &bob));
        assert_ne!(place, AlikeKey::new(&RootKey::generate(&SystemEnv)).place(Owner::Platform, &ada));
        let tenant = Owner::Tenant("ten_01h455vb4pex5vsknk084sn02q".parse().unwrap());
        assert_ne!(place, key.place(tenant, &ada));
    }
}
