pub mod psa_token;
pub(crate) mod software_tee;
pub(crate) mod ta_evidence;
pub mod tpm;

use alloc::format;

use tamarack_crypto::Provider;
use tamarack_model::codes;

use crate::{Expectations, Genuine, Hints, Policy, Refusal};

/// A kind of Evidence that can be appraised.
pub trait EvidenceFormat: Sync {
    /// Its attestation-payload-format: a media type with its parameters.
    fn media_type(&self) -> &'static str;

    /// Reads nonce and TEEP key without proof.
    fn hints_unverified(&self, evidence: &[u8]) -> Result<Hints, Refusal>;

    /// Finds out whether Evidence of this format is genuine, fresh and bound to the TEEP key, what it shows and which grade
    /// it gives. Must not panic on any input.
    fn verify(
        &self,
        evidence: &[u8],
        expected: &Expectations<'_>,
        policy: &Policy,
        provider: &Provider,
    ) -> Result<Genuine, Refusal>;
}

/// Every format. Those that can only hash a nonce travel as a submodule of claims for which the Agent's signature stands
/// (security rule C3).
pub const FORMATS: &[&dyn EvidenceFormat] =
    &[&software_tee::SoftwareTee, &psa_token::PsaToken, &ta_evidence::TaEvidence, &tpm::TpmQuotes];

/// The format that an attestation-payload-format names.
pub fn find(format: Option<&str>) -> Result<&'static dyn EvidenceFormat, Refusal> {
    let unsupported = |reason| Refusal { code: codes::EVIDENCE_FORMAT, reason };
    let Some(format) = format else {
        return Err(unsupported(
            "no attestation-payload-format, which means an Attestation Result and no Evidence".into(),
        ));
    };
    FORMATS
        .iter()
        .find(|row| same_media_type(row.media_type(), format))
        .copied()
        .ok_or_else(|| unsupported(format!("attestation-payload-format {:?} is not supported", clip(format))))
}

/// At most 80 characters of what a peer wrote.
fn clip(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(at, _)| &text[..at])
}

/// Whether two media types have the same type and the same parameters in the same order, whatever their case, spaces and
/// quotes.
fn same_media_type(a: &str, b: &str) -> bool {
    let parts = |text: &'_ str| text.matches(';').count();
    let same_part = |(a, b): (&str, &str)| {
        let ((a_name, a_value), (b_name, b_value)) = (parameter(a), parameter(b));
        a_name.eq_ignore_ascii_case(b_name) && a_value.eq_ignore_ascii_case(b_value)
    };
    parts(a) == parts(b) && a.split(';').zip(b.split(';')).all(same_part)
}

fn parameter(part: &str) -> (&str, &str) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (name.trim(), value.trim().trim_matches('"'))
}
