use std::fmt;
use std::io;

use tamarack_model::{Code, codes};

/// Why the TPM did not do something.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be reached.
    Io(io::Error),
    /// It refused a command; which, and its response code (TPM 2.0 Library Part 2, section 6.6).
    Refused(&'static str, u32),
    /// Its response is not what the command has; which.
    Response(&'static str),
    /// Its response was changed on the way: the HMAC is wrong; of which command.
    NotAuthentic(&'static str),
    /// The cryptographic provider failed.
    Crypto,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            // TPM_RC_POLICY_FAIL, TPM_RC_INTEGRITY and TPM_RC_PCR_CHANGED: not in this state, or not by this TPM.
            Self::Refused(_, code) if matches!(base(*code), 0x09d | 0x09f | 0x128) => codes::TPM_SEALED,
            Self::Io(_) | Self::Refused(..) | Self::Response(_) | Self::NotAuthentic(_) => {
                codes::TPM_UNAVAILABLE
            }
            Self::Crypto => codes::INTERNAL,
        }
    }
}

/// A response code without the number of the handle, session or parameter that it is about.
pub(crate) fn base(code: u32) -> u32 {
    if code & 0x080 != 0 { code & 0x0bf } else { code }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the TPM cannot be reached: {error}"),
            Self::Refused(command, code) => {
                write!(f, "the TPM refused {command}: {} (0x{code:03x})", meaning(*code))
            }
            Self::Response(command) => write!(f, "the TPM's response to {command} cannot be read"),
            Self::NotAuthentic(command) => {
                write!(f, "the TPM's response to {command} was changed on its way")
            }
            Self::Crypto => f.write_str("the cryptographic provider failed"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tamarack_crypto::Error> for Error {
    fn from(_: tamarack_crypto::Error) -> Self {
        Self::Crypto
    }
}

/// What a response code means, for those that people meet.
fn meaning(code: u32) -> &'static str {
    match base(code) {
        0x09d => "the policy does not hold: the machine is not in the state that this was sealed to",
        0x09f => "the object is not of this TPM",
        0x128 => "a PCR was changed meanwhile",
        0x08e | 0x0a2 => "wrong authorization value",
        0x08b => "no such handle",
        0x14c => "the index is defined already",
        0x14b => "no space left",
        0x902..=0x904 => "out of memory for objects or sessions",
        0x921 => "locked out after failed authorizations",
        0x100 => "it was not started",
        0x101 => "it is in failure mode",
        _ => "see the TPM 2.0 Library, Part 2, section 6.6",
    }
}

/// Writes the fields of a command.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A TPM2B: the size in 16 bits, then the bytes. All that is written here is shorter than [`LARGEST`].
    ///
    /// [`LARGEST`]: crate::transport::LARGEST
    pub fn sized(self, bytes: &[u8]) -> Self {
        self.u16(bytes.len() as u16).raw(bytes)
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the fields of a response; the name of the command goes into the error.
pub(crate) struct Reader<'b> {
    pub bytes: &'b [u8],
    pub command: &'static str,
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8], command: &'static str) -> Self {
        Self { bytes, command }
    }

    pub fn take(&mut self, count: usize) -> Result<&'b [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Error::Response(self.command))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let command = self.command;
        self.take(N)?.try_into().map_err(|_| Error::Response(command))
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn sized(&mut self) -> Result<&'b [u8], Error> {
        let size = self.u16()?;
        self.take(size.into())
    }
}
