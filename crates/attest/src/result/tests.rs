use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use tamarack_cbor::{Decode, Encode};
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::Sign;
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::ear::{Details, Ear, EarAppraisal, LIMITS, Tier, VerifierId, claim};
use tamarack_eat::{MeasuredComponent, SOFTWARE_TEE_FORMAT};
use tamarack_model::{Code, UnixTime, codes};

use super::{ResultExpectations, ResultPolicy, TEE, Verifier};
use crate::release::Shown;
use crate::ta::tests::{measured, with_ta};
use crate::tests::{NONCE, NOW, World, make};
use crate::{Appraisal, Expectations, Grade, Refusal, assess};

/// A verifier with a key, a relying party that believes it, and a device with a result.
struct Results {
    world: World,
    key: Box<dyn Sign>,
    policy: ResultPolicy,
    ear: Ear,
}

fn model(model: &str) -> Environment {
    let class_id = Some(ClassId::Uuid([2; 16]));
    Environment::of_class(Class { class_id, model: Some(model.into()), ..Class::default() })
}

impl Results {
    fn new() -> Self {
        let mut world = World::new(Grade::Hardware);
        world.policy.references = Some(crate::reference::tests::released().into());
        let key = make(&provider());
        let policy = ResultPolicy::new(vec![Verifier {
            name: "Verity".into(),
            keys: vec![VerificationKey::new(key.public_key(), Purpose::AttestationResult, &provider())],
            scope: Some(vec![model("software-tee")]),
            cap: Grade::Hardware,
        }]);
        let ear = Self::issue(&world);
        Self { world, key, policy, ear }
    }

    fn issue(world: &World) -> Ear {
        Self::issue_about(world, &world.evidence(&world.claims()))
    }

    fn issue_about(world: &World, evidence: &[u8]) -> Ear {
        let teep_key = Some(thumbprint(&world.teep_key, &provider()));
        let expected = Expectations { nonce: &NONCE, teep_key, now: NOW };
        let assessment = assess(Some(SOFTWARE_TEE_FORMAT), evidence, &expected, &world.policy, &provider());
        let verifier = VerifierId { developer: "Verity".into(), build: "1".into() };
        assessment.ear(verifier, NOW, 600).expect("genuine Evidence")
    }

    fn appraise_at(&self, now: UnixTime, signed: &[u8]) -> Result<Appraisal, Refusal> {
        let key = Some(thumbprint(&self.world.teep_key, &provider()));
        let expected = ResultExpectations { nonce: Some(&NONCE), key, now };
        self.policy.accept(signed, &expected, &provider())?.appraisal(Grade::Software)
    }

    fn sign(&self) -> Vec<u8> {
        self.ear.sign(&*self.key, &provider()).unwrap()
    }

    #[track_caller]
    fn code(&self) -> Option<Code> {
        self.appraise_at(NOW, &self.sign()).err().map(|refusal| {
            assert!(!refusal.reason.is_empty());
            refusal.code
        })
    }
}

#[test]
fn a_result_gives_what_appraisal_here_would_give() {
    let results = Results::new();
    let there = results.appraise_at(NOW, &results.sign()).unwrap();
    let here = results.world.appraise(&results.world.evidence(&results.world.claims())).unwrap();
    assert_eq!((there.device, there.grade), (here.device, here.grade));
    assert_eq!(there.shown, here.shown);
    assert_eq!(there.result.vector, here.result.vector);
    assert_eq!(there.result.status, Tier::Affirming);
    assert_eq!(there.claims.platform, here.claims.platform);
    assert_eq!(there.claims.ueid, here.claims.ueid);
    // Why, in words: who says so, and what he found.
    assert!(there.reasons[0].starts_with("affirmed by Verity"), "{:?}", there.reasons);
    assert_eq!(there.reasons[1..], here.reasons);
}

/// About a device with a TA that is released, one that is not, and one that nobody speaks of.
fn about_tas() -> (Results, Appraisal) {
    let mut results = Results::new();
    results.world.policy.references = Some(with_ta([5; 32]).into());
    let tas = [measured("ta", [5; 32]), measured("other", [6; 32])];
    let evidence = results.world.measuring(&tas);
    results.ear = Results::issue_about(&results.world, &evidence);
    let here = results.world.appraise(&evidence).unwrap();
    (results, here)
}

#[test]
fn a_result_tells_release_policies_what_appraisal_here_would_tell() {
    let (results, here) = about_tas();
    let there = results.appraise_at(NOW, &results.sign()).unwrap();
    // In the order of their names, as far as the order of Evidence is another.
    let mut tas = here.tas.clone();
    tas.reverse();
    assert_eq!(there.tas, tas);
    let statuses: Vec<Tier> = there.tas.iter().map(|ta| ta.result.status).collect();
    assert_eq!(statuses, [Tier::Warning, Tier::Affirming]);
    assert_eq!(there.components, here.components);
    assert_eq!(there.claims.dbgstat, here.claims.dbgstat);
    let shown = |appraisal: &Appraisal| Shown::of(appraisal, Some(SOFTWARE_TEE_FORMAT), NOW);
    let (there, mut here) = (shown(&there), shown(&here));
    here.reasons.insert(0, there.reasons[0].clone());
    assert_eq!(there, here);
}

