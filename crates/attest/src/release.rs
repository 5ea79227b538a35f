//! The third step after verification and comparison: whether a device is given a Trusted Component.
//!
//! [`DeviceFacts`] and [`Release`] are all that a release policy may see, in plain names and within bounds; [`ReleaseRules`]
//! is the port to whatever language policies are written in. Rules never default to trust: what cannot be read, does not end or is no
//! decision is a denial with a code.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};
use tamarack_eat::{DebugStatus, OemId};
use tamarack_model::{Code, ComponentId, DeviceId, Hex, Protocol, UnixTime};

use crate::{Appraisal, Grade, Refusal, TaAppraisal, Tier, TrustVector};

/// Most entries of each list of facts; what is beyond is left out, and [`Shown::cut`] says so.
pub const MOST_ENTRIES: usize = 64;
/// Most bytes of each text of facts.
pub const MOST_TEXT: usize = 256;

/// A device that proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Thumbprint of its attestation key.
    pub id: DeviceId,
    /// What it speaks now.
    pub protocol: Protocol,
    /// Whether it had proved itself before.
    pub known: bool,
    /// When it first did.
    pub first_seen: UnixTime,
    /// What its appraisal found.
    pub shown: Shown,
}

/// A manifest that the device would be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Manifest component id.
    pub manifest: ComponentId,
    /// What it installs.
    pub components: Vec<ComponentId>,
    /// Id of the provider that published it.
    pub provider: String,
    /// Its sequence number.
    pub sequence: u64,
    /// The sequence number that the device holds; none if it holds none that is known.
    pub installed: Option<u64>,
}

/// What an appraisal found, as far as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When it was appraised.
    pub at: UnixTime,
    /// What it was appraised from.
    pub proof: ShownBy,
    /// How far its isolation can be believed.
    pub grade: Grade,
    /// What it comes to.
    pub status: Tier,
    /// By aspect.
    pub vector: TrustVector,
    /// Parts of the device that were appraised for themselves, the worst first. What is left out is no worse than what is
    /// there, and of two whose names are cut to the same the first counts.
    pub submodules: Vec<Submodule>,
    /// Measured components.
    pub components: Vec<ShownComponent>,
    /// What was found, in words.
    pub reasons: Vec<String>,
    /// What it claims.
    pub claims: ShownClaims,
    /// Whether a list or text was longer than a policy is shown.
    pub cut: bool,
}

/// What an appraisal is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// Evidence of this attestation-payload-format.
    Evidence(String),
    /// The result of a verifier, which the device brought along.
    Result,
    /// Certificates alone, as OTrP has it.
    Certificates,
}

/// The appraisal of a part of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submodule {
    /// Its name.
    pub name: String,
    /// What it comes to.
    pub status: Tier,
    /// By aspect.
    pub vector: TrustVector,
}

/// A measured component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownComponent {
    /// What it is called.
    pub name: String,
    /// How it stands to the reference values, such as `released`.
    pub finding: String,
    /// Its security version, if somebody gives one.
    pub svn: Option<u64>,
}

/// Claims in plain names; none for what was not claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownClaims {
    /// Who made the hardware, in hexadecimal; a private enterprise number in decimal.
    pub oemid: Option<String>,
    /// Model.
    pub hwmodel: Option<String>,
    /// Version of the model.
    pub hwversion: Option<String>,
    /// Debug status: `enabled`, `disabled`, `disabled-since-boot`, `disabled-permanently`, `disabled-fully-and-permanently`.
    pub debug: Option<String>,
    /// Kind of TEE.
    pub class: Option<String>,
    /// Isolation layers in force.
    pub layers: Vec<String>,
    /// What guards the root secret.
    pub root_secret: Option<String>,
    /// What guards the rollback counter.
    pub counter_quality: Option<String>,
    /// What is behind the clock.
    pub time_quality: Option<String>,
}

/// What rules decide about one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the device may have it.
    pub allow: bool,
    /// The code of a denial.
    pub code: Option<Code>,
    /// Why, in words; empty only for a release that is allowed.
    pub reason: String,
}

