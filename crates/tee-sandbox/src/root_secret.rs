//! The root secret of the software TEE: 32 random bytes in a file that stands for the fuses of a chip.
//!
//! The file lies outside the device folder and is opened before the process is sandboxed (security rule S2): a copy of the
//! device folder alone opens nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tamarack_crypto::{Provider, Secret};
use tamarack_tee::Error;

use crate::isolation::SecretMemory;

/// Length of the root secret in bytes.
pub const LENGTH: usize = 32;

/// Where the bytes of a [`RootSecret`] are: memory that is wiped when it is let go.
pub trait SecretBytes {
    /// The bytes.
    fn expose(&self) -> &[u8];
}

impl SecretBytes for Secret<[u8; LENGTH]> {
    fn expose(&self) -> &[u8] {
        self.expose()
    }
}

impl SecretBytes for SecretMemory {
    fn expose(&self) -> &[u8] {
        self.expose()
    }
}

/// The secret that all storage keys of a device are derived from.
pub struct RootSecret(Box<dyn SecretBytes>);

impl RootSecret {
    /// Takes charge of bytes, wherever they are kept.
    pub fn new(bytes: impl SecretBytes + 'static) -> Self {
        Self(Box::new(bytes))
    }

    /// Reads exactly 32 bytes from an opened fuse file into `into`, which may be any memory that is wiped.
    pub fn read(fuse: &mut File) -> io::Result<Secret<[u8; LENGTH]>> {
        let mut secret = Secret::new([0; LENGTH]);
        fuse.read_exact(secret.expose_mut())?;
        if fuse.read(&mut [0; 1])? != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a fuse file holds exactly 32 bytes"));
        }
        Ok(secret)
    }

    /// Makes a fuse file that only this user can read. An existing file is never replaced: that would destroy a device.
    pub fn create_fuse(path: &Path, provider: &Provider) -> io::Result<()> {
        let mut secret = Secret::new([0; LENGTH]);
        provider.random.fill(secret.expose_mut()).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(secret.expose())?;
        file.sync_all()
    }

    /// The bytes, for what stands beside this module.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// A key for one use: HKDF-SHA-256 of the secret with `salt`, which need not be secret, and the parts of the info.
    pub(crate) fn derive(
        &self,
        provider: &Provider,
        salt: &[u8],
        info: &[&[u8]],
    ) -> Result<Secret<[u8; 32]>, Error> {
        let mut key = Secret::new([0; 32]);
        provider
            .hkdf
            .derive(salt, self.0.expose(), &info.concat(), key.expose_mut())
            .map_err(|_| Error::Crypto)?;
        Ok(key)
    }
}
