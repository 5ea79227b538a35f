use std::collections::BTreeMap;

use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{Provider, Secret};
use tamarack_tee::{BlobId, Error, STATE};

use crate::root_secret::RootSecret;
use crate::sealed::disk::Disk;
use crate::sealed::{random, storage};

/// Most bytes of one record. A snapshot is one record, so this bounds the state.
const MAX_RECORD: usize = 64 << 20;
const SALT: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Everything that the store keeps, as of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of commits.
    pub commit: u64,
    /// Number of commits that touched the state.
    pub epoch: u64,
    pub pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub blobs: BTreeMap<BlobId, Kept>,
}

/// A kept payload. Without its salt, which is nowhere but here, the payload's file cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub salt: [u8; 32],
    pub size: u64,
}

/// One change as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Keep(BlobId, Kept),
    Drop(BlobId),
}

impl Contents {
    /// Applies the changes of one commit.
    pub fn apply(&mut self, entries: Vec<Entry>) {
        self.commit += 1;
        self.epoch += u64::from(entries.iter().any(Entry::touches_state));
        for entry in entries {
            match entry {
                Entry::Put(key, value) => drop(self.pairs.insert(key, value)),
                Entry::Delete(key) => drop(self.pairs.remove(&key)),
                Entry::Keep(id, kept) => drop(self.blobs.insert(id, kept)),
                Entry::Drop(id) => drop(self.blobs.remove(&id)),
            }
        }
    }

    fn snapshot(&self) -> Secret<Vec<u8>> {
        let mut e = Encoder::new();
        e.array(4).uint(self.commit).uint(self.epoch).array(self.pairs.len() + self.blobs.len());
        for (key, value) in &self.pairs {
            put(&mut e, key, value);
        }
        for (id, blob) in &self.blobs {
            keep(&mut e, id, blob);
        }
        e.null();
        Secret::new(e.into_bytes())
    }

    fn from_snapshot(plaintext: &[u8]) -> Result<Self, Error> {
        let (commit, epoch, entries) = decode(plaintext)?;
        let mut contents = Self::default();
        contents.apply(entries);
        Ok(Self { commit, epoch, ..contents })
    }
}

impl Entry {
    pub fn touches_state(&self) -> bool {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key.first() == Some(&STATE),
            Self::Keep(..) | Self::Drop(_) => false,
        }
    }

    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Put(key, value) => put(e, key, value),
            Self::Delete(key) => drop(e.array(2).uint(1).bytes(key)),
            Self::Keep(id, kept) => keep(e, id, kept),
            Self::Drop(id) => drop(e.array(2).uint(3).bytes(&id.0)),
        }
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, tamarack_cbor::Error> {
        let (length, kind) = (d.array()?, d.uint()?);
        match (kind, length) {
            (0, 3) => Ok(Self::Put(d.bytes()?.to_vec(), d.bytes()?.to_vec())),
            (1, 2) => Ok(Self::Delete(d.bytes()?.to_vec())),
            (2, 4) => {
                let id = BlobId(d.byte_array("16 bytes")?);
                Ok(Self::Keep(id, Kept { salt: d.byte_array("32 bytes")?, size: d.uint()? }))
            }
            (3, 2) => Ok(Self::Drop(BlobId(d.byte_array("16 bytes")?))),
            _ => Err(d.expected("an entry of the journal")),
        }
    }
}

fn put(e: &mut Encoder, key: &[u8], value: &[u8]) {
    e.array(3).uint(0).bytes(key).bytes(value);
}

fn keep(e: &mut Encoder, id: &BlobId, kept: &Kept) {
    e.array(4).uint(2).bytes(&id.0).bytes(&kept.salt).uint(kept.size);
}

/// Reads the plaintext of a record: commit number and epoch after it, its entries, null.
fn decode(plaintext: &[u8]) -> Result<(u64, u64, Vec<Entry>), Error> {
    let read = || {
        let limits = Limits { bytes: MAX_RECORD, depth: 4, items: MAX_RECORD };
        let mut d = Decoder::new(plaintext, &limits)?;
        d.array_of(4, "the 4 elements of a record")?;
        let (commit, epoch) = (d.uint()?, d.uint()?);
        let entries = (0..d.array()?).map(|_| Entry::decode(&mut d)).collect::<Result<_, _>>()?;
        d.null()?;
        Ok((commit, epoch, entries))
    };
    // It was authentic, so another version of this program wrote it.
    read().map_err(|e: tamarack_cbor::Error| Error::Storage(format!("unknown journal format: {e}")))
}

