//! What came of an Update, by the word of the Agent and its SUIT reports.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::Limits;
use tamarack_cose::Sign1;
use tamarack_model::{Code, OwnerSays, TcEntry, UnixTime, codes};
use tamarack_store::{Device, Held, PendingUpdate, Proof, Read, SessionOutcome, StoreError};
use tamarack_suit::{Report, ReportResult};
use tamarack_teep::{ErrCode, ErrorMessage, Success};

use crate::catalog::sha256_of;

/// How a session ends.
pub(crate) struct Conclusion {
    pub outcome: SessionOutcome,
    pub code: Option<Code>,
    pub reason: String,
}

/// What an Agent's reports say. The report key of a device is not known to the TAM, and the TEEP signature vouches for the
/// reports as the Agent's claim: that makes a device `reported`, never `attested` (security rule E4).
struct Reports {
    read: Vec<Report>,
}

impl Reports {
    /// Reads plain and signed reports; those for another token, and what is no report, are left out.
    fn read(reports: &[Vec<u8>], token: &[u8], limits: &Limits) -> Self {
        let read = reports.iter().filter_map(|bytes| {
            let report = match Sign1::parse(bytes, limits) {
                Ok(signed) => Report::parse(signed.unverified_payload()?, limits),
                Err(_) => Report::parse(bytes, limits),
            };
            report.ok().filter(|report| report.nonce.as_deref() == Some(token))
        });
        Self { read: read.collect() }
    }

    /// The report about this manifest.
    fn about(&self, manifest: &TcEntry) -> Option<&Report> {
        self.read.iter().find(|report| sha256_of(&report.digest) == manifest.digest)
    }

    /// The first failure.
    fn failure(&self) -> Option<(Code, String)> {
        self.read.iter().find_map(|report| match &report.result {
            ReportResult::Success => None,
            ReportResult::Failure { code, record, reason } => {
                let text = format!(
                    "reason {} ({reason:?}) in section {} at {}",
                    reason.number(),
                    record.section,
                    record.offset
                );
                Some((known_code(*code).unwrap_or(codes::SUIT_DIRECTIVE), text))
            }
        })
    }
}

/// The code of a report, if it is one of ours.
fn known_code(number: i64) -> Option<Code> {
    let code = Code(u16::try_from(number).ok()?);
    code.info().map(|_| code)
}

/// Reads a Success.
pub(crate) fn of_success(
    success: &Success,
    pending: &PendingUpdate,
    token: &[u8],
    limits: &Limits,
) -> Conclusion {
    let reports = Reports::read(&success.suit_reports, token, limits);
    if let Some((code, text)) = reports.failure() {
        let reason = format!("Success with a report of failure: {text}");
        return Conclusion { outcome: SessionOutcome::Failed, code: Some(code), reason };
    }
    let confirmed = pending.manifests.iter().all(|manifest| reports.about(manifest).is_some());
    let (outcome, how) = match confirmed {
        true => (SessionOutcome::Updated, "with reports"),
        false => (SessionOutcome::Unconfirmed, "without reports about every manifest"),
    };
    let manifests = crate::join(pending.manifests.iter().map(|manifest| &manifest.id));
    let removals = crate::join(&pending.removals);
    let reason = format!("Success {how}; installed: [{manifests}]; removed: [{removals}]");
    Conclusion { outcome, code: None, reason }
}

/// Reads an Error.
pub(crate) fn of_error(error: &ErrorMessage, token: &[u8], limits: &Limits) -> Conclusion {
    let reports = Reports::read(&error.suit_reports, token, limits);
    let mut reason = error.err_code.to_string();
    if let Some(text) = &error.err_msg {
        reason = format!("{reason}: {}", crate::printable(text));
    }
    let reported = reports.failure();
    if let Some((_, text)) = &reported {
        reason = format!("{reason}; report: {text}");
    }
    let code = reported.map_or(code_of(error.err_code), |(code, _)| code);
    // What the device's owner says is nobody's failure; what else went wrong is.
    let codes = reports.read.iter().filter_map(|report| match &report.result {
        ReportResult::Success => None,
        ReportResult::Failure { code, .. } => Some(known_code(*code)),
    });
    let says: Option<Vec<OwnerSays>> = codes.map(|code| OwnerSays::of(code?)).collect();
    match says.and_then(|says| says.into_iter().max()) {
        Some(says) => {
            let outcome = SessionOutcome::of_owner(says);
            Conclusion { outcome, code: Some(says.code()), reason: format!("{}: {reason}", says.as_str()) }
        }
        None => Conclusion { outcome: SessionOutcome::Failed, code: Some(code), reason },
    }
}

