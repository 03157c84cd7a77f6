//! The bare handlers: what an actix-web server costs that answers as Keystead does and decides nothing.
//!
//! They answer the same requests on the same number of workers. `/v2/apps/me` and `/v2/auth/me`
//! serialize an answer of the same members and sizes. With a database, both first select the rows that Keystead
//! would need, by the same keys, without a cache: on SQLite on the worker itself, which is the fastest
//! way. `/oauth/token` parses the form and signs an EdDSA JWT with the same claims; `/oauth/introspect`
//! parses the form.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use actix_web::web::{self, Data, Form, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Responder};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use keystead_crypto::env::SystemEnv;
use keystead_domain::Env as _;
use keystead_storage::Database;
use ring::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_postgres::{NoTls, Statement};

use crate::failure::{Failure, Result};

/// Names the app in requests for the bare handlers, which do not read tokens.
pub(crate) const CLIENT_HEADER: &str = "X-Bench-Client";

/// What is served.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// On 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The database to select from before each answer of `me`: the path of a SQLite file, or a
    /// PostgreSQL URL
    #[arg(long)]
    database: Option<String>,
}

impl Arguments {
    /// The command line for this.
    pub(crate) fn line(port: u16, database: Option<&Database>) -> Vec<String> {
        let mut line = vec!["bare".to_owned(), format!("--port={port}")];
        line.extend(database.map(|database| match database {
            Database::Sqlite(path) => format!("--database={}", path.display()),
            Database::Postgres(url) => format!("--database={url}"),
        }));
        line
    }

    fn database(&self) -> Option<Database> {
        let text = self.database.as_ref()?;
        Some(if text.starts_with("postgres") {
            Database::Postgres(text.clone())
        } else {
            Database::Sqlite(PathBuf::from(text))
        })
    }
}

/// Serves until it is told to stop.
pub(crate) fn serve(arguments: Arguments) -> Result<()> {
    let database = arguments.database();
    let seed = [7; 32];
    let key = Data::new(
        Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|e| Failure::while_doing("the key", e))?,
    );
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(key.clone())
            .route("/oauth/token", web::post().to(token))
            .route("/oauth/introspect", web::post().to(introspect))
            .route("/api/user/me", web::get().to(async || Json(UserAnswer::some())))
            .route("/api/v1/me", web::get().to(async || Json(KeyAnswer::some())));
        let (apps_me, auth_me) = ("/v2/apps/me", "/v2/auth/me");
        match &database {
            None => app
                .route(apps_me, web::get().to(async || Json(AppView::some())))
                .route(auth_me, web::get().to(async || Json(MeAnswer::some()))),
            Some(Database::Sqlite(path)) => app
                .app_data(Sqlite::open(path))
                .route(apps_me, web::get().to(Sqlite::apps_me))
                .route(auth_me, web::get().to(Sqlite::auth_me)),
            Some(Database::Postgres(url)) => {
                let url = url.clone();
                app.data_factory(move || Postgres::connect(url.clone()))
                    .route(apps_me, web::get().to(Postgres::apps_me))
                    .route(auth_me, web::get().to(Postgres::auth_me))
            }
        }
    });
    let running = server.bind(("127.0.0.1", arguments.port))?.run();
    Ok(actix_web::rt::System::new().block_on(running)?)
}

#[derive(Serialize)]
struct AppView {
    app_id: String,
    slug: Option<String>,
    name: String,
    entity_hotkey: Option<String>,
    allowed_scopes: Vec<String>,
    active: bool,
}

impl AppView {
    fn some() -> Self {
        Self {
            app_id: "app_01m80sh855fw3s68whfvqtw6fj".to_owned(),
            slug: Some("tenant-500".to_owned()),
            name: "Tenant 500".to_owned(),
            entity_hotkey: None,
            allowed_scopes: vec!["api".to_owned()],
            active: true,
        }
    }
}

#[derive(Serialize)]
struct MeAnswer {
    user_id: String,
    email: String,
    email_verified: bool,
    name: Option<String>,
    mfa_enabled: bool,
    app_id: String,
    created_at: String,
}

