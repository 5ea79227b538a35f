use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use tamarack_cbor::Encoder;
use tamarack_crypto::KeyType;
use tamarack_model::{Code, ComponentId, Protocol};
use tamarack_tee::Param;

use crate::codec::end;
use crate::*;

/// Writes a message and reads it back as the other end does.
fn over_the_wire<B: Body>(message: &Message<B>) -> Result<Message<B>, Error> {
    let frames = message.to_frames()?;
    read(&frames)
}

/// Reads one message of `bytes`; running out of bytes is an error of frame length 0.
fn read<B: Body>(bytes: &[u8]) -> Result<Message<B>, Error> {
    let mut rest = bytes;
    receive(|buffer| {
        let (head, tail) = rest.split_at_checked(buffer.len()).ok_or(())?;
        buffer.copy_from_slice(head);
        rest = tail;
        Ok::<(), ()>(())
    })
    .unwrap_or(Err(Error::FrameLength(0)))
}

fn segment() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..20)
}

fn prefix() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(segment(), 0..4)
}

fn component() -> impl Strategy<Value = ComponentId> {
    prop::collection::vec(segment(), 1..5).prop_map(|s| ComponentId::new(s).unwrap())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn param() -> impl Strategy<Value = Param> {
    let memory = || (bytes(), 0u32..100).prop_map(|(data, more)| (data.len() as u32 + more, data));
    prop_oneof![
        Just(Param::None),
        any::<(u32, u32)>().prop_map(|(a, b)| Param::ValueInput(a, b)),
        any::<(u32, u32)>().prop_map(|(a, b)| Param::ValueOutput(a, b)),
        any::<(u32, u32)>().prop_map(|(a, b)| Param::ValueInout(a, b)),
        bytes().prop_map(Param::MemrefInput),
        memory().prop_map(|(capacity, data)| Param::MemrefOutput { capacity, data }),
        memory().prop_map(|(capacity, data)| Param::MemrefInout { capacity, data }),
    ]
}

fn params() -> impl Strategy<Value = Vec<Param>> {
    prop::collection::vec(param(), 0..=4)
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        prop::collection::vec(bytes(), 0..3).prop_map(Proof::Keys),
        (bytes(), text()).prop_map(|(root, uri)| Proof::Certificate { root, uri }),
    ]
}

fn enrolment() -> impl Strategy<Value = Enrolment> {
    let prefixes = || prop::collection::vec(prefix(), 0..3);
    let kind = prop::sample::select(vec![NameKind::RegisteredId, NameKind::Uri]);
    let otrp = (bytes(), text(), kind, any::<bool>()).prop_map(|(root, name, kind, draft)| OtrpSeed {
        root,
        name,
        kind,
        draft,
    });
    let tam =
        (
            (prop::option::of(proof()), prop::option::of(otrp), protocol(), any::<(u32, u64)>()),
            (prop::option::of(text()), prefixes(), any::<bool>()),
        )
            .prop_map(
                |((proof, otrp, protocol, (domains, domain_quota)), (uri, scopes, require_binding))| {
                    TamSeed { proof, otrp, protocol, domains, domain_quota, uri, scopes, require_binding }
                },
            );
    let signer = (text(), proof(), prefixes(), any::<u64>())
        .prop_map(|(provider, proof, prefixes, quota)| SignerSeed { provider, proof, prefixes, quota });
    let peripheral = (text(), any::<u32>(), component()).prop_map(|(name, tam, manifest)| PeripheralSeed {
        name,
        tam,
        manifest,
    });
    (
        prop::collection::vec(prop::collection::vec(prop::collection::vec(bytes(), 0..3), 0..3), 3),
        prop::collection::vec(tam, 0..3),
        prop::collection::vec(signer, 0..3),
        prop::collection::vec(peripheral, 0..3),
        prop::option::of(bytes()),
        prop::option::of(bytes()),
    )
        .prop_map(|(chains, tams, signers, peripherals, authority, owner)| Enrolment {
            chains: chains[0].clone(),
            otrp_chains: chains[1].clone(),
            firmware_chains: chains[2].clone(),
            tams,
            signers,
            peripherals,
            authority,
            owner,
        })
}

