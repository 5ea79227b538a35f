//! Who gets the tenant's key, and who does not.

use example_apps::cloud::{KeyService, Tenant, Total, VAULT, Vault, vault};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, References, TeeCa};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Profile, Signer, Triple,
};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_model::{Code, Hex, codes};
use tamarack_tee::{Identity, Persona, Platform};
use tamarack_testkit::memory_platform::MemoryPlatform;
use tamarack_testkit::otrp_pki::OtrpPki;
use tamarack_x509::Anchor;

use crate::support::{DOMAIN, Device, NOW, built, crypto, key};

const AGENT: &str = "urn:x-tamarack:agent";

fn module() -> Vec<u8> {
    built("vault")
}

/// A host with this vault, on a device of the maker that runs the Agent with this digest.
fn host(pki: &OtrpPki, module: Vec<u8>, agent: Option<[u8; 32]>) -> Device {
    let mut platform = MemoryPlatform::new(crypto(), 1);
    let identity = platform.identity(Persona(0)).unwrap().clone();
    let agent_digest = agent.unwrap_or(identity.agent_digest);
    platform = platform.with_identity(Identity { agent_digest, ..identity });
    let chain = pki.attestation_chain(platform.attestation_public_key(Persona(0)));
    Device::new(platform.with_certificate_chain(Persona(0), chain), VAULT, module)
}

/// Reference values of one component, signed.
fn corim(signer: &str, tag: &str, environment: Environment, name: String, digest: [u8; 32]) -> Vec<u8> {
    let values = MeasurementValues { digests: vec![Digest::sha256(digest)], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text(name));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let mut comid = Comid::new(Id::Text(tag.into()), 1);
    comid.reference_values.push(Triple { environment, measurements: vec![measurement] });
    let corim = Corim {
        profile: Some(Profile::Uri(tamarack_attest::REFERENCE_PROFILE.into())),
        ..Corim::new(Id::Text(format!("{tag}/1")), comid)
    };
    tamarack_corim::sign(&corim, &Signer::new(signer), &*key(signer), None).unwrap()
}

/// The key service of a tenant that wants the vault of acme, and TEEs of this maker.
fn service(pki: &OtrpPki, key_bytes: [u8; 32]) -> KeyService {
    service_with(pki, key_bytes, &["maker", "ta-signer"])
}

/// The same, with reference values of these alone.
fn service_with(pki: &OtrpPki, key_bytes: [u8; 32], who: &[&str]) -> KeyService {
    let crypto = crypto();
    let platform = MemoryPlatform::new(crypto, 1);
    let identity = platform.identity(Persona(0)).unwrap();
    let maker = Environment {
        class: Some(Class {
            class_id: Some(ClassId::Uuid(identity.oemid)),
            vendor: Some(Hex(&identity.oemid).to_string()),
            model: Some(String::from_utf8(identity.hwmodel.clone()).unwrap()),
            ..Class::default()
        }),
        ..Environment::default()
    };
    let ta = tamarack_attest::ta_environment(&vault(DOMAIN));
    let provider = |name: &str, role, scope: &Environment| ReferenceProvider {
        name: name.into(),
        role,
        keys: vec![VerificationKey::new(key(name).public_key(), Purpose::ReferenceValues, &crypto)],
        scope: vec![scope.clone()],
        elements: None,
        cap: Grade::Hardware,
    };
    let mut references = References::new(vec![
        provider("maker", ProviderRole::Maker, &maker),
        provider("ta-signer", ProviderRole::TaSigner, &ta),
    ]);
    let released = [
        corim("maker", "firmware", maker, AGENT.into(), identity.agent_digest),
        corim("ta-signer", "vault", ta, vault(DOMAIN).to_string(), crypto.sha256(&module())),
    ];
    for (name, signed) in ["maker", "ta-signer"].iter().zip(&released) {
        if who.contains(name) {
            references.add(signed, NOW, &crypto).unwrap();
        }
    }
    let anchor = Anchor::from_der(pki.tee.cert_der()).unwrap();
    let policy = Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software);
    KeyService::new(Tenant::new(key_bytes, crypto), policy, references, vault(DOMAIN))
}

const KEY: [u8; 32] = *b"the tenant's key, seen by nobody";

