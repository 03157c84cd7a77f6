//! Seals of the audit trail, and what they cover. They are the deployment's: a seal covers what
//! one process wrote for whichever owners.

use diesel::dsl::not;
use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::audit::check::StoredSeal;
use keystead_domain::audit::record::{EventDigest, StoredEvent};
use keystead_domain::audit::seal::{EndMark, Head, Link, MOST_IN_A_SEAL, Mac, Removal, Seal, Vouch};
use keystead_domain::id::ProcessId;

use crate::audit::EventRow;
use crate::row::Reading;
use crate::schema::{audit_events, audit_processes, audit_seals};
use crate::{PlatformTx, StoreError, deployment, dialect};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = audit_seals)]
struct SealRow {
    number: i64,
    process: String,
    ordinal: i64,
    first_event: i64,
    last_event: i64,
    absent: String,
    sealed_by: String,
    sealed_at: i64,
    hash: Vec<u8>,
    previous_of_process: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
    key_id: String,
    mac: Vec<u8>,
    removed_at: Option<i64>,
    removal_mac: Option<Vec<u8>>,
}

impl From<&Seal> for SealRow {
    fn from(seal: &Seal) -> Self {
        let bytes = |mac: Mac| mac.as_bytes().to_vec();
        Self {
            number: seal.number,
            process: seal.process.to_string(),
            ordinal: seal.ordinal,
            first_event: seal.first,
            last_event: seal.last,
            absent: seal.absent.to_string(),
            sealed_by: seal.by.as_str().to_owned(),
            sealed_at: seal.at.as_micros(),
            hash: seal.hash.to_vec(),
            previous_of_process: seal.previous_of_process.map(bytes),
            previous: seal.previous.map(bytes),
            key_id: seal.key_id.clone(),
            mac: bytes(seal.mac),
            removed_at: seal.removed.map(|removed| removed.at.as_micros()),
            removal_mac: seal.removed.map(|removed| bytes(removed.mac)),
        }
    }
}

impl TryFrom<SealRow> for Seal {
    type Error = StoreError;

    fn try_from(row: SealRow) -> Result<Self, StoreError> {
        let name = row.number.to_string();
        let read = Reading { table: "audit_seals", row: &name };
        let mac = |column, bytes: &[u8]| read.bytes(column, bytes).map(Mac::from_bytes);
        let some = |column, bytes: Option<Vec<u8>>| bytes.map(|bytes| mac(column, &bytes)).transpose();
        let removed = match (row.removed_at, some("removal_mac", row.removal_mac)?) {
            (Some(at), Some(mac)) => Some(Removal { at: Timestamp::from_micros(at), mac }),
            (None, None) => None,
            _ => return Err(read.impossible("removed_at")),
        };
        Ok(Self {
            number: row.number,
            process: read.parse("process", &row.process)?,
            ordinal: row.ordinal,
            first: row.first_event,
            last: row.last_event,
            absent: read.parse("absent", &row.absent)?,
            by: read.parse("sealed_by", &row.sealed_by)?,
            at: Timestamp::from_micros(row.sealed_at),
            hash: read.bytes("hash", &row.hash)?,
            previous_of_process: some("previous_of_process", row.previous_of_process)?,
            previous: some("previous", row.previous)?,
            key_id: row.key_id,
            mac: mac("mac", &row.mac)?,
            removed,
        })
    }
}

/// How many seals are read at once when the newest authentic one is looked for.
const FEW: i64 = 16;

/// Where all seals end.
pub fn head(tx: &mut PlatformTx<'_>, key: &dyn Vouch) -> Result<Head, StoreError> {
    let (mut head, mut up_to) = (Head::NONE, Some(i64::MAX));
    while let Some(highest) = up_to {
        let rows: Vec<SealRow> = on!(tx, |conn| SealRow::query()
            .filter(audit_seals::number.le(highest))
            .order(audit_seals::number.desc())
            .limit(FEW)
            .load(conn))?;
        up_to = rows.last().and_then(|row| row.number.checked_sub(1)).filter(|next| *next < highest);
        head.number = rows.iter().map(|row| row.number).fold(head.number, i64::max);
        if let Some(seal) = rows.into_iter().find_map(|row| authentic(row, key)) {
            head.mac = Some(seal.mac);
            break;
        }
    }
    Ok(head)
}

/// Where the seals of a process end; nothing where it has none.
pub fn link(
    tx: &mut PlatformTx<'_>,
    process: ProcessId,
    key: &dyn Vouch,
) -> Result<Option<Link>, StoreError> {
    let process = process.to_string();
    let (mut link, mut up_to) = (None::<Link>, Some(i64::MAX));
    while let Some(highest) = up_to {
        let rows: Vec<SealRow> = on!(tx, |conn| SealRow::query()
            .filter(audit_seals::process.eq(&process))
            .filter(audit_seals::ordinal.le(highest))
            .order(audit_seals::ordinal.desc())
            .limit(FEW)
            .load(conn))?;
        up_to = rows.last().and_then(|row| row.ordinal.checked_sub(1)).filter(|next| *next < highest);
        for row in rows {
            let ordinal = link.map_or(row.ordinal, |link| link.ordinal.max(row.ordinal));
            if let Some(seal) = authentic(row, key) {
                return Ok(Some(Link { ordinal, last: seal.last, mac: Some(seal.mac) }));
            }
            link = Some(Link { ordinal, last: 0, mac: None });
        }
    }
    Ok(link)
}

