//! What Evidence shows against what providers say.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind};
use tamarack_corim::{ClassId, Comid, Digest, Environment, MeasuredElement, Measurement, Svn, Triple};
use tamarack_model::{Code, Hex, UnixTime, codes};

use super::check::name;
use super::{ProviderRole, ReferenceEntry, References};
use crate::claim;

/// What became of one measured component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFinding {
    /// What it is called.
    pub component: String,
    /// What was found.
    pub finding: Finding,
}

/// How a measured component stands to the reference values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is a release, current as far as anybody says.
    Match {
        /// Who says so, and in which tag.
        by: String,
        /// Its security version, if the provider gives one.
        svn: Option<u64>,
    },
    /// Its reference values are known, and this is none of them.
    NoMatch,
    /// The maker releases it, and the Evidence does not show it.
    NotShown,
    /// It is a release of a security version that is too low.
    Outdated {
        /// Its security version; none if nobody gives one.
        svn: Option<u64>,
        /// The least that is accepted.
        least: u64,
    },
    /// Providers give it different security versions.
    Conflicting,
    /// It is a release by reference values that have ended or not begun.
    Expired,
    /// Nobody says anything about it.
    Unknown,
}

impl Finding {
    /// What release policies and results call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Match { .. } => "released",
            Self::NoMatch => "not-released",
            Self::NotShown => "not-shown",
            Self::Outdated { .. } => "outdated",
            Self::Conflicting => "conflicting",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    /// Its security version, if somebody gives one.
    pub fn svn(&self) -> Option<u64> {
        match self {
            Self::Match { svn, .. } | Self::Outdated { svn, .. } => *svn,
            Self::NoMatch | Self::NotShown | Self::Conflicting | Self::Expired | Self::Unknown => None,
        }
    }

    /// The code to refuse with; none for a match.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Match { .. } => None,
            Self::NoMatch | Self::NotShown => Some(codes::MEASUREMENT_MISMATCH),
            Self::Outdated { .. } => Some(codes::MEASUREMENT_OUTDATED),
            Self::Conflicting => Some(codes::REFERENCE_CONFLICT),
            Self::Expired => Some(codes::REFERENCE_EXPIRED),
            Self::Unknown => Some(codes::MEASUREMENT_UNKNOWN),
        }
    }

    /// The claim about executables that it makes (AR4SI).
    pub fn executables(&self) -> i8 {
        match self {
            Self::Match { .. } => claim::APPROVED_BOOT,
            Self::NoMatch | Self::NotShown => claim::CONTRAINDICATED_RUNTIME,
            Self::Outdated { .. } => claim::VULNERABLE_RUNTIME,
            Self::Unknown => claim::UNRECOGNIZED_RUNTIME,
            // Nobody can say anything about it now.
            Self::Conflicting | Self::Expired => claim::NO_ASSERTION,
        }
    }
}

impl fmt::Display for ComponentFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.component)?;
        match &self.finding {
            Finding::Match { by, svn: Some(svn) } => write!(f, "released, security version {svn}, says {by}"),
            Finding::Match { by, svn: None } => write!(f, "released, says {by}"),
            Finding::NoMatch => f.write_str("not among the released ones"),
            Finding::NotShown => f.write_str("released by the maker, but not shown by the Evidence"),
            Finding::Outdated { svn: Some(svn), least } => {
                write!(f, "released, but its security version {svn} is below {least}")
            }
            Finding::Outdated { svn: None, least } => {
                write!(f, "released without a security version, and at least {least} is asked for")
            }
            Finding::Conflicting => f.write_str("providers contradict each other about its security version"),
            Finding::Expired => f.write_str("released by reference values that are outside their validity"),
            Finding::Unknown => f.write_str("there are no reference values for it"),
        }
    }
}

// How a result tells it: [component, name of the finding, svn or null, by or least], the last two only where there is such.

impl Encode for ComponentFinding {
    fn encode(&self, e: &mut Encoder) {
        let Self { component, finding } = self;
        let told = matches!(finding, Finding::Match { .. } | Finding::Outdated { .. });
        e.array(if told { 4 } else { 2 }).text(component).text(finding.name());
        if told {
            match finding.svn() {
                Some(svn) => e.uint(svn),
                None => e.null(),
            };
        }
        match finding {
            Finding::Match { by, .. } => e.text(by),
            Finding::Outdated { least, .. } => e.uint(*least),
            Finding::NoMatch
            | Finding::NotShown
            | Finding::Conflicting
            | Finding::Expired
            | Finding::Unknown => e,
        };
    }
}

