//! OTrP requests: as they arrive at a device, and with any members behind a signature that holds. What is read strictly is
//! written again to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{P256, limits_otrp, otrp_requests, provider, seeds};
use tamarack_jose::jws::Purpose;
use tamarack_otrp::broker::target_of;
use tamarack_otrp::ta_information::TaQuery;
use tamarack_otrp::{Command, Mode, Request, SignedRequest, request, ta_package};

fn read(message: &[u8], mode: Mode, key: &P256) -> Option<Request> {
    let parsed = SignedRequest::parse(message, &mode, &limits_otrp()).ok()?;
    let _ = (parsed.x5c(), parsed.names_leaf(&provider()), parsed.signing_input_hash(&provider()));
    let _ = target_of(message, &limits_otrp());
    parsed.verify(&key.trusted_for(Purpose::OtrpRequest), &provider()).ok()?.read().ok()
}

fn again(request: Request, mode: Mode, key: &P256) {
    let sealing = key.sealing();
    match request {
        Request::GetDeviceState { request, tolerances } => {
            let written = request.sign(key.signer(), &Default::default()).expect("the key signs");
            let Some(Request::GetDeviceState { request: read, .. }) = read(&written, mode, key) else {
                panic!("what is written is read")
            };
            assert_eq!(read, request);
            assert!(mode == Mode::Compat || tolerances.is_empty());
        }
        Request::Sealed(mut sealed) => {
            let Ok(content) = sealed.open(key.decrypt(), &provider()) else { return };
            let ta = sealed.encrypted_ta();
            let _ = ta.map(|ta| ta_package::open(ta, key.decrypt(), &provider()));
            let written = request::seal(sealed.common(), &content, sealed.ocspdat(), ta, &sealing);
            let Some(Request::Sealed(mut read)) = read(&written.expect("the key signs"), mode, key) else {
                panic!("what is written is read")
            };
            assert_eq!((read.common(), read.encrypted_ta()), (sealed.common(), sealed.encrypted_ta()));
            assert_eq!(read.open(key.decrypt(), &provider()), Ok(content));
        }
    }
}

fuzz_target!(init: seeds(otrp_requests), |data: &[u8]| {
    let key = P256::new();
    let _ = TaQuery::parse(data, &limits_otrp());
    for mode in [Mode::Strict, Mode::Compat] {
        if let Some(request) = read(data, mode, &key) {
            again(request, mode, &key);
        }
        // The first byte chooses a command, the rest are its members.
        if let Some((first, members)) = data.split_first() {
            let command = Command::ALL[usize::from(*first) % Command::ALL.len()];
            let message = key.sign_members(command.request(), command.tbs_request(), members);
            if let Some(request) = read(&message, mode, &key) {
                again(request, mode, &key);
            }
        }
    }
});
