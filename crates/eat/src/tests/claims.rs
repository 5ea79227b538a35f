use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_cose::KeyId;
use tamarack_crypto_rustcrypto::provider;

use super::{evidence, unhex};
use crate::{Claims, Confirmation, Manifest, SuitDigest, TeepClaims, TeepError};

fn read(hex: &str) -> Result<Claims, tamarack_cbor::Error> {
    Claims::from_cbor(&unhex(hex), &Limits::default())
}

#[test]
fn mistyped_and_missized_claims_are_refused() {
    let cases = [
        ("a10a 47 31313131313131", "nonce of 7 bytes"),
        ("a10a 05", "nonce of a wrong type"),
        ("a10a 81 48 3131313131313131", "array of one nonce"),
        ("a1190100 46 313131313131", "ueid of 6 bytes"),
        ("a1190102 44 31313131", "oemid of 4 bytes"),
        ("a1190103 40", "hwmodel of no bytes"),
        ("a1190104 80", "hwversion of no elements"),
        ("a1190107 05", "dbgstat 5"),
        ("a1190110 80", "no manifests"),
        ("a1190110 81 82 1a00010000 40", "Content-Format of 3 bytes"),
        ("a106 fb41d9000000000000", "iat as a float"),
        ("a106 20", "iat before 1970"),
        ("a108 a0", "cnf without a key"),
        (
            "a108 a2 03 41 01 05 5820 0000000000000000000000000000000000000000000000000000000000000000",
            "two keys",
        ),
        ("a13a00012d04 a0", "platform claim without members"),
        ("a1 40 00", "key that is a byte string"),
        ("bf ff", "indefinite length"),
    ];
    for (hex, what) in cases {
        assert!(read(hex).is_err(), "{what}");
    }
    assert_eq!(read("a0"), Ok(Claims::default()));
    assert_eq!(read("a2 63616263 01 1903e8 80"), Ok(Claims::default()), "unknown claims are stepped over");
}

#[test]
fn suit_references_are_read_in_every_form_that_is_around() {
    let digest = "00".repeat(32);
    let reference = alloc::format!("82 6161 82 2f 5820 {digest}");
    let expected = Manifest::SuitReference {
        uri: "a".into(),
        digest: SuitDigest { algorithm: -16, bytes: alloc::vec![0; 32] },
    };
    let forms = [
        alloc::format!("a1190110 81 82 19010e 58 27 {reference}"),
        alloc::format!("a1190110 81 82 19010e 58 2a d9011e {reference}"),
        alloc::format!("a1190110 81 82 19010e {reference}"),
        alloc::format!("a1190110 81 82 19010e d9011e {reference}"),
        alloc::format!("a1190110 81 82 183c {reference}"),
    ];
    for form in &forms {
        assert_eq!(read(form).unwrap().manifests, core::slice::from_ref(&expected), "{form}");
    }
    // The first is how we write it.
    assert_eq!(read(&forms[1]).unwrap().to_cbor(), unhex(&forms[0]));
    let other = read("a1190110 81 82 19010e 43 010203").unwrap();
    assert!(matches!(other.manifests[..], [Manifest::Other { format: 270, .. }]));
}

#[test]
fn the_teep_profile_names_what_is_missing() {
    assert!(TeepClaims::try_from(&evidence()).is_ok());
    type Remove = fn(&mut Claims);
    let cases: [(&str, Remove); 6] = [
        ("ueid", |c| c.ueid = None),
        ("oemid", |c| c.oemid = None),
        ("hwmodel", |c| c.hwmodel = None),
        ("hwversion", |c| c.hwversion = None),
        ("manifests", |c| c.manifests.clear()),
        ("cnf", |c| c.cnf = None),
    ];
    for (name, remove) in cases {
        let mut claims = evidence();
        remove(&mut claims);
        assert_eq!(TeepClaims::try_from(&claims).err(), Some(TeepError::Missing(name)));
    }
    let mut claims = evidence();
    claims.eat_nonce.push(alloc::vec![8; 8]);
    assert_eq!(TeepClaims::try_from(&claims).err(), Some(TeepError::SeveralNonces));
    let mut claims = evidence();
    claims.manifests.push(Manifest::Other { format: 258, body: alloc::vec![0x40] });
    assert_eq!(TeepClaims::try_from(&claims).err(), Some(TeepError::NotSuitReference(1)));
}

#[test]
fn every_form_of_cnf_confirms_its_key_only() {
    let provider = provider();
    let Some(Confirmation::Key(public)) = evidence().cnf else { panic!("a key") };
    let id = tamarack_cose::thumbprint(&public, &provider);
    let forms = [Confirmation::Key(public), Confirmation::Kid(id.0.to_vec()), Confirmation::Thumbprint(id.0)];
    for form in forms {
        assert!(form.confirms(&id, &provider), "{form:?}");
        assert!(!form.confirms(&KeyId([0; 32]), &provider), "{form:?}");
    }
}

#[test]
fn layers_have_names() {
    let platform = evidence().platform.unwrap();
    assert_eq!(platform.layer_names(), ["landlock", "seccomp"]);
    assert_eq!(platform.missing_layers(crate::layer::OWN_UID | crate::layer::SECCOMP), ["own-uid"]);
}
