use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error as CborError, ErrorKind, Kind, Limits};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, Verified};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::ComponentId;

use crate::machine::{Failure, LogEntry, Machine, Outcome};
use crate::manifest::component_id;
use crate::parameter::{IMAGE_DIGEST, IMAGE_SIZE, Value};
use crate::{Envelope, SuitDigest, parameter};

/// SUIT_Report_Reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 0
    Ok,
    /// 1
    CborParse,
    /// 2
    CoseUnsupported,
    /// 3
    AlgorithmUnsupported,
    /// 4
    Unauthorised,
    /// 5
    CommandUnsupported,
    /// 6
    ComponentUnsupported,
    /// 7
    ComponentUnauthorised,
    /// 8
    ParameterUnsupported,
    /// 9
    SeveringUnsupported,
    /// 10
    ConditionFailed,
    /// 11
    OperationFailed,
    /// 12
    InvokePending,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::CborParse,
        Self::CoseUnsupported,
        Self::AlgorithmUnsupported,
        Self::Unauthorised,
        Self::CommandUnsupported,
        Self::ComponentUnsupported,
        Self::ComponentUnauthorised,
        Self::ParameterUnsupported,
        Self::SeveringUnsupported,
        Self::ConditionFailed,
        Self::OperationFailed,
        Self::InvokePending,
    ];

    /// Its number in the registry.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The reason of this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// SUIT_Record: what one command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Path of component indices to the manifest; empty for the root.
    pub manifest_id: Vec<u64>,
    /// Manifest key of the section; 3 for the shared sequence.
    pub section: i64,
    /// Offset of the command in the section's content.
    pub offset: u64,
    /// The component that was chosen.
    pub component_index: u64,
    /// Measured values, such as the digest that was found.
    pub properties: Vec<(i64, Value)>,
}

/// system-property-claims: what a component is, without reference to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The component.
    pub component: ComponentId,
    /// Measured values, at least one.
    pub properties: Vec<(i64, Value)>,
}

/// suit-report-result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportResult {
    /// The procedure ended well.
    Success,
    /// It did not.
    Failure {
        /// Our stable code as a number.
        code: i64,
        /// Where it failed.
        record: Record,
        /// Why.
        reason: Reason,
    },
}

/// SUIT_Report, as the branch text of 2026-05-26 has it.
///
/// | key | field |
/// |---|---|
/// | 99 | `[uri, digest]` |
/// | 2 | `nonce` |
/// | 3 | `records` and `claims` |
/// | 4 | `result` |
/// | 8 | capability report, read and left alone |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The manifest's reference-uri, empty if it has none.
    pub uri: String,
    /// Element 0 of the manifest's authentication wrapper.
    pub digest: SuitDigest,
    /// The nonce of whoever asked.
    pub nonce: Option<Vec<u8>>,
    /// Records, in order.
    pub records: Vec<Record>,
    /// Claims, in order.
    pub claims: Vec<Claims>,
    /// How it ended.
    pub result: ReportResult,
    /// Encoded capability report.
    pub capabilities: Option<Vec<u8>>,
}

const NONCE: i64 = 2;
const RECORDS: i64 = 3;
const RESULT: i64 = 4;
const RESULT_CODE: i64 = 5;
const RESULT_RECORD: i64 = 6;
const RESULT_REASON: i64 = 7;
const CAPABILITIES: i64 = 8;
const REFERENCE: i64 = 99;

/// Bits of a reporting policy.
const RECORD_ON_SUCCESS: u8 = 1;
const RECORD_ON_FAILURE: u8 = 2;
const CLAIMS_ON_SUCCESS: u8 = 4;
const CLAIMS_ON_FAILURE: u8 = 8;

impl Machine {
    /// The report of what was done so far: the records that the manifest's reporting policies ask for, and the result. A
    /// procedure that has not ended counts as failed by the operation it waits for.
    pub fn report(&self, nonce: Option<&[u8]>) -> Report {
        let manifest = self.manifest();
        let (mut records, mut claims) = (Vec::new(), Vec::new());
        for entry in self.log() {
            let (record, claim) = match entry.outcome {
                Outcome::Ok => (RECORD_ON_SUCCESS, CLAIMS_ON_SUCCESS),
                Outcome::Condition(_) | Outcome::Abort(_) => (RECORD_ON_FAILURE, CLAIMS_ON_FAILURE),
            };
            if entry.policy & record != 0 {
                records.push(Record::of(entry));
            }
            if let Some(component) = manifest.components.get(entry.component_index)
                && entry.policy & claim != 0
                && entry.measured.is_some()
            {
                let properties = properties(entry.measured);
                claims.push(Claims { component: component.clone(), properties });
            }
        }
        let result = match self.result() {
            Some(Ok(())) => ReportResult::Success,
            Some(Err(failure)) => ReportResult::of(failure),
            None => ReportResult::Failure {
                code: i64::from(tamarack_model::codes::SUIT_DIRECTIVE.0),
                record: self.log().last().map_or(Record::nowhere(), Record::of),
                reason: Reason::OperationFailed,
            },
        };
        Report {
            uri: manifest.reference_uri.clone().unwrap_or_default(),
            digest: *self.envelope().digest(),
            nonce: nonce.map(<[u8]>::to_vec),
            records,
            claims,
            result,
            capabilities: None,
        }
    }
}

