use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use tamarack_tee::{BlobId, Change, Pair, Platform};

use crate::Error;

/// A transaction being put together: what it would change, seen over what is committed. Nothing reaches the platform
/// before [`Journal::commit`], which is atomic; dropping a journal is the rollback.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    keep: Vec<BlobId>,
    erase: Vec<BlobId>,
}

impl Journal {
    /// The value under `key` as it will be.
    pub fn get(&self, platform: &dyn Platform, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(platform.get(key)?),
        }
    }

    /// All pairs under `prefix` as they will be, in ascending order of keys.
    pub fn scan(&self, platform: &dyn Platform, prefix: &[u8]) -> Result<Vec<Pair>, Error> {
        let mut all: BTreeMap<_, _> = platform.scan(prefix)?.into_iter().collect();
        for (key, value) in self.changes.range(prefix.to_vec()..).take_while(|(k, _)| k.starts_with(prefix)) {
            match value {
                Some(value) => drop(all.insert(key.clone(), value.clone())),
                None => drop(all.remove(key)),
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Sets a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// Removes all keys under `prefix`.
    pub fn delete_all(&mut self, platform: &dyn Platform, prefix: &[u8]) -> Result<(), Error> {
        for (key, _) in self.scan(platform, prefix)? {
            self.delete(key);
        }
        Ok(())
    }

    /// Keeps a staged payload.
    pub fn keep(&mut self, blob: BlobId) {
        self.keep.push(blob);
    }

    /// Erases a payload: a committed one is dropped with the commit, one that this journal keeps is not kept.
    pub fn erase(&mut self, blob: BlobId) {
        match self.keep.iter().position(|kept| *kept == blob) {
            Some(i) => drop(self.keep.remove(i)),
            None => self.erase.push(blob),
        }
    }

    /// The staged payloads that the commit would keep.
    pub fn kept(&self) -> &[BlobId] {
        &self.keep
    }

    /// Makes everything durable at once, or nothing.
    pub fn commit(self, platform: &mut dyn Platform) -> Result<(), Error> {
        let puts = self.changes.into_iter().map(|(key, value)| match value {
            Some(value) => Change::Put(key, value),
            None => Change::Delete(key),
        });
        let kept = self.keep.into_iter().map(Change::KeepBlob);
        let erased = self.erase.into_iter().map(Change::DropBlob);
        let changes: Vec<Change> = kept.chain(puts).chain(erased).collect();
        if changes.is_empty() { Ok(()) } else { Ok(platform.commit(changes)?) }
    }
}
