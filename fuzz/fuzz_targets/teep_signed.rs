//! Signed TEEP messages: what a receiver looks at before and after it checks the signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cose::{Purpose, SignOptions};
use tamarack_fuzz::{key, limits, messages, provider, seeds, verification_key};
use tamarack_teep::{SignedMessage, sign, sign_all};

fn examples() -> Vec<Vec<u8>> {
    let (tam, other) = (key("tam"), key("other"));
    let mut examples: Vec<_> =
        messages().iter().map(|message| sign(message, &*tam, &SignOptions::default())).collect();
    let both = [(&*tam, SignOptions::default()), (&*other, SignOptions::default())];
    examples.push(sign_all(&messages()[0], &both));
    examples.into_iter().map(|signed| signed.expect("the keys sign")).collect()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let Ok(signed) = SignedMessage::parse(data, &limits()) else { return };
    let unverified = (signed.message_type_unverified(), signed.unverified());
    let _ = (signed.kid(), signed.x5chain(), signed.cipher_suite(), signed.signers());
    if let Ok(message) = signed.verify(&[verification_key("tam", Purpose::TeepMessage)], &provider()) {
        let message = message.into_value();
        assert_eq!(unverified, (Some(message.message_type().number()), Ok(message)));
    }
});
