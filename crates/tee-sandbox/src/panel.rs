//! A stand-in for trusted input and output: a socket between the Agent and whoever sits at the device's own panel.
//!
//! The launcher connects it when it starts and passes it to the Agent, so that neither the rich OS nor the Broker is ever
//! between them. The other end is a program of another user ([`serve`]), and of another one than normal apps have
//! ([`may_confirm`]). It is a stand-in: a real device has a screen and keys that only its TEE drives.
//!
//! A question is a frame of 4 bytes of length, big-endian, and `[number, text]`; the answer is a frame with `[number, bool]`.
//! The number keeps an answer that came too late from answering the next question.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tamarack_cbor::{Decoder, Encoder, Error as CborError, Limits};
use tamarack_model::permission::{Action, Role, permits};
use tamarack_tee::Error;

use crate::frame::Frames;

/// How long a question waits for its answer.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of a question's text.
pub const MAX_TEXT: usize = 1024;
const FRAMES: Frames = Frames(MAX_TEXT + 64);

/// Connects to the panel that listens at `path`, if who listens there may confirm. `rich_os` is the user that normal apps and
/// the Broker have; without it, because the TEE has no user of its own either, nobody is told apart.
pub fn connect(path: &Path, rich_os: Option<u32>) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    // The kernel's word about whoever called listen().
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
    match rich_os.is_none_or(|rich_os| may_confirm(peer, rich_os)) {
        true => Ok(stream),
        false => {
            let why = format!("user {peer} is at it, who is the one that normal apps have");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
    }
}

/// Whether user `peer` may answer what TAs ask, on a machine where normal apps and the Broker are user `rich_os`.
pub fn may_confirm(peer: u32, rich_os: u32) -> bool {
    let role = if peer == rich_os { Role::App } else { Role::User };
    permits(role, Action::PanelConfirm).is_some()
}

/// The Agent's end.
pub struct Panel {
    stream: UnixStream,
    asked: Cell<u64>,
    timeout: Duration,
}

impl Panel {
    /// The panel at the other end of `stream`.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, asked: Cell::new(0), timeout: TIMEOUT }.with_timeout(TIMEOUT)
    }

    /// Another time to wait, longer than none.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        // For a panel that does not read its questions. It fails for a time of nothing only, and then nothing is lost.
        let _ = self.stream.set_write_timeout(Some(timeout));
        Self { timeout, ..self }
    }

    /// Shows `text` and waits for the answer; no answer in time is a no. [`Error::NoPanel`] if nobody is there any more,
    /// [`Error::Quota`] if the text is longer than [`MAX_TEXT`].
    pub fn ask(&self, text: &str) -> Result<bool, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::Quota);
        }
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let mut e = Encoder::new();
        e.array(2).uint(number).text(text);
        FRAMES.send(&mut &self.stream, &e.into_bytes()).map_err(|_| Error::NoPanel)?;
        let mut answers = Until { stream: &self.stream, end: Instant::now() + self.timeout };
        loop {
            let frame = match FRAMES.receive(&mut answers) {
                Ok(frame) => frame.ok_or(Error::NoPanel)?,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(false),
                Err(_) => return Err(Error::NoPanel),
            };
            let answer = read_answer(&frame).map_err(|_| Error::NoPanel)?;
            if answer.0 == number {
                return Ok(answer.1);
            }
        }
    }
}

/// What comes before a time is over, however slowly or fast it comes.
struct Until<'s> {
    stream: &'s UnixStream,
    end: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(self.stream, PollFlags::IN)], Some(&wait))?;
        // What is there already does not count when the time is over: one who never stops would never be done.
        match ready == 0 || left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => (&mut &*self.stream).read(buffer),
        }
    }
}

/// The panel's end: shows every question to `decide`, and answers what it says, until the device ends. Characters that would
/// steer a terminal are replaced: what asks must not paint over what is asked.
pub fn serve(
    stream: &mut (impl Read + Write),
    mut decide: impl FnMut(&str) -> io::Result<bool>,
) -> io::Result<()> {
    while let Some(frame) = FRAMES.receive(stream)? {
        let (number, text) = read_question(&frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let answer = decide(&plain(&text))?;
        let mut e = Encoder::new();
        e.array(2).uint(number).bool(answer);
        FRAMES.send(stream, &e.into_bytes())?;
    }
    Ok(())
}

/// `text` without control characters, and without those that begin a line or change the direction of writing.
fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

fn limits() -> Limits {
    Limits { bytes: FRAMES.0, depth: 2, items: 8 }
}

fn read_question(frame: &[u8]) -> Result<(u64, String), CborError> {
    let mut d = Decoder::new(frame, &limits())?;
    d.array_of(2, "number and text")?;
    Ok((d.uint()?, d.text()?.to_string()))
}

fn read_answer(frame: &[u8]) -> Result<(u64, bool), CborError> {
    let mut d = Decoder::new(frame, &limits())?;
    d.array_of(2, "number and answer")?;
    Ok((d.uint()?, d.bool()?))
}

#[cfg(test)]
mod tests;
