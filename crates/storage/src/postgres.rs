//! Opening PostgreSQL connections: `tokio-postgres` and `rustls` behind diesel's synchronous interface.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use diesel::connection::TransactionManager as _;
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::{Connection as DieselConnection, QueryResult};
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use diesel_async::{AnsiTransactionManager, AsyncConnectionCore, AsyncPgConnection};
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;
use crate::connection::Connection;
use crate::feed::Call;

/// What diesel's queries run on.
pub(crate) type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, Driver>;

/// A synchronous connection to PostgreSQL.
pub(crate) struct Postgres {
    connection: PgConnection,
    driver: Driver,
}

impl Deref for Postgres {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// The runtime of one connection. It runs on the thread that asks a query, while that waits: another
/// thread would have to be woken for each message there and back. It must not be the caller's own
/// runtime, which would be captured on an HTTP worker, and that cannot be blocked.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Detached>);

/// A runtime that may go away anywhere: dropping one on a thread that drives async tasks panics.
struct Detached(Option<Runtime>);

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// The driver of the connection that is being wrapped: the wrapper asks for one without saying
    /// for what.
    static OF_THIS_CONNECTION: Cell<Option<Driver>> = const { Cell::new(None) };
}

impl Driver {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Arc::new(Detached(Some(runtime)))))
    }

    /// Wraps a connection that was opened on this runtime.
    fn wrap(self, connection: AsyncPgConnection) -> Postgres {
        OF_THIS_CONNECTION.set(Some(self.clone()));
        Postgres { connection: PgConnection::from(connection), driver: self }
    }
}

impl BlockOn for Driver {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.0.as_ref().unwrap_or(&RUNTIME).block_on(future)
    }

    fn get_runtime() -> Self {
        OF_THIS_CONNECTION.take().unwrap_or_else(|| Self(Arc::new(Detached(None))))
    }
}

/// Where there is always somebody who listens.
#[expect(clippy::expect_used, reason = "a process that cannot start one thread cannot serve")]
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("postgres")
        .enable_all()
        .build()
        .expect("the operating system lets a thread be started")
});

/// How to reach a PostgreSQL server.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Server {
    /// Reads a `postgres://` URL.
    ///
    /// Connections that leave the machine are encrypted and the server's certificate is checked,
    /// unless the URL says `sslmode=disable`. (What libpq calls `require` encrypts without knowing
    /// to whom, and `prefer` gives up silently.)
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let asked = url.contains("sslmode=");
        let url = url.replace("sslmode=verify-full", "sslmode=require");
        let mut config = Config::from_str(&url).map_err(|error| {
            // The error names the part that is wrong, never the password.
            StoreError::Failed(format!(
                "database_url cannot be read: {error} (sslmode is disable, prefer, require or verify-full)"
            ))
        })?;
        if !asked {
            let local = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
        }
        config.connect_timeout(Duration::from_secs(5));
        if config.get_application_name().is_none() {
            config.application_name("keystead");
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => {
                config.ssl_mode(SslMode::Require);
                Some(MakeRustlsConnect::new(trusting_the_system()?))
            }
        };
        Ok(Self { config, tls })
    }

    pub(crate) fn connect(&self) -> Result<Connection, StoreError> {
        let driver = Driver::new()
            .map_err(|error| StoreError::Unavailable(format!("no connection can be driven: {error}")))?;
        let connected = driver.block_on(self.open())?;
        Ok(Connection::Postgres(Box::new(driver.wrap(connected))))
    }

    /// Opens a connection that the runtime of the caller drives.
    pub(crate) async fn open(&self) -> Result<AsyncPgConnection, StoreError> {
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(|e| unreachable(&e))?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(|e| unreachable(&e))?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
        }
        .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

/// Hears other processes call that something was ended, and calls them. It reconnects by itself.
pub(crate) struct Listener(JoinHandle<()>);

/// The channel of NOTIFY.
const CHANNEL: &str = "keystead_revocations";
/// How long it waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long it gathers what it calls out for: NOTIFY serializes commits.
const GATHER: Duration = Duration::from_millis(10);

impl Listener {
    pub(crate) fn start(server: Server, call: Arc<Call>) -> Self {
        Self(RUNTIME.spawn(async move {
            loop {
                // Whatever ended it: the feed looks by itself meanwhile.
                let _ = server.listen(&call).await;
                tokio::time::sleep(RECONNECT).await;
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    async fn listen(&self, call: &Arc<Call>) -> Result<(), tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                listen_on(client, connection, call).await
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                listen_on(client, connection, call).await
            }
        }
    }
}

async fn listen_on<S, T>(
    client: Client,
    mut connection: tokio_postgres::Connection<S, T>,
    call: &Arc<Call>,
) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = Arc::clone(call);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message {
                heard.out();
            }
        }
        // Whoever waits to call others finds out that it cannot.
        heard.others();
    });
    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    // What was called out before is not heard.
    call.out();
    loop {
        call.to_others().await;
        client.batch_execute(&format!("NOTIFY {CHANNEL}")).await?;
        tokio::time::sleep(GATHER).await;
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

fn trusting_the_system() -> Result<rustls::ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Failed(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What an operator needs to know: the server's own message where it sent one, else the cause.
fn unreachable(error: &tokio_postgres::Error) -> StoreError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    if text.contains("TLS") || text.contains("certificate") {
        text.push_str(" (add sslmode=disable to database_url if the network between is trusted)");
    }
    StoreError::Unavailable(format!("PostgreSQL cannot be reached: {text}"))
}

pub(crate) fn begin(conn: &mut Postgres, sql: &str) -> QueryResult<()> {
    let Postgres { connection, driver } = conn;
    driver.block_on(AnsiTransactionManager::begin_transaction_sql(&mut **connection, sql))
}

/// Runs a statement without an answer. diesel's own way passes it by reference, and a reference to a statement
/// does not say that it is to be kept prepared.
pub(crate) fn execute(
    conn: &mut Postgres,
    statement: impl QueryFragment<Pg> + QueryId,
) -> QueryResult<usize> {
    let Postgres { connection, driver } = conn;
    driver.block_on(AsyncConnectionCore::execute_returning_count(&mut **connection, statement))
}

pub(crate) fn commit(conn: &mut PgConnection) -> QueryResult<()> {
    <PgConnection as DieselConnection>::TransactionManager::commit_transaction(conn)
}

pub(crate) fn rollback(conn: &mut PgConnection) -> QueryResult<()> {
    <PgConnection as DieselConnection>::TransactionManager::rollback_transaction(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Server::parse(url).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_the_url_says_otherwise() {
        assert_eq!(mode("postgres://ks@localhost/ks"), SslMode::Disable);
        assert_eq!(mode("postgres://ks@%2Frun%2Fpostgresql/ks"), SslMode::Disable);
        assert_eq!(mode("postgres://ks:pw@db.internal/ks"), SslMode::Require);
        assert_eq!(mode("postgres://ks:pw@db.internal/ks?sslmode=prefer"), SslMode::Require);
        assert_eq!(mode("postgres://ks:pw@db.internal/ks?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://ks:pw@db.internal/ks?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn an_error_does_not_repeat_the_password() {
        let error = Server::parse("postgres://ks:hunter2@db:notaport/ks").err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
