//! What an installer does: asks for TAs in a version, from several TAMs, with what the app brought along.

mod support;

use std::sync::{Arc, Mutex};

use support::{HttpServer, fake_tee, no_content, options, serve, teep};
use tamarack_broker::package::Dependency;
use tamarack_broker::{Broker, Client, Ensured, Error, SOCKET_NAME, TamClient};
use tamarack_channel::{Action, BUNDLE_SCHEME, Failure, MAX_CHUNK, Reply, Request, TaState};
use tamarack_model::{Code, ComponentId, Protocol, codes};

fn wallet() -> ComponentId {
    ComponentId::parse_text("com.acme/wallet/ta").unwrap()
}

fn progress(state: TaState) -> Action {
    Action::Progress { component: wallet(), state, received: 0, total: None }
}

fn finished(failure: Option<Failure>) -> Action {
    Action::Finished { failure }
}

fn need(tams: &[&str]) -> Dependency {
    Dependency {
        minimum_sequence: Some(3),
        tams: tams.iter().map(ToString::to_string).collect(),
        ..Dependency::new(wallet())
    }
}

/// An app of a device whose TEE answers like this; what the TEE was asked.
fn app(
    script: impl FnMut(&Request) -> Reply + Send + 'static,
) -> (Client, Arc<Mutex<Vec<Request>>>, tempfile::TempDir) {
    let (tee, asked) = fake_tee(script);
    let folder = serve(Broker::new(tee, TamClient::new(options()).unwrap(), None));
    (Client::connect(folder.path().join(SOCKET_NAME)).unwrap(), asked, folder)
}

fn ensure(client: &mut Client, need: &Dependency) -> Result<Ensured, Failure> {
    client.ensure_ta(need, &mut |_, _| ()).map_err(|error| match error {
        Error::Failed(failure) => failure,
        other => panic!("{other}"),
    })
}

fn code(result: Result<Ensured, Failure>) -> Code {
    result.unwrap_err().code
}

#[test]
fn f12_one_call_is_all_that_an_app_needs_and_a_ta_that_is_there_needs_no_network() {
    let (mut client, asked, _folder) = app(|_| {
        Reply::done().with(vec![progress(TaState::Pending), progress(TaState::Installed), finished(None)])
    });
    // Nobody answers at that address, and nobody is asked.
    assert_eq!(ensure(&mut client, &need(&["http://127.0.0.1:1/tam"])), Ok(Ensured::Installed));
    let tam_uri = Some("http://127.0.0.1:1/tam".to_string());
    let expected = Request::EnsureTa { component: wallet(), tam_uri, minimum: Some(3), bundled: false };
    assert_eq!(asked.lock().unwrap()[..], [expected]);
}

#[test]
fn f13_tams_are_asked_in_order_until_one_brings_it() {
    let (mut client, asked, _folder) = app(|request| match request {
        Request::EnsureTa { tam_uri: Some(uri), .. } if uri == "https://second" => {
            Reply::done().with(vec![progress(TaState::Installed), finished(None)])
        }
        _ => Reply::done().with(vec![progress(TaState::Pending), finished(None)]),
    });
    let tams = ["https://first", "https://second", "https://third"];
    assert_eq!(ensure(&mut client, &need(&tams)), Ok(Ensured::Installed));
    assert_eq!(asked.lock().unwrap().len(), 2);
    let failure = ensure(&mut client, &need(&["https://first", "https://third"])).unwrap_err();
    assert_eq!(failure.code, codes::PACKAGE_UNMET);
    for part in ["https://first", "https://third", "sequence number 3 or higher"] {
        assert!(failure.text.contains(part), "{failure}");
    }
}

#[test]
fn an_app_hears_what_the_owner_says() {
    let says = |state, failure: Option<Code>| {
        let (mut client, asked, _folder) = app(move |_| {
            let failure = failure.map(|code| Failure::new(code, "the owner"));
            Reply::done().with(vec![progress(state), finished(failure)])
        });
        (ensure(&mut client, &need(&["https://first", "https://second"])), asked.lock().unwrap().len())
    };
    assert_eq!(says(TaState::Deferred, None), (Ok(Ensured::Deferred), 1));
    // No other TAM is a way around it.
    let (denied, asked) = says(TaState::Denied, Some(codes::OWNER_REFUSED));
    assert_eq!((code(denied), asked), (codes::OWNER_REFUSED, 1));
    // What the owner says of something else of the same Update does not matter here.
    assert_eq!(says(TaState::Installed, Some(codes::OWNER_REFUSED)).0, Ok(Ensured::Installed));
}

