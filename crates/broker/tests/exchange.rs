//! Whole exchanges: an app, the Broker, a TEE by script and a TAM by script.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use support::{HttpServer, fake_tee, no_content, options, response, serve, status, teep};
use tamarack_broker::{
    Broker, Client, Direction, Error, Exchange, MAX_ROUNDS, SOCKET_NAME, Server, TaState, TamClient, Target,
};
use tamarack_channel::{Action, Failure, MAX_CHUNK, Reply, Request, Value};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_tee::Param;

fn wallet() -> ComponentId {
    ComponentId::parse_text("com.acme/wallet/ta").unwrap()
}

fn progress(state: TaState) -> Action {
    Action::Progress { component: wallet(), state, received: 0, total: None }
}

fn finished(failure: Option<Failure>) -> Action {
    Action::Finished { failure }
}

fn refused() -> Failure {
    Failure::new(codes::SUIT_ROLLBACK, "sequence number 1 is lower than 2")
}

fn http() -> TamClient {
    TamClient::new(options()).unwrap()
}

/// A TEE that goes through an install with a payload by URI: connect, answer, fetch, report.
fn installing(tam_uri: String, payload_uri: String) -> impl FnMut(&Request) -> Reply + Send {
    move |request| match request {
        Request::RequestTa { .. } => Reply::done().with(vec![
            progress(TaState::Pending),
            Action::Connect { tam_uri: tam_uri.clone(), protocol: Protocol::Teep },
        ]),
        Request::ProcessTeepMessage(message) if message == b"QueryRequest" => {
            Reply::done().with(vec![Action::Send {
                tam_uri: tam_uri.clone(),
                protocol: Protocol::Teep,
                message: b"QueryResponse".to_vec(),
            }])
        }
        Request::ProcessTeepMessage(message) if message == b"Update" => Reply::done().with(vec![
            progress(TaState::Downloading),
            Action::Fetch { id: 9, uri: payload_uri.clone(), max_size: Some(1 << 20) },
        ]),
        Request::Chunk { fetch: 9, last: false, .. } => {
            Reply::done().with(vec![progress(TaState::Downloading)])
        }
        Request::Chunk { fetch: 9, last: true, .. } => Reply::done().with(vec![
            progress(TaState::Installing),
            progress(TaState::Installed),
            Action::Send { tam_uri: tam_uri.clone(), protocol: Protocol::Teep, message: b"Success".to_vec() },
            finished(None),
        ]),
        Request::FetchFailed { fetch: 9 } => Reply::done().with(vec![
            progress(TaState::Failed),
            Action::Send { tam_uri: tam_uri.clone(), protocol: Protocol::Teep, message: b"Error".to_vec() },
            finished(Some(Failure::new(codes::SUIT_DIRECTIVE, "the payload could not be fetched"))),
        ]),
        other => Reply::failed(Failure::new(codes::TEEP_UNEXPECTED, format!("{other:?}"))),
    }
}

