//! The one place where engine, store, listener and HTTP come together.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tamarack_model::codes;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::app::App;
use crate::listener::{self, Connections, Peer};
use crate::{Config, Error, http};

/// Between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// Requests that have begun may take so long once the server is told to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT, then ends what has begun. `ready` is told the address once connections are accepted.
pub fn run(config: &Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let failed =
            |e: std::io::Error| Error::new(codes::INTERNAL, format_args!("cannot watch for signals: {e}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve(config, ready, stop).await
    })
}

/// A TAM that runs on threads of this process, for tests and tools. Dropping it stops it.
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Starts a TAM on threads of this process and waits until it accepts connections.
pub fn start(config: &Config) -> Result<Running, Error> {
    let config = config.clone();
    let (stop, stopped) = oneshot::channel();
    let (ready, address) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let stop = async move { drop(stopped.await) };
        // Nobody waits any more only if the starting thread is gone.
        runtime()?.block_on(serve(&config, |address| _ = ready.send(address), stop))
    });
    match address.recv() {
        Ok(address) => Ok(Running { address, stop: Some(stop), thread: Some(thread) }),
        // It ended before it was ready.
        Err(_) => {
            Err(join(thread).err().unwrap_or_else(|| Error::new(codes::INTERNAL, "the TAM ended at once")))
        }
    }
}

impl Running {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and waits until it has ended.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), join)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn join(thread: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    thread.join().unwrap_or_else(|_| Err(Error::new(codes::INTERNAL, "the TAM's thread ended abnormally")))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("tam")
        .build()
        .map_err(|e| Error::new(codes::INTERNAL, format_args!("cannot start threads: {e}")))
}

async fn serve(
    config: &Config,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    config.check_plain_http(config.listen)?;
    let tls = listener::tls(config)?;
    let listener = listener::bind(config.listen)?;
    let app = Arc::new(App::open(config)?);
    let failed = |e: std::io::Error| Error::new(codes::INTERNAL, format_args!("cannot use the socket: {e}"));
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let connections = Connections::start(listener, tls, config.limits.connections).map_err(failed)?;

    let housekeeping = tokio::spawn(housekeep(app.clone()));
    let (stopping, told) = oneshot::channel::<()>();
    let service = http::router(app).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(connections, service).with_graceful_shutdown(async move {
        stop.await;
        drop(stopping);
    });
    tracing::info!(%address, tls = config.tls.is_some(), "the TAM is ready");
    ready(address);
    let mut server = std::pin::pin!(server.into_future());
    let outcome = tokio::select! {
        outcome = &mut server => outcome,
        _ = told => match timeout(FAREWELL, &mut server).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::warn!("gave up on requests that did not end");
                Ok(())
            }
        },
    };
    housekeeping.abort();
    tracing::info!("the TAM has stopped");
    outcome.map_err(failed)
}

async fn housekeep(app: Arc<App>) {
    let mut due = tokio::time::interval(HOUSEKEEPING);
    loop {
        due.tick().await;
        let app = app.clone();
        match tokio::task::spawn_blocking(move || app.housekeeping()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!(code = %e.code(), error = %e, "housekeeping failed"),
            Err(_) => tracing::error!("housekeeping ended abnormally"),
        }
    }
}