/// What of an Update was done although the device's owner withheld something of it: the removals, and the manifests that a
/// report says are installed.
pub(crate) fn done_besides(
    error: &ErrorMessage,
    pending: &PendingUpdate,
    token: &[u8],
    limits: &Limits,
) -> PendingUpdate {
    let reports = Reports::read(&error.suit_reports, token, limits);
    let installed = |manifest: &&TcEntry| {
        reports.about(manifest).is_some_and(|report| matches!(report.result, ReportResult::Success))
    };
    PendingUpdate {
        manifests: pending.manifests.iter().filter(installed).cloned().collect(),
        ..pending.clone()
    }
}

/// Our code for what an Agent says.
pub(crate) fn code_of(err_code: ErrCode) -> Code {
    match err_code {
        ErrCode::PermanentError => codes::TEEP_MALFORMED,
        ErrCode::UnsupportedExtension => codes::TEEP_UNEXPECTED,
        ErrCode::UnsupportedFreshnessMechanisms => codes::TEEP_FRESHNESS,
        ErrCode::UnsupportedMsgVersion => codes::TEEP_VERSION,
        ErrCode::UnsupportedCipherSuites => codes::TEEP_CIPHER_SUITE,
        ErrCode::BadCertificate => codes::TAM_NOT_TRUSTED,
        ErrCode::AttestationRequired => codes::EVIDENCE_MISSING,
        ErrCode::UnsupportedSuitReport => codes::SUIT_UNSUPPORTED_COMMAND,
        ErrCode::CertificateExpired => codes::X509_EXPIRED,
        ErrCode::TemporaryError => codes::DEVICE_BUSY,
        ErrCode::ManifestProcessingFailed => codes::SUIT_DIRECTIVE,
    }
}

/// What the device holds by its own word after the Update: what it held before, without what was removed or replaced, and
/// with what was installed.
pub(crate) fn reported(
    read: &dyn Read,
    device: &Device,
    pending: &PendingUpdate,
    now: UnixTime,
    outcome: SessionOutcome,
) -> Result<Held, StoreError> {
    let before = device.reported.as_ref().or(device.attested.as_ref());
    let mut entries = before.map_or_else(Vec::new, |held| held.entries.clone());
    for id in pending.removals.iter().chain(pending.manifests.iter().map(|manifest| &manifest.id)) {
        let digest = entries.iter().find(|entry| entry.id == *id).and_then(|entry| entry.digest);
        let old = match digest {
            Some(digest) => read.entry_by_digest(&device.tenant, &digest.0)?,
            None => None,
        };
        let components = old.map_or_else(Vec::new, |entry| entry.components);
        entries.retain(|held| held.id != *id && !components.iter().any(|c| c.id == held.id));
    }
    for manifest in &pending.manifests {
        let digest = manifest.digest.map(|digest| digest.0).unwrap_or_default();
        let components = read.entry_by_digest(&device.tenant, &digest)?.map(|entry| entry.components);
        entries.retain(|held| components.iter().flatten().all(|c| c.id != held.id));
        entries.push(manifest.clone());
        entries.extend(components.into_iter().flatten());
    }
    let proof = match outcome {
        SessionOutcome::Updated | SessionOutcome::RefusedByOwner | SessionOutcome::Deferred => Proof::Report,
        SessionOutcome::Unconfirmed
        | SessionOutcome::NothingToDo
        | SessionOutcome::Failed
        | SessionOutcome::Refused => Proof::Unconfirmed,
    };
    Ok(Held { entries, at: now, proof })
}
