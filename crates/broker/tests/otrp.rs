//! OTrP through the Broker: TAMs by script over real HTTP, TEEs by script over real sockets.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use support::{
    HttpServer, answers, create_sd, fake_tee, get_device_state, no_content, options, otrp, part, response,
    serve, signed, teep,
};
use tamarack_broker::{Broker, Client, Exchange, MAX_ROUNDS, SOCKET_NAME, TaState, TamClient, TeeChannel};
use tamarack_channel::{Action, Failure, Reply, Request};
use tamarack_jose::json::{self, Json, object};
use tamarack_model::{Code, ComponentId, Protocol, codes};

fn wallet() -> ComponentId {
    ComponentId::parse_text("com.acme/wallet/ta").unwrap()
}

fn http() -> TamClient {
    TamClient::new(options()).unwrap()
}

/// A TEE of this name that asks for a TAM and then answers as it should, or as `odd` has it.
fn tee(
    name: &'static str,
    tam_uri: String,
    odd: impl Fn(&Request) -> Option<Reply> + Send + 'static,
) -> TeeChannel {
    let (channel, _) = fake_tee(move |request| match request {
        Request::RequestTa { component, .. } => Reply::done().with(vec![
            Action::Progress {
                component: component.clone(),
                state: TaState::Pending,
                received: 0,
                total: None,
            },
            Action::Connect { tam_uri: tam_uri.clone(), protocol: Protocol::Otrp },
        ]),
        request => odd(request).unwrap_or_else(|| answers(name, request)),
    });
    channel
}

fn honest(name: &'static str) -> TeeChannel {
    tee(name, String::new(), |_| None)
}

/// An answer to every OTrP message.
fn always(reply: Reply) -> impl Fn(&Request) -> Option<Reply> + Send + 'static {
    move |request| matches!(request, Request::ProcessOtrpMessage(_)).then(|| reply.clone())
}

fn sends(message: Vec<u8>) -> Action {
    Action::Send { tam_uri: String::new(), protocol: Protocol::Otrp, message }
}

/// The parts of a GetDeviceStateResponse, each as a message.
fn parts(response: &[u8]) -> Vec<Vec<u8>> {
    let value = json::parse(response, &json::Limits::default()).unwrap();
    let parts = value.get("GetDeviceStateResponse").and_then(Json::as_array).expect("the array");
    parts.iter().map(json::to_vec).collect()
}

/// rid, tid and code of an OTrPBrokerError.
fn broker_error(response: &[u8]) -> (String, String, String) {
    let value = json::parse(response, &json::Limits::default()).unwrap();
    let error = value.get("OTrPBrokerError").expect("an OTrPBrokerError");
    let text = |name: &str| error.get(name).and_then(Json::as_str).unwrap().to_owned();
    assert_eq!(text("ver"), "1.0");
    (text("rid"), text("tid"), text("errcode"))
}

#[test]
fn an_exchange_runs_from_the_empty_post_to_204() {
    let tam = HttpServer::new([otrp(&get_device_state()), otrp(&create_sd("one")), no_content()]);
    let broker = Broker::new(tee("one", tam.uri("/tam"), |_| None), http(), None);
    let mut seen = Vec::new();
    let exchange = broker.request_ta(&wallet(), None, &mut |action| seen.push(action.clone())).unwrap();
    assert_eq!(exchange, Exchange { failure: None, rounds: 3 });
    assert!(matches!(seen[0], Action::Progress { state: TaState::Pending, .. }));
    assert_eq!(seen.last(), Some(&Action::Finished { failure: None }));
    let asked = tam.seen();
    assert_eq!(asked[0].header("content-type"), None);
    assert_eq!(asked[1].header("content-type"), Some("application/otrp+json"));
    assert!(asked.iter().all(|post| post.header("accept") == Some("application/otrp+json")));
    assert!(asked[0].body.is_empty());
    assert_eq!(parts(&asked[1].body), [part("one")], "one TEE's part stands in the array of the device");
    let name = json::parse(&asked[2].body, &json::Limits::default()).unwrap();
    assert!(name.get("CreateSDResponse").is_some());
}

