//! The members of a line's JSON object, and what is wrong with them.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

/// What is wrong with a line. It never repeats a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// In which field; nothing where it is the line as a whole.
    pub(super) field: Option<String>,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn of_line(reason: impl Into<String>) -> Self {
        Self { field: None, reason: reason.into() }
    }

    pub(super) fn of_field(field: &str, reason: impl fmt::Display) -> Self {
        Self { field: Some(field.to_owned()), reason: reason.to_string() }
    }
}

/// The members that were not read yet.
pub(super) struct Members {
    members: Vec<(String, Value)>,
    refusals: Vec<Refusal>,
}

impl Members {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(line) {
            Ok(Object(members)) => Ok(Self { members, refusals: Vec::new() }),
            // The library's own message could quote the line.
            Err(error) if error.classify() == Category::Data => Err(Refusal::of_line("is no JSON object")),
            Err(error) => Err(Refusal::of_line(format!("is no JSON from character {} on", error.column()))),
        }
    }

    /// A text that must be there and be a `T`.
    pub(super) fn required<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            Some(value) => self.parsed(name, &value),
            None => {
                self.refuse(name, "is missing");
                None
            }
        }
    }

    /// A text that, if it is there, must be a `T`. `null` is the same as nothing.
    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        self.parsed(name, &value)
    }

    /// A list of texts that must be there, each a `T`.
    pub(super) fn list<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<Vec<T>> {
        match self.take(name) {
            Some(Value::Array(values)) => values.iter().map(|value| self.parsed(name, value)).collect(),
            Some(_) => {
                self.refuse(name, "must be a list of texts");
                None
            }
            None => {
                self.refuse(name, "is missing");
                None
            }
        }
    }

    /// Whether a flag is set; it is not where it is missing.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.refuse(name, "must be true or false");
                false
            }
            None => false,
        }
    }

    /// What is wrong, which includes every member that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<Refusal> {
        for (name, _) in std::mem::take(&mut self.members) {
            self.refuse(&shown(&name), "is not known");
        }
        self.refusals
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, value: &Value) -> Option<T> {
        let Some(text) = value.as_str() else {
            self.refuse(name, "must be a text");
            return None;
        };
        text.parse().map_err(|error| self.refuse(name, error)).ok()
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let place = self.members.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.members.remove(place);
        let before = self.members.len();
        self.members.retain(|(known, _)| known != name);
        if self.members.len() < before {
            self.refuse(name, "is there more than once");
        }
        Some(value).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, name: &str, reason: impl fmt::Display) {
        self.refusals.push(Refusal::of_field(name, reason));
    }
}

/// A name that somebody else chose, short and without line breaks.
fn shown(name: &str) -> String {
    const MOST: usize = 40;
    let short: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().count() > MOST { format!("{short}…") } else { short }
}

/// All members in order, also those that are there twice.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

    use super::*;

    fn parse(line: &str) -> Members {
        Members::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn all_that_is_wrong_is_told_and_nothing_of_it_repeated() {
        let mut members =
            parse(r#"{"a":"secret","b":1,"c":true,"c":false,"d":null,"wrong\nname":"secret","e":"7"}"#);
        assert_eq!(members.required::<u8>("a"), None);
        assert_eq!(members.optional::<u8>("b"), None);
        assert!(members.flag("c"));
        assert_eq!(members.optional::<u8>("d"), None);
        assert_eq!(members.required::<u8>("f"), None);
        assert_eq!(members.optional::<u8>("e"), Some(7));
        let refusals = members.finish();
        let told: Vec<_> = refusals.iter().map(|refusal| refusal.field.as_deref().unwrap()).collect();
        assert_eq!(told, ["a", "b", "c", "f", "wrong\\nname"]);
        assert!(!format!("{refusals:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (line, reason) in [
            ("[\"secret\"]", "is no JSON object"),
            ("\"secret\"", "is no JSON object"),
            ("7", "is no JSON object"),
            ("secret", "is no JSON from character 1 on"),
            ("{\"a\":1", "is no JSON from character 6 on"),
            ("{\"a\":1} {}", "is no JSON from character 9 on"),
            ("{'a':1}", "is no JSON from character 2 on"),
        ] {
            let refusal = Members::parse(line.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(refusal, Refusal::of_line(reason), "{line}");
        }
        assert!(Members::parse(b"{\"a\":\"\xff\"}").is_err());
        let deep = format!("{{\"a\":{}", "[".repeat(10_000));
        assert!(Members::parse(deep.as_bytes()).is_err());
    }
}
