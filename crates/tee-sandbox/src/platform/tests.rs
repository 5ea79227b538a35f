mod otrp;

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use tamarack_cbor::Limits;
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::{DebugStatus, Token};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_testkit::platform_suite::{self, check_platform};
use tamarack_x509::{Anchor, Role, validate};

use super::*;
use crate::launcher::tests::{MEASURED, start};
use crate::root::FileRoot;
use crate::root_secret::RootSecret;
use crate::sealed::FolderDisk;

/// A device in a temporary folder: `device`, and beside it `fuse` and `counter`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        RootSecret::create_fuse(&place.path("fuse"), &provider()).unwrap();
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// A launcher with the fuse and the counter of this place.
    fn launcher(&self, key_type: KeyType) -> Launcher {
        let (fuse, counter) = (self.path("fuse"), self.path("counter"));
        start(MEASURED, Layers::ALL, move || {
            let secret = RootSecret::read(&mut File::open(fuse).unwrap()).unwrap();
            let mut options = OpenOptions::new();
            let counter = options.read(true).write(true).create(true).truncate(false).open(counter);
            let secret = RootSecret::new(secret);
            Ok(Box::new(FileRoot::new(secret, Some(counter.unwrap()), key_type, provider())))
        })
    }

    fn store(&self, launcher: &Launcher) -> Result<Store, Error> {
        let disk = FolderDisk::open(&self.path("device")).unwrap();
        let root = RootSecret::new(launcher.storage_secret().unwrap());
        Store::open(Box::new(disk), launcher.counter(), root, provider())
    }

    fn create(&self, key_type: KeyType) -> SoftwarePlatform {
        let config = DeviceConfig { key_type, ..DeviceConfig::new([1; 16], [2; 16], "test") };
        self.make(&config).unwrap()
    }

    fn make(&self, config: &DeviceConfig) -> Result<SoftwarePlatform, Error> {
        let launcher = self.launcher(config.key_type);
        SoftwarePlatform::create(self.store(&launcher)?, launcher, Layers::ALL, config, provider())
    }

    fn open(&self) -> Result<SoftwarePlatform, Error> {
        self.open_with(KeyType::Ed25519)
    }

    fn open_with(&self, key_type: KeyType) -> Result<SoftwarePlatform, Error> {
        let launcher = self.launcher(key_type);
        SoftwarePlatform::open(self.store(&launcher)?, launcher, Layers::ALL, provider())
    }
}