impl MeAnswer {
    fn some() -> Self {
        Self {
            user_id: "usr_01m80sj427ed4t9d6gpbv18gq1".to_owned(),
            email: "user20@t500.example".to_owned(),
            email_verified: true,
            name: Some("User 20".to_owned()),
            mfa_enabled: false,
            app_id: "app_01m80sh855fw3s68whfvqtw6fj".to_owned(),
            created_at: "2026-11-22T04:52:18Z".to_owned(),
        }
    }
}

/// As `/api/user/me` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserAnswer {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: UserView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserView {
    id: String,
    email: String,
    full_name: String,
    handle: Option<String>,
    is_verified: bool,
    verified_at: Option<String>,
    is_active: bool,
    last_login_at: Option<String>,
    role: &'static str,
    organization_count: usize,
    two_factor_enabled: bool,
    created_at: String,
    updated_at: String,
}

impl UserAnswer {
    fn some() -> Self {
        let at = "2026-11-22T04:52:18.000Z";
        let data = UserView {
            id: "01M80SJ427ED4T9D6GPBV18GQ1".to_owned(),
            email: "person500@example.com".to_owned(),
            full_name: "Person 500".to_owned(),
            handle: None,
            is_verified: true,
            verified_at: Some(at.to_owned()),
            is_active: true,
            last_login_at: None,
            role: "user",
            organization_count: 1,
            two_factor_enabled: false,
            created_at: at.to_owned(),
            updated_at: at.to_owned(),
        };
        Self { success: true, status: 200, code: "OK", message: "User fetched successfully", data }
    }
}

/// As `/api/v1/me` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyAnswer {
    org_id: String,
    org_name: String,
    plan: String,
    role: &'static str,
    token_name: String,
    scopes: Vec<String>,
    project_ids: Vec<String>,
}

impl KeyAnswer {
    fn some() -> Self {
        Self {
            org_id: "01M80SJ427ED4T9D6GPBV18GQ1".to_owned(),
            org_name: "Tenant 500".to_owned(),
            plan: "studio".to_owned(),
            role: "owner",
            token_name: "asked for".to_owned(),
            scopes: vec!["projects:read".to_owned(), "user:read".to_owned()],
            project_ids: Vec::new(),
        }
    }
}

/// The client id that the request names, and the digest of its session token.
fn keys(request: &HttpRequest) -> (&str, Vec<u8>) {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (header(CLIENT_HEADER), Sha256::digest(header("X-Session-Token").as_bytes()).to_vec())
}

diesel::table! {
    tenants (id) {
        id -> Text,
        slug -> Text,
        name -> Text,
        plan -> Text,
        status -> Text,
        entity_hotkey -> Nullable<Text>,
    }
}

diesel::table! {
    apps (owner, id) {
        owner -> Text,
        id -> Text,
        client_id -> Text,
        name -> Text,
        allowed_scopes -> Text,
        active -> Bool,
    }
}

