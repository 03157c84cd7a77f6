//! Which part of a list is asked for, and the cursor to the next one.
//!
//! A cursor holds the place of the last row that was seen, which list that was, and how it was sorted and
//! searched. It opens nothing: what it leads to is the caller's to see or not, and it is taken only where it is
//! exactly what would have been written.

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_domain::Timestamp;
use keystead_domain::id::{Kind, TenantId};
use keystead_domain::listing::{Listing, Mark, Order, PageSize, Part, Place, Search};
use serde::{Deserialize, Serialize};

use super::views::{Many, NextPart};
use crate::body::Fields;
use crate::error::{BearerError, Fault};
use crate::query::Query;

/// What a cursor is written as.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The list, by the prefix of its rows' ids.
    of: String,
    tenant: String,
    sort: String,
    search: Option<String>,
    id: String,
    at: Option<i64>,
    name: Option<String>,
}

impl Cursor {
    fn new<K: Kind>(tenant: TenantId, listing: &Listing<K>, place: &Place<K>) -> Self {
        let (at, name) = match &place.mark {
            Mark::Id => (None, None),
            Mark::CreatedAt(at) => (Some(at.as_micros()), None),
            Mark::Name(name) => (None, Some(name.clone())),
        };
        Self {
            of: K::PREFIX.to_owned(),
            tenant: tenant.to_string(),
            sort: listing.order.to_string(),
            search: listing.search.as_ref().map(|search| search.as_str().to_owned()),
            id: place.id.to_string(),
            at,
            name,
        }
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The place that a cursor of this list leads to.
    fn read<K: Kind>(text: &str, tenant: TenantId, listing: &Listing<K>) -> Option<Place<K>> {
        let cursor: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mark = match (cursor.at, &cursor.name) {
            (None, None) => Mark::Id,
            (Some(at), None) => Mark::CreatedAt(Timestamp::from_micros(at)),
            // No database takes NUL, and no name has it.
            (None, Some(name)) if !name.chars().any(char::is_control) => Mark::Name(name.clone()),
            (_, Some(_)) => return None,
        };
        let place = Place { mark, id: cursor.id.parse().ok()? };
        let same = Self::new(tenant, listing, &place) == cursor && cursor.write() == text;
        (same && place.fits(listing.order)).then_some(place)
    }
}

/// The part that `limit`, `sort`, `search` and `cursor` ask for.
pub(crate) fn asked<K: Kind>(request: &HttpRequest, tenant: TenantId) -> Result<Listing<K>, BearerError> {
    let query = Query::of(request)?;
    let mut fields = Fields::default();
    let limit: Option<PageSize> = fields.optional("limit", query.get("limit"));
    let order: Option<Order> = fields.optional("sort", query.get("sort"));
    let search: Option<Search> = fields.optional("search", query.get("search"));
    fields.finish(Some(()))?;
    let (limit, order) = (limit.unwrap_or_default(), order.unwrap_or_default());
    let mut listing = Listing { order, search, limit, after: None };
    if let Some(cursor) = query.get("cursor") {
        let place = Cursor::read(cursor, tenant, &listing);
        let wrong =
            || Fault::Malformed("The cursor is none of this list, sorted and searched like this.".into());
        listing.after = Some(place.ok_or_else(wrong)?);
    }
    Ok(listing)
}

/// A part as it is shown, with the cursor to the next.
pub(crate) fn shown<T, K: Kind, V>(
    part: Part<T, K>,
    tenant: TenantId,
    listing: &Listing<K>,
    view: impl Fn(&T) -> V,
) -> Many<V> {
    let next_cursor = part.next.map(|place| Cursor::new(tenant, listing, &place).write());
    let data = part.items.iter().map(view).collect();
    Many { data, pagination: NextPart { next_cursor, limit: listing.limit.get() } }
}
