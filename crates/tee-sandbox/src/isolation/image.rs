use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{MemfdFlags, SealFlags};
use tamarack_crypto::{HashAlgorithm, Provider};

/// A program in memory that nobody can change any more, with the digest of exactly its bytes: what was measured is what
/// runs, whatever becomes of the file that it was read from.
#[derive(Debug)]
pub struct Image {
    file: File,
    digest: [u8; 32],
}

const CHUNK: usize = 1 << 20;

impl Image {
    /// Copies a program into sealed memory, and measures the bytes that it copies. It takes as much memory as the program is
    /// long, for as long as it runs.
    pub fn copy(source: &mut File, provider: &Provider) -> io::Result<Self> {
        let mut file = File::from(memory()?);
        let mut hasher = provider.sha2.start(HashAlgorithm::Sha256);
        let mut buffer = vec![0; CHUNK];
        loop {
            match source.read(&mut buffer)? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    file.write_all(&buffer[..n])?;
                }
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(&hasher.finish());
        // From here on not even this process can write to it, nor undo that.
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        if rustix::fs::fcntl_get_seals(&file)?.contains(seals) {
            Ok(Self { file, digest })
        } else {
            Err(io::Error::other("the kernel does not seal memory"))
        }
    }

    /// SHA-256 of the program.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// An empty file in memory that can be sealed and executed.
fn memory() -> io::Result<std::os::fd::OwnedFd> {
    const NAME: &str = "tamarack-agent";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(NAME, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 all of them could be executed, and nobody had to say so.
        Err(rustix::io::Errno::INVAL) => Ok(rustix::fs::memfd_create(NAME, flags)?),
        other => Ok(other?),
    }
}

/// SHA-256 of the running program. If that is `same_as`, a file that was measured already, it is not read again.
pub fn measure_self(same_as: Option<(&File, &Image)>, provider: &Provider) -> io::Result<[u8; 32]> {
    let mut own = File::open("/proc/self/exe")?;
    if let Some((file, image)) = same_as {
        let (own, other) = (own.metadata()?, file.metadata()?);
        // The kernel refuses to write to a file while it runs.
        if (own.dev(), own.ino()) == (other.dev(), other.ino()) {
            return Ok(*image.digest());
        }
    }
    measure(&mut own, provider)
}

/// SHA-256 of a file from where it stands.
pub fn measure(file: &mut File, provider: &Provider) -> io::Result<[u8; 32]> {
    let mut hasher = provider.sha2.start(HashAlgorithm::Sha256);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(&hasher.finish());
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::fd::AsRawFd;

    use tamarack_crypto_rustcrypto::provider;

    use super::*;

    #[test]
    fn what_was_measured_cannot_be_changed() {
        let mut source = tempfile::tempfile().unwrap();
        let program = [b"\x7fELF".repeat(CHUNK / 4), b"and the rest".to_vec()].concat();
        source.write_all(&program).unwrap();
        let copy = |source: &mut File| {
            std::io::Seek::rewind(source).unwrap();
            Image::copy(source, &provider()).unwrap()
        };
        let image = copy(&mut source);
        assert_eq!(*image.digest(), provider().sha256(&program));
        assert_eq!(image.file().metadata().unwrap().len(), program.len() as u64);
        // Not by this process, not through its name in /proc, and not by undoing the seals.
        image.file().set_len(0).unwrap_err();
        (&mut image.file()).write_all(b"x").unwrap_err();
        let name = format!("/proc/self/fd/{}", image.file().as_raw_fd());
        let through_name =
            OpenOptions::new().write(true).open(name).and_then(|mut file| file.write_all(b"x"));
        through_name.unwrap_err();
        rustix::fs::fcntl_add_seals(image.file(), SealFlags::empty()).unwrap_err();

        // What becomes of the file is nothing to the image; one byte more in it is another program.
        source.write_all(b"!").unwrap();
        assert_ne!(copy(&mut source).digest(), image.digest());
        source.set_len(0).unwrap();
        assert_eq!(image.file().metadata().unwrap().len(), program.len() as u64);
    }
}
