use std::os::unix::net::UnixStream;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{KeyType, PublicKey, Secret};
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::{Claims, Manifest, Token};
use tamarack_tee::{Error, Persona, Quote, RootOfTrust, StateRoot};

use super::message::{Ask, FRAMES, Use, Value};
use super::*;
use crate::Layers;
use crate::root::FileRoot;
use crate::root_secret::RootSecret;

pub(crate) const MEASURED: Measured = Measured { agent: [3; 32], launcher: [4; 32], configuration: [5; 32] };

/// A launcher in a thread that has measured `measured`, with the walls `layers` around it, on what `root` gives.
pub(crate) fn start(
    measured: Measured,
    layers: Layers,
    root: impl FnOnce() -> Result<Box<dyn RootOfTrust>, Error> + Send + 'static,
) -> Launcher {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let service = Service::new(root(), measured, provider());
        let _ = service.with_layers(layers, Vec::new()).serve(&mut theirs);
    });
    Launcher::connect(ours).unwrap()
}

/// A root in a file with this secret, and no counter.
pub(crate) fn file_root(secret: u8, key_type: KeyType) -> Result<Box<dyn RootOfTrust>, Error> {
    let secret = RootSecret::new(Secret::new([secret; 32]));
    Ok(Box::new(FileRoot::new(secret, None, key_type, provider())))
}

fn service() -> Service {
    Service::new(file_root(1, KeyType::Ed25519), MEASURED, provider()).with_layers(Layers::ALL, Vec::new())
}

fn statement() -> Statement {
    Statement {
        nonce: vec![1; 32],
        ueid: vec![2; 17],
        trust_store_sequence: 3,
        state: StateRoot { epoch: 4, digest: [5; 32] },
        components: Vec::new(),
        ta: None,
        confirm: PublicKey::Ed25519(
            *b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a",
        ),
        decryption: PublicKey::P256 { x: [8; 32], y: [9; 32] },
        oemid: [6; 16],
        hwmodel: b"model".to_vec(),
        hwversion: "1".into(),
        layers: Layers::ALL,
    }
}

fn evidence(launcher: &Launcher, statement: Statement) -> Result<Claims, Error> {
    let payload = launcher.evidence(Persona(0), statement, Vec::new())?;
    let token = Token::parse(&payload, &Limits::default()).unwrap();
    let keys = [VerificationKey::new(launcher.attestation_key(Persona(0))?, Purpose::Evidence, &provider())];
    Ok(token.verify(&keys, Purpose::Evidence, &provider()).unwrap().into_value())
}

/// Every question there is, in one form each; a new one is missing here until somebody looks at it.
fn questions() -> Vec<Ask> {
    let (persona, name) = (Persona(7), "device".to_string());
    let ta = Statement { ta: Some(vec![0xa0]), components: vec![vec![1], Vec::new()], ..statement() };
    vec![
        Ask::Hello,
        Ask::StorageSecret,
        Ask::ReadCounter { slot: 1, length: 80 },
        Ask::WriteCounter { slot: 0, commit: u64::MAX, data: vec![9; 80] },
        Ask::PublicKey(Use::Attestation, persona),
        Ask::PublicKey(Use::Firmware, persona),
        Ask::CertificateRequest(Use::Attestation, persona, name.clone()),
        Ask::CertificateRequest(Use::Firmware, persona, name),
        Ask::Evidence { persona, statement: Box::new(statement()), chain: vec![vec![1; 300], vec![2]] },
        Ask::Evidence { persona, statement: Box::new(ta), chain: Vec::new() },
        Ask::FirmwareSignature(persona, vec![b't'; 64]),
    ]
}

#[test]
fn questions_read_back_and_nothing_else_is_one() {
    for question in questions() {
        let bytes = question.encode();
        assert_eq!(Ask::decode(&bytes), Ok(question));
        for end in 0..bytes.len() {
            Ask::decode(&bytes[..end]).unwrap_err();
        }
        Ask::decode(&[&bytes[..], &[0]].concat()).unwrap_err();
    }
    for bad in [
        &[0x80][..],
        &[0x81, 0x08],                         // no such question
        &[0x82, 0x00, 0x00],                   // a greeting with something in it
        &[0x83, 0x02, 0x02, 0x00],             // slot 2
        &[0x83, 0x02, 0x00, 0x19, 0x10, 0x01], // 4097 bytes of a slot
        &[0x83, 0x04, 0x02, 0x00],             // no such use
        &[0x83, 0x07, 0x00, 0x40],             // an empty transaction id
        &[0x83, 0x04, 0x00, 0x19, 0x01, 0x00], // persona 256
    ] {
        Ask::decode(bad).unwrap_err();
    }
    let signed = |tid: &[u8]| Ask::decode(&Ask::FirmwareSignature(Persona(0), tid.to_vec()).encode());
    signed(&[b't'; 64]).unwrap();
    signed(&[b't'; 65]).unwrap_err();
    // What would be DER, COSE, a statement of a TPM or the begin of a TLS signature is no transaction id.
    for other in [&b"\x30\x0a\x02\x01\x00"[..], b"\x84\x6aSignature1", b"\xffTCG\x80\x18", b"    \0", b"\n"] {
        signed(other).unwrap_err();
    }
}

