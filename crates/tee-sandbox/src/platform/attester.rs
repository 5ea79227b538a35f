use der::{Decode, Encode};
use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{PublicKey, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_FORMAT, SOFTWARE_TEE_PROFILE, layer,
};
use tamarack_tee::{Error, Evidence, EvidenceRequest, Identity, StateRoot};

use crate::Layers;
use crate::enrol::csr;
use crate::platform::{CertificateError, Measured};

/// What the manifests claim calls the Agent's code.
const AGENT_URI: &str = "urn:x-tamarack:agent";
/// What it calls the program that starts the TEE.
const LAUNCHER_URI: &str = "urn:x-tamarack:launcher";

/// The attestation key and its certificates, apart from everything else (security rule K6): the key signs Evidence and
/// the one request for its own certificate.
pub(super) struct Attester {
    key: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
}

/// What Evidence states besides what was asked.
pub(super) struct Standing<'a> {
    pub identity: &'a Identity,
    pub confirm: PublicKey,
    pub measured: &'a Measured,
    pub counter_quality: &'static str,
    pub root: StateRoot,
}

impl Attester {
    pub fn new(key: Box<dyn Sign>, chain: Vec<Vec<u8>>) -> Self {
        Self { key, chain }
    }

    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    pub fn set_chain(&mut self, chain: Vec<Vec<u8>>) {
        self.chain = chain;
    }

    pub fn certificate_request(&self, common_name: &str) -> Result<String, Error> {
        certificate_request(&*self.key, common_name)
    }

    /// Evidence with the claims of security rule E2.
    pub fn evidence(
        &self,
        request: &EvidenceRequest<'_>,
        standing: &Standing<'_>,
    ) -> Result<Evidence, Error> {
        let Standing { identity, confirm, measured, counter_quality, root } = *standing;
        let claims = Claims {
            eat_nonce: vec![request.nonce.to_vec()],
            ueid: Some(request.ueid.to_vec()),
            oemid: Some(OemId::Random(identity.oemid)),
            hwmodel: Some(identity.hwmodel.clone()),
            hwversion: Some(HardwareVersion { version: identity.hwversion.clone(), scheme: None }),
            eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
            // The process cannot be traced by its own user; root can always do it, which is what the class says.
            dbgstat: Some(match measured.layers.contains(Layers::NO_DUMP) {
                true => DebugStatus::DisabledSinceBoot,
                false => DebugStatus::Enabled,
            }),
            cnf: Some(Confirmation::Key(confirm)),
            manifests: vec![
                Manifest::sha256(AGENT_URI, identity.agent_digest),
                Manifest::sha256(LAUNCHER_URI, identity.firmware_digest),
            ],
            platform: Some(PlatformClaims {
                class: PlatformClaims::SOFTWARE_TEE.into(),
                layers: claimed(measured.layers),
                root_secret: measured.root_secret.into(),
                counter_quality: counter_quality.into(),
                time_quality: "untrusted".into(),
                state_epoch: root.epoch,
                state_root: root.digest,
                trust_store_sequence: request.trust_store_sequence,
            }),
            ..Claims::default()
        };
        let payload = tamarack_eat::sign(&claims, &*self.key, &self.chain).map_err(|_| Error::Crypto)?;
        Ok(Evidence { format: SOFTWARE_TEE_FORMAT.into(), payload })
    }
}

/// The layers as the claim names them. Namespaces count only together: an own user namespace hides no file.
fn claimed(layers: Layers) -> u64 {
    let mut namespaces = Layers::USER_NS;
    namespaces.insert(Layers::MOUNT_NS);
    [
        (Layers::OWN_UID, layer::OWN_UID),
        (Layers::NO_DUMP, layer::NOT_DUMPABLE),
        (namespaces, layer::NAMESPACES),
        (Layers::NET_NS, layer::NO_NETWORK),
        (Layers::LANDLOCK, layer::LANDLOCK),
        (Layers::SECCOMP, layer::SECCOMP),
        (Layers::MEMFD_SECRET, layer::SECRET_MEMORY),
    ]
    .into_iter()
    .filter(|(needed, _)| layers.contains(*needed))
    .fold(0, |claimed, (_, bit)| claimed | bit)
}

/// A certificate request (PKCS #10, PEM) for a key.
pub(super) fn certificate_request(key: &dyn Sign, common_name: &str) -> Result<String, Error> {
    let request = csr::request(key, common_name).map_err(|_| Error::Crypto)?;
    pem_rfc7468::encode_string("CERTIFICATE REQUEST", pem_rfc7468::LineEnding::LF, &request)
        .map_err(|_| Error::Crypto)
}

/// Sees that the first certificate of a chain is of `key`, the one that is called `which`.
pub(super) fn check_leaf(
    chain: &[Vec<u8>],
    key: PublicKey,
    which: &'static str,
) -> Result<(), CertificateError> {
    let leaf = chain.first().ok_or(CertificateError::Malformed)?;
    match certified_key(leaf) {
        Some(certified) if certified == key => Ok(()),
        Some(_) => Err(CertificateError::OtherKey(which)),
        None => Err(CertificateError::Malformed),
    }
}

/// The public key that a DER certificate certifies.
pub(super) fn certified_key(certificate: &[u8]) -> Option<PublicKey> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
    PublicKey::from_spki(&spki).ok()
}

pub(super) fn write_chain(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut e = Encoder::new();
    chain.iter().fold(e.array(chain.len()), |e, certificate| e.bytes(certificate));
    e.into_bytes()
}

pub(super) fn read_chain(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let read = || {
        let mut d = Decoder::new(bytes, &Limits::default())?;
        (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|e: tamarack_cbor::Error| Error::Storage(format!("stored certificates: {e}")))
}
