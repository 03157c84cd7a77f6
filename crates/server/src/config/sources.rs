//! Where values come from, and which of them wins.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strsim::osa_distance;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Warning};
use super::loaded::Loaded;
use super::named::Family;
use super::setting::{Setting, variable_of};
use super::url::mask_password;
use super::values::{Rule, Value};
use super::{Config, reference};

/// The file that is read in the working directory when no other is named.
pub const DEFAULT_FILE: &str = "keystead.toml";

/// Variables that are known and yet no settings: the master key does not belong among values that
/// are shown, and has rules of its own.
pub const HANDLED_ELSEWHERE: [&str; 2] = ["KEYSTEAD_MASTER_KEY", "KEYSTEAD_MASTER_KEY_FILE"];

/// What every variable of ours starts with.
const VARIABLES: &str = "KEYSTEAD_";

/// What the variables of the test suite start with.
const TEST_VARIABLES: &str = "KEYSTEAD_TEST_";

/// The file of settings.
#[derive(Clone, Copy, Debug)]
pub enum ConfigFile<'a> {
    /// Nobody named it, so it may be missing: usually [`DEFAULT_FILE`].
    Optional(&'a Path),
    /// The operator named it, so it must exist.
    Required(&'a Path),
}

/// Who decided about a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The environment variable of this name.
    Environment(String),
    /// The flag of this name, dashes included.
    Flag(String),
}

