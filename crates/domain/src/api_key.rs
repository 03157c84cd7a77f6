//! API keys: long-lived credentials of people, for scripts.
//!
//! `ks_live_<12>_<32>`: a brand, an environment, 12 lower-case hexadecimal characters that name the key,
//! and 32 of base62, the last 6 of which are a checksum over all that comes before them. So a scanner, and
//! the server before it asks the database, can tell a key from noise. Keys that another system made look
//! like anything.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId};
use crate::name::Name;
use crate::oauth::ScopeSet;
use crate::{Secret, Timestamp, TokenDigest};

/// A key as it is stored. It is never more powerful than its holder is now.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose.
    pub user: UserId,
    /// The one tenant that it reaches; nothing for one that reaches all of its holder's.
    pub pin: Option<Pin>,
    /// What its holder calls it.
    pub name: Name,
    /// What it is for, as far as other services care.
    pub environment: Environment,
    /// The most that it may do.
    pub scopes: ScopeSet,
    /// How its newest secret begins, to be recognized by.
    pub start: KeyStart,
    /// In which session it was made, where it was made in one.
    pub made_in: Option<SessionId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How many secrets of a key may work at the same time: the newest, and the one that it takes the place of.
pub const MAX_LIVE_SECRETS: usize = 2;

impl ApiKey {
    /// Whether the key can be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The membership that a key hangs on, and its tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The tenant.
    pub tenant: TenantId,
    /// The membership; the key ends with it.
    pub membership: MembershipId,
}

/// What a key is for. Keystead treats both alike; services behind it may not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Environment {
    /// The real thing.
    Live,
    /// Trying things out.
    Test,
}

impl Environment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// The word that is stored and shown, and stands in the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = InvalidEnvironment;

    fn from_str(text: &str) -> Result<Self, InvalidEnvironment> {
        Self::ALL.into_iter().find(|env| env.as_str() == text).ok_or(InvalidEnvironment)
    }
}

/// A text that is no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be live or test")]
pub struct InvalidEnvironment;

/// What a key is recognized by, in lists and in mails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyStart {
    /// The prefix of a key that was made here.
    Minted(KeyPrefix),
    /// What is known of a key that was made elsewhere.
    Imported(ImportedStart),
}

impl KeyStart {
    /// As it is shown of a key with this brand and environment.
    pub fn shown(&self, brand: &Brand, environment: Environment) -> String {
        match self {
            Self::Minted(prefix) => format!("{}_{environment}_{prefix}", brand.as_str()),
            Self::Imported(start) => start.0.clone(),
        }
    }
}

/// How a key begins that was made elsewhere: 1 to 40 characters of visible ASCII.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportedStart(String);

impl ImportedStart {
    /// What is said of a key where nobody says how it begins: the beginning of its digest.
    pub fn of_digest(digest: &TokenDigest) -> Self {
        let hex = digest.as_bytes().iter().take(PREFIX_LEN / 2).map(|byte| format!("{byte:02x}"));
        Self(format!("sha256:{}", hex.collect::<String>()))
    }

    /// The start as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that no key begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 40 characters of visible ASCII")]
pub struct InvalidStart;

impl FromStr for ImportedStart {
    type Err = InvalidStart;

    fn from_str(text: &str) -> Result<Self, InvalidStart> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=40).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(InvalidStart) }
    }
}

/// The 12 lower-case hexadecimal characters that name a key. They authenticate nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPrefix([u8; PREFIX_LEN]);

const PREFIX_LEN: usize = 12;
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
/// How long a text is that is looked up as a key. What is shorter than that could be guessed.
const LENGTHS: RangeInclusive<usize> = 16..=1024;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl KeyPrefix {
    /// The prefix made of 6 random bytes.
    pub fn new(random: [u8; 6]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; PREFIX_LEN];
        for (at, place) in text.iter_mut().enumerate() {
            let byte = random[at / 2];
            *place = HEX[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })];
        }
        Self(text)
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyPrefix {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let bytes = <[u8; PREFIX_LEN]>::try_from(text.as_bytes()).map_err(|_| NoKey)?;
        if bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(bytes))
        } else {
            Err(NoKey)
        }
    }
}

/// What API keys of a deployment begin with: 1 to 32 lower-case letters, digits and underscores, a letter
/// first and no underscore last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brand(String);

impl Brand {
    /// The brand as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that no key can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 lower-case letters, digits and underscores, a letter first and no underscore last")]
pub struct InvalidBrand;

impl FromStr for Brand {
    type Err = InvalidBrand;

    fn from_str(text: &str) -> Result<Self, InvalidBrand> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if plain && starts && !text.ends_with('_') && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBrand)
        }
    }
}

