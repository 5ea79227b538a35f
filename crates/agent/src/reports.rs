//! SUIT reports of the Agent, signed with a key that signs nothing else (security rule K6).

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::SignOptions;
use tamarack_suit::{Envelope, Manifest, Record, Report, ReportResult};
use tamarack_tee::{Persona, Platform};

use crate::Error;
use crate::authority::ManifestRefusal;

/// Signs a report, for the Owner with this persona.
pub(crate) fn sign(report: &Report, platform: &dyn Platform, persona: Persona) -> Result<Vec<u8>, Error> {
    report.sign(platform.report_key(persona)?, &SignOptions::default()).map_err(|_| Error::Signing)
}

/// The report about a manifest that was refused before a command ran; none if not even its digest could be read.
pub(crate) fn refused(refusal: &ManifestRefusal, nonce: Option<&[u8]>) -> Option<Report> {
    let (uri, digest) = *refusal.reference.clone()?;
    let record =
        Record { manifest_id: Vec::new(), section: 0, offset: 0, component_index: 0, properties: Vec::new() };
    let (code, reason) = (i64::from(refusal.code.0), refusal.reason);
    let result = ReportResult::Failure { code, record, reason };
    Some(report(uri, digest, nonce, result))
}

/// The report about a manifest that is installed already.
pub(crate) fn unchanged(envelope: &Envelope, manifest: &Manifest, nonce: Option<&[u8]>) -> Report {
    let uri = manifest.reference_uri.clone().unwrap_or_default();
    report(uri, *envelope.digest(), nonce, ReportResult::Success)
}

fn report(
    uri: String,
    digest: tamarack_suit::SuitDigest,
    nonce: Option<&[u8]>,
    result: ReportResult,
) -> Report {
    Report {
        uri,
        digest,
        nonce: nonce.map(<[u8]>::to_vec),
        records: Vec::new(),
        claims: Vec::new(),
        result,
        capabilities: None,
    }
}
