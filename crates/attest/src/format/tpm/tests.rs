use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use tamarack_corim::{
    Class, Comid, Corim, Digest, DigestAlgorithm, Environment, Id, MeasuredElement, Measurement,
    MeasurementValues, Signer, Triple,
};
use tamarack_cose::{Purpose, VerificationKey, thumbprint};
use tamarack_crypto::{PublicKey, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::{Claims, LAUNCHER_PCR, Manifest, TpmQuote};
use tamarack_model::{Code, codes};

use super::{FORMAT, Quote, QuoteError, binding, pcr_element, signature, verify, wrap};
use crate::tests::{NONCE, NOW, World, make};
use crate::{
    Appraisal, Expectations, Grade, ProviderRole, ReferenceProvider, References, Refusal, appraise,
    hints_unverified,
};

const AGENT: [u8; 32] = [4; 32];
const CONFIGURATION: [u8; 32] = [5; 32];

/// What a TPM signs; each test changes what it is about.
#[derive(Clone)]
struct Attested {
    magic: [u8; 4],
    kind: u16,
    extra_data: Vec<u8>,
    selections: u32,
    bank: u16,
    selected: Vec<u8>,
    digest: Vec<u8>,
    rest: Vec<u8>,
}

impl Attested {
    fn new(extra_data: [u8; 32], pcrs: &[(u8, [u8; 32])]) -> Self {
        let mut selected = vec![0; 3];
        pcrs.iter().for_each(|(number, _)| selected[usize::from(number / 8)] |= 1 << (number % 8));
        Self {
            magic: *b"\xffTCG",
            kind: 0x8018,
            extra_data: extra_data.to_vec(),
            selections: 1,
            bank: 0x000b,
            selected,
            digest: digest(pcrs).to_vec(),
            rest: Vec::new(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        fn sized(bytes: &[u8]) -> Vec<u8> {
            [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
        }
        [
            &self.magic[..],
            &self.kind.to_be_bytes(),
            &sized(&[0, 0x0b, 9, 9]),
            &sized(&self.extra_data),
            &7_u64.to_be_bytes(),
            &[0, 0, 0, 1, 0, 0, 0, 2, 1],
            &0x2020_0101_u64.to_be_bytes(),
            &self.selections.to_be_bytes(),
            &self.bank.to_be_bytes(),
            &[self.selected.len() as u8],
            &self.selected,
            &sized(&self.digest),
            &self.rest,
        ]
        .concat()
    }
}

fn digest(pcrs: &[(u8, [u8; 32])]) -> [u8; 32] {
    let values: Vec<&[u8]> = pcrs.iter().map(|(_, value)| &value[..]).collect();
    provider().sha256_parts(&values)
}

/// The PCRs of a machine whose launcher has measured [`AGENT`] and [`CONFIGURATION`].
fn pcrs() -> Vec<(u8, [u8; 32])> {
    let launcher = TpmQuote::launcher_pcr(&AGENT, &CONFIGURATION, &provider());
    vec![(0, [1; 32]), (4, [2; 32]), (LAUNCHER_PCR, launcher)]
}

fn tpmt(raw: &[u8; 64]) -> Vec<u8> {
    [&[0, 0x18, 0, 0x0b, 0, 32][..], &raw[..32], &[0, 32], &raw[32..]].concat()
}

/// A machine with a TPM that a maker certified, as a world whose policy asks for no isolation.
fn machine() -> World {
    let mut world = World::new(Grade::Hardware);
    world.policy.software_layers = 0;
    world
}

fn quoted(world: &World, attested: &Attested) -> Vec<u8> {
    let attest = attested.encode();
    let signature = world.attestation_key.sign(&attest).unwrap();
    wrap(&NONCE, &world.teep_key, &attest, &tpmt(&signature), &pcrs(), &world.chain)
}

fn attested(world: &World) -> Attested {
    Attested::new(binding(&NONCE, &world.teep_key, &provider()), &pcrs())
}

fn appraised(world: &World, evidence: &[u8]) -> Result<Appraisal, Refusal> {
    let teep_key = thumbprint(&world.teep_key, &provider());
    let expected = Expectations { nonce: &NONCE, teep_key: Some(teep_key), now: NOW };
    appraise(Some(FORMAT), evidence, &expected, &world.policy, &provider())
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Attested)) -> Code {
    let world = machine();
    let mut attested = attested(&world);
    change(&mut attested);
    appraised(&world, &quoted(&world, &attested)).expect_err("refused").code
}

#[test]
fn a_quote_is_accepted_and_shows_its_pcrs() {
    let world = machine();
    let evidence = quoted(&world, &attested(&world));
    let hints = hints_unverified(Some(FORMAT), &evidence).unwrap();
    assert_eq!((hints.nonce, hints.teep_key), (NONCE.to_vec(), Some(world.teep_key)));
    let appraisal = appraised(&world, &evidence).unwrap();
    let elements: Vec<_> = appraisal.shown.measurements.iter().map(|m| m.element.clone()).collect();
    let expected = [0, 4, 23].map(|number| Some(MeasuredElement::Text(pcr_element(number))));
    assert_eq!(elements, expected);
    assert_eq!(appraisal.claims.ueid, None, "a quote names nobody but its key");
}

#[test]
fn e1_a_quote_alone_is_never_more_than_software() {
    let mut world = machine();
    assert_eq!(appraised(&world, &quoted(&world, &attested(&world))).unwrap().grade, Grade::Software);
    // It shows no layer of isolation, so it has none of those that are asked for.
    world.policy.software_layers = 1;
    let refusal = appraised(&world, &quoted(&world, &attested(&world))).unwrap_err();
    assert_eq!(refusal.code, codes::EVIDENCE_POLICY);
    world.policy.minimum = Grade::None;
    assert_eq!(appraised(&world, &quoted(&world, &attested(&world))).unwrap().grade, Grade::None);
}

#[test]
fn what_is_no_fresh_quote_of_these_pcrs_is_refused() {
    assert_eq!(refused(|a| a.magic = *b"\xffTCH"), codes::TPM_QUOTE_TYPE);
    // TPM_ST_ATTEST_CERTIFY, _TIME, _NV.
    for kind in [0x8017, 0x8019, 0x8014, 0x0000] {
        assert_eq!(refused(|a| a.kind = kind), codes::TPM_QUOTE_TYPE, "type {kind:04x}");
    }
    assert_eq!(refused(|a| a.extra_data[0] ^= 1), codes::TPM_QUOTE_STALE);
    assert_eq!(refused(|a| a.extra_data.clear()), codes::TPM_QUOTE_STALE);
    assert_eq!(refused(|a| a.extra_data = NONCE.to_vec()), codes::TPM_QUOTE_STALE);
    assert_eq!(refused(|a| a.extra_data = vec![0; 67]), codes::TPM_QUOTE_MALFORMED);
    assert_eq!(refused(|a| a.selections = 2), codes::TPM_PCR_DIGEST);
    assert_eq!(refused(|a| a.bank = 0x000c), codes::TPM_PCR_DIGEST);
    assert_eq!(refused(|a| a.selected[0] ^= 2), codes::TPM_PCR_DIGEST);
    assert_eq!(refused(|a| a.selected.fill(0)), codes::TPM_QUOTE_MALFORMED);
    assert_eq!(refused(|a| a.selected = vec![0; 5]), codes::TPM_QUOTE_MALFORMED);
    assert_eq!(refused(|a| a.selected.push(1)), codes::TPM_QUOTE_MALFORMED);
    assert_eq!(refused(|a| a.digest[31] ^= 1), codes::TPM_PCR_DIGEST);
    assert_eq!(refused(|a| a.digest.truncate(31)), codes::TPM_QUOTE_MALFORMED);
    assert_eq!(refused(|a| a.rest = vec![0]), codes::TPM_QUOTE_MALFORMED);
}

#[test]
fn edited_or_foreign_quotes_are_refused() {
    let world = machine();
    let attest = attested(&world).encode();
    let raw = world.attestation_key.sign(&attest).unwrap();
    let code = |attest: &[u8], signature: &[u8], pcrs: &[(u8, [u8; 32])]| {
        let evidence = wrap(&NONCE, &world.teep_key, attest, signature, pcrs, &world.chain);
        appraised(&world, &evidence).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(code(&attest, &tpmt(&raw), &pcrs()), Ok(()));
    // The clock.
    let mut edited = attest.clone();
    edited[4 + 2 + 6 + 34 + 7] ^= 1;
    assert_eq!(code(&edited, &tpmt(&raw), &pcrs()), Err(codes::TPM_QUOTE_SIGNATURE));
    let other = make(&provider()).sign(&attest).unwrap();
    assert_eq!(code(&attest, &tpmt(&other), &pcrs()), Err(codes::TPM_QUOTE_SIGNATURE), "another key");
    let mut values = pcrs();
    values[1].1[0] ^= 1;
    assert_eq!(code(&attest, &tpmt(&raw), &values), Err(codes::TPM_PCR_DIGEST), "another value");
    assert_eq!(code(&attest, &tpmt(&raw), &pcrs()[..2]), Err(codes::TPM_PCR_DIGEST), "one left out");
    // TPM_ALG_RSASSA, SHA-1, and sizes.
    let mut bad = [tpmt(&raw), tpmt(&raw), tpmt(&raw), tpmt(&raw), tpmt(&raw)];
    bad[0][1] = 0x14;
    bad[1][3] = 4;
    bad[2][5] = 33;
    bad[3].push(0);
    bad[4].pop();
    let expected = [codes::TPM_QUOTE_SIGNATURE; 2].into_iter().chain([codes::TPM_QUOTE_MALFORMED; 3]);
    for (signature, expected) in bad.iter().zip(expected) {
        assert_eq!(code(&attest, signature, &pcrs()), Err(expected));
    }
    assert_eq!(code(&[], &tpmt(&raw), &pcrs()), Err(codes::TPM_QUOTE_MALFORMED));
}

#[test]
fn c3_a_quote_for_another_nonce_or_key_is_refused() {
    let world = machine();
    let other = make(&provider()).public_key();
    let quote = |nonce: &[u8], bound: &PublicKey, told: &PublicKey| {
        let attest = Attested::new(binding(nonce, bound, &provider()), &pcrs()).encode();
        let signature = world.attestation_key.sign(&attest).unwrap();
        let evidence = wrap(nonce, told, &attest, &tpmt(&signature), &pcrs(), &world.chain);
        appraised(&world, &evidence).expect_err("refused").code
    };
    assert_eq!(quote(&[8; 32], &world.teep_key, &world.teep_key), codes::EVIDENCE_STALE);
    assert_eq!(quote(&NONCE, &other, &other), codes::EVIDENCE_KEY_BINDING);
    assert_eq!(quote(&NONCE, &other, &world.teep_key), codes::TPM_QUOTE_STALE);
    let stranger = World::new(Grade::Software);
    let attest = attested(&world).encode();
    let signature = stranger.attestation_key.sign(&attest).unwrap();
    let evidence = wrap(&NONCE, &world.teep_key, &attest, &tpmt(&signature), &pcrs(), &stranger.chain);
    assert_eq!(appraised(&world, &evidence).unwrap_err().code, codes::EVIDENCE_UNTRUSTED, "another maker");
}

#[test]
fn a_signature_may_leave_out_leading_zeros() {
    let mut raw = [9; 64];
    (raw[0], raw[1], raw[32]) = (0, 0, 0);
    let short = [&[0, 0x18, 0, 0x0b, 0, 30][..], &raw[2..32], &[0, 31], &raw[33..]].concat();
    assert_eq!(signature(&short), Ok(raw));
    assert_eq!(signature(&tpmt(&raw)), Ok(raw));
    assert_eq!(
        signature(&[0, 0x18, 0, 0x0b, 0, 0, 0, 0]).map_err(|e| e.code()),
        Err(codes::TPM_QUOTE_MALFORMED)
    );
}

/// Reference values for PCR 0 and 4, from the authority that certified the machine.
fn with_references(world: &mut World, values: &[(u8, [u8; 32])]) {
    let maker = make(&provider());
    let ca = *world.policy.tee_cas[0].anchor.key().unwrap();
    let class = Class {
        class_id: Some(tamarack_corim::ClassId::Bytes(thumbprint(&ca, &provider()).0.to_vec())),
        ..Class::default()
    };
    let environment = Environment::of_class(class);
    let mut references = References::new(vec![ReferenceProvider {
        name: "maker".into(),
        role: ProviderRole::Maker,
        keys: vec![VerificationKey::new(maker.public_key(), Purpose::ReferenceValues, &provider())],
        scope: vec![environment.clone()],
        elements: None,
        cap: Grade::Software,
    }]);
    let mut tag = Comid::new(Id::Text("boot".into()), 1);
    let measurement = |(number, value): &(u8, [u8; 32])| Measurement {
        element: Some(MeasuredElement::Text(pcr_element(*number))),
        values: MeasurementValues {
            digests: vec![Digest { algorithm: DigestAlgorithm::Id(1), value: value.to_vec() }],
            ..MeasurementValues::default()
        },
        authorized_by: Vec::new(),
    };
    tag.reference_values =
        vec![Triple { environment, measurements: values.iter().map(measurement).collect() }];
    let corim = Corim::new(Id::Text("maker".into()), tag);
    let signed = tamarack_corim::sign(&corim, &Signer::new("maker"), &*maker, None).unwrap();
    references.add(&signed, NOW, &provider()).unwrap();
    world.policy.references = Some(references.into());
}

#[test]
fn pcrs_are_compared_with_reference_values() {
    let mut world = machine();
    let evidence = quoted(&world, &attested(&world));
    with_references(&mut world, &pcrs());
    let appraisal = appraised(&world, &evidence).unwrap();
    assert_eq!(appraisal.result.status, crate::Tier::Affirming);
    let mut other = pcrs();
    other[1].1 = [9; 32];
    with_references(&mut world, &other);
    assert_eq!(appraised(&world, &evidence).unwrap_err().code, codes::MEASUREMENT_MISMATCH);
    with_references(&mut world, &pcrs()[..2]);
    assert_eq!(appraised(&world, &evidence).unwrap_err().code, codes::MEASUREMENT_UNKNOWN);
}

/// Claims of a TEE whose root of trust is a TPM.
fn rooted(world: &World, attested: &Attested, key: &dyn Sign) -> Claims {
    let mut claims = world.claims();
    claims.manifests = vec![
        Manifest::sha256("urn:x-tamarack:agent", AGENT),
        Manifest::sha256("urn:x-tamarack:configuration", CONFIGURATION),
    ];
    let platform = claims.platform.as_mut().unwrap();
    (platform.root_secret, platform.counter_quality) = ("tpm".into(), "tpm".into());
    let attest = attested.encode();
    let signature = key.sign(&attest).unwrap();
    claims.submods = TpmQuote { attest, signature, pcrs: pcrs() }.into_submods();
    claims
}

#[test]
fn r9_evidence_that_tells_of_a_tpm_comes_with_its_quote() {
    let world = World::new(Grade::Hardware);
    let qualifying = TpmQuote::qualifying_data(&NONCE, Some(&world.teep_key), &provider());
    let good = Attested::new(qualifying, &pcrs());
    let key = &*world.attestation_key;
    let appraisal = world.appraise(&world.evidence(&rooted(&world, &good, key))).unwrap();
    // A TPM guards the secret and the counter; it isolates nothing that runs.
    assert_eq!(appraisal.grade, Grade::Software);
    let components = appraisal.shown.measurements.iter().map(|m| m.element.clone());
    let pcr = |number| Some(MeasuredElement::Text(pcr_element(number)));
    assert_eq!(components.skip(2).collect::<Vec<_>>(), [pcr(0), pcr(4)], "all but the launcher's");

    let code = |change: &dyn Fn(&mut Claims)| {
        let mut claims = rooted(&world, &good, key);
        change(&mut claims);
        world.appraise(&world.evidence(&claims)).expect_err("refused").code
    };
    assert_eq!(code(&|claims| claims.submods.clear()), codes::TPM_QUOTE_MISSING);
    assert_eq!(
        code(&|claims| {
            claims.submods.clear();
            claims.platform.as_mut().unwrap().root_secret = "file".into();
        }),
        codes::TPM_QUOTE_MISSING,
        "the counter alone"
    );
    let agent = |digest| Manifest::sha256("urn:x-tamarack:agent", digest);
    assert_eq!(code(&|claims| claims.manifests[0] = agent([6; 32])), codes::TPM_PCR_LAUNCHER);
    assert_eq!(code(&|claims| drop(claims.manifests.pop())), codes::TPM_PCR_LAUNCHER);
    assert_eq!(code(&|claims| claims.manifests.push(agent(AGENT))), codes::TPM_PCR_LAUNCHER, "told twice");
    let stale =
        Attested::new(TpmQuote::qualifying_data(&[8; 32], Some(&world.teep_key), &provider()), &pcrs());
    assert_eq!(code(&|claims| *claims = rooted(&world, &stale, key)), codes::TPM_QUOTE_STALE);
    let other: Box<dyn Sign> = make(&provider());
    assert_eq!(code(&|claims| *claims = rooted(&world, &good, &*other)), codes::TPM_QUOTE_SIGNATURE);
    let without: Vec<_> = pcrs()[..2].to_vec();
    assert_eq!(
        code(&|claims| {
            let attested = Attested::new(qualifying, &without);
            *claims = rooted(&world, &attested, key);
            let quote = TpmQuote::of(&claims.submods).unwrap().unwrap();
            claims.submods = TpmQuote { pcrs: without.clone(), ..quote }.into_submods();
        }),
        codes::TPM_PCR_LAUNCHER,
        "the launcher's PCR is not quoted"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Quote::parse(&bytes);
        let _ = signature(&bytes);
        let _ = hints_unverified(Some(FORMAT), &bytes);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_changed_byte_goes_unnoticed(at in 0..200_usize, bit in 0..8_u8, cut in 0..200_usize) {
        let key = make(&provider());
        let good = Attested::new([3; 32], &pcrs()).encode();
        let signature = key.sign(&good).unwrap();
        let check = |attest: &[u8]| {
            verify(attest, &signature, &pcrs(), &key.public_key(), &[3; 32], &provider()).is_ok()
        };
        prop_assert!(check(&good));
        let mut changed = good.clone();
        changed[at % good.len()] ^= 1 << bit;
        prop_assert!(!check(&changed));
        prop_assert!(!check(&good[..cut % good.len()]));
        prop_assert!(matches!(
            Quote::parse(&good[..cut % good.len()]),
            Err(QuoteError::Malformed(..) | QuoteError::NotGenerated)
        ));
    }
}
