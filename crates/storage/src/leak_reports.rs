//! API keys that were reported as leaked, until the worker has looked whose they are.

use diesel::prelude::*;
use keystead_domain::api_key::KeyPrefix;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::leak_reports;
use crate::{PlatformTx, StoreError};

/// What was reported: what the key is looked up by, and the digest of all of it.
#[derive(Clone, Copy, Debug)]
pub struct LeakReport {
    /// What it is looked up by.
    pub prefix: KeyPrefix,
    /// The digest of the whole key.
    pub digest: TokenDigest,
}

#[derive(HasQuery, Insertable)]
#[diesel(table_name = leak_reports)]
struct ReportRow {
    prefix: String,
    digest: Vec<u8>,
    reported_at: i64,
}

/// Adds reports; one that waits already stays.
pub fn insert(tx: &mut PlatformTx<'_>, reports: &[LeakReport], now: Timestamp) -> Result<(), StoreError> {
    for report in reports {
        let row = ReportRow {
            prefix: report.prefix.to_string(),
            digest: report.digest.as_bytes().to_vec(),
            reported_at: now.as_micros(),
        };
        on!(tx, |conn| diesel::insert_into(leak_reports::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(conn))?;
    }
    Ok(())
}

/// At most `limit` reports that wait, the oldest first.
pub fn list_waiting(tx: &mut PlatformTx<'_>, limit: i64) -> Result<Vec<LeakReport>, StoreError> {
    let rows: Vec<ReportRow> =
        on!(tx, |conn| ReportRow::query().order(leak_reports::reported_at).limit(limit).load(conn))?;
    let report = |row: ReportRow| {
        let read = Reading { table: "leak_reports", row: &row.prefix };
        Ok(LeakReport {
            prefix: read.parse("prefix", &row.prefix)?,
            digest: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
        })
    };
    rows.into_iter().map(report).collect()
}

/// Removes a report in the transaction that deals with it; true for one caller.
pub fn consume(tx: &mut PlatformTx<'_>, report: &LeakReport) -> Result<bool, StoreError> {
    let key = (report.prefix.to_string(), report.digest.as_bytes().to_vec());
    let removed = on!(tx, |conn| diesel::delete(leak_reports::table.find(key)).execute(conn))?;
    Ok(removed == 1)
}