diesel::table! {
    users (directory, id) {
        directory -> Text,
        id -> Text,
        email -> Text,
        email_verified_at -> Nullable<BigInt>,
        name -> Nullable<Text>,
        status -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    sessions (directory, id) {
        directory -> Text,
        id -> Text,
        user_id -> Text,
        digest -> Binary,
        last_seen_at -> BigInt,
        ends_at -> BigInt,
    }
}

diesel::table! {
    totp (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        secret -> Nullable<Binary>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tenants, apps, users, sessions, totp);

/// A worker's own connection; diesel keeps its prepared statements. No query has a `LIMIT`: SQLite would
/// prepare it anew each time that the limit is bound.
struct Sqlite(RefCell<SqliteConnection>);

type AppRow = (String, String, Option<String>, String, bool, String);
type UserRow = (String, String, Option<i64>, Option<String>, i64, i64, bool);

impl Sqlite {
    #[expect(clippy::expect_used, reason = "a server that cannot open its database does not start")]
    fn open(path: &std::path::Path) -> Rc<Self> {
        let conn = SqliteConnection::establish(&path.to_string_lossy());
        Rc::new(Self(RefCell::new(conn.expect("the database opens"))))
    }

    fn app(&self, client_id: &str) -> QueryResult<AppRow> {
        apps::table
            .inner_join(tenants::table.on(tenants::id.eq(apps::owner)))
            .filter(apps::client_id.eq(client_id))
            .select((
                apps::id,
                tenants::slug,
                tenants::entity_hotkey,
                apps::allowed_scopes,
                apps::active,
                tenants::name,
            ))
            .get_result(&mut *self.0.borrow_mut())
    }

    fn user(&self, digest: Vec<u8>) -> QueryResult<UserRow> {
        let with_totp = diesel::dsl::exists(
            totp::table
                .filter(totp::directory.eq(sessions::directory))
                .filter(totp::user_id.eq(sessions::user_id))
                .filter(totp::secret.is_not_null()),
        );
        let of_session = users::directory.eq(sessions::directory).and(users::id.eq(sessions::user_id));
        sessions::table
            .inner_join(users::table.on(of_session))
            .filter(sessions::digest.eq(digest))
            .select((
                users::id,
                users::email,
                users::email_verified_at,
                users::name,
                users::created_at,
                sessions::ends_at,
                with_totp,
            ))
            .get_result(&mut *self.0.borrow_mut())
    }

    async fn apps_me(request: HttpRequest) -> HttpResponse {
        let Some(this) = request.app_data::<Rc<Self>>() else { return missing() };
        answer(this.app(keys(&request).0).map(app_view))
    }

    async fn auth_me(request: HttpRequest) -> HttpResponse {
        let Some(this) = request.app_data::<Rc<Self>>() else { return missing() };
        let (client_id, digest) = keys(&request);
        let rows = this.app(client_id).and_then(|app| Ok((app, this.user(digest)?)));
        answer(rows.map(|(app, user)| me_answer(app, user)))
    }
}

fn app_view((id, slug, entity_hotkey, scopes, active, name): AppRow) -> AppView {
    AppView { app_id: id, slug: Some(slug), name, entity_hotkey, allowed_scopes: vec![scopes], active }
}

fn me_answer(app: AppRow, user: UserRow) -> MeAnswer {
    let (user_id, email, verified_at, name, created_at, _, mfa_enabled) = user;
    MeAnswer {
        user_id,
        email,
        email_verified: verified_at.is_some(),
        name,
        mfa_enabled,
        app_id: app.0,
        created_at: keystead_domain::Timestamp::from_micros(created_at).to_rfc3339_seconds(),
    }
}

fn answer<E: std::fmt::Display>(body: std::result::Result<impl Serialize, E>) -> HttpResponse {
    match body {
        Ok(body) => HttpResponse::Ok().json(body),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

fn missing() -> HttpResponse {
    HttpResponse::InternalServerError().body("no database")
}

/// A worker's own connection and its prepared statements.
struct Postgres {
    client: tokio_postgres::Client,
    app: Statement,
    user: Statement,
}

const APP: &str = "SELECT a.id, t.slug, t.entity_hotkey, a.allowed_scopes, a.active, t.name \
    FROM apps a JOIN tenants t ON t.id = a.owner WHERE a.client_id = $1";
const USER: &str = "SELECT u.id, u.email, u.email_verified_at, u.name, u.created_at, s.ends_at, \
    EXISTS (SELECT FROM totp p WHERE p.directory = s.directory AND p.user_id = s.user_id AND p.secret IS NOT NULL) \
    FROM sessions s JOIN users u ON u.directory = s.directory AND u.id = s.user_id WHERE s.digest = $1";

impl Postgres {
    async fn connect(url: String) -> std::result::Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        actix_web::rt::spawn(connection);
        let (app, user) = (client.prepare(APP).await?, client.prepare(USER).await?);
        Ok(Self { client, app, user })
    }

    async fn app(&self, client_id: &str) -> std::result::Result<AppRow, tokio_postgres::Error> {
        let row = self.client.query_one(&self.app, &[&client_id]).await?;
        Ok((row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5)))
    }

    async fn user(&self, digest: &[u8]) -> std::result::Result<UserRow, tokio_postgres::Error> {
        let row = self.client.query_one(&self.user, &[&digest]).await?;
        Ok((row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5), row.get(6)))
    }

    async fn apps_me(request: HttpRequest, this: Data<Self>) -> HttpResponse {
        answer(this.app(keys(&request).0).await.map(app_view))
    }

    async fn auth_me(request: HttpRequest, this: Data<Self>) -> HttpResponse {
        let (client_id, digest) = keys(&request);
        let rows = match this.app(client_id).await {
            Ok(app) => this.user(&digest).await.map(|user| (app, user)),
            Err(error) => Err(error),
        };
        answer(rows.map(|(app, user)| me_answer(app, user)))
    }
}

#[derive(Deserialize)]
struct TokenForm {
    grant_type: String,
    client_id: String,
    client_secret: String,
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    kid: &'static str,
}

#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    sub: String,
    aud: &'static str,
    exp: i64,
    iat: i64,
    jti: String,
    client_id: String,
    scope: &'static str,
    tenant_id: &'static str,
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: u32,
    scope: &'static str,
}

