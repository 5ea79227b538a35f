//! The identity of the device in OTrP.

use tamarack_crypto::PublicKey;
use tamarack_tee::FirmwareSignature;
use tamarack_x509::{Name, PathOptions, validate_any};

use super::*;
use crate::enrol::OtrpConfig;
use crate::launcher::tests::file_root;
use crate::platform::face::name;
use crate::platform::otrp::{FIRMWARE_CHAIN, OTRP_KEY};
use crate::sealed::tests::Device;
use crate::sealed::tests::crash_disk::Survivor;

const NOW: u64 = 1_800_000_000;

fn config(key_type: KeyType) -> DeviceConfig {
    let otrp = OtrpConfig { tee_name: "Tamarack".into(), tee_version: "1".into() };
    DeviceConfig { key_type, otrp: Some(otrp), ..DeviceConfig::new([1; 16], [2; 16], "test") }
}

fn create(place: &Place, key_type: KeyType) -> SoftwarePlatform {
    place.make(&config(key_type)).unwrap()
}

/// A TEE CA and a firmware CA.
struct Cas {
    tee: Authority,
    firmware: Authority,
}

impl Cas {
    fn new() -> Self {
        let root = |role| Authority::create(role, "CA", KeyType::P256, Validity::days(NOW, 10)).unwrap();
        Self { tee: root(Role::Tee), firmware: root(Role::Firmware) }
    }

    /// The chains that they give for the requests of a device.
    fn certify(&self, platform: &SoftwarePlatform) -> [Vec<Vec<Vec<u8>>>; 2] {
        let (tee, firmware): (Vec<_>, Vec<_>) =
            platform.otrp_certificate_requests("device").unwrap().into_iter().unzip();
        let issue = |authority: &Authority, requests: &str, role| {
            let name = Name::Uri("urn:test:device".into());
            let validity = Validity::days(NOW, 10);
            let leaves = authority.issue_named_from_csr(requests, role, &name, "device", validity).unwrap();
            let leaves = certificates_from_pem(&leaves).unwrap().into_iter();
            leaves.map(|leaf| vec![leaf, authority.cert_der().to_vec()]).collect()
        };
        [
            issue(&self.tee, &tee.concat(), Role::OtrpTee),
            issue(&self.firmware, &firmware.concat(), Role::Firmware),
        ]
    }
}

fn tee_key(platform: &SoftwarePlatform) -> PublicKey {
    platform.otrp(Persona(0)).unwrap().signer().public_key()
}

#[test]
fn software_platform_speaks_otrp() {
    for (key_type, certified) in [(KeyType::Ed25519, false), (KeyType::Ed25519, true), (KeyType::P256, true)]
    {
        let place = Place::new();
        let mut platform = create(&place, key_type);
        assert!(platform.otrp(Persona(0)).unwrap().chain().is_empty(), "nobody has certified it yet");
        assert_eq!(platform.otrp(Persona(0)).unwrap().firmware_signature(b"tid"), Ok(None));
        if certified {
            let [chain, firmware] = Cas::new().certify(&platform);
            platform.install_otrp_certificates(chain, firmware).unwrap();
        }
        drop(platform);
        check_platform(&provider(), &mut || subject(place.open_with(key_type).unwrap()));
    }
}

#[test]
fn a_device_made_without_an_identity_has_none() {
    let place = Place::new();
    let mut platform = place.create(KeyType::P256);
    assert!(platform.otrp(Persona(0)).is_none());
    assert_eq!(platform.otrp_certificate_requests("device"), Ok(Vec::new()));
    let refused = platform.install_otrp_certificates(vec![vec![vec![1]]], Vec::new());
    assert_eq!(refused, Err(CertificateError::NoOtrp));
    assert_eq!(platform.store.get(&name(OTRP_KEY, Persona(0))), None);
}