fn properties(measured: Option<(SuitDigest, u64)>) -> Vec<(i64, Value)> {
    match measured {
        Some((digest, size)) => {
            [(IMAGE_DIGEST, Value::Digest(digest)), (IMAGE_SIZE, Value::Uint(size))].into()
        }
        None => Vec::new(),
    }
}

impl Record {
    fn of(entry: &LogEntry) -> Self {
        Self {
            manifest_id: Vec::new(),
            section: entry.section.key(),
            offset: entry.offset as u64,
            component_index: entry.component_index as u64,
            properties: properties(entry.measured),
        }
    }

    /// For what happened before or after the commands.
    fn nowhere() -> Self {
        Self { manifest_id: Vec::new(), section: 0, offset: 0, component_index: 0, properties: Vec::new() }
    }
}

impl ReportResult {
    fn of(failure: &Failure) -> Self {
        Self::Failure {
            code: i64::from(failure.code.0),
            record: Record {
                manifest_id: Vec::new(),
                section: failure.section.map_or(0, |section| section.key()),
                offset: failure.offset as u64,
                component_index: failure.component_index as u64,
                properties: properties(failure.measured.as_deref().copied()),
            },
            reason: failure.reason,
        }
    }
}

impl Report {
    /// The report of an envelope that was refused before anything was done. Its reference-uri is not known then.
    pub fn refusal(
        envelope: &Envelope,
        code: tamarack_model::Code,
        reason: Reason,
        nonce: Option<&[u8]>,
    ) -> Self {
        Self {
            uri: String::new(),
            digest: *envelope.digest(),
            nonce: nonce.map(<[u8]>::to_vec),
            records: Vec::new(),
            claims: Vec::new(),
            result: ReportResult::Failure { code: i64::from(code.0), record: Record::nowhere(), reason },
            capabilities: None,
        }
    }

    /// Reads a plain report. Not the protected form, which is [`SignedReport`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, CborError> {
        Self::from_cbor(bytes, limits)
    }

    /// Signs the report: a tagged COSE_Sign1 with the report as its payload.
    pub fn sign(
        &self,
        signer: &dyn Sign,
        options: &SignOptions<'_>,
    ) -> Result<Vec<u8>, tamarack_cose::Error> {
        Sign1::sign(signer, &self.to_cbor(), &[], &SignOptions { detached: false, ..options.clone() })
    }
}

/// A protected report as received, not yet verified. Reports under a MAC and encrypted ones are not read.
#[derive(Clone, Debug)]
pub struct SignedReport {
    sign1: Sign1,
    limits: Limits,
}

impl SignedReport {
    /// Reads the COSE_Sign1, with tag 18 or without; its payload must be attached and be a plain report.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, tamarack_cose::Error> {
        let sign1 = Sign1::parse(bytes, limits)?;
        let alg = sign1.protected.header().alg.ok_or(tamarack_cose::Error::AlgorithmMissing)?;
        match tamarack_cose::Algorithm::from_label(alg) {
            Some(algorithm) if !algorithm.is_legacy() && algorithm.key_type().is_some() => {}
            _ => return Err(tamarack_cose::Error::Algorithm(alg)),
        }
        let payload = sign1.unverified_payload().ok_or(tamarack_cose::Error::Payload)?;
        Report::parse(payload, limits)?;
        Ok(Self { sign1, limits: *limits })
    }

    /// Checks the signature with those of `keys` that serve reports.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        provider: &Provider,
    ) -> Result<Verified<Report>, tamarack_cose::Error> {
        let verified = self.sign1.verify(keys, Purpose::SuitReport, None, &[], provider)?;
        verified.try_map(|payload| Ok(Report::parse(&payload, &self.limits)?))
    }
}

impl Encode for Record {
    fn encode(&self, e: &mut Encoder) {
        e.array(5).array(self.manifest_id.len());
        self.manifest_id.iter().fold(&mut *e, |e, index| e.uint(*index));
        e.int(self.section).uint(self.offset).uint(self.component_index).map_with(|map| {
            for (label, value) in &self.properties {
                map.int(*label, |e| e.item(value));
            }
        });
    }
}

impl Encode for Claims {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(0, |e| encode_component_id(e, &self.component));
            for (label, value) in &self.properties {
                map.int(*label, |e| e.item(value));
            }
        });
    }
}

/// Writes a SUIT_Component_Identifier.
pub(crate) fn encode_component_id<'e>(e: &'e mut Encoder, id: &ComponentId) -> &'e mut Encoder {
    e.array(id.segments().len());
    id.segments().iter().fold(e, |e, segment| e.bytes(segment))
}

