//! Sessions of a directory's users.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use keystead_domain::id::{SessionId, TenantId, UserId};
use keystead_domain::policy::TenantScope;
use keystead_domain::revocation::Revocation;
use keystead_domain::session::{Session, UserAgent};
use keystead_domain::user::User;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::{sessions, totp, users};
use crate::users::UserRow;
use crate::{PlatformTx, Question, StoreError, TenantTx, Tx, devices, sign_in_challenges};

#[derive(HasQuery)]
#[diesel(table_name = sessions)]
pub(crate) struct SessionRow {
    directory: String,
    id: String,
    user_id: String,
    created_at: i64,
    last_seen_at: i64,
    ends_at: i64,
    ip: Option<String>,
    user_agent: Option<String>,
    active_tenant: Option<String>,
    transient: bool,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let read = Reading { table: "sessions", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            directory: read.parse("directory", &row.directory)?,
            user: read.parse("user_id", &row.user_id)?,
            created_at: Timestamp::from_micros(row.created_at),
            last_seen_at: Timestamp::from_micros(row.last_seen_at),
            ends_at: Timestamp::from_micros(row.ends_at),
            ip: read.parse_some("ip", row.ip.as_deref())?,
            user_agent: row.user_agent.as_deref().and_then(UserAgent::new),
            active_tenant: read.parse_some("active_tenant", row.active_tenant.as_deref())?,
            transient: row.transient,
        })
    }
}

/// Adds a session of one of the directory's users.
pub fn insert(tx: &mut TenantTx<'_>, session: &Session, digest: &TokenDigest) -> Result<(), StoreError> {
    let values = (
        sessions::directory.eq(tx.key()),
        sessions::id.eq(session.id.to_string()),
        sessions::user_id.eq(session.user.to_string()),
        sessions::digest.eq(digest.as_bytes().to_vec()),
        sessions::created_at.eq(session.created_at.as_micros()),
        sessions::last_seen_at.eq(session.last_seen_at.as_micros()),
        sessions::ends_at.eq(session.ends_at.as_micros()),
        sessions::ip.eq(session.ip.map(|ip| ip.to_string())),
        sessions::user_agent.eq(session.user_agent.as_ref().map(|agent| agent.as_str().to_owned())),
        sessions::active_tenant.eq(session.active_tenant.map(|tenant| tenant.to_string())),
        sessions::transient.eq(session.transient),
    );
    on!(tx, |conn| diesel::insert_into(sessions::table).values(values).execute(conn))?;
    Ok(())
}

/// Says which tenant the user of a session works in; whether there was such a session.
pub fn set_active_tenant(
    tx: &mut TenantTx<'_>,
    id: SessionId,
    tenant: Option<TenantId>,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let changed = on!(tx, |conn| diesel::update(sessions::table.find(key))
        .set(sessions::active_tenant.eq(tenant.map(|tenant| tenant.to_string())))
        .execute(conn))?;
    tx.revoke(Revocation::Session(id));
    Ok(changed == 1)
}

/// Lets no session of a user say any more that it works in a tenant.
pub fn leave_tenant(tx: &mut TenantTx<'_>, user: UserId, tenant: TenantId) -> Result<(), StoreError> {
    let directory = sessions::directory.eq(tx.key());
    on!(tx, |conn| diesel::update(sessions::table)
        .filter(directory)
        .filter(sessions::user_id.eq(user.to_string()))
        .filter(sessions::active_tenant.eq(tenant.to_string()))
        .set(sessions::active_tenant.eq(None::<String>))
        .execute(conn))?;
    tx.revoke(Revocation::User(user));
    Ok(())
}

/// A session, whose it is, and whether that user has a second factor.
pub struct FoundSession {
    /// The session.
    pub session: Session,
    /// Whose.
    pub user: User,
    /// Whether signing in takes a second factor.
    pub mfa_enabled: bool,
}

/// What is read of a session of a directory.
macro_rules! of_session {
    ($directory:expr, $digest:expr) => {
        one_form!(
            sessions::table
                .inner_join(
                    users::table
                        .on(users::directory.eq(sessions::directory).and(users::id.eq(sessions::user_id)))
                )
                .filter(sessions::digest.eq($digest.as_bytes().as_slice()))
                .filter(sessions::directory.eq($directory))
                .select((
                    SessionRow::as_select(),
                    UserRow::as_select(),
                    exists(
                        totp::table
                            .filter(totp::directory.eq(sessions::directory))
                            .filter(totp::user_id.eq(sessions::user_id))
                            .filter(totp::secret.is_not_null()),
                    ),
                ))
        )
    };
}

/// The directory's session with this token.
pub fn find_by_digest(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
) -> Result<Option<FoundSession>, StoreError> {
    let directory = tx.key();
    found_session(on!(tx, |conn| of_session!(directory, digest).get_result(conn).optional())?)
}