#[test]
fn an_install_runs_from_request_to_success() {
    let tam = HttpServer::new([teep(b"QueryRequest"), teep(b"Update"), no_content()]);
    let payload: Vec<u8> = (0..MAX_CHUNK * 2 + 5).map(|i| i as u8).collect();
    let files = HttpServer::new([response("200 OK", &[], &payload)]);
    let (tee, asked) = fake_tee(installing(tam.uri("/tam"), files.uri("/wallet.wasm")));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let relay = move |direction, message: &mut Vec<u8>| {
        log.lock().unwrap().push((direction, String::from_utf8(message.clone()).unwrap()));
    };
    let broker = Broker::new(tee, http(), Some(Box::new(relay)));

    let mut states = Vec::new();
    let exchange =
        broker.request_ta(&wallet(), Some("http://hint.example/tam"), &mut |action| match action {
            Action::Progress { state, .. } => states.push(state.name()),
            other => states.push(if matches!(other, Action::Finished { .. }) { "finished" } else { "?" }),
        });
    assert_eq!(exchange.unwrap(), Exchange { failure: None, rounds: 3 });
    let download = ["DOWNLOADING"; 3];
    let expected = [&["PENDING"][..], &download, &["INSTALLING", "INSTALLED", "finished"]].concat();
    // What comes with the last chunk's answer is shown after the transfer.
    assert_eq!(states, expected);

    let bodies: Vec<_> = tam.seen().into_iter().map(|s| String::from_utf8(s.body).unwrap()).collect();
    assert_eq!(bodies, ["", "QueryResponse", "Success"]);
    let to_agent = |text: &str| (Direction::ToAgent, text.to_owned());
    let to_tam = |text: &str| (Direction::ToTam, text.to_owned());
    assert_eq!(
        *seen.lock().unwrap(),
        [to_agent("QueryRequest"), to_tam("QueryResponse"), to_agent("Update"), to_tam("Success")]
    );
    let received: Vec<u8> = asked
        .lock()
        .unwrap()
        .iter()
        .filter_map(|r| if let Request::Chunk { data, .. } = r { Some(data.clone()) } else { None })
        .flatten()
        .collect();
    assert_eq!(received, payload);
    let first = asked.lock().unwrap()[0].clone();
    let tam_uri = Some("http://hint.example/tam".to_owned());
    assert_eq!(
        first,
        Request::RequestTa { component: wallet(), tam_uri },
        "the hint reaches the Agent, which decides"
    );
}

#[test]
fn a_payload_that_is_not_there_is_told_to_the_agent() {
    let tam = HttpServer::new([teep(b"QueryRequest"), teep(b"Update"), no_content()]);
    let files = HttpServer::new([response("404 Not Found", &[], b"")]);
    let (tee, asked) = fake_tee(installing(tam.uri("/tam"), files.uri("/wallet.wasm")));
    let exchange = Broker::new(tee, http(), None).request_ta(&wallet(), None, &mut |_| ()).unwrap();
    assert_eq!(exchange.failure.unwrap().code, codes::SUIT_DIRECTIVE);
    assert!(asked.lock().unwrap().contains(&Request::FetchFailed { fetch: 9 }));
    assert_eq!(tam.seen()[2].body, b"Error");
}

#[test]
fn any_http_failure_reaches_process_error() {
    let gone = "http://127.0.0.1:1/tam".to_owned();
    let check = |answers: Option<Vec<Vec<u8>>>, expected: tamarack_model::Code| {
        let tam = answers.map(HttpServer::new);
        let uri = tam.as_ref().map_or(gone.clone(), |tam| tam.uri("/tam"));
        let (tee, asked) = fake_tee(move |request| match request {
            Request::RequestTa { .. } => Reply::done().with(vec![
                Action::Connect { tam_uri: uri.clone(), protocol: Protocol::Teep },
                Action::Connect { tam_uri: uri.clone(), protocol: Protocol::Teep },
            ]),
            Request::ProcessError => Reply::done().with(vec![
                progress(TaState::Failed),
                Action::Connect { tam_uri: uri.clone(), protocol: Protocol::Teep },
            ]),
            _ => Reply::done().with(vec![Action::Send {
                tam_uri: uri.clone(),
                protocol: Protocol::Teep,
                message: b"m".to_vec(),
            }]),
        });
        let mut states = Vec::new();
        let result =
            Broker::new(tee, http(), None).request_ta(&wallet(), None, &mut |a| states.push(a.clone()));
        assert_eq!(result.unwrap_err().code(), expected);
        assert_eq!(states, [progress(TaState::Failed)]);
        assert_eq!(asked.lock().unwrap().last(), Some(&Request::ProcessError), "and nothing after it");
    };
    check(None, codes::HTTP_PEER);
    check(Some(vec![response("500 Internal Server Error", &[], b"")]), codes::HTTP_PEER);
    check(Some(vec![response("302 Found", &[("location", "/")], b"")]), codes::HTTP_PEER);
    check(Some(vec![teep(&[0; 1001])]), codes::HTTP_TOO_LARGE);
    check(Some(vec![teep(b"ok"), response("413 Content Too Large", &[], b"")]), codes::HTTP_PEER);
}

