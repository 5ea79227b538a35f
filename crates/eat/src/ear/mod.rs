//! EAR: what a verifier says about Evidence (draft-ietf-rats-ear, revision of 2026-03), as a CWT signed with COSE_Sign1.
//!
//! | item | what it is |
//! |---|---|
//! | [`Ear`] | the claims-set; a value that breaks a rule of the draft cannot be read |
//! | [`EarAppraisal`] | what it says about one attester, in one submodule |
//! | [`TrustVector`], [`Tier`] | AR4SI's claims about trust and their four steps |
//! | [`SignedEar`] | an EAR as it arrived; [`SignedEar::verify`] gives an [`Ear`] with proof |
//! | [`Ear::sign`] | the other direction |
//!
//! The JSON serialization (JWT) is not read.

mod appraisal;
mod vector;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error as CborError, ErrorKind, Kind, Limits};
use tamarack_cose::{Purpose, SignOptions, VerificationKey, Verified, thumbprint};
use tamarack_crypto::{Provider, Sign};

use crate::claims::{decode_nonces, encode_nonces};
use crate::{Confirmation, Error, Token, label};

pub use appraisal::{Details, EarAppraisal};
pub use vector::{Tier, TrustVector, claim};

/// eat_profile of every EAR.
pub const PROFILE: &str = "tag:ietf.org,2026:rats/ear#03";
/// The media type of an EAR as a CWT (RFC 9782; the draft writes `eat-cwt`, which is not registered).
pub const MEDIA_TYPE: &str = "application/eat+cwt; eat_profile=\"tag:ietf.org,2026:rats/ear#03\"";
/// Largest EAR that is read, in bytes, and how deep: what Evidence of 64 KiB full of TAs comes to, each of which has a submodule
/// with its reasons.
pub const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 12, items: 64 << 10 };

const STATUS: i64 = 1000;
const RAW_EVIDENCE: i64 = 1002;
const VERIFIER_ID: i64 = 1004;

/// The claims-set of an EAR.
///
/// | label | field | |
/// |---|---|---|
/// | 265 | eat_profile | [`PROFILE`], nothing else |
/// | 6, 4 | `iat`, `exp` | integers; `exp` is optional |
/// | 1004 | `verifier` | `{0: developer, 1: build}` |
/// | 266 | `submods` | text to [`EarAppraisal`], at least one |
/// | 1000 | `status` | optional; no better than any submodule's |
/// | 10 | `eat_nonce` | the nonce of whoever asked for the result |
/// | 1002 | `raw_evidence` | optional |
/// | 8 | `cnf` | the key of the attester; TEEP needs it and the draft has no place for it, so it stands where every CWT has it |
///
/// Other claims are stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ear {
    /// When it was issued, seconds since 1970.
    pub iat: u64,
    /// When it ends to be valid.
    pub exp: Option<u64>,
    /// Who made the verifier, and which build it is.
    pub verifier: VerifierId,
    /// What all appraisals come to.
    pub status: Option<Tier>,
    /// Nonces, 8 to 64 bytes each. Empty means absent.
    pub eat_nonce: Vec<Vec<u8>>,
    /// The Evidence.
    pub raw_evidence: Option<Vec<u8>>,
    /// The key that the Evidence vouches for.
    pub cnf: Option<Confirmation>,
    /// What is said about each attester, by its label.
    pub submods: BTreeMap<String, EarAppraisal>,
}

/// ear_verifier_id (draft-ietf-rats-ar4si section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierId {
    /// Who made it.
    pub developer: String,
    /// Which build.
    pub build: String,
}

impl Ear {
    /// The worst of what its submodules say.
    pub fn worst(&self) -> Tier {
        self.submods.values().map(|appraisal| appraisal.status).max().unwrap_or(Tier::None)
    }

    /// Signs it, giving a COSE_Sign1 with tag 18 that names the key by its thumbprint. One that its own reader would refuse is
    /// not signed.
    pub fn sign(&self, signer: &dyn Sign, provider: &Provider) -> Result<Vec<u8>, Error> {
        let payload = self.to_cbor();
        Self::from_cbor(&payload, &LIMITS).map_err(Error::Claims)?;
        let kid = thumbprint(&signer.public_key(), provider);
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        Ok(tamarack_cose::Sign1::sign(signer, &payload, &[], &options)?)
    }
}

/// An EAR as it arrived, of which nothing is proven.
#[derive(Clone, Debug)]
pub struct SignedEar(Token);

