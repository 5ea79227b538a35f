//! An app between its TAM and its device, where one of the two or somebody else cheats.

mod support;

use support::{
    HttpServer, answers, create_sd, fake_tee, get_device_state, no_content, options, otrp, response, serve,
    signed, status,
};
use tamarack_broker::{
    Aiks, AppFlow, AppTa, Broker, Client, Error, Installed, MAX_ROUNDS, SOCKET_NAME, TaState, TamClient,
    TamTrust,
};
use tamarack_channel::{Action, Failure, Reply, Request, Value};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws::{SignHeaders, Signer};
use tamarack_jose::{Jwk, json};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_otrp::aik::{SignedAiks, SpAik};
use tamarack_otrp::ta_information::{TaInformation, TaQuery};
use tamarack_testkit::otrp_pki::{NOW, OtrpPki, TestTam};
use tamarack_x509::{Anchor, Name};

const SPID: &str = "acme";
const TAID: &str = "8d82573a-926d-4754-9353-32dc29997f74";

fn crypto() -> Provider {
    tamarack_crypto_aws_lc::provider()
}

fn key() -> Box<dyn Sign> {
    let pkcs8 = crypto().keys.generate_pkcs8(KeyType::P256).unwrap();
    crypto().keys.load_pkcs8(pkcs8.expose()).unwrap()
}

fn ta() -> AppTa {
    let component = ComponentId::parse_text(&format!("com.acme/{TAID}/ta")).unwrap();
    AppTa::new(&component, SPID).unwrap()
}

fn aiks(tam: &TestTam, aik: &dyn Sign) -> SignedAiks {
    let Name::RegisteredId(tamid) = tam.name.clone() else { panic!("a tamid") };
    let jwk = |key_use| Jwk::from_public_key(&aik.public_key()).unwrap().with_use(key_use);
    let other = Jwk::from_public_key(&key().public_key()).unwrap().with_use(KeyUse::Encryption);
    let key = |key| SpAik { spid: SPID.into(), key };
    SignedAiks { tamid, iat: NOW, exp: NOW + 3600, aiks: vec![key(other), key(jwk(KeyUse::Signature))] }
}

fn sign(aiks: &SignedAiks, tam: &TestTam) -> Vec<u8> {
    aiks.sign(Signer::Es256(&*tam.signer), &SignHeaders::chain(&tam.chain, &crypto())).unwrap()
}

fn signed_aiks(tam: &TestTam, aik: &dyn Sign) -> Vec<u8> {
    sign(&aiks(tam, aik), tam)
}

/// What the TEE says of the TA, for this query.
fn information(tamid: &str, query: &TaQuery, aik: &dyn Sign) -> Vec<u8> {
    let information = TaInformation {
        taid: query.taid.clone(),
        tamid: tamid.into(),
        spid: query.spid.clone(),
        signercert: None,
        signercacerts: Vec::new(),
        tamcert: None,
        tamcacerts: Vec::new(),
        version: Some(1),
        digest: Some([7; 32]),
        nonce: query.nonce.clone(),
    };
    let jwk = Jwk::from_public_key(&aik.public_key()).unwrap();
    information.sign(Signer::Es256(aik), &jwk).unwrap()
}

/// A device whose TEE has installed the TA, or will once it gets a CreateSDRequest.
struct World {
    pki: OtrpPki,
    aik: std::sync::Arc<dyn Sign>,
    folder: tempfile::TempDir,
    http: TamClient,
}

/// Changes what the TEE says of its TA.
type Odd = dyn Fn(&TaQuery, &dyn Sign) -> Option<Vec<u8>> + Send;

