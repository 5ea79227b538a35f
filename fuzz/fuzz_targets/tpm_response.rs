//! Responses of a TPM that is broken, or is none: each is a byte of flags, one of length, and a body for which the header is
//! made; or, without the first flag of all, it is everything.
#![no_main]

use std::fs::File;
use std::io::{self, Write};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{provider, seeds};
use tamarack_tee::{Persona, RootOfTrust};
use tamarack_tee_tpm::commands::Tpm;
use tamarack_tee_tpm::root::TpmRoot;
use tamarack_tee_tpm::{Bus, Pcrs};

/// The tag of the command.
const SAME_TAG: u8 = 1;
/// An error: TPM_RC_VALUE of the first parameter.
const FAILS: u8 = 2;
/// The bytes as they are.
const RAW: u8 = 4;

struct Script(Vec<u8>, usize);

impl Bus for Script {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let [flags, length, rest @ ..] = &self.0[self.1..] else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let body = &rest[..usize::from(*length).min(rest.len())];
        self.1 += 2 + body.len();
        if flags & RAW != 0 {
            return Ok(body.to_vec());
        }
        let tag = if flags & SAME_TAG != 0 { [command[0], command[1]] } else { [0x80, 1] };
        let code = if flags & FAILS != 0 { 0x1c4_u32 } else { 0 };
        let size = 10 + body.len() as u32;
        Ok([&tag[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat())
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// Parameters of a response to a command with a password, with what stands before them.
fn authorized(handle: &[u8], parameters: &[u8]) -> Vec<u8> {
    [handle, &(parameters.len() as u32).to_be_bytes(), parameters, &[0, 0, 1, 0, 0]].concat()
}

/// The responses up to a signature.
fn examples() -> Vec<Vec<u8>> {
    let tamarack_crypto::PublicKey::P256 { x, y } = tamarack_fuzz::agreement_key().public_key() else {
        panic!("a P-256 key")
    };
    let none = [0, 0, 0, 0, 1, 0, 0, 0, 0];
    let key = [
        &[0, 0x23, 0, 0x0b, 0, 0, 0, 0, 0, 0][..],
        &[0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10],
        &sized(&x),
        &sized(&y),
    ]
    .concat();
    let created =
        [&sized(&key)[..], &[0, 0, 0, 0, 0x80, 0x21, 0x40, 0, 0, 1, 0, 0], &sized(&[0; 34])].concat();
    let handle = [0x80, 0, 0, 0];
    let signature = [&[0, 0x18, 0, 0x0b][..], &sized(&[7; 32]), &sized(&[7; 31])].concat();
    let script = [
        none.to_vec(),
        none.to_vec(),
        authorized(&handle, &created),
        vec![1; 40],
        Vec::new(),
        handle.to_vec(),
        handle.to_vec(),
        authorized(&[], &[]),
        authorized(&[], &[&sized(&[1; 32])[..], &[0x80, 0x24, 0x40, 0, 0, 1, 0, 0]].concat()),
        authorized(&[], &signature),
        Vec::new(),
    ];
    let one = |body: &Vec<u8>| [&[SAME_TAG, body.len() as u8][..], body].concat();
    vec![
        script.iter().flat_map(one).collect(),
        one(&none.to_vec()),
        [RAW, 10, 0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1].to_vec(),
    ]
}

/// A sealed file of some other device.
fn sealed() -> File {
    static FILE: OnceLock<File> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("tamarack-fuzz-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
        std::fs::remove_file(&path).expect("nobody needs its name");
        file.write_all(b"\x84\x01\x01\x42\0\0\x42\0\0").expect("room for it");
        file
    };
    FILE.get_or_init(make).try_clone().expect("a descriptor")
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let null = || File::options().read(true).write(true).open("/dev/null").expect("it is always there");
    for create in [None, Some(Pcrs::BOOT)] {
        let Ok(tpm) = Tpm::over(Script(data.to_vec(), 0), provider()) else { return };
        let sealed = if create.is_some() { null() } else { sealed() };
        let mut root = TpmRoot::new(tpm, sealed, null(), create);
        let _ = root.attestation_key(Persona(0));
        let _ = root.sign(Persona(0), &[1; 1500]);
        let _ = root.measure(&[4; 32], &[5; 32]);
        assert!(root.storage_secret().is_err(), "it knows no session's key");
        assert!(root.read_counter(0, 80).is_err());
        assert!(root.write_counter(0, 0, &[1; 80]).is_err());
        let _ = root.quote(Persona(0), &[7; 32]);
    }
});
