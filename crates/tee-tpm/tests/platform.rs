//! The software platform on a launcher whose root of trust is a TPM: the same suite as on files, the same refusals of old
//! disks, and Evidence that appraisal takes.

use std::fs::{File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tamarack_attest::{Expectations, Grade, Policy, TeeCa, appraise};
use tamarack_cose::thumbprint;
use tamarack_crypto::{KeyType, Provider};
use tamarack_model::codes;
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_tee::{Change, Error, EvidenceRequest, Persona, Platform, RootOfTrust, STATE};
use tamarack_tee_sandbox::Layers;
use tamarack_tee_sandbox::enrol::DeviceConfig;
use tamarack_tee_sandbox::launcher::{Launcher, Measured, Service};
use tamarack_tee_sandbox::platform::SoftwarePlatform;
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_sandbox::sealed::{FolderDisk, Store};
use tamarack_tee_tpm::commands::Tpm;
use tamarack_tee_tpm::root::TpmRoot;
use tamarack_tee_tpm::{Address, Pcrs};
use tamarack_testkit::platform_suite::{Subject as Tested, check_platform};
use tamarack_testkit::swtpm::Swtpm;
use tamarack_x509::{Anchor, Role};
use tempfile::TempDir;

const NOW: u64 = 1_750_000_000;
const MEASURED: Measured = Measured { agent: [4; 32], launcher: [5; 32], configuration: [6; 32] };

fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

/// A machine with a TPM: the device's files in one folder, the TPM's state in another.
struct Place {
    tpm: Swtpm,
    disk: TempDir,
    state: TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        let (disk, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tpm = Swtpm::start(state.path())?;
        Some(Self { tpm, disk, state })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    fn launcher(&self, measured: Measured, create: bool) -> Launcher {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let address: Address = self.tpm.address().parse().unwrap();
        let (sealed, marks) = (file(&self.path("root.sealed")), file(&self.path("root.sealed.counter")));
        std::thread::spawn(move || {
            let tpm = Tpm::open(address.open().unwrap(), provider()).unwrap();
            let root: Box<dyn RootOfTrust> =
                Box::new(TpmRoot::new(tpm, sealed, marks, create.then_some(Pcrs::BOOT)));
            let service = Service::new(Ok(root), measured, provider());
            let _ = service.with_layers(Layers::ALL, Vec::new()).serve(&mut theirs);
        });
        Launcher::connect(ours).unwrap()
    }

    fn store(&self, launcher: &Launcher) -> Result<Store, Error> {
        let disk = FolderDisk::open(&self.path("device")).unwrap();
        Store::open(
            Box::new(disk),
            launcher.counter(),
            RootSecret::new(launcher.storage_secret()?),
            provider(),
        )
    }

    fn create(&self, key_type: KeyType) -> SoftwarePlatform {
        let config = DeviceConfig { key_type, ..DeviceConfig::new([1; 16], [2; 16], "test") };
        let launcher = self.launcher(MEASURED, true);
        let store = self.store(&launcher).unwrap();
        SoftwarePlatform::create(store, launcher, Layers::ALL, &config, provider()).unwrap()
    }

    fn open(&self) -> Result<SoftwarePlatform, Error> {
        self.open_as(MEASURED)
    }

    fn open_as(&self, measured: Measured) -> Result<SoftwarePlatform, Error> {
        let launcher = self.launcher(measured, false);
        SoftwarePlatform::open(self.store(&launcher)?, launcher, Layers::ALL, provider())
    }
}

fn file(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn platform_on_a_tpm_is_a_platform() {
    for key_type in [KeyType::Ed25519, KeyType::P256] {
        let Some(place) = Place::new() else { return };
        drop(place.create(key_type));
        check_platform(&provider(), &mut || {
            let platform = place.open().unwrap();
            let personas = (0..platform.personas()).map(Persona);
            let attestation_keys = personas.map(|p| platform.attestation_public_key(p).unwrap()).collect();
            Tested { attestation_keys, platform: Box::new(platform) }
        });
    }
}

#[test]
fn s2_neither_another_agent_nor_a_copy_without_the_tpm_opens_the_device() {
    let Some(place) = Place::new() else { return };
    drop(place.create(KeyType::Ed25519));
    let code = |result: Result<SoftwarePlatform, Error>| result.map(drop).expect_err("refused").code();
    assert_eq!(code(place.open_as(Measured { agent: [9; 32], ..MEASURED })), codes::TPM_SEALED);
    let Some(thief) = Place::new() else { return };
    copy(place.disk.path(), thief.disk.path());
    assert_eq!(code(thief.open()), codes::TPM_SEALED);
    place.open().map(drop).expect("the device itself");
}

#[test]
fn r9_a_disk_that_was_put_back_is_seen_before_anything_runs() {
    let Some(place) = Place::new() else { return };
    let put = |name: &[u8]| vec![Change::Put([&[STATE][..], name].concat(), b"1".to_vec())];
    let mut platform = place.create(KeyType::Ed25519);
    platform.commit(put(b"/before")).unwrap();
    drop(platform);
    let old = tempfile::tempdir().unwrap();
    copy(place.disk.path(), old.path());
    let mut platform = place.open().unwrap();
    // The wallet pays.
    platform.commit(put(b"/payment")).unwrap();
    drop(platform);
    let new = tempfile::tempdir().unwrap();
    copy(place.disk.path(), new.path());
    for name in ["device", "root.sealed", "root.sealed.counter"] {
        let gone = place.path(name);
        if gone.is_dir() {
            std::fs::remove_dir_all(gone).unwrap()
        } else {
            std::fs::remove_file(gone).unwrap()
        }
    }
    copy(old.path(), place.disk.path());
    assert_eq!(place.open().map(drop), Err(Error::RolledBack), "everything but the TPM");
    std::fs::remove_dir_all(place.path("device")).unwrap();
    copy(new.path(), place.disk.path());
    place.open().map(drop).expect("what was last");
}

/// The power goes when the journal is written and neither mark nor counter is: the commit stands, and is counted.
#[test]
fn r9_a_commit_that_was_not_counted_is_counted_at_the_next_start() {
    let Some(place) = Place::new() else { return };
    drop(place.create(KeyType::Ed25519));
    let Place { tpm, disk, state } = place;
    drop(tpm);
    let permanent = state.path().join("tpm2-00.permall");
    let files = [permanent, disk.path().join("root.sealed.counter")];
    let before = files.clone().map(|file| std::fs::read(file).unwrap());
    let place = Place { tpm: Swtpm::start(state.path()).unwrap(), disk, state };
    let key = [STATE, b'x'];
    place.open().unwrap().commit(vec![Change::Put(key.to_vec(), b"1".to_vec())]).unwrap();
    let Place { tpm, disk, state } = place;
    drop(tpm);
    for (file, content) in files.iter().zip(before) {
        std::fs::write(file, content).unwrap();
    }
    let place = Place { tpm: Swtpm::start(state.path()).unwrap(), disk, state };
    for _ in 0..2 {
        assert_eq!(place.open().unwrap().get(&key), Ok(Some(b"1".to_vec())));
    }
}

#[test]
fn e2_evidence_tells_of_the_tpm_and_shows_its_quote() {
    let Some(place) = Place::new() else { return };
    drop(place.create(KeyType::Ed25519));
    let mut platform = place.open().unwrap();
    let authority =
        Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(NOW - 86_400, 365)).unwrap();
    let subject = || Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device".into() };
    let chains = (0..platform.personas()).map(|persona| {
        let key = platform.attestation_public_key(Persona(persona)).unwrap();
        certificates_from_pem(&authority.issue(key, subject(), NOW - 10, NOW + 1000).unwrap()).unwrap()
    });
    platform.install_certificates(chains.collect()).unwrap();
    let ca = TeeCa { anchor: Anchor::from_der(authority.cert_der()).unwrap(), cap: Grade::Hardware };
    let policy = Policy::new(vec![ca], Grade::Software);
    let ask = |nonce: &[u8], persona| {
        let state = platform.state_root();
        let request = EvidenceRequest {
            nonce,
            ueid: &[1; 17],
            trust_store_sequence: 1,
            confirm: None,
            state,
            components: &[],
            ta: None,
        };
        platform.evidence(persona, &request).unwrap()
    };
    for persona in [Persona(0), Persona(1)] {
        let evidence = ask(&[7; 32], persona);
        let teep_key = thumbprint(&platform.teep_key(persona).unwrap().public_key(), &provider());
        let appraise = |nonce: &[u8]| {
            let expected = Expectations { nonce, teep_key: Some(teep_key), now: NOW };
            appraise(Some(&evidence.format), &evidence.payload, &expected, &policy, &provider())
        };
        let appraisal = appraise(&[7; 32]).unwrap();
        // A TPM makes nothing that runs beside the rich OS hardware (E1).
        assert_eq!(appraisal.grade, Grade::Software);
        let told = appraisal.claims.platform.unwrap();
        assert_eq!((told.root_secret.as_str(), told.counter_quality.as_str()), ("tpm", "tpm"));
        assert!(appraisal.reasons.iter().any(|reason| reason.contains("a TPM quote of PCR 0, 2, 4, 7, 23")));
        assert_eq!(appraise(&[8; 32]).unwrap_err().code, codes::EVIDENCE_STALE);
    }
}
