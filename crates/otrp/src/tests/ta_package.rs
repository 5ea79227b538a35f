use alloc::string::String;
use alloc::vec::Vec;

use tamarack_jose::{Json, json};

use super::{Party, provider};
use crate::member::{Context, Object};
use crate::ta_package::{EncryptedTa, Protection, TaPackage, open, seal};
use crate::{Command, Error, Limits, Mode};

fn read(command: Command, tbs: &Json) -> Result<EncryptedTa, Error> {
    let mut cx = Context::new(&Mode::Strict, &Limits::default(), true);
    let mut object = Object::of(&mut cx, tbs, "")?;
    let read = EncryptedTa::read(&mut object, command)?;
    object.end()?;
    Ok(read)
}

fn write(command: Command, encrypted: &EncryptedTa) -> Json {
    encrypted.write(command, json::Members::new()).build()
}

fn package(ta: Option<&[u8]>, pdata: Option<&[u8]>) -> TaPackage {
    TaPackage { ta: ta.map(Into::into), pdata: pdata.map(Into::into) }
}

#[test]
fn both_protections_read_back_in_both_commands() {
    let (provider, aik) = (provider(), Party::new());
    let cases = [
        (Command::InstallTa, Protection::AesCbc, package(Some(b"ta"), None), "ciphertadata"),
        (Command::InstallTa, Protection::A256Gcm, package(Some(b"ta"), Some(b"data")), "cipherpdata"),
        (Command::UpdateTa, Protection::AesCbc, package(None, Some(b"data")), "ciphernewpdata"),
        (Command::UpdateTa, Protection::AesCbc, package(Some(b""), None), "ciphernewtadata"),
        (Command::UpdateTa, Protection::A256Gcm, package(Some(b"ta"), Some(b"data")), "ciphernewpdata"),
    ];
    for (command, protection, package, member) in cases {
        let sealed = seal(&package, &aik.recipient, protection, &provider).unwrap();
        let tbs = write(command, &sealed);
        let object = tbs.get("encrypted_ta").unwrap();
        assert!(object.get(member).is_some(), "{tbs}");
        assert_eq!(object.get("key").is_some(), protection == Protection::AesCbc);
        let received = read(command, &tbs).unwrap();
        assert_eq!(received, sealed);
        assert_eq!(
            (received.has_ta(), received.has_pdata()),
            (package.ta.is_some(), package.pdata.is_some())
        );
        assert_eq!(open(&received, aik.decrypt(), &provider), Ok(package));
        assert_eq!(open(&received, Party::new().decrypt(), &provider), Err(Error::TaPackage));
    }
}

#[test]
fn one_key_and_iv_never_encrypt_two_texts() {
    let (provider, aik) = (provider(), Party::new());
    let both = package(Some(b"ta"), Some(b"data"));
    assert_eq!(seal(&both, &aik.recipient, Protection::AesCbc, &provider), Err(Error::KeyReuse));
    let texts = |protection| {
        let sealed = seal(&package(Some(b"ta"), None), &aik.recipient, protection, &provider).unwrap();
        write(Command::InstallTa, &sealed)
    };
    assert_ne!(texts(Protection::AesCbc), texts(Protection::AesCbc));
    assert_ne!(texts(Protection::A256Gcm), texts(Protection::A256Gcm));
    let nothing = seal(&package(None, None), &aik.recipient, Protection::A256Gcm, &provider);
    assert!(matches!(nothing, Err(Error::Missing(_))));
}

