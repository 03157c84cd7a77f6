//! Many rows, fast: what a deployment looks like after years, for whoever measures.
//!
//! The rows go around the service, some hundreds in a statement and thousands in a transaction, and are
//! such as it would have written: each tenant with an app, each user with a verified address and a
//! password, each session as after a sign-in. There are no audit events, as where the retention
//! has removed them.

#![expect(clippy::panic, reason = "whoever cannot have its rows has nothing to measure")]

use std::fmt::Write as _;
use std::time::Duration;

use keystead_crypto::tokens;
use keystead_domain::api_key::{Brand, Environment};
use keystead_domain::id::{ApiKeyId, AppId, AppSecretId, MembershipId, SessionId, TenantId, UserId};
use keystead_domain::user::PasswordHash;
use keystead_domain::{Env, Timestamp, TokenDigest};
use keystead_storage::Database;

use crate::TestDatabase;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Tenants; each has one app.
    pub tenants: usize,
    /// Users, spread evenly over the tenants.
    pub users: usize,
    /// Sessions, spread likewise, and over a tenant's users.
    pub sessions: usize,
    /// People of the platform. Each owns one of the tenants, several people one where there are more people.
    pub people: usize,
    /// API keys, spread evenly over the people, each pinned to its holder's tenant.
    pub keys: usize,
}

/// What was made, as far as one can use it: secrets exist in clear here and nowhere else.
pub struct Population {
    /// The tenants.
    pub tenants: Vec<PopulatedTenant>,
    /// Some of the API keys, those of as few people as have them.
    pub keys: Vec<PopulatedKey>,
}

/// An API key that can be presented.
pub struct PopulatedKey {
    /// The key.
    pub key: String,
    /// Its holder's address.
    pub email: String,
    /// Which of the tenants it is pinned to.
    pub tenant: usize,
}

/// Of how many API keys the clear text is kept.
const KEYS_KEPT: usize = 20_000;

/// A tenant, its app and its end users.
pub struct PopulatedTenant {
    /// The tenant.
    pub id: TenantId,
    /// The app's client id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// The addresses of its users; all have the same password.
    pub emails: Vec<String>,
    /// Its sessions.
    pub sessions: Vec<PopulatedSession>,
}

/// A session that can be presented.
pub struct PopulatedSession {
    /// Its token.
    pub token: String,
    /// Whose: the user's place in [`PopulatedTenant::emails`].
    pub user: usize,
}

/// How long ago the first row was made.
const AGE: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long sessions live at most, by default.
const SESSION_ABSOLUTE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many rows are made at once.
const ROWS_OF_A_STATEMENT: usize = 250;
const ROWS_OF_A_TRANSACTION: usize = 10_000;

/// Fills a migrated database. Every user has this password.
pub fn fill(database: &TestDatabase, scale: Scale, password: &PasswordHash, env: &dyn Env) -> Population {
    let now = env.now();
    let began = now - AGE;
    let share = |of: usize, at: usize| of / scale.tenants + usize::from(at < of % scale.tenants);
    let mut tables = Tables::new(database);
    let mut population = Population { tenants: Vec::with_capacity(scale.tenants), keys: Vec::new() };
    for at in 0..scale.tenants {
        let created = began + AGE / (u32::try_from(scale.tenants).unwrap_or(u32::MAX) + 1) * number(at);
        let tenant = tables.tenant(at, created, env);
        let mut ids = Vec::new();
        let mut emails = Vec::new();
        for user in 0..share(scale.users, at) {
            // Joined within the year that follows, in the order of their numbers.
            let joined = (created + Duration::from_millis(1) * number(user)).min(now);
            let email = format!("user{user}@t{at}.example");
            ids.push(tables.user(&tenant.id, &email, user, password, joined, env));
            emails.push(email);
        }
        let sessions = (0..share(scale.sessions, at))
            .map(|session| {
                let user = session % ids.len().max(1);
                let id = ids.get(user).unwrap_or_else(|| panic!("tenant {at} has sessions and no users"));
                PopulatedSession { token: tables.session(&tenant.id, id, now, env), user }
            })
            .collect();
        population.tenants.push(PopulatedTenant { emails, sessions, ..tenant });
    }
    for at in 0..scale.people {
        let Some(tenant) = population.tenants.get(at % scale.tenants.max(1)) else { break };
        let keys = scale.keys / scale.people + usize::from(at < scale.keys % scale.people);
        let room = KEYS_KEPT.saturating_sub(population.keys.len());
        let made = tables.person(at, at % scale.tenants.max(1), &tenant.id, password, keys, now, env);
        population.keys.extend(made.into_iter().take(room));
    }
    tables.finish();
    // By itself PostgreSQL would do this some time within the next minutes.
    if matches!(database.database(), Database::Postgres(_)) {
        database.execute("VACUUM ANALYZE");
    }
    population
}

