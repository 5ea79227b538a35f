use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Error, ErrorKind, Kind};

/// The claims of a PSA token (RFC 9783 section 4), of any profile that [`PsaProfile`] names.
///
/// | claim | field | label, in the 2019 profile | type |
/// |---|---|---|---|
/// | nonce | `nonce` | 10, -75008 | bytes: 32, 48 or 64 |
/// | instance id | `instance_id` | 256, -75009 | bytes: 33, the first is 1 |
/// | profile | `profile` | 265, -75000 | text |
/// | boot seed | `boot_seed` | 268 (2397 in drafts), -75004 | bytes: 8 to 32; in 2019 required, 32 |
/// | client id | `client_id` | 2394, -75001 | not 0, 32 bits with sign |
/// | security life cycle | `lifecycle` | 2395, -75002 | [`Lifecycle`] |
/// | implementation id | `implementation_id` | 2396, -75003 | bytes: 32 |
/// | certification reference | `certification_reference` | 2398, -75005 | 13 digits, `-`, 5 digits; in 2019 also 13 digits |
/// | software components | `software_components` | 2399, -75006 | at least one [`SoftwareComponent`] |
/// | no software measurements | none | -, -75007 | 1, instead of the components |
/// | verification service | `verification_service` | 2400, -75010 | text |
///
/// Other claims are stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsaClaims {
    /// Which profile it follows.
    pub profile: PsaProfile,
    /// The nonce that the caller gave.
    pub nonce: Vec<u8>,
    /// Which device.
    pub instance_id: [u8; 33],
    /// Which kind of root of trust.
    pub implementation_id: [u8; 32],
    /// Which partition asked for the token; negative for the non-secure side.
    pub client_id: i64,
    /// The state of the root of trust.
    pub lifecycle: Lifecycle,
    /// Made anew with each boot.
    pub boot_seed: Option<Vec<u8>>,
    /// Which certificate the kind has.
    pub certification_reference: Option<String>,
    /// What was loaded; empty only if the token says so.
    pub software_components: Vec<SoftwareComponent>,
    /// Where it could be verified.
    pub verification_service: Option<String>,
}

/// Which document a token follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsaProfile {
    /// RFC 9783: `tag:psacertified.org,2023:psa#tfm`.
    Tfm,
    /// Its drafts, and the firmware of that time: `http://arm.com/psa/2.0.0`.
    Draft2,
    /// `PSA_IOT_PROFILE_1` of 2019, also meant when no profile is named.
    Iot1,
}

impl PsaProfile {
    /// The name in the token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tfm => "tag:psacertified.org,2023:psa#tfm",
            Self::Draft2 => "http://arm.com/psa/2.0.0",
            Self::Iot1 => "PSA_IOT_PROFILE_1",
        }
    }
}

/// Security life cycle (RFC 9783 section 4.3.1). The low byte is the implementation's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// 0x00..
    Unknown,
    /// 0x10..
    AssemblyAndTest,
    /// 0x20..
    PsaRotProvisioning,
    /// 0x30..: the only one in which a device can be trusted.
    Secured,
    /// 0x40..
    NonPsaRotDebug,
    /// 0x50..
    RecoverablePsaRotDebug,
    /// 0x60..
    Decommissioned,
}

impl Lifecycle {
    /// The state of this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0x0000..=0x00ff => Self::Unknown,
            0x1000..=0x10ff => Self::AssemblyAndTest,
            0x2000..=0x20ff => Self::PsaRotProvisioning,
            0x3000..=0x30ff => Self::Secured,
            0x4000..=0x40ff => Self::NonPsaRotDebug,
            0x5000..=0x50ff => Self::RecoverablePsaRotDebug,
            0x6000..=0x60ff => Self::Decommissioned,
            _ => return None,
        })
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::AssemblyAndTest => "assembly and test",
            Self::PsaRotProvisioning => "provisioning",
            Self::Secured => "secured",
            Self::NonPsaRotDebug => "debug outside the root of trust",
            Self::RecoverablePsaRotDebug => "recoverable debug of the root of trust",
            Self::Decommissioned => "decommissioned",
        })
    }
}