#[test]
fn certificates_are_of_the_keys_that_they_are_for() {
    let place = Place::new();
    let mut platform = create(&place, KeyType::Ed25519);
    let cas = Cas::new();
    let [chain, firmware] = cas.certify(&platform);
    let foreign = Place::new();
    let [foreign, foreign_firmware] = cas.certify(&create(&foreign, KeyType::Ed25519));
    let other = |which| Err(CertificateError::OtherKey(which));
    for (chain, firmware, expected) in [
        (foreign.clone(), firmware.clone(), other("OTrP key")),
        (firmware.clone(), chain.clone(), other("OTrP key")),
        (chain.clone(), foreign_firmware, other("firmware key")),
        (chain.clone(), chain.clone(), other("firmware key")),
        (Vec::new(), firmware.clone(), Err(CertificateError::Count("OTrP key"))),
        (chain[1..].to_vec(), firmware.clone(), Err(CertificateError::Count("OTrP key"))),
        (chain.clone(), firmware[1..].to_vec(), Err(CertificateError::Count("firmware key"))),
        (vec![vec![vec![1; 50]]], firmware.clone(), Err(CertificateError::Malformed)),
        (chain.clone(), vec![vec![vec![1; 50]]], Err(CertificateError::Malformed)),
    ] {
        assert_eq!(platform.install_otrp_certificates(chain, firmware), expected);
        assert!(
            platform.otrp(Persona(0)).unwrap().chain().is_empty(),
            "a refused certificate leaves nothing"
        );
    }
    // Nor is one of the OTrP key good for the attestation key.
    assert_eq!(platform.install_certificates(chain.clone()), other("attestation key"));

    platform.install_otrp_certificates(chain.clone(), firmware.clone()).unwrap();
    drop(platform);
    let platform = place.open().unwrap();
    let identity = platform.otrp(Persona(0)).unwrap();
    assert_eq!((identity.name(), identity.version(), identity.chain()), ("Tamarack", "1", &chain[0][..]));
    let anchors = |authority: &Authority| [Anchor::from_der(authority.cert_der()).unwrap()];
    let options = PathOptions::default();
    let valid = |chain: &[Vec<u8>], authority, role| {
        validate_any(chain, &anchors(authority), role, NOW + 1, &options, &provider()).unwrap()
    };
    let tee = valid(identity.chain(), &cas.tee, Role::OtrpTee);
    assert_eq!(tee.key(), Some(&tee_key(&platform)));
    assert!(tee.may_agree(), "requests are encrypted to it");
    let FirmwareSignature { certificate, signature } = identity.firmware_signature(b"tid").unwrap().unwrap();
    assert_eq!(certificate, firmware[0][0]);
    let firmware = valid(&firmware[0], &cas.firmware, Role::Firmware);
    provider().verify.verify(firmware.key().unwrap(), b"tid", &signature).unwrap();
}

#[test]
fn firmware_that_has_no_certificate_says_nothing() {
    let place = Place::new();
    let mut platform = create(&place, KeyType::Ed25519);
    let [chain, firmware] = Cas::new().certify(&platform);
    platform.install_otrp_certificates(chain.clone(), firmware).unwrap();
    platform.install_otrp_certificates(chain, Vec::new()).unwrap();
    assert_eq!(platform.otrp(Persona(0)).unwrap().firmware_signature(b"tid"), Ok(None));
}

#[test]
fn k6_the_agent_reaches_no_key_of_otrp() {
    let place = Place::new();
    let mut platform = create(&place, KeyType::P256);
    let mut secrets = Vec::new();
    for key in [name(OTRP_KEY, Persona(0)), name(OTRP_KEY, Persona(1))] {
        secrets.push(platform.store.get(&key).unwrap().to_vec());
        assert_eq!(platform.get(&key), Ok(None));
        assert!(platform.commit(vec![Change::Delete(key)]).is_err());
    }
    assert_eq!(platform.scan(b"p"), Ok(Vec::new()));
    for entry in fs::read_dir(place.path("device")).unwrap() {
        let file = fs::read(entry.unwrap().path()).unwrap();
        for secret in &secrets {
            // The private half of a P-256 key begins at the same place in every PKCS#8.
            let private = &secret[36..68];
            assert!(!file.windows(32).any(|window| window == private), "a key stands in the clear");
        }
    }
}

