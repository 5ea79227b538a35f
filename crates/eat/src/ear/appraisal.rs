use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind};

use super::{Tier, TrustVector};
use crate::claims::{decode_nonces, encode_nonces};
use crate::{Claims, Confirmation, DebugStatus, PlatformClaims, Profile, label};

const STATUS: i64 = 1000;
const VECTOR: i64 = 1001;
const POLICIES: i64 = 1003;
/// ear_teep_claims; not in the registry yet.
const TEEP: i64 = 65_000;
/// What Tamarack says besides, in the registry's range for private use.
const DETAILS: i64 = -77_062;

/// EAR-appraisal: what a verifier says about one attester.
///
/// | label | field | |
/// |---|---|---|
/// | 1000 | `status` | no better than the worst claim of the vector |
/// | 1001 | `vector` | optional |
/// | 1003 | `policies` | at least one, if it is there |
/// | 265 | `profile` | of its extensions |
/// | 10 | `eat_nonce` | that of the Evidence |
/// | 8 | `cnf` | the key that this part of the Evidence vouches for |
/// | 65000 | `teep` | claims for a TAM: 10, 256, 258, 259, 260, 272 |
/// | -77062 | `details` | [`Details`] |
///
/// Other claims are stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarAppraisal {
    /// What it comes to.
    pub status: Tier,
    /// By aspect.
    pub vector: Option<TrustVector>,
    /// Which policies were used. Empty means absent.
    pub policies: Vec<String>,
    /// Profile of the extensions.
    pub profile: Option<Profile>,
    /// Nonce of the Evidence. Empty means absent.
    pub eat_nonce: Vec<Vec<u8>>,
    /// The key that this part of the Evidence vouches for.
    pub cnf: Option<Confirmation>,
    /// Claims of the Evidence that a TAM needs; only the six of the extension are set.
    pub teep: Option<Claims>,
    /// What Tamarack says besides.
    pub details: Option<Details>,
}

/// Our extension of an appraisal, a map.
///
/// | label | field | type |
/// |---|---|---|
/// | 1 | `device` | bytes, 32 |
/// | 2 | `grade` | text |
/// | 3 | `reasons` | array of texts, at least one |
/// | 4 | `platform` | [`PlatformClaims`] |
/// | 5 | `code` | unsigned below 10000 |
/// | 6 | `shown` | any one item |
/// | 7 | `findings` | any one item |
/// | 8 | `debug` | unsigned: dbgstat of the Evidence |
///
/// All are optional; other labels are stepped over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Thumbprint of the attestation key.
    pub device: Option<[u8; 32]>,
    /// How far the attester's isolation can be believed.
    pub grade: Option<String>,
    /// What was found, in words. Empty means absent.
    pub reasons: Vec<String>,
    /// What it claims about its TEE.
    pub platform: Option<PlatformClaims>,
    /// Why it is refused, as a stable code.
    pub code: Option<u16>,
    /// What it shows, as one encoded item: of a TEE whose measurements and which, a triple of CoRIM; of a TA the
    /// measured component.
    pub shown: Option<Vec<u8>>,
    /// How that stands to the reference values, as one encoded item.
    pub findings: Option<Vec<u8>>,
    /// Debug status, for which the TEEP extension has no place.
    pub debug: Option<DebugStatus>,
}

impl EarAppraisal {
    /// One that says nothing but its status.
    pub fn new(status: Tier) -> Self {
        Self {
            status,
            vector: None,
            policies: Vec::new(),
            profile: None,
            eat_nonce: Vec::new(),
            cnf: None,
            teep: None,
            details: None,
        }
    }
}

/// What of `claims` the TEEP extension has a place for; none if that is nothing.
pub(super) fn teep_claims(claims: Claims) -> Option<Claims> {
    let Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, manifests, .. } = claims;
    let teep = Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, manifests, ..Claims::default() };
    (teep != Claims::default()).then_some(teep)
}