#[test]
fn a_ta_that_a_result_tells_badly_is_never_stepped_over() {
    type Change = fn(&mut Ear, &str);
    fn details<'e>(ear: &'e mut Ear, name: &str) -> &'e mut Option<Details> {
        &mut ear.submods.get_mut(name).unwrap().details
    }
    let changes: [(&str, Change); 9] = [
        ("no details", |ear, name| *details(ear, name) = None),
        ("nothing measured", |ear, name| details(ear, name).as_mut().unwrap().shown = None),
        ("no measured component", |ear, name| details(ear, name).as_mut().unwrap().shown = Some(vec![0xa0])),
        ("no TA", |ear, name| {
            let ta = MeasuredComponent { flags: None, ..MeasuredComponent::from(&measured("ta", [5; 32])) };
            details(ear, name).as_mut().unwrap().shown = Some(ta.to_cbor());
        }),
        ("another TA", |ear, name| {
            let other = MeasuredComponent::from(&measured("other", [5; 32]));
            details(ear, name).as_mut().unwrap().shown = Some(other.to_cbor());
        }),
        ("another name", |ear, name| {
            let ta = ear.submods.remove(name).unwrap();
            ear.submods.insert("ta:".into(), ta);
        }),
        ("no finding", |ear, name| details(ear, name).as_mut().unwrap().findings = Some(vec![0x80])),
        ("an unknown finding", |ear, name| {
            let finding = [&[0x81, 0x82, 0x61, b'x', 0x66], &b"golden"[..]].concat();
            details(ear, name).as_mut().unwrap().findings = Some(finding);
        }),
        ("two findings", |ear, name| {
            let finding = [&[0x82][..], &[0x61, b'x', 0x67], b"unknown"].concat();
            let findings = [&[0x82][..], &finding, &finding].concat();
            details(ear, name).as_mut().unwrap().findings = Some(findings);
        }),
    ];
    for (what, change) in changes {
        let (mut results, here) = about_tas();
        let name = format!("ta:{}", here.tas[0].shown.measured.component);
        change(&mut results.ear, &name);
        assert_eq!(results.code(), Some(codes::RESULT_MALFORMED), "{what}");
    }
    let (mut results, _) = about_tas();
    details(&mut results.ear, TEE).as_mut().unwrap().findings = Some(vec![0x81, 0x80]);
    assert_eq!(results.code(), Some(codes::RESULT_MALFORMED), "a bad finding about the TEE");
    // l4: what a TA proves of itself makes no device of it.
    let (mut results, _) = about_tas();
    let ta = results.ear.submods[TEE].clone();
    results.ear.submods.insert(super::TA.into(), ta);
    assert_eq!(results.code(), Some(codes::RESULT_BINDING), "a TA's own");
    // Submodules of others are theirs.
    let (mut results, _) = about_tas();
    results.ear.submods.insert("tango".into(), EarAppraisal::new(Tier::None));
    results.ear.status = None;
    assert_eq!(results.appraise_at(NOW, &results.sign()).unwrap().tas.len(), 2);
}

/// A tenant's own reference values take away and never give.
#[test]
fn of_two_that_speak_of_a_ta_the_worse_counts() {
    let (results, here) = about_tas();
    let there = || results.appraise_at(NOW, &results.sign()).unwrap();
    for (references, statuses) in [
        (with_ta([5; 32]), [Tier::Warning, Tier::Affirming]),
        (with_ta([9; 32]), [Tier::Warning, Tier::Contraindicated]),
        (crate::reference::tests::released(), [Tier::Warning, Tier::Warning]),
    ] {
        let compared = there().compared(&references, NOW).unwrap();
        let tas = &compared.tas;
        assert_eq!([tas[0].result.status, tas[1].result.status], statuses);
        for ta in tas {
            assert_eq!(ta.result.vector.worst(), Some(ta.result.status), "{ta:?}");
            assert_eq!(ta.refusal().is_none(), ta.result.status == Tier::Affirming);
        }
        assert_eq!(compared.components.len(), here.components.len(), "one finding for each component");
    }
}

