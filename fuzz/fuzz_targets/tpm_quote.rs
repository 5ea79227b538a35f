//! TPM quotes: the two structures, and Evidence around any bytes that a certified key signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_attest::tpm::{FORMAT, Quote, binding, signature, verify, wrap};
use tamarack_attest::{Expectations, Grade, Policy, appraise, hints_unverified};
use tamarack_cose::thumbprint;
use tamarack_fuzz::{NONCE, NOW, key, provider, seeds};

const PCRS: [(u8, [u8; 32]); 2] = [(0, [1; 32]), (23, [2; 32])];

fn attest() -> Vec<u8> {
    let digest = provider().sha256_parts(&[&PCRS[0].1, &PCRS[1].1]);
    let binding = binding(&NONCE, &key("teep").public_key(), &provider());
    [
        &b"\xffTCG\x80\x18\0\x02\0\x0b\0\x20"[..],
        &binding,
        &[0; 8],
        &[0, 0, 0, 1, 0, 0, 0, 2, 1],
        &[0; 8],
        &[0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0x80, 0, 0x20],
        &digest,
    ]
    .concat()
}

fn evidence(attest: &[u8], signature: &[u8]) -> Vec<u8> {
    wrap(&NONCE, &key("teep").public_key(), attest, signature, &PCRS, &[vec![0x30, 0]])
}

fn examples() -> Vec<Vec<u8>> {
    let signature = [&[0, 0x18, 0, 0x0b, 0, 32][..], &[7; 32], &[0, 32], &[7; 32]].concat();
    vec![attest(), signature.clone(), evidence(&attest(), &signature)]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(quote) = Quote::parse(data) {
        assert!(!quote.selected.is_empty() && quote.selected.is_sorted());
        assert!(quote.extra_data.len() <= 66);
    }
    let _ = signature(data);
    let key = key("attestation");
    let signed = key.sign(data).expect("the key signs");
    let qualifying = binding(&NONCE, &tamarack_fuzz::key("teep").public_key(), &provider());
    if verify(data, &signed, &PCRS, &key.public_key(), &qualifying, &provider()).is_ok() {
        // Whatever is in front of the qualifying data, it is bound to it.
        assert!(data.windows(32).any(|window| window == qualifying));
    }
    let teep_key = thumbprint(&tamarack_fuzz::key("teep").public_key(), &provider());
    let expected = Expectations { nonce: &NONCE, teep_key: Some(teep_key), now: NOW };
    let policy = Policy::new(Vec::new(), Grade::None);
    for evidence in [data.to_vec(), evidence(data, data)] {
        let _ = hints_unverified(Some(FORMAT), &evidence);
        assert!(appraise(Some(FORMAT), &evidence, &expected, &policy, &provider()).is_err(), "no CA");
    }
});