impl Decision {
    /// It may have it.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { allow: true, code: None, reason: reason.into() }
    }

    /// It may not.
    pub fn deny(code: Code, reason: impl Into<String>) -> Self {
        Self { allow: false, code: Some(code), reason: reason.into() }
    }
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Self::deny(refusal.code, refusal.reason)
    }
}

/// A language in which release policies are written.
pub trait ReleaseRules: Send + Sync {
    /// Whether a policy may be put in force: that it can be read, names only what there is, and ends in time whatever the
    /// facts are.
    fn check(&self, policy: &str) -> Result<(), Refusal>;

    /// What a policy says about each of `releases` for one device, in their order. Never fails: whatever goes wrong is a
    /// denial. Ends in bounded time, however many there are.
    fn decide(
        &self,
        policy: &str,
        device: &DeviceFacts,
        releases: &[Release],
        now: UnixTime,
    ) -> Vec<Decision>;
}

impl Shown {
    /// What an appraisal of Evidence in `format` found; without a format, that of a result.
    pub fn of(appraisal: &Appraisal, format: Option<&str>, at: UnixTime) -> Self {
        let mut bounds = Bounds { cut: false };
        let claims = &appraisal.claims;
        let platform = claims.platform.as_ref();
        let names = platform.map(|platform| platform.layer_names()).unwrap_or_default();
        let mut text = |text: &str| bounds.text(text);
        let claims = ShownClaims {
            oemid: claims.oemid.as_ref().map(oemid),
            hwmodel: claims.hwmodel.as_ref().map(|model| text(&String::from_utf8_lossy(model))),
            hwversion: claims.hwversion.as_ref().map(|version| text(&version.version)),
            debug: claims.dbgstat.map(|status| debug_name(status).into()),
            class: platform.map(|platform| text(&platform.class)),
            layers: names.into_iter().map(String::from).collect(),
            root_secret: platform.map(|platform| text(&platform.root_secret)),
            counter_quality: platform.map(|platform| text(&platform.counter_quality)),
            time_quality: platform.map(|platform| text(&platform.time_quality)),
        };
        let components = bounds.list(&appraisal.components, |bounds, component| ShownComponent {
            name: bounds.text(&component.component),
            finding: component.finding.name().into(),
            svn: component.finding.svn(),
        });
        let reasons = bounds.list(&appraisal.reasons, |bounds, reason| bounds.text(reason));
        // Whatever is left out, the worst is shown.
        let mut tas: Vec<&TaAppraisal> = appraisal.tas.iter().collect();
        tas.sort_by_key(|ta| Reverse(ta.result.status));
        let submodules = bounds.list(&tas, |bounds, ta| Submodule {
            name: bounds.text(&ta.shown.measured.component.to_string()),
            status: ta.result.status,
            vector: ta.result.vector,
        });
        let proof = format.map_or(ShownBy::Result, |format| ShownBy::Evidence(bounds.text(format)));
        Self {
            at,
            proof,
            grade: appraisal.grade,
            status: appraisal.result.status,
            vector: appraisal.result.vector,
            submodules,
            components,
            reasons,
            claims,
            cut: bounds.cut,
        }
    }

    /// What certificates alone show.
    pub fn of_certificates(grade: Grade, reasons: &[String], at: UnixTime) -> Self {
        let mut bounds = Bounds { cut: false };
        let reasons = bounds.list(reasons, |bounds, reason| bounds.text(reason));
        Self {
            at,
            proof: ShownBy::Certificates,
            grade,
            status: Tier::None,
            vector: TrustVector::default(),
            submodules: Vec::new(),
            components: Vec::new(),
            reasons,
            claims: ShownClaims::default(),
            cut: bounds.cut,
        }
    }
}

/// Keeps facts within bounds and remembers whether anything was left out.
struct Bounds {
    cut: bool,
}

impl Bounds {
    fn text(&mut self, text: &str) -> String {
        let mut kept = String::new();
        for c in text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }) {
            if kept.len() + c.len_utf8() > MOST_TEXT {
                self.cut = true;
                break;
            }
            kept.push(c);
        }
        kept
    }

    fn list<T, U>(&mut self, items: &[T], mut keep: impl FnMut(&mut Self, &T) -> U) -> Vec<U> {
        self.cut |= items.len() > MOST_ENTRIES;
        items.iter().take(MOST_ENTRIES).map(|item| keep(self, item)).collect()
    }
}