#[test]
fn answers_read_back() {
    let hello = service().answer(Ask::Hello);
    for answer in [
        hello,
        Ok(Value::Bytes(vec![1, 2, 3])),
        Ok(Value::Done),
        Err(Error::Storage("full".into())),
        Err(Error::NotAuthentic),
        Err(Error::RolledBack),
        Err(Error::Crypto),
        Err(Error::NoPersona),
        Err(Error::Launcher("why".into())),
    ] {
        let bytes = message::encode_answer(&answer);
        assert_eq!(message::decode_answer(&bytes), Ok(answer));
        for end in 0..bytes.len() {
            message::decode_answer(&bytes[..end]).unwrap_err();
        }
    }
}

#[test]
fn a_conversation_ends_with_a_frame_that_is_no_question() {
    let long = [0x00, 0x20, 0x00, 0x00];
    for bytes in [&[0, 0, 0, 1, 0xff][..], &[0, 0, 0, 0], &long] {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut ours, bytes).unwrap();
        let end = service().serve(&mut theirs).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::InvalidData, "{bytes:?}");
    }
}

#[test]
fn the_greeting_comes_first_and_once() {
    let mut service = service();
    let refused = |answer: message::Answer| matches!(answer, Err(Error::Launcher(_)));
    for question in questions().into_iter().skip(1) {
        assert!(refused(service.answer(question)));
    }
    service.answer(Ask::Hello).unwrap();
    assert!(refused(service.answer(Ask::Hello)));
    service.answer(Ask::StorageSecret).expect("the conversation goes on");
}

/// Every length is bounded, and none that an Agent sends ends the launcher.
#[test]
fn what_is_too_long_is_refused() {
    let launcher = start(MEASURED, Layers::ALL, || file_root(1, KeyType::Ed25519));
    let refused = |result: Result<Vec<u8>, Error>| {
        let Err(Error::Launcher(why)) = result else { panic!("{result:?}") };
        why
    };
    for request in [Launcher::attestation_request, Launcher::firmware_request] {
        request(&launcher, Persona(0), &"n".repeat(64)).unwrap();
        assert!(refused(request(&launcher, Persona(0), &"n".repeat(65))).contains("at most 64"));
    }
    // A question that fits with an answer that does not.
    let chain = |length| launcher.evidence(Persona(0), statement(), vec![vec![1; length]]);
    assert!(refused(chain((1 << 20) - 400)).contains("too long"));
    assert!(refused(chain(1 << 20)).contains("cannot be reached"), "this end sends no such frame");
    chain(1 << 19).unwrap();
}

/// Whatever an Agent asks in whatever form: what was measured stands in its Evidence, and there is no field for a digest.
#[test]
fn e2_evidence_carries_what_the_launcher_measured() {
    let launcher = start(MEASURED, Layers::ALL, || file_root(1, KeyType::Ed25519));
    let other = Measured { agent: [0xee; 32], ..MEASURED };
    let changed = start(other, Layers::ALL, || file_root(1, KeyType::Ed25519));
    let digests = |claims: Claims| format!("{:?}", claims.manifests);
    let genuine = digests(evidence(&launcher, statement()).unwrap());
    let modified = digests(evidence(&changed, statement()).unwrap());
    assert_ne!(genuine, modified);
    // The same key signs both: it is the launcher's, and the launcher has not changed.
    assert_eq!(launcher.attestation_key(Persona(0)), changed.attestation_key(Persona(0)));
    // The genuine digests, wherever the Agent has a say, do not become those of the manifests claim.
    for statement in [
        Statement { nonce: MEASURED.agent.to_vec(), ueid: MEASURED.agent[..17].to_vec(), ..statement() },
        Statement {
            oemid: [3; 16],
            hwmodel: MEASURED.agent.to_vec(),
            hwversion: "03".repeat(32),
            ..statement()
        },
    ] {
        assert_eq!(digests(evidence(&changed, statement).unwrap()), modified);
    }
}

