pub(crate) mod crash_disk;
mod power;
mod tamper;

use tamarack_crypto_rustcrypto::provider;

use super::*;
use crash_disk::{CrashDisk, Survivor};

/// The device under test: a disk, a counter on a medium of its own, and the root secret.
#[derive(Clone, Default)]
pub(crate) struct Device {
    pub disk: CrashDisk,
    pub counter: CrashDisk,
}

impl Device {
    /// A device in the same state that goes its own way.
    pub fn fork(&self) -> Self {
        Self { disk: self.disk.fork(), counter: self.counter.fork() }
    }

    /// The power comes back.
    pub fn restart(&self, survivor: Survivor) {
        self.disk.restart(survivor);
        self.counter.restart(survivor);
    }

    pub fn open(&self) -> Result<Store, Error> {
        self.open_with(7)
    }

    fn open_with(&self, root: u8) -> Result<Store, Error> {
        let root = RootSecret::new(Secret::new([root; 32]));
        let counter = Counter::slots(self.counter.clone(), "file");
        Store::open(Box::new(self.disk.clone()), counter, root, provider())
    }
}

fn put(key: &str, value: &str) -> Change {
    Change::Put(key.into(), value.into())
}

fn delete(key: &str) -> Change {
    Change::Delete(key.into())
}

fn stage(store: &mut Store, data: &[u8]) -> Result<BlobId, Error> {
    let blob = store.stage()?;
    for chunk in data.chunks(10_000) {
        store.stage_write(blob, chunk)?;
    }
    store.stage_finish(blob)?;
    Ok(blob)
}

fn read(store: &Store, blob: BlobId) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    store.read_blob(blob, &mut |chunk| data.extend_from_slice(chunk))?;
    Ok(data)
}

/// Every record of every journal file on the disk, decrypted with everything the device knows.
fn plaintexts(device: &Device) -> Vec<Vec<u8>> {
    let root = RootSecret::new(Secret::new([7; 32]));
    let mut all = Vec::new();
    for name in device.disk.list().unwrap() {
        let Some(generation) = journal::generation(&name) else { continue };
        let (_, contents) = Journal::load(&device.disk, &root, &provider(), generation).unwrap();
        all.push(format!("{contents:?}").into_bytes());
        all.extend(journal::tests::records(&device.disk, &root, &provider(), generation));
    }
    all
}

fn holds(haystacks: &[Vec<u8>], needle: &[u8]) -> bool {
    haystacks.iter().any(|data| data.windows(needle.len()).any(|window| window == needle))
}

#[test]
fn k6_delete_destroys_what_it_sealed() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    store.commit(vec![put("s/salt", "the salt of one TA"), put("s/other", "1")]).unwrap();
    store.commit(vec![put("n/note", "x")]).unwrap();
    assert!(holds(&plaintexts(&device), b"the salt of one TA"), "the search finds what is there");
    store.commit(vec![delete("s/salt")]).unwrap();
    assert!(!holds(&plaintexts(&device), b"the salt of one TA"));
    assert_eq!(store.get(b"s/other"), Some(&b"1"[..]));
}

#[test]
fn k6_dropped_payload_cannot_be_opened_from_a_copy() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    let blob = stage(&mut store, b"module").unwrap();
    store.commit(vec![Change::KeepBlob(blob)]).unwrap();
    let copy = device.disk.content(&payload::name(blob));
    let kept = store.contents.blobs[&blob];
    store.commit(vec![Change::DropBlob(blob)]).unwrap();
    assert!(!device.disk.list().unwrap().contains(&payload::name(blob)), "its file is gone");
    assert!(!holds(&plaintexts(&device), &kept.salt), "and the salt of its key");
    // With the file put back, only the salt would open it.
    device.disk.set(&payload::name(blob), copy);
    assert_eq!(read(&store, blob), Err(Error::Blob));
}

#[test]
fn unkept_payloads_are_removed_at_start() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    let kept = stage(&mut store, &[1; 100_000]).unwrap();
    let unkept = stage(&mut store, &[2; 100_000]).unwrap();
    let unfinished = store.stage().unwrap();
    store.stage_write(unfinished, &[3; 200_000]).unwrap();
    store.commit(vec![Change::KeepBlob(kept)]).unwrap();
    assert_eq!(device.disk.list().unwrap().len(), 4);
    drop(store);
    device.disk.set("somebody else's", vec![1]);
    let store = device.open().unwrap();
    assert_eq!(device.disk.list().unwrap().len(), 3, "the journal, one payload, and what is not ours");
    assert_eq!(read(&store, kept).map(|data| data.len()), Ok(100_000));
    assert_eq!(read(&store, unkept), Err(Error::Blob));
}

#[test]
fn journal_stays_small() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    let value = "v".repeat(1000);
    for n in 0..2000 {
        store.commit(vec![put("s/a", &value), put("n/b", &n.to_string())]).unwrap();
    }
    let size = device.disk.size();
    assert!(size < 2 * COMPACT_AFTER, "2 MB were committed, {size} bytes are kept");
    drop(store);
    let store = device.open().unwrap();
    assert_eq!((store.get(b"n/b"), store.contents.commit), (Some(&b"1999"[..]), 2000));
}

#[test]
fn without_a_counter_a_store_still_opens() {
    let disk = CrashDisk::default();
    let open = || {
        let root = RootSecret::new(Secret::new([7; 32]));
        Store::open(Box::new(disk.clone()), Counter::None, root, provider())
    };
    let mut store = open().unwrap();
    for _ in 0..3 {
        store.commit(vec![put("s/a", "1")]).unwrap();
    }
    assert_eq!(store.counter_quality(), "none");
    drop(store);
    assert_eq!(open().unwrap().get(b"s/a"), Some(&b"1"[..]));
}
