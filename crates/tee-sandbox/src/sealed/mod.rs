//! The sealed store: pairs and payloads on a disk that nobody trusts.
//!
//! Every commit is one sealed record at the end of a journal file, durable before [`Store::commit`] returns; the state is
//! in memory, and from time to time a new journal file begins with a snapshot of it. A payload is a file of sealed chunks
//! that the journal keeps or lets go in the same record as the pairs that speak of it.
//!
//! | what happens to the disk | what the store does |
//! |---|---|
//! | power cut at any write | old or new state; a torn last record is the old one |
//! | disk full, write error | [`Error::Storage`], old state, usable when there is room again |
//! | the counter cannot be written | new state, which nobody is told of until it can be ([`Store::count`]) |
//! | altered, reordered, mixed, another device's | [`Error::NotAuthentic`] |
//! | an older copy | [`Error::RolledBack`], as far as the [`Counter`] is out of reach |

mod counter;
mod disk;
mod journal;
mod payload;

use std::collections::BTreeMap;

use tamarack_crypto::{Provider, Secret};
use tamarack_tee::{BlobId, Change, Error, Pair, StateRoot, state_digest};

use crate::root_secret::RootSecret;
use journal::{Contents, Entry, Journal};
use payload::Staged;

pub use counter::{Counter, Slots};
pub use disk::{Disk, FolderDisk};

use counter::{Mark, Reading, SealedCounter};

/// A journal file that grew by this many bytes, and to more than twice its snapshot, is replaced.
const COMPACT_AFTER: u64 = 256 << 10;

/// Transactional pairs and payloads, sealed under keys of the root secret.
pub struct Store {
    provider: Provider,
    disk: Box<dyn Disk>,
    root: RootSecret,
    counter: SealedCounter,
    contents: Contents,
    digest: [u8; 32],
    journal: Journal,
    staged: BTreeMap<BlobId, Staged>,
    unsettled: Unsettled,
}

/// What a failure left to be put right before the next commit.
#[derive(Default)]
struct Unsettled {
    /// Bytes behind the last good record.
    tail: bool,
    /// The name of the journal file is not durable yet; the file before it is still there.
    folder: Option<String>,
    /// The counter is one commit behind.
    counter: bool,
    /// Something was erased but is still in the journal.
    erase: bool,
}

impl Store {
    /// Opens the store on `disk`, or makes an empty one if there is none and the counter has never counted. Removes what
    /// an interrupted run left behind.
    pub fn open(
        disk: Box<dyn Disk>,
        counter: Counter,
        root: RootSecret,
        provider: Provider,
    ) -> Result<Self, Error> {
        let mut disk = disk;
        let counter = SealedCounter::new(counter, &root, provider)?;
        let reading = counter.read()?;
        let names = disk.list().map_err(storage)?;
        let newest = names.iter().filter_map(|name| journal::generation(name)).max();
        let (journal, contents) = match (newest, &reading) {
            (Some(newest), _) => Journal::load(&*disk, &root, &provider, newest)?,
            (None, Reading::Mark(_)) => return Err(Error::RolledBack),
            (None, Reading::Nothing | Reading::NoCounter) => {
                let contents = Contents::default();
                (Journal::create(&mut *disk, &root, &provider, 1, &contents)?, contents)
            }
        };
        let mut store = Self {
            digest: digest(&provider, &contents),
            provider,
            disk,
            root,
            counter,
            contents,
            journal,
            staged: BTreeMap::new(),
            unsettled: Unsettled { tail: true, ..Unsettled::default() },
        };
        store.compare(reading)?;
        store.clean(&names)?;
        store.settle()?;
        Ok(store)
    }

    /// Checks the state against the counter. The state may be ahead by one, for the counter is written after a commit.
    fn compare(&mut self, reading: Reading) -> Result<(), Error> {
        let mark = match reading {
            Reading::NoCounter => return Ok(()),
            // The counter is first written before the first commit.
            Reading::Nothing if self.contents.commit == 0 => {
                self.unsettled.counter = true;
                return Ok(());
            }
            Reading::Nothing => return Err(Error::RolledBack),
            Reading::Mark(mark) => mark,
        };
        if mark.commit == self.contents.commit {
            return if mark == self.mark() { Ok(()) } else { Err(Error::RolledBack) };
        }
        if self.contents.commit != mark.commit + 1 {
            return Err(Error::RolledBack);
        }
        self.unsettled.counter = true;
        Ok(())
    }

