//! Frames on a stream: 4 bytes of length, big-endian, and that many bytes.

use std::io::{self, ErrorKind, Read, Write};

/// The frames of one kind of conversation: none is longer than this many bytes without its length.
pub(crate) struct Frames(pub usize);

impl Frames {
    /// Whether so many bytes fit.
    pub fn fit(&self, length: usize) -> bool {
        length <= self.0
    }

    /// Writes one frame.
    pub fn send(&self, stream: &mut impl Write, item: &[u8]) -> io::Result<()> {
        let length = u32::try_from(item.len()).ok().filter(|_| self.fit(item.len()));
        let length = length.ok_or_else(|| too_long(ErrorKind::InvalidInput))?;
        stream.write_all(&[&length.to_be_bytes()[..], item].concat())
    }

    /// Reads one frame; None at the end of the conversation, which is between two frames and nowhere else.
    pub fn receive(&self, stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        let first = loop {
            match stream.read(&mut length[..1]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut length[1..])?;
        let length = u32::from_be_bytes(length) as usize;
        if !self.fit(length) {
            return Err(too_long(ErrorKind::InvalidData));
        }
        let mut item = vec![0; length];
        stream.read_exact(&mut item)?;
        Ok(Some(item))
    }
}

fn too_long(kind: ErrorKind) -> io::Error {
    io::Error::new(kind, "a frame that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_nothing_else_is_one() {
        let frames = Frames(3);
        let mut written = Vec::new();
        for item in [&b""[..], b"abc"] {
            frames.send(&mut written, item).unwrap();
        }
        assert_eq!(frames.send(&mut written, b"long").unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut rest = &written[..];
        assert_eq!(frames.receive(&mut rest).unwrap(), Some(Vec::new()));
        assert_eq!(frames.receive(&mut rest).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(frames.receive(&mut rest).unwrap(), None);
        for (bytes, kind) in [
            (&[0, 0, 0, 4, 1, 2, 3, 4][..], ErrorKind::InvalidData),
            (&[0xff; 4], ErrorKind::InvalidData),
            (&[0, 0], ErrorKind::UnexpectedEof),
            (&[0, 0, 0, 3, 1, 2], ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(frames.receive(&mut &*bytes).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }
}