/// The journal file in use: a salt, a snapshot, and a record for each commit since.
///
/// | bytes | meaning |
/// |---|---|
/// | 32 | salt, random; the file's key is derived from it and the root secret |
/// | repeated: 4 | length of the rest of the record, big-endian |
/// | 12 | nonce, random |
/// | n + 16 | AES-256-GCM ciphertext and tag |
///
/// The additional data of a record binds the file's number, the record's own and the digest of the record before it, so
/// that records can be neither reordered nor left out nor moved between files. The file is renamed into place when its
/// snapshot is durable; therefore only its last record can be torn.
pub(crate) struct Journal {
    generation: u64,
    key: Secret<[u8; 32]>,
    /// Digest of the last record.
    chain: [u8; 32],
    /// Number of the next record.
    next: u64,
    /// Length of the file up to the end of its last good record.
    pub length: u64,
    /// Length when the snapshot was all there was.
    pub snapshot_length: u64,
}

impl Journal {
    pub fn name(&self) -> String {
        name(self.generation)
    }

    /// Writes a new journal file of generation `generation` with `contents` as its snapshot and renames it into place. On
    /// an error no file of that name is there, or nobody refers to it. The caller makes the name durable.
    pub fn create(
        disk: &mut dyn Disk,
        root: &RootSecret,
        provider: &Provider,
        generation: u64,
        contents: &Contents,
    ) -> Result<Self, Error> {
        let salt: [u8; SALT] = random(provider)?;
        let mut journal = Self::start(root, provider, generation, &salt)?;
        let record = journal.seal(provider, contents.snapshot().expose())?;
        let temporary = format!("{}.new", journal.name());
        let write = |disk: &mut dyn Disk| {
            disk.remove(&temporary)?;
            disk.append(&temporary, &salt)?;
            disk.append(&temporary, &record)?;
            disk.sync(&temporary)?;
            disk.rename(&temporary, &journal.name())
        };
        if let Err(e) = write(disk) {
            // What cannot be removed now is removed at the next start.
            let _ = disk.remove(&temporary);
            return Err(storage(e));
        }
        journal.accept(provider, &record);
        journal.snapshot_length = journal.length;
        Ok(journal)
    }