#[test]
fn messages_go_to_the_tee_that_they_name() {
    let broker = Broker::new(honest("one"), http(), None).with_tee(honest("two"));
    let process = |message: &[u8]| broker.process_otrp_message(1, message, &mut |_| ()).unwrap();
    for name in ["one", "two"] {
        let processed = process(&create_sd(name));
        assert_eq!(processed.failure, None);
        let expected = signed("CreateSDResponse", "CreateSDTBSResponse", object([("by", name.into())]));
        assert_eq!(processed.response, expected);
    }
    assert_eq!(parts(&process(&get_device_state()).response), [part("one"), part("two")]);

    let processed = process(&create_sd("three"));
    let expected = ("r2".to_owned(), "t1".to_owned(), "ERR_AGENT_TEE_UNKNOWN".to_owned());
    assert_eq!(broker_error(&processed.response), expected);
    assert_eq!(processed.failure.unwrap().code, codes::OTRP_AGENT_TEE_UNKNOWN);
}

#[test]
fn a_tee_that_fails_is_an_error_of_the_broker() {
    let check = |odd: Reply, expected: &str, code: Code| {
        let shown = format!("{odd:?}");
        for message in [create_sd("one"), get_device_state()] {
            let broker = Broker::new(tee("one", String::new(), always(odd.clone())), http(), None);
            let processed = broker.process_otrp_message(1, &message, &mut |_| ()).unwrap();
            assert_eq!(broker_error(&processed.response).2, expected, "{shown}");
            assert_eq!(processed.failure.unwrap().code, code, "{shown}");
        }
    };
    let refused = Failure::new(codes::OTRP_TAM_NOT_TRUSTED, "no anchor verifies it");
    let busy = Failure::new(codes::DEVICE_BUSY, "a payload is on its way");
    let ends = |failure| Reply::done().with(vec![Action::Finished { failure }]);
    // Who is not trusted gets no answer of the TEE.
    check(ends(Some(refused.clone())), "ERR_AGENT_TEE_FAIL", codes::OTRP_TAM_NOT_TRUSTED);
    check(Reply::failed(refused), "ERR_AGENT_TEE_FAIL", codes::OTRP_TAM_NOT_TRUSTED);
    check(Reply::done(), "ERR_AGENT_TEE_FAIL", codes::TEE_CHANNEL);
    check(Reply::failed(busy), "ERR_AGENT_TEE_BUSY", codes::DEVICE_BUSY);
    // A TEE that plays tricks: two answers, or an exchange of its own in an answer.
    check(
        Reply::done().with(vec![sends(part("one")), sends(part("one"))]),
        "ERR_AGENT_TEE_FAIL",
        codes::TEE_CHANNEL,
    );
    let connect = Action::Connect { tam_uri: "http://127.0.0.1:1/".into(), protocol: Protocol::Otrp };
    check(Reply::done().with(vec![connect]), "ERR_AGENT_TEE_FAIL", codes::TEE_CHANNEL);
    let teep = Action::Send { tam_uri: String::new(), protocol: Protocol::Teep, message: vec![1] };
    check(Reply::done().with(vec![teep]), "ERR_AGENT_TEE_FAIL", codes::TEE_CHANNEL);
}

#[test]
fn what_is_no_part_does_not_stand_in_the_array() {
    let other = signed("CreateSDResponse", "CreateSDTBSResponse", object([]));
    let array = br#"{"GetDeviceStateResponse":[]}"#.to_vec();
    for wrong in
        [other, array, b"[]".to_vec(), b"garbage".to_vec(), Vec::new(), b"{\"a\":1,\"a\":2}".to_vec()]
    {
        let shown = String::from_utf8_lossy(&wrong).into_owned();
        let odd = || tee("one", String::new(), always(Reply::done().with(vec![sends(wrong.clone())])));
        let processed = Broker::new(odd(), http(), None)
            .process_otrp_message(1, &get_device_state(), &mut |_| ())
            .unwrap();
        assert_eq!(broker_error(&processed.response).2, "ERR_AGENT_TEE_FAIL", "{shown}");
        // It does not keep another TEE from answering.
        let broker = Broker::new(odd(), http(), None).with_tee(honest("two"));
        let processed = broker.process_otrp_message(1, &get_device_state(), &mut |_| ()).unwrap();
        assert_eq!(parts(&processed.response), [part("two")], "{shown}");
    }
    // Neither does one that is gone.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let broker = Broker::new(honest("one"), http(), None).with_tee(TeeChannel::new(ours));
    let processed = broker.process_otrp_message(1, &get_device_state(), &mut |_| ()).unwrap();
    assert_eq!(parts(&processed.response), [part("one")]);
    let processed = broker.process_otrp_message(1, &create_sd("two"), &mut |_| ()).unwrap();
    assert_eq!(broker_error(&processed.response).2, "ERR_AGENT_TEE_UNKNOWN");
}

