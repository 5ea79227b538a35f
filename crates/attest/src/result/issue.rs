use alloc::format;
use alloc::string::{String, ToString};

use tamarack_cbor::{Encode, Encoder};
use tamarack_eat::ear::{Details, Ear, EarAppraisal, Tier, TrustVector, VerifierId};
use tamarack_eat::{Claims, Confirmation, MeasuredComponent, Profile};
use tamarack_model::{Code, UnixTime};

use super::{PROFILE, TA, TEE};
use crate::{Assessment, ComponentFinding, Genuine, ShownTa, TaAppraisal, TrustResult};

impl Assessment {
    /// What it comes to as an EAR that ends `lifetime` seconds after `now`. None for Evidence that is not genuine, fresh and
    /// bound: there is no attester to say anything about.
    pub fn ear(&self, verifier: VerifierId, now: UnixTime, lifetime: u64) -> Option<Ear> {
        let genuine = self.genuine.as_ref()?;
        let own = self.tas.iter().find_map(|ta| ta.shown.proof.as_ref());
        let eat_nonce = match own {
            Some(proof) => alloc::vec![proof.nonce.clone()],
            None => genuine.claims.eat_nonce.clone(),
        };
        let tas = self.tas.iter().map(|ta| (label(&ta.shown), about_ta(ta)));
        let submods = tas.chain([(TEE.to_string(), self.about_tee(genuine))]).collect();
        let mut ear = Ear {
            iat: now,
            exp: Some(now.saturating_add(lifetime)),
            verifier,
            status: None,
            eat_nonce,
            raw_evidence: None,
            cnf: genuine.claims.cnf.clone(),
            submods,
        };
        ear.status = Some(ear.worst());
        Some(ear)
    }

    fn about_tee(&self, genuine: &Genuine) -> EarAppraisal {
        let Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, dbgstat, manifests, platform, .. } =
            genuine.claims.clone();
        let accepted = self.outcome.as_ref().ok();
        let findings = accepted.map_or(&[][..], |appraisal| &appraisal.components);
        let code = self.outcome.as_ref().err().filter(|_| self.result.status != Tier::Affirming);
        EarAppraisal {
            eat_nonce: eat_nonce.clone(),
            teep: Some(Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, manifests, ..Claims::default() }),
            details: Some(Details {
                device: Some(genuine.device.0),
                grade: Some(genuine.grade.to_string()),
                platform,
                shown: Some(genuine.shown.to_cbor()),
                debug: dbgstat,
                ..details(&self.result, findings, code.map(|refusal| refusal.code))
            }),
            ..appraisal(&self.result)
        }
    }
}

fn about_ta(ta: &TaAppraisal) -> EarAppraisal {
    let proof = ta.shown.proof.as_ref();
    EarAppraisal {
        eat_nonce: proof.map(|proof| proof.nonce.clone()).into_iter().collect(),
        cnf: proof.and_then(|proof| proof.key).map(Confirmation::Key),
        details: Some(Details {
            shown: Some(MeasuredComponent::from(&ta.shown.measured).to_cbor()),
            ..details(&ta.result, ta.finding.as_slice(), ta.refusal().map(|refusal| refusal.code))
        }),
        ..appraisal(&ta.result)
    }
}

pub(super) fn label(ta: &ShownTa) -> String {
    match ta.proof {
        Some(_) => TA.into(),
        None => format!("{TA}:{}", ta.measured.component),
    }
}

fn appraisal(result: &TrustResult) -> EarAppraisal {
    EarAppraisal {
        vector: Some(result.vector).filter(|vector| *vector != TrustVector::default()),
        policies: result.policies.clone(),
        profile: Some(Profile::Uri(PROFILE.into())),
        ..EarAppraisal::new(result.status)
    }
}

fn details(result: &TrustResult, findings: &[ComponentFinding], code: Option<Code>) -> Details {
    let findings = (!findings.is_empty()).then(|| {
        let mut e = Encoder::new();
        findings.iter().fold(e.array(findings.len()), |e, finding| e.item(finding));
        e.into_bytes()
    });
    Details { reasons: result.reasons.clone(), code: code.map(|code| code.0), findings, ..Details::default() }
}
