use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tamarack_crypto::{KeyType, PublicKey, Secret};
use tamarack_tee::{Error, Quote, RootOfTrust};
use tamarack_tee_sandbox::enrol::DeviceConfig;
use tamarack_tee_sandbox::launcher::{Measured, Service};
use tamarack_tee_sandbox::root::FileRoot;
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_sandbox::sealed::FolderDisk;

use super::*;

/// A root whose counter somebody can keep from being written: who sits on the bus of a TPM, say.
struct Held {
    root: FileRoot,
    held: Arc<AtomicBool>,
}

impl RootOfTrust for Held {
    fn protection(&self) -> &'static str {
        self.root.protection()
    }
    fn counter_quality(&self) -> &'static str {
        self.root.counter_quality()
    }
    fn measure(&mut self, agent: &[u8; 32], configuration: &[u8; 32]) -> Result<(), Error> {
        self.root.measure(agent, configuration)
    }
    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, Error> {
        self.root.storage_secret()
    }
    fn read_counter(&mut self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        self.root.read_counter(slot, length)
    }
    fn write_counter(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error> {
        match self.held.load(Ordering::SeqCst) {
            true => Err(Error::RootOfTrust { code: codes::TPM_UNAVAILABLE, why: "held".into() }),
            false => self.root.write_counter(slot, commit, data),
        }
    }
    fn attestation_key(&mut self, persona: Persona) -> Result<PublicKey, Error> {
        self.root.attestation_key(persona)
    }
    fn sign(&mut self, persona: Persona, message: &[u8]) -> Result<[u8; 64], Error> {
        self.root.sign(persona, message)
    }
    fn quote(&mut self, persona: Persona, qualifying: &[u8; 32]) -> Result<Option<Quote>, Error> {
        self.root.quote(persona, qualifying)
    }
}

/// Otherwise: let a wallet pay while its counter is held, take the receipt, put the old storage back, and pay again.
#[test]
fn r9_what_was_not_counted_is_not_told() {
    let provider = tamarack_crypto_rustcrypto::provider();
    let scratch = tempfile::tempdir().unwrap();
    let held = Arc::new(AtomicBool::new(false));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let counter = tempfile::tempfile().unwrap();
    let of_root = held.clone();
    std::thread::spawn(move || {
        let secret = RootSecret::new(Secret::new([7; 32]));
        let root = FileRoot::new(secret, Some(counter), KeyType::Ed25519, provider);
        let measured = Measured { agent: [1; 32], launcher: [2; 32], configuration: [3; 32] };
        let root: Box<dyn RootOfTrust> = Box::new(Held { root, held: of_root });
        let _ = Service::new(Ok(root), measured, provider).serve(&mut theirs);
    });
    let launcher = Launcher::connect(ours).unwrap();
    let disk = FolderDisk::open(&scratch.path().join("tee")).unwrap();
    let secret = RootSecret::new(launcher.storage_secret().unwrap());
    let store = Store::open(Box::new(disk), launcher.counter(), secret, provider).unwrap();
    held.store(true, Ordering::SeqCst);
    let config = DeviceConfig::new([1; 16], [2; 16], "model");
    let device = SoftwarePlatform::create(store, launcher.clone(), Layers::NONE, &config, provider).unwrap();
    let report = Report { layers: Layers::NONE, missing: Vec::new(), uid: 0 };
    let mut host = Host::new(Ok(Device::made(device, provider)), report, Some(launcher), provider);
    for request in [Request::Status, Request::RequestPolicyCheck] {
        let Reply { result, actions } = host.handle(request);
        assert_eq!(result.unwrap_err().code, codes::TPM_UNAVAILABLE);
        assert_eq!(actions, []);
    }
    held.store(false, Ordering::SeqCst);
    let Ok(Value::Status(status)) = host.handle(Request::Status).result else { panic!("a status") };
    assert!(status.device_id.is_some(), "what was done is done, and counted");
}