impl<'b> Decode<'b> for ComponentFinding {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        let wrong = || Error::new(at, ErrorKind::Value("[component, finding], and what belongs to it"));
        if count < 2 {
            return Err(wrong());
        }
        let component = d.text()?.into();
        let svn = |d: &mut Decoder<'b>| match d.peek() {
            Kind::Null => d.null().map(|()| None),
            _ => d.uint().map(Some),
        };
        let finding = match (d.text()?, count) {
            ("released", 4) => Finding::Match { svn: svn(d)?, by: d.text()?.into() },
            ("outdated", 4) => Finding::Outdated { svn: svn(d)?, least: d.uint()? },
            ("not-released", 2) => Finding::NoMatch,
            ("not-shown", 2) => Finding::NotShown,
            ("conflicting", 2) => Finding::Conflicting,
            ("expired", 2) => Finding::Expired,
            ("unknown", 2) => Finding::Unknown,
            _ => return Err(wrong()),
        };
        Ok(Self { component, finding })
    }
}

/// What a provider says is true of an environment besides what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsed {
    /// Who says so.
    pub provider: String,
    /// What.
    pub measurement: Measurement,
}

impl References {
    /// Compares every component that Evidence shows, and finds those that it should show and does not. Empty only if
    /// nothing is shown and nobody expects anything.
    pub fn compare(&self, shown: &Triple, now: UnixTime) -> Vec<ComponentFinding> {
        let about = self.about(&shown.environment);
        let finding = |component: &Measurement| ComponentFinding {
            component: name(component),
            finding: judge(component, &about, now),
        };
        let mut findings: Vec<ComponentFinding> = shown.measurements.iter().map(finding).collect();
        for said in about.iter().filter(|said| said.releases_for_maker(self, now)) {
            let there = shown.measurements.iter().any(|component| speaks_of(said.measurement, component));
            let component = name(said.measurement);
            if !there && !findings.iter().any(|finding| finding.component == component) {
                findings.push(ComponentFinding { component, finding: Finding::NotShown });
            }
        }
        findings
    }

    /// What is endorsed of an environment now, besides least security versions.
    pub fn endorsed(&self, environment: &Environment, now: UnixTime) -> Vec<Endorsed> {
        let valid = self.tags().filter(|(entry, _)| entry.counts_at(now));
        let triples = valid.flat_map(|(entry, tag)| tag.endorsed_values.iter().map(move |t| (entry, t)));
        triples
            .filter(|(_, triple)| triple.environment.includes(environment))
            .flat_map(|(entry, triple)| triple.measurements.iter().map(move |m| (entry, m)))
            .map(|(entry, m)| Endorsed { provider: entry.provider.clone(), measurement: m.clone() })
            .collect()
    }

    fn about(&self, environment: &Environment) -> Vec<Said<'_>> {
        let triples = self.tags().flat_map(|(entry, tag)| {
            let reference = tag.reference_values.iter().map(|triple| (triple, false));
            let endorsed = tag.endorsed_values.iter().map(|triple| (triple, true));
            reference.chain(endorsed).map(move |(triple, endorsed)| (entry, tag, triple, endorsed))
        });
        triples
            .filter(|(_, _, triple, _)| triple.environment.includes(environment))
            .flat_map(|(entry, tag, triple, endorsed)| {
                let said = move |measurement| Said { entry, tag, measurement, endorsed };
                triple.measurements.iter().map(said)
            })
            .collect()
    }
}

/// One value that somebody gave about the environment.
struct Said<'r> {
    entry: &'r ReferenceEntry,
    tag: &'r Comid,
    measurement: &'r Measurement,
    endorsed: bool,
}

impl Said<'_> {
    /// Whether it names a release, which permits.
    fn releases(&self) -> bool {
        !self.endorsed && !self.measurement.values.digests.is_empty()
    }

    fn releases_for_maker(&self, references: &References, now: UnixTime) -> bool {
        let maker = references.provider(&self.entry.provider).is_some_and(|p| p.role == ProviderRole::Maker);
        maker && self.releases() && self.entry.counts_at(now)
    }

    /// The least security version that it asks for, which forbids and does not end.
    fn least(&self, now: UnixTime) -> Option<u64> {
        match self.measurement.values.svn {
            Some(Svn::AtLeast(least)) if self.entry.validity().0 <= now => Some(least),
            Some(Svn::AtLeast(_) | Svn::Exact(_)) | None => None,
        }
    }
}

