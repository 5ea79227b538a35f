//! What is written is read back: every message, with any values.

use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws;

use super::{Party, authentic, full_dsi, id, provider};
use crate::request::{
    self, Changes, Content, CreateSd, DeleteSd, DeleteTa, GetDeviceState, InstallTa, UpdateSd,
};
use crate::response::{self, Incoming, ResponseBody};
use crate::ta_package::{Protection, TaPackage};
use crate::{
    Command, Common, Dsi, ErrorCode, Limits, MessageId, Mode, Reason, Request, SecurityDomain, SerializedDsi,
    Status, Ta,
};

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 .:/\"\\\\\u{e9}\u{4e16}_-]{1,40}"
}

fn message_id() -> impl Strategy<Value = MessageId> {
    "[!-~]{1,128}".prop_map(|text| MessageId::new(&text).expect("1 to 128 printable characters"))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn install() -> impl Strategy<Value = InstallTa> {
    (name(), name(), name(), prop::option::of(bytes()), name())
        .prop_map(|(tamid, spid, sdname, spcert, taid)| InstallTa { tamid, spid, sdname, spcert, taid })
}

fn changes() -> impl Strategy<Value = Changes> {
    let lists = (prop::collection::vec(bytes(), 0..3), prop::collection::vec(hash(), 0..3), any::<bool>());
    (prop::option::of(name()), prop::option::of(name()), lists).prop_map(
        |(newsdname, newspid, (spcert, deloldspcert, renewteespaik))| Changes {
            newsdname,
            newspid,
            spcert,
            deloldspcert,
            renewteespaik,
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        (name(), name(), bytes(), name(), hash()).prop_map(|(spid, sdname, spcert, tamid, did)| {
            Content::CreateSd(CreateSd { spid, sdname, spcert, tamid, did })
        }),
        (name(), name(), name(), changes()).prop_map(|(tamid, spid, sdname, changes)| {
            Content::UpdateSd(UpdateSd { tamid, spid: Some(spid), sdname, changes })
        }),
        (name(), name(), any::<bool>()).prop_map(|(tamid, sdname, deleteta)| {
            Content::DeleteSd(DeleteSd { tamid, sdname, deleteta })
        }),
        install().prop_map(Content::InstallTa),
        install().prop_map(Content::UpdateTa),
        (name(), name(), name()).prop_map(|(tamid, sdname, taid)| Content::DeleteTa(DeleteTa {
            tamid,
            sdname,
            taid
        })),
    ]
}

fn common() -> impl Strategy<Value = Common> {
    (message_id(), message_id(), name(), any::<bool>(), hash())
        .prop_map(|(rid, tid, tee, nextdsi, dsihash)| Common { rid, tid, tee, nextdsi, dsihash })
}

fn dsi() -> impl Strategy<Value = Dsi> {
    let ta = (name(), prop::option::of(name()), prop::option::of(hash()), prop::option::of(any::<u64>()))
        .prop_map(|(taid, taname, digest, seq)| Ta { taid, taname, digest, seq });
    let sd = (name(), name(), prop::collection::vec(ta, 0..3), prop::collection::vec(hash(), 0..2))
        .prop_map(|(name, spid, talist, spcert)| SecurityDomain { name, spid, talist, spcert });
    (name(), prop::collection::vec(sd, 0..4), prop::option::of(any::<u64>()), any::<[bool; 3]>()).prop_map(
        |(tee, sdlist, epoch, [firmware, with_use, extensions])| {
            let key = Party::new().jwk();
            let mut dsi = full_dsi(if with_use { key.with_use(KeyUse::Encryption) } else { key });
            dsi.tee.name = tee;
            dsi.tee.sdlist = sdlist;
            dsi.tee.epoch = epoch;
            if !firmware {
                dsi.tfwdata = None;
            }
            if !extensions {
                dsi.tee.ext.clear();
                dsi.tee.eat = None;
                dsi.tee.requestedtalist.clear();
                dsi.tee.unneededtalist.clear();
            }
            dsi
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn get_device_state_request_reads_back(
        rid in message_id(),
        tid in message_id(),
        ocspdat in prop::collection::vec(bytes(), 0..4),
        supportedsigalgs in prop::option::of(prop::collection::vec(name(), 0..4)),
    ) {
        let (provider, tam) = (provider(), Party::new());
        let request = GetDeviceState { rid, tid, ocspdat, supportedsigalgs };
        let headers = jws::SignHeaders::chain(&tam.chain, &provider);
        let message = request.sign(tam.signer(), &headers).unwrap();
        let parsed = crate::SignedRequest::parse(&message, &Mode::Strict, &Limits::default()).unwrap();
        prop_assert_eq!(parsed.x5c(), &*tam.chain);
        prop_assert_eq!(parsed.names_leaf(&provider), Some(true));
        prop_assert_eq!(parsed.rid_unverified(), Some(&request.rid));
        match authentic(&message, &tam, Mode::Strict).unwrap().read().unwrap() {
            Request::GetDeviceState { request: read, tolerances } => {
                prop_assert_eq!(read, request);
                prop_assert_eq!(tolerances, []);
            }
            Request::Sealed(_) => prop_assert!(false),
        }
    }

    #[test]
    fn sealed_requests_read_back(
        common in common(),
        content in content(),
        ocspdat in prop::option::of(prop::collection::vec(bytes(), 0..3)),
        hardened in any::<bool>(),
        ta in bytes(),
    ) {
        let (provider, tam, tee, aik) = (provider(), Party::new(), Party::new(), Party::new());
        let package = TaPackage { ta: Some(ta), pdata: None };
        let protection = if hardened { Protection::A256Gcm } else { Protection::AesCbc };
        let encrypted = crate::ta_package::seal(&package, &aik.recipient, protection, &provider).unwrap();
        let encrypted = content.command().carries_ta().then_some(&encrypted);
        let sealing = tam.seals_to(&tee, true, &provider);
        let message = request::seal(&common, &content, ocspdat.as_deref(), encrypted, &sealing).unwrap();
        let parsed = crate::SignedRequest::parse(&message, &Mode::Strict, &Limits::default()).unwrap();
        prop_assert_eq!(parsed.command(), content.command());
        prop_assert_eq!(parsed.tee_unverified(), Some(&*common.tee));
        let Request::Sealed(mut sealed) = authentic(&message, &tam, Mode::Strict).unwrap().read().unwrap() else {
            panic!("a sealed request");
        };
        prop_assert_eq!(sealed.common(), &common);
        prop_assert_eq!(sealed.ocspdat(), ocspdat.as_deref());
        prop_assert_eq!(sealed.encrypted_ta(), encrypted);
        prop_assert_eq!(sealed.open(tee.decrypt(), &provider).unwrap(), content);
        prop_assert_eq!(sealed.tolerances(), &[]);
        // Nobody else reads it.
        prop_assert!(sealed.open(tam.decrypt(), &provider).is_err());
        if let Some(encrypted) = encrypted {
            let opened = crate::ta_package::open(encrypted, aik.decrypt(), &provider);
            prop_assert_eq!(opened, Ok(package));
        }
    }

    #[test]
    fn device_state_reads_back(rid in message_id(), tid in message_id(), signerreq in any::<bool>(), dsi in dsi()) {
        let (provider, tam, tee) = (provider(), Party::new(), Party::new());
        let told = dsi.serialize();
        let part =
            response::device_state(&rid, &tid, signerreq, &told, &tee.seals_to(&tam, false, &provider)).unwrap();
        let whole = crate::broker::assemble(&[&part, &part], &Limits::default()).unwrap();
        for (message, count) in [(&part, 1), (&whole, 2)] {
            let Incoming::DeviceStates(states) =
                response::parse(message, &Mode::Strict, &Limits::default()).unwrap() else { panic!("states") };
            prop_assert_eq!(states.len(), count);
            for state in states {
                let state = state.unwrap();
                prop_assert_eq!((state.rid(), state.tid()), (&rid, &tid));
                let read = state.open_device_state_unverified(tam.decrypt(), &provider).unwrap().unwrap();
                prop_assert_eq!(read.dsi(), &dsi);
                prop_assert_eq!(read.hash(&provider), told.hash(&provider));
                prop_assert_eq!(read.hashes(&provider), told.hashes(&provider));
                let state = state.verify(&tee.key(jws::Purpose::OtrpResponse), &provider).unwrap();
                prop_assert_eq!(state.status(), Status::Pass);
                let ResponseBody::DeviceState { signerreq: told, .. } = state.body() else { panic!("a state") };
                prop_assert_eq!(*told, signerreq);
            }
        }
    }

    #[test]
    fn sealed_responses_read_back(
        command in prop::sample::select(&Command::ALL[1..]),
        rid in message_id(),
        tid in message_id(),
        did in hash(),
        sdname in prop::option::of(name()),
        cert in prop::option::of(bytes()),
        dsi in prop::option::of(dsi()),
        with_key in any::<bool>(),
        reason in prop::option::of((prop::sample::select(&ErrorCode::ALL[..17]), prop::option::of(name()))),
    ) {
        let (provider, tam, tee) = (provider(), Party::new(), Party::new());
        let content = response::Content {
            reason: reason.map(|(code, message)| Reason { code, message }),
            did,
            sdname,
            cert,
            teespaik: with_key.then(|| tee.jwk()),
            dsi: dsi.as_ref().map(Dsi::serialize),
        };
        let message = response::seal(command, &rid, &tid, &content, &tee.seals_to(&tam, false, &provider)).unwrap();
        let Incoming::Response(parsed) =
            response::parse(&message, &Mode::Strict, &Limits::default()).unwrap() else { panic!("a response") };
        prop_assert_eq!((parsed.command(), parsed.rid(), parsed.tid()), (command, &rid, &tid));
        let mut parsed = parsed.verify(&tee.key(jws::Purpose::OtrpResponse), &provider).unwrap();
        prop_assert_eq!(parsed.status() == Status::Fail, content.reason.is_some());
        let read = parsed.open(tam.decrypt(), &provider).unwrap().unwrap();
        prop_assert_eq!(read.dsi.as_ref().map(SerializedDsi::dsi), dsi.as_ref());
        let hash = |content: &response::Content| content.dsi.as_ref().map(|dsi| dsi.hash(&provider));
        prop_assert_eq!(hash(&read), hash(&content));
        prop_assert_eq!(response::Content { dsi: None, ..read }, response::Content { dsi: None, ..content });
    }

    #[test]
    fn any_text_is_read_or_refused_without_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits::default();
        for mode in [Mode::Strict, Mode::Compat] {
            let _ = crate::SignedRequest::parse(&text, &mode, &limits);
            let _ = response::parse(&text, &mode, &limits);
            let _ = SerializedDsi::parse(&text, &mode, &limits);
        }
        let _ = crate::broker::target_of(&text, &limits);
    }
}

#[test]
fn a_failure_in_the_clear_reads_back() {
    let (provider, tee) = (provider(), Party::new());
    let algorithms = [tamarack_crypto::SignatureAlgorithm::Es256];
    let reason = Reason::new(ErrorCode::UnsupportedCryptoAlg);
    for command in Command::ALL {
        let message =
            response::failure(command, &id("r"), &id("t"), &reason, Some(&algorithms), tee.signer()).unwrap();
        let state = match response::parse(&message, &Mode::Strict, &Limits::default()).unwrap() {
            Incoming::DeviceStates(mut states) => states.remove(0).unwrap(),
            Incoming::Response(response) => *response,
            Incoming::BrokerError(_) => panic!("not of a Broker"),
        };
        assert_eq!(state.command(), command);
        let mut state = state.verify(&tee.key(jws::Purpose::OtrpResponse), &provider).unwrap();
        assert_eq!(state.status(), Status::Fail);
        assert!(matches!(
            state.body(),
            ResponseBody::Failed { reason: told, supportedsigalgs: Some(names) }
                if *told == reason && *names == ["ES256"]
        ));
        assert_eq!(state.open(tee.decrypt(), &provider), Ok(None));
    }
}
