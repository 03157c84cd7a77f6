//! `keystead serve`: listens, works in the background, stops cleanly.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use actix_web::middleware::{Condition, from_fn};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use keystead_http::Metrics;
use keystead_service::Engine;
use keystead_service::outbox::Transport;
use keystead_service::worker::{self, Stop};

use crate::cli::{Global, Serve};
use crate::config::{Config, Loaded, Mail, RateLimits, Source};
use crate::failure::Failure;
use crate::{demo, deployment, output, telemetry};

/// How long requests in flight may take once the server was told to stop, in seconds.
const GRACE: u64 = 30;

pub(crate) fn serve(global: &Global, arguments: Serve) -> Result<(), Failure> {
    let flags = [(Config::listen.key, arguments.listen), (Config::public_url.key, arguments.public_url)];
    let flags = flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let loaded = deployment::load(global, flags)?;
    let config = &loaded.config;
    let telemetry = telemetry::start(config)?;
    config.check_public_url(arguments.insecure_http).map_err(|error| Failure::new(error.to_string()))?;
    if arguments.demo && !config.is_local() {
        return Err(Failure::new("--demo is for trying things out: public_url must be loopback"));
    }

    let listener = listen(config.listen)?;
    let address = listener.local_addr()?;
    let issuer = deployment::issuer(config, address);
    if arguments.insecure_http && config.check_public_url(false).is_err() {
        tracing::warn!(public_url = issuer, "serving plain http to the world, as --insecure-http demands");
    }
    let engine = Arc::new(deployment::open_engine(config, &issuer)?);
    let transport = deployment::transport(config, &issuer)?;
    if !config.is_local() && !config.rate_limits.enabled {
        let key = RateLimits::enabled.key;
        tracing::warn!("{key} is off: passwords and codes can be guessed as fast as they are checked");
    }
    if config.mail == Mail::File && !config.is_local() {
        tracing::warn!(
            folder = %deployment::outbox_folder(config).display(),
            "mails go to files, which is for development"
        );
    }

    let admin = admin_listener(&loaded)?;
    let mut banner = format!("Keystead listens at http://{address} and is known as {issuer}\n");
    if let Some(admin) = &admin {
        banner.push_str(&format!("Health and metrics are at http://{}\n", admin.local_addr()?));
    }
    if arguments.demo {
        banner.push_str(&demo::prepare(&engine, config, &issuer)?);
    }
    output::text(&banner)?;

    let served = run(&engine, transport, listener, admin, telemetry.is_tracing());
    telemetry.stop();
    served
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| Failure::new(format!("cannot listen at {address}: {error}")))
}

/// The port for health. Where nobody chose it and it is taken, a second server on this machine is
/// no reason to fail: health is on the main port too.
fn admin_listener(loaded: &Loaded) -> Result<Option<TcpListener>, Failure> {
    match listen(loaded.config.admin_listen) {
        Ok(listener) => Ok(Some(listener)),
        Err(failure) if *loaded.source(&Config::admin_listen) == Source::Default => {
            tracing::warn!("admin_listen: {failure}; going on without it");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Serves until SIGTERM or SIGINT, then lets requests in flight and the worker finish.
fn run(
    engine: &Arc<Engine>,
    transport: Box<dyn Transport>,
    listener: TcpListener,
    admin: Option<TcpListener>,
    tracing: bool,
) -> Result<(), Failure> {
    let stop = Arc::new(Stop::default());
    let worker = {
        let (engine, stop) = (Arc::clone(engine), Arc::clone(&stop));
        thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || worker::run(&engine, &*transport, &stop))?
    };
    let (data, metrics) = (Data::from(Arc::clone(engine)), Data::new(Metrics::default()));
    let served = actix_web::rt::System::new().block_on(async move {
        let admin = match admin {
            Some(admin) => {
                let (data, metrics) = (data.clone(), metrics.clone());
                let server = HttpServer::new(move || {
                    App::new()
                        .configure(|cfg| keystead_http::configure_admin(cfg, data.clone(), metrics.clone()))
                })
                .listen(admin)?
                .workers(1)
                .disable_signals()
                .run();
                let handle = server.handle();
                actix_web::rt::spawn(server);
                Some(handle)
            }
            None => None,
        };
        let served = HttpServer::new(move || {
            App::new()
                .app_data(metrics.clone())
                .wrap(from_fn(keystead_http::observe))
                .wrap(Condition::new(tracing, from_fn(telemetry::trace)))
                .configure(|cfg| keystead_http::configure(cfg, data.clone()))
        })
        .listen(listener)?
        .shutdown_timeout(GRACE)
        .run()
        .await;
        if let Some(admin) = admin {
            admin.stop(false).await;
        }
        served
    });
    stop.stop(engine);
    if worker.join().is_err() {
        return Err(Failure::new("the background worker panicked"));
    }
    tracing::info!("stopped");
    Ok(served?)
}
