use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
    RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_crypto::{Error, KeyAgree, PublicKey, Secret};
use tamarack_store::{Device, Domain, DomainSigner, Read, StoreOp, TenantId};
use tamarack_x509::{Anchor, Role};

use super::tee::Tee;
use crate::tests::world::{self as base, NOW, id};
use crate::{OtrpConfig, OtrpSigner, Reply, Staple, TeeRules};

pub const TAMID: &str = "1.3.6.1.4.1.99999.1.7";

/// A certification authority of any kind of key.
pub struct Ca {
    pub der: Vec<u8>,
    pub issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

impl Ca {
    pub fn new(name: &str, roles: &[Role]) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = alloc::vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = roles.iter().map(|role| purpose(*role)).collect();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub fn anchor(&self) -> Anchor {
        Anchor::from_der(&self.der).unwrap()
    }

    /// A key of this algorithm with its certificate.
    pub fn issue(&self, role: Option<Role>, algorithm: &'static SignatureAlgorithm) -> (Vec<u8>, KeyPair) {
        self.issue_with(role, algorithm, |_| {})
    }

    pub fn issue_with(
        &self,
        role: Option<Role>,
        algorithm: &'static SignatureAlgorithm,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<u8>, KeyPair) {
        let mut params = params("leaf");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = alloc::vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::KeyEncipherment
        ];
        params.extended_key_usages = role.map(purpose).into_iter().collect();
        edit(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key)
    }

    /// A list that revokes these certificates.
    pub fn list(&self, revoked: &[&[u8]]) -> Vec<u8> {
        let serial = |der: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(
                &tamarack_x509::issued_serial(der, &self.der, &base::crypto()).unwrap(),
            ),
            revocation_time: date_time_ymd(2025, 2, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 2, 1),
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(serial).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn purpose(role: Role) -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(role.oid().to_vec())
}

/// The world of the TEEP tests with a TAM that speaks OTrP too.
pub struct World {
    pub base: base::World,
    pub tee_ca: Ca,
    pub firmware_ca: Ca,
    pub tam_key: PublicKey,
    agreements: Arc<AtomicUsize>,
    /// Every message that the TAM sent.
    pub sent: RefCell<Vec<Vec<u8>>>,
}

/// A key that counts how often it was used.
struct Counted {
    agree: Box<dyn KeyAgree>,
    count: Arc<AtomicUsize>,
}

impl KeyAgree for Counted {
    fn public_key(&self) -> PublicKey {
        self.agree.public_key()
    }

    fn agree(&self, peer: &PublicKey) -> Result<Secret<[u8; 32]>, Error> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.agree.agree(peer)
    }
}

impl core::ops::Deref for World {
    type Target = base::World;

    fn deref(&self) -> &base::World {
        &self.base
    }
}

impl World {
    pub fn new() -> Self {
        let mut base = base::World::new();
        let tee_ca = Ca::new("TEE CA", &[Role::OtrpTee]);
        let firmware_ca = Ca::new("Firmware CA", &[Role::Firmware]);
        let tam_ca = Ca::new("TAM CA", &[Role::OtrpTam]);
        let (leaf, key) = tam_ca.issue(Some(Role::OtrpTam), &PKCS_ECDSA_P256_SHA256);
        let crypto = base.crypto;
        let sign = crypto.keys.load_pkcs8(key.serialized_der()).unwrap();
        let agree = crypto.agree.load_pkcs8(key.serialized_der()).unwrap();
        let tam_key = sign.public_key();
        let agreements = Arc::new(AtomicUsize::new(0));
        let agree = Box::new(Counted { agree, count: agreements.clone() });
        let signer =
            OtrpSigner::new(sign, agree, alloc::vec![leaf, tam_ca.der.clone()], TAMID.into(), &crypto);
        let mut otrp = OtrpConfig::new(signer);
        otrp.firmware_cas = alloc::vec![firmware_ca.anchor()];
        otrp.staple = Some(Staple { responses: alloc::vec![b"good".to_vec()], until: NOW + 86_400 });
        otrp.tee_rules = alloc::vec![TeeRules::default(), TeeRules::default()];
        base.tam.config.otrp = Some(otrp);
        // The first CA is that of the attestation keys.
        base.tam.config.evidence.tee_cas.push(TeeCa { anchor: tee_ca.anchor(), cap: Grade::Hardware });
        let world = Self { base, tee_ca, firmware_ca, tam_key, agreements, sent: RefCell::default() };
        world.apply([StoreOp::InsertDomain(world.domain("acme"))]);
        world
    }

    pub fn otrp(&mut self) -> &mut OtrpConfig {
        self.base.tam.config.otrp.as_mut().unwrap()
    }

    /// How often the TAM used its private key to decrypt.
    pub fn agreements(&self) -> usize {
        self.agreements.load(Ordering::Relaxed)
    }

    pub fn policy(&mut self) -> &mut Policy {
        &mut self.base.tam.config.evidence
    }

    pub fn domain(&self, name: &str) -> Domain {
        Domain {
            tenant: TenantId::default(),
            name: name.into(),
            provider: "acme".into(),
            signers: alloc::vec![DomainSigner {
                provider: "acme".into(),
                certificate: b"certificate".to_vec()
            }],
            quota: None,
            created: NOW,
            deleted: None,
        }
    }

    pub fn tenant_post(&self, tenant: &TenantId, body: &[u8]) -> Reply {
        self.tam.respond_otrp(self.clock.get(), &self.store, tenant.clone(), body, true)
    }

    pub fn send(&self, body: &[u8]) -> Reply {
        let reply = self.tenant_post(&TenantId::default(), body);
        if let Reply::Transmit { message, .. } = &reply {
            self.sent.borrow_mut().push(message.clone());
        }
        reply
    }

    /// The request that begins an exchange.
    pub fn begin(&self) -> Vec<u8> {
        message(&self.send(&[]))
    }

    /// A whole exchange with an honest TEE: the last reply.
    pub fn exchange(&self, tee: &mut Tee) -> Reply {
        let mut request = self.begin();
        loop {
            let reply = self.send(&tee.answer(&request));
            match &reply {
                Reply::Transmit { message, .. } => request = message.clone(),
                _ => return reply,
            }
        }
    }

    pub fn record(&self, tee: &Tee) -> Option<Device> {
        self.store.device(&TenantId::default(), &tee.id()).unwrap()
    }

    pub fn last_session(&self) -> tamarack_store::Session {
        self.store.sessions(&TenantId::default(), None, 1).unwrap().remove(0)
    }

    /// Wants a TA on every device.
    pub fn want(&self, component: &str) {
        self.apply([StoreOp::SetPolicy(tamarack_store::Policy {
            tenant: TenantId::default(),
            component: id(component),
            since: NOW,
        })]);
    }

    pub fn tee(&self) -> Tee {
        Tee::new(self, &PKCS_ECDSA_P256_SHA256)
    }

    /// As another maker builds it: RSA, nothing of our extensions, firmware that signs.
    pub fn foreign_tee(&self) -> Tee {
        let mut tee = Tee::new(self, &PKCS_RSA_SHA256);
        tee.extended = false;
        tee.attested = None;
        tee.firmware = Some(self.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256));
        tee
    }
}

/// The message of a reply.
#[track_caller]
pub fn message(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Transmit { message, .. } => message.clone(),
        other => panic!("no message: {other:?}"),
    }
}
