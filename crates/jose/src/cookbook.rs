//! The cookbook, RFC 7520. It has few of our combinations; the table says what each example is good for here.
//!
//! | section | example | used |
//! |---|---|---|
//! | 4.1 | RS256 | verifies with a provider that has RSA; refused by name without |
//! | 4.2, 4.3, 4.4 | PS384, ES512, HS256 | refused by name |
//! | 4.5 | detached payload | refused: no payload |
//! | 4.6 | part of the header unprotected, HS256 | refused by name |
//! | 4.7 | nothing protected | refused: no protected header |
//! | 4.8 | three signatures | refused as one JWS |
//! | 5.1 | RSA1_5 | refused by its own name |
//! | 5.2 | RSA-OAEP (SHA-1), A256GCM | refused by name; the content decrypts with the printed key |
//! | 5.3 | PBES2, A128CBC-HS256 | refused by name; the content decrypts with the printed key |
//! | 5.4 | ECDH-ES+A128KW with P-384 | refused: not our curve |
//! | 5.5 | ECDH-ES, A128CBC-HS256 | refused by name; agreement, key derivation and content as printed |
//! | 5.6, 5.7 | dir, A256GCMKW | refused by name |
//! | 5.8 | A128KW, A128GCM | refused by name; the key wraps and unwraps as printed |
//! | 5.9 | compressed | refused: zip |
//! | 5.10 | additional data | refused: aad |
//! | 5.11, 5.12 | header less protected | refused: enc is not protected, or no protected header |
//! | 5.13 | three recipients | refused: one recipient |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::PublicKey;
use tamarack_testkit::crypto_suite::p256_pkcs8;

use crate::json::{Json, array, object};
use crate::jwe::{Enc, Jwe, kdf::concat_kdf};
use crate::jws::{Purpose, Unverified, VerificationKey};
use crate::{Error, Jwk, Mode, base64};

fn b64(text: &str) -> Vec<u8> {
    base64::decode_url(text).expect("the cookbook has base64url")
}

fn coordinate(text: &str) -> [u8; 32] {
    b64(text).try_into().expect("a P-256 coordinate")
}

fn jws(protected: &str, signature: &str) -> Json {
    object([("payload", PAYLOAD.into()), ("protected", protected.into()), ("signature", signature.into())])
}

fn named(alg: &str) -> Json {
    jws(&base64::encode_url(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()), "AAAA")
}

#[test]
fn rfc7520_4_1_verifies_with_rsa_and_is_refused_by_name_without() {
    let key = object([("kty", "RSA".into()), ("n", RSA_N.into()), ("e", "AQAB".into())]);
    let key = Jwk::from_json(&key).expect("a public key");
    let key = VerificationKey::new(&key.to_spki(), Purpose::OtrpRequest).expect("2,048 bits");
    // {"alg":"RS256","kid":"bilbo.baggins@hobbiton.example"}
    let protected = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    let flattened = Unverified::parse(&jws(protected, SIGNATURE_4_1), Mode::Strict).expect("a JWS");
    let one = object([("protected", protected.into()), ("signature", SIGNATURE_4_1.into())]);
    let general = object([("payload", PAYLOAD.into()), ("signatures", array([one]))]);
    let general = Unverified::parse_general(&general, Mode::Strict).expect("a JWS");
    for jws in [flattened, general] {
        let verified = jws.verify(&key, Purpose::OtrpRequest, &tamarack_crypto_aws_lc::provider());
        assert_eq!(verified.expect("verifies").value(), &b64(PAYLOAD));
        let refused = jws.verify(&key, Purpose::OtrpRequest, &tamarack_crypto_rustcrypto::provider());
        assert_eq!(refused.err(), Some(Error::Algorithm("RS256".into())));
    }
}

#[test]
fn rfc7520_4_2_to_4_8_are_refused() {
    let parse = |jws: &Json| Unverified::parse(jws, Mode::Strict).err();
    for alg in ["PS384", "ES512", "HS256"] {
        assert_eq!(parse(&named(alg)), Some(Error::Algorithm(alg.into())), "4.2, 4.3, 4.4, 4.6");
    }
    let Json::Object(members) = named("RS256") else { unreachable!("an object was made") };
    let without = |name: &str| Json::Object(members.iter().filter(|m| m.0 != name).cloned().collect());
    assert_eq!(parse(&without("payload")), Some(Error::Member("payload")), "4.5");
    assert_eq!(parse(&without("protected")), Some(Error::Member("protected")), "4.7");
    let signature = || object([("protected", "eyJhbGciOiJSUzI1NiJ9".into()), ("signature", "AAAA".into())]);
    let three =
        object([("payload", PAYLOAD.into()), ("signatures", array([signature(), signature(), signature()]))]);
    assert_eq!(parse(&three), Some(Error::Member("signatures")), "4.8");
    assert_eq!(
        Unverified::parse_general(&three, Mode::Strict).err(),
        Some(Error::Member("signatures")),
        "4.8"
    );
}

