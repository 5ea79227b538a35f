//! Bodies of requests and answers: the first byte names the operation, the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decoder, Encoder};
use tamarack_channel::{Action, Body, Failure, Reply, Request, Target, Value};
use tamarack_fuzz::{limits, seeds, wallet};
use tamarack_model::{Protocol, codes};
use tamarack_tee::Param;

fn example(body: &impl Body) -> Vec<u8> {
    let mut e = Encoder::new();
    body.encode_body(&mut e);
    [&[u8::try_from(body.op()).expect("operations are few")][..], &e.into_bytes()].concat()
}

fn examples() -> Vec<Vec<u8>> {
    let params = vec![Param::ValueInput(1, 2), Param::MemrefInput(vec![3; 9])];
    let requests = [
        Request::RequestTa { component: wallet("suit"), tam_uri: Some("https://tam.example/tam".into()) },
        Request::UnrequestTa { component: wallet("suit") },
        Request::ProcessTeepMessage(vec![1; 100]),
        Request::ProcessOtrpMessage(vec![1; 100]),
        Request::GetTaInformation { query: vec![2; 100], tam_uri: None },
        Request::RequestPolicyCheck,
        Request::Chunk { fetch: 1, data: vec![2; 100], last: true },
        Request::FetchFailed { fetch: 1 },
        Request::OpenSession {
            target: Target::Uuid([1; 16]),
            tam_uri: Some("https://tam.example/tam".into()),
            params: params.clone(),
        },
        Request::Invoke { session: 1, command: 2, params: params.clone() },
        Request::CloseSession { session: 1 },
    ];
    let tam_uri: String = "https://tam.example/tam".into();
    let replies = [
        Reply::done().with(vec![Action::Connect { tam_uri, protocol: Protocol::Otrp }]),
        Reply::value(Value::Returned { code: 0, params }),
        Reply::failed(Failure::new(codes::TEE_CHANNEL, "no")),
    ];
    requests.iter().map(example).chain(replies.iter().map(example)).collect()
}

fn round_trip<B: Body + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Some((op, body)) = data.split_first() else { return };
    let Ok(mut d) = Decoder::new(body, &limits()) else { return };
    let Some(Ok(body)) = B::decode_body((*op).into(), &mut d) else { return };
    let written = example(&body);
    let mut d = Decoder::new(&written[1..], &limits()).expect("what we write");
    assert_eq!(B::decode_body(written[0].into(), &mut d), Some(Ok(body)));
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    round_trip::<Request>(data);
    round_trip::<Reply>(data);
});