    /// Removes the store's files that are neither the journal nor kept payloads, and makes the journal's name durable.
    /// Files of other names are not the store's.
    fn clean(&mut self, names: &[String]) -> Result<(), Error> {
        let journal = self.journal.name();
        let kept: Vec<_> = self.contents.blobs.keys().map(|id| payload::name(*id)).collect();
        self.disk.sync_folder().map_err(storage)?;
        let ours = |name: &&String| name.starts_with(journal::PREFIX) || name.starts_with(payload::PREFIX);
        for name in names.iter().filter(ours).filter(|name| **name != journal && !kept.contains(name)) {
            self.disk.remove(name).map_err(storage)?;
        }
        Ok(())
    }

    /// Puts right what earlier failures left. Nothing is committed before it succeeds.
    fn settle(&mut self) -> Result<(), Error> {
        if self.unsettled.tail {
            let name = self.journal.name();
            if self.disk.length(&name).map_err(storage)? != self.journal.length {
                self.disk.truncate(&name, self.journal.length).map_err(storage)?;
                self.disk.sync(&name).map_err(storage)?;
            }
            self.unsettled.tail = false;
        }
        if let Some(old) = &self.unsettled.folder {
            self.disk.sync_folder().map_err(storage)?;
            // One that cannot be removed now is removed at the next start.
            let _ = self.disk.remove(old);
            self.unsettled.folder = None;
        }
        self.count()
    }

    /// Makes sure that the rollback counter stands for all that was committed. Until it does, somebody could put the state
    /// before the last commit back unseen: nothing that follows from that commit may leave the device.
    pub fn count(&mut self) -> Result<(), Error> {
        if self.unsettled.counter {
            self.counter.write(&self.mark())?;
            self.unsettled.counter = false;
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { commit: self.contents.commit, epoch: self.contents.epoch, digest: self.digest }
    }

    /// The value under `key`.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.contents.pairs.get(key).map(Vec::as_slice)
    }