#[test]
fn firmware_signs_only_what_its_certificate_stands_for() {
    // Whoever could swap the stored certificate would have to hold the root secret; the TEE looks all the same.
    let place = Place::new();
    let mut platform = create(&place, KeyType::Ed25519);
    let [chain, firmware] = Cas::new().certify(&platform);
    platform.install_otrp_certificates(chain.clone(), firmware).unwrap();
    let swapped = Change::Put(name(FIRMWARE_CHAIN, Persona(0)), certificates::write_chain(&chain[0]));
    platform.store.commit(vec![swapped]).unwrap();
    drop(platform);
    let platform = place.open().unwrap();
    assert_eq!(platform.otrp(Persona(0)).unwrap().firmware_signature(b"tid"), Err(Error::NotAuthentic));
}

fn launcher() -> Launcher {
    start(MEASURED, Layers::ALL, || file_root(9, KeyType::P256))
}

fn open(store: Store) -> Result<SoftwarePlatform, Error> {
    SoftwarePlatform::open(store, launcher(), Layers::ALL, provider())
}

/// What there is of a device: nothing, or its key and its certificates.
fn seen(store: Store) -> Option<(PublicKey, usize, bool)> {
    if !SoftwarePlatform::is_enrolled(&store) {
        return None;
    }
    let platform = open(store).expect("a device is whole");
    let identity = platform.otrp(Persona(0)).expect("with its identity");
    let vouched = identity.firmware_signature(b"tid").expect("a firmware that is whole").is_some();
    Some((tee_key(&platform), identity.chain().len(), vouched))
}

#[test]
fn a_power_cut_leaves_no_half_identity() {
    // One persona: what is cut is one commit, however much it holds.
    let config = DeviceConfig { personas: 1, ..config(KeyType::P256) };
    let (blank, cas) = (Device::default(), Cas::new());
    // The root of trust outlives every restart; what is cut here is the Agent's storage.
    let make = |store| SoftwarePlatform::create(store, launcher(), Layers::ALL, &config, provider());
    drop(blank.open().unwrap());
    let made = blank.fork();
    let platform = make(made.open().unwrap()).unwrap();
    let [chain, firmware] = cas.certify(&platform);
    drop(platform);
    let key = seen(made.open().unwrap()).unwrap().0;
    let make = |store| make(store).map(drop);
    let certify = |store| {
        let mut platform = open(store).unwrap();
        let done = platform.install_otrp_certificates(chain.clone(), firmware.clone());
        done.map_err(|error| match error {
            CertificateError::Platform(error) => error,
            other => panic!("{other}"),
        })
    };
    type Step<'a> = &'a dyn Fn(Store) -> Result<(), Error>;
    let steps: [(&Device, Step<'_>); 2] = [(&blank, &make), (&made, &certify)];
    let mut cuts = 0;
    for (before, step) in steps {
        let done = before.fork();
        let start = done.disk.operations();
        step(done.open().unwrap()).unwrap();
        for survivor in Survivor::all() {
            for cut in 0..=done.disk.operations() - start {
                cuts += 1;
                let device = before.fork();
                device.disk.cut_after(cut);
                let result = device.open().and_then(step);
                device.restart(survivor);
                let found = seen(device.open().unwrap());
                match (result, found) {
                    (_, Some((found, 2, true))) => assert_eq!(found, key),
                    (Err(_), Some((found, 0, false)))
                        if before.disk.operations() == made.disk.operations() =>
                    {
                        assert_eq!(found, key);
                        device.open().and_then(&certify).expect("it can be done again");
                    }
                    (Ok(()), Some((_, 0, false))) => {
                        assert_eq!(before.disk.operations(), blank.disk.operations())
                    }
                    (Err(_), Some((_, 0, false))) => {}
                    (Err(_), None) => device.open().and_then(make).expect("it can be done again"),
                    (result, found) => panic!("cut {cut}, {survivor:?}: {result:?} left {found:?}"),
                }
            }
        }
    }
    assert!(cuts > 20, "only {cuts} cuts");
}