/// Bytes that the Agent chooses are read before they are signed: nothing breaks out of its place.
#[test]
fn e2_an_agent_smuggles_no_claim() {
    let launcher = start(MEASURED, Layers::ALL, || file_root(1, KeyType::Ed25519));
    // The end of one item and the begin of a manifests claim (272).
    let smuggled = [0xa0, 0x19, 0x01, 0x10, 0x80].to_vec();
    for bad in [
        Statement { ta: Some(smuggled.clone()), ..statement() },
        Statement { ta: Some(Vec::new()), ..statement() },
        Statement { ta: Some(vec![0xa0]), ..statement() },
        Statement { components: vec![smuggled], ..statement() },
        Statement { components: vec![Vec::new()], ..statement() },
        Statement { nonce: vec![1; 65], ..statement() },
        Statement { ueid: vec![1], ..statement() },
    ] {
        let refused = launcher.evidence(Persona(0), bad, Vec::new());
        assert!(matches!(refused, Err(Error::Launcher(_))), "{refused:?}");
    }
    evidence(&launcher, statement()).expect("and the conversation goes on");
}

#[test]
fn e2_a_layer_is_claimed_only_if_it_is_around_both() {
    let layers = |around_launcher, around_agent| {
        let launcher = start(MEASURED, around_launcher, || file_root(1, KeyType::Ed25519));
        let statement = Statement { layers: around_agent, ..statement() };
        evidence(&launcher, statement).unwrap().platform.unwrap().layer_names()
    };
    assert_eq!(layers(Layers::ALL, Layers::ALL).len(), tamarack_eat::LAYERS.len());
    assert_eq!(layers(Layers::NONE, Layers::ALL), ["namespaces"], "the launcher opens no file");
    assert_eq!(layers(Layers::ALL, Layers::SECCOMP), ["seccomp"]);
    assert_eq!(layers(Layers::LANDLOCK, Layers::SECCOMP), [""; 0]);
}

#[test]
fn k6_one_key_one_use_one_persona() {
    for key_type in [KeyType::Ed25519, KeyType::P256] {
        let launcher = start(MEASURED, Layers::ALL, move || file_root(1, key_type));
        let other = start(MEASURED, Layers::ALL, || file_root(2, KeyType::P256));
        let mut keys = Vec::new();
        for launcher in [&launcher, &other] {
            for persona in [Persona(0), Persona(1), Persona(255)] {
                keys.push(launcher.attestation_key(persona).unwrap());
                keys.push(launcher.firmware_key(persona).unwrap());
            }
        }
        assert_eq!(keys[0].key_type(), key_type);
        for (i, one) in keys.iter().enumerate() {
            assert!(!keys[i + 1..].contains(one), "{i}");
        }
        let tid = b"a transaction";
        let signature = launcher.firmware_signature(Persona(1), tid).unwrap();
        provider().verify.verify(&keys[3], tid, &signature).unwrap();
        for key in [keys[0], keys[1], keys[2]] {
            provider().verify.verify(&key, tid, &signature).unwrap_err();
        }
    }
}

/// A root that refuses everything, as a TPM whose registers are not those that its secrets are bound to.
struct Refuses;

impl RootOfTrust for Refuses {
    fn protection(&self) -> &'static str {
        "tpm"
    }
    fn counter_quality(&self) -> &'static str {
        "tpm"
    }
    fn measure(&mut self, agent: &[u8; 32], _configuration: &[u8; 32]) -> Result<(), Error> {
        if *agent == MEASURED.agent { Ok(()) } else { Err(Error::NotAuthentic) }
    }
    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, Error> {
        Err(Error::NotAuthentic)
    }
    fn read_counter(&mut self, _slot: usize, _length: usize) -> Result<Vec<u8>, Error> {
        Err(Error::RolledBack)
    }
    fn write_counter(&mut self, _slot: usize, _commit: u64, _data: &[u8]) -> Result<(), Error> {
        Err(Error::Storage("worn out".into()))
    }
    fn attestation_key(&mut self, _persona: Persona) -> Result<PublicKey, Error> {
        Err(Error::NoPersona)
    }
    fn sign(&mut self, _persona: Persona, _message: &[u8]) -> Result<[u8; 64], Error> {
        Err(Error::Crypto)
    }
    fn quote(&mut self, _persona: Persona, _qualifying: &[u8; 32]) -> Result<Option<Quote>, Error> {
        Ok(None)
    }
}