const ISSUER: &str = "http://127.0.0.1:8000";

async fn token(form: Form<TokenForm>, key: Data<Ed25519KeyPair>) -> impl Responder {
    let TokenForm { grant_type, client_id, client_secret } = form.into_inner();
    if grant_type != "client_credentials" || client_secret.is_empty() {
        return HttpResponse::BadRequest().finish();
    }
    let (now, mut jti) = (SystemEnv.now().as_unix_seconds(), [0; 16]);
    SystemEnv.fill(&mut jti);
    let header = Header { alg: "EdDSA", typ: "at+jwt", kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" };
    let claims = Claims {
        iss: ISSUER,
        sub: client_id.clone(),
        aud: ISSUER,
        exp: now + 3600,
        iat: now,
        jti: format!("{:032x}", u128::from_le_bytes(jti)),
        client_id,
        scope: "api",
        tenant_id: "ten_01m80sh855fw3s68whfvqtw6fj",
    };
    let segments = (serde_json::to_vec(&header), serde_json::to_vec(&claims));
    let (Ok(header), Ok(claims)) = segments else { return HttpResponse::InternalServerError().finish() };
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    HttpResponse::Ok().json(TokenAnswer {
        access_token: token,
        token_type: "Bearer",
        expires_in: 3600,
        scope: "api",
    })
}

#[derive(Deserialize)]
struct IntrospectionForm {
    token: String,
    client_id: String,
    client_secret: String,
}

/// As `/oauth/introspect` answers about an API key.
#[derive(Serialize)]
struct IntrospectionAnswer {
    active: bool,
    kind: &'static str,
    sub: &'static str,
    scope: String,
    iat: i64,
    iss: &'static str,
    jti: &'static str,
    org_id: &'static str,
    org_slug: String,
    role: &'static str,
    plan: String,
    env: &'static str,
}

async fn introspect(form: Form<IntrospectionForm>) -> impl Responder {
    let IntrospectionForm { token, client_id, client_secret } = form.into_inner();
    if token.is_empty() || client_id.is_empty() || client_secret.is_empty() {
        return HttpResponse::BadRequest().finish();
    }
    HttpResponse::Ok().json(IntrospectionAnswer {
        active: true,
        kind: "api_key",
        sub: "usr_01m80sj427ed4t9d6gpbv18gq1",
        scope: "projects:read user:read".to_owned(),
        iat: 1_795_000_000,
        iss: ISSUER,
        jti: "ak_01m80sj427ed4t9d6gpbv18gq1",
        org_id: "ten_01m80sh855fw3s68whfvqtw6fj",
        org_slug: "tenant-500".to_owned(),
        role: "owner",
        plan: "studio".to_owned(),
        env: "live",
    })
}
