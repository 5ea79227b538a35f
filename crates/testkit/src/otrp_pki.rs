//! Certificates for tests of OTrP: TAMs under roots of their own, one TEE CA, one firmware CA, and what the responders of
//! the TAMs' roots say. All of them are valid around [`NOW`], the time of the tests' own clock.

use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_model::UnixTime;
use tamarack_pki::ocsp::Responder;
use tamarack_pki::{Authority, Reason, Revocations, Validity, certificates_from_pem};
use tamarack_tee::Persona;
use tamarack_x509::{Name, Role};

use crate::memory_platform::{OtrpChains, OtrpDevice, PERSONAS, firmware_key, otrp_pkcs8};

/// The time at which everything is valid: 15 January 2027.
pub const NOW: UnixTime = 1_800_000_000;
/// From a day before [`NOW`], for a year.
const VALIDITY: Validity = Validity { not_before: NOW - 86_400, not_after: NOW + 365 * 86_400 };

/// The authorities of one test.
pub struct OtrpPki {
    /// Its TAMs, each under a root of its own.
    pub tams: Vec<TestTam>,
    /// Certifies TEEs, for OTrP and for their Evidence.
    pub tee: Authority,
    /// Certifies the firmware of devices.
    pub firmware: Authority,
}

/// A TAM with the root that it stands under.
pub struct TestTam {
    /// Its root, which certifies TAMs for both protocols.
    pub authority: Authority,
    /// The tamid.
    pub name: Name,
    /// Its P-256 key, DER PKCS#8.
    pub pkcs8: Secret<Vec<u8>>,
    /// The same to sign with.
    pub signer: Box<dyn Sign>,
    /// The same to be encrypted to.
    pub agreement: Box<dyn KeyAgree>,
    /// Its certificate and its root, DER.
    pub chain: Vec<Vec<u8>>,
}

impl OtrpPki {
    /// Authorities for so many TAMs; they are known by the object identifiers 1.3.6.1.4.1.61999.2.1 and following.
    ///
    /// # Panics
    /// If a certificate cannot be made.
    pub fn new(provider: &Provider, tams: usize) -> Self {
        let tam = |number: usize| {
            let authority = root(Role::Tam, &format!("TAM CA {number}"));
            TestTam::under(provider, authority, Name::RegisteredId(format!("1.3.6.1.4.1.61999.2.{number}")))
        };
        Self {
            tams: (1..=tams).map(tam).collect(),
            tee: root(Role::Tee, "TEE CA"),
            firmware: root(Role::Firmware, "Firmware CA"),
        }
    }

    /// What the device number `seed` is given for its OTrP keys, for
    /// [`crate::memory_platform::MemoryPlatform::with_otrp`].
    ///
    /// # Panics
    /// If a certificate cannot be made.
    pub fn device(&self, provider: &Provider, seed: u8) -> OtrpDevice {
        let personas = (0..PERSONAS).map(Persona).map(|persona| {
            let pkcs8 = otrp_pkcs8(provider, seed, persona);
            let key = provider.keys.load_pkcs8(&pkcs8).expect("a P-256 key").public_key();
            let firmware = firmware_key(provider, seed, persona).public_key();
            OtrpChains {
                chain: chain(&self.tee, key, Role::OtrpTee, &device_name()),
                firmware_chain: chain(&self.firmware, firmware, Role::Firmware, &device_name()),
            }
        });
        OtrpDevice { name: "test TEE".into(), personas: personas.collect() }
    }

    /// Certificates of a key that signs Evidence, for
    /// [`crate::memory_platform::MemoryPlatform::with_certificate_chain`].
    ///
    /// # Panics
    /// If a certificate cannot be made.
    pub fn attestation_chain(&self, key: PublicKey) -> Vec<Vec<u8>> {
        chain(&self.tee, key, Role::Tee, &device_name())
    }
}