/// A text that is no well-formed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed API key")]
pub struct NoKey;

/// A well-formed key: its checksum is right. Whether anybody has it is another matter.
#[derive(Clone, Debug)]
pub struct KeyText {
    /// The environment that it names.
    pub environment: Environment,
    /// What it is named by.
    pub prefix: KeyPrefix,
    text: Secret<String>,
}

impl KeyText {
    /// Puts a new key together. `random` are the 26 random characters of base62 before the checksum.
    pub fn compose(
        brand: &Brand,
        environment: Environment,
        prefix: KeyPrefix,
        random: &Secret<String>,
    ) -> Self {
        let mut text = format!("{}_{environment}_{prefix}_{}", brand.as_str(), random.expose());
        text.push_str(&checksum(text.as_bytes()));
        Self { environment, prefix, text: Secret::new(text) }
    }

    /// How many random characters a key has before its checksum: 154 bits.
    pub const RANDOM_LEN: usize = SECRET_LEN - CHECKSUM_LEN;

    /// Reads a key of this brand.
    pub fn parse(text: &str, brand: &Brand) -> Result<Self, NoKey> {
        let (environment, prefix) = Self::shape(text, brand)?;
        // All of it is ASCII by now.
        let (before, sum) = text.split_at_checked(text.len() - CHECKSUM_LEN).ok_or(NoKey)?;
        if checksum(before.as_bytes()) != sum {
            return Err(NoKey);
        }
        Ok(Self { environment, prefix, text: Secret::new(text.to_owned()) })
    }

    /// Whether a text is nobody's key, so that it need not be looked up: one of the shape that keys of this
    /// brand have, whose checksum is wrong; one that no header holds; or one that is shorter or longer than any key.
    /// Anything else may be a key that was made elsewhere.
    pub fn is_noise(text: &str, brand: &Brand) -> bool {
        let misspelled = Self::shape(text, brand).is_ok() && Self::parse(text, brand).is_err();
        misspelled || !text.bytes().all(|byte| byte.is_ascii_graphic()) || !LENGTHS.contains(&text.len())
    }

    fn shape(text: &str, brand: &Brand) -> Result<(Environment, KeyPrefix), NoKey> {
        let rest = text.strip_prefix(brand.as_str()).and_then(|rest| rest.strip_prefix('_')).ok_or(NoKey)?;
        let mut parts = rest.split('_');
        let (Some(environment), Some(prefix), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoKey);
        };
        let (environment, prefix) = (environment.parse().map_err(|_| NoKey)?, prefix.parse()?);
        if secret.len() != SECRET_LEN || !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(NoKey);
        }
        Ok((environment, prefix))
    }

    /// The well-formed keys of this brand that stand anywhere in a text, each with the byte that it begins at.
    /// Whatever stands before and after does not matter: a checksum is not right by chance.
    pub fn find_all<'t>(text: &'t str, brand: &'t Brand) -> impl Iterator<Item = (usize, Self)> + 't {
        // A brand may overlap itself, so each place is looked at.
        let candidates = text.char_indices().map(|(at, _)| at);
        let candidates = candidates.filter(|&at| text[at..].starts_with(brand.as_str()));
        candidates.filter_map(|at| Environment::ALL.iter().find_map(|env| Self::at(text, at, brand, *env)))
    }

    fn at(text: &str, at: usize, brand: &Brand, environment: Environment) -> Option<(usize, Self)> {
        let underscores = 3;
        let length =
            brand.as_str().len() + environment.as_str().len() + PREFIX_LEN + SECRET_LEN + underscores;
        let key = Self::parse(text.get(at..at + length)?, brand).ok()?;
        (key.environment == environment).then_some((at, key))
    }

    /// Whether `text` could be a key of this brand, well-formed or not: then it is no other credential.
    pub fn resembles(text: &str, brand: &Brand) -> bool {
        let rest = text.strip_prefix(brand.as_str()).and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| Environment::ALL.iter().any(|env| rest.starts_with(env.as_str())))
    }

    /// The whole key.
    pub const fn expose(&self) -> &String {
        self.text.expose()
    }

    /// The whole key, to be shown once.
    pub fn into_secret(self) -> Secret<String> {
        self.text
    }
}

/// CRC-32/ISO-HDLC in base62, most significant digit first, 6 characters.
fn checksum(bytes: &[u8]) -> String {
    let mut rest = crc32(bytes);
    let mut digits = [b'0'; CHECKSUM_LEN];
    for place in digits.iter_mut().rev() {
        *place = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|&b| char::from(b)).collect()
}

