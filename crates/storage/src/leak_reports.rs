//! API keys that were reported as leaked, until the worker has looked whose they are.

use diesel::prelude::*;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::leak_reports;
use crate::{PlatformTx, StoreError};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = leak_reports)]
struct ReportRow {
    digest: Vec<u8>,
    reported_at: i64,
}

/// Adds the digests of what was reported; one that waits already stays.
pub fn insert(tx: &mut PlatformTx<'_>, reported: &[TokenDigest], now: Timestamp) -> Result<(), StoreError> {
    for digest in reported {
        let row = ReportRow { digest: digest.as_bytes().to_vec(), reported_at: now.as_micros() };
        on!(tx, |conn| diesel::insert_into(leak_reports::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(conn))?;
    }
    Ok(())
}

/// At most `limit` digests that wait, the oldest first.
pub fn list_waiting(tx: &mut PlatformTx<'_>, limit: i64) -> Result<Vec<TokenDigest>, StoreError> {
    let rows: Vec<ReportRow> =
        on!(tx, |conn| ReportRow::query().order(leak_reports::reported_at).limit(limit).load(conn))?;
    let read = Reading { table: "leak_reports", row: "" };
    rows.iter().map(|row| Ok(TokenDigest::from_bytes(read.bytes("digest", &row.digest)?))).collect()
}

/// Removes a report in the transaction that deals with it; true for one caller.
pub fn consume(tx: &mut PlatformTx<'_>, reported: &TokenDigest) -> Result<bool, StoreError> {
    let key = reported.as_bytes().to_vec();
    let removed = on!(tx, |conn| diesel::delete(leak_reports::table.find(key)).execute(conn))?;
    Ok(removed == 1)
}