#[test]
fn an_exchange_without_end_is_cut_off() {
    let tam = HttpServer::new((0..2 * MAX_ROUNDS).map(|_| teep(b"again")));
    let uri = tam.uri("/tam");
    let (tee, asked) = fake_tee(move |_| {
        Reply::done().with(vec![Action::Send {
            tam_uri: uri.clone(),
            protocol: Protocol::Teep,
            message: b"again".to_vec(),
        }])
    });
    let error = Broker::new(tee, http(), None).unrequest_ta(&wallet(), &mut |_| ()).unwrap_err();
    assert_eq!(error.code(), codes::TEEP_UNEXPECTED);
    assert_eq!(tam.seen().len(), MAX_ROUNDS);
    assert_eq!(asked.lock().unwrap().last(), Some(&Request::ProcessError));
}

#[test]
fn a_refusal_is_answered_to_the_tam_and_told_to_the_caller() {
    let tam = HttpServer::new([teep(b"Update"), no_content()]);
    let uri = tam.uri("/tam");
    let (tee, _) = fake_tee(move |request| match request {
        Request::RequestTa { .. } => {
            Reply::done().with(vec![Action::Connect { tam_uri: uri.clone(), protocol: Protocol::Teep }])
        }
        _ => Reply::failed(refused()).with(vec![Action::Send {
            tam_uri: uri.clone(),
            protocol: Protocol::Teep,
            message: b"Error 17".to_vec(),
        }]),
    });
    let exchange = Broker::new(tee, http(), None).request_ta(&wallet(), None, &mut |_| ()).unwrap();
    assert_eq!(exchange.failure, Some(refused()));
    assert_eq!(tam.seen()[1].body, b"Error 17");
}

#[test]
fn a_policy_check_visits_every_tam() {
    let (one, two) = (HttpServer::new([no_content()]), HttpServer::new([no_content()]));
    let uris = vec![two.uri("/tam"), "http://127.0.0.1:1/tam".to_owned(), one.uri("/tam")];
    let mut left = uris.clone();
    let (tee, _) = fake_tee(move |request| match request {
        Request::RequestPolicyCheck => Reply::done().with(
            left.pop()
                .map(|tam_uri| Action::Connect { tam_uri, protocol: Protocol::Teep })
                .into_iter()
                .collect(),
        ),
        _ => Reply::done(),
    });
    let result = Broker::new(tee, http(), None).policy_check(&mut |_| ());
    assert_eq!(result.unwrap_err().code(), codes::HTTP_PEER, "the TAM that is down is told");
    assert_eq!((one.seen().len(), two.seen().len()), (1, 1), "and the others were asked");
}

#[test]
fn a_tee_that_ends_breaks_the_channel_for_good() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let broker = Broker::new(tamarack_broker::TeeChannel::new(ours), http(), None);
    drop(theirs);
    for _ in 0..2 {
        assert_eq!(broker.call(Request::Status).unwrap_err().code(), codes::TEE_CHANNEL);
    }
    assert!(broker.is_broken());
}

#[test]
fn an_app_follows_its_request() {
    let tam = HttpServer::new([teep(b"QueryRequest"), teep(b"Update"), no_content()]);
    let files = HttpServer::new([response("200 OK", &[], b"wasm")]);
    let (tee, _) = fake_tee(installing(tam.uri("/tam"), files.uri("/wallet.wasm")));
    let folder = serve(Broker::new(tee, http(), None));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join(SOCKET_NAME)), 0o600);

    let mut client = Client::connect(folder.path().join(SOCKET_NAME)).unwrap();
    let states: Result<Vec<_>, _> =
        client.request_ta(&wallet(), None).unwrap().map(|p| p.map(|p| p.state.name())).collect();
    assert_eq!(states.unwrap(), ["PENDING", "DOWNLOADING", "INSTALLING", "INSTALLED"]);

    let error = client.request_ta(&wallet(), None).unwrap().last().unwrap().unwrap_err();
    assert_eq!(error.code(), codes::HTTP_PEER, "the TAM's script is at its end");
}

