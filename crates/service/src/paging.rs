//! Lists that are read a numbered page at a time.

/// Which page of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PageAsked {
    /// Its number, from 1.
    pub number: u32,
    /// How many entries a page has at most.
    pub size: u32,
}

impl PageAsked {
    pub(crate) fn offset(self) -> i64 {
        i64::from(self.number.saturating_sub(1)) * i64::from(self.size)
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.size)
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// Its entries.
    pub items: Vec<T>,
    /// How many the whole list has.
    pub total: i64,
}