impl SignedEar {
    /// Reads the COSE object; the claims inside are read by [`SignedEar::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Token::parse(bytes, &LIMITS).map(Self)
    }

    /// What it says, for which nobody vouches.
    pub fn unverified(&self) -> Result<Ear, Error> {
        self.0.unverified_as()
    }

    /// Checks that one of `keys` for [`Purpose::AttestationResult`] signed it, then reads it.
    pub fn verify(&self, keys: &[VerificationKey], provider: &Provider) -> Result<Verified<Ear>, Error> {
        self.0.verify_as(keys, Purpose::AttestationResult, provider)
    }
}

impl<'b> Decode<'b> for Ear {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        let start = d.position();
        let (mut profile, mut iat, mut exp, mut verifier, mut status) = (false, None, None, None, None);
        let (mut eat_nonce, mut raw_evidence, mut cnf, mut submods) = (Vec::new(), None, None, None);
        let mut status_at = start;
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            let at = d.position();
            match d.int()? {
                label::EXP => exp = Some(d.uint()?),
                label::IAT => iat = Some(d.uint()?),
                label::CNF => cnf = Some(Confirmation::decode(d)?),
                label::EAT_NONCE => eat_nonce = decode_nonces(d)?,
                label::EAT_PROFILE => match d.peek() == Kind::Text && d.text()? == PROFILE {
                    true => profile = true,
                    false => return Err(CborError::new(at, ErrorKind::Value("the profile of EAR"))),
                },
                label::SUBMODS => submods = Some(decode_submods(d)?),
                STATUS => {
                    status_at = at;
                    status = Some(Tier::decode(d)?);
                }
                RAW_EVIDENCE => raw_evidence = Some(d.bytes()?.to_vec()),
                VERIFIER_ID => verifier = Some(VerifierId::decode(d)?),
                _ => drop(d.raw()?),
            }
        }
        let missing = |name| CborError::new(start, ErrorKind::Missing(name));
        if !profile {
            return Err(missing("eat_profile"));
        }
        let ear = Self {
            iat: iat.ok_or(missing("iat"))?,
            exp,
            verifier: verifier.ok_or(missing("ear_verifier_id"))?,
            status,
            eat_nonce,
            raw_evidence,
            cnf,
            submods: submods.ok_or(missing("submods"))?,
        };
        if ear.status.is_some_and(|status| status < ear.worst()) {
            return Err(CborError::new(
                status_at,
                ErrorKind::Value("a status no better than any submodule's"),
            ));
        }
        Ok(ear)
    }
}

fn decode_submods(d: &mut Decoder<'_>) -> Result<BTreeMap<String, EarAppraisal>, CborError> {
    let at = d.position();
    match d.map()? {
        0 => Err(CborError::new(at, ErrorKind::Value("at least one submodule"))),
        count => (0..count).map(|_| Ok((d.text()?.into(), EarAppraisal::decode(d)?))).collect(),
    }
}

impl Encode for Ear {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(label::EXP, self.exp, |e, time| e.uint(time))
                .int(label::IAT, |e| e.uint(self.iat))
                .optional(label::CNF, self.cnf.as_ref(), |e, cnf| e.item(cnf))
                .int(label::EAT_PROFILE, |e| e.text(PROFILE))
                .int(label::SUBMODS, |e| {
                    e.map_with(|map| {
                        for (name, appraisal) in &self.submods {
                            map.text(name, |e| e.item(appraisal));
                        }
                    })
                })
                .optional(STATUS, self.status, |e, status| e.item(&status))
                .optional(RAW_EVIDENCE, self.raw_evidence.as_deref(), |e, evidence| e.bytes(evidence))
                .int(VERIFIER_ID, |e| e.item(&self.verifier));
            encode_nonces(map, &self.eat_nonce);
        });
    }
}

impl<'b> Decode<'b> for VerifierId {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        let at = d.position();
        let (mut developer, mut build) = (None, None);
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                0 => developer = Some(d.text()?.into()),
                1 => build = Some(d.text()?.into()),
                other => return Err(CborError::new(at, ErrorKind::UnknownKey(other))),
            }
        }
        let missing = |name| CborError::new(at, ErrorKind::Missing(name));
        Ok(Self { developer: developer.ok_or(missing("developer"))?, build: build.ok_or(missing("build"))? })
    }
}

impl Encode for VerifierId {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(0, |e| e.text(&self.developer)).int(1, |e| e.text(&self.build));
        });
    }
}