/// A piece of firmware: `{? 1: kind, 2: digest, ? 4: version, 5: signer, ? 6: algorithm}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareComponent {
    /// What it is: `BL`, `PRoT`, `ARoT`, ...
    pub measurement_type: Option<String>,
    /// Its digest, 32, 48 or 64 bytes.
    pub measurement_value: Vec<u8>,
    /// Its version.
    pub version: Option<String>,
    /// Digest of the key that signed it, 32, 48 or 64 bytes.
    pub signer_id: Vec<u8>,
}

/// A claim, whatever its label.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Nonce,
    InstanceId,
    Profile,
    ClientId,
    Lifecycle,
    ImplementationId,
    BootSeed,
    CertificationReference,
    SoftwareComponents,
    NoSoftwareMeasurements,
    VerificationService,
}

/// Labels since RFC 9783, except that of the boot seed, in the drafts, and in the profile of 2019.
const LABELS: &[(Claim, Option<i64>, Option<i64>, i64)] = &[
    (Claim::Nonce, Some(10), Some(10), -75_008),
    (Claim::InstanceId, Some(256), Some(256), -75_009),
    (Claim::Profile, Some(265), Some(265), -75_000),
    (Claim::ClientId, Some(2394), Some(2394), -75_001),
    (Claim::Lifecycle, Some(2395), Some(2395), -75_002),
    (Claim::ImplementationId, Some(2396), Some(2396), -75_003),
    (Claim::BootSeed, Some(268), Some(2397), -75_004),
    (Claim::CertificationReference, Some(2398), Some(2398), -75_005),
    (Claim::SoftwareComponents, Some(2399), Some(2399), -75_006),
    (Claim::NoSoftwareMeasurements, None, None, -75_007),
    (Claim::VerificationService, Some(2400), Some(2400), -75_010),
];

impl PsaProfile {
    fn claim(self, label: i64) -> Option<Claim> {
        let row = LABELS.iter().find(|(_, rfc, draft, old)| match self {
            Self::Tfm => *rfc == Some(label),
            Self::Draft2 => *draft == Some(label),
            Self::Iot1 => *old == label,
        });
        row.map(|row| row.0)
    }

    /// By the profile claim; a token with neither claim follows the profile of 2019.
    fn of(d: &Decoder<'_>) -> Result<Self, Error> {
        let mut d = d.clone();
        let mut found = None;
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            let label = d.int()?;
            let at = d.position();
            let known: &[Self] = match label {
                265 => &[Self::Tfm, Self::Draft2],
                -75_000 => &[Self::Iot1],
                _ => {
                    d.raw()?;
                    continue;
                }
            };
            let name = d.text()?;
            let profile = known.iter().find(|profile| profile.name() == name);
            let profile = profile.ok_or(Error::new(at, ErrorKind::Value("a known PSA profile")))?;
            if found.replace(*profile).is_some() {
                return Err(Error::new(at, ErrorKind::Value("one profile")));
            }
        }
        Ok(found.unwrap_or(Self::Iot1))
    }
}

