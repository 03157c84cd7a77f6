//! A Keystead that listens, and counts what it is asked.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use actix_web::dev::{ServerHandle, Service as _};
use actix_web::web::Data;
use actix_web::{App, HttpServer, rt};
use keystead_domain::Owner;
use keystead_domain::api_key::Environment;
use keystead_domain::app::Introspect;
use keystead_guard::{Builder, Guard};
use keystead_service::api_keys::{self, NewKey};
use keystead_testkit::{Following, Keystead, TestDatabase, TestPerson};

/// How often each of the two questions was asked.
#[derive(Default)]
pub(crate) struct Asked {
    introspection: AtomicUsize,
    keys: AtomicUsize,
}

/// A deployment behind a listener on loopback.
pub(crate) struct Served {
    pub(crate) keystead: Keystead,
    pub(crate) url: String,
    /// The app that asks.
    pub(crate) app: (String, String),
    asked: Arc<Asked>,
    following: Option<Following>,
    server: Option<(ServerHandle, JoinHandle<()>)>,
    _database: TestDatabase,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::with_tokens_for(std::time::Duration::from_secs(3600))
    }

    /// One whose tokens live this long.
    pub(crate) fn with_tokens_for(lifetime: std::time::Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let database = TestDatabase::sqlite();
        let keystead = Keystead::with(&database, |settings| {
            settings.issuer = url.clone();
            settings.app_token_lifetime = lifetime;
        });
        let following = Some(keystead.follow());
        let app = keystead.asking_app(Owner::Platform, &["api"], Introspect::Platform);
        let asked = Arc::<Asked>::default();
        let server = Some(serve(listener, Data::from(Arc::clone(&keystead.engine)), Arc::clone(&asked)));
        Self { keystead, url, app, asked, following, server, _database: database }
    }

    pub(crate) fn guard(&self) -> Guard {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> Builder {
        Guard::builder(&self.url, &self.app.0, &self.app.1)
    }

    /// How often it was asked about a credential, and for its keys.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.asked.introspection.load(Ordering::SeqCst), self.asked.keys.load(Ordering::SeqCst))
    }

    /// A key of this person that carries `read`.
    pub(crate) fn key(&self, person: &TestPerson, environment: Environment) -> String {
        let (name, scopes) = ("CI".parse().unwrap(), Some("read".parse().unwrap()));
        let new = NewKey { name, environment, scopes, expires_in: None, pin: Some(person.tenant.id) };
        let caller = self.keystead.caller_of(person);
        api_keys::create(&self.keystead.engine, &caller, new).unwrap().1.expose().clone()
    }

    /// Takes it away.
    pub(crate) fn stop(&mut self) {
        self.following = None;
        if let Some((handle, thread)) = self.server.take() {
            rt::System::new().block_on(handle.stop(false));
            thread.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(
    listener: TcpListener,
    engine: Data<keystead_service::Engine>,
    asked: Arc<Asked>,
) -> (ServerHandle, JoinHandle<()>) {
    let (send, started) = mpsc::channel();
    let thread = thread::spawn(move || {
        rt::System::new().block_on(async move {
            let app = move || {
                let (engine, asked) = (engine.clone(), Arc::clone(&asked));
                App::new().configure(|cfg| keystead_http::configure(cfg, engine)).wrap_fn(
                    move |request, service| {
                        match request.path() {
                            "/oauth/introspect" => asked.introspection.fetch_add(1, Ordering::SeqCst),
                            "/.well-known/jwks.json" => asked.keys.fetch_add(1, Ordering::SeqCst),
                            _ => 0,
                        };
                        service.call(request)
                    },
                )
            };
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
            send.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    (started.recv().unwrap(), thread)
}
