use der::{Decode, Encode};
use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{PublicKey, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE, layer,
};
use tamarack_tee::{Error, Evidence, EvidenceRequest, Identity};

use crate::Layers;
use crate::enrol::csr;
use crate::platform::{CertificateError, Measured};

/// What the manifests claim calls the Agent's code.
const AGENT_URI: &str = "urn:x-tamarack:agent";
/// What it calls the program that starts the TEE.
const LAUNCHER_URI: &str = "urn:x-tamarack:launcher";
/// What it calls the configuration that the launcher starts the Agent with.
const CONFIGURATION_URI: &str = "urn:x-tamarack:configuration";

/// What Evidence states besides what was asked.
pub(super) struct Standing<'a> {
    pub identity: &'a Identity,
    pub confirm: PublicKey,
    pub measured: &'a Measured,
    pub counter_quality: &'static str,
}

/// Evidence with the claims of security rule E2.
pub(super) fn evidence(
    key: &dyn Sign,
    chain: &[Vec<u8>],
    request: &EvidenceRequest<'_>,
    standing: &Standing<'_>,
) -> Result<Evidence, Error> {
    let Standing { identity, confirm, measured, counter_quality } = *standing;
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
            Manifest::sha256(CONFIGURATION_URI, identity.configuration_digest),
        ],
        platform: Some(PlatformClaims {
            class: PlatformClaims::SOFTWARE_TEE.into(),
            layers: claimed(measured.layers),
            root_secret: measured.root_secret.into(),
            counter_quality: counter_quality.into(),
            time_quality: "untrusted".into(),
            state_epoch: request.state.epoch,
            state_root: request.state.digest,
            trust_store_sequence: request.trust_store_sequence,
        }),
        ..Claims::default()
    };
    let (claims, format) =
        tamarack_eat::as_requested(claims, request.components, request.ta).map_err(|_| Error::Crypto)?;
    let payload = tamarack_eat::sign(&claims, key, chain).map_err(|_| Error::Crypto)?;
    Ok(Evidence { format: format.into(), payload })
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

/// Sorts chains by the keys that they are for: one chain for each of `keys`, all of the kind that is called `which`.
pub(super) fn by_key(
    chains: Vec<Vec<Vec<u8>>>,
    keys: &[PublicKey],
    which: &'static str,
) -> Result<Vec<Vec<Vec<u8>>>, CertificateError> {
    let mut sorted = vec![Vec::new(); keys.len()];
    for chain in chains {
        let leaf = chain.first().ok_or(CertificateError::Malformed)?;
        let certified = certified_key(leaf).ok_or(CertificateError::Malformed)?;
        let number = keys.iter().position(|key| *key == certified);
        let place = &mut sorted[number.ok_or(CertificateError::OtherKey(which))?];
        if !place.is_empty() {
            return Err(CertificateError::Count(which));
        }
        *place = chain;
    }
    match sorted.iter().any(Vec::is_empty) {
        true => Err(CertificateError::Count(which)),
        false => Ok(sorted),
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
