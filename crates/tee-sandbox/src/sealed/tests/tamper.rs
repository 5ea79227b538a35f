//! What someone with the disk can do to it.

use super::*;

/// A device with a few commits after its snapshot, and a payload of three chunks.
fn device() -> (Device, BlobId) {
    let device = Device::default();
    let mut store = device.open().unwrap();
    let blob = stage(&mut store, &[5; 150_000]).unwrap();
    store.commit(vec![Change::KeepBlob(blob)]).unwrap();
    for n in 0..4 {
        store.commit(vec![put("s/n", &n.to_string()), put("n/pad", "same length")]).unwrap();
    }
    (device, blob)
}

fn journal(device: &Device) -> (String, Vec<u8>) {
    let names = device.disk.list().unwrap();
    let name = names.into_iter().find(|name| journal::generation(name).is_some()).unwrap();
    let content = device.disk.content(&name);
    (name, content)
}

/// Where the records begin, and where the file ends.
fn boundaries(content: &[u8]) -> Vec<usize> {
    let mut at = vec![32];
    while let Some(length) = content.get(at[at.len() - 1]..).and_then(|rest| rest.first_chunk()) {
        at.push(at[at.len() - 1] + 4 + u32::from_be_bytes(*length) as usize);
    }
    at
}

#[test]
fn r9_no_altered_journal_opens_as_another_state() {
    let (device, _) = device();
    let (name, content) = journal(&device);
    let bounds = boundaries(&content);
    assert_eq!(bounds.len(), 7, "snapshot, five commits, end");
    let record = |n: usize| content[bounds[n]..bounds[n + 1]].to_vec();
    let rebuilt = |order: &[usize]| {
        let records: Vec<u8> = order.iter().flat_map(|n| record(*n)).collect();
        [&content[..32], &records].concat()
    };
    let mut altered = vec![
        ("a record left out", rebuilt(&[0, 1, 3, 4, 5])),
        ("two records swapped", rebuilt(&[0, 1, 3, 2, 4, 5])),
        ("a record repeated", rebuilt(&[0, 1, 2, 2, 3, 4, 5])),
        ("the last record repeated", rebuilt(&[0, 1, 2, 3, 4, 5, 5])),
        ("cut in the middle", rebuilt(&[0, 1, 2])),
        ("the last record cut off", rebuilt(&[0, 1, 2, 3, 4])),
        ("no snapshot", rebuilt(&[1, 2, 3, 4, 5])),
        ("nothing but the salt", content[..32].to_vec()),
        ("empty", Vec::new()),
    ];
    for at in (0..content.len()).step_by(7) {
        let mut flipped = content.clone();
        flipped[at] ^= 0x10;
        altered.push(("a bit flipped", flipped));
    }
    let now = device.open().unwrap().state_root();
    for (what, content) in altered {
        let device = Device { disk: device.disk.fork(), counter: device.counter.fork() };
        device.disk.set(&name, content);
        match device.open() {
            Err(Error::NotAuthentic | Error::RolledBack) => {}
            Err(e) => panic!("{what}: {e}"),
            // What was appended after the last record is a torn write and is cut off.
            Ok(store) => {
                assert_eq!((what, store.state_root()), ("the last record repeated", now), "opens");
            }
        }
    }
    device.open().expect("untouched");
}

#[test]
fn journals_of_two_generations_or_devices_do_not_mix() {
    let (device, _) = device();
    let (name, content) = journal(&device);
    let other = Device::default();
    other.open_with(8).unwrap().commit(vec![put("s/n", "9")]).unwrap();
    let (_, foreign) = journal(&other);
    for (what, content) in [
        ("a journal of another device", foreign.clone()),
        ("a snapshot of another device", [&foreign[..], &content[boundaries(&content)[1]..]].concat()),
    ] {
        let device = Device { disk: device.disk.fork(), counter: device.counter.fork() };
        device.disk.set(&name, content);
        assert_eq!(device.open().err(), Some(Error::NotAuthentic), "{what}");
    }
    // An old file under a newer name.
    let newer = Device { disk: device.disk.fork(), counter: device.counter.fork() };
    newer.disk.set("journal-00000000000000ff", content);
    assert_eq!(newer.open().err(), Some(Error::NotAuthentic));
    assert_eq!(device.open_with(8).err(), Some(Error::NotAuthentic), "another root secret");
}

#[test]
fn s2_another_root_secret_opens_nothing() {
    let (device, blob) = device();
    let fresh = Device { disk: device.disk.fork(), counter: CrashDisk::default() };
    assert_eq!(fresh.open_with(8).err(), Some(Error::NotAuthentic));
    let store = device.open().unwrap();
    let other = Device::default().open_with(8).unwrap();
    let kept = store.contents.blobs[&blob];
    let opened = payload::read(&device.disk, &other.root, &provider(), (blob, &kept), &mut |_| {});
    assert_eq!(opened, Err(Error::NotAuthentic), "not even with the payload's salt");
}

#[test]
fn an_altered_payload_gives_no_byte_of_the_altered_chunk() {
    let (device, blob) = device();
    let name = payload::name(blob);
    let content = device.disk.content(&name);
    const SEALED: usize = payload::CHUNK + 16;
    let (one, rest) = content.split_at(SEALED);
    let (two, three) = rest.split_at(SEALED);
    let mut flipped = content.clone();
    flipped[SEALED + 5] ^= 1;
    for (what, content, good) in [
        ("a bit flipped", flipped, 1),
        ("chunks swapped", [two, one, three].concat(), 0),
        ("a chunk left out", [one, three].concat(), 1),
        ("cut at a chunk", [one, two].concat(), 2),
        ("cut inside a chunk", content[..SEALED + 100].to_vec(), 1),
        ("empty", Vec::new(), 0),
    ] {
        device.disk.set(&name, content);
        let store = device.open().unwrap();
        let mut chunks = 0;
        let result = store.read_blob(blob, &mut |chunk| {
            assert!(chunk.iter().all(|byte| *byte == 5));
            chunks += 1;
        });
        assert_eq!((result, chunks), (Err(Error::NotAuthentic), good), "{what}");
    }
}

#[test]
fn memory_for_a_payload_does_not_grow() {
    let mut store = Device::default().open().unwrap();
    let blob = store.stage().unwrap();
    for _ in 0..64 {
        store.stage_write(blob, &[0; 50_000]).unwrap();
        assert!(store.staged[&blob].buffered() <= payload::CHUNK);
    }
    assert_eq!(store.stage_finish(blob), Ok(3_200_000));
}