fn oemid(id: &OemId) -> String {
    match id {
        OemId::Pen(number) => number.to_string(),
        OemId::Ieee(bytes) => Hex(bytes).to_string(),
        OemId::Random(bytes) => Hex(bytes).to_string(),
    }
}

/// Names of dbgstat (RFC 9711 section 4.2.9).
fn debug_name(status: DebugStatus) -> &'static str {
    match status {
        DebugStatus::Enabled => "enabled",
        DebugStatus::Disabled => "disabled",
        DebugStatus::DisabledSinceBoot => "disabled-since-boot",
        DebugStatus::DisabledPermanently => "disabled-permanently",
        DebugStatus::DisabledFullyAndPermanently => "disabled-fully-and-permanently",
    }
}

// How a TAM keeps it: an array of all fields in their order, absent ones null. It never leaves the TAM.

const GRADES: [Grade; 3] = [Grade::None, Grade::Software, Grade::Hardware];
const TIERS: [Tier; 4] = [Tier::Affirming, Tier::None, Tier::Warning, Tier::Contraindicated];

impl Encode for Shown {
    fn encode(&self, e: &mut Encoder) {
        let Self { at, proof, grade, status, vector, submodules, components, reasons, claims, cut } = self;
        e.array(10).uint(*at);
        match proof {
            ShownBy::Evidence(format) => e.text(format),
            ShownBy::Result => e.bool(true),
            ShownBy::Certificates => e.null(),
        };
        e.uint(*grade as u64).uint(status.number());
        encode_vector(e, vector);
        e.array(submodules.len());
        for Submodule { name, status, vector } in submodules {
            e.array(3).text(name).uint(status.number());
            encode_vector(e, vector);
        }
        e.array(components.len());
        for ShownComponent { name, finding, svn } in components {
            e.array(3).text(name).text(finding);
            match svn {
                Some(svn) => e.uint(*svn),
                None => e.null(),
            };
        }
        encode_texts(e, reasons);
        let ShownClaims {
            oemid,
            hwmodel,
            hwversion,
            debug,
            class,
            layers,
            root_secret,
            counter_quality,
            time_quality,
        } = claims;
        e.array(9);
        let texts = [oemid, hwmodel, hwversion, debug, class, root_secret, counter_quality, time_quality];
        for text in texts {
            match text {
                Some(text) => e.text(text),
                None => e.null(),
            };
        }
        encode_texts(e, layers);
        e.bool(*cut);
    }
}

impl<'b> Decode<'b> for Shown {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(10, "what was shown")?;
        let at = d.uint()?;
        let proof = match d.peek() {
            tamarack_cbor::Kind::Null => d.null().map(|()| ShownBy::Certificates)?,
            tamarack_cbor::Kind::Bool => d.bool().map(|_| ShownBy::Result)?,
            _ => ShownBy::Evidence(d.text()?.into()),
        };
        let grade = known(d, "a grade", |number| GRADES.into_iter().find(|grade| *grade as u64 == number))?;
        let status = decode_tier(d)?;
        let vector = decode_vector(d)?;
        let submodules = (0..d.array()?)
            .map(|_| {
                d.array_of(3, "a submodule")?;
                let name = d.text()?.into();
                Ok(Submodule { name, status: decode_tier(d)?, vector: decode_vector(d)? })
            })
            .collect::<Result<_, Error>>()?;
        let components = (0..d.array()?)
            .map(|_| {
                d.array_of(3, "a component")?;
                let (name, finding) = (d.text()?.into(), d.text()?.into());
                let svn = match d.peek() {
                    tamarack_cbor::Kind::Null => d.null().map(|()| None)?,
                    _ => Some(d.uint()?),
                };
                Ok(ShownComponent { name, finding, svn })
            })
            .collect::<Result<_, Error>>()?;
        let reasons = decode_texts(d)?;
        d.array_of(9, "claims")?;
        let claims = ShownClaims {
            oemid: optional_text(d)?,
            hwmodel: optional_text(d)?,
            hwversion: optional_text(d)?,
            debug: optional_text(d)?,
            class: optional_text(d)?,
            root_secret: optional_text(d)?,
            counter_quality: optional_text(d)?,
            time_quality: optional_text(d)?,
            layers: decode_texts(d)?,
        };
        let cut = d.bool()?;
        Ok(Self { at, proof, grade, status, vector, submodules, components, reasons, claims, cut })
    }
}

