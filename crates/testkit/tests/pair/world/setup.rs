//! What a device and a TAM are configured with.

use std::sync::Arc;

use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Operations, OtrpPrincipal, Principal, Seed, SignerAnchor, TamAnchor,
};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, TeeCa};
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_model::{OwnerId, Protocol};
use tamarack_tam::{OtrpConfig, OtrpSigner, Staple};
use tamarack_tee::Persona;
use tamarack_testkit::memory_platform::{MemoryPlatform, PERSONAS, ed25519};
use tamarack_testkit::otrp_pki::{OtrpPki, TestTam};
use tamarack_x509::Anchor;

use super::{NOW, TAM_URI};

pub fn signer_anchor(key: PublicKey) -> SignerAnchor {
    SignerAnchor {
        provider: "acme".into(),
        principal: Principal::Keys(vec![key]),
        prefixes: vec![vec![b"com.acme".to_vec()]],
        operations: Operations::ALL,
        quota: 1 << 20,
        epoch: 0,
        state: AnchorState::Active,
    }
}

pub(super) fn principal(tam: &TestTam) -> OtrpPrincipal {
    OtrpPrincipal { anchor: tam.root().to_vec(), name: tam.name.clone(), draft: false }
}

/// A TAM that speaks TEEP, by its keys.
pub fn teep_anchor(owner: OwnerId, keys: Vec<PublicKey>) -> TamAnchor {
    TamAnchor {
        owner,
        principal: Principal::Keys(keys),
        otrp: None,
        protocol: Protocol::Teep,
        uri: Some(TAM_URI.into()),
        scopes: vec![vec![]],
        require_binding: true,
        domains: 0,
        domain_quota: 0,
        persona: Persona(0),
        state: AnchorState::Active,
    }
}

/// Devices under the TEE CAs of these makers.
pub fn policy(makers: &[&OtrpPki]) -> Policy {
    let ca = |pki: &&OtrpPki| {
        let anchor = Anchor::from_der(pki.tee.cert_der()).unwrap();
        TeeCa { anchor, cap: Grade::Software }
    };
    Policy::new(makers.iter().map(ca).collect(), Grade::Software)
}

/// Who may say what devices of a class run.
pub(super) fn maker(crypto: &Provider) -> ReferenceProvider {
    let class = Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() };
    ReferenceProvider {
        name: "Maker".into(),
        role: ProviderRole::Maker,
        keys: vec![VerificationKey::new(authority(crypto).public_key(), Purpose::ReferenceValues, crypto)],
        scope: vec![Environment::of_class(class)],
        elements: None,
        cap: Grade::None,
    }
}

/// Keys of a TAM, one for each suite.
pub(super) fn tam_keys(crypto: &Provider) -> Vec<Box<dyn Sign>> {
    let make = |key_type| {
        let pkcs8 = crypto.keys.generate_pkcs8(key_type).unwrap();
        crypto.keys.load_pkcs8(pkcs8.expose()).unwrap()
    };
    vec![make(KeyType::Ed25519), make(KeyType::P256)]
}

/// The key of the provider that publishes.
pub fn developer(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"signer")
}

/// The key of the device authority; it signs reference values as well, as the maker who has it would not.
pub fn authority(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"authority")
}

/// The key of the device's owner.
pub fn device_owner(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"device owner")
}

/// The TAM's side of OTrP.
pub(super) fn otrp_config(tam: &TestTam, pki: &OtrpPki, crypto: &Provider) -> OtrpConfig {
    let sign = crypto.keys.load_pkcs8(tam.pkcs8.expose()).unwrap();
    let agree = crypto.agree.load_pkcs8(tam.pkcs8.expose()).unwrap();
    let signer = OtrpSigner::new(sign, agree, tam.chain[..1].to_vec(), tam.name.text().into(), crypto);
    let mut otrp = OtrpConfig::new(signer);
    otrp.firmware_cas = vec![Anchor::from_der(pki.firmware.cert_der()).unwrap()];
    otrp.staple = Some(Staple { responses: tam.staple(NOW), until: NOW + 86_400 });
    otrp
}

/// An enrolled device of the maker whose CA the TAM lists.
pub fn device(pki: &OtrpPki, crypto: Provider, number: u8, seed: &Seed) -> Agent<MemoryPlatform> {
    device_like(pki, crypto, number, seed, |platform| platform)
}

/// The same with something changed.
pub(super) fn device_like(
    pki: &OtrpPki,
    crypto: Provider,
    number: u8,
    seed: &Seed,
    change: impl FnOnce(MemoryPlatform) -> MemoryPlatform,
) -> Agent<MemoryPlatform> {
    let blank = change(MemoryPlatform::new(crypto, number));
    let mut platform = (0..PERSONAS).map(Persona).fold(blank, |platform, persona| {
        let key = platform.attestation_public_key(persona);
        platform.with_certificate_chain(persona, pki.attestation_chain(key))
    });
    platform = platform
        .with_otrp(number, pki.device(&crypto, number))
        .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
    Agent::enrol(&mut platform, &crypto, seed).unwrap();
    Agent::new(platform, crypto, AgentConfig::default())
}
