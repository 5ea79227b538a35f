//! Where a TPM is.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where a TPM is, in the notation of tpm2-tss:
///
/// | text | TPM |
/// |---|---|
/// | `device:PATH` | a character device; `/dev/tpmrm0` has a resource manager and may be shared, `/dev/tpm0` may not |
/// | `swtpm:path=PATH` | the Unix socket of swtpm |
/// | `swtpm:host=HOST,port=PORT` | the TCP socket of swtpm; both may be left out (localhost, 2321) |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A character device.
    Device(PathBuf),
    /// A Unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String, u16),
}

/// A text that names no TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} names no TPM; it is device:PATH, swtpm:path=PATH or swtpm:host=HOST,port=PORT",
            self.0
        )
    }
}

impl std::error::Error for AddressError {}

/// How long a TPM may take for one command: making a key in a real one takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.into());
        if let Some(path) = text.strip_prefix("device:").filter(|path| !path.is_empty()) {
            return Ok(Self::Device(path.into()));
        }
        let parts = text.strip_prefix("swtpm").ok_or_else(wrong)?;
        let parts = parts.strip_prefix(':').or(parts.is_empty().then_some(parts)).ok_or_else(wrong)?;
        let (mut host, mut port, mut path) = (None, None, None);
        for part in parts.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=').ok_or_else(wrong)? {
                ("host", value) => host = Some(value.to_owned()),
                ("port", value) => port = Some(value.parse().map_err(|_| wrong())?),
                ("path", value) => path = Some(PathBuf::from(value)),
                _ => return Err(wrong()),
            }
        }
        match (path, host, port) {
            (Some(path), None, None) => Ok(Self::Unix(path)),
            (None, host, port) => {
                Ok(Self::Tcp(host.unwrap_or_else(|| "localhost".into()), port.unwrap_or(2321)))
            }
            (Some(_), ..) => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Unix(path) => write!(f, "swtpm:path={}", path.display()),
            Self::Tcp(host, port) => write!(f, "swtpm:host={host},port={port}"),
        }
    }
}

impl Address {
    /// Opens it. The descriptor is all that is needed from then on, so that a process may be sandboxed after.
    pub fn open(&self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Device(path) => OpenOptions::new().read(true).write(true).open(path)?.into(),
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.into()
            }
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                stream.into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, expected) in [
            ("device:/dev/tpmrm0", Some(Address::Device("/dev/tpmrm0".into()))),
            ("swtpm:path=/run/tpm", Some(Address::Unix("/run/tpm".into()))),
            ("swtpm:host=127.0.0.1,port=9", Some(Address::Tcp("127.0.0.1".into(), 9))),
            ("swtpm:port=9", Some(Address::Tcp("localhost".into(), 9))),
            ("swtpm", Some(Address::Tcp("localhost".into(), 2321))),
            ("device:", None),
            ("swtpm:path=/x,port=1", None),
            ("swtpm:port=x", None),
            ("swtpmx", None),
            ("mssim:", None),
            ("", None),
        ] {
            let read = text.parse::<Address>().ok();
            assert_eq!(read, expected, "{text}");
            if let Some(address) = read {
                assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