/// Whatever Evidence can hold, a result can tell of it.
#[test]
fn evidence_full_of_tas_has_a_result() {
    let mut results = Results::new();
    results.world.policy.references = Some(with_ta([5; 32]).into());
    for name in ["", "a component whose name is long, so that fewer fit"] {
        let tas = |count: usize| -> Vec<_> {
            (0..count).map(|number| measured(&format!("{name}{number}"), [6; 32])).collect()
        };
        let fits = |count: usize| results.world.appraise(&results.world.measuring(&tas(count))).is_ok();
        let (mut most, mut too_many) = (200, 1000);
        assert!(fits(most) && !fits(too_many));
        while too_many - most > 1 {
            let between = usize::midpoint(most, too_many);
            *if fits(between) { &mut most } else { &mut too_many } = between;
        }
        results.ear = Results::issue_about(&results.world, &results.world.measuring(&tas(most)));
        let there = results.appraise_at(NOW, &results.sign()).unwrap();
        assert_eq!(there.tas.len(), most, "{}", results.sign().len());
    }
}

#[test]
fn e3_only_keys_of_verifiers_count_and_no_tee_ca_is_one() {
    let mut results = Results::new();
    let signed = results.sign();
    results.key = make(&provider());
    assert_eq!(results.code(), Some(codes::RESULT_UNTRUSTED), "a stranger");
    // The device's own attestation key signs results about itself.
    let own = results.ear.sign(results.world.attestation_key.as_ref(), &provider()).unwrap();
    assert_eq!(results.appraise_at(NOW, &own).unwrap_err().code, codes::RESULT_UNTRUSTED);
    // A key that is listed for anything else signs no results.
    let keys = &mut results.policy.verifiers[0].keys;
    *keys = vec![VerificationKey::new(*keys[0].public(), Purpose::Evidence, &provider())];
    assert_eq!(results.appraise_at(NOW, &signed).unwrap_err().code, codes::RESULT_UNTRUSTED);
    results.policy.verifiers.clear();
    assert_eq!(results.appraise_at(NOW, &signed).unwrap_err().code, codes::RESULT_UNTRUSTED);
}

#[test]
fn e3_verifiers_are_scoped_to_makers_and_models() {
    let mut results = Results::new();
    for (scope, code) in [
        (Some(vec![model("software-tee")]), None),
        (Some(vec![model("other"), model("software-tee")]), None),
        (None, None),
        (Some(vec![model("other")]), Some(codes::RESULT_SCOPE)),
        (Some(vec![]), Some(codes::RESULT_SCOPE)),
    ] {
        results.policy.verifiers[0].scope = scope;
        assert_eq!(results.code(), code);
    }
    // A result that does not say which device it is about.
    results.policy.verifiers[0].scope = Some(vec![model("software-tee")]);
    let details = &mut results.ear.submods.get_mut(TEE).unwrap().details;
    details.as_mut().unwrap().shown = Some(vec![0x80]);
    assert_eq!(results.code(), Some(codes::RESULT_SCOPE), "no triple");
    results.ear.submods.get_mut(TEE).unwrap().details.as_mut().unwrap().shown = None;
    assert_eq!(results.code(), Some(codes::RESULT_SCOPE), "nothing");
}

#[test]
fn e3_results_have_a_maximum_age() {
    let results = Results::new();
    let signed = results.sign();
    let code = |now| results.appraise_at(now, &signed).err().map(|refusal| refusal.code);
    assert_eq!((code(NOW), code(NOW + 300), code(NOW - 60)), (None, None, None));
    for (now, what) in [(NOW + 301, "too old"), (NOW + 600, "over"), (NOW - 61, "from the future")] {
        assert_eq!(code(now), Some(codes::RESULT_STALE), "{what}");
    }
    for now in [0, u64::MAX] {
        assert_eq!(code(now), Some(codes::RESULT_STALE), "a wrong clock: {now}");
    }
}

#[test]
fn e3_a_result_names_the_key_of_who_shows_it() {
    let mut results = Results::new();
    results.world.teep_key = make(&provider()).public_key();
    assert_eq!(results.code(), Some(codes::RESULT_BINDING), "another key");
    let mut results = Results::new();
    // The draft has no place for cnf; in the appraisal of the TEE it is found too.
    let cnf = results.ear.cnf.take();
    results.ear.submods.get_mut(TEE).unwrap().cnf.clone_from(&cnf);
    assert_eq!(results.code(), None);
    results.ear.submods.get_mut(TEE).unwrap().cnf = None;
    assert_eq!(results.code(), Some(codes::RESULT_BINDING), "none");
    results.policy.require_confirmation = false;
    assert_eq!(results.code(), Some(codes::RESULT_BINDING), "none, although a key is asked for");
    let expected = ResultExpectations { nonce: Some(&NONCE), key: None, now: NOW };
    assert!(results.policy.accept(&results.sign(), &expected, &provider()).is_ok(), "outside of production");
    results.policy.require_confirmation = true;
    let refused = results.policy.accept(&results.sign(), &expected, &provider()).unwrap_err();
    assert_eq!(refused.code, codes::RESULT_BINDING, "in production");
    // A TA's key is no device's.
    let mut ta = results.ear.submods[TEE].clone();
    ta.cnf = cnf;
    results.ear.submods.insert(super::TA.into(), ta);
    assert_eq!(results.code(), Some(codes::RESULT_BINDING), "a TA's key");
}