fn judge(component: &Measurement, about: &[Said<'_>], now: UnixTime) -> Finding {
    let about = about.iter().filter(|said| speaks_of(said.measurement, component));
    let about: Vec<&Said<'_>> = about.collect();
    let releases = || about.iter().filter(|said| said.releases());
    let matching: Vec<&&Said<'_>> =
        releases().filter(|said| satisfies(component, said.measurement)).collect();
    let valid: Vec<&&Said<'_>> = matching.iter().filter(|said| said.entry.counts_at(now)).copied().collect();
    let Some(first) = valid.first() else {
        return match (matching.is_empty(), releases().next().is_some()) {
            (false, _) => Finding::Expired,
            (true, true) => Finding::NoMatch,
            (true, false) => Finding::Unknown,
        };
    };
    let svns: Vec<u64> = valid.iter().filter_map(|said| exact(said.measurement)).collect();
    let svn = svns.first().copied();
    if svns.iter().any(|other| Some(*other) != svn) {
        return Finding::Conflicting;
    }
    let least = about.iter().filter_map(|said| said.least(now)).max();
    if let Some(least) = least
        && svn.is_none_or(|svn| svn < least)
    {
        return Finding::Outdated { svn, least };
    }
    let by = format!("{} in {} version {}", first.entry.provider, first.tag.tag_id, first.tag.tag_version);
    Finding::Match { by, svn }
}

fn exact(measurement: &Measurement) -> Option<u64> {
    match measurement.values.svn {
        Some(Svn::Exact(svn)) => Some(svn),
        Some(Svn::AtLeast(_)) | None => None,
    }
}

/// Whether `said` is about this component.
fn speaks_of(said: &Measurement, component: &Measurement) -> bool {
    said.element == component.element
        && (said.values.name.is_none() || said.values.name == component.values.name)
}

/// Whether the component is what `said` describes, in all that it says.
fn satisfies(component: &Measurement, said: &Measurement) -> bool {
    let (shown, said) = (&component.values, &said.values);
    same_content(&said.digests, &shown.digests)
        && said.version.as_ref().is_none_or(|said| {
            // Evidence names no scheme.
            shown.version.as_ref().is_some_and(|shown| shown.version == said.version)
        })
        && said.cryptokeys.iter().all(|key| shown.cryptokeys.contains(key))
}

/// Whether two lists of digests are of the same content: at least one algorithm in common, and all those equal (section
/// "Comparison for digests entries").
pub(super) fn same_content(a: &[Digest], b: &[Digest]) -> bool {
    let same_algorithm = |a: &Digest, b: &Digest| {
        a.algorithm == b.algorithm || a.algorithm.hash().is_some_and(|hash| Some(hash) == b.algorithm.hash())
    };
    let mut common =
        a.iter().flat_map(|a| b.iter().map(move |b| (a, b))).filter(|(a, b)| same_algorithm(a, b));
    let mut any = false;
    common.all(|(a, b)| {
        any = true;
        a.value == b.value
    }) && any
}

/// An environment in words.
pub(super) fn describe(environment: &Environment) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(class) = &environment.class {
        parts.extend(class.class_id.as_ref().map(|id| match id {
            ClassId::Oid(bytes) => format!("class OID {}", Hex(bytes)),
            ClassId::Uuid(bytes) => format!("class {}", Hex(bytes)),
            ClassId::Bytes(bytes) => format!("class {}", Hex(bytes)),
        }));
        parts.extend(class.vendor.as_ref().map(|vendor| format!("vendor {vendor}")));
        parts.extend(class.model.as_ref().map(|model| format!("model {model}")));
        parts.extend(class.layer.map(|layer| format!("layer {layer}")));
        parts.extend(class.index.map(|index| format!("index {index}")));
    }
    parts.extend(environment.instance.as_ref().map(|_| "one instance".into()));
    parts.extend(environment.group.as_ref().map(|_| "a group".into()));
    parts.join(", ")
}

/// A component that Evidence shows, by a text.
pub(crate) fn component(element: &str, digest: Digest) -> Measurement {
    Measurement {
        element: Some(MeasuredElement::Text(element.into())),
        values: tamarack_corim::MeasurementValues {
            digests: alloc::vec![digest],
            ..tamarack_corim::MeasurementValues::default()
        },
        authorized_by: Vec::new(),
    }
}
