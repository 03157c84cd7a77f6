//! Lists that are read part by part: after the last row that was seen, and not after so many rows. So rows that
//! come or go meanwhile make no other row come twice or not at all.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::id::{Id, Kind};

/// What a list is sorted by. Rows that are alike in it are sorted by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortBy {
    /// By id, which is by when it was made, to the millisecond.
    Id,
    /// By when it was made.
    CreatedAt,
    /// By name, as the database compares texts.
    Name,
}

/// How a list is sorted: `createdAt`, or `-createdAt` for the other way round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// By what.
    pub by: SortBy,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Order {
    const WORDS: [(SortBy, &'static str); 3] =
        [(SortBy::Id, "id"), (SortBy::CreatedAt, "createdAt"), (SortBy::Name, "name")];
}

impl Default for Order {
    fn default() -> Self {
        Self { by: SortBy::Id, descending: false }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, word) = Self::WORDS.iter().find(|(by, _)| *by == self.by).ok_or(fmt::Error)?;
        write!(f, "{}{word}", if self.descending { "-" } else { "" })
    }
}

/// A text that is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of id, createdAt, name, or one of these after a hyphen")]
pub struct InvalidOrder;

impl FromStr for Order {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let (descending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        let (by, _) = Self::WORDS.iter().find(|(_, known)| *known == word).ok_or(InvalidOrder)?;
        Ok(Self { by: *by, descending })
    }
}

/// What rows have to have somewhere in their names: 1 to 200 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search(String);

impl Search {
    const MAX_CHARS: usize = 200;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern for `LIKE … ESCAPE '\'` that a text with this somewhere in it matches.
    pub fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        for c in self.0.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        pattern
    }
}

/// A text that cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200 characters without control characters")]
pub struct InvalidSearch;

impl FromStr for Search {
    type Err = InvalidSearch;

    fn from_str(text: &str) -> Result<Self, InvalidSearch> {
        let length = text.chars().take(Self::MAX_CHARS + 1).count();
        if (1..=Self::MAX_CHARS).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSearch)
        }
    }
}

/// How many rows a part has at most: 1 to 200.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSize(u16);

impl PageSize {
    const MAX: u16 = 200;

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// A text that is no size of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200")]
pub struct InvalidPageSize;

impl FromStr for PageSize {
    type Err = InvalidPageSize;

    fn from_str(text: &str) -> Result<Self, InvalidPageSize> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (1..=Self::MAX).contains(number));
        number.map(Self).ok_or(InvalidPageSize)
    }
}

/// What a row is sorted by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Its id alone.
    Id,
    /// When it was made.
    CreatedAt(Timestamp),
    /// Its name.
    Name(String),
}

/// Where in a list a row stands.
pub struct Place<K: Kind> {
    /// What it is sorted by.
    pub mark: Mark,
    /// Its id.
    pub id: Id<K>,
}

impl<K: Kind> Place<K> {
    /// The place of a row in a list of this order.
    pub fn of(order: Order, id: Id<K>, created_at: Timestamp, name: &str) -> Self {
        let mark = match order.by {
            SortBy::Id => Mark::Id,
            SortBy::CreatedAt => Mark::CreatedAt(created_at),
            SortBy::Name => Mark::Name(name.to_owned()),
        };
        Self { mark, id }
    }

    /// Whether it is a place in a list of this order.
    pub const fn fits(&self, order: Order) -> bool {
        matches!(
            (&self.mark, order.by),
            (Mark::Id, SortBy::Id) | (Mark::CreatedAt(_), SortBy::CreatedAt) | (Mark::Name(_), SortBy::Name)
        )
    }
}

/// Which part of a list is wanted.
pub struct Listing<K: Kind> {
    /// How it is sorted.
    pub order: Order,
    /// Only rows that have this in their names.
    pub search: Option<Search>,
    /// At most so many.
    pub limit: PageSize,
    /// Only what comes after this.
    pub after: Option<Place<K>>,
}

/// A part of a list.
pub struct Part<T, K: Kind> {
    /// The rows.
    pub items: Vec<T>,
    /// The last of them, where more come after it.
    pub next: Option<Place<K>>,
}

// What is derived would ask it of the kind as well.
impl<K: Kind> Clone for Place<K> {
    fn clone(&self) -> Self {
        Self { mark: self.mark.clone(), id: self.id }
    }
}

impl<K: Kind> Clone for Listing<K> {
    fn clone(&self) -> Self {
        let (order, limit) = (self.order, self.limit);
        Self { order, search: self.search.clone(), limit, after: self.after.clone() }
    }
}

impl<K: Kind> Listing<K> {
    /// How many rows to read, to know whether there are more than wanted.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit.get()) + 1
    }

    /// The part that these [rows](Self::rows) make.
    pub fn part<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> Place<K>) -> Part<T, K> {
        let limit = usize::from(self.limit.get());
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(place);
        Part { items: rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_are_written() {
        for text in ["id", "-id", "createdAt", "-createdAt", "name", "-name"] {
            assert_eq!(text.parse::<Order>().unwrap().to_string(), text);
        }
        for bad in ["", "-", "--id", "created_at", "Name", "id "] {
            assert!(bad.parse::<Order>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_means_something_in_a_pattern_is_escaped() {
        let search: Search = r"50%_a\b".parse().unwrap();
        assert_eq!(search.pattern(), r"%50\%\_a\\b%");
        for bad in ["", "a\0b", "a\nb", &"x".repeat(201)] {
            assert!(bad.parse::<Search>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_part_has_1_to_200_rows() {
        for (text, size) in [("1", 1), ("200", 200), ("050", 50)] {
            assert_eq!(text.parse::<PageSize>().unwrap().get(), size);
        }
        for bad in ["0", "201", "-1", "+5", "", "1.0", "99999999999"] {
            assert!(bad.parse::<PageSize>().is_err(), "{bad}");
        }
    }
}
