//! COSE_Encrypt: parsed from anything, with its ciphertext and without, and opened with both kinds of key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cose::{Encrypted, EncryptionInfo, Error, Opener, Recipient, To, encrypt, encrypt_detached};
use tamarack_fuzz::{agreement_key, limits, provider, seeds};

const USE: &str = "SUIT Payload Encryption";
const KEK: [u8; 16] = [0x61; 16];

fn examples() -> Vec<Vec<u8>> {
    let key = agreement_key().public_key();
    let recipient = Recipient { key: &key, kid: Some(b"kid") };
    let extra = [(-70030, b"challenge".to_vec())];
    let to = [To::Key(recipient), To::Kek { kek: &KEK, kid: None }];
    let (info, ciphertext) = encrypt_detached(b"payload", &to, USE, &provider()).expect("encrypts");
    let attached = encrypt(b"payload", &[recipient], USE, &extra, &provider()).expect("encrypts");
    vec![attached, info, ciphertext]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(object) = Encrypted::parse(data, &limits()) {
        let _ = (object.kids().count(), object.unprotected(-70030));
        let opened = object.decrypt(&*agreement_key(), None, USE, &provider());
        assert!(!matches!(opened, Err(error) if error != Error::Decrypt), "one error for every failure");
    }
    if let Ok(info) = EncryptionInfo::parse(data, &limits()) {
        let key = agreement_key();
        for opener in [Opener::Key(&*key), Opener::Kek(&KEK)] {
            let opened = info.decrypt(data, opener, Some(b"kid"), USE, &provider());
            assert!(matches!(opened, Err(Error::Decrypt)), "a message does not hold its own ciphertext");
        }
    }
});