/// Says that all sessions and secrets were used just now, so that using them again is worth no write
/// for a minute.
pub fn touch(database: &TestDatabase, now: Timestamp) {
    let now = now.as_micros();
    database.execute(&format!(
        "UPDATE sessions SET last_seen_at = {now}; UPDATE app_secrets SET last_used_at = {now}; \
         UPDATE api_keys SET last_used_at = {now} WHERE name = 'asked for'"
    ));
}

/// The rows that wait to be inserted, table by table.
struct Tables<'d> {
    database: &'d TestDatabase,
    tenants: Vec<String>,
    apps: Vec<String>,
    app_secrets: Vec<String>,
    users: Vec<String>,
    sessions: Vec<String>,
    memberships: Vec<String>,
    keys: Vec<String>,
    key_secrets: Vec<String>,
}

impl<'d> Tables<'d> {
    fn new(database: &'d TestDatabase) -> Self {
        let empty = Vec::new;
        Self {
            database,
            tenants: empty(),
            apps: empty(),
            app_secrets: empty(),
            users: empty(),
            sessions: empty(),
            memberships: empty(),
            keys: empty(),
            key_secrets: empty(),
        }
    }

    fn tenant(&mut self, at: usize, created: Timestamp, env: &dyn Env) -> PopulatedTenant {
        let (id, app) = (TenantId::mint(created, env), AppId::mint(created, env));
        let client_id = tokens::mint_client_id("ksc_", env);
        let (secret, digest) = tokens::mint("kss_", env);
        let secret_id = AppSecretId::mint(created, env);
        let created = created.as_micros();
        self.tenants.push(format!("('{id}','tenant-{at}','Tenant {at}','studio','active',{created})"));
        self.apps.push(format!("('{id}','{app}','{client_id}','App of {at}','api',TRUE,TRUE,{created})"));
        let digest = self.blob(&digest);
        self.app_secrets.push(format!("('{id}','{app}','{secret_id}',{digest},{created})"));
        PopulatedTenant {
            id,
            client_id,
            client_secret: secret.expose().clone(),
            emails: Vec::new(),
            sessions: Vec::new(),
        }
    }

    fn user(
        &mut self,
        tenant: &TenantId,
        email: &str,
        number: usize,
        password: &PasswordHash,
        joined: Timestamp,
        env: &dyn Env,
    ) -> UserId {
        let id = UserId::mint(joined, env);
        let (hash, joined) = (password.as_stored(), joined.as_micros());
        self.users.push(format!(
            "('{tenant}','{id}','{email}','{email}',{joined},'User {number}','{hash}','active',FALSE,{joined})"
        ));
        self.insert_if_many();
        id
    }

    fn session(&mut self, tenant: &TenantId, user: &UserId, now: Timestamp, env: &dyn Env) -> String {
        let (token, digest) = tokens::mint("sess_", env);
        let (id, ends) = (SessionId::mint(now, env), (now + SESSION_ABSOLUTE).as_micros());
        let (digest, now) = (self.blob(&digest), now.as_micros());
        self.sessions.push(format!(
            "('{tenant}','{id}','{user}',{digest},{now},{now},{ends},'192.0.2.1','Example/1.0')"
        ));
        self.insert_if_many();
        token.expose().clone()
    }

