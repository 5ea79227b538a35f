use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use tamarack_crypto::{Provider, Sign};
use tamarack_x509::{Anchor, AnyChain, Error, PathOptions, Role, validate_any};
use time::OffsetDateTime;

pub const NOW: u64 = 1_800_000_000;
pub const DAY: u64 = 86_400;
pub const OID: &str = "1.3.6.1.4.1.99999.1.7";
/// What `OID` looks like as the one `registeredID` of a subject alternative name.
const SAN_OID: [u8; 14] = [0x30, 12, 0x88, 10, 0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 1, 7];

pub type Edit = fn(&mut CertificateParams);

pub fn keep(_: &mut CertificateParams) {}

pub fn at(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap()
}

pub fn purpose(role: Role) -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(role.oid().to_vec())
}

pub fn aws() -> Provider {
    tamarack_crypto_aws_lc::provider()
}

pub fn providers() -> [Provider; 2] {
    [aws(), tamarack_crypto_rustcrypto::provider()]
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(NOW - DAY);
    params.not_after = at(NOW + 365 * DAY);
    params
}

pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn leaf_params(role: Option<Role>) -> CertificateParams {
    let mut params = params("leaf");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
    params.extended_key_usages = role.map(purpose).into_iter().collect();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], SAN_OID.to_vec())];
    params
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A CA with its key, as rcgen wants them and as we do.
pub struct Ca {
    pub der: Vec<u8>,
    pub issuer: Issuer<'static, KeyPair>,
    pub signer: Box<dyn Sign>,
}

pub fn load(key: &KeyPair) -> Box<dyn Sign> {
    aws().keys.load_pkcs8(key.serialized_der()).unwrap()
}

impl Ca {
    pub fn root(name: &str, edit: impl Fn(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, signer: load(&key), issuer: Issuer::new(params, key) }
    }

    pub fn role_root(role: Role) -> Self {
        Self::root(&format!("{role} root"), |params| params.extended_key_usages = vec![purpose(role)])
    }

    pub fn below(&self, name: &str) -> Self {
        let params = ca_params(name);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { der, signer: load(&key), issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate; gives it with its key.
    pub fn issue(&self, params: &CertificateParams) -> (Vec<u8>, KeyPair) {
        self.issue_for(params, &PKCS_ECDSA_P256_SHA256)
    }

    pub fn issue_for(
        &self,
        params: &CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key)
    }

    pub fn leaf(&self, role: Role) -> Vec<u8> {
        self.issue(&leaf_params(Some(role))).0
    }

    pub fn anchor(&self) -> Anchor {
        Anchor::from_der(&self.der).unwrap()
    }

    /// A list of these certificates' serial numbers.
    pub fn list(&self, revoked: &[&[u8]], from: u64, to: u64) -> Vec<u8> {
        let serial = |der: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial_of(der, &self.der)),
            revocation_time: at(NOW - 10),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at(from),
            next_update: at(to),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(serial).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

pub fn serial_of(certificate: &[u8], issuer: &[u8]) -> Vec<u8> {
    tamarack_x509::issued_serial(certificate, issuer, &aws()).unwrap()
}

/// Validates with both providers, which must agree.
pub fn validate_both(
    chain: &[Vec<u8>],
    anchors: &[Anchor],
    role: Role,
    require_role: bool,
) -> Result<AnyChain, Error> {
    let options = PathOptions { require_role };
    let [first, second] =
        providers().map(|provider| validate_any(chain, anchors, role, NOW, &options, &provider));
    assert_eq!(first.as_ref().err(), second.as_ref().err());
    first
}
