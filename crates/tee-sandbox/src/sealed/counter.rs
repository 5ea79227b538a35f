use std::fs::File;
use std::os::unix::fs::FileExt;

use tamarack_crypto::{ConstantTimeEq, Provider, Secret};
use tamarack_tee::Error;

use crate::root_secret::RootSecret;
use crate::sealed::storage;

/// Two places of fixed size, written in turn, so that a torn write leaves the one before it.
pub trait Slots {
    /// Content of slot 0 or 1; shorter than asked for if it was never written.
    fn read(&self, slot: usize, length: usize) -> Result<Vec<u8>, Error>;
    /// Replaces the content of a slot and makes it durable. `commit` is the number that `data` authenticates.
    fn write(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error>;
}

/// Distance of the two slots in a file: two sectors, so that no write touches both.
const STRIDE: u64 = 4096;

impl Slots for File {
    fn read(&self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        let mut data = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read_at(&mut data[filled..], STRIDE * slot as u64 + filled as u64).map_err(storage)? {
                0 => break,
                n => filled += n,
            }
        }
        data.truncate(filled);
        Ok(data)
    }

    fn write(&mut self, slot: usize, _commit: u64, data: &[u8]) -> Result<(), Error> {
        self.write_all_at(data, STRIDE * slot as u64).and_then(|()| self.sync_data()).map_err(storage)
    }
}

/// The rollback counter that the sealed store is checked against when it is opened.
pub enum Counter {
    /// It is somewhere outside the device folder. One in a file beside the fuse file catches an old copy of the device
    /// folder, but not an old copy of everything.
    Slots {
        /// Where it is.
        slots: Box<dyn Slots>,
        /// Its quality.
        quality: &'static str,
    },
    /// There is no place for a counter: an old copy of the device folder is not noticed.
    None,
}

impl Counter {
    /// A counter in a file that is opened for reading and writing.
    pub fn file(file: File) -> Self {
        Self::slots(file, "file")
    }

    /// A counter of this quality.
    pub fn slots(slots: impl Slots + 'static, quality: &'static str) -> Self {
        Self::Slots { slots: Box::new(slots), quality }
    }

    /// Its quality, as Evidence states it (security rule R9).
    pub fn quality(&self) -> &'static str {
        match self {
            Self::Slots { quality, .. } => quality,
            Self::None => "none",
        }
    }
}

/// What the counter holds: the last commit, and what the state was after it, so that a fork shows too.
///
/// | bytes | meaning |
/// |---|---|
/// | 8 | commit number |
/// | 8 | state epoch |
/// | 32 | state digest |
/// | 32 | HMAC-SHA-256 over the above under a key of the root secret |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub commit: u64,
    pub epoch: u64,
    pub digest: [u8; 32],
}

/// What a counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// There is none.
    NoCounter,
    /// Nothing authentic: it was never written, its first write was torn, or it was tampered with.
    Nothing,
    /// This was its last write.
    Mark(Mark),
}

const BODY: usize = 48;
const SLOT: usize = BODY + 32;

/// A [`Counter`] with the key that authenticates it.
pub(crate) struct SealedCounter {
    pub counter: Counter,
    key: Secret<[u8; 32]>,
    provider: Provider,
}

impl SealedCounter {
    pub fn new(counter: Counter, root: &RootSecret, provider: Provider) -> Result<Self, Error> {
        let key = root.derive(&provider, b"", &[b"tamarack rollback counter"])?;
        Ok(Self { counter, key, provider })
    }

    /// The higher of the two authentic slots.
    pub fn read(&self) -> Result<Reading, Error> {
        let Counter::Slots { slots, .. } = &self.counter else { return Ok(Reading::NoCounter) };
        let mut marks = Vec::new();
        for slot in 0..2 {
            marks.extend(self.open(&slots.read(slot, SLOT)?));
        }
        Ok(marks.into_iter().max_by_key(|mark| mark.commit).map_or(Reading::Nothing, Reading::Mark))
    }

    pub fn write(&mut self, mark: &Mark) -> Result<(), Error> {
        let Counter::Slots { slots, .. } = &mut self.counter else { return Ok(()) };
        let body = [&mark.commit.to_be_bytes()[..], &mark.epoch.to_be_bytes(), &mark.digest].concat();
        let tag = self.provider.hmac.tag(self.key.expose(), &[&body]);
        slots.write((mark.commit % 2) as usize, mark.commit, &[&body[..], &tag].concat())
    }

    fn open(&self, data: &[u8]) -> Option<Mark> {
        let (body, tag) = data.split_at_checked(BODY)?;
        let expected = self.provider.hmac.tag(self.key.expose(), &[body]);
        if !bool::from(expected[..].ct_eq(tag)) {
            return None;
        }
        let (commit, rest) = body.split_first_chunk()?;
        let (epoch, digest) = rest.split_first_chunk()?;
        Some(Mark {
            commit: u64::from_be_bytes(*commit),
            epoch: u64::from_be_bytes(*epoch),
            digest: digest.try_into().ok()?,
        })
    }
}
