use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_model::UnixTime;
use tamarack_x509::{Anchor, DEVELOPMENT_ORGANIZATION, Role};
use time::OffsetDateTime;

use crate::remote::{Signer, Subject as SubjectKey};
use crate::{Error, certificate_to_pem, certificates_from_pem, generate_key, load_key, request};

/// What an authority certifies keys for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A role of Tamarack.
    Role(Role),
    /// TLS servers.
    Tls,
}

impl From<Role> for Kind {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

impl Kind {
    const ALL: [Self; 4] =
        [Self::Role(Role::Tam), Self::Role(Role::Tee), Self::Role(Role::Developer), Self::Tls];

    fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Role(role) => ExtendedKeyUsagePurpose::Other(role.oid().to_vec()),
            Self::Tls => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

/// A period of validity, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: UnixTime,
    /// Its last second.
    pub not_after: UnixTime,
}

impl Validity {
    /// So many days from `not_before`.
    pub fn days(not_before: UnixTime, days: u32) -> Self {
        Self { not_before, not_after: not_before.saturating_add(u64::from(days) * 86_400) }
    }
}

/// Whom a role certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The one URI by which the principal is known (security rule K2).
    pub uri: String,
    /// A name for people.
    pub common_name: String,
}

/// A root with its key.
pub struct Authority {
    kind: Kind,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
    signer: Box<dyn Sign>,
}

impl Authority {
    /// Makes a root: for a [`Role`], or for TLS servers with [`Kind::Tls`].
    pub fn create(
        kind: impl Into<Kind>,
        common_name: &str,
        key_type: KeyType,
        validity: Validity,
    ) -> Result<Self, Error> {
        let kind = kind.into();
        let key_pem = generate_key(key_type)?;
        let signer = load_key(&key_pem)?;
        let mut params = params(common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![kind.purpose()];
        let certificate = params.self_signed(&Signer::new(&*signer))?.der().clone();
        let certificate_pem = certificate_to_pem(&certificate)?;
        Ok(Self { kind, certificate, certificate_pem, key_pem, signer })
    }

    /// Loads what [`Authority::cert_pem`] and [`Authority::key_pem`] gave.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let certificate = CertificateDer::from(certificates_from_pem(cert_pem)?.swap_remove(0));
        let signer = load_key(key_pem)?;
        let anchor = Anchor::from_der(&certificate)?;
        if anchor.key() != Some(&signer.public_key()) {
            return Err(Error::KeyMismatch);
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| match kind {
                Kind::Role(role) => anchor.has_role(*role),
                Kind::Tls => anchor.serves_tls(),
            })
            .ok_or(Error::WrongKind)?;
        let certificate_pem = certificate_to_pem(&certificate)?;
        Ok(Self { kind, certificate, certificate_pem, key_pem: key_pem.into(), signer })
    }

    /// What it certifies keys for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The root certificate.
    pub fn cert_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The root certificate as DER.
    pub fn cert_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, PKCS#8. Write it where only its owner reads.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Certifies a key for the role of this authority; gives PEM.
    pub fn issue(
        &self,
        key: PublicKey,
        subject: Subject,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<String, Error> {
        let Kind::Role(_) = self.kind else { return Err(Error::WrongKind) };
        let mut params = params(&subject.common_name, Validity { not_before, not_after })?;
        params.subject_alt_names = vec![SanType::URI(ia5(&subject.uri)?)];
        self.sign_leaf(params, &key)
    }

    /// Certifies the key of a request, once its signature proves possession. The subject is the authority's choice; the
    /// names in the request are ignored.
    pub fn issue_from_csr(
        &self,
        csr_pem: &str,
        subject: Subject,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<String, Error> {
        self.issue(request::requested_key(csr_pem)?, subject, not_before, not_after)
    }

    /// Certifies a TLS server's key for DNS names and IP addresses, at least one; gives PEM.
    pub fn issue_tls(
        &self,
        key: PublicKey,
        names: &[impl AsRef<str>],
        validity: Validity,
    ) -> Result<String, Error> {
        let Kind::Tls = self.kind else { return Err(Error::WrongKind) };
        let [first, ..] = names else { return Err(Error::Name(String::new())) };
        let mut params = params(first.as_ref(), validity)?;
        for name in names.iter().map(AsRef::as_ref) {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(ia5(name)?),
            });
        }
        self.sign_leaf(params, &key)
    }

    fn sign_leaf(&self, mut params: CertificateParams, key: &PublicKey) -> Result<String, Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.kind.purpose()];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, Signer::new(&*self.signer))?;
        certificate_to_pem(params.signed_by(&SubjectKey::new(key), &issuer)?.der())
    }
}

fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    if validity.not_after < validity.not_before {
        return Err(Error::Validity);
    }
    let mut params = CertificateParams::default();
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DEVELOPMENT_ORGANIZATION);
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// 126 random bits: unique without a register, positive, and of one length.
fn serial_number() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    tamarack_crypto_aws_lc::provider().random.fill(&mut bytes)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn date(at: UnixTime) -> Result<OffsetDateTime, Error> {
    i64::try_from(at)
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        .filter(|date| date.year() <= 9999)
        .ok_or(Error::Validity)
}

fn ia5(name: &str) -> Result<Ia5String, Error> {
    Ia5String::try_from(name).map_err(|_| Error::Name(name.into()))
}
