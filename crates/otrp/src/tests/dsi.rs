use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_jose::jwk::KeyUse;
use tamarack_jose::{Json, base64, json};

use super::{Party, full_dsi, provider};
use crate::member::{Context, single};
use crate::{Dsi, Error, Limits, Mode, SerializedDsi, Tolerance};

fn parse(octets: &[u8], mode: Mode) -> Result<SerializedDsi, Error> {
    SerializedDsi::parse(octets, &mode, &Limits::default())
}

fn value(dsi: &Dsi) -> Json {
    json::parse(&dsi.serialize().octets(), &json::Limits::default()).unwrap().get("dsi").unwrap().clone()
}

#[test]
fn it_is_told_in_canonical_form_and_hashed_as_it_came() {
    let provider = provider();
    let dsi = full_dsi(Party::new().jwk());
    let told = dsi.serialize();
    let octets = told.octets();
    assert!(octets.starts_with(br#"{"dsi":{"tee":{"cacert":["#));
    assert_eq!(told.hash(&provider), provider.sha256(&octets));
    // Another TEE may write it otherwise: what came is what is hashed.
    let spaced = String::from_utf8(octets.clone()).unwrap().replacen(':', ": ", 1).into_bytes();
    let received = parse(&spaced, Mode::Strict).unwrap();
    assert_eq!(received.dsi(), &dsi);
    assert_eq!(received.hash(&provider), provider.sha256(&spaced));
    assert_ne!(received.hash(&provider), told.hash(&provider));
    // Inside a response it has no octets of its own: the canonical form with the wrapper is hashed.
    let mut cx = Context::new(&Mode::Strict, &Limits::default(), false);
    let embedded = SerializedDsi::read(&mut cx, &value(&dsi), "content.dsi").unwrap();
    assert_eq!(embedded.hash(&provider), told.hash(&provider));
}

#[test]
fn a_hash_with_or_without_the_wrapper_means_it() {
    let provider = provider();
    let told = full_dsi(Party::new().jwk()).serialize();
    let hashes = told.hashes(&provider);
    assert_eq!(hashes.bare, provider.sha256(&json::to_canonical(&value(told.dsi()))));
    assert!(hashes.matches(&hashes.wrapped) && hashes.matches(&hashes.bare));
    assert!(!hashes.matches(&[0; 32]));
}

#[test]
fn r10_two_dsis_that_differ_only_in_their_epoch_differ_in_their_hash() {
    let provider = provider();
    let dsi = full_dsi(Party::new().jwk());
    let mut later = dsi.clone();
    later.tee.epoch = Some(10);
    assert_ne!(dsi.serialize().hash(&provider), later.serialize().hash(&provider));
}

#[test]
fn what_a_tam_does_not_know_stays_in_the_hash() {
    let provider = provider();
    let dsi = full_dsi(Party::new().jwk());
    let Json::Object(mut members) = value(&dsi) else { panic!("an object") };
    members.push(("zzz".into(), Json::Bool(true)));
    let more = Json::Object(members);
    let mut cx = Context::new(&Mode::Strict, &Limits::default(), false);
    let read = SerializedDsi::read(&mut cx, &more, "content.dsi").unwrap();
    assert_eq!(read.dsi(), &dsi);
    assert_eq!(read.hash(&provider), provider.sha256(&json::to_canonical(&single("dsi", more))));
}

#[test]
fn a_dsi_without_our_extensions_is_served() {
    let key = base64::encode(&Party::new().jwk().to_spki());
    let text = format!(
        r#"{{"dsi":{{"tee":{{"name":"n","ver":"1","cert":"AAAA","cacert":[],"sdlist":{{"cnt":"0","sd":[]}},"teeaiklist":[{{"spaik":"{key}","spaiktype":"ECC","spid":"sp"}}]}}}}}}"#
    );
    let dsi = parse(text.as_bytes(), Mode::Strict).unwrap().into_dsi();
    assert_eq!((&dsi.tfwdata, dsi.tee.epoch, &dsi.tee.eat), (&None, None, &None));
    assert!(!dsi.tee.has_extension(crate::EXTENSION_H1));
    assert_eq!(dsi.tee.teeaiklist[0].key.key_use(), None);
}

#[test]
fn each_member_is_checked() {
    let good = full_dsi(Party::new().jwk().with_use(KeyUse::Signature));
    let text = String::from_utf8(good.serialize().octets()).unwrap();
    assert_eq!(parse(text.as_bytes(), Mode::Strict).unwrap().dsi(), &good);
    let cases = [
        (r#""dsi":"#, r#""DSI":"#, Error::Missing("dsi".into())),
        (r#""tee":{"#, r#""tea":{"#, Error::Missing("dsi.tee".into())),
        (r#""name":"tee""#, r#""nam":"tee""#, Error::Missing("dsi.tee.name".into())),
        (r#""cnt":"1""#, r#""cnt":"2""#, Error::Mistyped("dsi.tee.sdlist.cnt".into())),
        (r#""cnt":"1""#, r#""cnt":1"#, Error::Mistyped("dsi.tee.sdlist.cnt".into())),
        (r#""cnt":"1""#, r#""cnt":"01""#, Error::Mistyped("dsi.tee.sdlist.cnt".into())),
        (r#""cert":"AQID""#, r#""cert":"AQI""#, Error::Mistyped("dsi.tee.cert".into())),
        (r#""epoch":"9""#, r#""epoch":"-9""#, Error::Mistyped("dsi.tee.epoch".into())),
        (r#""use":"sig""#, r#""use":"both""#, Error::Mistyped("dsi.tee.teeaiklist[0].use".into())),
        (
            r#""spaiktype":"ECC""#,
            r#""spaiktype":"RSA""#,
            Error::Mistyped("dsi.tee.teeaiklist[0].spaiktype".into()),
        ),
        (
            r#""taname":"TA""#,
            r#""taname":1"#,
            Error::Mistyped("dsi.tee.sdlist.sd[0].talist[0].taname".into()),
        ),
        (r#""sigalg":"ES256""#, r#""sigalg":"""#, Error::Mistyped("dsi.tfwdata.sigalg".into())),
    ];
    for (from, to, error) in cases {
        assert!(text.contains(from), "{from}");
        let wrong = text.replacen(from, to, 1);
        assert_eq!(parse(wrong.as_bytes(), Mode::Strict).err(), Some(error), "{to}");
    }
}

#[test]
fn a_dsi_as_text_is_read_in_compat_mode_only() {
    let provider = provider();
    let told = full_dsi(Party::new().jwk()).serialize();
    let text = Json::String(String::from_utf8(told.octets()).unwrap());
    let read = |mode| {
        let mut cx = Context::new(&mode, &Limits::default(), false);
        SerializedDsi::read(&mut cx, &text, "content.dsi").map(|dsi| (dsi, cx.tolerances))
    };
    assert_eq!(read(Mode::Strict), Err(Error::Mistyped("content.dsi".into())));
    let (dsi, tolerances) = read(Mode::Compat).unwrap();
    assert_eq!(dsi.hash(&provider), told.hash(&provider));
    assert_eq!(tolerances, Vec::from([Tolerance::DsiAsText]));
}