impl Encode for Report {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(REFERENCE, |e| e.array(2).text(&self.uri).item(&self.digest))
                .optional(NONCE, self.nonce.as_deref(), |e, nonce| e.bytes(nonce))
                .int(RECORDS, |e| {
                    e.array(self.records.len() + self.claims.len());
                    self.records.iter().fold(&mut *e, |e, record| e.item(record));
                    self.claims.iter().fold(e, |e, claims| e.item(claims))
                })
                .int(RESULT, |e| match &self.result {
                    ReportResult::Success => e.bool(true),
                    ReportResult::Failure { code, record, reason } => e.map_with(|map| {
                        map.int(RESULT_CODE, |e| e.int(*code))
                            .int(RESULT_RECORD, |e| e.item(record))
                            .int(RESULT_REASON, |e| e.uint(reason.number()));
                    }),
                })
                .optional(CAPABILITIES, self.capabilities.as_deref(), |e, raw| e.raw(raw));
        });
    }
}

/// Reads a parameter of a record or claim.
fn decode_property(d: &mut Decoder<'_>, at: usize, label: i64) -> Result<(i64, Value), CborError> {
    let row = parameter::find(label).ok_or(CborError::new(at, ErrorKind::UnknownKey(label)))?;
    Ok((label, row.decode(d, &crate::Limits::default())?))
}

impl<'b> Decode<'b> for Record {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        d.array_of(5, "the 5 elements of SUIT_Record")?;
        let depth = d.array()?;
        let manifest_id = (0..depth).map(|_| d.uint()).collect::<Result<_, _>>()?;
        let (section, offset, component_index) = (d.int()?, d.uint()?, d.uint()?);
        let mut properties = Vec::new();
        for _ in 0..d.map()? {
            let at = d.position();
            let label = d.int()?;
            properties.push(decode_property(d, at, label)?);
        }
        Ok(Self { manifest_id, section, offset, component_index, properties })
    }
}

impl<'b> Decode<'b> for Claims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        let start = d.position();
        let (mut component, mut properties) = (None, Vec::new());
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                0 => component = Some(component_id(d)?),
                label => properties.push(decode_property(d, at, label)?),
            }
        }
        if properties.is_empty() {
            return Err(CborError::new(start, ErrorKind::Missing("a property")));
        }
        let component = component.ok_or(CborError::new(start, ErrorKind::Missing("the component id")))?;
        Ok(Self { component, properties })
    }
}

impl<'b> Decode<'b> for ReportResult {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        let start = d.position();
        if d.peek() == Kind::Bool {
            return match d.bool()? {
                true => Ok(Self::Success),
                false => Err(CborError::new(start, ErrorKind::Value("true, or the failure"))),
            };
        }
        let (mut code, mut record, mut reason) = (None, None, None);
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                RESULT_CODE => code = Some(d.int()?),
                RESULT_RECORD => record = Some(Record::decode(d)?),
                RESULT_REASON => {
                    let at = d.position();
                    let known = Reason::from_number(d.uint()?);
                    reason =
                        Some(known.ok_or(CborError::new(at, ErrorKind::Value("a reason from 0 to 12")))?);
                }
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key))),
            }
        }
        match (code, record, reason) {
            (Some(code), Some(record), Some(reason)) => Ok(Self::Failure { code, record, reason }),
            _ => Err(CborError::new(start, ErrorKind::Missing("code, record or reason of the failure"))),
        }
    }
}

impl<'b> Decode<'b> for Report {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        let start = d.position();
        let (mut reference, mut nonce, mut result, mut capabilities) = (None, None, None, None);
        let (mut listed, mut records, mut claims) = (false, Vec::new(), Vec::new());
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                REFERENCE => {
                    d.array_of(2, "the 2 elements of SUIT_Reference")?;
                    reference = Some((d.text()?.to_string(), SuitDigest::decode(d)?));
                }
                NONCE => nonce = Some(d.bytes()?.to_vec()),
                RECORDS => {
                    listed = true;
                    for _ in 0..d.array()? {
                        match d.peek() {
                            Kind::Map => claims.push(Claims::decode(d)?),
                            _ => records.push(Record::decode(d)?),
                        }
                    }
                }
                RESULT => result = Some(ReportResult::decode(d)?),
                CAPABILITIES => {
                    if d.peek() != Kind::Map {
                        return Err(d.expected("a map"));
                    }
                    capabilities = Some(d.raw()?.to_vec());
                }
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key))),
            }
        }
        let missing = |name| CborError::new(start, ErrorKind::Missing(name));
        let (uri, digest) = reference.ok_or(missing("the reference"))?;
        if !listed {
            return Err(missing("the records"));
        }
        let result = result.ok_or(missing("the result"))?;
        Ok(Self { uri, digest, nonce, records, claims, result, capabilities })
    }
}