#[test]
fn a_tam_that_speaks_nonsense_is_refused_before_any_tee() {
    let nameless = signed("CreateSDRequest", "CreateSDTBSRequest", object([("rid", "r".into())]));
    let backwards = part("one");
    let cases: [(&[u8], Code); 8] = [
        (b"garbage", codes::OTRP_MALFORMED),
        (b"\xff\xfe", codes::OTRP_MALFORMED),
        (b"[]", codes::OTRP_MALFORMED),
        (b"{}", codes::OTRP_MALFORMED),
        (br#"{"FactoryResetRequest":{}}"#, codes::OTRP_MALFORMED),
        (br#"{"CreateSDRequest":"text"}"#, codes::OTRP_MALFORMED),
        (&nameless, codes::OTRP_MALFORMED),
        (&backwards, codes::OTRP_MALFORMED),
    ];
    for (message, code) in cases {
        let shown = String::from_utf8_lossy(message).into_owned();
        let tam = HttpServer::new([otrp(message), no_content()]);
        let uri = tam.uri("/tam");
        let (channel, asked) = fake_tee(move |request| match request {
            Request::RequestTa { .. } => {
                Reply::done().with(vec![Action::Connect { tam_uri: uri.clone(), protocol: Protocol::Otrp }])
            }
            request => answers("one", request),
        });
        let error = Broker::new(channel, http(), None).request_ta(&wallet(), None, &mut |_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{shown}: {error}");
        assert_eq!(tam.seen().len(), 1, "{shown}: nothing is posted about it");
        let asked = asked.lock().unwrap();
        assert!(!asked.iter().any(|r| matches!(r, Request::ProcessOtrpMessage(_))), "{shown}");
        assert_eq!(asked.last(), Some(&Request::ProcessError), "{shown}");
    }
}

#[test]
fn an_exchange_without_end_is_cut_off() {
    let tam = HttpServer::new((0..2 * MAX_ROUNDS).map(|_| otrp(&get_device_state())));
    let broker = Broker::new(tee("one", tam.uri("/tam"), |_| None), http(), None);
    let error = broker.request_ta(&wallet(), None, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("did not end after 64 messages"), "{error}");
    assert_eq!(tam.seen().len(), MAX_ROUNDS);
}

#[test]
fn answers_of_a_wrong_type_or_size_are_refused() {
    let long = [&b"{\"CreateSDRequest\":\""[..], &[b'x'; 2000], b"\"}"].concat();
    for (answer, code) in [
        (otrp(&long), codes::HTTP_TOO_LARGE),
        (teep(&get_device_state()), codes::HTTP_PEER),
        (response("200 OK", &[("content-type", "application/json")], b"{}"), codes::HTTP_PEER),
        (response("200 OK", &[("content-type", "application/jose+json")], b"{}"), codes::HTTP_PEER),
        (response("503 Service Unavailable", &[], b""), codes::HTTP_PEER),
        (response("307 Temporary Redirect", &[("location", "/")], b""), codes::HTTP_PEER),
    ] {
        let tam = HttpServer::new([answer]);
        let broker = Broker::new(tee("one", tam.uri("/tam"), |_| None), http(), None);
        assert_eq!(broker.request_ta(&wallet(), None, &mut |_| ()).unwrap_err().code(), code);
    }
}

#[test]
fn the_last_word_of_the_agent_is_told() {
    let failure = Failure::new(codes::OTRP_SD_NOT_FOUND, "no such domain");
    let said = failure.clone();
    let tam = HttpServer::new([otrp(&get_device_state()), otrp(&create_sd("one")), no_content()]);
    let broker = Broker::new(
        tee("one", tam.uri("/tam"), move |request| match request {
            Request::ProcessOtrpMessage(message) if *message == create_sd("one") => {
                let refusal = signed("CreateSDResponse", "CreateSDTBSResponse", object([]));
                Some(
                    Reply::done()
                        .with(vec![sends(refusal), Action::Finished { failure: Some(said.clone()) }]),
                )
            }
            _ => None,
        }),
        http(),
        None,
    );
    let exchange = broker.request_ta(&wallet(), None, &mut |_| ()).unwrap();
    assert_eq!(exchange, Exchange { failure: Some(failure), rounds: 3 });
}

#[test]
fn apps_hand_over_messages_and_get_the_answers() {
    let folder = serve(Broker::new(tee("one", "http://tam.example/tam".into(), |_| None), http(), None));
    let mut client = Client::connect(folder.path().join(SOCKET_NAME)).unwrap();
    let announced = client.announce_ta(&wallet(), None).unwrap();
    assert_eq!(announced.connect, Some(("http://tam.example/tam".into(), Protocol::Otrp)));
    assert_eq!(announced.state, Some(TaState::Pending));
    let processed = client.process_otrp_message(&get_device_state()).unwrap();
    assert_eq!((parts(&processed.response), processed.failure), (vec![part("one")], None));
    let processed = client.process_otrp_message(&create_sd("other")).unwrap();
    assert_eq!(broker_error(&processed.response).2, "ERR_AGENT_TEE_UNKNOWN");
    assert_eq!(processed.failure.unwrap().code, codes::OTRP_AGENT_TEE_UNKNOWN);
    assert_eq!(client.process_otrp_message(b"garbage").unwrap_err().code(), codes::OTRP_MALFORMED);
    // And the connection is good for more.
    assert!(client.status().is_ok());
}

#[test]
fn apps_that_call_too_often_are_told_to_wait() {
    let folder = serve(Broker::new(honest("one"), http(), None));
    let mut client = Client::connect(folder.path().join(SOCKET_NAME)).unwrap();
    let codes: Vec<String> = (0..200)
        .filter_map(|_| client.process_otrp_message(&create_sd("one")).unwrap().failure)
        .map(|failure| failure.text)
        .collect();
    assert!(!codes.is_empty() && codes.len() < 200, "{} of 200 were turned away", codes.len());
    assert!(codes.iter().all(|text| text.contains("too often")), "{codes:?}");
}

#[test]
fn an_exchange_that_hangs_keeps_nobody_from_the_tee() {
    // A TAM that takes a connection and never answers.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let uri = format!("http://{}/tam", silent.local_addr().unwrap());
    let broker = std::sync::Arc::new(Broker::new(tee("one", uri, |_| None), http(), None));
    let hanging = std::sync::Arc::clone(&broker);
    thread::spawn(move || hanging.request_ta(&wallet(), None, &mut |_| ()));
    let _connection = silent.accept().unwrap();
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        done.send(broker.process_otrp_message(1, &create_sd("one"), &mut |_| ()).unwrap().failure)
    });
    assert_eq!(finished.recv_timeout(Duration::from_secs(2)), Ok(None));
}

#[test]
fn a_tee_that_takes_long_is_busy_for_others() {
    let (channel, _) = fake_tee(|request| {
        if *request == Request::ProcessOtrpMessage(get_device_state()) {
            thread::sleep(Duration::from_secs(4));
        }
        answers("one", request)
    });
    let broker = std::sync::Arc::new(Broker::new(channel, http(), None));
    let slow = std::sync::Arc::clone(&broker);
    // Its name is known before it is busy.
    assert_eq!(broker.process_otrp_message(1, &create_sd("one"), &mut |_| ()).unwrap().failure, None);
    let first = thread::spawn(move || slow.process_otrp_message(1, &get_device_state(), &mut |_| ()));
    thread::sleep(Duration::from_millis(200));
    let processed = broker.process_otrp_message(1, &create_sd("one"), &mut |_| ()).unwrap();
    let expected = ("r2".to_owned(), "t1".to_owned(), "ERR_AGENT_TEE_BUSY".to_owned());
    assert_eq!(broker_error(&processed.response), expected);
    assert_eq!(first.join().unwrap().unwrap().failure, None);
}
