use alloc::format;
use alloc::string::{String, ToString};

use tamarack_cbor::Encode;
use tamarack_eat::ear::{Details, Ear, EarAppraisal, Tier, TrustVector, VerifierId};
use tamarack_eat::{Claims, Confirmation, Profile};
use tamarack_model::{Code, UnixTime};

use super::{PROFILE, TA, TEE};
use crate::{Assessment, Genuine, TaAppraisal, TrustResult};

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
        let tas = self.tas.iter().map(|ta| (label(ta), about_ta(ta)));
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
        let Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, manifests, platform, .. } =
            genuine.claims.clone();
        let code = self.outcome.as_ref().err().filter(|_| self.result.status != Tier::Affirming);
        EarAppraisal {
            eat_nonce: eat_nonce.clone(),
            teep: Some(Claims { eat_nonce, ueid, oemid, hwmodel, hwversion, manifests, ..Claims::default() }),
            details: Some(Details {
                device: Some(genuine.device.0),
                grade: Some(genuine.grade.to_string()),
                platform,
                shown: Some(genuine.shown.to_cbor()),
                ..details(&self.result, code.map(|refusal| refusal.code))
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
        details: Some(details(&ta.result, ta.refusal().map(|refusal| refusal.code))),
        ..appraisal(&ta.result)
    }
}

fn label(ta: &TaAppraisal) -> String {
    match ta.shown.proof {
        Some(_) => TA.into(),
        None => format!("{TA}:{}", ta.shown.measured.component),
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

fn details(result: &TrustResult, code: Option<Code>) -> Details {
    Details { reasons: result.reasons.clone(), code: code.map(|code| code.0), ..Details::default() }
}