    /// Adds a durable record of one commit that leads to `commit` and `epoch`. On an error the file may have been changed
    /// behind [`Journal::length`].
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        provider: &Provider,
        (commit, epoch): (u64, u64),
        entries: &[Entry],
    ) -> Result<(), Error> {
        let mut e = Encoder::new();
        e.array(4).uint(commit).uint(epoch).array(entries.len());
        entries.iter().for_each(|entry| entry.encode(&mut e));
        e.null();
        let record = self.seal(provider, Secret::new(e.into_bytes()).expose())?;
        let name = self.name();
        disk.append(&name, &record).map_err(storage)?;
        disk.sync(&name).map_err(storage)?;
        self.accept(provider, &record);
        Ok(())
    }

    /// Reads a journal file whole. A torn last record is left out; [`Journal::length`] says where the good part ends.
    pub fn load(
        disk: &dyn Disk,
        root: &RootSecret,
        provider: &Provider,
        generation: u64,
    ) -> Result<(Self, Contents), Error> {
        let name = name(generation);
        let mut data = vec![0; disk.length(&name).map_err(storage)? as usize];
        let read = disk.read_at(&name, 0, &mut data).map_err(storage)?;
        data.truncate(read);
        let (salt, mut rest) = data.split_at_checked(SALT).ok_or(Error::NotAuthentic)?;
        let mut journal = Self::start(root, provider, generation, salt)?;
        let mut contents = None;
        while !rest.is_empty() {
            let Some((record, after)) = split_record(rest)? else { break };
            let plaintext = match journal.open(provider, record) {
                Ok(plaintext) => plaintext,
                // Only the end of the file can be torn.
                Err(_) if after.is_empty() => break,
                Err(e) => return Err(e),
            };
            let next = match contents {
                None => Contents::from_snapshot(plaintext.expose())?,
                Some(before) => follow(before, plaintext.expose())?,
            };
            contents = Some(next);
            journal.accept(provider, record);
            if journal.snapshot_length == 0 {
                journal.snapshot_length = journal.length;
            }
            rest = after;
        }
        // The snapshot was durable before the file had its name.
        contents.map(|contents| (journal, contents)).ok_or(Error::NotAuthentic)
    }

    fn start(root: &RootSecret, provider: &Provider, generation: u64, salt: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            generation,
            key: root.derive(provider, salt, &[b"tamarack sealed journal"])?,
            chain: provider.sha256(salt),
            next: 0,
            length: SALT as u64,
            snapshot_length: 0,
        })
    }

    fn aad(&self) -> Vec<u8> {
        [&self.generation.to_be_bytes()[..], &self.next.to_be_bytes(), &self.chain].concat()
    }

    fn seal(&self, provider: &Provider, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = random(provider)?;
        let length = NONCE + plaintext.len() + TAG;
        if length > MAX_RECORD {
            return Err(Error::Quota);
        }
        let ciphertext = provider
            .aead
            .seal(self.key.expose(), &nonce, &self.aad(), plaintext)
            .map_err(|_| Error::Crypto)?;
        Ok([&(length as u32).to_be_bytes()[..], &nonce, &ciphertext].concat())
    }

    fn open(&self, provider: &Provider, record: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let nonce_and_ciphertext = record[4..].split_first_chunk().ok_or(Error::NotAuthentic)?;
        let plaintext = provider
            .aead
            .open(self.key.expose(), nonce_and_ciphertext.0, &self.aad(), nonce_and_ciphertext.1)
            .map_err(|_| Error::NotAuthentic)?;
        Ok(Secret::new(plaintext))
    }

    fn accept(&mut self, provider: &Provider, record: &[u8]) {
        self.chain = provider.sha256(record);
        self.next += 1;
        self.length += record.len() as u64;
    }

    /// Number of the file after this one.
    pub fn next_generation(&self) -> u64 {
        self.generation + 1
    }
}

/// A record and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first record of `data`, with its length, and what follows; `None` if it is torn.
fn split_record(data: &[u8]) -> Result<Option<Split<'_>>, Error> {
    let Some(length) = data.first_chunk() else { return Ok(None) };
    match u32::from_be_bytes(*length) as usize {
        // The file grew but its content never came.
        0 => Ok(None),
        length if (NONCE + TAG..=MAX_RECORD).contains(&length) => Ok(data.split_at_checked(4 + length)),
        _ => Err(Error::NotAuthentic),
    }
}

fn follow(mut before: Contents, plaintext: &[u8]) -> Result<Contents, Error> {
    let (commit, epoch, entries) = decode(plaintext)?;
    before.apply(entries);
    if (before.commit, before.epoch) != (commit, epoch) {
        return Err(Error::NotAuthentic);
    }
    Ok(before)
}

/// How the names of journal files begin.
pub(crate) const PREFIX: &str = "journal-";

/// Name of the journal file of a generation.
fn name(generation: u64) -> String {
    format!("{PREFIX}{generation:016x}")
}

/// The generation of a journal file's name.
pub(crate) fn generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The plaintext of every record of a file.
    pub(crate) fn records(
        disk: &dyn Disk,
        root: &RootSecret,
        provider: &Provider,
        generation: u64,
    ) -> Vec<Vec<u8>> {
        let mut data = vec![0; disk.length(&name(generation)).unwrap() as usize];
        disk.read_at(&name(generation), 0, &mut data).unwrap();
        let (salt, mut rest) = data.split_at(SALT);
        let mut journal = Journal::start(root, provider, generation, salt).unwrap();
        let mut all = Vec::new();
        while let Ok(Some((record, after))) = split_record(rest) {
            let Ok(plaintext) = journal.open(provider, record) else { break };
            all.push(plaintext.expose().clone());
            journal.accept(provider, record);
            rest = after;
        }
        all
    }
}