#[test]
fn only_what_is_affirmed_is_accepted() {
    for tier in [Tier::None, Tier::Warning, Tier::Contraindicated] {
        let mut results = Results::new();
        results.ear.submods.get_mut(TEE).unwrap().status = tier;
        results.ear.status = None;
        assert_eq!(results.code(), Some(codes::RESULT_STATUS), "{tier}");
    }
    let mut results = Results::new();
    results.policy.verifiers[0].cap = Grade::None;
    assert_eq!(results.code(), Some(codes::RESULT_STATUS), "e1: the verifier is capped");
    let mut results = Results::new();
    results.ear.eat_nonce = vec![vec![1; 32]];
    assert_eq!(results.code(), Some(codes::RESULT_STALE), "another nonce");
    results.ear.eat_nonce = vec![NONCE.to_vec(), vec![1; 32]];
    assert_eq!(results.code(), Some(codes::RESULT_STALE), "several nonces");
    results.ear.eat_nonce = vec![];
    assert_eq!(results.code(), Some(codes::RESULT_STALE), "no nonce");
    let mut results = Results::new();
    results.ear.submods.get_mut(TEE).unwrap().details.as_mut().unwrap().grade = Some("gold".into());
    assert_eq!(results.code(), Some(codes::RESULT_MALFORMED), "an unknown grade");
    results.ear.submods.get_mut(TEE).unwrap().details.as_mut().unwrap().device = None;
    assert_eq!(results.code(), Some(codes::RESULT_MALFORMED), "no device");
    results.policy.verifiers[0].scope = None;
    let tee = results.ear.submods.remove(TEE).unwrap();
    results.ear.submods.insert("other".into(), tee);
    assert_eq!(results.code(), Some(codes::RESULT_MALFORMED), "no TEE");
}

#[test]
fn a_contraindicated_device_gets_a_result_that_says_so() {
    let mut results = Results::new();
    results.world.policy.references = Some(crate::reference::tests::other_released().into());
    results.ear = Results::issue(&results.world);
    assert_eq!(results.ear.status, Some(Tier::Contraindicated));
    let tee = &results.ear.submods[TEE];
    assert_eq!(tee.vector.unwrap().executables, Some(claim::CONTRAINDICATED_RUNTIME));
    let details = tee.details.as_ref().unwrap();
    assert_eq!(details.code, Some(codes::MEASUREMENT_MISMATCH.0));
    assert!(details.reasons.iter().any(|reason| reason.contains("urn:x-tamarack:agent")));
    let refusal = results.appraise_at(NOW, &results.sign()).unwrap_err();
    assert_eq!(refusal.code, codes::RESULT_STATUS);
    assert!(refusal.reason.contains(&codes::MEASUREMENT_MISMATCH.to_string()), "{refusal}");
}

#[test]
fn what_is_no_ear_is_malformed() {
    let results = Results::new();
    let code = |bytes: &[u8]| results.appraise_at(NOW, bytes).unwrap_err().code;
    assert_eq!(code(&[]), codes::RESULT_MALFORMED);
    assert_eq!(code(&results.ear.to_cbor()), codes::RESULT_MALFORMED, "unsigned");
    assert_eq!(code(&[&results.sign()[..], &[0]].concat()), codes::RESULT_MALFORMED, "more behind it");
    let other = Sign1::sign(&*results.key, &[0xa0], &[], &SignOptions::default()).unwrap();
    assert_eq!(code(&other), codes::RESULT_MALFORMED, "signed by the verifier, but no EAR");
    // Evidence is none: another signer, and other claims.
    let evidence = results.world.evidence(&results.world.claims());
    assert_eq!(code(&evidence), codes::RESULT_UNTRUSTED);
    let signed = results.sign();
    for at in (0..signed.len() * 8).step_by(11) {
        let mut changed = signed.clone();
        changed[at / 8] ^= 1 << (at % 8);
        if let Ok(appraisal) = results.appraise_at(NOW, &changed) {
            // Only the tag and the unprotected header are not signed.
            assert_eq!(
                appraisal.device.0,
                results.ear.submods[TEE].details.as_ref().unwrap().device.unwrap()
            );
        }
    }
}

proptest! {
    #[test]
    fn random_results_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), now in any::<u64>()) {
        let policy = ResultPolicy::new(Vec::new());
        let expected = ResultExpectations { nonce: Some(&bytes), key: None, now };
        prop_assert!(policy.accept(&bytes, &expected, &provider()).is_err());
        let _ = Ear::from_cbor(&bytes, &LIMITS);
    }
}