impl<'b> Decode<'b> for EarAppraisal {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let start = d.position();
        let mut status = None;
        let mut rest = Self::new(Tier::None);
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            match d.int()? {
                STATUS => status = Some(Tier::decode(d)?),
                VECTOR => rest.vector = Some(TrustVector::decode(d)?),
                POLICIES => rest.policies = texts(d, "at least one policy")?,
                label::EAT_PROFILE => rest.profile = Some(Profile::decode(d)?),
                label::EAT_NONCE => rest.eat_nonce = decode_nonces(d)?,
                label::CNF => rest.cnf = Some(Confirmation::decode(d)?),
                TEEP => {
                    let empty = d.error(ErrorKind::Value("at least one claim for TEEP"));
                    rest.teep = Some(teep_claims(Claims::decode(d)?).ok_or(empty)?);
                }
                DETAILS => rest.details = Some(Details::decode(d)?),
                _ => drop(d.raw()?),
            }
        }
        let status = status.ok_or(Error::new(start, ErrorKind::Missing("ear_status")))?;
        if rest.vector.and_then(|vector| vector.worst()).is_some_and(|worst| status < worst) {
            return Err(Error::new(start, ErrorKind::Value("a status no better than the worst claim")));
        }
        Ok(Self { status, ..rest })
    }
}

impl Encode for EarAppraisal {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(STATUS, |e| e.item(&self.status))
                .optional(VECTOR, self.vector.as_ref(), |e, vector| e.item(vector))
                .optional(POLICIES, some(&self.policies), encode_texts)
                .optional(label::EAT_PROFILE, self.profile.as_ref(), |e, profile| e.item(profile))
                .optional(label::CNF, self.cnf.as_ref(), |e, cnf| e.item(cnf))
                .optional(TEEP, self.teep.clone().and_then(teep_claims), |e, teep| e.item(&teep))
                .optional(DETAILS, self.details.as_ref(), |e, details| e.item(details));
            encode_nonces(map, &self.eat_nonce);
        });
    }
}

impl<'b> Decode<'b> for Details {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let mut details = Self::default();
        for _ in 0..d.map()? {
            match d.int()? {
                1 => details.device = Some(d.byte_array("a thumbprint of 32 bytes")?),
                2 => details.grade = Some(d.text()?.into()),
                3 => details.reasons = texts(d, "at least one reason")?,
                4 => details.platform = Some(PlatformClaims::decode(d)?),
                5 => {
                    let wrong = d.error(ErrorKind::Value("a code below 10000"));
                    let code = u16::try_from(d.uint()?).ok().filter(|code| *code < 10_000);
                    details.code = Some(code.ok_or(wrong)?);
                }
                6 => details.shown = Some(d.raw()?.to_vec()),
                7 => details.findings = Some(d.raw()?.to_vec()),
                8 => details.debug = Some(DebugStatus::decode(d)?),
                _ => drop(d.raw()?),
            }
        }
        Ok(details)
    }
}

impl Encode for Details {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(1, self.device.as_ref(), |e, device| e.bytes(device))
                .optional(2, self.grade.as_deref(), |e, grade| e.text(grade))
                .optional(3, some(&self.reasons), encode_texts)
                .optional(4, self.platform.as_ref(), |e, platform| e.item(platform))
                .optional(5, self.code, |e, code| e.uint(code.into()))
                .optional(6, self.shown.as_deref(), |e, shown| e.raw(shown))
                .optional(7, self.findings.as_deref(), |e, findings| e.raw(findings))
                .optional(8, self.debug, |e, debug| e.uint(debug.number()));
        });
    }
}

fn some(texts: &[String]) -> Option<&[String]> {
    (!texts.is_empty()).then_some(texts)
}

fn texts(d: &mut Decoder<'_>, expected: &'static str) -> Result<Vec<String>, Error> {
    let at = d.position();
    match d.array()? {
        0 => Err(Error::new(at, ErrorKind::Value(expected))),
        count => (0..count).map(|_| d.text().map(String::from)).collect(),
    }
}

fn encode_texts<'e>(e: &'e mut Encoder, texts: &[String]) -> &'e mut Encoder {
    texts.iter().fold(e.array(texts.len()), |e, text| e.text(text))
}
