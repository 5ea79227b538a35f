//! Power cuts and full disks at every operation of a workload.

use super::*;

/// What an observer sees of the state.
fn view(store: &Store) -> (Vec<Pair>, Vec<Vec<u8>>, StateRoot) {
    let blobs = store.contents.blobs.keys().map(|blob| read(store, *blob).unwrap());
    let mut blobs: Vec<_> = blobs.collect();
    blobs.sort();
    (store.scan(b""), blobs, store.state_root())
}

type Step = fn(&mut Store) -> Result<(), Error>;

fn kept(store: &Store) -> BlobId {
    *store.contents.blobs.keys().next().unwrap()
}

/// Install, use, update, delete: each step ends with one commit.
const STEPS: [Step; 5] = [
    |store| {
        let blob = stage(store, &[1; 70_000])?;
        store.commit(vec![
            Change::KeepBlob(blob),
            put("s/ta", "v1"),
            put("s/salt", "x"),
            put("n/answer", "1"),
        ])
    },
    |store| store.commit(vec![put("s/object", "counter=1")]),
    |store| {
        let old = kept(store);
        let blob = stage(store, &[2; 140_000])?;
        let discarded = stage(store, b"not wanted after all")?;
        store.discard(discarded);
        store.commit(vec![
            Change::KeepBlob(blob),
            Change::DropBlob(old),
            put("s/ta", "v2"),
            put("n/answer", "2"),
        ])
    },
    |store| store.commit(vec![put("n/answer", "3")]),
    |store| {
        let old = kept(store);
        store.commit(vec![
            Change::DropBlob(old),
            delete("s/ta"),
            delete("s/salt"),
            delete("s/object"),
            put("s/tombstone", "2"),
        ])
    },
];

#[test]
fn every_power_cut_leaves_the_old_or_the_new_state() {
    let device = Device::default();
    let mut cuts = 0;
    drop(device.open().unwrap());
    for (number, step) in STEPS.iter().enumerate() {
        let before = view(&device.open().unwrap());
        let done = device.fork();
        let (start, start_counter) = (done.disk.operations(), done.counter.operations());
        let mut store = done.open().unwrap();
        step(&mut store).unwrap();
        let after = view(&store);
        assert_ne!(before, after, "step {number} does something");

        for survivor in Survivor::all() {
            for cut in 0..=done.disk.operations() - start {
                cuts += 1;
                cut_once(&device, *step, (&before, &after), survivor, (Some(cut), None), number);
            }
            for cut in 0..=done.counter.operations() - start_counter {
                cuts += 1;
                cut_once(&device, *step, (&before, &after), survivor, (None, Some(cut)), number);
            }
        }
        step(&mut device.open().unwrap()).unwrap();
    }
    assert!(cuts > 300, "only {cuts} cuts");
}

type View = (Vec<Pair>, Vec<Vec<u8>>, StateRoot);

/// Runs `step` with the power going at one operation, restarts and looks; then runs on.
fn cut_once(
    device: &Device,
    step: Step,
    (before, after): (&View, &View),
    survivor: Survivor,
    (disk_cut, counter_cut): (Option<usize>, Option<usize>),
    number: usize,
) {
    let at = format!("step {number}, disk {disk_cut:?}, counter {counter_cut:?}, {survivor:?}");
    let device = device.fork();
    disk_cut.inspect(|cut| device.disk.cut_after(*cut));
    counter_cut.inspect(|cut| device.counter.cut_after(*cut));
    let result = device.open().and_then(|mut store| step(&mut store));
    device.restart(survivor);

    let mut store = device.open().unwrap_or_else(|e| panic!("{at}: does not open: {e}"));
    let found = view(&store);
    if result.is_ok() {
        assert_eq!(&found, after, "{at}: what was acknowledged is gone");
    } else {
        assert!(found == *before || found == *after, "{at}: neither old nor new: {found:?}");
    }
    let files = device.disk.list().unwrap().len();
    assert_eq!(files, 1 + found.1.len(), "{at}: leftovers");
    if found == *before {
        step(&mut store).unwrap_or_else(|e| panic!("{at}: cannot be repeated: {e}"));
    }
    assert_eq!(view(&store).0, after.0, "{at}");
    drop(store);
    assert_eq!(view(&device.open().unwrap()).0, after.0, "{at}: after another restart");
}

#[test]
fn a_cut_at_the_very_first_start_is_harmless() {
    let done = Device::default();
    drop(done.open().unwrap());
    for survivor in Survivor::all() {
        for cut in 0..=done.disk.operations() {
            let device = Device::default();
            device.disk.cut_after(cut);
            drop(device.open());
            device.disk.restart(survivor);
            device.open().unwrap().commit(vec![put("s/a", "1")]).unwrap();
            assert_eq!(device.open().unwrap().get(b"s/a"), Some(&b"1"[..]));
        }
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    let device = Device::default();
    for (number, step) in STEPS.iter().enumerate() {
        let mut refusals = 0;
        for room in (0..3000).step_by(97).chain((3000..300_000).step_by(29_989)) {
            let device = device.fork();
            let mut store = device.open().unwrap();
            let before = view(&store);
            device.disk.room(Some(room));
            let result = step(&mut store);
            let found = view(&store);
            match &result {
                Ok(()) => assert_ne!(found, before),
                Err(Error::Storage(_)) => assert_eq!(found, before, "step {number}, room {room}"),
                Err(e) => panic!("step {number}, room {room}: {e}"),
            }
            refusals += usize::from(result.is_err());
            // There is room again: the same store is usable, and after a restart says the same.
            device.disk.room(None);
            if result.is_err() {
                step(&mut store).unwrap();
            }
            let after = view(&store);
            drop(store);
            assert_eq!(view(&device.open().unwrap()), after, "step {number}, room {room}");
        }
        assert!(refusals > 0, "step {number} needs room");
        step(&mut device.open().unwrap()).unwrap();
    }
}

#[test]
fn what_a_full_disk_left_uncompacted_is_erased_later() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    store.commit(vec![put("s/salt", "the salt of one TA")]).unwrap();
    device.disk.room(Some(60));
    store.commit(vec![delete("s/salt")]).unwrap();
    assert!(holds(&plaintexts(&device), b"the salt of one TA"), "no room for a new journal");
    device.disk.room(None);
    store.commit(vec![put("n/a", "1")]).unwrap();
    assert!(!holds(&plaintexts(&device), b"the salt of one TA"));
}

#[test]
fn a_failing_counter_holds_back_the_next_commit() {
    let device = Device::default();
    let mut store = device.open().unwrap();
    store.commit(vec![put("s/a", "1")]).unwrap();
    device.counter.cut_after(0);
    store.commit(vec![put("s/a", "2")]).unwrap();
    assert!(matches!(store.count(), Err(Error::Storage(_))), "nobody may be told of it");
    assert!(matches!(store.commit(vec![put("s/a", "3")]), Err(Error::Storage(_))));
    assert_eq!(store.get(b"s/a"), Some(&b"2"[..]));
    device.counter.restart(Survivor { names: true, data: crash_disk::Unsynced::Kept });
    assert_eq!(store.count(), Ok(()));
    store.commit(vec![put("s/a", "4")]).unwrap();
    drop(store);
    assert_eq!(device.open().unwrap().get(b"s/a"), Some(&b"4"[..]));
}
