use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// Largest command or response: what TPMs and the kernel's driver take.
pub(crate) const LARGEST: usize = 4096;
/// tag, size, code.
pub(crate) const HEADER: usize = 10;

/// The way to a TPM.
pub trait Bus {
    /// Sends a whole command and gives the whole response. After an error it is not used again.
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>>;
}

/// A descriptor of a character device or a stream socket.
pub(crate) struct Transport(File);

impl Transport {
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl Bus for Transport {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        // A device takes a command in one write and gives a response in one read; a socket may split both.
        self.0.write_all(command)?;
        let mut response = vec![0; LARGEST];
        let mut filled = 0;
        loop {
            match self.0.read(&mut response[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "it does not answer; another process may be using it",
                    ));
                }
                Err(error) => return Err(error),
            }
            if filled < HEADER {
                continue;
            }
            match size(&response) {
                size if size == filled => break,
                size if size > filled && size <= LARGEST => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        response.truncate(filled);
        Ok(response)
    }
}

/// How long a response says that it is; it has a header.
pub(crate) fn size(response: &[u8]) -> usize {
    u32::from_be_bytes([response[2], response[3], response[4], response[5]]) as usize
}