    /// A person that owns a tenant, with keys that are pinned to it.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn person(
        &mut self,
        at: usize,
        tenant_at: usize,
        tenant: &TenantId,
        password: &PasswordHash,
        keys: usize,
        now: Timestamp,
        env: &dyn Env,
    ) -> Vec<PopulatedKey> {
        let (user, membership) = (UserId::mint(now, env), MembershipId::mint(now, env));
        let (hash, email, joined) =
            (password.as_stored(), format!("person{at}@example.com"), now.as_micros());
        self.users.push(format!(
            "('platform','{user}','{email}','{email}',{joined},'Person {at}','{hash}','active',FALSE,{joined})"
        ));
        self.memberships
            .push(format!("('{tenant}','{membership}','platform','{user}','owner',TRUE,{joined})"));
        let Ok(brand) = "ks".parse::<Brand>() else { return Vec::new() };
        let mut made = Vec::with_capacity(keys);
        for number in 0..keys {
            let (text, digest) = tokens::mint_api_key(&brand, Environment::Live, env);
            let (id, digest) = (ApiKeyId::mint(now, env), self.blob(&digest));
            // Those that are presented are found again to be touched.
            let name = if at < KEYS_KEPT && number < 2 { "asked for" } else { "key" };
            self.keys.push(format!(
                "('platform','{id}','{user}','{tenant}','{membership}','{name}','live','user:read projects:read',\
                 {joined},{joined})"
            ));
            self.key_secrets.push(format!("({digest},'{}','platform','{id}',{joined})", text.prefix));
            if number < 2 {
                let (key, email) = (text.expose().clone(), email.clone());
                made.push(PopulatedKey { key, email, tenant: tenant_at });
            }
        }
        self.insert_if_many();
        made
    }

    /// The two databases' ways to write bytes.
    fn blob(&self, digest: &TokenDigest) -> String {
        let mut text = match self.database.database() {
            Database::Sqlite(_) => "X'".to_owned(),
            Database::Postgres(_) => "'\\x".to_owned(),
        };
        for byte in digest.as_bytes() {
            // Writing into a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\'');
        text
    }

    fn insert_if_many(&mut self) {
        if self.users.len() + self.sessions.len() + self.keys.len() >= ROWS_OF_A_TRANSACTION {
            self.finish();
        }
    }

    /// Inserts what waits, what is referred to first.
    fn finish(&mut self) {
        let mut sql = "BEGIN;".to_owned();
        for (table, columns, rows) in [
            ("tenants", "id, slug, name, plan, status, created_at", &mut self.tenants),
            (
                "apps",
                "owner, id, client_id, name, allowed_scopes, first_party, active, created_at",
                &mut self.apps,
            ),
            ("app_secrets", "owner, app_id, id, digest, created_at", &mut self.app_secrets),
            (
                "users",
                "directory, id, email, email_key, email_verified_at, name, password_hash, status, operator, \
                 created_at",
                &mut self.users,
            ),
            (
                "sessions",
                "directory, id, user_id, digest, created_at, last_seen_at, ends_at, ip, user_agent",
                &mut self.sessions,
            ),
            (
                "memberships",
                "tenant_id, id, directory, user_id, role, founder, created_at",
                &mut self.memberships,
            ),
            (
                "api_keys",
                "directory, id, user_id, tenant_id, membership_id, name, environment, scopes, created_at, \
                 updated_at",
                &mut self.keys,
            ),
            ("api_key_secrets", "digest, prefix, directory, key_id, created_at", &mut self.key_secrets),
        ] {
            for rows in rows.chunks(ROWS_OF_A_STATEMENT) {
                let _ = write!(sql, "INSERT INTO {table} ({columns}) VALUES {};", rows.join(","));
            }
            rows.clear();
        }
        sql.push_str("COMMIT");
        self.database.execute(&sql);
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keystead, both_backends};
    use keystead_crypto::env::SystemEnv;
    use keystead_crypto::passwords::{Argon2Cost, Hasher};
    use keystead_domain::password::Password;
    use keystead_domain::{Email, Secret};
    use keystead_service::people::{self, Presented};
    use keystead_service::sign_ins::{self, PasswordSignIn, SignIn};
    use keystead_service::{Arrival, access, sessions};
    use std::sync::Arc;

    both_backends! {
        fn what_is_made_can_be_used(database: TestDatabase) {
            let cost = Argon2Cost::new(8, 1, 1).unwrap();
            let hasher = Hasher::start(cost, 1, 1, Arc::new(SystemEnv)).unwrap();
            let password = Password::attempt("a password of all").unwrap();
            let hash = hasher.hash(password.clone()).unwrap();
            let keystead = Keystead::on(&database);
            let scale = Scale { tenants: 3, users: 700, sessions: 10, people: 4, keys: 9 };
            let population = fill(&database, scale, &hash, &*keystead.env);

            let sizes: Vec<_> =
                population.tenants.iter().map(|tenant| (tenant.emails.len(), tenant.sessions.len())).collect();
            assert_eq!(sizes, [(234, 4), (233, 3), (233, 3)]);
            assert_eq!(population.keys.len(), 8, "two of each of the four");
            for PopulatedKey { key, email, tenant } in &population.keys {
                let presented = Presented::Key(Secret::new(key.clone()));
                let verified = people::verify(&keystead.engine, &presented, &Arrival::default()).unwrap();
                assert_eq!(verified.principal().user.email.as_str(), email);
                assert_eq!(verified.principal().standings[0].tenant.id, population.tenants[*tenant].id);
            }
            for tenant in &population.tenants {
                let token = keystead.token(&tenant.client_id, &tenant.client_secret);
                let caller = access::app(&keystead.engine, &token, Arrival::default()).unwrap();
                for session in &tenant.sessions {
                    let token = Secret::new(session.token.clone());
                    let signed_in = sessions::authenticate(&keystead.engine, &caller, &token).unwrap();
                    assert_eq!(signed_in.user().email.as_str(), tenant.emails[session.user]);
                }
                let email: Email = tenant.emails.last().unwrap().parse().unwrap();
                let typed = PasswordSignIn { email, password: password.clone(), second_factor: None };
                let signed_in = sign_ins::with_password(&keystead.engine, &caller, typed);
                assert!(matches!(signed_in, Ok(SignIn::Done(..))));
            }
        }
    }
}
