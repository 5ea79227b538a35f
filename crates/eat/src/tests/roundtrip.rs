use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_crypto::PublicKey;

use crate::{
    Claims, Confirmation, DebugStatus, HardwareVersion, HashName, Manifest, MeasuredComponent, MeasuredValue,
    Measurement, OemId, PlatformClaims, Profile, Token, TpmQuote,
};

fn sized(shortest: usize, longest: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), shortest..=longest)
}

fn nonces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(sized(8, 64), 0..4)
}

fn oemid() -> impl Strategy<Value = OemId> {
    prop_oneof![
        any::<i64>().prop_map(OemId::Pen),
        any::<[u8; 3]>().prop_map(OemId::Ieee),
        any::<[u8; 16]>().prop_map(OemId::Random),
    ]
}

fn cnf() -> impl Strategy<Value = Confirmation> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|x| Confirmation::Key(PublicKey::Ed25519(x))),
        any::<([u8; 32], [u8; 32])>().prop_map(|(x, y)| Confirmation::Key(PublicKey::P256 { x, y })),
        sized(0, 40).prop_map(Confirmation::Kid),
        any::<[u8; 32]>().prop_map(Confirmation::Thumbprint),
    ]
}

fn manifests() -> impl Strategy<Value = Vec<Manifest>> {
    let reference = ("[ -~]{0,20}", any::<[u8; 32]>()).prop_map(|(uri, d)| Manifest::sha256(uri, d));
    let other = any::<u8>().prop_map(|n| Manifest::Other { format: 258, body: alloc::vec![0x41, n] });
    vec(prop_oneof![reference, other], 0..4)
}

fn measurements() -> impl Strategy<Value = Vec<Measurement>> {
    let digest = |algorithm: fn(u8) -> HashName| {
        any::<[u8; 32]>()
            .prop_map(move |d| MeasuredValue::Digest { algorithm: algorithm(d[0]), value: d.to_vec() })
    };
    let value = prop_oneof![
        digest(|n| HashName::Id(n.into())),
        digest(|_| HashName::Name("sha-256".into())),
        sized(0, 40).prop_map(MeasuredValue::Raw),
    ];
    let version = of(("[ -~]{0,20}", of(any::<i64>())));
    let component = ("[ -~]{0,20}", version, value, vec(sized(0, 8), 0..3), of(any::<[u8; 8]>()));
    let component = component.prop_map(|(name, version, value, authorities, flags)| {
        Measurement::Component(MeasuredComponent { name, version, value, authorities, flags })
    });
    let other = any::<u8>().prop_map(|n| Measurement::Other { format: 258, body: alloc::vec![0x41, n] });
    vec(prop_oneof![component, other], 0..4)
}

fn submods() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    prop::collection::btree_map("[a-z]{1,5}", any::<u8>().prop_map(|n| alloc::vec![0x41, n]), 0..3)
}

fn word() -> impl Strategy<Value = String> {
    "[!-~]{1,64}"
}

prop_compose! {
    fn platform()(
        (class, root_secret, counter_quality, time_quality) in (word(), word(), word(), word()),
        (layers, state_epoch, trust_store_sequence) in any::<(u64, u64, u64)>(),
        (state_root, decryption_key) in any::<([u8; 32], Option<([u8; 32], [u8; 32])>)>(),
    ) -> PlatformClaims {
        PlatformClaims {
            class, layers, root_secret, counter_quality, time_quality, state_epoch, state_root,
            trust_store_sequence,
            decryption_key: decryption_key.map(|(x, y)| PublicKey::P256 { x, y }),
        }
    }
}

prop_compose! {
    fn quote()(
        attest in sized(0, 40),
        signature in any::<([u8; 32], [u8; 32])>(),
        pcrs in prop::collection::btree_map(0u8..24, any::<[u8; 32]>(), 0..5),
    ) -> TpmQuote {
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(&signature.0);
        raw[32..].copy_from_slice(&signature.1);
        TpmQuote { attest, signature: raw, pcrs: pcrs.into_iter().collect() }
    }
}

prop_compose! {
    fn claims()(
        (eat_nonce, ueid, oemid) in (nonces(), of(sized(7, 33)), of(oemid())),
        (hwmodel, version, scheme) in (of(sized(1, 32)), of("[ -~]{0,20}"), of(any::<i64>())),
        (uri, dbgstat) in (of("[ -~]{0,20}"), of(0u64..5)),
        (cnf, manifests, platform) in (of(cnf()), manifests(), of(platform())),
        (measurements, submods) in (measurements(), submods()),
        (iat, exp) in any::<(Option<u64>, Option<u64>)>(),
    ) -> Claims {
        Claims {
            eat_nonce,
            ueid,
            oemid,
            hwmodel,
            hwversion: version.map(|version| HardwareVersion { version, scheme }),
            eat_profile: uri.map(Profile::Uri),
            dbgstat: dbgstat.and_then(DebugStatus::from_number),
            cnf,
            manifests,
            measurements,
            submods,
            iat,
            exp,
            platform,
        }
    }
}

proptest! {
    #[test]
    fn a_quote_is_read_as_it_was_written(quote in quote()) {
        let encoded = quote.to_cbor();
        prop_assert_eq!(TpmQuote::from_cbor(&encoded, &Limits::default()), Ok(quote.clone()));
        let claims = quote.clone().into_submods();
        prop_assert_eq!(TpmQuote::of(&claims), Ok(Some(quote)));
    }

    #[test]
    fn what_is_written_is_read_and_written_the_same(claims in claims()) {
        let encoded = claims.to_cbor();
        let read = Claims::from_cbor(&encoded, &Limits::default());
        prop_assert_eq!(read.as_ref(), Ok(&claims));
        prop_assert_eq!(read.unwrap().to_cbor(), encoded);
    }

    #[test]
    fn changed_bytes_never_panic(claims in claims(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut encoded = claims.to_cbor();
        let at = at.index(encoded.len());
        encoded[at] = byte;
        let _ = Claims::from_cbor(&encoded, &Limits::default());
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Claims::from_cbor(&bytes, &Limits::default());
        for tag in [&[][..], &[0xd2], &[0xd8, 0x3d, 0xd2], &[0xd8, 0x3d]] {
            let _ = Token::parse(&[tag, &bytes].concat(), &Limits::default());
        }
    }
}
