use alloc::format;
use alloc::string::ToString;

use tamarack_cbor::{Decode, Limits};
use tamarack_crypto::Provider;
use tamarack_eat::{MeasuredTa, TA_FORMAT, TaClaims, TaEvidenceError, TaIdentity};
use tamarack_model::codes;

use super::software_tee::{
    Attested, authenticate, check_debug, check_expiry, check_nonce, claims_unverified, grade, measured_tas,
    platform, refusal, shown,
};
use super::tpm;
use crate::{EvidenceFormat, Expectations, Genuine, Hints, Policy, Refusal, ShownTa, TaProof};

/// Evidence with which a TA proves itself to its peer (security rule L4): the claims of its platform, and a submodule with the
/// peer's nonce, a key of the TA and what the Agent says the TA is. The peer is a relying party and no TAM: there is no TEEP
/// key in it, so it never stands for Evidence about a device.
pub struct TaEvidence;

impl EvidenceFormat for TaEvidence {
    fn media_type(&self) -> &'static str {
        TA_FORMAT
    }

    fn hints_unverified(&self, evidence: &[u8]) -> Result<Hints, Refusal> {
        let claims = claims_unverified(evidence)?;
        let submodule = claims.submods.get(TaClaims::SUBMODULE);
        let submodule =
            submodule.ok_or_else(|| refusal(codes::EAT_MALFORMED, TaEvidenceError::Submodule.to_string()))?;
        let ta = TaClaims::from_cbor(submodule, &Limits::default());
        let ta = ta.map_err(|e| refusal(codes::EAT_MALFORMED, TaEvidenceError::Claims(e).to_string()))?;
        Ok(Hints { nonce: ta.nonce, teep_key: None })
    }

    fn verify(
        &self,
        evidence: &[u8],
        expected: &Expectations<'_>,
        policy: &Policy,
        provider: &Provider,
    ) -> Result<Genuine, Refusal> {
        if let Some(teep_key) = expected.teep_key {
            let reason = format!("Evidence of a TA vouches for no TEEP key, and {teep_key} is asked for");
            return Err(refusal(codes::EVIDENCE_KEY_BINDING, reason));
        }
        let Attested { device, key: attestation_key, cap, claims, mut reasons } =
            authenticate(evidence, expected.now, policy, provider)?;
        let ta = TaClaims::extract(&claims, provider).map_err(|e| {
            let code = match e {
                TaEvidenceError::Nonce => codes::EVIDENCE_STALE,
                TaEvidenceError::Profile
                | TaEvidenceError::Confirmation
                | TaEvidenceError::Submodule
                | TaEvidenceError::Claims(_) => codes::EAT_MALFORMED,
            };
            refusal(code, e.to_string())
        })?;
        check_nonce(&ta.nonce, expected)?;
        check_expiry(&claims, expected.now)?;
        reasons.push("fresh: the TA carries the nonce that was asked for".into());
        check_debug(&claims, policy)?;
        let platform = platform(&claims)?;
        let quoted = tpm::check_submodule(&claims, platform, &attestation_key, &mut reasons, provider)?;
        let grade = grade(platform, cap, policy, &mut reasons)?;
        let mut shown = shown(&claims, &device);
        shown.measurements.extend(quoted);

        let TaClaims { nonce, key, identity } = ta;
        let TaIdentity { manifest, digest, sequence, component, provider: signer, domain: _ } = identity;
        let measured = MeasuredTa { component, manifest, provider: signer, sequence, digest, loaded: true };
        let mut tas = measured_tas(&claims)?;
        // The one that speaks may stand among the installed ones too; what it proves of itself says more.
        tas.retain(|ta| ta.measured.component != measured.component);
        tas.insert(0, ShownTa { measured, proof: Some(TaProof { nonce, key }) });
        Ok(Genuine { device, grade, claims, reasons, shown, tas })
    }
}
