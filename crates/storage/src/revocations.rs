//! What was ended of late: rows that tell other processes what to forget.
//!
//! Functions that end or change what a right hangs on say so to their transaction, and the store
//! writes the rows with it. Numbers are handed out in any order on PostgreSQL, and those of
//! transactions that rolled back are never seen; `Followed` keeps account of both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use keystead_domain::revocation::Revocation;

use crate::connection::Connection;
use crate::schema::revocations;
use crate::{PlatformTx, StoreError};

/// How many rows are kept. A process that is further behind forgets everything.
const KEPT: i64 = 50_000;

/// How far back somebody who begins to follow looks for numbers whose transaction is still open.
const LOOKED_BACK: i64 = 1_000;

/// How long a missing number may still turn up. No transaction lasts longer.
const OPEN_AT_MOST: Duration = Duration::from_secs(60);

/// How many missing numbers are waited for by name.
const MISSING_AT_MOST: usize = 1_000;

/// Writes what a transaction ended.
pub(crate) fn insert(connection: &mut Connection, revoked: &[Revocation]) -> Result<(), StoreError> {
    for one in revoked {
        let (kind, key) = one.to_words();
        let values = (revocations::kind.eq(kind), revocations::key.eq(key));
        on!(connection, |conn| diesel::insert_into(revocations::table).values(values).execute(conn))?;
    }
    Ok(())
}

/// Removes rows that everybody has long seen; returns how many, `limit` at most.
pub fn remove_old(tx: &mut PlatformTx<'_>, limit: i64) -> Result<usize, StoreError> {
    let newest: Option<i64> =
        on!(tx, |conn| revocations::table.select(diesel::dsl::max(revocations::seq)).get_result(conn))?;
    let Some(newest) = newest else { return Ok(0) };
    let old: Vec<i64> = on!(tx, |conn| revocations::table
        .filter(revocations::seq.le(newest - KEPT))
        .select(revocations::seq)
        .limit(limit)
        .load(conn))?;
    Ok(on!(tx, |conn| diesel::delete(revocations::table)
        .filter(revocations::seq.eq_any(&old))
        .execute(conn))?)
}

/// What one look at the rows tells.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// These were ended.
    Revoked(Vec<Revocation>),
    /// It cannot be said what was ended.
    Everything,
}

/// How far somebody has read.
#[derive(Default)]
pub(crate) struct Followed {
    /// The newest number that was seen; nothing before the first look.
    newest: Option<i64>,
    /// Smaller ones that were not, each with when that was noticed.
    missing: BTreeMap<i64, Instant>,
    /// Until when more numbers are missing than are waited for by name.
    lost_until: Option<Instant>,
}

#[derive(HasQuery)]
#[diesel(table_name = revocations)]
struct Row {
    seq: i64,
    kind: String,
    key: String,
}

impl Followed {
    /// Looks what is new at `now`.
    pub(crate) fn look(&mut self, connection: &mut Connection, now: Instant) -> Result<News, StoreError> {
        let rows = self.fetch(connection)?;
        Ok(self.take(rows, now))
    }

    fn fetch(&self, connection: &mut Connection) -> Result<Vec<Row>, StoreError> {
        let after = match self.newest {
            Some(newest) => newest,
            None => {
                let newest: Option<i64> = on!(connection, |conn| revocations::table
                    .select(diesel::dsl::max(revocations::seq))
                    .get_result(conn))?;
                newest.unwrap_or(0) - LOOKED_BACK
            }
        };
        let missing: Vec<i64> = self.missing.keys().copied().collect();
        Ok(on!(connection, |conn| Row::query()
            .filter(revocations::seq.gt(after).or(revocations::seq.eq_any(&missing)))
            .order(revocations::seq)
            .limit(KEPT + 1)
            .load(conn))?)
    }

    /// Takes account of the rows that were fetched, the smallest number first.
    fn take(&mut self, rows: Vec<Row>, now: Instant) -> News {
        let begins = self.newest.is_none();
        let mut expected = match (self.newest, rows.first()) {
            (Some(newest), _) => newest + 1,
            (None, Some(first)) => first.seq,
            (None, None) => 1,
        };
        let too_many = i64::try_from(rows.len()).unwrap_or(i64::MAX) > KEPT;
        let mut revoked = Vec::new();
        let mut unknown = false;
        for row in rows {
            if row.seq >= expected {
                if row.seq - expected > KEPT {
                    self.lost_until = Some(now + OPEN_AT_MOST);
                } else {
                    self.missing.extend((expected..row.seq).map(|seq| (seq, now)));
                }
                expected = row.seq + 1;
            }
            self.missing.remove(&row.seq);
            match Revocation::from_words(&row.kind, &row.key) {
                Some(one) => revoked.push(one),
                None => unknown = true,
            }
        }
        self.newest = Some(expected - 1);
        self.missing.retain(|_, noticed| now.saturating_duration_since(*noticed) < OPEN_AT_MOST);
        while self.missing.len() > MISSING_AT_MOST {
            self.missing.pop_first();
            self.lost_until = Some(now + OPEN_AT_MOST);
        }
        let lost = self.lost_until.is_some_and(|until| now < until);
        if begins || too_many || unknown || lost { News::Everything } else { News::Revoked(revoked) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[i64]) -> Vec<Row> {
        let row = |seq: &i64| Row { seq: *seq, kind: "signing_keys".to_owned(), key: String::new() };
        numbers.iter().map(row).collect()
    }

    fn revoked(count: usize) -> News {
        News::Revoked(vec![Revocation::SigningKeys; count])
    }

    #[test]
    fn numbers_that_come_late_are_not_missed() {
        let (mut followed, now) = (Followed::default(), Instant::now());
        assert_eq!(followed.take(rows(&[7, 9]), now), News::Everything, "what was before is not known");
        assert_eq!(followed.missing.keys().copied().collect::<Vec<_>>(), [8]);
        assert_eq!(followed.take(rows(&[10, 13]), now), revoked(2));
        assert_eq!(followed.missing.keys().copied().collect::<Vec<_>>(), [8, 11, 12]);
        assert_eq!(followed.take(rows(&[8, 12]), now), revoked(2));
        assert_eq!(followed.take(rows(&[]), now), revoked(0));
        assert_eq!(followed.missing.keys().copied().collect::<Vec<_>>(), [11]);
        followed.take(rows(&[]), now + OPEN_AT_MOST);
        assert!(followed.missing.is_empty(), "rolled back");
    }

    #[test]
    fn the_first_number_of_a_new_database_is_followed() {
        let (mut followed, now) = (Followed::default(), Instant::now());
        assert_eq!(followed.take(rows(&[]), now), News::Everything);
        assert_eq!(followed.take(rows(&[2]), now), revoked(1));
        assert_eq!(followed.take(rows(&[1]), now), revoked(1));
    }

    #[test]
    fn what_cannot_be_told_ends_everything() {
        let (mut followed, now) = (Followed::default(), Instant::now());
        followed.take(rows(&[1]), now);
        let mut newer = rows(&[2]);
        newer[0].kind = "moon".to_owned();
        assert_eq!(followed.take(newer, now), News::Everything, "a newer version ended something");
        assert_eq!(followed.take(rows(&[5_000]), now), News::Everything, "too many are missing");
        assert_eq!(followed.take(rows(&[5_001]), now), News::Everything, "and may still come");
        assert_eq!(followed.take(rows(&[5_002]), now + OPEN_AT_MOST), revoked(1));
        assert_eq!(followed.take(rows(&[5_002 + 2 * KEPT]), now + OPEN_AT_MOST), News::Everything);
    }
}