fn encode_texts(e: &mut Encoder, texts: &[String]) {
    e.array(texts.len());
    texts.iter().for_each(|text| {
        e.text(text);
    });
}

fn decode_texts(d: &mut Decoder<'_>) -> Result<Vec<String>, Error> {
    (0..d.array()?).map(|_| Ok(d.text()?.into())).collect()
}

fn optional_text(d: &mut Decoder<'_>) -> Result<Option<String>, Error> {
    match d.peek() {
        tamarack_cbor::Kind::Null => d.null().map(|()| None),
        _ => Ok(Some(d.text()?.into())),
    }
}

/// The eight claims in the order of their labels.
fn encode_vector(e: &mut Encoder, vector: &TrustVector) {
    e.array(8);
    for (.., claim) in vector.claims() {
        match claim {
            Some(claim) => e.int(claim.into()),
            None => e.null(),
        };
    }
}

fn decode_vector(d: &mut Decoder<'_>) -> Result<TrustVector, Error> {
    d.array_of(8, "a trust vector")?;
    let mut claim = || match d.peek() {
        tamarack_cbor::Kind::Null => d.null().map(|()| None),
        _ => {
            let at = d.position();
            let value = i8::try_from(d.int()?);
            value.map(Some).map_err(|_| Error::new(at, ErrorKind::Value("a trustworthiness claim")))
        }
    };
    Ok(TrustVector {
        instance_identity: claim()?,
        configuration: claim()?,
        executables: claim()?,
        file_system: claim()?,
        hardware: claim()?,
        runtime_opaque: claim()?,
        storage_opaque: claim()?,
        sourced_data: claim()?,
    })
}

fn decode_tier(d: &mut Decoder<'_>) -> Result<Tier, Error> {
    known(d, "a status", |number| TIERS.into_iter().find(|tier| tier.number() == number))
}

fn known<T>(
    d: &mut Decoder<'_>,
    what: &'static str,
    find: impl FnOnce(u64) -> Option<T>,
) -> Result<T, Error> {
    let at = d.position();
    find(d.uint()?).ok_or(Error::new(at, ErrorKind::Value(what)))
}

impl core::fmt::Display for Release {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&format!("{} {}", self.manifest, self.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use tamarack_cbor::Limits;

    fn shown() -> Shown {
        let vector =
            TrustVector { instance_identity: Some(2), executables: Some(-3), ..TrustVector::default() };
        Shown {
            at: 1_800_000_000,
            proof: ShownBy::Evidence("application/eat+cwt".into()),
            grade: Grade::Software,
            status: Tier::Warning,
            vector,
            submodules: vec![Submodule { name: "ta".into(), status: Tier::Contraindicated, vector }],
            components: vec![ShownComponent {
                name: "urn:x-tamarack:agent".into(),
                finding: "released".into(),
                svn: Some(2),
            }],
            reasons: vec!["because".into()],
            claims: ShownClaims {
                oemid: Some("67b28b".into()),
                layers: vec!["own-uid".into()],
                root_secret: Some("tpm".into()),
                ..ShownClaims::default()
            },
            cut: true,
        }
    }

    #[test]
    fn what_was_shown_is_kept_as_it_is() {
        let result = Shown { proof: ShownBy::Result, ..shown() };
        for shown in [shown(), result, Shown::of_certificates(Grade::Hardware, &["x".into()], 1)] {
            assert_eq!(Shown::from_cbor(&shown.to_cbor(), &Limits::default()).unwrap(), shown);
        }
    }

    #[test]
    fn facts_are_bounded_and_free_of_control_characters() {
        let reasons: Vec<String> = (0..MOST_ENTRIES + 1).map(|_| "\u{1b}[2J".repeat(MOST_TEXT)).collect();
        let shown = Shown::of_certificates(Grade::None, &reasons, 1);
        assert!(shown.cut);
        assert_eq!(shown.reasons.len(), MOST_ENTRIES);
        assert!(shown.reasons.iter().all(|text| text.len() <= MOST_TEXT && !text.contains('\u{1b}')));
    }
}
