use alloc::vec::Vec;

use tamarack_jose::{self as jose, jws};

use super::{Party, provider};
use crate::ta_information::{TaInformation, TaQuery};
use crate::{Error, Limits};

fn information() -> TaInformation {
    TaInformation {
        taid: "ta".into(),
        tamid: "1.2.3".into(),
        spid: "sp".into(),
        signercert: Some(Vec::from([1])),
        signercacerts: Vec::from([Vec::from([2])]),
        tamcert: None,
        tamcacerts: Vec::new(),
        version: Some(u64::MAX),
        digest: Some([3; 32]),
        nonce: Some("n".into()),
    }
}

#[test]
fn a_query_reads_back_and_holds_nothing_else() {
    for nonce in [None, Some("n".into())] {
        let query = TaQuery { spid: "sp".into(), taid: "ta".into(), nonce };
        assert_eq!(TaQuery::parse(&query.to_vec(), &Limits::default()), Ok(query));
    }
    let cases: [(&[u8], Error); 4] = [
        (br#"{"TAQuery":{"spid":"sp"}}"#, Error::Missing("taid".into())),
        (br#"{"TAQuery":{"taid":"ta"}}"#, Error::Missing("spid".into())),
        (br#"{"TAQuery":{"taid":"ta","spid":"sp","x":1}}"#, Error::Undefined("x".into())),
        (br#"{"TAquery":{}}"#, Error::UnknownMessage("TAquery".into())),
    ];
    for (text, error) in cases {
        assert_eq!(TaQuery::parse(text, &Limits::default()), Err(error));
    }
}

#[test]
fn it_verifies_with_the_aik_that_was_vouched_for_and_no_other() {
    let (provider, aik, other) = (provider(), Party::new(), Party::new());
    let message = information().sign(aik.signer(), &aik.jwk()).unwrap();
    let verify = |message: &[u8], key: &Party, purpose| {
        TaInformation::verify(message, &key.key(purpose), &Limits::default(), &provider)
    };
    assert_eq!(verify(&message, &aik, jws::Purpose::TaInformation), Ok(information()));
    let not_authentic = Err(Error::Jose(jose::Error::NotAuthentic));
    assert_eq!(verify(&message, &other, jws::Purpose::TaInformation), not_authentic);
    // header.signer asserts itself: a forger writes his own.
    let forged = information().sign(other.signer(), &other.jwk()).unwrap();
    assert_eq!(verify(&forged, &aik, jws::Purpose::TaInformation), not_authentic);
    let purpose = Err(Error::Jose(jose::Error::Purpose));
    assert_eq!(verify(&message, &aik, jws::Purpose::OtrpResponse), purpose);
}

#[test]
fn every_member_is_checked_and_unknown_ones_are_ignored() {
    let (provider, aik) = (provider(), Party::new());
    let good = r#"{"taid":"ta","tamid":"1.2","spid":"sp","signercert":"AQ==","signercacerts":[],"tamcert":"AQ==","tamcacerts":[]}"#;
    let read = |members: &str| {
        let json = jose::json::parse(members.as_bytes(), &jose::json::Limits::default()).unwrap();
        let headers = jws::SignHeaders::default();
        let message =
            crate::seal::sign_named("TAInformation", "TAInformationTBS", json, aik.signer(), &headers)
                .unwrap();
        TaInformation::verify(&message, &aik.key(jws::Purpose::TaInformation), &Limits::default(), &provider)
    };
    assert!(read(good).is_ok());
    // The template's two stray members.
    assert!(read(&good.replacen('{', r#"{"cacert":"AQ==","#, 1)).is_ok());
    let cases = [
        (r#""taid":"#, r#""x":"#, Error::Missing("taid".into())),
        (r#""tamid":"#, r#""x":"#, Error::Missing("tamid".into())),
        (r#""spid":"#, r#""x":"#, Error::Missing("spid".into())),
        (r#""taid":"ta""#, r#""taid":"""#, Error::Mistyped("taid".into())),
        (r#""signercert":"AQ==""#, r#""signercert":"A""#, Error::Mistyped("signercert".into())),
        (r#""tamcacerts":[]"#, r#""tamcacerts":[1]"#, Error::Mistyped("tamcacerts[0]".into())),
        (r#""tamcacerts":[]"#, r#""tamcacerts":[],"version":1"#, Error::Mistyped("version".into())),
        (r#""tamcacerts":[]"#, r#""tamcacerts":[],"digest":"AQ==""#, Error::Mistyped("digest".into())),
    ];
    for (from, to, error) in cases {
        assert_eq!(read(&good.replacen(from, to, 1)), Err(error), "{to}");
    }
}