fn authentic(row: SealRow, key: &dyn Vouch) -> Option<Seal> {
    Seal::try_from(row).ok().filter(|seal| seal.is_authentic(key))
}

/// Whether any process but this one has a seal.
pub fn any_of_others(tx: &mut PlatformTx<'_>, process: ProcessId) -> Result<bool, StoreError> {
    let others = audit_seals::table.filter(audit_seals::process.ne(process.to_string()));
    Ok(on!(tx, |conn| diesel::select(diesel::dsl::exists(others)).get_result(conn))?)
}

/// Adds a seal after `head`. Its place may be [taken](crate::UniqueKey::AuditSeal). The mark of the end
/// moves with it, unless the mark is of another end: then something is wrong, and stays so.
pub fn insert(tx: &mut PlatformTx<'_>, seal: &Seal, head: Head, key: &dyn Vouch) -> Result<(), StoreError> {
    let row = SealRow::from(seal);
    execute!(tx, diesel::insert_into(audit_seals::table).values(&row))?;
    // Read when the place is ours: nobody else moves it until we have committed.
    if deployment::audit_end(tx)?.and_then(|mark| mark.authentic(key)) == Some(head) {
        deployment::move_audit_end(tx, &EndMark::new(Head::after(seal), key))?;
    }
    Ok(())
}

/// The seals with numbers after this one, ascending, at most `limit`.
pub fn list(tx: &mut PlatformTx<'_>, after: i64, limit: i64) -> Result<Vec<StoredSeal>, StoreError> {
    let rows: Vec<SealRow> = on!(tx, |conn| SealRow::query()
        .filter(audit_seals::number.gt(after))
        .order(audit_seals::number)
        .limit(limit)
        .load(conn))?;
    Ok(rows.into_iter().map(stored).collect())
}

/// The seals that cover numbers of a process between these two, ascending.
pub fn covering(
    tx: &mut PlatformTx<'_>,
    process: &str,
    first: i64,
    last: i64,
) -> Result<Vec<StoredSeal>, StoreError> {
    let rows: Vec<SealRow> = on!(tx, |conn| SealRow::query()
        .filter(audit_seals::process.eq(process))
        .filter(audit_seals::last_event.ge(first))
        .filter(audit_seals::first_event.le(last))
        .order(audit_seals::number)
        .load(conn))?;
    Ok(rows.into_iter().map(stored).collect())
}

fn stored(row: SealRow) -> StoredSeal {
    let number = row.number;
    Seal::try_from(row).map_or(StoredSeal::Illegible(number), |seal| StoredSeal::Legible(Box::new(seal)))
}

/// When a seal was made, and its number.
pub type Age = (Timestamp, i64);

/// The seals that were made until `cutoff`, come after this one, and still have their events: at
/// most `limit`, the oldest first.
pub fn list_removable(
    tx: &mut PlatformTx<'_>,
    cutoff: Timestamp,
    after: Age,
    limit: i64,
) -> Result<Vec<(Age, StoredSeal)>, StoreError> {
    let (at, number) = (after.0.as_micros(), after.1);
    let later = audit_seals::sealed_at.gt(at).or(audit_seals::number.gt(number));
    let rows: Vec<SealRow> = on!(tx, |conn| SealRow::query()
        .filter(audit_seals::removed_at.is_null())
        .filter(audit_seals::sealed_at.between(at, cutoff.as_micros()))
        .filter(later)
        .order((audit_seals::sealed_at, audit_seals::number))
        .limit(limit)
        .load(conn))?;
    Ok(rows
        .into_iter()
        .map(|row| ((Timestamp::from_micros(row.sealed_at), row.number), stored(row)))
        .collect())
}

/// Removes the events that a seal covers, and marks the seal, unless it is marked already.
pub fn remove_range(tx: &mut PlatformTx<'_>, seal: &Seal, removal: &Removal) -> Result<bool, StoreError> {
    let marked = execute!(
        tx,
        diesel::update(audit_seals::table.find(seal.number)).filter(audit_seals::removed_at.is_null()).set((
            audit_seals::removed_at.eq(removal.at.as_micros()),
            audit_seals::removal_mac.eq(removal.mac.as_bytes().to_vec()),
        ))
    )?;
    if marked == 0 {
        return Ok(false);
    }
    let range = audit_events::number.between(seal.first, seal.last);
    on!(tx, |conn| diesel::delete(audit_events::table)
        .filter(audit_events::process.eq(seal.process.to_string()))
        .filter(range)
        .execute(conn))?;
    Ok(true)
}