#[test]
fn the_separate_layout_is_read_and_written_again() {
    let (provider, aik) = (provider(), Party::new());
    let part = |plaintext: &[u8]| {
        let sealed =
            seal(&package(Some(plaintext), None), &aik.recipient, Protection::AesCbc, &provider).unwrap();
        let tbs = write(Command::InstallTa, &sealed);
        let Json::Object(mut members) = tbs.get("encrypted_ta").unwrap().clone() else { panic!("an object") };
        members[3].0 = String::from("cipherdata");
        Json::Object(members)
    };
    let tbs = json::object([("encrypted_ta_bin", part(b"ta")), ("encrypted_ta_data", part(b"data"))]);
    for command in [Command::InstallTa, Command::UpdateTa] {
        let received = read(command, &tbs).unwrap();
        assert_eq!(open(&received, aik.decrypt(), &provider), Ok(package(Some(b"ta"), Some(b"data"))));
        assert_eq!(write(command, &received), tbs);
    }
    let only_data = json::object([("encrypted_ta_data", part(b"data"))]);
    assert!(read(Command::UpdateTa, &only_data).is_ok());
    assert_eq!(read(Command::InstallTa, &only_data), Err(Error::Missing("encrypted_ta_bin".into())));
    // The two layouts in one message contradict each other.
    let sealed = seal(&package(Some(b"ta"), None), &aik.recipient, Protection::AesCbc, &provider).unwrap();
    let Json::Object(mut members) = write(Command::InstallTa, &sealed) else { panic!("an object") };
    members.push(("encrypted_ta_bin".into(), part(b"ta")));
    assert_eq!(
        read(Command::InstallTa, &Json::Object(members)),
        Err(Error::Undefined("encrypted_ta_bin".into()))
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let (provider, aik) = (provider(), Party::new());
    let sealed = seal(&package(Some(b"ta"), None), &aik.recipient, Protection::AesCbc, &provider).unwrap();
    let text = alloc::format!("{}", write(Command::InstallTa, &sealed));
    let cases = [
        ("AESCBC", "AESECB", Error::Mistyped("encrypted_ta.alg".into())),
        ("AESCBC", "A256GCM", Error::Undefined("encrypted_ta.key".into())),
        ("\"alg\"", "\"Alg\"", Error::Missing("encrypted_ta.alg".into())),
        ("\"iv\":\"", "\"iv\":\"00", Error::Mistyped("encrypted_ta.iv".into())),
        ("ciphertadata", "ciphernewtadata", Error::Undefined("encrypted_ta.ciphernewtadata".into())),
        ("ciphertadata", "cipherpdata", Error::Missing("encrypted_ta.ciphertadata".into())),
    ];
    for (from, to, error) in cases {
        let wrong = json::parse(text.replacen(from, to, 1).as_bytes(), &json::Limits::default()).unwrap();
        assert_eq!(read(Command::InstallTa, &wrong), Err(error), "{to}");
    }
}

#[test]
fn every_failure_to_decrypt_is_the_same() {
    let (provider, aik) = (provider(), Party::new());
    let sealed = seal(&package(Some(b"ta"), None), &aik.recipient, Protection::AesCbc, &provider).unwrap();
    let tbs = write(Command::InstallTa, &sealed);
    let object = tbs.get("encrypted_ta").unwrap();
    let with = |name: &str, value: Json| {
        let mut members = object.as_object().unwrap().to_vec();
        members.iter_mut().find(|(n, _)| n == name).unwrap().1 = value;
        json::object([("encrypted_ta", Json::Object(members))])
    };
    let compact = |plaintext: &[u8]| {
        let enc = tamarack_jose::jwe::Enc::A128CbcHs256;
        Json::String(tamarack_jose::jwe::encrypt_compact(plaintext, &aik.recipient, enc, &provider).unwrap())
    };
    let cases: Vec<Json> = Vec::from([
        // A key of another length, another key, no JWE at all, one of RSA1_5.
        with("key", compact(&[1; 16])),
        with("key", compact(&[1; 32])),
        with("key", "AAAA".into()),
        with("key", "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.AA.AA.AA.AA".into()),
        // A ciphertext that is no multiple of a block, and none.
        with("ciphertadata", "AAAA".into()),
        with("ciphertadata", "".into()),
    ]);
    for tbs in cases {
        let received = read(Command::InstallTa, &tbs).unwrap();
        let error = open(&received, aik.decrypt(), &provider).unwrap_err();
        assert_eq!(error, Error::TaPackage);
        assert_eq!(error.wire(), crate::ErrorCode::TaInvalid);
    }
}