fn world(installed_at_first: bool, odd: Box<Odd>) -> World {
    let pki = OtrpPki::new(&crypto(), 2);
    let aik: std::sync::Arc<dyn Sign> = key().into();
    let (signer, tamid) = (aik.clone(), pki.tams[0].name.text().to_owned());
    let mut there = installed_at_first;
    let (channel, _) = fake_tee(move |request| match request {
        Request::RequestTa { .. } => Reply::done()
            .with(vec![Action::Connect { tam_uri: "http://tam.example".into(), protocol: Protocol::Otrp }]),
        Request::GetTaInformation { .. } if !there => {
            Reply::failed(Failure::new(codes::TA_NOT_FOUND, "it is not installed"))
        }
        Request::GetTaInformation { query, .. } => {
            let query = TaQuery::parse(query, &tamarack_otrp::Limits::default()).unwrap();
            let said = odd(&query, &*signer).unwrap_or_else(|| information(&tamid, &query, &*signer));
            Reply::value(Value::TaInformation(said))
        }
        Request::Status => {
            let one = Installed {
                component: ta().component,
                manifest: ComponentId::parse_text(&format!("com.acme/{TAID}/suit")).unwrap(),
                sequence_number: 1,
                digest: [7; 32],
                size: 1,
                provider: SPID.into(),
            };
            let installed = if there { vec![one] } else { Vec::new() };
            let status = tamarack_broker::Status { installed, ..status(Some("one")) };
            Reply::value(Value::Status(Box::new(status)))
        }
        request => {
            there |= *request == Request::ProcessOtrpMessage(create_sd("one"));
            answers("one", request)
        }
    });
    let folder = serve(Broker::new(channel, TamClient::new(options()).unwrap(), None));
    let http = TamClient::new(tamarack_broker::HttpOptions { max_message: 1 << 16, ..options() }).unwrap();
    World { pki, aik, folder, http }
}

