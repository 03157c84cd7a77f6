//! The query of a request: which page of a list, and of what.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpRequest;
use keystead_service::paging::PageAsked;

use crate::body::{self, Fields, Required};
use crate::error::Envelope;

/// The most entries of a page, and how many there are where nothing is asked for.
const MOST: u32 = 100;
const USUAL: u32 = 20;
/// The last page that can be asked for: there are no lists of that length.
const LAST: u32 = 10_000_000;

/// The parameters of a query. What is wrong with them is told at the end, all at once.
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    fields: Fields,
}

impl Query {
    pub(crate) fn read(request: &HttpRequest) -> Result<Self, Envelope> {
        let parameters = body::form(request.query_string().as_bytes())?;
        Ok(Self { parameters, fields: Fields::default() })
    }

    fn text(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone())
    }

    /// A parameter that, if it is there, must be a `T`.
    pub(crate) fn optional<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let text = self.text(name);
        self.fields.optional(name, text.as_deref())
    }

    fn number(&mut self, name: &'static str, usual: u32, most: u32) -> Option<u32> {
        let Some(text) = self.text(name) else { return Some(usual) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.fields.refuse(name, format_args!("must be a number from 1 to {most}"));
        }
        number
    }

    /// Which page is asked for: `page` from 1, of `limit` entries.
    pub(crate) fn page(&mut self) -> Option<PageAsked> {
        let (number, size) = (self.number("page", 1, LAST), self.number("limit", USUAL, MOST));
        Some(PageAsked { number: number?, size: size? })
    }

    /// The values, or all errors there were.
    pub(crate) fn finish<T: Required>(self, values: T) -> Result<T::Present, Envelope> {
        self.fields.finish(values).map_err(Envelope::Query)
    }
}

/// Which page is asked for, where that is all that can be.
pub(crate) fn page(request: &HttpRequest) -> Result<PageAsked, Envelope> {
    let mut query = Query::read(request)?;
    let page = query.page();
    query.finish(page)
}
