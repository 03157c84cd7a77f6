//! Work for later. A request that must not tell what it found writes the same row whatever it
//! would find; the worker looks.

use std::time::Duration;

use diesel::prelude::*;
use keystead_domain::id::JobId;
use keystead_domain::{Email, Owner, Timestamp};

use crate::prepared::KeepPrepared as _;
use crate::row::Reading;
use crate::schema::jobs;
use crate::{PlatformTx, StoreError, TenantTx};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Mail a new code for the newest sign-up of an address, if there is one.
    ResendSignUpCode,
    /// Mail a code to set a new password with, if the address has a user.
    MailResetCode,
    /// Mail a code and a link that prove an address, if it has a user or a sign-up that needs to.
    MailAddressProof,
    /// Mail a link to set a new password with, if the address has a user.
    MailResetLink,
    /// Tell the user of an address, if there is one, that sign-ins or codes failed.
    TellOfFailures,
}

impl JobKind {
    const ALL: [Self; 5] = [
        Self::ResendSignUpCode,
        Self::MailResetCode,
        Self::MailAddressProof,
        Self::MailResetLink,
        Self::TellOfFailures,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::ResendSignUpCode => "resend_sign_up_code",
            Self::MailResetCode => "mail_reset_code",
            Self::MailAddressProof => "mail_address_proof",
            Self::MailResetLink => "mail_reset_link",
            Self::TellOfFailures => "tell_of_failures",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A job that was claimed for one attempt to do it.
pub struct DueJob {
    /// Its id.
    pub id: JobId,
    /// In whose directory.
    pub directory: Owner,
    /// What to do.
    pub kind: JobKind,
    /// For which address.
    pub email: Email,
    /// Where the link in its mail leads on to, where that was asked for.
    pub detail: Option<String>,
}

#[derive(HasQuery)]
#[diesel(table_name = jobs)]
struct JobRow {
    id: String,
    directory: String,
    kind: String,
    subject: String,
    detail: Option<String>,
}

impl TryFrom<JobRow> for DueJob {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let read = Reading { table: "jobs", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            directory: read.parse("directory", &row.directory)?,
            kind: JobKind::parse(&row.kind).ok_or_else(|| read.impossible("kind"))?,
            email: read.parse("subject", &row.subject)?,
            detail: row.detail.clone(),
        })
    }
}

/// Adds a job for an address of the directory, to be done at once.
pub fn insert(
    tx: &mut TenantTx<'_>,
    id: JobId,
    kind: JobKind,
    email: &Email,
    now: Timestamp,
) -> Result<(), StoreError> {
    insert_with(tx, id, kind, email, None, now)
}

/// Adds a job that has to know something else.
pub fn insert_with(
    tx: &mut TenantTx<'_>,
    id: JobId,
    kind: JobKind,
    email: &Email,
    detail: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let values = (
        jobs::id.eq(id.to_string()),
        jobs::directory.eq(tx.key()),
        jobs::kind.eq(kind.as_str()),
        jobs::subject.eq(email.as_str()),
        jobs::created_at.eq(now.as_micros()),
        jobs::attempts.eq(0),
        jobs::next_attempt_at.eq(now.as_micros()),
        jobs::detail.eq(detail),
    );
    on!(tx, |conn| diesel::insert_into(jobs::table).values(values).execute(conn))?;
    Ok(())
}

/// Claims at most `limit` jobs that are due: nobody else gets them until `lease` is over.
pub fn claim_due(
    tx: &mut PlatformTx<'_>,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<DueJob>, StoreError> {
    let due = jobs::next_attempt_at.le(now.as_micros());
    let ids: Vec<String> = on!(tx, |conn| jobs::table
        .filter(due)
        .order(jobs::next_attempt_at)
        .select(jobs::id)
        .limit(limit)
        .load(conn))?;
    let mut claimed = Vec::with_capacity(ids.len());
    for id in ids {
        let row: Option<JobRow> = on!(tx, |conn| diesel::update(jobs::table.find(&id))
            .filter(due)
            .set(
                (jobs::attempts.eq(jobs::attempts + 1), jobs::next_attempt_at.eq((now + lease).as_micros()),)
            )
            .returning(JobRow::as_returning())
            .keep_prepared()
            .get_result(conn)
            .optional())?;
        claimed.extend(row.map(DueJob::try_from).transpose()?);
    }
    Ok(claimed)
}

/// Whether any is due.
pub fn any_due(tx: &mut PlatformTx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let due = jobs::table.filter(jobs::next_attempt_at.le(now.as_micros()));
    Ok(on!(tx, |conn| diesel::select(diesel::dsl::exists(due)).get_result(conn))?)
}

/// How many jobs wait.
pub fn count_waiting(tx: &mut PlatformTx<'_>) -> Result<i64, StoreError> {
    Ok(on!(tx, |conn| jobs::table.count().get_result(conn))?)
}

/// Removes a job of the directory in the transaction that did it; true for one caller.
pub fn finish(tx: &mut TenantTx<'_>, id: JobId) -> Result<bool, StoreError> {
    let directory = jobs::directory.eq(tx.key());
    let removed =
        on!(tx, |conn| diesel::delete(jobs::table.find(id.to_string())).filter(directory).execute(conn))?;
    Ok(removed == 1)
}

/// Removes every job of these kinds; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>, kinds: &[JobKind]) -> Result<usize, StoreError> {
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    Ok(on!(tx, |conn| diesel::delete(jobs::table.filter(jobs::kind.eq_any(&kinds))).execute(conn))?)
}