impl<'b> Decode<'b> for PsaClaims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let profile = PsaProfile::of(d)?;
        let old = profile == PsaProfile::Iot1;
        let start = d.position();
        let (mut nonce, mut instance_id, mut implementation_id, mut client_id) = (None, None, None, None);
        let (mut lifecycle, mut boot_seed, mut certification_reference) = (None, None, None);
        let (mut software_components, mut verification_service, mut unmeasured) = (None, None, false);
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            let label = d.int()?;
            let at = d.position();
            let wrong = |what| Err(Error::new(at, ErrorKind::Value(what)));
            match profile.claim(label) {
                Some(Claim::Nonce) => nonce = Some(hash(d)?),
                Some(Claim::InstanceId) => {
                    let id: [u8; 33] = d.byte_array("an instance id of 33 bytes")?;
                    if id[0] != 1 {
                        return wrong("an instance id that begins with 1");
                    }
                    instance_id = Some(id);
                }
                // Seen above.
                Some(Claim::Profile) => drop(d.text()?),
                Some(Claim::ClientId) => {
                    let id = d.int()?;
                    if id == 0 || i32::try_from(id).is_err() {
                        return wrong("a client id of 32 bits with sign, not 0");
                    }
                    client_id = Some(id);
                }
                Some(Claim::Lifecycle) => match Lifecycle::from_number(d.uint()?) {
                    None => return wrong("a security life cycle"),
                    known => lifecycle = known,
                },
                Some(Claim::ImplementationId) => {
                    implementation_id = Some(d.byte_array("an implementation id of 32 bytes")?);
                }
                Some(Claim::BootSeed) => {
                    let seed = d.bytes()?;
                    let sizes = if old { 32..=32 } else { 8..=32 };
                    if !sizes.contains(&seed.len()) {
                        return wrong("a boot seed of 8 to 32 bytes, in the profile of 2019 of 32");
                    }
                    boot_seed = Some(seed.to_vec());
                }
                Some(Claim::CertificationReference) => {
                    let reference = d.text()?;
                    if !is_certification(reference, old) {
                        return wrong("a certification reference of 13 digits, - and 5 digits");
                    }
                    certification_reference = Some(reference.into());
                }
                Some(Claim::SoftwareComponents) => software_components = Some(components(d)?),
                Some(Claim::NoSoftwareMeasurements) => {
                    if d.uint()? != 1 {
                        return wrong("1");
                    }
                    unmeasured = true;
                }
                Some(Claim::VerificationService) => verification_service = Some(text(d)?),
                None => drop(d.raw()?),
            }
        }
        let missing = |name| Error::new(start, ErrorKind::Missing(name));
        let software_components = match (software_components, unmeasured) {
            (Some(components), false) => components,
            (None, true) => Vec::new(),
            (None, false) => return Err(missing("the claim software components")),
            (Some(_), true) => {
                return Err(Error::new(start, ErrorKind::Value("software components or their absence")));
            }
        };
        if old && boot_seed.is_none() {
            return Err(missing("the claim boot seed"));
        }
        Ok(Self {
            profile,
            nonce: nonce.ok_or(missing("the claim nonce"))?,
            instance_id: instance_id.ok_or(missing("the claim instance id"))?,
            implementation_id: implementation_id.ok_or(missing("the claim implementation id"))?,
            client_id: client_id.ok_or(missing("the claim client id"))?,
            lifecycle: lifecycle.ok_or(missing("the claim security life cycle"))?,
            boot_seed,
            certification_reference,
            software_components,
            verification_service,
        })
    }
}

fn components(d: &mut Decoder<'_>) -> Result<Vec<SoftwareComponent>, Error> {
    let at = d.position();
    match d.array()? {
        0 => Err(Error::new(at, ErrorKind::Value("at least one software component"))),
        count => (0..count).map(|_| component(d)).collect(),
    }
}

fn component(d: &mut Decoder<'_>) -> Result<SoftwareComponent, Error> {
    let at = d.position();
    let (mut measurement_type, mut measurement_value, mut version, mut signer_id) = (None, None, None, None);
    for _ in 0..d.map()? {
        match d.int()? {
            1 => measurement_type = Some(text(d)?),
            2 => measurement_value = Some(hash(d)?),
            4 => version = Some(text(d)?),
            5 => signer_id = Some(hash(d)?),
            6 => drop(text(d)?),
            _ => drop(d.raw()?),
        }
    }
    Ok(SoftwareComponent {
        measurement_type,
        measurement_value: measurement_value
            .ok_or(Error::new(at, ErrorKind::Missing("the component's measurement value")))?,
        version,
        signer_id: signer_id.ok_or(Error::new(at, ErrorKind::Missing("the component's signer id")))?,
    })
}

fn hash(d: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    let at = d.position();
    let bytes = d.bytes()?;
    match bytes.len() {
        32 | 48 | 64 => Ok(bytes.to_vec()),
        _ => Err(Error::new(at, ErrorKind::Value("32, 48 or 64 bytes"))),
    }
}

/// A text that may end up in a list or a log line.
fn text(d: &mut Decoder<'_>) -> Result<String, Error> {
    let at = d.position();
    let text = d.text()?;
    if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text.into())
    } else {
        Err(Error::new(at, ErrorKind::Value("a text of 1 to 256 bytes without control characters")))
    }
}

/// EAN-13 with five more digits, or without them in the profile of 2019.
fn is_certification(text: &str, old: bool) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((article, extra)) => digits(article, 13) && digits(extra, 5),
        None => old && digits(text, 13),
    }
}
