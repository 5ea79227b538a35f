//! Connections: TCP, TLS by rustls if configured, a bound on how many there are and how long one may be silent.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tamarack_model::codes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{Document, Error, Profile, TlsFiles};

/// A TLS handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection on which nothing arrives for so long is closed.
const SILENCE: Duration = Duration::from_secs(60);
/// Handshaken connections that wait to be served.
const WAITING: usize = 64;

/// Binds the address. In use or not ours: a sentence.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, Error> {
    let listener = std::net::TcpListener::bind(address).map_err(|e| {
        let reason = match e.kind() {
            io::ErrorKind::AddrInUse => "another process listens there".to_string(),
            io::ErrorKind::PermissionDenied => "this user may not use the port".to_string(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_string(),
            _ => e.to_string(),
        };
        Error::new(codes::PORT_IN_USE, format_args!("cannot listen on {address}: {reason}"))
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|e| Error::new(codes::INTERNAL, format_args!("cannot use the socket: {e}")))?;
    Ok(listener)
}

/// The TLS configuration, if the file names one.
pub fn tls(
    config: &Document,
    files: Option<&TlsFiles>,
    profile: Profile,
) -> Result<Option<TlsAcceptor>, Error> {
    let Some(files) = files else { return Ok(None) };
    let (cert, key) = (config.path(files.cert.get_ref()), config.path(files.key.get_ref()));
    let wrong_cert = |message: String| config.wrong(files.cert.span(), "tls.cert", message);
    let wrong_key = |message: String| config.wrong(files.key.span(), "tls.key", message);
    let pem = fs::read(&cert).map_err(|e| wrong_cert(Error::unreadable(&cert, &e).to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| wrong_cert(format!("{} holds no PEM certificates", cert.display())))?;
    if profile == Profile::Production && chain.iter().any(|der| tamarack_pki::is_development(der)) {
        return Err(wrong_cert(
            "is a development certificate, which the production profile refuses; use one of your own CA"
                .into(),
        ));
    }
    let pem = fs::read(&key).map_err(|e| wrong_key(Error::unreadable(&key, &e).to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| wrong_key(format!("{} holds no PEM private key", key.display())))?;
    let mut server =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong_cert(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|e| wrong_key(format!("key and certificate do not go together: {e}")))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

/// Accepts connections and does their handshakes beside one another.
pub struct Connections {
    local: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl Connections {
    /// Begins to accept. Needs a runtime.
    pub fn start(listener: TcpListener, tls: Option<TlsAcceptor>, most: usize) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let (ready_sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(accept_loop(listener, tls, Arc::new(Semaphore::new(most)), ready_sender));
        Ok(Self { local, ready })
    }
}

async fn accept_loop(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    slots: Arc<Semaphore>,
    ready: mpsc::Sender<(Connection, SocketAddr)>,
) {
    loop {
        // The semaphore is never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Such as no more file descriptors: others are served meanwhile.
                tracing::warn!(error = %e, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = tcp.set_nodelay(true);
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            let stream = match tls {
                None => Stream::Plain(tcp),
                Some(tls) => match timeout(HANDSHAKE, tls.accept(tcp)).await {
                    Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                    Ok(Err(e)) => return tracing::debug!(%peer, error = %e, "TLS handshake failed"),
                    Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
                },
            };
            let silence = Box::pin(sleep(SILENCE));
            let _ = ready.send((Connection { stream, silence, _slot: slot }, peer)).await;
        });
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task lives as long as this receiver.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// The address of the client.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self(*stream.remote_addr())
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection; it gives its slot back when dropped.
pub struct Connection {
    stream: Stream,
    silence: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        match read {
            Poll::Ready(result) => {
                this.silence.as_mut().reset(Instant::now() + SILENCE);
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
