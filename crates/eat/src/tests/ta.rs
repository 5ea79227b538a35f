use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_crypto::PublicKey;
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::ComponentId;

use super::{evidence, unhex};
use crate::{
    Claims, Confirmation, Profile, SOFTWARE_TEE_PROFILE, TA_PROFILE, TaClaims, TaEvidenceError, TaIdentity,
};

fn ta() -> TaClaims {
    let id = |last: &str| ComponentId::new(["acme", "0123456789abcdef", last]).unwrap();
    TaClaims {
        nonce: alloc::vec![5; 32],
        key: Some(PublicKey::Ed25519([7; 32])),
        identity: TaIdentity {
            manifest: id("suit"),
            digest: [8; 32],
            sequence: 3,
            domain: b"acme".to_vec(),
            component: id("ta"),
            provider: "Acme".into(),
        },
    }
}

#[test]
fn the_claims_of_a_ta_stand_in_a_submodule() {
    let provider = provider();
    for ta in [ta(), TaClaims { key: None, ..ta() }] {
        let claims = TaClaims::embed(&ta.to_cbor(), evidence(), &provider);
        let read = Claims::from_cbor(&claims.to_cbor(), &Limits::default()).unwrap();
        assert_eq!(read, claims);
        assert_eq!(TaClaims::extract(&read, &provider), Ok(ta));
    }
}

/// A TA that asks for Evidence with a TAM's challenge as its nonce, and a TEEP key as its key, gets both where no TAM
/// looks for them.
#[test]
fn l4_a_ta_chooses_neither_eat_nonce_nor_cnf() {
    let provider = provider();
    let platform = evidence();
    let Some(Confirmation::Key(teep_key)) = platform.cnf else { panic!("a key") };
    let greedy = TaClaims { nonce: platform.eat_nonce[0].clone(), key: Some(teep_key), ..ta() };
    let claims = TaClaims::embed(&greedy.to_cbor(), platform.clone(), &provider);
    assert_eq!(claims.cnf, None);
    assert_ne!(claims.eat_nonce, platform.eat_nonce);
    assert_eq!(claims.eat_profile, Some(Profile::Uri(TA_PROFILE.into())));
    assert!(crate::TeepClaims::try_from(&claims).is_err(), "it could stand in for Evidence about a device");
}

#[test]
fn claims_of_a_ta_that_do_not_fit_their_frame_are_refused() {
    let provider = provider();
    type Change = fn(&mut Claims);
    let cases: [(TaEvidenceError, Change); 6] = [
        (TaEvidenceError::Profile, |c| c.eat_profile = Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into()))),
        (TaEvidenceError::Profile, |c| c.eat_profile = None),
        (TaEvidenceError::Confirmation, |c| c.cnf = Some(Confirmation::Kid(alloc::vec![1; 32]))),
        (TaEvidenceError::Submodule, |c| c.submods.clear()),
        (TaEvidenceError::Nonce, |c| c.eat_nonce = alloc::vec![alloc::vec![5; 32]]),
        // The nonce of another submodule than the one that is there.
        (TaEvidenceError::Nonce, |c| {
            c.submods.insert("ta".into(), TaClaims { nonce: alloc::vec![6; 32], ..ta() }.to_cbor());
        }),
    ];
    for (expected, change) in cases {
        let mut claims = TaClaims::embed(&ta().to_cbor(), evidence(), &provider);
        change(&mut claims);
        assert_eq!(TaClaims::extract(&claims, &provider), Err(expected));
    }
    for (hex, what) in [
        ("a0", "nothing"),
        ("a1 0a 48 0000000000000000", "no identity"),
        ("a1 01 00", "another claim"),
        ("a1 0a 47 00000000000000", "a nonce of 7 bytes"),
        ("a1 08 a1 03 41 01", "a key id for a key"),
    ] {
        let claims = TaClaims::embed(&unhex(hex), evidence(), &provider);
        assert!(matches!(TaClaims::extract(&claims, &provider), Err(TaEvidenceError::Claims(_))), "{what}");
    }
}