#[test]
fn rfc7520_encryption_examples_are_refused_by_name() {
    let compact = |protected: &str| Jwe::parse_compact(&format!("{protected}.AAAA.AAAA.AAAA.AAAA")).err();
    let by_name = |alg: &str| Some(Error::Algorithm(alg.into()));
    let alg_only =
        |alg: &str, enc: &str| base64::encode_url(format!(r#"{{"alg":"{alg}","enc":"{enc}"}}"#).as_bytes());
    // {"alg":"RSA1_5","kid":"frodo.baggins@hobbiton.example","enc":"A128CBC-HS256"}
    assert_eq!(compact(PROTECTED_5_1), Some(Error::Rsa1_5Refused), "5.1");
    assert_eq!(compact(PROTECTED_5_2), by_name("RSA-OAEP"), "5.2");
    assert_eq!(compact(PROTECTED_5_3), by_name("PBES2-HS512+A256KW"), "5.3");
    assert_eq!(compact(PROTECTED_5_4), Some(Error::Key), "5.4");
    assert_eq!(compact(PROTECTED_5_5), by_name("ECDH-ES"), "5.5");
    assert_eq!(compact(&alg_only("dir", "A128GCM")), by_name("dir"), "5.6");
    assert_eq!(compact(&alg_only("A256GCMKW", "A128CBC-HS256")), by_name("A256GCMKW"), "5.7");
    assert_eq!(compact(PROTECTED_5_8), by_name("A128KW"), "5.8");
    // {"alg":"A128KW","kid":"81b20965-8332-43d9-a468-82160ad91ac8","enc":"A128GCM","zip":"DEF"}
    assert_eq!(compact(PROTECTED_5_9), Some(Error::Header("zip")), "5.9");
    let flattened = |members: &[(&str, Json)]| {
        let rest = ["encrypted_key", "iv", "ciphertext", "tag"].map(|name| (name, Json::from("AAAA")));
        let members = members.iter().cloned().chain(rest);
        Jwe::parse(&Json::Object(members.map(|(name, value)| (String::from(name), value)).collect())).err()
    };
    let protected = ("protected", Json::from(PROTECTED_5_8));
    assert_eq!(flattened(&[protected, ("aad", "AAAA".into())]), Some(Error::Member("aad")), "5.10");
    let header = ("unprotected", object([("alg", "A128KW".into()), ("enc", "A128GCM".into())]));
    // {"kid":"x"}
    let kid_only = ("protected", Json::from("eyJraWQiOiJ4In0"));
    assert_eq!(flattened(&[kid_only, header.clone()]), Some(Error::Unprotected("enc")), "5.11");
    assert_eq!(flattened(&[header]), Some(Error::Member("protected")), "5.12");
    let three = object([
        ("protected", PROTECTED_5_8.into()),
        ("recipients", array([object([]), object([]), object([])])),
    ]);
    assert_eq!(Jwe::parse(&three).err(), Some(Error::Member("recipients")), "5.13");
}

#[test]
fn rfc7520_primitives_give_what_is_printed() {
    for provider in [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()] {
        let open = |enc: Enc, cek: &str, protected: &str, iv: &str, ciphertext: &str, tag: &str| {
            let plaintext =
                enc.open(&b64(cek), &b64(iv), protected.as_bytes(), &b64(ciphertext), &b64(tag), &provider);
            String::from_utf8(plaintext.expect("authentic")).expect("text")
        };
        let cek = "mYMfsggkTAm0TbvtlFh2hyoXnbEzJQjMxmgLN3d8xXA";
        let tag = "UCGiqJxhBI3IFVdPalHHvA";
        let text = open(Enc::A256Gcm, cek, PROTECTED_5_2, "-nBoKLH0YkLZPSI9", CIPHERTEXT_5_2, tag);
        assert!(text.starts_with("You can trust us to stick with you"), "5.2");

        let cek = "uwsjJXaBK407Qaf0_zpcpmr1Cs0CC50hIUEyGNEt3m0";
        let (iv, tag) = ("VBiCzVHNoLiR3F4V82uoTQ", "0HlwodAhOCILG5SQ2LQ9dg");
        let text = open(Enc::A128CbcHs256, cek, PROTECTED_5_3, iv, CIPHERTEXT_5_3, tag);
        assert!(text.starts_with(r#"{"keys":[{"kty":"oct","#), "5.3");

        let private = coordinate("r_kHyZ-a06rmxM3yESK84r1otSg-aQcVStkRhA-iCM8");
        let key = provider.agree.load_pkcs8(&p256_pkcs8(&private)).expect("a key");
        let epk = PublicKey::P256 {
            x: coordinate("mPUKT_bAWGHIhg0TpjjqVsP1rXWQu_vwVOHHtNkdYoA"),
            y: coordinate("8BQAsImGeAS46fyWw5MhYfGTT0IjBpFw2SS34Dv4Irs"),
        };
        let shared = key.agree(&epk).expect("agrees");
        let derived = concat_kdf(shared.expose(), "A128CBC-HS256", &[], &[], 32, &provider);
        let cek = "hzHdlfQIAEehb8Hrd_mFRhKsKLEzPfshfXs9l6areCc";
        assert_eq!(derived.expose(), &b64(cek), "5.5");
        let (iv, tag) = ("yc9N8v5sYyv3iGQT926IUg", "WCCkNa-x4BeB9hIDIfFuhg");
        let text = open(Enc::A128CbcHs256, cek, PROTECTED_5_5, iv, CIPHERTEXT_5_5, tag);
        assert!(text.starts_with("You can trust us to stick with you"), "5.5");

        let kek = b64("GZy6sIZ6wl9NJOKB-jnmVQ");
        let (cek, wrapped) = (b64("aY5_Ghmk9KxWPBLu_glx1w"), b64("CBI6oDw8MydIx1IBntf_lQcw2MmJKIQx"));
        assert_eq!(provider.key_wrap.wrap(&kek, &cek).as_ref(), Ok(&wrapped), "5.8");
        assert_eq!(provider.key_wrap.unwrap(&kek, &wrapped).expect("unwraps").expose(), &cek, "5.8");
    }
}

/// The payload of all examples of section 4.
const PAYLOAD: &str = concat!(
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0",
    "aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91",
    "IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4",
);
const RSA_N: &str = concat!(
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMa",
    "JMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6c",
    "S6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwd",
    "q_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw",
);
const SIGNATURE_4_1: &str = concat!(
    "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7P",
    "NDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9e",
    "Ro4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4",
    "uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
);
const PROTECTED_5_1: &str = concat!(
    "eyJhbGciOiJSU0ExXzUiLCJraWQiOiJmcm9kby5iYWdnaW5zQGhvYmJpdG9uLmV4YW1wbGUiLCJlbmMiOiJBMTI4Q0JDLUhT",
    "MjU2In0",
);
const PROTECTED_5_2: &str = concat!(
    "eyJhbGciOiJSU0EtT0FFUCIsImtpZCI6InNhbXdpc2UuZ2FtZ2VlQGhvYmJpdG9uLmV4YW1wbGUiLCJlbmMiOiJBMjU2R0NN",
    "In0",
);
const CIPHERTEXT_5_2: &str = concat!(
    "o4k2cnGN8rSSw3IDo1YuySkqeS_t2m1GXklSgqBdpACm6UJuJowOHC5ytjqYgRL-I-soPlwqMUf4UgRWWeaOGNw6vGW-xyM0",
    "1lTYxrXfVzIIaRdhYtEMRBvBWbEwP7ua1DRfvaOjgZv6Ifa3brcAM64d8p5lhhNcizPersuhw5f-pGYzseva-TUaL8iWnctc",
    "-sSwy7SQmRkfhDjwbz0fz6kFovEgj64X1I5s7E6GLp5fnbYGLa1QUiML7Cc2GxgvI7zqWo0YIEc7aCflLG1-8BboVWFdZKLK",
    "9vNoycrYHumwzKluLWEbSVmaPpOslY2n525DxDfWaVFUfKQxMF56vn4B9QMpWAbnypNimbM8zVOw",
);
const PROTECTED_5_3: &str = concat!(
    "eyJhbGciOiJQQkVTMi1IUzUxMitBMjU2S1ciLCJwMnMiOiI4UTFTemluYXNSM3hjaFl6NlpaY0hBIiwicDJjIjo4MTkyLCJj",
    "dHkiOiJqd2stc2V0K2pzb24iLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
);
const CIPHERTEXT_5_3: &str = concat!(
    "23i-Tb1AV4n0WKVSSgcQrdg6GRqsUKxjruHXYsTHAJLZ2nsnGIX86vMXqIi6IRsfywCRFzLxEcZBRnTvG3nhzPk0GDD7FMyX",
    "hUHpDjEYCNA_XOmzg8yZR9oyjo6lTF6si4q9FZ2EhzgFQCLO_6h5EVg3vR75_hkBsnuoqoM3dwejXBtIodN84PeqMb6asmas",
    "_dpSsz7H10fC5ni9xIz424givB1YLldF6exVmL93R3fOoOJbmk2GBQZL_SEGllv2cQsBgeprARsaQ7Bq99tT80coH8ItBjgV",
    "08AtzXFFsx9qKvC982KLKdPQMTlVJKkqtV4Ru5LEVpBZXBnZrtViSOgyg6AiuwaS-rCrcD_ePOGSuxvgtrokAKYPqmXUeRdj",
    "FJwafkYEkiuDCV9vWGAi1DH2xTafhJwcmywIyzi4BqRpmdn_N-zl5tuJYyuvKhjKv6ihbsV_k1hJGPGAxJ6wUpmwC4PTQ2iz",
    "Em0TuSE8oMKdTw8V3kobXZ77ulMwDs4p",
);
const PROTECTED_5_4: &str = concat!(
    "eyJhbGciOiJFQ0RILUVTK0ExMjhLVyIsImtpZCI6InBlcmVncmluLnRvb2tAdHVja2Jvcm91Z2guZXhhbXBsZSIsImVwayI6",
    "eyJrdHkiOiJFQyIsImNydiI6IlAtMzg0IiwieCI6InVCbzRrSFB3Nmtiang1bDB4b3dyZF9vWXpCbWF6LUdLRlp1NHhBRkZr",
    "YllpV2d1dEVLNml1RURzUTZ3TmROZzMiLCJ5Ijoic3AzcDVTR2haVkMyZmFYdW1JLWU5SlUyTW84S3BvWXJGRHI1eVBOVnRX",
    "NFBnRXdaT3lRVEEtSmRhWTh0YjdFMCJ9LCJlbmMiOiJBMTI4R0NNIn0",
);
const PROTECTED_5_5: &str = concat!(
    "eyJhbGciOiJFQ0RILUVTIiwia2lkIjoibWVyaWFkb2MuYnJhbmR5YnVja0BidWNrbGFuZC5leGFtcGxlIiwiZXBrIjp7Imt0",
    "eSI6IkVDIiwiY3J2IjoiUC0yNTYiLCJ4IjoibVBVS1RfYkFXR0hJaGcwVHBqanFWc1AxclhXUXVfdndWT0hIdE5rZFlvQSIs",
    "InkiOiI4QlFBc0ltR2VBUzQ2ZnlXdzVNaFlmR1RUMElqQnBGdzJTUzM0RHY0SXJzIn0sImVuYyI6IkExMjhDQkMtSFMyNTYi",
    "fQ",
);
const CIPHERTEXT_5_5: &str = concat!(
    "BoDlwPnTypYq-ivjmQvAYJLb5Q6l-F3LIgQomlz87yW4OPKbWE1zSTEFjDfhU9IPIOSA9Bml4m7iDFwA-1ZXvHteLDtw4R1X",
    "RGMEsDIqAYtskTTmzmzNa-_q4F_evAPUmwlO-ZG45Mnq4uhM1fm_D9rBtWolqZSF3xGNNkpOMQKF1Cl8i8wjzRli7-IXgyir",
    "lKQsbhhqRzkv8IcY6aHl24j03C-AR2le1r7URUhArM79BY8soZU0lzwI-sD5PZ3l4NDCCei9XkoIAfsXJWmySPoeRb2Ni5UZ",
    "L4mYpvKDiwmyzGd65KqVw7MsFfI_K767G9C9Azp73gKZD0DyUn1mn0WW5LmyX_yJ-3AROq8p1WZBfG-ZyJ6195_JGG2m9Csg",
);
const PROTECTED_5_8: &str = concat!(
    "eyJhbGciOiJBMTI4S1ciLCJraWQiOiI4MWIyMDk2NS04MzMyLTQzZDktYTQ2OC04MjE2MGFkOTFhYzgiLCJlbmMiOiJBMTI4",
    "R0NNIn0",
);
const PROTECTED_5_9: &str = concat!(
    "eyJhbGciOiJBMTI4S1ciLCJraWQiOiI4MWIyMDk2NS04MzMyLTQzZDktYTQ2OC04MjE2MGFkOTFhYzgiLCJlbmMiOiJBMTI4",
    "R0NNIiwiemlwIjoiREVGIn0",
);