/// The events of a process with numbers from `first` to `last`, ascending, at most `limit`.
pub fn events(
    tx: &mut PlatformTx<'_>,
    process: &str,
    first: i64,
    last: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let rows: Vec<EventRow> = on!(tx, |conn| EventRow::query()
        .filter(audit_events::process.eq(process))
        .filter(audit_events::number.between(first, last))
        .order(audit_events::number)
        .limit(limit)
        .load(conn))?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// The events that a seal covers, ascending. Of a range that is too long to be genuine, the first.
pub fn events_of(tx: &mut PlatformTx<'_>, seal: &Seal) -> Result<Vec<StoredEvent>, StoreError> {
    events(tx, &seal.process.to_string(), seal.first, seal.last, 2 * MOST_IN_A_SEAL as i64)
}

/// When the newest event of a process is from.
pub fn newest_at(tx: &mut PlatformTx<'_>, process: ProcessId) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = on!(tx, |conn| audit_events::table
        .filter(audit_events::process.eq(process.to_string()))
        .order(audit_events::number.desc())
        .select(audit_events::at)
        .first(conn)
        .optional())?;
    Ok(at.map(Timestamp::from_micros))
}

/// The first process after this text that has events.
pub fn next_process(tx: &mut PlatformTx<'_>, after: &str) -> Result<Option<String>, StoreError> {
    let is_text = dialect::has_type(tx.connection(), "process", "text");
    let next: Option<Option<String>> = on!(tx, |conn| audit_events::table
        .filter(audit_events::process.gt(after))
        .filter(is_text)
        .order(audit_events::process)
        .select(audit_events::process)
        .first(conn)
        .optional())?;
    Ok(next.flatten())
}

/// How many events have no number, or no process, or something else in their place.
pub fn count_unnumbered(tx: &mut PlatformTx<'_>) -> Result<i64, StoreError> {
    let nameless = audit_events::process.is_null().or(audit_events::process.eq("").assume_not_null());
    let unnumbered = nameless.or(audit_events::number.is_null());
    let process_is_text = dialect::has_type(tx.connection(), "process", "text");
    let number_is_integer = dialect::has_type(tx.connection(), "number", "integer");
    let unnumbered = unnumbered.or(not(process_is_text)).or(not(number_is_integer));
    Ok(on!(tx, |conn| audit_events::table.filter(unnumbered).count().get_result(conn))?)
}

/// Which of these numbers of a process are events. A transaction that is still being committed is
/// waited for; one that is not will never come back: after this, the answer stays.
pub fn settle(
    tx: &mut PlatformTx<'_>,
    process: ProcessId,
    numbers: Vec<(i64, EventDigest)>,
) -> Result<Vec<(i64, EventDigest)>, StoreError> {
    let process = process.to_string();
    let mut written = Vec::new();
    for (number, digest) in numbers {
        let id = format!("settling {process} {number}");
        // Takes the number's place in the index, if nobody has it.
        let place = (
            audit_events::owner.eq("platform"),
            audit_events::id.eq(&id),
            audit_events::at.eq(0),
            audit_events::actor_kind.eq(""),
            audit_events::action.eq(""),
            audit_events::outcome.eq(""),
            audit_events::process.eq(&process),
            audit_events::number.eq(number),
        );
        let free = on!(tx, |conn| diesel::insert_into(audit_events::table)
            .values(place)
            .on_conflict((audit_events::process, audit_events::number))
            .do_nothing()
            .execute(conn))?;
        if free == 0 {
            written.push((number, digest));
        } else {
            on!(tx, |conn| diesel::delete(audit_events::table.find(("platform", &id))).execute(conn))?;
        }
    }
    Ok(written)
}

/// Remembers that a process runs and may have events that no seal covers.
pub fn touch_process(tx: &mut PlatformTx<'_>, id: ProcessId, now: Timestamp) -> Result<(), StoreError> {
    let values = (audit_processes::id.eq(id.to_string()), audit_processes::seen_at.eq(now.as_micros()));
    execute!(
        tx,
        diesel::insert_into(audit_processes::table)
            .values(values)
            .on_conflict(audit_processes::id)
            .do_update()
            .set(audit_processes::seen_at.eq(now.as_micros()))
    )?;
    Ok(())
}

/// The processes that may have events that no seal covers, and when each was last seen.
pub fn list_processes(tx: &mut PlatformTx<'_>) -> Result<Vec<(ProcessId, Timestamp)>, StoreError> {
    let rows: Vec<(String, i64)> = on!(tx, |conn| audit_processes::table
        .select((audit_processes::id, audit_processes::seen_at))
        .order(audit_processes::id)
        .load(conn))?;
    rows.into_iter()
        .map(|(id, seen_at)| {
            let read = Reading { table: "audit_processes", row: &id };
            Ok((read.parse("id", &id)?, Timestamp::from_micros(seen_at)))
        })
        .collect()
}

/// Forgets a process that has ended, unless it was seen since `last_seen`.
pub fn forget_process(
    tx: &mut PlatformTx<'_>,
    id: ProcessId,
    last_seen: Timestamp,
) -> Result<(), StoreError> {
    on!(tx, |conn| diesel::delete(audit_processes::table.find(id.to_string()))
        .filter(audit_processes::seen_at.le(last_seen.as_micros()))
        .execute(conn))?;
    Ok(())
}
