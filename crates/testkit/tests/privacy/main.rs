//! Security rule E5 from outside: all that the rich OS and a second TAM see over whole sessions of several devices holds no
//! string that comes back for one device and for no other of its kind.

mod strings;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use strings::Onlooker;
use tamarack_crypto::KeyAgree;
use tamarack_model::Protocol;
use world::{DEVICES, Evidence, Session, TAMS, World};

/// On every device an app asks one TAM for the wallet, and the other gives it by its own policy. Both are used, updated, and
/// looked at again; then the app lets go of its own.
fn life(protocol: Protocol, evidence: Evidence) -> World {
    let mut world = World::new(protocol, evidence);
    world.publish(1);
    for device in 1..=DEVICES {
        world.install(device);
        world.check(device);
        (0..TAMS).for_each(|tam| world.pay(device, tam));
        world.check(device);
    }
    world.publish(2);
    for device in 1..=DEVICES {
        world.check(device);
        world.check(device);
        assert_eq!((0..TAMS).map(|tam| world.installed(device, tam)).collect::<Vec<_>>(), [Some(2); TAMS]);
        world.forget(device);
        world.check(device);
        assert_eq!(world.installed(device, 0), None);
    }
    world
}

/// The strings that somebody saw, by who it was about: for each device the sessions, each as a set of strings.
type Seen = BTreeMap<u8, Vec<BTreeSet<Vec<u8>>>>;

fn seen<'w>(
    sessions: impl Iterator<Item = &'w Session>,
    keys: impl Fn(&Session) -> Vec<&'w dyn KeyAgree>,
) -> Seen {
    let mut seen = Seen::new();
    for session in sessions {
        let keys = keys(session);
        let onlooker = Onlooker { crypto: tamarack_crypto_aws_lc::provider(), keys: &keys };
        let strings = session.seen.iter().flat_map(|bytes| onlooker.strings(bytes)).collect();
        seen.entry(session.device).or_default().push(strings);
    }
    seen
}

/// Strings of one device that come back in another of its sessions, and never in one of any other device.
fn telling(seen: &Seen) -> BTreeSet<Vec<u8>> {
    let mut telling = BTreeSet::new();
    for (device, sessions) in seen {
        let others: BTreeSet<_> =
            seen.iter().filter(|(other, _)| *other != device).flat_map(|(_, s)| s.iter().flatten()).collect();
        let mut counts = BTreeMap::<_, u32>::new();
        sessions.iter().flatten().for_each(|string| *counts.entry(string).or_default() += 1);
        let repeated = counts.into_iter().filter(|(_, count)| *count > 1).map(|(string, _)| string);
        telling.extend(repeated.filter(|string| !others.contains(string)).cloned());
    }
    telling
}

fn show(strings: &BTreeSet<Vec<u8>>) -> String {
    let lines =
        strings.iter().map(|s| format!("{} ({})", hex::encode(s), String::from_utf8_lossy(s).escape_debug()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the Broker and everything else in the rich OS sees: both ways of every exchange, addresses, what the TEE tells.
fn rich_os(world: &World) -> Seen {
    seen(world.sessions.iter(), |_| Vec::new())
}

#[test]
fn e5_the_rich_os_sees_no_stable_identifier() {
    for protocol in [Protocol::Teep, Protocol::Otrp] {
        let world = life(protocol, Evidence::Encrypted);
        let seen = rich_os(&world);
        assert_eq!(seen.len(), usize::from(DEVICES));
        let telling = telling(&seen);
        assert!(telling.is_empty(), "{protocol:?}:\n{}", show(&telling));
        // Nor anything that a TAM knows a device by, once or often, in any place.
        for known in world.known_identifiers() {
            let holds = |bytes: &Vec<u8>| bytes.windows(known.len()).any(|window| window == known);
            let strings = seen.values().flatten().flatten();
            assert!(!strings.clone().any(holds), "{protocol:?}: {}", hex::encode(&known));
            assert!(strings.count() > 1000, "the scan looked at next to nothing");
        }
    }
}

/// The same scan finds what it looks for where Evidence goes in the clear.
#[test]
fn e5_the_scan_finds_the_ueid_where_evidence_is_not_encrypted() {
    let world = life(Protocol::Teep, Evidence::Clear);
    let telling = telling(&rich_os(&world));
    let known = world.known_identifiers();
    let found = known.iter().filter(|known| telling.iter().any(|string| string.ends_with(known))).count();
    // For each device and TAM at least: its ueid and its TEEP key.
    assert!(found >= usize::from(DEVICES) * TAMS * 2, "only {found} of {}:\n{}", known.len(), show(&telling));
}

/// Two TAMs put together all that they saw, decrypted: nothing says that a device of one is a device of the other.
#[test]
fn e5_two_tams_find_no_device_in_common() {
    for protocol in [Protocol::Teep, Protocol::Otrp] {
        let world = life(protocol, Evidence::Encrypted);
        let of_tam = |tam: usize| {
            let sessions = world.sessions.iter().filter(move |session| session.tam == tam);
            seen(sessions, |session| world.keys_of(session.tam).to_vec())
        };
        let (first, second) = (of_tam(0), of_tam(1));
        let all =
            |sessions: &Vec<BTreeSet<Vec<u8>>>| sessions.iter().flatten().cloned().collect::<BTreeSet<_>>();
        for (device, sessions) in &first {
            let others = |seen: &Seen| -> BTreeSet<Vec<u8>> {
                seen.iter().filter(|(other, _)| *other != device).flat_map(|(_, s)| all(s)).collect()
            };
            let (ours, theirs) = (all(sessions), all(&second[device]));
            let common: BTreeSet<_> = ours.intersection(&theirs).cloned().collect();
            let strangers: BTreeSet<_> = others(&first).union(&others(&second)).cloned().collect();
            let linking: BTreeSet<_> = common.difference(&strangers).cloned().collect();
            assert!(linking.is_empty(), "{protocol:?}, device {device}:\n{}", show(&linking));
        }
        // It did look inside: each TAM knows its devices again.
        for seen in [first, second] {
            let own = telling(&seen);
            let known = world.known_identifiers();
            let found = known.iter().filter(|known| own.iter().any(|string| string.ends_with(known))).count();
            assert!(found >= usize::from(DEVICES), "{protocol:?}: only {found}");
        }
    }
}