impl TestTam {
    /// A TAM of this name with a new key under `authority`. One name under one root is one Owner, whatever its key.
    ///
    /// # Panics
    /// If a key or a certificate cannot be made.
    pub fn under(provider: &Provider, authority: Authority, name: Name) -> Self {
        let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("a new key");
        let signer = provider.keys.load_pkcs8(pkcs8.expose()).expect("a P-256 key");
        let agreement = provider.agree.load_pkcs8(pkcs8.expose()).expect("a P-256 key");
        let chain = chain(&authority, signer.public_key(), Role::OtrpTam, &name);
        Self { authority, name, pkcs8, signer, agreement, chain }
    }

    /// The same TAM with a renewed key.
    ///
    /// # Panics
    /// If a key or a certificate cannot be made.
    pub fn renewed(&self, provider: &Provider) -> Self {
        let authority = Authority::load(self.authority.cert_pem(), self.authority.key_pem()).expect("a root");
        Self::under(provider, authority, self.name.clone())
    }

    /// The root, DER.
    pub fn root(&self) -> &[u8] {
        self.authority.cert_der()
    }

    /// What `ocspdat` holds: that its certificate is good, said at `now` and good for a day.
    ///
    /// # Panics
    /// If the response cannot be made.
    pub fn staple(&self, now: UnixTime) -> Vec<Vec<u8>> {
        self.status(&Revocations::default(), now)
    }

    /// The same of a certificate that was revoked an hour before.
    ///
    /// # Panics
    /// If the response cannot be made.
    pub fn revoked_staple(&self, now: UnixTime) -> Vec<Vec<u8>> {
        let mut revoked = Revocations::default();
        let added = self.authority.revoke(&self.chain[0], &mut revoked, Reason::KeyCompromise, now - 3600);
        assert!(added.expect("its own certificate"));
        self.status(&revoked, now)
    }

    fn status(&self, revoked: &Revocations, now: UnixTime) -> Vec<Vec<u8>> {
        let responder = Responder::new(&self.authority).expect("the root answers for itself");
        vec![responder.status(&self.chain[0], revoked, now).expect("an answer")]
    }
}

fn root(role: Role, name: &str) -> Authority {
    Authority::create(role, name, KeyType::P256, VALIDITY).expect("a root")
}

/// Every device has the same: a name of its own would tell it to all Owners (security rule E5).
fn device_name() -> Name {
    Name::Uri("urn:test:device".into())
}

/// Leaf and root, DER.
fn chain(authority: &Authority, key: PublicKey, role: Role, name: &Name) -> Vec<Vec<u8>> {
    let leaf = authority.issue_named(key, role, name, "test", VALIDITY).expect("a certificate");
    let mut chain = certificates_from_pem(&leaf).expect("what was just written");
    chain.push(authority.cert_der().to_vec());
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamarack_x509::{Anchor, NameKind, PathOptions, ocsp, validate_any};

    #[test]
    fn chains_and_staples_hold() {
        let provider = tamarack_crypto_rustcrypto::provider();
        let pki = OtrpPki::new(&provider, 2);
        let tam = pki.tams[1].renewed(&provider);
        let anchors = [Anchor::from_der(pki.tams[1].root()).unwrap()];
        let options = PathOptions::default();
        let valid = validate_any(&tam.chain, &anchors, Role::OtrpTam, NOW, &options, &provider).unwrap();
        assert_eq!(valid.name(NameKind::RegisteredId), Ok("1.3.6.1.4.1.61999.2.2"));
        assert!(valid.may_agree());
        let check = |staple: &[Vec<u8>], now| {
            let freshness = ocsp::Freshness { now, floor: 0, skew: 300, max_age: 86_400 };
            ocsp::check(&valid.path(), staple, &freshness, &provider).map(drop)
        };
        check(&tam.staple(NOW), NOW + 60).unwrap();
        check(&tam.revoked_staple(NOW), NOW + 60).unwrap_err();
        check(&pki.tams[1].staple(NOW), NOW + 60).expect_err("of another certificate");

        let device = pki.device(&provider, 7).personas.remove(1);
        let anchors = [pki.tee.cert_der(), pki.firmware.cert_der()].map(|der| Anchor::from_der(der).unwrap());
        for (chain, role) in [(&device.chain, Role::OtrpTee), (&device.firmware_chain, Role::Firmware)] {
            validate_any(chain, &anchors, role, NOW, &options, &provider).unwrap();
        }
    }
}