    /// All pairs whose key begins with `prefix`, in ascending order of keys.
    pub fn scan(&self, prefix: &[u8]) -> Vec<Pair> {
        let from = self.contents.pairs.range(prefix.to_vec()..);
        from.take_while(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Epoch and digest of the state as last committed.
    pub fn state_root(&self) -> StateRoot {
        StateRoot { epoch: self.contents.epoch, digest: self.digest }
    }

    /// Quality of the rollback counter.
    pub fn counter_quality(&self) -> &'static str {
        self.counter.counter.quality()
    }

    /// Applies all of `changes` durably, or none. What a commit erases (a state key, a payload) is also gone from the
    /// journal when it returns, unless the disk refuses that; then it goes with the next commit (security rule K6).
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        let entries = changes.into_iter().map(|change| self.entry(change)).collect::<Result<Vec<_>, _>>()?;
        self.settle()?;
        let touches_state = entries.iter().any(Entry::touches_state);
        let after = (self.contents.commit + 1, self.contents.epoch + u64::from(touches_state));
        if let Err(e) = self.journal.append(&mut *self.disk, &self.provider, after, &entries) {
            self.unsettled.tail = true;
            // Best done now; if it fails the next commit tries again before anything else.
            let _ = self.settle();
            return Err(e);
        }
        let erased: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Drop(id) => Some(*id),
                Entry::Put(..) | Entry::Delete(_) | Entry::Keep(..) => None,
            })
            .collect();
        self.unsettled.erase |= entries.iter().any(|entry| self.erases(entry));
        for entry in &entries {
            if let Entry::Keep(id, _) = entry {
                self.staged.remove(id);
            }
        }
        self.contents.apply(entries);
        if touches_state {
            self.digest = digest(&self.provider, &self.contents);
        }
        self.unsettled.counter = true;
        // From here on the commit is durable: no failure below undoes it or may be reported as if it did. Whether it was
        // counted, whoever tells of it asks before ([`Store::count`]).
        let _ = self.settle();
        for id in erased {
            let _ = self.disk.remove(&payload::name(id));
        }
        let grown = self.journal.length - self.journal.snapshot_length;
        if self.unsettled.erase || grown > COMPACT_AFTER.max(self.journal.snapshot_length) {
            let _ = self.compact();
        }
        Ok(())
    }

    /// Whether an entry takes something out of the state for good.
    fn erases(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Delete(key) => entry.touches_state() && self.contents.pairs.contains_key(key),
            Entry::Drop(_) => true,
            Entry::Put(..) | Entry::Keep(..) => false,
        }
    }

    fn entry(&self, change: Change) -> Result<Entry, Error> {
        match change {
            Change::Put(key, value) => Ok(Entry::Put(key, value)),
            Change::Delete(key) => Ok(Entry::Delete(key)),
            Change::KeepBlob(id) => {
                let kept = self.staged.get(&id).and_then(Staged::kept).ok_or(Error::Blob)?;
                Ok(Entry::Keep(id, kept))
            }
            Change::DropBlob(id) => self.contents.blobs.get(&id).map(|_| Entry::Drop(id)).ok_or(Error::Blob),
        }
    }

    /// Begins a new journal file with a snapshot. The one before it is removed when the new name is durable.
    fn compact(&mut self) -> Result<(), Error> {
        self.settle()?;
        let next = self.journal.next_generation();
        let journal = Journal::create(&mut *self.disk, &self.root, &self.provider, next, &self.contents)?;
        let old = core::mem::replace(&mut self.journal, journal);
        self.unsettled = Unsettled { folder: Some(old.name()), ..Unsettled::default() };
        self.settle()
    }

    /// Opens a place for a payload.
    pub fn stage(&mut self) -> Result<BlobId, Error> {
        let staged = Staged::new(&self.root, &self.provider)?;
        let id = staged.id();
        self.staged.insert(id, staged);
        Ok(id)
    }

    /// Adds to a staged payload; holds at most 64 KiB of it in memory. After an error the payload is gone.
    pub fn stage_write(&mut self, id: BlobId, chunk: &[u8]) -> Result<(), Error> {
        let staged = self.staged.get_mut(&id).ok_or(Error::Blob)?;
        let result = staged.write(&mut *self.disk, &self.provider, chunk);
        self.unless_failed(id, result)
    }

    /// Ends a staged payload; gives its size. After an error the payload is gone.
    pub fn stage_finish(&mut self, id: BlobId) -> Result<u64, Error> {
        let staged = self.staged.get_mut(&id).ok_or(Error::Blob)?;
        let result = staged.finish(&mut *self.disk, &self.provider);
        self.unless_failed(id, result)
    }

    /// A chunk that was written in part must not be written again, with other content, under the same nonce.
    fn unless_failed<T>(&mut self, id: BlobId, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Err(Error::Storage(_) | Error::Crypto)) {
            self.discard(id);
        }
        result
    }

    /// Lets go of a staged payload.
    pub fn discard(&mut self, id: BlobId) {
        if self.staged.remove(&id).is_some() {
            // One that cannot be removed now is removed at the next start.
            let _ = self.disk.remove(&payload::name(id));
        }
    }

    /// Reads a finished or kept payload in chunks of at most 64 KiB.
    pub fn read_blob(&self, id: BlobId, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let staged = self.staged.get(&id).and_then(Staged::kept);
        let kept = staged.or_else(|| self.contents.blobs.get(&id).copied()).ok_or(Error::Blob)?;
        payload::read(&*self.disk, &self.root, &self.provider, (id, &kept), sink)
    }

    /// A key for one use: HKDF-SHA-256 of the root secret over the parts of `info`.
    pub fn derive_key(&self, info: &[&[u8]]) -> Result<Secret<[u8; 32]>, Error> {
        self.root.derive(&self.provider, b"", info)
    }
}

fn digest(provider: &Provider, contents: &Contents) -> [u8; 32] {
    state_digest(provider, contents.pairs.iter().map(|(k, v)| (&k[..], &v[..])))
}

fn storage(e: std::io::Error) -> Error {
    Error::Storage(e.to_string())
}

fn random<const N: usize>(provider: &Provider) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    provider.random.fill(&mut bytes).map_err(|_| Error::Crypto)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