/// CRC-32/ISO-HDLC: the reflected polynomial 0xEDB88320, all ones before and after.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brand() -> Brand {
        "ks".parse().unwrap()
    }

    fn key() -> KeyText {
        let random = Secret::new("abcdefghijklmnopqrstuvwxyz".to_owned());
        KeyText::compose(&brand(), Environment::Live, KeyPrefix::new([0xde, 0xad, 0xbe, 0xef, 0, 1]), &random)
    }

    #[test]
    fn the_checksum_is_the_catalogues() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum(b""), "000000");
    }

    #[test]
    fn a_key_has_the_documented_shape() {
        let key = key();
        let text = key.expose();
        assert!(text.starts_with("ks_live_deadbeef0001_abcdefghijklmnopqrstuvwxyz"), "{text}");
        assert_eq!(text.len(), "ks_live_".len() + 12 + 1 + 32);
        let read = KeyText::parse(text, &brand()).unwrap();
        assert_eq!((read.environment, read.prefix), (Environment::Live, key.prefix));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let text = key().into_secret().expose().clone();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(KeyText::parse(&changed, &brand()).is_err(), "{at}");
        }
        for bad in ["", "ks_live_", "ks__", "ks_live_deadbeef0001_é", &text[1..], &format!("{text}0")] {
            assert!(KeyText::parse(bad, &brand()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_brand_may_have_underscores() {
        let brand: Brand = "my_brand".parse().unwrap();
        let random = Secret::new("0".repeat(26));
        let key = KeyText::compose(&brand, Environment::Test, KeyPrefix::new([0; 6]), &random);
        assert!(KeyText::parse(key.expose(), &brand).is_ok());
        assert!(KeyText::parse(key.expose(), &"my".parse().unwrap()).is_err());
        for bad in ["", "Ks", "ks_", "1ks", "k-s", &"k".repeat(33)] {
            assert!(bad.parse::<Brand>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_found_anywhere_in_a_text() {
        let text = key().into_secret().expose().clone();
        let all = format!("é\"{text}\"ks_live_ {text}{text}\nks_test_deadbeef0001_x TOKEN={text}9");
        let found: Vec<_> = KeyText::find_all(&all, &brand()).map(|(at, _)| at).collect();
        let expected: Vec<_> = all.match_indices(&text).map(|(at, _)| at).collect();
        assert_eq!((found.len(), found), (4, expected));
        let other: Brand = "other".parse().unwrap();
        assert_eq!(KeyText::find_all(&all, &other).count(), 0);
        let near = all.replace("abcdef", "abcdeg");
        assert_eq!(KeyText::find_all(&near, &brand()).count(), 0);
    }

    #[test]
    fn what_is_surely_no_key_is_told_from_what_may_be_one() {
        let text = key().into_secret().expose().clone();
        let misspelled = text.replace("abcdef", "abcdeg");
        let (short, long) = ("k".repeat(15), "k".repeat(1025));
        for noise in ["", " ", &"é".repeat(10), &misspelled, &short, &long, "two words of some length"] {
            assert!(KeyText::is_noise(noise, &brand()), "{noise}");
        }
        let longer = format!("{text}0");
        for possible in
            [text.as_str(), &text[..16], "acme_live_51f2c8e07b3a4d96a1e5", &longer, "SG.key.of-another"]
        {
            assert!(!KeyText::is_noise(possible, &brand()), "{possible}");
        }
        assert!(!KeyText::is_noise(&misspelled, &"other".parse().unwrap()));
    }

    #[test]
    fn a_key_from_elsewhere_is_recognized_by_what_is_known_of_it() {
        let digest = TokenDigest::of("acme_live_51f2c8e07b3a4d96a1e5");
        let shown = |start| KeyStart::Imported(start).shown(&brand(), Environment::Live);
        let hex: String = digest.as_bytes()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown(ImportedStart::of_digest(&digest)), format!("sha256:{hex}"));
        assert_eq!(shown("acme_live_51f2".parse().unwrap()), "acme_live_51f2");
        let prefix = KeyPrefix::new([0xde, 0xad, 0xbe, 0xef, 0, 1]);
        assert_eq!(KeyStart::Minted(prefix).shown(&brand(), Environment::Test), "ks_test_deadbeef0001");
        for bad in ["", "a b", "é", &"k".repeat(41)] {
            assert!(bad.parse::<ImportedStart>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(ks_live_)?\\PC{0,60}") {
            let _ = (KeyText::parse(&text, &brand()), KeyText::is_noise(&text, &brand()));
            let _ = KeyText::find_all(&text, &brand()).count();
        }
    }
}
