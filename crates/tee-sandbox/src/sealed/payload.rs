use tamarack_crypto::{Provider, Secret};
use tamarack_model::Hex;
use tamarack_tee::{BlobId, Error};

use crate::root_secret::RootSecret;
use crate::sealed::disk::Disk;
use crate::sealed::journal::Kept;
use crate::sealed::{random, storage};

/// Plaintext bytes of every chunk but the last, which may be shorter.
pub(crate) const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// How the names of payload files begin.
pub(crate) const PREFIX: &str = "payload-";

/// Name of a payload's file.
pub(crate) fn name(id: BlobId) -> String {
    format!("{PREFIX}{}", Hex(&id.0))
}

/// A payload as it is received: chunks of 64 KiB, each sealed under the payload's own key with its number as the nonce,
/// and its number and whether it is the last in the additional data.
pub(crate) struct Staged {
    id: BlobId,
    salt: [u8; 32],
    key: Secret<[u8; 32]>,
    buffer: Secret<Vec<u8>>,
    chunks: u64,
    size: u64,
    finished: bool,
}

impl Staged {
    pub fn new(root: &RootSecret, provider: &Provider) -> Result<Self, Error> {
        let (id, salt) = (BlobId(random(provider)?), random(provider)?);
        Ok(Self {
            id,
            salt,
            key: key(root, provider, id, &salt)?,
            buffer: Secret::new(Vec::with_capacity(CHUNK)),
            chunks: 0,
            size: 0,
            finished: false,
        })
    }

    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Bytes that wait for their chunk to be full.
    #[cfg(test)]
    pub fn buffered(&self) -> usize {
        self.buffer.expose().capacity()
    }

    /// What the journal keeps of it, once it is finished.
    pub fn kept(&self) -> Option<Kept> {
        self.finished.then_some(Kept { salt: self.salt, size: self.size })
    }

    pub fn write(&mut self, disk: &mut dyn Disk, provider: &Provider, mut data: &[u8]) -> Result<(), Error> {
        if self.finished {
            return Err(Error::Blob);
        }
        self.size += data.len() as u64;
        while !data.is_empty() {
            // A full buffer goes out only when more follows: it might have been the last chunk.
            if self.buffer.expose().len() == CHUNK {
                self.flush(disk, provider, false)?;
            }
            let (now, later) = data.split_at(data.len().min(CHUNK - self.buffer.expose().len()));
            self.buffer.expose_mut().extend_from_slice(now);
            data = later;
        }
        Ok(())
    }

    /// Makes it durable; gives its size.
    pub fn finish(&mut self, disk: &mut dyn Disk, provider: &Provider) -> Result<u64, Error> {
        if self.finished {
            return Err(Error::Blob);
        }
        self.flush(disk, provider, true)?;
        disk.sync(&name(self.id)).map_err(storage)?;
        disk.sync_folder().map_err(storage)?;
        self.finished = true;
        Ok(self.size)
    }

    fn flush(&mut self, disk: &mut dyn Disk, provider: &Provider, last: bool) -> Result<(), Error> {
        let sealed = provider
            .aead
            .seal(self.key.expose(), &nonce(self.chunks), &aad(self.chunks, last), self.buffer.expose())
            .map_err(|_| Error::Crypto)?;
        disk.append(&name(self.id), &sealed).map_err(storage)?;
        self.chunks += 1;
        self.buffer.expose_mut().clear();
        Ok(())
    }
}

/// Reads a finished payload in order, each chunk after it was found authentic.
pub(crate) fn read(
    disk: &dyn Disk,
    root: &RootSecret,
    provider: &Provider,
    (id, kept): (BlobId, &Kept),
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let key = key(root, provider, id, &kept.salt)?;
    let name = name(id);
    let chunks = kept.size.div_ceil(CHUNK as u64).max(1);
    let mut sealed = vec![0; CHUNK + TAG];
    for index in 0..chunks {
        let offset = index * (CHUNK + TAG) as u64;
        let length = (kept.size - index * CHUNK as u64).min(CHUNK as u64) as usize + TAG;
        let read = disk.read_at(&name, offset, &mut sealed[..length]).map_err(storage)?;
        let chunk = provider
            .aead
            .open(key.expose(), &nonce(index), &aad(index, index + 1 == chunks), &sealed[..read])
            .map_err(|_| Error::NotAuthentic)?;
        sink(Secret::new(chunk).expose());
    }
    Ok(())
}

fn key(
    root: &RootSecret,
    provider: &Provider,
    id: BlobId,
    salt: &[u8; 32],
) -> Result<Secret<[u8; 32]>, Error> {
    root.derive(provider, salt, &[b"tamarack sealed payload", &id.0])
}

fn nonce(chunk: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&chunk.to_be_bytes());
    nonce
}

fn aad(chunk: u64, last: bool) -> [u8; 9] {
    let mut aad = [u8::from(last); 9];
    aad[..8].copy_from_slice(&chunk.to_be_bytes());
    aad
}