fn subject(platform: SoftwarePlatform) -> platform_suite::Subject {
    let personas = (0..platform.personas()).map(Persona);
    platform_suite::Subject {
        attestation_keys: personas.map(|persona| platform.attestation_public_key(persona).unwrap()).collect(),
        platform: Box::new(platform),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn software_platform_is_a_platform() {
    for key_type in [KeyType::Ed25519, KeyType::P256] {
        let place = Place::new();
        place.create(key_type);
        check_platform(&provider(), &mut || subject(place.open_with(key_type).unwrap()));
    }
}

#[test]
fn a_device_is_made_once() {
    let place = Place::new();
    let error = place.open().err();
    assert!(matches!(error, Some(Error::Storage(_))), "an empty folder is no device: {error:?}");
    let key = place.create(KeyType::Ed25519).attestation_public_key(Persona(0)).unwrap();
    let config = DeviceConfig::new([1; 16], [2; 16], "test");
    let again = place.make(&config).err();
    assert!(matches!(again, Some(Error::Storage(_))), "{again:?}");
    assert_eq!(place.open().unwrap().attestation_public_key(Persona(0)).unwrap(), key);
    let fuse = RootSecret::create_fuse(&place.path("fuse"), &provider()).unwrap_err();
    assert_eq!(fuse.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn one_process_at_a_time() {
    let place = Place::new();
    let platform = place.create(KeyType::Ed25519);
    let error = FolderDisk::open(&place.path("device")).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    drop(platform);
    place.open().unwrap();
    // One that is on its way out is waited for.
    let leaving = FolderDisk::open(&place.path("device")).unwrap();
    let next = std::thread::spawn({
        let folder = place.path("device");
        move || FolderDisk::open(&folder).map(drop)
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(leaving);
    next.join().unwrap().unwrap();
}

#[test]
fn k6_the_agent_reaches_no_key_of_the_platform() {
    let place = Place::new();
    let mut platform = place.create(KeyType::Ed25519);
    let keys = [face::TEEP_KEY, face::REPORT_KEY, face::DECRYPTION_KEY];
    let keys = keys.map(|key| face::name(key, Persona(1)));
    for name in keys.iter().chain(&[CONFIG.to_vec()]) {
        assert!(platform.store.get(name).is_some());
        assert_eq!(platform.get(name), Ok(None));
        assert!(platform.commit(vec![Change::Delete(name.clone())]).is_err());
    }
    assert_eq!(platform.scan(b"p"), Ok(Vec::new()));
    assert_eq!(platform.scan(b""), Ok(Vec::new()));
    let secrets = keys.map(|name| platform.store.get(&name).unwrap().to_vec());
    for entry in fs::read_dir(place.path("device")).unwrap() {
        let file = fs::read(entry.unwrap().path()).unwrap();
        for secret in &secrets {
            let tail = if secret.len() > 100 { &secret[36..68] } else { &secret[secret.len() - 32..] };
            assert!(!file.windows(32).any(|window| window == tail), "a key stands in the clear");
        }
    }
}

#[test]
fn s2_copy_without_fuse_does_not_open() {
    let (place, thief) = (Place::new(), Place::new());
    place.create(KeyType::Ed25519);
    copy(&place.path("device"), &thief.path("device"));
    assert_eq!(thief.open().err(), Some(Error::NotAuthentic), "with a fuse file and counter of its own");
    fs::copy(place.path("counter"), thief.path("counter")).unwrap();
    assert_eq!(thief.open().err(), Some(Error::NotAuthentic), "also with the counter");
    fs::copy(place.path("fuse"), thief.path("fuse")).unwrap();
    thief.open().expect("a copy of everything is the device, as rule S2 says");
}

#[test]
fn r9_an_older_copy_of_the_folder_is_refused() {
    let place = Place::new();
    let mut platform = place.create(KeyType::Ed25519);
    copy(&place.path("device"), &place.path("old"));
    for n in 0..3 {
        platform.commit(vec![Change::Put(b"s/spent".to_vec(), vec![n])]).unwrap();
    }
    drop(platform);
    fs::rename(place.path("device"), place.path("new")).unwrap();
    copy(&place.path("old"), &place.path("device"));
    assert_eq!(place.open().err(), Some(Error::RolledBack));
    fs::remove_dir_all(place.path("device")).unwrap();
    assert_eq!(place.open().err(), Some(Error::RolledBack), "an emptied folder is not a new device");
    fs::rename(place.path("new"), place.path("device")).unwrap();
    place.open().expect("the current folder");
}

#[test]
fn r9_a_lost_or_older_counter_is_refused() {
    let place = Place::new();
    let mut platform = place.create(KeyType::Ed25519);
    fs::copy(place.path("counter"), place.path("old")).unwrap();
    for n in 0..3 {
        platform.commit(vec![Change::Put(b"s/spent".to_vec(), vec![n])]).unwrap();
    }
    drop(platform);
    fs::rename(place.path("counter"), place.path("new")).unwrap();
    assert_eq!(place.open().err(), Some(Error::RolledBack), "lost");
    fs::copy(place.path("old"), place.path("counter")).unwrap();
    assert_eq!(place.open().err(), Some(Error::RolledBack), "older");
    fs::write(place.path("counter"), [7; 5000]).unwrap();
    assert_eq!(place.open().err(), Some(Error::RolledBack), "made up");
    fs::rename(place.path("new"), place.path("counter")).unwrap();
    place.open().expect("the current counter");
}

#[test]
fn r9_a_fork_of_the_state_is_refused() {
    let place = Place::new();
    let platform = place.create(KeyType::Ed25519);
    drop(platform);
    let fork = place.path("fork");
    copy(&place.path("device"), &fork);
    let counter_then = fs::read(place.path("counter")).unwrap();
    let spend = |value: u8| place.open().unwrap().commit(vec![Change::Put(b"s/x".to_vec(), vec![value])]);
    spend(1).unwrap();
    let counter = fs::read(place.path("counter")).unwrap();
    // The same number of commits from the same start, with another outcome.
    fs::remove_dir_all(place.path("device")).unwrap();
    copy(&fork, &place.path("device"));
    fs::write(place.path("counter"), counter_then).unwrap();
    spend(2).unwrap();
    fs::write(place.path("counter"), counter).unwrap();
    assert_eq!(place.open().err(), Some(Error::RolledBack));
}

fn request() -> EvidenceRequest<'static> {
    EvidenceRequest {
        nonce: &[1; 32],
        ueid: &[2; 17],
        trust_store_sequence: 0,
        confirm: None,
        state: StateRoot { epoch: 1, digest: [1; 32] },
        components: &[],
        ta: None,
    }
}

#[test]
fn a_tee_ca_certifies_the_attestation_keys_and_no_other() {
    const NOW: u64 = 1_800_000_000;
    for key_type in [KeyType::Ed25519, KeyType::P256] {
        let place = Place::new();
        let mut platform = place.create(key_type);
        let authority =
            Authority::create(Role::Tee, "Test TEE CA", key_type, Validity::days(NOW, 10)).unwrap();
        let subject = Subject { uri: "urn:test:device".into(), common_name: "device".into() };
        let requests = platform.certificate_requests("a device with a name of some length").unwrap();
        assert_eq!(requests.len() as u32, platform.personas());
        let leaves = authority.issue_from_csr(&requests.concat(), subject.clone(), NOW, NOW + 1000).unwrap();
        let chains: Vec<_> =
            certificates_from_pem(&leaves).unwrap().into_iter().map(|leaf| vec![leaf]).collect();
        assert_eq!(chains.len(), requests.len());

        let other = platform.teep_key(Persona(0)).unwrap().public_key();
        let other = authority.issue(other, subject, NOW, NOW + 1000).unwrap();
        let other = vec![certificates_from_pem(&other).unwrap()];
        let which = "attestation key";
        for (chains, expected) in [
            (other, CertificateError::OtherKey(which)),
            (Vec::new(), CertificateError::Count(which)),
            (chains[1..].to_vec(), CertificateError::Count(which)),
            ([&chains[..], &chains[..1]].concat(), CertificateError::Count(which)),
            (vec![Vec::new()], CertificateError::Malformed),
            (vec![vec![vec![1; 50]]], CertificateError::Malformed),
        ] {
            assert_eq!(platform.install_certificates(chains), Err(expected));
            assert!(!platform.is_certified());
        }

        // In any order: the platform knows its keys.
        platform.install_certificates(chains.iter().rev().cloned().collect()).unwrap();
        drop(platform);
        let platform = place.open_with(key_type).unwrap();
        assert!(platform.is_certified());
        for (persona, chain) in (0..).map(Persona).zip(&chains) {
            let evidence = platform.evidence(persona, &request()).unwrap();
            let token = Token::parse(&evidence.payload, &Limits::default()).unwrap();
            assert_eq!(token.x5chain(), chain);
            let anchors = [Anchor::from_der(authority.cert_der()).unwrap()];
            let valid = validate(token.x5chain(), &anchors, Role::Tee, NOW + 1, &provider()).unwrap();
            assert_eq!(valid.leaf_key(), &platform.attestation_public_key(persona).unwrap());
        }
    }
}

#[test]
fn e2_evidence_states_only_the_layers_that_are_there() {
    let claims = |layers: Layers| {
        let place = Place::new();
        drop(place.create(KeyType::Ed25519));
        let launcher = place.launcher(KeyType::Ed25519);
        let store = place.store(&launcher).unwrap();
        let platform = SoftwarePlatform::open(store, launcher, layers, provider()).unwrap();
        let evidence = platform.evidence(Persona(0), &request()).unwrap();
        let token = Token::parse(&evidence.payload, &Limits::default()).unwrap();
        token.unverified().unwrap()
    };
    let stated = |layers: Layers| claims(layers).platform.unwrap().layer_names();
    assert_eq!(stated(Layers::NONE), [""; 0]);
    assert_eq!(stated(Layers::ALL).len(), tamarack_eat::LAYERS.len());
    assert_eq!(stated(Layers::SECCOMP), ["seccomp"]);
    assert_eq!(stated(Layers::USER_NS), [""; 0], "a user namespace alone hides no file");
    // A process that its own user can trace is being debugged, as far as a verifier can know.
    assert_eq!(claims(Layers::NONE).dbgstat, Some(DebugStatus::Enabled));
    assert_eq!(claims(Layers::NO_DUMP).dbgstat, Some(DebugStatus::DisabledSinceBoot));
    let platform = claims(Layers::ALL).platform.unwrap();
    assert_eq!((&*platform.class, &*platform.root_secret), ("software-tee", "file"));
    assert_eq!((&*platform.counter_quality, &*platform.time_quality), ("file", "untrusted"));
}

/// Rule K6: of the root secret and the keys of the launcher nothing is in the Agent's process. It has the launcher's public
/// keys, its own storage secret, and the device keys that are sealed under it.
#[test]
fn k6_the_agent_holds_neither_root_secret_nor_attestation_key() {
    let place = Place::new();
    let fuse = fs::read(place.path("fuse")).unwrap();
    let platform = place.create(KeyType::Ed25519);
    let launcher = place.launcher(KeyType::Ed25519);
    let storage = *launcher.storage_secret().unwrap().expose();
    assert_ne!(storage[..], fuse[..]);
    let derive =
        |secret: &[u8], info: &[&[u8]]| *crate::root::derive(&provider(), secret, info).unwrap().expose();
    let above = derive(&fuse, &[b"tamarack storage secret"]);
    assert_eq!(storage, derive(&above, &[b"tamarack agent storage"]), "one step below the root's own");
    // From what the Agent has, by the very derivation that the launcher uses, no key of the launcher follows.
    let attestation = platform.attestation_public_key(Persona(0)).unwrap();
    let firmware = launcher.firmware_key(Persona(0)).unwrap();
    let labels: [&[u8]; 2] = [b"tamarack attestation key", b"tamarack firmware key"];
    for secret in [&storage[..], &attestation.to_spki()] {
        for (label, key_type) in labels.iter().flat_map(|l| [KeyType::Ed25519, KeyType::P256].map(|t| (l, t)))
        {
            for kind in [&b""[..], b"Ed25519", b"P-256"] {
                let key = crate::root::derived_key(&provider(), secret, key_type, &[label, kind, &[0; 4]]);
                let key = key.unwrap().public_key();
                assert!(key != attestation && key != firmware);
            }
        }
    }
    // And none is stored, sealed or not: every stored key is of another purpose.
    for (name, pkcs8) in platform.store.scan(b"p/") {
        if let Ok(key) = provider().keys.load_pkcs8(&pkcs8) {
            assert!(key.public_key() != attestation && key.public_key() != firmware, "{name:?}");
        }
    }
}

/// Rule E5: of two personas' certificates, all that differs is the key, what follows from it, and random. So do the requests
/// for them, the identifiers, and Evidence.
#[test]
fn e5_nothing_links_the_personas() {
    use der::{Decode, Encode};
    const NOW: u64 = 1_800_000_000;
    let place = Place::new();
    let mut platform = place.create(KeyType::P256);
    let authority = Authority::create(Role::Tee, "CA", KeyType::P256, Validity::days(NOW, 10)).unwrap();
    let subject = Subject { uri: "urn:test:kind".into(), common_name: "a kind of device".into() };
    let issue = |platform: &SoftwarePlatform| {
        let requests = platform.certificate_requests("a kind of device").unwrap();
        let leaves = authority.issue_from_csr(&requests.concat(), subject.clone(), NOW, NOW + 1000).unwrap();
        certificates_from_pem(&leaves).unwrap()
    };
    let leaves = issue(&platform);
    platform.install_certificates(leaves.iter().map(|leaf| vec![leaf.clone()]).collect()).unwrap();

    let parsed = |der: &Vec<u8>| x509_cert::Certificate::from_der(der).unwrap();
    let (one, two) = (parsed(&leaves[0]), parsed(&leaves[1]));
    let (one, two) = (one.tbs_certificate(), two.tbs_certificate());
    assert_ne!(one.serial_number(), two.serial_number());
    assert_ne!(one.subject_public_key_info(), two.subject_public_key_info());
    assert_eq!(one.subject(), two.subject());
    assert_eq!(one.validity(), two.validity());
    assert_eq!(one.issuer(), two.issuer());
    let (one, two) = (one.extensions().unwrap(), two.extensions().unwrap());
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(two) {
        // subjectKeyIdentifier is a hash of the key.
        if one.extn_id.to_string() != "2.5.29.14" {
            assert_eq!(one, two);
        }
    }

    // No run of bytes that one persona's Evidence has and no device of this kind shares is in the other's.
    let evidence = |platform: &SoftwarePlatform, persona: u32| {
        let request = request();
        let request =
            EvidenceRequest { nonce: &[persona as u8; 32], ueid: &[persona as u8 + 9; 17], ..request };
        platform.evidence(Persona(persona), &request).unwrap().payload
    };
    let stranger = Place::new();
    let mut other = stranger.create(KeyType::P256);
    // A number at the start of an ECDSA signature may be a byte longer or shorter by chance, and the lengths around it: the
    // stranger is one of as many bytes, and a thousand attempts bring even the rare lengths.
    let shape = |leaf: &Vec<u8>| (leaf.len(), parsed(leaf).signature().raw_bytes()[..4].to_vec());
    let alike =
        (0..100_000).map(|_| issue(&other)).find(|strangers| shape(&strangers[2]) == shape(&leaves[0]));
    other.install_certificates(alike.unwrap().into_iter().map(|leaf| vec![leaf]).collect()).unwrap();
    let (one, two, other) = (evidence(&platform, 0), evidence(&platform, 1), evidence(&other, 2));
    const RUN: usize = 8;
    // One or two bytes behind a run may be the same by chance.
    const CHANCE: usize = 2;
    let in_runs_of = |theirs: &[u8]| {
        let mut shared = vec![false; one.len()];
        for (start, run) in one.windows(RUN).enumerate() {
            if theirs.windows(RUN).any(|window| window == run) {
                shared[start..start + RUN].fill(true);
            }
        }
        shared
    };
    let (in_two, in_other) = (in_runs_of(&two), in_runs_of(&other));
    let linking: Vec<bool> = in_two.iter().zip(&in_other).map(|(two, other)| *two && !other).collect();
    let places: Vec<_> = (0..one.len()).collect();
    let stretches = places.chunk_by(|a, b| linking[*a] == linking[*b]);
    let links: Vec<_> = stretches.filter(|stretch| linking[stretch[0]] && stretch.len() > CHANCE).collect();
    assert!(links.is_empty(), "{links:?} in {one:02x?}");
    let ids = [0, 1, 2].map(|number| platform.identity(Persona(number)).unwrap().device_id);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert!(one.len() > 500 && parsed(&platform.face(Persona(0)).unwrap().chain[0]).to_der().is_ok());
}

#[test]
fn two_devices_of_a_class_differ() {
    let make = || {
        let place = Place::new();
        let platform = place.create(KeyType::Ed25519);
        let ids = [0, 1, 2].map(|number| platform.identity(Persona(number)).unwrap().device_id);
        drop(platform);
        let again = place.open().unwrap();
        assert_eq!(again.identity(Persona(2)).unwrap().device_id, ids[2], "the same at every start");
        ids
    };
    let (one, two) = (make(), make());
    assert!(one.iter().all(|id| !two.contains(id)), "in no persona");
    assert_eq!((one[0][6] >> 4, one[0][8] >> 6), (8, 2), "a UUID that says how it was made");
}
