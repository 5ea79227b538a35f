//! OTrP responses: as they arrive at a TAM, and with any members or any content behind a signature that holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{P256, limits_otrp, otrp_responses, provider, seeds};
use tamarack_jose::jws::Purpose;
use tamarack_otrp::broker::{BrokerError, assemble};
use tamarack_otrp::response::{Incoming, parse, seal};
use tamarack_otrp::{Command, Mode, SignedResponse};

fn read(message: &[u8], mode: Mode, key: &P256) {
    match parse(message, &mode, &limits_otrp()) {
        Ok(Incoming::DeviceStates(states)) => {
            let _ = assemble(&[message], &limits_otrp());
            states.into_iter().flatten().for_each(|state| open(state, key));
        }
        Ok(Incoming::Response(response)) => open(*response, key),
        Ok(Incoming::BrokerError(error)) => {
            let written = BrokerError { message: None, ..error };
            assert_eq!(BrokerError::parse(&written.to_vec(), &limits_otrp()), Ok(written));
        }
        Err(_) => (),
    }
}

fn open(response: SignedResponse, key: &P256) {
    let _ = response.open_device_state_unverified(key.decrypt(), &provider());
    let Ok(mut response) = response.verify(&key.trusted_for(Purpose::OtrpResponse), &provider()) else {
        return;
    };
    let Ok(Some(content)) = response.open(key.decrypt(), &provider()) else { return };
    let written = seal(response.command(), response.rid(), response.tid(), &content, &key.sealing());
    let Ok(Incoming::Response(read)) = parse(&written.expect("the key signs"), &Mode::Compat, &limits_otrp())
    else {
        panic!("what is written is read")
    };
    let mut read = read.verify(&key.trusted_for(Purpose::OtrpResponse), &provider()).expect("the key signed");
    let read = read.open(key.decrypt(), &provider()).expect("a content").expect("a content");
    assert_eq!((read.did, &read.reason, &read.teespaik), (content.did, &content.reason, &content.teespaik));
}

fuzz_target!(init: seeds(otrp_responses), |data: &[u8]| {
    let key = P256::new();
    read(data, Mode::Strict, &key);
    read(data, Mode::Compat, &key);
    // The first byte chooses a command; the rest are its members, or what its content holds.
    let Some((first, rest)) = data.split_first() else { return };
    let command = Command::ALL[usize::from(*first) % Command::ALL.len()];
    read(&key.sign_members(command.response(), command.tbs_response(), rest), Mode::Compat, &key);
    read(&key.sign_content(command.response(), command.tbs_response(), rest), Mode::Strict, &key);
});