#[test]
fn what_a_root_refuses_is_told_with_its_reason() {
    let launcher = start(MEASURED, Layers::ALL, || Ok(Box::new(Refuses)));
    assert_eq!(launcher.hello().protection, "tpm");
    assert_eq!(launcher.storage_secret().err(), Some(Error::NotAuthentic));
    assert_eq!(launcher.attestation_key(Persona(0)), Err(Error::NoPersona));
    let mut slots = launcher.clone();
    assert_eq!(crate::sealed::Slots::read(&slots, 0, 80), Err(Error::RolledBack));
    let written = crate::sealed::Slots::write(&mut slots, 0, 1, b"mark");
    assert_eq!(written, Err(Error::Storage("worn out".into())));

    let unmeasured = start(Measured { agent: [0; 32], ..MEASURED }, Layers::ALL, || Ok(Box::new(Refuses)));
    assert_eq!(unmeasured.storage_secret().err(), Some(Error::NotAuthentic));
    assert_eq!(unmeasured.attestation_key(Persona(0)), Err(Error::NotAuthentic));
    let missing = start(MEASURED, Layers::ALL, || Err(Error::Storage("no fuse".into())));
    assert_eq!(missing.storage_secret().err(), Some(Error::Storage("no fuse".into())));
    assert_eq!(missing.hello().agent_digest, MEASURED.agent, "but the greeting");
}

/// A stream whose other end said all that it has to say, and takes what it is told.
struct Said(std::io::Cursor<Vec<u8>>, Vec<u8>);

impl std::io::Read for Said {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a fresh launcher answers these frames, and whether it took them all.
fn answers(frames: &[Vec<u8>]) -> (Vec<message::Answer>, bool) {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| FRAMES.send(&mut bytes, frame).unwrap());
    let mut stream = Said(std::io::Cursor::new(bytes), Vec::new());
    let end = service().serve(&mut stream);
    let mut said = &stream.1[..];
    let answers = std::iter::from_fn(|| FRAMES.receive(&mut said).unwrap());
    let answers = answers.map(|answer| message::decode_answer(&answer).unwrap()).collect();
    if let Err(error) = &end {
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    }
    (answers, end.is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each frame is a question and gets one answer, or it is the last one that is looked at.
    #[test]
    fn any_frame_is_one_question_or_the_end(frames in vec(vec(any::<u8>(), 0..60), 1..4)) {
        let questions = frames.iter().take_while(|frame| Ask::decode(frame).is_ok()).count();
        let (answers, whole) = answers(&frames);
        prop_assert_eq!((answers.len(), whole), (questions, questions == frames.len()));
    }

    /// A question with a few other bytes in it: whatever the answer is, Evidence in it says what was measured.
    #[test]
    fn e2_a_bent_question_gets_no_other_digest(
        which in 0..11_usize,
        bent in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut question = questions().swap_remove(which).encode();
        for (at, byte) in bent {
            let at = at.index(question.len());
            question[at] = byte;
        }
        let hello = Ask::Hello.encode();
        let key = Ask::PublicKey(Use::Attestation, Persona(7)).encode();
        let (answers, _) = answers(&[hello, key, question]);
        let [Ok(Value::Hello(_)), Ok(Value::Bytes(key)), rest @ ..] = &answers[..] else { panic!("{answers:?}") };
        for answer in rest {
            let Ok(Value::Bytes(bytes)) = answer else { continue };
            let Ok(token) = Token::parse(bytes, &Limits::default()) else { continue };
            let keys = [VerificationKey::new(PublicKey::from_spki(key).unwrap(), Purpose::Evidence, &provider())];
            // Of another persona, perhaps.
            let Ok(claims) = token.verify(&keys, Purpose::Evidence, &provider()) else { continue };
            let measured = [("agent", MEASURED.agent), ("launcher", MEASURED.launcher)];
            let measured = measured.into_iter().chain([("configuration", MEASURED.configuration)]);
            let measured = measured.map(|(what, it)| Manifest::sha256(format!("urn:x-tamarack:{what}"), it));
            prop_assert_eq!(claims.into_value().manifests, measured.collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_launcher_that_ends_is_an_error_and_no_hang() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let end = thread::spawn(move || {
        let greeting = FRAMES.receive(&mut theirs).unwrap().unwrap();
        assert_eq!(Ask::decode(&greeting), Ok(Ask::Hello));
        FRAMES.send(&mut theirs, &message::encode_answer(&service().answer(Ask::Hello))).unwrap();
    });
    let launcher = Launcher::connect(ours).unwrap();
    end.join().unwrap();
    assert!(matches!(launcher.storage_secret().err(), Some(Error::Launcher(_))));
}