#[test]
fn apps_use_only_their_own_sessions() {
    let mut open = Vec::new();
    let (tee, asked) = fake_tee(move |request| match request {
        Request::OpenSession { .. } => {
            open.push(open.len() as u32 + 1);
            Reply::value(Value::Session(open.len() as u32))
        }
        Request::Invoke { params, command, .. } => {
            Reply::value(Value::Returned { code: *command, params: params.clone() })
        }
        Request::Status => Reply::value(Value::Status(Box::new(status(None)))),
        _ => Reply::done(),
    });
    let folder = serve(Broker::new(tee, http(), None));
    let socket = folder.path().join(SOCKET_NAME);
    let (mut one, mut two) = (Client::connect(&socket).unwrap(), Client::connect(&socket).unwrap());
    let session = one.open_session(Target::Uuid([1; 16]), None, Vec::new()).unwrap();
    let params = vec![Param::ValueInput(1, 2), Param::MemrefInout { capacity: 9, data: vec![3] }];
    let returned = one.invoke(session, 5, params.clone()).unwrap();
    assert_eq!((returned.code, returned.params), (5, params));
    for attempt in [two.invoke(session, 5, Vec::new()).err(), two.close_session(session).err()] {
        assert_eq!(attempt.unwrap().code(), codes::TA_NOT_FOUND);
    }
    let other = two.open_session(Target::Component(wallet()), None, Vec::new()).unwrap();
    assert_eq!(two.status().unwrap(), status(None));
    one.close_session(session).unwrap();
    assert_eq!(one.invoke(session, 5, Vec::new()).unwrap_err().code(), codes::TA_NOT_FOUND);

    // An app that goes away leaves no session behind.
    drop(two);
    let closed = || asked.lock().unwrap().contains(&Request::CloseSession { session: other });
    assert!((0..200).any(|_| closed() || {
        thread::sleep(std::time::Duration::from_millis(10));
        false
    }));
}

#[test]
fn apps_cannot_play_the_broker() {
    let (tee, asked) = fake_tee(|_| Reply::done());
    let folder = serve(Broker::new(tee, http(), None));
    for request in [
        Request::ProcessTeepMessage(b"forged".to_vec()),
        Request::Chunk { fetch: 1, data: Vec::new(), last: true },
        Request::ProcessError,
    ] {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(folder.path().join(SOCKET_NAME)).unwrap();
        let message = tamarack_channel::Message { id: 1, body: request };
        stream.write_all(&message.to_frames().unwrap()).unwrap();
        let reply = tamarack_channel::receive::<Reply, _>(|b| stream.read_exact(b)).unwrap().unwrap();
        assert_eq!(reply.body.result.unwrap_err().code, codes::NOT_PERMITTED);
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_second_broker_does_not_take_the_socket() {
    let (tee, _) = fake_tee(|_| Reply::done());
    let folder = serve(Broker::new(tee, http(), None));
    let (tee, _) = fake_tee(|_| Reply::done());
    let error = Server::bind(folder.path(), Arc::new(Broker::new(tee, http(), None))).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn the_server_ends_with_the_tee() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let broker = Arc::new(Broker::new(tamarack_broker::TeeChannel::new(ours), http(), None));
    let server = Server::bind(folder.path(), broker).unwrap();
    let socket = server.path().to_owned();
    let running = thread::spawn(move || server.run(None));
    drop(theirs);
    let error = Client::connect(socket).unwrap().status().unwrap_err();
    assert!(matches!(&error, Error::Failed(failure) if failure.code == codes::TEE_CHANNEL), "{error:?}");
    assert_eq!(running.join().unwrap().unwrap_err().code(), codes::TEE_CHANNEL);
}
