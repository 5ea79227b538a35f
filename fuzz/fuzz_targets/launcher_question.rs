//! What a taken-over Agent may send its launcher: any bytes as their conversation, and any as a question after the greeting.
#![no_main]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decode, Decoder, Limits};
use tamarack_crypto::{KeyType, PublicKey, Secret};
use tamarack_eat::{Claims, Manifest};
use tamarack_fuzz::{Said, frame, frames, key, provider, seeds};
use tamarack_tee::{Error, Persona, Quote, RootOfTrust, StateRoot};
use tamarack_tee_sandbox::Layers;
use tamarack_tee_sandbox::launcher::{Launcher, Measured, Service, Statement};
use tamarack_tee_sandbox::root::FileRoot;
use tamarack_tee_sandbox::root_secret::RootSecret;

const MEASURED: Measured = Measured { agent: [3; 32], launcher: [4; 32], configuration: [5; 32] };
/// `[0]`.
const HELLO: [u8; 2] = [0x81, 0];

/// A root of trust that looks at what it is to sign: Evidence with what was measured, or the request for a certificate of
/// this very key.
struct Watched(FileRoot);

impl RootOfTrust for Watched {
    fn protection(&self) -> &'static str {
        self.0.protection()
    }
    fn counter_quality(&self) -> &'static str {
        self.0.counter_quality()
    }
    fn measure(&mut self, agent: &[u8; 32], configuration: &[u8; 32]) -> Result<(), Error> {
        self.0.measure(agent, configuration)
    }
    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, Error> {
        self.0.storage_secret()
    }
    fn read_counter(&mut self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        assert!(slot < 2 && length <= 4096);
        self.0.read_counter(slot, length)
    }
    fn write_counter(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error> {
        assert!(slot < 2 && data.len() <= 4096);
        self.0.write_counter(slot, commit, data)
    }
    fn attestation_key(&mut self, persona: Persona) -> Result<PublicKey, Error> {
        assert!(persona.0 < 256);
        self.0.attestation_key(persona)
    }
    fn sign(&mut self, persona: Persona, message: &[u8]) -> Result<[u8; 64], Error> {
        match message {
            [0x84, ..] => assert_eq!(manifests(message), expected()),
            [0x30, ..] => {
                let key = self.attestation_key(persona)?.to_spki();
                assert!(message.windows(key.len()).any(|window| window == key));
            }
            other => panic!("{other:02x?} is to be signed"),
        }
        self.0.sign(persona, message)
    }
    fn quote(&mut self, persona: Persona, qualifying: &[u8; 32]) -> Result<Option<Quote>, Error> {
        self.0.quote(persona, qualifying)
    }
}

/// What the claims in a Sig_structure say was measured.
fn manifests(message: &[u8]) -> Vec<Manifest> {
    let limits = Limits { bytes: 4 << 20, depth: 32, items: 100_000 };
    let read = || {
        let mut d = Decoder::new(message, &limits)?;
        d.array_of(4, "a Sig_structure")?;
        assert_eq!(d.text()?, "Signature1");
        let (_protected, _aad) = (d.bytes()?, d.bytes()?);
        Ok::<_, tamarack_cbor::Error>(Claims::from_cbor(d.bytes()?, &limits)?.manifests)
    };
    read().expect("claims are signed, and nothing else in that form")
}

fn expected() -> Vec<Manifest> {
    let Measured { agent, launcher, configuration } = MEASURED;
    let named = [("agent", agent), ("launcher", launcher), ("configuration", configuration)];
    named.map(|(name, digest)| Manifest::sha256(format!("urn:x-tamarack:{name}"), digest)).to_vec()
}

fn service() -> Service {
    let root = FileRoot::new(RootSecret::new(Secret::new([7; 32])), None, KeyType::Ed25519, provider());
    Service::new(Ok(Box::new(Watched(root))), MEASURED, provider()).with_layers(Layers::ALL, Vec::new())
}

/// A stream that keeps what is read from it.
struct Kept(UnixStream, Vec<u8>);

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Each question of an Agent, and their conversation.
fn examples() -> Vec<Vec<u8>> {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let end = std::thread::spawn(move || {
        let mut kept = Kept(theirs, Vec::new());
        service().serve(&mut kept).expect("an Agent that asks what it may");
        kept.1
    });
    let launcher = Launcher::connect(ours).expect("a greeting");
    let persona = Persona(1);
    let statement = Statement {
        nonce: vec![1; 32],
        ueid: vec![2; 17],
        trust_store_sequence: 3,
        state: StateRoot { epoch: 4, digest: [5; 32] },
        components: Vec::new(),
        ta: None,
        confirm: key("teep").public_key(),
        decryption: tamarack_fuzz::agreement_key().public_key(),
        oemid: [6; 16],
        hwmodel: b"model".to_vec(),
        hwversion: "1".into(),
        layers: Layers::ALL,
    };
    launcher.storage_secret().expect("a secret");
    launcher.attestation_key(persona).expect("a key");
    launcher.attestation_request(persona, "device").expect("a request");
    launcher.firmware_request(persona, "device").expect("a request");
    launcher.firmware_signature(persona, b"a transaction").expect("a signature");
    launcher.evidence(persona, statement, vec![vec![0x30, 0]]).expect("Evidence");
    drop(launcher);
    let conversation = end.join().expect("a launcher that ends");
    let mut examples = frames(&conversation).expect("frames");
    // Read and write the counter.
    examples.push(vec![0x83, 2, 0, 0x18, 80]);
    examples.push([&[0x84, 3, 1, 1, 0x58, 80][..], &[9; 80]].concat());
    examples.push(conversation);
    examples
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    for conversation in [data.to_vec(), [frame(&HELLO), frame(data), frame(&HELLO)].concat()] {
        let mut stream = Said::new(&conversation);
        let end = service().serve(&mut stream);
        let answers = frames(&stream.answered).expect("whole frames are answered");
        let asked = frames(&conversation).map_or(usize::MAX, |frames| frames.len());
        assert!(answers.len() <= asked && (end.is_err() || answers.len() == asked));
        assert!(answers.iter().all(|answer| answer.len() <= 1 << 20));
    }
});
