use std::net::IpAddr;

use der::asn1::ObjectIdentifier;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_model::UnixTime;
use tamarack_x509::{Anchor, DEVELOPMENT_ORGANIZATION, Name, Role};
use time::OffsetDateTime;

use crate::remote::{Signer, Subject as SubjectKey};
use crate::revoked::{Reason, Revocations, Revoked};
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
    /// In the order in which the kind of a root is looked for: a root of TAMs certifies them for OTrP too.
    const ALL: [Self; 7] = [
        Self::Role(Role::Tam),
        Self::Role(Role::Tee),
        Self::Role(Role::Developer),
        Self::Role(Role::OtrpTam),
        Self::Role(Role::OtrpTee),
        Self::Role(Role::Firmware),
        Self::Tls,
    ];

    fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Role(role) => ExtendedKeyUsagePurpose::Other(role.oid().to_vec()),
            Self::Tls => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }

    /// What else a new root of this kind certifies.
    fn companion(self) -> Option<Self> {
        match self {
            Self::Role(Role::Tam) => Some(Self::Role(Role::OtrpTam)),
            Self::Role(Role::Tee) => Some(Self::Role(Role::OtrpTee)),
            Self::Role(Role::Developer | Role::OtrpTam | Role::OtrpTee | Role::Firmware) | Self::Tls => None,
        }
    }

    fn is_of(self, anchor: &Anchor) -> bool {
        match self {
            Self::Role(role) => anchor.has_role(role),
            Self::Tls => anchor.serves_tls(),
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
    /// Makes a root: for a [`Role`], or for TLS servers with [`Kind::Tls`]. One for [`Role::Tam`] certifies
    /// [`Role::OtrpTam`] too, and one for [`Role::Tee`] also [`Role::OtrpTee`].
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
        params.extended_key_usages =
            [Some(kind), kind.companion()].into_iter().flatten().map(Kind::purpose).collect();
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
        let kind = Kind::ALL.into_iter().find(|kind| kind.is_of(&anchor)).ok_or(Error::WrongKind)?;
        let certificate_pem = certificate_to_pem(&certificate)?;
        Ok(Self { kind, certificate, certificate_pem, key_pem: key_pem.into(), signer })
    }

    /// What it certifies keys for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it certifies keys of this kind.
    pub fn certifies(&self, kind: impl Into<Kind>) -> bool {
        // What was loaded once loads again.
        Anchor::from_der(&self.certificate).is_ok_and(|anchor| kind.into().is_of(&anchor))
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
        let Kind::Role(role) = self.kind else { return Err(Error::WrongKind) };
        let name = Name::Uri(subject.uri);
        self.issue_named(key, role, &name, &subject.common_name, Validity { not_before, not_after })
    }

    /// Certifies a key for one of the roles of this authority, naming its principal as OTrP may want it; gives PEM.
    ///
    /// Keys for OTrP are of P-256. Those of its TAMs and TEEs may have things encrypted to them (keyAgreement).
    pub fn issue_named(
        &self,
        key: PublicKey,
        role: Role,
        name: &Name,
        common_name: &str,
        validity: Validity,
    ) -> Result<String, Error> {
        if !self.certifies(role) {
            return Err(Error::WrongKind);
        }
        let mut params = params(common_name, validity)?;
        match name {
            Name::Uri(uri) => params.subject_alt_names = vec![SanType::URI(ia5(uri)?)],
            Name::Dns(name) => params.subject_alt_names = vec![SanType::DnsName(ia5(name)?)],
            Name::RegisteredId(oid) => params.custom_extensions = vec![registered_id(oid)?],
        }
        match role {
            Role::Tam | Role::Tee | Role::Developer => {}
            Role::OtrpTam | Role::OtrpTee | Role::Firmware if key.key_type() != KeyType::P256 => {
                return Err(Error::KeyType);
            }
            Role::OtrpTam | Role::OtrpTee => params.key_usages.push(KeyUsagePurpose::KeyAgreement),
            Role::Firmware => {}
        }
        self.sign_leaf(params, Kind::Role(role).purpose(), &key)
    }

    /// The same for the keys of one or more requests, once each one's signature proves possession; gives as many
    /// certificates, in the same order. But for key and serial number they are alike.
    pub fn issue_named_from_csr(
        &self,
        csr_pem: &str,
        role: Role,
        name: &Name,
        common_name: &str,
        validity: Validity,
    ) -> Result<String, Error> {
        let keys = request::requested_keys(csr_pem)?;
        keys.into_iter().map(|key| self.issue_named(key, role, name, common_name, validity)).collect()
    }

    /// Certifies the key of a responder that answers in place of this authority (RFC 6960 section 4.2.2.2); gives PEM. Whoever
    /// relies on it takes it until it expires, so it should not live long.
    pub fn issue_responder(
        &self,
        key: PublicKey,
        common_name: &str,
        validity: Validity,
    ) -> Result<String, Error> {
        let mut params = params(common_name, validity)?;
        // id-pkix-ocsp-nocheck, whose value is NULL.
        let no_check = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&no_check, vec![5, 0])];
        self.sign_leaf(params, ExtendedKeyUsagePurpose::OcspSigning, &key)
    }

    /// Enters a certificate (DER) of this authority into `revoked`; says whether it was not there yet.
    pub fn revoke(
        &self,
        certificate: &[u8],
        revoked: &mut Revocations,
        reason: Reason,
        at: UnixTime,
    ) -> Result<bool, Error> {
        if certificate == self.cert_der() {
            // Nobody asks a root about itself.
            return Err(Error::WrongKind);
        }
        let provider = tamarack_crypto_aws_lc::provider();
        let serial = tamarack_x509::issued_serial(certificate, &self.certificate, &provider);
        Ok(revoked.add(Revoked { serial: serial.map_err(|_| Error::OtherIssuer)?, at, reason }))
    }

    /// The list of all that is revoked, DER (RFC 5280 section 5). Its number is `now`.
    pub fn revocation_list(
        &self,
        revoked: &Revocations,
        now: UnixTime,
        lifetime: u64,
    ) -> Result<Vec<u8>, Error> {
        let entries = revoked.entries().iter().map(|entry| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&entry.serial),
                revocation_time: date(entry.at)?,
                reason_code: match entry.reason {
                    // RFC 5280 section 5.3.1: left out rather than "unspecified".
                    Reason::Unspecified => None,
                    Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
                    Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
                    Reason::Superseded => Some(RevocationReason::Superseded),
                    Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
                    Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
                },
                invalidity_date: None,
            })
        });
        let params = CertificateRevocationListParams {
            this_update: date(now)?,
            next_update: date(now.saturating_add(lifetime))?,
            crl_number: SerialNumber::from_slice(&now.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: entries.collect::<Result<_, Error>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_ca_cert_der(&self.certificate, Signer::new(&*self.signer))?;
        Ok(params.signed_by(&issuer)?.der().to_vec())
    }

    /// Certifies the keys of one or more requests, once each one's signature proves possession. The subject is the
    /// authority's choice; the names in the requests are ignored.
    pub fn issue_from_csr(
        &self,
        csr_pem: &str,
        subject: Subject,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<String, Error> {
        let keys = request::requested_keys(csr_pem)?;
        keys.into_iter().map(|key| self.issue(key, subject.clone(), not_before, not_after)).collect()
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
        self.sign_leaf(params, Kind::Tls.purpose(), &key)
    }

    fn sign_leaf(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        key: &PublicKey,
    ) -> Result<String, Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, Signer::new(&*self.signer))?;
        certificate_to_pem(params.signed_by(&SubjectKey::new(key), &issuer)?.der())
    }
}

pub(crate) fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, Error> {
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

/// The subject alternative name with a registeredID, which rcgen does not write: SEQUENCE of [8] with the identifier.
fn registered_id(oid: &str) -> Result<CustomExtension, Error> {
    let id = ObjectIdentifier::new(oid).map_err(|_| Error::Name(oid.into()))?;
    let octets = id.as_bytes();
    let length = u8::try_from(octets.len()).ok().filter(|length| *length < 0x7e);
    let length = length.ok_or_else(|| Error::Name(oid.into()))?;
    let value = [&[0x30, length + 2, 0x88, length], octets].concat();
    Ok(CustomExtension::from_oid_content(&[2, 5, 29, 17], value))
}

fn ia5(name: &str) -> Result<Ia5String, Error> {
    Ia5String::try_from(name).map_err(|_| Error::Name(name.into()))
}