/// Which session of a directory has a token: [`find_by_digest`].
#[derive(Clone)]
pub struct WhichSession {
    /// The directory's.
    pub scope: TenantScope,
    /// Of the token.
    pub digest: TokenDigest,
}

impl Question for WhichSession {
    type Answer = Option<FoundSession>;

    fn ask(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, StoreError> {
        find_by_digest(&mut tx.tenant(&self.scope), &self.digest)
    }

    async fn ask_on(&self, mut line: &AsyncPgConnection) -> Result<Self::Answer, StoreError> {
        let directory = self.scope.owner().to_string();
        found_session(
            diesel_async::RunQueryDsl::get_result(of_session!(directory, self.digest), &mut line)
                .await
                .optional()?,
        )
    }
}

fn found_session(row: Option<(SessionRow, UserRow, bool)>) -> Result<Option<FoundSession>, StoreError> {
    row.map(|(session, user, mfa_enabled)| {
        Ok(FoundSession { session: session.try_into()?, user: user.try_into()?, mfa_enabled })
    })
    .transpose()
}

/// The sessions of `user`, the newest first.
pub fn list(tx: &mut TenantTx<'_>, user: UserId) -> Result<Vec<Session>, StoreError> {
    let directory = sessions::directory.eq(tx.key());
    let rows: Vec<SessionRow> = on!(tx, |conn| SessionRow::query()
        .filter(directory)
        .filter(sessions::user_id.eq(user.to_string()))
        .order(sessions::id.desc())
        .load(conn))?;
    rows.into_iter().map(Session::try_from).collect()
}

/// Ends all sessions of `user` but one, and its sign-ins that wait for a second factor, and forgets its browsers;
/// returns how many sessions.
pub fn remove_others(tx: &mut TenantTx<'_>, user: UserId, kept: SessionId) -> Result<usize, StoreError> {
    sign_in_challenges::remove_all(tx, user)?;
    devices::remove_all(tx, user)?;
    let directory = sessions::directory.eq(tx.key());
    tx.revoke(Revocation::User(user));
    Ok(on!(tx, |conn| diesel::delete(sessions::table)
        .filter(directory)
        .filter(sessions::user_id.eq(user.to_string()))
        .filter(sessions::id.ne(kept.to_string()))
        .execute(conn))?)
}

/// Remembers that a session was used.
pub fn touch(tx: &mut TenantTx<'_>, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
    let key = (tx.key(), id.to_string());
    execute!(tx, diesel::update(sessions::table.find(key)).set(sessions::last_seen_at.eq(now.as_micros())))?;
    Ok(())
}

/// Ends one session of `user`; whether there was one.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId, id: SessionId) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let removed = on!(tx, |conn| diesel::delete(sessions::table.find(key))
        .filter(sessions::user_id.eq(user.to_string()))
        .execute(conn))?;
    tx.revoke(Revocation::Session(id));
    Ok(removed == 1)
}

/// Puts a new token in place of the session's old one, which is no good from then on; whether the session is
/// still there.
pub fn replace_token(
    tx: &mut TenantTx<'_>,
    user: UserId,
    id: SessionId,
    digest: &TokenDigest,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let changed = on!(tx, |conn| diesel::update(sessions::table.find(key))
        .filter(sessions::user_id.eq(user.to_string()))
        .set(sessions::digest.eq(digest.as_bytes().to_vec()))
        .execute(conn))?;
    tx.revoke(Revocation::Session(id));
    Ok(changed == 1)
}

/// Ends all sessions of `user`, and its sign-ins that wait for a second factor, and forgets its browsers; returns
/// how many sessions.
pub fn remove_all(tx: &mut TenantTx<'_>, user: UserId) -> Result<usize, StoreError> {
    sign_in_challenges::remove_all(tx, user)?;
    devices::remove_all(tx, user)?;
    let directory = sessions::directory.eq(tx.key());
    tx.revoke(Revocation::User(user));
    Ok(on!(tx, |conn| diesel::delete(sessions::table)
        .filter(directory)
        .filter(sessions::user_id.eq(user.to_string()))
        .execute(conn))?)
}

/// Removes at most `limit` sessions that have ended; returns how many.
pub fn remove_ended(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| sessions::table
        .filter(sessions::ends_at.le(now.as_micros()))
        .select((sessions::directory, sessions::id))
        .limit(limit)
        .load(conn))?;
    for (directory, id) in &keys {
        let key = (directory, id);
        on!(tx, |conn| diesel::delete(sessions::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Ends every session of every directory; returns how many there were. Processes that run are not
/// told: this is for a database that nobody uses yet.
pub fn remove_everyones(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(sessions::table).execute(conn))?)
}
