use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use tamarack_channel::{Message, Reply, Request, receive};

use crate::Error;

/// The Broker's end of the channel to the TEE: asks and waits for the answer. Broken once, it stays broken, because
/// nobody knows any more which answer belongs to which request.
#[derive(Debug)]
pub struct TeeChannel {
    stream: UnixStream,
    next_id: u32,
    broken: bool,
}

impl TeeChannel {
    /// Takes the Broker's end of the socketpair.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, next_id: 1, broken: false }
    }

    /// Whether the TEE can no longer be reached.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Asks the TEE and waits for its answer, however long it takes: the TEE may be hashing a large payload.
    pub fn call(&mut self, request: Request) -> Result<Reply, Error> {
        if self.broken {
            return Err(Error::Io(std::io::ErrorKind::BrokenPipe.into()));
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        // Too long a message is the caller's mistake and leaves the channel whole.
        let frames = Message { id, body: request }.to_frames()?;
        self.broken = true;
        let reply = exchange(&mut self.stream, id, &frames)?;
        self.broken = false;
        Ok(reply)
    }
}

/// Writes a request and reads one answer to it.
fn exchange(stream: &mut UnixStream, id: u32, frames: &[u8]) -> Result<Reply, Error> {
    stream.write_all(frames)?;
    read_reply(stream, id)
}

/// Reads one answer to request `id`.
pub(crate) fn read_reply(stream: &mut UnixStream, id: u32) -> Result<Reply, Error> {
    let message: Message<Reply> = receive(|buffer| stream.read_exact(buffer))??;
    if message.id == id { Ok(message.body) } else { Err(Error::Unexpected) }
}