impl Source {
    /// With the line, for somebody who has to go there.
    pub(super) fn precise(&self) -> String {
        match self {
            Self::File { line, .. } => format!("{self}, line {line}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, .. } => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value that a source gives to a setting, not yet looked at.
struct Given {
    source: Source,
    text: String,
    /// Its type, if it comes from the file; the other sources have nothing but text.
    toml_type: Option<&'static str>,
}

impl Given {
    fn untyped(source: Source, text: impl Into<String>) -> Self {
        Self { source, text: text.into(), toml_type: None }
    }
}

/// Gathers what the sources say, then reads it setting by setting, and keeps what is wrong.
pub(super) struct Reader {
    /// For every known key the values in rising order of precedence.
    given: BTreeMap<&'static str, Vec<Given>>,
    /// The same for what has names of the operator's own, by the whole key.
    named: BTreeMap<String, Vec<Given>>,
    /// Such things of which nothing is said.
    bare: BTreeMap<String, Source>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

impl Reader {
    /// A reader that knows the defaults.
    pub(super) fn new() -> Self {
        let default = |text| Given::untyped(Source::Default, text);
        let given =
            reference().map(|setting| (setting.key, setting.default.map(default).into_iter().collect()));
        Self {
            given: given.collect(),
            named: BTreeMap::new(),
            bare: BTreeMap::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds what the file says.
    pub(super) fn add_file(&mut self, file: ConfigFile<'_>) {
        let (ConfigFile::Optional(path) | ConfigFile::Required(path)) = file;
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) => {
                let may_be_missing = matches!(file, ConfigFile::Optional(_));
                if !(may_be_missing && source.kind() == ErrorKind::NotFound) {
                    self.errors.push(ConfigError::Unreadable { path: path.to_owned(), source });
                }
                return;
            }
        };
        let at = |offset: usize| {
            let line = text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1;
            Source::File { path: path.to_owned(), line }
        };
        match DeTable::parse(&text) {
            Ok(table) => self.add_table("", table.get_ref(), &at),
            // Only the message: the error as a whole quotes the line, and with it perhaps a password.
            Err(error) => self.errors.push(ConfigError::Syntax {
                at: at(error.span().map_or(0, |span| span.start)),
                message: error.message().to_owned(),
            }),
        }
    }

    fn add_table(&mut self, section: &str, table: &DeTable<'_>, at: &impl Fn(usize) -> Source) {
        for (name, value) in table {
            let key = format!("{section}{}", name.get_ref());
            match value.get_ref() {
                // A table in the place of a setting is a value of the wrong type.
                DeValue::Table(inner) if !self.given.contains_key(key.as_str()) => {
                    if inner.is_empty() {
                        self.bare.insert(key.clone(), at(name.span().start));
                    }
                    self.add_table(&format!("{key}."), inner, at);
                }
                value => {
                    let (source, toml_type) = (at(name.span().start), Some(value.type_str()));
                    self.add(&key, Given { source, text: text_of(value), toml_type });
                }
            }
        }
    }

    /// Adds what the environment says. It may have variables that are not ours.
    pub(super) fn add_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (variable, text) in environment {
            if !variable.starts_with(VARIABLES)
                || variable.starts_with(TEST_VARIABLES)
                || HANDLED_ELSEWHERE.contains(&variable.as_str())
            {
                continue;
            }
            let given = |variable| Given::untyped(Source::Environment(variable), text);
            if let Some(key) = self.named_by(&variable) {
                self.add(&key, given(variable));
                continue;
            }
            match reference().find(|setting| setting.variable() == variable) {
                Some(setting) => self.add(setting.key, given(variable)),
                None => self.warnings.push(Warning { nearest: nearest_variable(&variable), variable }),
            }
        }
    }

    /// Adds what the flags say.
    pub(super) fn add_flags(&mut self, flags: impl IntoIterator<Item = (String, String)>) {
        for (key, text) in flags {
            let flag = format!("--{}", key.replace('_', "-"));
            self.add(&key, Given::untyped(Source::Flag(flag), text));
        }
    }

    fn add(&mut self, key: &str, given: Given) {
        if let Some(values) = self.given.get_mut(key) {
            return values.push(given);
        }
        match Family::of(key) {
            Some((family, name, field))
                if family.fields().contains(&field) && !is_always_there(family, name) =>
            {
                self.named.entry(key.to_owned()).or_default().push(given);
            }
            _ => self.errors.push(ConfigError::Unknown {
                key: key.to_owned(),
                at: given.source,
                nearest: nearest_key(key),
            }),
        }
    }

    /// The names that the file gave to things of a family.
    pub(super) fn names(&self, family: Family) -> BTreeSet<String> {
        let of = |key: &String| {
            let (of, name, _) = Family::of(key)?;
            (of == family).then(|| name.to_owned())
        };
        let bare = self.bare.keys().filter_map(|key| key.strip_prefix(family.prefix()));
        let bare = bare.filter(|name| !is_always_there(family, name)).map(str::to_owned);
        self.named.keys().filter_map(of).chain(bare).collect()
    }

    /// The key that a variable stands for, where it is of something that the file names.
    fn named_by(&self, variable: &str) -> Option<String> {
        let keys = Family::ALL.into_iter().flat_map(|family| {
            let names = self.names(family).into_iter();
            names.flat_map(move |name| family.fields().iter().map(move |field| family.key(&name, field)))
        });
        keys.into_iter().find(|key| variable_of(key) == variable)
    }

    /// What is said of something with a name of the operator's own, like [`read`](Self::read). Without a default
    /// it has to be said.
    pub(super) fn read_named<T: Value>(
        &mut self,
        key: &str,
        rule: &Rule<T>,
        default: Option<T>,
    ) -> Option<T> {
        if let Some(given) = self.named.get(key) {
            return decide(key, T::SECRET, given, rule, &mut self.errors);
        }
        if default.is_none() {
            let thing = key.rsplit_once('.').map_or(key, |(thing, _)| thing).to_owned();
            let at = self.place_of(&thing);
            self.errors.push(ConfigError::Incomplete { key: key.to_owned(), thing, at });
        }
        default
    }

    /// Refuses the name of something that the operator added.
    pub(super) fn refuse_name(&mut self, family: Family, name: &str, accepts: &dyn fmt::Display) {
        let thing = format!("{}{name}", family.prefix());
        let (at, accepts) = (self.place_of(&thing), accepts.to_string());
        let accepts = accepts.strip_prefix("must be ").unwrap_or(&accepts).to_owned();
        self.errors.push(ConfigError::Misnamed { thing, at, accepts });
    }

    /// Where something stands that the operator added: the first that is said of it.
    fn place_of(&self, thing: &str) -> Source {
        let said =
            self.named.iter().filter(|(key, _)| key.rsplit_once('.').is_some_and(|(of, _)| of == thing));
        let said = said.flat_map(|(_, given)| given).map(|given| &given.source).next();
        said.or_else(|| self.bare.get(thing)).cloned().unwrap_or(Source::Default)
    }

    /// The value in force, if there is one and the rule accepts it. The values that lost are held
    /// against the rule as well.
    pub(super) fn read<T: Value>(&mut self, setting: &Setting, rule: Rule<T>) -> Option<T> {
        let given = self.given.get(setting.key)?;
        decide(setting.key, setting.secret, given, &rule, &mut self.errors)
    }

    fn source(&self, setting: &Setting) -> &Source {
        self.given
            .get(setting.key)
            .and_then(|given| given.last())
            .map_or(&Source::Default, |given| &given.source)
    }

    /// Refuses a number that is possible by itself, but too small beside another setting.
    pub(super) fn require_at_least(
        &mut self,
        setting: &Setting,
        value: u64,
        least: u64,
        because_of: &Setting,
    ) {
        if value < least {
            let because = format!("because of `{}` ({})", because_of.key, self.source(because_of).precise());
            self.errors.push(ConfigError::Impossible {
                key: setting.key.into(),
                at: self.source(setting).clone(),
                accepts: format!("at least {least} {because}"),
                found: Some(format!("`{value}`")),
            });
        }
    }

    /// Refuses a setting that has no effect without another.
    pub(super) fn require_with(&mut self, setting: &Setting, value: Option<String>, needed: &Setting) {
        self.errors.push(ConfigError::Impossible {
            key: setting.key.into(),
            at: self.source(setting).clone(),
            accepts: format!("unset without `{}`", needed.key),
            found: value.map(|value| format!("`{value}`")),
        });
    }

    /// Refuses a value that is possible by itself, but names nothing that there is.
    pub(super) fn require_one_of(&mut self, setting: &Setting, value: &str, known: &[&str]) {
        self.errors.push(ConfigError::Impossible {
            key: setting.key.into(),
            at: self.source(setting).clone(),
            accepts: format!("one of {}", known.join(", ")),
            found: Some(format!("`{value}`")),
        });
    }

    /// The configuration, unless anything was wrong on the way to it.
    pub(super) fn finish(self, config: Option<Config>) -> Result<Loaded, ConfigErrors> {
        let winner = |(key, mut given): (_, Vec<Given>)| Some((key, given.pop()?.source));
        let given = self.given.into_iter().map(|(key, given)| (Cow::Borrowed(key), given));
        let named = self.named.into_iter().map(|(key, given)| (Cow::Owned(key), given));
        match config {
            Some(config) if self.errors.is_empty() => Ok(Loaded {
                config,
                warnings: self.warnings,
                sources: given.chain(named).filter_map(winner).collect(),
            }),
            _ => Err(ConfigErrors::new(self.errors)),
        }
    }
}

/// The value in force of those given, if the rule accepts it. Those that lost are held against the rule as well.
fn decide<T: Value>(
    key: &str,
    secret: bool,
    given: &[Given],
    rule: &Rule<T>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let mut in_force = T::unset();
    for given in given {
        // A whole number is written without a point also where others are allowed.
        let fits = |found| found == T::TOML_TYPE || (found == "integer" && T::TOML_TYPE == "float");
        let mistyped = given.toml_type.filter(|&found| !fits(found));
        in_force = if mistyped.is_none() { (rule.parse)(&given.text) } else { None };
        if in_force.is_none() {
            let found = match mistyped {
                Some(found) => Some(format!("a TOML {found}")),
                None if secret => None,
                None => Some(format!("`{}`", mask_password(&given.text).escape_debug())),
            };
            errors.push(ConfigError::Impossible {
                key: key.to_owned(),
                at: given.source.clone(),
                accepts: rule.accepts.to_owned(),
                found,
            });
        }
    }
    in_force
}

/// Whether the table of settings has something of this name, which is not the operator's then.
fn is_always_there(family: Family, name: &str) -> bool {
    family.fields().iter().any(|field| reference().any(|setting| setting.key == family.key(name, field)))
}

/// The value as it would stand in a variable. Values of types that no setting has are refused for
/// their type and need no text.
fn text_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        // A number too long for this is too long for every setting, and is shown as it was written.
        DeValue::Integer(digits) => match i128::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => digits.to_string(),
        },
        DeValue::Float(digits) => digits.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Array(values) => {
            let texts: Vec<_> = values
                .iter()
                .map(|value| match value.get_ref() {
                    // Anything else in a list is no item of it, least of all an empty list.
                    DeValue::String(text) if !text.trim().is_empty() => text.to_string(),
                    other => format!("a TOML {}", other.type_str()),
                })
                .collect();
            texts.join(",")
        }
        _ => String::new(),
    }
}

fn nearest_key(key: &str) -> String {
    let known = reference().map(|setting| setting.key.to_owned());
    // What could be said of something of that name.
    let named = Family::of(key)
        .into_iter()
        .flat_map(|(family, name, _)| family.fields().iter().map(move |field| family.key(name, field)));
    known.chain(named).min_by_key(|known| distance(key, known)).unwrap_or_default()
}

fn nearest_variable(variable: &str) -> String {
    let as_key =
        |variable: &str| variable.trim_start_matches(VARIABLES).to_ascii_lowercase().replace("__", ".");
    let key = as_key(variable);
    let known = reference().map(Setting::variable).chain(HANDLED_ELSEWHERE.map(str::to_owned));
    known.min_by_key(|known| distance(&key, &as_key(known))).unwrap_or_default()
}

/// How little a key looks like a known one: in edits of the whole, or of its last part into any
/// part of the known key, for people forget or mistake the section. The whole breaks ties.
fn distance(key: &str, known: &str) -> (usize, usize) {
    let whole = osa_distance(key, known);
    let last = key.rsplit('.').next().unwrap_or(key);
    let part = known.split('.').map(|part| osa_distance(last, part) + 1).min();
    (part.map_or(whole, |part| part.min(whole)), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_forgives_a_slip_and_a_wrong_section() {
        for (written, meant) in [
            ("lisen", "listen"),
            ("admin.listen", "admin_listen"),
            ("databse_url", "database_url"),
            ("client_id", "tokens.prefixes.client_id"),
            ("tokens.client_secret", "tokens.prefixes.client_secret"),
            ("token.session_idle_second", "tokens.session_idle_seconds"),
            ("hashing.thread", "hashing.threads"),
            ("min_length", "password.min_length"),
        ] {
            assert_eq!(nearest_key(written), meant, "{written}");
        }
        assert!(nearest_key("tokens").starts_with("tokens."));
        assert!(!nearest_key("").is_empty());
    }

    #[test]
    fn the_nearest_variable_may_be_one_that_is_no_setting() {
        for (written, meant) in [
            ("KEYSTEAD_LISTN", "KEYSTEAD_LISTEN"),
            ("KEYSTEAD_listen", "KEYSTEAD_LISTEN"),
            ("KEYSTEAD_TOKENS_PREFIXES_SESSION", "KEYSTEAD_TOKENS__PREFIXES__SESSION"),
            ("KEYSTEAD_MASTERKEY", "KEYSTEAD_MASTER_KEY"),
            ("KEYSTEAD_MASTER_KEYFILE", "KEYSTEAD_MASTER_KEY_FILE"),
        ] {
            assert_eq!(nearest_variable(written), meant, "{written}");
        }
    }
}