#[test]
fn a_tam_that_cannot_be_reached_is_told_apart_from_one_that_does_not_bring_it() {
    let nowhere = "http://127.0.0.1:1/tam";
    let (mut client, _, _folder) = app(move |request| match request {
        Request::EnsureTa { tam_uri: Some(uri), .. } if uri == nowhere => {
            Reply::done().with(vec![Action::Connect { tam_uri: nowhere.into(), protocol: Protocol::Teep }])
        }
        _ => Reply::done().with(vec![finished(None)]),
    });
    assert_eq!(code(ensure(&mut client, &need(&[nowhere]))), codes::HTTP_PEER);
    assert_eq!(code(ensure(&mut client, &need(&[nowhere, "https://other"]))), codes::PACKAGE_UNMET);
}

/// A TEE whose TAM grants a bundle; it takes `good` and nothing else.
fn granting(tam_uri: String, good: Vec<u8>) -> impl FnMut(&Request) -> Reply + Send {
    let mut received = Vec::new();
    move |request| match request {
        Request::EnsureTa { .. } => {
            Reply::done().with(vec![Action::Connect { tam_uri: tam_uri.clone(), protocol: Protocol::Teep }])
        }
        Request::ProcessTeepMessage(_) => {
            received.clear();
            let uri = format!("{BUNDLE_SCHEME}{}", wallet());
            Reply::done().with(vec![Action::Fetch { id: 4, uri, max_size: None }])
        }
        Request::Chunk { data, last, .. } => {
            received.extend_from_slice(data);
            match (last, received == good) {
                (false, _) => Reply::done(),
                (true, true) => Reply::done().with(vec![progress(TaState::Installed), finished(None)]),
                (true, false) => {
                    let failure = Failure::new(codes::SUIT_CONDITION, "image-match");
                    Reply::done().with(vec![progress(TaState::Failed), finished(Some(failure))])
                }
            }
        }
        Request::FetchFailed { .. } => {
            let failure = Failure::new(codes::SUIT_DIRECTIVE, "the payload cannot be fetched");
            Reply::done().with(vec![progress(TaState::Failed), finished(Some(failure))])
        }
        other => Reply::failed(Failure::new(codes::TEEP_UNEXPECTED, format!("{other:?}"))),
    }
}

#[test]
fn f14_a_bundle_goes_to_the_tee_in_pieces_and_the_tam_sends_no_payload() {
    let good: Vec<u8> = (0..MAX_CHUNK * 2 + 7).map(|i| i as u8).collect();
    let tam = HttpServer::new((0..4).map(|_| teep(b"Update")));
    let (mut client, asked, _folder) = app(granting(tam.uri("/tam"), good.clone()));
    let with = |bundle: Option<Vec<u8>>| Dependency { bundle, ..need(&["https://tam"]) };
    assert_eq!(ensure(&mut client, &with(Some(good.clone()))), Ok(Ensured::Installed));
    let pieces = |asked: &Mutex<Vec<Request>>| {
        asked.lock().unwrap().iter().filter(|request| matches!(request, Request::Chunk { .. })).count()
    };
    assert_eq!((pieces(&asked), tam.seen().len()), (3, 1));
    let mut altered = good.clone();
    altered[MAX_CHUNK] ^= 1;
    assert_eq!(code(ensure(&mut client, &with(Some(altered)))), codes::BUNDLE_REFUSED);
    // Nothing at all is a content too.
    assert_eq!(code(ensure(&mut client, &with(Some(Vec::new())))), codes::BUNDLE_REFUSED);
    // A TAM that sends a bare manifest to an app without a bundle brings nothing.
    assert_eq!(code(ensure(&mut client, &with(None))), codes::PACKAGE_UNMET);
}

#[test]
fn a_bundle_belongs_to_one_request_of_one_app() {
    let tam = HttpServer::new([teep(b"Update"), no_content()]);
    let (mut client, asked, folder) = app(granting(tam.uri("/tam"), b"good".to_vec()));
    let offered: Vec<_> = client.request_version(&wallet(), None, None, Some(b"good")).unwrap().collect();
    assert!(offered.iter().all(Result::is_ok), "{offered:?}");
    let before = asked.lock().unwrap().len();
    // It is used up; another app has none; and one of another component is none.
    let mut raw = support::Raw::connect(&folder.path().join(SOCKET_NAME));
    let ask = |component| Request::EnsureTa { component, tam_uri: None, minimum: None, bundled: true };
    let refused = |reply: Reply| reply.result.unwrap_err().code == codes::USAGE;
    assert!(refused(raw.ask(ask(wallet()))));
    let other = ComponentId::parse_text("com.acme/valve/ta").unwrap();
    let offer = |data: Vec<u8>, last| Request::OfferBundle { component: wallet(), data, last };
    assert!(raw.ask(offer(vec![1], true)).result.is_ok());
    assert!(refused(raw.ask(ask(other))));
    // Half of one is none either.
    assert!(raw.ask(offer(vec![1], false)).result.is_ok());
    assert!(refused(raw.ask(ask(wallet()))));
    assert_eq!(asked.lock().unwrap().len(), before, "the TEE was not bothered");
}
