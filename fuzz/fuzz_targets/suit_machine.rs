//! Manifests that a hostile developer signed: every procedure is carried out on a device in memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::Limits;
use tamarack_cose::{Recipient, To};
use tamarack_fuzz::{
    agreement_key, envelope_around, manifest, provider, seeds, suit_limits, wallet, with_trusted_keys,
};
use tamarack_suit::author::Payload;
use tamarack_suit::{Envelope, Machine, MemoryDevice, PayloadKey, Procedure, Report};

fn examples() -> Vec<Vec<u8>> {
    let key = agreement_key().public_key();
    let to = [To::Key(Recipient { key: &key, kid: None }), To::Kek { kek: &[0x61; 16], kid: None }];
    let payloads = [
        Payload::sealed(b"a TA", &to, &provider()).expect("encrypts"),
        Payload::integrated("#ta", b"a TA".to_vec(), &provider()),
        Payload::by_uri("https://tam.example/ta", b"a TA", &provider()),
    ];
    payloads.into_iter().map(|payload| manifest(payload).manifest().to_vec()).collect()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let bytes = envelope_around(data);
    for procedure in [Procedure::Update, Procedure::Invocation, Procedure::Uninstall] {
        let Ok(envelope) = Envelope::parse(&bytes, &suit_limits()) else { return };
        let Ok(authentic) = with_trusted_keys(|keys| envelope.authenticate(keys, &provider())) else { return };
        let Ok(mut machine) = Machine::new(authentic, procedure, suit_limits()) else { continue };
        let mut device = MemoryDevice::new(provider());
        device.payloads.insert("https://tam.example/ta".into(), b"a TA".to_vec());
        device.components.insert(wallet("data"), b"data".to_vec());
        device.keys = vec![PayloadKey::Private(agreement_key()), PayloadKey::Shared([0x61; 16])];
        device.allowed = Some(vec![wallet("ta")]);
        let _ = device.drive(&mut machine);
        assert_eq!(device.components.get(&wallet("data")).map(Vec::as_slice), Some(&b"data"[..]), "not allowed");
        assert!(device.components.keys().all(|id| [wallet("ta"), wallet("data")].contains(id)), "not allowed");
        let report = machine.report(Some(&[1; 16]));
        let encoded = tamarack_cbor::Encode::to_cbor(&report);
        assert_eq!(Report::parse(&encoded, &Limits::default()), Ok(report), "reports survive being read");
    }
});
