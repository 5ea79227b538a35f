//! The smallest HTTP server that OCSP needs (RFC 6960 appendix A.1): POST, one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamarack_x509::ocsp::{REQUEST_TYPE, RESPONSE_TYPE};

use crate::Error;

/// Connections that are answered at the same time; others wait in the system's queue.
const THREADS: usize = 4;
const MAX_HEAD: u64 = 8 * 1024;
const MAX_BODY: usize = 8 * 1024;
/// A whole exchange must be over by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers OCSP requests over HTTP on threads of this process. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address`, where port 0 takes a free one; `answer` turns the DER of a request into that of a response.
    pub fn start(
        address: SocketAddr,
        answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let failed = |error| Error::File { path: address.to_string().into(), error };
        let listener = Arc::new(TcpListener::bind(address).map_err(failed)?);
        let address = listener.local_addr().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let threads = (0..THREADS).map(|_| {
            let (listener, stop, answer) = (listener.clone(), stop.clone(), answer.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        // What fails on one connection is its client's business.
                        Ok((stream, _)) => _ = exchange(stream, &*answer),
                        // Such as too many open files: not to be tried again at once.
                        Err(_) => std::thread::sleep(Duration::from_millis(50)),
                    }
                }
            })
        });
        let threads = threads.collect();
        Ok(Self { address, stop, threads })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for ever.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Each thread sees the sign once it has accepted a connection; all but ours wait for the next.
            while !thread.is_finished() {
                let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
            }
            let _ = thread.join();
        }
    }
}

fn exchange(mut stream: TcpStream, answer: &dyn Fn(&[u8]) -> Vec<u8>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (status, body) = match read_request(&stream, deadline)? {
        Ok(request) => ("200 OK", answer(&request)),
        Err(status) => (status, Vec::new()),
    };
    let kind =
        if status.starts_with("200") { format!("Content-Type: {RESPONSE_TYPE}\r\n") } else { String::new() };
    let head =
        format!("HTTP/1.1 {status}\r\n{kind}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    stream.flush()
}

/// A stream that reads until a time, however slowly the bytes drip.
struct Until<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

fn read_line(head: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match head.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

/// The body of a request, or the status that refuses it.
fn read_request(stream: &TcpStream, deadline: Instant) -> io::Result<Result<Vec<u8>, &'static str>> {
    let mut head = BufReader::new(Until { stream, deadline }.take(MAX_HEAD + MAX_BODY as u64));
    let first = read_line(&mut head)?;
    let mut words = first.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("POST"), Some(_), Some("HTTP/1.1" | "HTTP/1.0")) => {}
        (Some(_), Some(_), Some("HTTP/1.1" | "HTTP/1.0")) => return Ok(Err("405 Method Not Allowed")),
        _ => return Ok(Err("400 Bad Request")),
    }
    let (mut length, mut is_request) = (None, false);
    loop {
        let line = read_line(&mut head)?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { return Ok(Err("400 Bad Request")) };
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_none() => length = value.trim().parse::<usize>().ok(),
            "content-length" | "transfer-encoding" => return Ok(Err("400 Bad Request")),
            "content-type" => is_request = value.trim().eq_ignore_ascii_case(REQUEST_TYPE),
            _ => {}
        }
    }
    match length {
        None => return Ok(Err("411 Length Required")),
        Some(length) if length > MAX_BODY => return Ok(Err("413 Content Too Large")),
        Some(_) if !is_request => return Ok(Err("415 Unsupported Media Type")),
        Some(_) => {}
    }
    let mut body = vec![0; length.unwrap_or_default()];
    head.read_exact(&mut body)?;
    Ok(Ok(body))
}
