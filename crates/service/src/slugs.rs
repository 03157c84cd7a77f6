//! Slugs for what is being made, where one may be taken.

use keystead_domain::slug::Slug;

use crate::Engine;

/// How many derived slugs are tried, all but the first with a suffix.
const ATTEMPTS: usize = 8;

/// The slugs to try, the next one where the last was taken: a given one and no other, or a derived one and then some
/// with suffixes.
pub(crate) fn candidates(engine: &Engine, given: Option<Slug>, derived: Slug) -> impl Iterator<Item = Slug> {
    let attempts = if given.is_some() { 1 } else { ATTEMPTS };
    let first = given.unwrap_or(derived);
    (0..attempts).map(move |attempt| {
        if attempt == 0 {
            return first.clone();
        }
        let mut random = [0; 4];
        engine.env.fill(&mut random);
        first.with_suffix(random)
    })
}