#[test]
fn a_released_vault_gets_the_key_and_adds_up() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut device, mut service) = (host(&pki, module(), None), service(&pki, KEY));
    let mut host = Vault(&mut device);
    assert_eq!(host.status().unwrap(), (false, 0));
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    let release = service.release(NOW, &evidence).unwrap();
    host.unlock(&release).unwrap();
    let tenant = Tenant::new(KEY, crypto());
    for (number, amount) in [(1, 1_000), (2, 337)] {
        assert_eq!(host.add(&tenant.seal(number, amount).unwrap()).unwrap(), number);
    }
    let total = host.total().unwrap();
    assert_eq!(tenant.open(&total).unwrap(), Total { records: 2, sum: 1_337 });
    assert!(Tenant::new([0; 32], crypto()).open(&total).is_err());
    // What passed the host shows neither key nor sum, and none of it is good for anything more.
    for passed in [&evidence, &release, &total] {
        assert!(!passed.windows(32).any(|window| window == KEY), "the key went past");
    }
    assert!(host.unlock(&release).is_err(), "a release came twice");
    assert_eq!(code(&mut service, &evidence), codes::EVIDENCE_STALE, "Evidence came twice");
}

#[track_caller]
fn code(service: &mut KeyService, evidence: &[u8]) -> Code {
    service.release(NOW, evidence).expect_err("the key was released").code
}

/// What is released is for the key in that Evidence: another vault on another TEE of the same maker cannot use it.
#[test]
fn a_release_for_one_vault_is_nothing_to_another() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut device, mut twin, mut service) =
        (host(&pki, module(), None), host(&pki, module(), None), service(&pki, KEY));
    let (mut vault, mut twin) = (Vault(&mut device), Vault(&mut twin));
    let (ours, theirs) = (service.challenge(NOW).unwrap(), service.challenge(NOW).unwrap());
    let evidence = vault.attest(&ours).unwrap();
    twin.attest(&theirs).unwrap();
    let release = service.release(NOW, &evidence).unwrap();
    assert!(twin.unlock(&release).is_err(), "another vault opened it");
    assert_eq!(twin.status().unwrap(), (false, 0));
    vault.unlock(&release).unwrap();
}

#[test]
fn without_a_reference_value_there_is_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    for who in [&["maker"][..], &["ta-signer"], &[]] {
        let mut service = service_with(&pki, KEY, who);
        let nonce = service.challenge(NOW).unwrap();
        let evidence = Vault(&mut host(&pki, module(), None)).attest(&nonce).unwrap();
        assert_eq!(code(&mut service, &evidence), codes::MEASUREMENT_UNKNOWN, "{who:?}");
    }
}

#[test]
fn a_changed_vault_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    // A custom section more: it does the same, and is another TA.
    let changed = [&module()[..], &[0, 2, 1, b'x']].concat();
    let mut service = service(&pki, KEY);
    let nonce = service.challenge(NOW).unwrap();
    let evidence = Vault(&mut host(&pki, changed, None)).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::MEASUREMENT_MISMATCH);
}

#[test]
fn a_changed_agent_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    let mut service = service(&pki, KEY);
    let nonce = service.challenge(NOW).unwrap();
    let evidence = Vault(&mut host(&pki, module(), Some([0xd1; 32]))).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::MEASUREMENT_MISMATCH);
}

#[test]
fn evidence_that_nobody_asked_for_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut device, mut service) = (host(&pki, module(), None), service(&pki, KEY));
    let mut host = Vault(&mut device);
    let foreign = host.attest(&[9; 32]).unwrap();
    assert_eq!(code(&mut service, &foreign), codes::EVIDENCE_STALE);
    // Too late.
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    let late = service.release(NOW + 301, &evidence).unwrap_err();
    assert_eq!(late.code, codes::EVIDENCE_STALE);
    // A TEE of another maker.
    let nonce = service.challenge(NOW).unwrap();
    let other = OtrpPki::new(&crypto(), 1);
    let evidence = Vault(&mut self::host(&other, module(), None)).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::EVIDENCE_UNTRUSTED);
    assert_eq!(code(&mut service, b"nothing at all").0 / 1000, 3);
}

/// The host hands in a key of its own: it learns nothing of what the tenant's key was for.
#[test]
fn the_hosts_own_key_opens_nothing() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut device, mut service) = (host(&pki, module(), None), service(&pki, KEY));
    let mut host = Vault(&mut device);
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    host.unlock(&service.release(NOW, &evidence).unwrap()).unwrap();
    let tenant = Tenant::new(KEY, crypto());
    host.add(&tenant.seal(1, 4_711).unwrap()).unwrap();

    let mut hosts = self::service(&pki, [0x68; 32]);
    let nonce = hosts.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    host.unlock(&hosts.release(NOW, &evidence).unwrap()).unwrap();
    let own = Tenant::new([0x68; 32], crypto());
    assert_eq!(own.open(&host.total().unwrap()).unwrap(), Total { records: 0, sum: 0 });
    assert!(host.add(&tenant.seal(2, 1).unwrap()).is_err());
}