fn profile() -> impl Strategy<Value = Profile> {
    let id = any::<[u8; 16]>;
    let key_type = prop::sample::select(vec![KeyType::P256, KeyType::Ed25519]);
    let hwmodel = prop::collection::vec(any::<u8>(), 1..=32);
    let short = "[ -~]{1,64}";
    let otrp = (short, short).prop_map(|(tee_name, tee_version)| OtrpProfile { tee_name, tee_version });
    (text(), id(), id(), id(), hwmodel, text(), key_type, 1..=256u32, prop::option::of(otrp)).prop_map(
        |(common_name, vendor_id, class_id, oemid, hwmodel, hwversion, key_type, personas, otrp)| Profile {
            common_name,
            vendor_id,
            class_id,
            oemid,
            hwmodel,
            hwversion,
            key_type,
            personas,
            otrp,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let target =
        prop_oneof![any::<[u8; 16]>().prop_map(Target::Uuid), component().prop_map(Target::Component)];
    prop_oneof![
        (component(), prop::option::of(text()))
            .prop_map(|(component, tam_uri)| Request::RequestTa { component, tam_uri }),
        component().prop_map(|component| Request::UnrequestTa { component }),
        bytes().prop_map(Request::ProcessTeepMessage),
        Just(Request::RequestPolicyCheck),
        Just(Request::ProcessError),
        (any::<u64>(), bytes(), any::<bool>()).prop_map(|(fetch, data, last)| Request::Chunk {
            fetch,
            data,
            last
        }),
        any::<u64>().prop_map(|fetch| Request::FetchFailed { fetch }),
        (target, prop::option::of(text()), params())
            .prop_map(|(target, tam_uri, params)| Request::OpenSession { target, tam_uri, params }),
        (any::<u32>(), any::<u32>(), params()).prop_map(|(session, command, params)| Request::Invoke {
            session,
            command,
            params
        }),
        any::<u32>().prop_map(|session| Request::CloseSession { session }),
        Just(Request::Status),
        profile().prop_map(Request::Csr),
        enrolment().prop_map(Request::Enrol),
        bytes().prop_map(Request::ChangeAnchor),
        (component(), prop::option::of(text()), prop::option::of(any::<u64>()), any::<bool>()).prop_map(
            |(component, tam_uri, minimum, bundled)| Request::EnsureTa {
                component,
                tam_uri,
                minimum,
                bundled
            }
        ),
        (component(), bytes(), any::<bool>()).prop_map(|(component, data, last)| Request::OfferBundle {
            component,
            data,
            last
        }),
        Just(Request::OwnerChallenge),
        bytes().prop_map(Request::OwnerOrder),
        bytes().prop_map(Request::ProcessOtrpMessage),
        (bytes(), prop::option::of(text()))
            .prop_map(|(query, tam_uri)| Request::GetTaInformation { query, tam_uri }),
        (component(), prop::option::of(text()))
            .prop_map(|(component, tam_uri)| Request::AnnounceTa { component, tam_uri }),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Teep, Protocol::Otrp])
}

fn failure() -> impl Strategy<Value = Failure> {
    (any::<u16>(), text()).prop_map(|(code, text)| Failure::new(Code(code), text))
}

fn action() -> impl Strategy<Value = Action> {
    let state = prop::sample::select(vec![
        TaState::Pending,
        TaState::Downloading,
        TaState::Installing,
        TaState::Installed,
        TaState::Failed,
        TaState::Deferred,
        TaState::Denied,
    ]);
    prop_oneof![
        (text(), protocol()).prop_map(|(tam_uri, protocol)| Action::Connect { tam_uri, protocol }),
        (text(), protocol(), bytes()).prop_map(|(tam_uri, protocol, message)| Action::Send {
            tam_uri,
            protocol,
            message
        }),
        (any::<u64>(), text(), any::<Option<u64>>()).prop_map(|(id, uri, max_size)| Action::Fetch {
            id,
            uri,
            max_size
        }),
        any::<u64>().prop_map(|id| Action::CancelFetch { id }),
        (component(), state, any::<u64>(), any::<Option<u64>>()).prop_map(
            |(component, state, received, total)| Action::Progress { component, state, received, total }
        ),
        prop::option::of(failure()).prop_map(|failure| Action::Finished { failure }),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    let digest = any::<[u8; 32]>;
    let installed = (component(), component(), any::<u64>(), digest(), any::<u64>(), text()).prop_map(
        |(component, manifest, sequence_number, digest, size, provider)| Installed {
            component,
            manifest,
            sequence_number,
            digest,
            size,
            provider,
        },
    );
    let signers = prop::collection::vec(any::<[u8; 32]>(), 0..3);
    let sizes = any::<(u64, u64, Option<u64>)>();
    let domain = (prop::option::of(text()), text(), bytes(), text(), signers, sizes).prop_map(
        |(tam_uri, name, label, provider, signers, (manifests, used, quota))| Domain {
            tam_uri,
            name,
            label,
            provider,
            signers,
            manifests,
            used,
            quota,
        },
    );
    (
        (digest(), any::<u64>(), any::<u64>(), prop::collection::vec(text(), 0..3), any::<(u32, u32)>()),
        (
            prop::option::of(digest()),
            prop::option::of(bytes()),
            any::<bool>(),
            prop::collection::vec(installed, 0..3),
        ),
        prop::collection::vec((text(), bytes()), 0..3),
        (prop::option::of(text()), any::<bool>(), prop::collection::vec(domain, 0..3)),
    )
        .prop_map(|(first, second, peripherals, otrp)| {
            let (otrp_name, otrp_ready, domains) = otrp;
            let (state_digest, state_epoch, layers, missing_layers, (pid, uid)) = first;
            let (device_id, report_key, enrolled, installed) = second;
            Status {
                state_digest,
                state_epoch,
                layers,
                missing_layers,
                pid,
                launcher_pid: pid / 2,
                uid,
                measured: [state_digest, [2; 32], [3; 32]],
                device_id,
                report_key,
                enrolled,
                trust_store_sequence: state_epoch / 2,
                installed,
                peripherals,
                otrp_name,
                otrp_ready,
                domains,
            }
        })
}

fn reply() -> impl Strategy<Value = Reply> {
    let value = prop_oneof![
        Just(Value::Done),
        any::<u32>().prop_map(Value::Session),
        (any::<u32>(), params()).prop_map(|(code, params)| Value::Returned { code, params }),
        status().prop_map(|status| Value::Status(Box::new(status))),
        (text(), text(), text()).prop_map(|(attestation, tee, firmware)| Value::Csr(Requests {
            attestation,
            tee,
            firmware
        })),
        bytes().prop_map(Value::TaInformation),
        any::<[u8; 16]>().prop_map(Value::OwnerChallenge),
        bytes().prop_map(Value::OwnerStatement),
    ];
    let result = prop_oneof![value.prop_map(Ok), failure().prop_map(Err)];
    (result, prop::collection::vec(action(), 0..4)).prop_map(|(result, actions)| Reply { result, actions })
}

proptest! {
    #[test]
    fn requests_read_back(id: u32, body in request()) {
        let message = Message { id, body };
        prop_assert_eq!(over_the_wire(&message), Ok(message));
    }

    #[test]
    fn replies_read_back(id: u32, body in reply()) {
        let message = Message { id, body };
        prop_assert_eq!(over_the_wire(&message), Ok(message));
    }

    #[test]
    fn arbitrary_bytes_never_panic(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Assembler::new().push::<Request>(&frame);
        let _ = Assembler::new().push::<Reply>(&frame);
    }

    /// A changed byte gives an error or another message that is itself well-formed, never a panic or the same message.
    #[test]
    fn a_changed_byte_is_seen(id: u32, body in request(), at: prop::sample::Index, flip in 1u8..) {
        let message = Message { id, body };
        let mut frames = message.to_frames().unwrap();
        let i = at.index(frames.len());
        frames[i] ^= flip;
        prop_assert_ne!(read(&frames), Ok(message));
    }
}

#[test]
fn long_messages_travel_in_parts() {
    for length in [MAX_FRAME - 20, MAX_FRAME, MAX_FRAME + 1, 3 * MAX_FRAME, 1 << 20] {
        let message = Message { id: 7, body: Request::ProcessTeepMessage(vec![0x5a; length]) };
        let frames = message.to_frames().unwrap();
        let mut rest = frames.as_slice();
        while let Some((prefix, tail)) = rest.split_first_chunk::<4>() {
            let size = frame_length(*prefix).unwrap();
            assert!(size <= MAX_FRAME);
            rest = &tail[size..];
        }
        assert_eq!(read(&frames), Ok(message), "{length}");
    }
    let too_long = Message { id: 7, body: Request::ProcessTeepMessage(vec![0; MAX_MESSAGE]) };
    assert_eq!(too_long.to_frames(), Err(Error::MessageLength));
}

/// The encoding of `[version, id, op, ..body]`.
fn raw(version: u64, id: u64, op: u64, body: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(4).uint(version).uint(id).uint(op);
    body(&mut e);
    e.into_bytes()
}

#[test]
fn what_is_not_defined_is_refused() {
    let check = |frame: &[u8], expected: &str| {
        let error = Assembler::new().push::<Request>(frame).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}, expected {expected}");
    };
    let null = |e: &mut Encoder| end(e.null());
    check(&raw(2, 1, 11, null), "version 2");
    check(&raw(1, 1 << 32, 11, null), "32 bits");
    check(&raw(1, 1, 23, null), "operation 23");
    check(&raw(1, 1, 0, null), "operation 0");
    check(&raw(1, 1, 11, |e| end(e.uint(1))), "expected null");
    check(&[raw(1, 1, 11, null), vec![0]].concat(), "1 bytes follow");
    check(&[0x84, 0x18, 0x01, 0x01, 0x0b, 0xf6], "shortest form");
    check(&raw(1, 1, 6, |e| end(e.array(3).uint(1).bytes(&[0; MAX_CHUNK + 1]).bool(true))), "longer than");
    let five = |e: &mut Encoder| {
        e.array(3).uint(1).uint(1).array(5);
        (0..5).for_each(|_| end(e.array(1).uint(0)));
    };
    check(&raw(1, 1, 9, five), "at most 4 parameters");
    let overfull =
        |e: &mut Encoder| end(e.array(3).uint(1).uint(1).array(1).array(3).uint(6).uint(1).bytes(&[0; 2]));
    check(&raw(1, 1, 9, overfull), "no more data");
    check(&raw(1, 1, 2, |e| end(e.array(0))), "a component id");
    check(&raw(1, 1, 8, |e| end(e.array(3).bytes(&[0; 15]).null().array(0))), "a UUID");
}

#[test]
fn frame_lengths_are_bounded() {
    for (prefix, expected) in [
        ([0, 0, 0, 0], Err(Error::FrameLength(0))),
        ([0, 1, 0, 0], Ok(MAX_FRAME)),
        ([0, 1, 0, 1], Err(Error::FrameLength(65_537))),
        ([255; 4], Err(Error::FrameLength(u32::MAX))),
    ] {
        assert_eq!(frame_length(prefix), expected);
    }
}

#[test]
fn parts_must_belong_together() {
    let part = |id, last, piece: &[u8]| raw(1, id, 15, |e| end(e.array(2).bool(last).bytes(piece)));
    let whole = raw(1, 5, 11, |e| end(e.null()));
    let cases: [(&str, Vec<Vec<u8>>); 6] = [
        ("another id between", vec![part(5, false, &whole[..3]), part(6, true, &whole[3..])]),
        ("another message between", vec![part(5, false, &whole[..3]), whole.clone()]),
        ("an empty part", vec![part(5, false, &[])]),
        ("the inside has another id", vec![part(6, true, &whole)]),
        ("a part of a part", vec![part(5, true, &part(5, true, &whole))]),
        ("the end is missing", vec![part(5, true, &whole[..3])]),
    ];
    for (name, frames) in cases {
        let mut assembler = Assembler::new();
        let failed = frames.iter().any(|frame| assembler.push::<Request>(frame).is_err());
        assert!(failed, "{name}");
    }

    let mut endless = Assembler::new();
    let piece = part(5, false, &vec![0; MAX_FRAME - 64]);
    let error = (0..20).find_map(|_| endless.push::<Request>(&piece).err());
    assert_eq!(error, Some(Error::MessageLength), "memory is bounded");
}