impl World {
    /// Runs `action` as the app whose TAM is the first, at `uri`.
    fn flow<T>(&self, uri: &str, action: impl FnOnce(&mut AppFlow<'_>) -> T) -> T {
        let mut client = Client::connect(self.folder.path().join(SOCKET_NAME)).unwrap();
        let anchors = [Anchor::from_der(self.pki.tams[0].root()).unwrap()];
        let provider = crypto();
        let trust =
            TamTrust { anchors: &anchors, name: &self.pki.tams[0].name, draft: false, provider: &provider };
        action(&mut AppFlow { client: &mut client, http: &self.http, tam_uri: uri, trust })
    }

    fn verify(&self, jws: &[u8], now: u64) -> Result<Aiks, Error> {
        self.flow("", |flow| Aiks::verify(jws, &flow.trust, now))
    }
}

fn jose(body: &[u8]) -> Vec<u8> {
    response("200 OK", &[("content-type", "application/jose+json")], body)
}

#[test]
fn case_1_an_app_has_its_ta_installed_and_gets_the_keys() {
    let world = world(false, Box::new(|_, _| None));
    let keys = signed_aiks(&world.pki.tams[0], &*world.aik);
    let tam = HttpServer::new([otrp(&get_device_state()), otrp(&create_sd("one")), jose(&keys)]);
    let (state, talked) = world.flow(&tam.uri("/tam"), |flow| flow.install(&ta(), NOW)).unwrap();
    assert_eq!((state, talked.rounds), (TaState::Installed, 3));
    let aiks = talked.aiks.unwrap();
    assert_eq!(aiks.as_jws(), keys);
    assert_eq!(aiks.signed().aiks.len(), 2);
    let posts = tam.seen();
    assert!(posts[0].body.is_empty());
    assert!(posts[1].body.starts_with(b"{\"GetDeviceStateResponse\":[{"));
    // What it says of the TA holds under these keys.
    let information = world.flow("", |flow| flow.information(&ta(), &aiks)).unwrap();
    assert_eq!((information.taid.as_str(), information.version), (TAID, Some(1)));
}

#[test]
fn case_2_an_app_with_keys_asks_no_tam() {
    let world = world(true, Box::new(|_, _| None));
    let aiks = world.verify(&signed_aiks(&world.pki.tams[0], &*world.aik), NOW).unwrap();
    let proven = world.flow("http://127.0.0.1:1/tam", |flow| flow.ensure(&ta(), Some(&aiks), NOW)).unwrap();
    assert!(!proven.asked);
    assert_eq!(proven.aiks, aiks);
}

#[test]
fn case_2_an_app_without_keys_or_without_its_ta_asks_its_tam() {
    for (installed, has_keys) in [(true, false), (false, true), (false, false)] {
        let world = world(installed, Box::new(|_, _| None));
        let keys = signed_aiks(&world.pki.tams[0], &*world.aik);
        let known = has_keys.then(|| world.verify(&keys, NOW).unwrap());
        let tam = HttpServer::new([otrp(&get_device_state()), otrp(&create_sd("one")), jose(&keys)]);
        let proven = world.flow(&tam.uri("/tam"), |flow| flow.ensure(&ta(), known.as_ref(), NOW)).unwrap();
        assert!(proven.asked && proven.information.spid == SPID, "{installed} {has_keys}");
    }
}

#[test]
fn keys_are_taken_from_the_apps_own_tam_alone() {
    let world = world(true, Box::new(|_, _| None));
    let [own, other] = &world.pki.tams[..] else { panic!("two TAMs") };
    let check = |what: &str, jws: &[u8], now: u64| {
        let error = world.verify(jws, now).expect_err(what);
        assert_ne!(error.code(), codes::INTERNAL, "{what}: {error}");
    };
    let good = aiks(own, &*world.aik);
    assert!(world.verify(&sign(&good, own), NOW).is_ok());
    check("another root", &signed_aiks(other, &*world.aik), NOW);
    check("another TAM signs in the name of this one", &sign(&good, other), NOW);
    let copied = tamarack_pki_authority(own);
    let sibling = TestTam::under(&crypto(), copied, other.name.clone());
    check("another TAM under the same root", &sign(&aiks(&sibling, &*world.aik), &sibling), NOW);
    check("another TAM under the same root, in this one's name", &sign(&good, &sibling), NOW);
    check("over", &sign(&good, own), NOW + 3600);
    check("of the future", &sign(&SignedAiks { iat: NOW + 1000, ..good.clone() }, own), NOW);
    let renamed = SignedAiks { tamid: "1.2.3".into(), ..good.clone() };
    check("another name inside", &sign(&renamed, own), NOW);
    // A chain that does not belong to the key, and a key without the binding that its certificate needs.
    let swapped = SignHeaders::chain(&sibling.chain, &crypto());
    check("another's chain", &good.sign(Signer::Es256(&*own.signer), &swapped).unwrap(), NOW);
    let unbound = SignHeaders { x5t_s256: None, ..SignHeaders::chain(&own.chain, &crypto()) };
    let unbound = good.sign(Signer::Es256(&*own.signer), &unbound).unwrap();
    check("no x5t#S256", &unbound, NOW);
    let mut flipped = sign(&good, own);
    let at = flipped.windows(9).position(|w| w == b"\"payload\"").unwrap() + 40;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    check("one character of the payload", &flipped, NOW);
    for garbage in [&b""[..], b"{}", b"[]", b"\xff", br#"{"payload":"","protected":"e30","signature":""}"#] {
        check("garbage", garbage, NOW);
    }

    // A TAM of the plain draft is taken only where that is said.
    let anchors = [Anchor::from_der(own.root()).unwrap()];
    let provider = crypto();
    let trust = TamTrust { anchors: &anchors, name: &own.name, draft: true, provider: &provider };
    assert!(Aiks::verify(&unbound, &trust, NOW).is_ok());
    assert!(Aiks::verify(&sign(&good, &sibling), &trust, NOW).is_err());
}

/// The same authority once more.
fn tamarack_pki_authority(tam: &TestTam) -> tamarack_pki::Authority {
    tamarack_pki::Authority::load(tam.authority.cert_pem(), tam.authority.key_pem()).unwrap()
}

#[test]
fn what_a_tee_says_of_a_ta_must_answer_the_question() {
    type Said = fn(&TaQuery, &dyn Sign, &str) -> Vec<u8>;
    let cases: [(&str, Said); 8] = [
        ("signed with another key", |query, _, tamid| information(tamid, query, &*key())),
        ("another TA", |query, aik, tamid| {
            information(tamid, &TaQuery { taid: "other".into(), ..query.clone() }, aik)
        }),
        ("another provider", |query, aik, tamid| {
            information(tamid, &TaQuery { spid: "globex".into(), ..query.clone() }, aik)
        }),
        ("an old answer", |query, aik, tamid| {
            information(tamid, &TaQuery { nonce: Some("old".into()), ..query.clone() }, aik)
        }),
        ("no nonce", |query, aik, tamid| information(tamid, &TaQuery { nonce: None, ..query.clone() }, aik)),
        ("another TAM's", |query, aik, _| information("1.2.3", query, aik)),
        ("garbage", |_, _, _| b"garbage".to_vec()),
        ("another message", |_, _, _| signed("TAQuery", "TAInformationTBS", json::object([]))),
    ];
    for (what, said) in cases {
        let world = world(true, Box::new(move |query, aik| Some(said(query, aik, "1.3.6.1.4.1.61999.2.1"))));
        let aiks = world.verify(&signed_aiks(&world.pki.tams[0], &*world.aik), NOW).unwrap();
        let error = world.flow("", |flow| flow.information(&ta(), &aiks)).expect_err(what);
        assert_ne!(error.code(), codes::TEE_CHANNEL, "{what}: {error}");
        // Asking its TAM does not help such an app: it is told, and does not use the TA.
        let keys = signed_aiks(&world.pki.tams[0], &*world.aik);
        let tam = HttpServer::new([otrp(&get_device_state()), jose(&keys)]);
        assert!(world.flow(&tam.uri("/tam"), |flow| flow.ensure(&ta(), Some(&aiks), NOW)).is_err(), "{what}");
    }
}

#[test]
fn a_key_for_encryption_signs_nothing_and_an_unlisted_provider_has_none() {
    let world = world(true, Box::new(|_, _| None));
    let tam = &world.pki.tams[0];
    let mut listed = aiks(tam, &*world.aik);
    let encryption = Jwk::from_public_key(&world.aik.public_key()).unwrap().with_use(KeyUse::Encryption);
    listed.aiks = vec![SpAik { spid: SPID.into(), key: encryption }];
    for listed in [listed.clone(), SignedAiks { aiks: Vec::new(), ..listed }] {
        let aiks = world.verify(&sign(&listed, tam), NOW).unwrap();
        let error = world.flow("", |flow| flow.information(&ta(), &aiks)).unwrap_err();
        assert!(error.to_string().contains("vouches for no key of acme"), "{error}");
    }
}

#[test]
fn a_tam_that_cheats_or_never_ends_is_an_error() {
    let world = world(false, Box::new(|_, _| None));
    let talk = |answers: Vec<Vec<u8>>| {
        let tam = HttpServer::new(answers);
        let result = world.flow(&tam.uri("/tam"), |flow| flow.talk(NOW));
        (result, tam.seen().len())
    };
    let (result, _) = talk(vec![otrp(b"garbage")]);
    assert_eq!(result.unwrap_err().code(), codes::OTRP_MALFORMED);
    let (result, _) = talk(vec![otrp(&vec![b'['; 1 << 17])]);
    assert_eq!(result.unwrap_err().code(), codes::HTTP_TOO_LARGE);
    let (result, _) = talk(vec![otrp(&get_device_state()), jose(b"{}")]);
    assert_eq!(result.unwrap_err().code(), codes::JOSE_MALFORMED);
    let stranger = signed_aiks(&world.pki.tams[1], &*world.aik);
    let (result, _) = talk(vec![otrp(&get_device_state()), jose(&stranger)]);
    assert_eq!(result.unwrap_err().code(), codes::TAM_NOT_TRUSTED);
    // A request for a TEE that is not there is answered by the Broker, and the app is told.
    let (result, posts) = talk(vec![otrp(&create_sd("other")), no_content()]);
    assert_eq!((result.unwrap_err().code(), posts), (codes::OTRP_AGENT_TEE_UNKNOWN, 2));
    let (result, posts) = talk((0..MAX_ROUNDS + 5).map(|_| otrp(&get_device_state())).collect());
    // Either end of the loop may be the first to have enough.
    let error = result.unwrap_err();
    assert!(error.to_string().contains("did not end") && posts <= MAX_ROUNDS, "{posts}: {error}");
}

#[test]
fn a_broker_that_lies_is_an_error() {
    use std::io::{Read, Write};
    let check = |reply: Reply| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(SOCKET_NAME);
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let shown = format!("{reply:?}");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = tamarack_channel::receive::<Request, _>(|b| stream.read_exact(b)).unwrap().unwrap();
            let frames = tamarack_channel::Message { id: asked.id, body: reply }.to_frames().unwrap();
            let mut again = || stream.write_all(&frames);
            while again().is_ok() {}
        });
        let mut client = Client::connect(&socket).unwrap();
        let result = client.process_otrp_message(&get_device_state());
        assert!(result.is_err(), "{shown}: {result:?}");
    };
    let send = |protocol| Action::Send { tam_uri: String::new(), protocol, message: vec![1] };
    let done = Action::Finished { failure: None };
    check(Reply::done().with(vec![done.clone()]));
    check(Reply::done().with(vec![send(Protocol::Teep), done.clone()]));
    check(Reply::done().with(vec![send(Protocol::Otrp), send(Protocol::Otrp), done.clone()]));
    check(Reply::done().with(vec![Action::Connect { tam_uri: "x".into(), protocol: Protocol::Otrp }, done]));
    check(Reply::value(Value::Session(1)));
    check(Reply::failed(Failure::new(codes::INTERNAL, "no")));
    // Progress without end.
    let component = ta().component;
    let progress = Action::Progress { component, state: TaState::Pending, received: 0, total: None };
    check(Reply::done().with(vec![progress]));
}
