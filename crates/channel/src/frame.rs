use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_model::{Code, codes};

use crate::VERSION;

/// Most bytes of one frame without its length: 64 KiB.
pub const MAX_FRAME: usize = 64 << 10;
/// Most bytes of one message put together: a TEEP message of 1 MiB and what goes around it.
pub const MAX_MESSAGE: usize = (1 << 20) + MAX_FRAME;
/// Most payload bytes of one [`crate::Request::Chunk`], so that it fits into one frame.
pub const MAX_CHUNK: usize = 60 << 10;

/// Content of one `Part`.
const PART_SIZE: usize = MAX_FRAME - 64;
const PART: u64 = 15;

/// What a message can carry: a [`crate::Request`] or a [`crate::Reply`].
pub trait Body: Sized {
    /// Number of the operation.
    fn op(&self) -> u64;
    /// Writes the body, one item.
    fn encode_body(&self, e: &mut Encoder);
    /// Reads the body of operation `op`; None if there is no such operation.
    fn decode_body(op: u64, d: &mut Decoder<'_>) -> Option<Result<Self, tamarack_cbor::Error>>;
}

/// A request or an answer under the number that ties them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<B> {
    /// Number of the request, chosen by who asks.
    pub id: u32,
    /// What is asked or answered.
    pub body: B,
}

/// Why bytes are not a message. The channel cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A frame of no bytes or too many; how many.
    FrameLength(u32),
    /// A message longer than [`MAX_MESSAGE`].
    MessageLength,
    /// The frame is not CBOR as defined here.
    Cbor(tamarack_cbor::Error),
    /// Another version of the protocol.
    Version(u64),
    /// An operation that this end does not take.
    Operation(u64),
    /// Parts of a message do not belong together.
    Part,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        codes::TEE_CHANNEL
    }
}

impl From<tamarack_cbor::Error> for Error {
    fn from(error: tamarack_cbor::Error) -> Self {
        Self::Cbor(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameLength(n) => write!(f, "a frame of {n} bytes, 1 to {MAX_FRAME} are allowed"),
            Self::MessageLength => write!(f, "a message of more than {MAX_MESSAGE} bytes"),
            Self::Cbor(error) => write!(f, "a malformed message: {error}"),
            Self::Version(n) => write!(f, "version {n} of the channel, expected {VERSION}"),
            Self::Operation(n) => write!(f, "operation {n} is not one for this end"),
            Self::Part => f.write_str("parts of a message that do not belong together"),
        }
    }
}

impl core::error::Error for Error {}

impl<B: Body> Message<B> {
    /// Encodes the message as frames, each with its length, ready to be written in this order. Fails only if the message
    /// is longer than [`MAX_MESSAGE`].
    pub fn to_frames(&self) -> Result<Vec<u8>, Error> {
        let mut e = Encoder::new();
        head(&mut e, self.id, self.body.op());
        self.body.encode_body(&mut e);
        let message = e.into_bytes();
        if message.len() > MAX_MESSAGE {
            return Err(Error::MessageLength);
        }
        let mut out = Vec::with_capacity(message.len() + 64);
        if message.len() <= MAX_FRAME {
            put_frame(&mut out, &message);
            return Ok(out);
        }
        let count = message.len().div_ceil(PART_SIZE);
        for (i, piece) in message.chunks(PART_SIZE).enumerate() {
            let mut e = Encoder::new();
            head(&mut e, self.id, PART);
            e.array(2).bool(i + 1 == count).bytes(piece);
            put_frame(&mut out, &e.into_bytes());
        }
        Ok(out)
    }
}

fn head(e: &mut Encoder, id: u32, op: u64) {
    e.array(4).uint(VERSION).uint(id.into()).uint(op);
}

fn put_frame(out: &mut Vec<u8>, frame: &[u8]) {
    // At most MAX_FRAME, so it fits.
    out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    out.extend_from_slice(frame);
}

/// Reads the length in front of a frame.
pub fn frame_length(prefix: [u8; 4]) -> Result<usize, Error> {
    let length = u32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(n) if (1..=MAX_FRAME).contains(&n) => Ok(n),
        _ => Err(Error::FrameLength(length)),
    }
}

/// Puts messages together from frames.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Id and content of the parts so far.
    parts: Option<(u32, Vec<u8>)>,
}

impl Assembler {
    /// An assembler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the content of one frame, and gives a message if that completes one.
    pub fn push<B: Body>(&mut self, frame: &[u8]) -> Result<Option<Message<B>>, Error> {
        let limits = Limits { bytes: MAX_FRAME, depth: 16, items: 1 << 16 };
        let mut d = Decoder::new(frame, &limits)?;
        let (id, op) = read_head(&mut d)?;
        if op != PART {
            return if self.parts.is_some() { Err(Error::Part) } else { read_body(id, op, &mut d).map(Some) };
        }
        d.array_of(2, "the 2 elements of a part")?;
        let (last, piece) = (d.bool()?, d.bytes()?);
        let (first_id, so_far) = self.parts.get_or_insert_with(|| (id, Vec::new()));
        if *first_id != id || piece.is_empty() {
            return Err(Error::Part);
        }
        if so_far.len() + piece.len() > MAX_MESSAGE {
            return Err(Error::MessageLength);
        }
        so_far.extend_from_slice(piece);
        if !last {
            return Ok(None);
        }
        let whole = core::mem::take(so_far);
        self.parts = None;
        let mut d = Decoder::new(&whole, &Limits { bytes: MAX_MESSAGE, ..limits })?;
        let (inner, op) = read_head(&mut d)?;
        if inner != id || op == PART {
            return Err(Error::Part);
        }
        read_body(id, op, &mut d).map(Some)
    }
}

fn read_head(d: &mut Decoder<'_>) -> Result<(u32, u64), Error> {
    d.array_of(4, "the 4 elements of a message")?;
    match d.uint()? {
        VERSION => {}
        other => return Err(Error::Version(other)),
    }
    let at = d.position();
    let wrong = tamarack_cbor::ErrorKind::Value("a request id of at most 32 bits");
    let id = u32::try_from(d.uint()?).map_err(|_| tamarack_cbor::Error::new(at, wrong))?;
    Ok((id, d.uint()?))
}

fn read_body<B: Body>(id: u32, op: u64, d: &mut Decoder<'_>) -> Result<Message<B>, Error> {
    let body = B::decode_body(op, d).ok_or(Error::Operation(op))??;
    Ok(Message { id, body })
}

/// Reads one message with `read_exact`, which fills the buffer it is given or fails. The outer error is the reader's.
pub fn receive<B: Body, E>(
    mut read_exact: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<Result<Message<B>, Error>, E> {
    let mut assembler = Assembler::new();
    loop {
        let mut prefix = [0; 4];
        read_exact(&mut prefix)?;
        let length = match frame_length(prefix) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let mut frame = vec![0; length];
        read_exact(&mut frame)?;
        match assembler.push(&frame) {
            Ok(None) => {}
            Ok(Some(message)) => return Ok(Ok(message)),
            Err(error) => return Ok(Err(error)),
        }
    }
}
