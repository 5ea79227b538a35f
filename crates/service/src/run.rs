//! A router from its first connection to its last.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tamarack_model::codes;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::listener::{Connections, Peer, bind};

/// Requests that have begun may take so long once the server is told to stop.
const FAREWELL: Duration = Duration::from_secs(10);
/// Between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// What is served, and where.
pub struct Service {
    /// What log lines call it.
    pub name: &'static str,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// TLS, if it is served.
    pub tls: Option<TlsAcceptor>,
    /// Most connections at a time.
    pub connections: usize,
    /// What is done at once and then every minute for as long as it is served, on a thread of its own. What fails is logged
    /// and tried again.
    pub housekeeping: Arc<dyn Fn() -> Result<(), Error> + Send + Sync>,
    /// The paths.
    pub router: Router,
}

impl Service {
    async fn serve(
        self,
        ready: impl FnOnce(SocketAddr),
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let Self { name, listen, tls, connections, housekeeping, router } = self;
        let failed =
            |e: std::io::Error| Error::new(codes::INTERNAL, format_args!("cannot use the socket: {e}"));
        let listener = TcpListener::from_std(bind(listen)?).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let with_tls = tls.is_some();
        let connections = Connections::start(listener, tls, connections).map_err(failed)?;

        let housekeeping = tokio::spawn(housekeep(housekeeping));
        let (stopping, told) = oneshot::channel::<()>();
        let service = router.into_make_service_with_connect_info::<Peer>();
        let server = axum::serve(connections, service).with_graceful_shutdown(async move {
            stop.await;
            drop(stopping);
        });
        tracing::info!(%address, tls = with_tls, "the {name} is ready");
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
        tracing::info!("the {name} has stopped");
        outcome.map_err(failed)
    }
}

async fn housekeep(round: Arc<dyn Fn() -> Result<(), Error> + Send + Sync>) {
    let mut due = tokio::time::interval(HOUSEKEEPING);
    loop {
        due.tick().await;
        let round = round.clone();
        match tokio::task::spawn_blocking(move || round()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!(code = %e.code(), error = %e, "housekeeping failed"),
            Err(_) => tracing::error!("housekeeping ended abnormally"),
        }
    }
}

/// Serves what `open` gives until SIGTERM or SIGINT, then ends what has begun. `ready` is told the address once connections
/// are accepted. `open` runs inside the runtime.
pub fn run(
    open: impl FnOnce() -> Result<Service, Error>,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    runtime()?.block_on(async {
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
        open()?.serve(ready, stop).await
    })
}

/// A service that runs on threads of this process, for tests and tools. Dropping it stops it.
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Starts what `open` gives on threads of this process and waits until it accepts connections.
pub fn start(open: impl FnOnce() -> Result<Service, Error> + Send + 'static) -> Result<Running, Error> {
    let (stop, stopped) = oneshot::channel();
    let (ready, address) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let stop = async move { drop(stopped.await) };
        // Nobody waits any more only if the starting thread is gone.
        runtime()?.block_on(async { open()?.serve(|address| _ = ready.send(address), stop).await })
    });
    match address.recv() {
        Ok(address) => Ok(Running { address, stop: Some(stop), thread: Some(thread) }),
        // It ended before it was ready.
        Err(_) => Err(join(thread)
            .err()
            .unwrap_or_else(|| Error::new(codes::INTERNAL, "the service ended at once"))),
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
    let ended = || Error::new(codes::INTERNAL, "the service's thread ended abnormally");
    thread.join().unwrap_or_else(|_| Err(ended()))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("service")
        .build()
        .map_err(|e| Error::new(codes::INTERNAL, format_args!("cannot start threads: {e}")))
}
