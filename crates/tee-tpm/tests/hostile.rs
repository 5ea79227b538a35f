//! A TPM, or a bus, that answers what it should not: an error or the truth comes of it, and never a panic, a hang or more
//! memory than a response has.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use tamarack_crypto::Provider;
use tamarack_tee::{Persona, RootOfTrust};
use tamarack_tee_tpm::commands::Tpm;
use tamarack_tee_tpm::root::TpmRoot;
use tamarack_tee_tpm::{Bus, Pcrs};
use tamarack_testkit::swtpm::Swtpm;

const AGENT: [u8; 32] = [4; 32];
const CONFIGURATION: [u8; 32] = [5; 32];
const P: Persona = Persona(0);

fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

fn file(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// Answers these bodies, one after the other, in well-formed responses; then nothing more.
struct Script(std::vec::IntoIter<(bool, u8, Vec<u8>)>);

impl Bus for Script {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let (same, code, body) = self.0.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let tag = if same { [command[0], command[1]] } else { [0x80, 0x01] };
        let size = 10 + body.len() as u32;
        Ok([&tag[..], &size.to_be_bytes(), &u32::from(code).to_be_bytes(), &body].concat())
    }
}

/// Answers these bytes.
struct Raw(std::vec::IntoIter<Vec<u8>>);

impl Bus for Raw {
    fn transmit(&mut self, _command: &[u8]) -> io::Result<Vec<u8>> {
        self.0.next().ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Asks everything of a TPM whose word nothing shows to be true: what it says may be believed or not, the rest is refused.
fn ask_everything(bus: impl Bus + Send + 'static, sealed: &[u8]) {
    let Ok(tpm) = Tpm::over(bus, provider()) else { return };
    let (mut file, marks) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    file.write_all(sealed).unwrap();
    let create = sealed.is_empty().then_some(Pcrs::BOOT);
    let mut root = TpmRoot::new(tpm, file, marks, create);
    let _ = root.attestation_key(P);
    let _ = root.sign(P, &[1; 1500]);
    let _ = root.measure(&AGENT, &CONFIGURATION);
    assert!(root.storage_secret().is_err(), "it knows no session's key");
    assert!(root.read_counter(0, 80).is_err());
    assert!(root.write_counter(0, 0, &[1; 80]).is_err());
    let _ = root.quote(P, &[7; 32]);
}

/// A response of a counted list: for TPM2_GetCapability, and whatever else takes it.
fn list(count: u32, items: Vec<u8>) -> Vec<u8> {
    [&[0, 0, 0, 0, 1][..], &count.to_be_bytes(), &items].concat()
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..100),
        (prop_oneof![Just(0), Just(1), any::<u32>()], vec(any::<u8>(), 0..20))
            .prop_map(|(count, items)| list(count, items)),
        // A handle, the size of parameters, and something sized in them.
        (any::<u32>(), any::<u8>(), vec(any::<u8>(), 0..90)).prop_map(|(handle, size, rest)| {
            [&handle.to_be_bytes()[..], &[0, 0, 0, size, 0, size / 2], &rest].concat()
        }),
    ]
}

proptest! {
    #[test]
    fn any_response_is_an_error_or_an_answer(
        responses in vec((any::<bool>(), prop_oneof![9 => Just(0_u8), 1 => any::<u8>()], body()), 0..24),
        fresh: bool,
    ) {
        // Past the two lists of handles that are asked for first.
        let begin = [(true, 0, list(0, Vec::new())), (true, 0, list(0, Vec::new()))];
        let script: Vec<_> = begin.into_iter().chain(responses).collect();
        let sealed: &[u8] = if fresh { b"" } else { b"\x84\x01\x01\x42\0\0\x42\0\0" };
        ask_everything(Script(script.into_iter()), sealed);
    }

    #[test]
    fn any_bytes_are_no_response_or_one(responses in vec(vec(any::<u8>(), 0..40), 0..6)) {
        ask_everything(Raw(responses.into_iter()), b"");
    }
}

/// swtpm, with one byte of one response changed on its way.
struct Bent {
    stream: UnixStream,
    sent: Arc<AtomicUsize>,
    at: usize,
    byte: usize,
    by: u8,
}

impl Bus for Bent {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.write_all(command)?;
        let mut response = vec![0; 6];
        self.stream.read_exact(&mut response)?;
        let size = u32::from_be_bytes([response[2], response[3], response[4], response[5]]);
        response.resize(size as usize, 0);
        self.stream.read_exact(&mut response[6..])?;
        if self.sent.fetch_add(1, Ordering::SeqCst) == self.at {
            // Not the size: that the bus itself sees.
            let at = [0, 1].into_iter().chain(6..response.len()).cycle().nth(self.byte).unwrap();
            response[at] ^= self.by;
        }
        Ok(response)
    }
}

/// Secrets and counters cross the bus under keys that it does not have: they arrive as they are or not at all.
#[test]
fn s2_a_bent_response_gives_the_truth_or_an_error() {
    let (disk, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(tpm) = Swtpm::start(state.path()) else { return };
    let root = |at, byte, by, create| {
        let sent = Arc::new(AtomicUsize::new(0));
        let stream = UnixStream::connect(tpm.socket()).unwrap();
        let bus = Bent { stream, sent: sent.clone(), at, byte, by };
        let [sealed, marks] = ["sealed", "marks"].map(|name| file(&disk.path().join(name)));
        (Tpm::over(bus, provider()).map(|tpm| TpmRoot::new(tpm, sealed, marks, create)), sent)
    };
    let whole = |create| root(usize::MAX, 0, 0, create);
    let (first, _) = whole(Some(Pcrs::BOOT));
    let mut first = first.unwrap();
    first.measure(&AGENT, &CONFIGURATION).unwrap();
    let secret = *first.storage_secret().unwrap().expose();
    first.write_counter(0, 0, &[0; 4]).unwrap();
    drop(first);

    // How many responses there are in all of it.
    let story = |root: &mut TpmRoot| {
        let measured = root.measure(&AGENT, &CONFIGURATION);
        let read = root.read_counter(0, 4);
        (measured, root.storage_secret(), read, root.sign(P, b"message"), root.quote(P, &[7; 32]))
    };
    let (last, sent) = whole(None);
    let mut last = last.unwrap();
    story(&mut last).4.unwrap();
    drop(last);
    let responses = sent.load(Ordering::SeqCst);
    assert!(responses > 20, "{responses}");

    let mut refused = 0;
    for at in 0..responses {
        for (byte, by) in [(0, 1), (5, 1), (6, 0x80), (9, 0xff), (17, 1), (40, 4)] {
            let (bent, _) = root(at, byte, by, None);
            let Ok(mut bent) = bent else {
                refused += 1;
                continue;
            };
            let (measured, held, read, signed, quoted) = story(&mut bent);
            for one in [measured.is_err(), held.is_err(), read.is_err(), signed.is_err(), quoted.is_err()] {
                refused += usize::from(one);
            }
            if let Ok(held) = held {
                assert_eq!(*held.expose(), secret, "response {at}, byte {byte}");
            }
            if let Ok(read) = read {
                assert_eq!(read, [0; 4], "response {at}, byte {byte}");
            }
        }
    }
    assert!(refused > responses, "{refused} of {responses}");
    let (after, _) = whole(None);
    let mut after = after.unwrap();
    after.measure(&AGENT, &CONFIGURATION).unwrap();
    assert_eq!(*after.storage_secret().unwrap().expose(), secret, "and the device is what it was");
}
