//! How the bearer API shows one thing, and a part of a list.

use serde::Serialize;
use utoipa::ToSchema;

/// One thing.
#[derive(Serialize, ToSchema)]
pub(crate) struct Single<T> {
    pub(crate) data: T,
}

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Many<T> {
    pub(crate) data: Vec<T>,
    pub(crate) pagination: NextPart,
}

/// Where the list goes on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NextPart {
    /// What to ask for with `cursor`; `null` at the end.
    #[schema(nullable, required)]
    pub(crate) next_cursor: Option<String>,
    pub(crate) limit: u16,
}
