//! The root of trust over a TPM that is really there: swtpm.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tamarack_attest::tpm;
use tamarack_crypto::Provider;
use tamarack_eat::TpmQuote;
use tamarack_model::codes;
use tamarack_tee::{Error, Persona, RootOfTrust};
use tamarack_tee_tpm::commands::Tpm;
use tamarack_tee_tpm::root::TpmRoot;
use tamarack_tee_tpm::{Address, Bus, Pcrs};
use tamarack_testkit::swtpm::Swtpm;
use tempfile::TempDir;

const AGENT: [u8; 32] = [4; 32];
const CONFIGURATION: [u8; 32] = [5; 32];
const P: Persona = Persona(0);

fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

/// A machine: its TPM and its disk.
struct Machine {
    tpm: Swtpm,
    disk: TempDir,
    state: TempDir,
}

impl Machine {
    fn new() -> Option<Self> {
        let (disk, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tpm = Swtpm::start(state.path())?;
        Some(Self { tpm, disk, state })
    }

    fn tpm(&self) -> Tpm {
        let address: Address = self.tpm.address().parse().unwrap();
        Tpm::open(address.open().unwrap(), provider()).unwrap()
    }

    fn root(&self, create: Option<Pcrs>) -> TpmRoot {
        let open = |name: &str| file(&self.disk.path().join(name));
        TpmRoot::new(self.tpm(), open("sealed"), open("marks"), create)
    }

    /// A root that has measured what it should.
    fn booted(&self, create: Option<Pcrs>) -> TpmRoot {
        let mut root = self.root(create);
        root.measure(&AGENT, &CONFIGURATION).unwrap();
        root
    }
}

fn file(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["sealed", "marks"] {
        std::fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> tamarack_model::Code {
    result.expect_err("refused").code()
}

#[test]
fn s2_the_secret_comes_back_after_a_restart_and_nothing_stays_in_the_tpm() {
    let Some(mut machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    let secret = *root.storage_secret().unwrap().expose();
    assert_ne!(secret, [0; 32]);
    assert_eq!(*root.storage_secret().unwrap().expose(), secret);
    assert_eq!((root.protection(), root.counter_quality()), ("tpm", "tpm"));
    drop(root);
    assert_eq!(*machine.booted(None).storage_secret().unwrap().expose(), secret, "another process");
    // Far more often than there are places in the TPM.
    let mut root = machine.booted(None);
    for i in 0..8 {
        root.storage_secret().unwrap();
        root.sign(Persona(i), b"message").unwrap();
        root.quote(Persona(i), &[7; 32]).unwrap();
    }
    drop(root);
    machine.tpm = machine.tpm.restart();
    assert_eq!(*machine.booted(None).storage_secret().unwrap().expose(), secret, "power off and on");
    let sealed = std::fs::read(machine.disk.path().join("sealed")).unwrap();
    assert!(!sealed.windows(16).any(|window| window == &secret[..16]), "it is not on the disk");
}

#[test]
fn s2_another_state_of_the_machine_does_not_unseal() {
    let Some(mut machine) = Machine::new() else { return };
    let secret = *machine.booted(Some(Pcrs::BOOT)).storage_secret().unwrap().expose();
    let mut root = machine.root(None);
    assert_eq!(
        code(root.storage_secret()),
        codes::TPM_SEALED,
        "what is left of a launcher that ran releases nothing"
    );
    assert_eq!(code(root.measure(&[6; 32], &CONFIGURATION)), codes::TPM_SEALED, "another Agent");
    assert_eq!(code(root.storage_secret()), codes::TPM_SEALED);
    root.measure(&AGENT, &[6; 32]).expect("the configuration is told, not sealed to");
    assert_eq!(*root.storage_secret().unwrap().expose(), secret);
    drop(root);
    // Not sealed to it.
    machine.tpm().pcr_extend(10, &[1; 32]).unwrap();
    machine.booted(None).storage_secret().unwrap();
    machine.tpm().pcr_extend(7, &[1; 32]).unwrap();
    let mut root = machine.root(None);
    assert_eq!(code(root.measure(&AGENT, &CONFIGURATION)), codes::TPM_SEALED, "another Secure Boot policy");
    drop(root);
    machine.tpm = machine.tpm.restart();
    assert_eq!(code(machine.root(None).storage_secret()), codes::TPM_SEALED, "nothing was measured");
    machine.booted(None).storage_secret().expect("the next boot is the right one");
}

#[test]
fn s2_a_copy_without_the_tpm_does_not_open() {
    let Some(machine) = Machine::new() else { return };
    machine.booted(Some(Pcrs::BOOT)).storage_secret().unwrap();
    let Some(mut thief) = Machine::new() else { return };
    thief.disk = copy(machine.disk.path());
    assert_eq!(code(thief.root(None).measure(&AGENT, &CONFIGURATION)), codes::TPM_SEALED);
    let sealed = thief.disk.path().join("sealed");
    let good = std::fs::read(&sealed).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(machine.disk.path().join("sealed"), bad).unwrap();
        machine.root(None).measure(&AGENT, &CONFIGURATION).expect_err("changed");
    }
    std::fs::write(machine.disk.path().join("sealed"), b"").unwrap();
    machine.root(None).measure(&AGENT, &CONFIGURATION).expect_err("empty, and not a new device");
    std::fs::write(machine.disk.path().join("sealed"), &good).unwrap();
    machine.booted(None).storage_secret().unwrap();
}

fn read(root: &mut TpmRoot) -> Result<Vec<Vec<u8>>, Error> {
    (0..2).map(|slot| root.read_counter(slot, 4)).collect()
}

#[test]
fn r9_an_old_disk_with_a_newer_counter_is_rolled_back() {
    let Some(mut machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    assert_eq!(read(&mut root), Ok(vec![vec![], vec![]]), "never written");
    for commit in 0..4_u64 {
        root.write_counter((commit % 2) as usize, commit, &[commit as u8; 4]).unwrap();
    }
    assert_eq!(read(&mut root), Ok(vec![vec![2; 4], vec![3; 4]]));
    drop(root);
    let old = copy(machine.disk.path());
    let mut root = machine.booted(None);
    root.write_counter(0, 4, &[4; 4]).unwrap();
    // The same commit again does no harm, another one than the next does.
    root.write_counter(0, 4, &[4; 4]).unwrap();
    for commit in [3, 6] {
        assert_eq!(root.write_counter(0, commit, &[4; 4]), Err(Error::RolledBack));
    }
    assert_eq!(read(&mut root), Ok(vec![vec![4; 4], vec![3; 4]]));
    drop(root);
    let new = std::mem::replace(&mut machine.disk, old);
    assert_eq!(read(&mut machine.booted(None)), Err(Error::RolledBack), "the old disk");
    std::fs::write(machine.disk.path().join("marks"), b"").unwrap();
    assert_eq!(read(&mut machine.booted(None)), Err(Error::RolledBack), "no marks at all");
    machine.disk = new;
    assert_eq!(read(&mut machine.booted(None)), Ok(vec![vec![4; 4], vec![3; 4]]));
    machine.tpm = machine.tpm.restart();
    assert_eq!(read(&mut machine.booted(None)), Ok(vec![vec![4; 4], vec![3; 4]]), "power off and on");
}

#[test]
fn r9_a_power_cut_between_mark_and_counter_loses_nothing() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    root.write_counter(0, 0, &[0; 4]).unwrap();
    root.write_counter(1, 1, &[1; 4]).unwrap();
    drop(root);
    // The mark of commit 2 is on the disk, and the counter stands for 1: a TPM from before that commit.
    let Machine { tpm, disk, state } = machine;
    drop(tpm);
    let permanent = state.path().join("tpm2-00.permall");
    let before = std::fs::read(&permanent).unwrap();
    let machine = Machine { tpm: Swtpm::start(state.path()).unwrap(), disk, state };
    machine.booted(None).write_counter(0, 2, &[2; 4]).unwrap();
    let Machine { tpm, disk, state } = machine;
    drop(tpm);
    std::fs::write(&permanent, before).unwrap();
    let machine = Machine { tpm: Swtpm::start(state.path()).unwrap(), disk, state };
    assert_eq!(read(&mut machine.booted(None)), Ok(vec![vec![2; 4], vec![1; 4]]));
    machine.booted(None).write_counter(1, 3, &[3; 4]).expect("the counter has caught up");
    // Swapped slots are not authentic.
    let marks = machine.disk.path().join("marks");
    let written = std::fs::read(&marks).unwrap();
    let (zero, one) = written.split_at(4096);
    let mut swapped = one.to_vec();
    swapped.resize(4096, 0);
    swapped.extend(zero);
    std::fs::write(&marks, swapped).unwrap();
    assert_eq!(read(&mut machine.booted(None)), Err(Error::RolledBack));
}

#[test]
fn k6_each_persona_has_a_key_of_its_own_that_signs_messages_of_any_length() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.root(None);
    let keys: Vec<_> = (0..3).map(|n| root.attestation_key(Persona(n)).unwrap()).collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    for length in [4, 5, 1023, 1024, 1025, 2048, 5000] {
        let message: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let signature = root.sign(Persona(1), &message).unwrap();
        provider().verify.verify(&keys[1], &message, &signature).unwrap();
        provider().verify.verify(&keys[0], &message, &signature).expect_err("another persona");
    }
    // What would pass for something that the TPM says is not signed.
    let forged = [b"\xffTCG\x80\x18", &[0; 60][..]].concat();
    assert_eq!(code(root.sign(P, &forged)), codes::TPM_UNAVAILABLE);
    drop(root);
    let again: Vec<_> = (0..3).map(|n| machine.root(None).attestation_key(Persona(n)).unwrap()).collect();
    assert_eq!(again, keys, "derived, not stored");
    let Some(other) = Machine::new() else { return };
    assert_ne!(other.root(None).attestation_key(P).unwrap(), keys[0], "another TPM");
}

#[test]
fn c3_quotes_are_what_appraisal_asks_for() {
    let Some(machine) = Machine::new() else { return };
    machine.tpm().pcr_extend(4, &[9; 32]).unwrap();
    let mut root = machine.booted(Some(Pcrs::BOOT));
    root.storage_secret().unwrap();
    let key = root.attestation_key(P).unwrap();
    let quote = root.quote(P, &[7; 32]).unwrap().expect("a TPM quotes");
    let check = |quote: &tamarack_tee::Quote, key, qualifying| {
        tpm::verify(&quote.attest, &quote.signature, &quote.pcrs, key, qualifying, &provider())
            .map(drop)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(check(&quote, &key, &[7; 32]), Ok(()));
    let numbers: Vec<u8> = quote.pcrs.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 2, 4, 7, 23]);
    assert_ne!(quote.pcrs[2].1, [0; 32]);
    assert_eq!(quote.pcrs[4].1, TpmQuote::launcher_pcr(&AGENT, &CONFIGURATION, &provider()));
    assert_eq!(check(&quote, &key, &[8; 32]), Err(codes::TPM_QUOTE_STALE), "a replay");
    let other = root.attestation_key(Persona(1)).unwrap();
    assert_eq!(check(&quote, &other, &[7; 32]), Err(codes::TPM_QUOTE_SIGNATURE), "another key");
    let mut changed = quote.clone();
    changed.pcrs[2].1 = [0; 32];
    assert_eq!(check(&changed, &key, &[7; 32]), Err(codes::TPM_PCR_DIGEST));
    for at in 0..quote.attest.len() {
        let mut changed = quote.clone();
        changed.attest[at] ^= 1;
        check(&changed, &key, &[7; 32]).expect_err("edited");
    }
}

#[test]
fn an_update_of_the_agent_is_sealed_to_before_it_runs() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    let secret = *root.storage_secret().unwrap().expose();
    root.write_counter(0, 0, &[0; 4]).unwrap();
    let sealed = root.reseal(&[6; 32]).unwrap();
    drop(root);
    machine.booted(None).storage_secret().expect("until the new file is in its place, all is as it was");
    std::fs::write(machine.disk.path().join("sealed"), sealed).unwrap();
    assert_eq!(code(machine.root(None).measure(&AGENT, &CONFIGURATION)), codes::TPM_SEALED, "the old Agent");
    let mut root = machine.root(None);
    root.measure(&[6; 32], &CONFIGURATION).unwrap();
    assert_eq!(*root.storage_secret().unwrap().expose(), secret, "the new one");
    assert_eq!(root.read_counter(0, 4), Ok(vec![0; 4]), "with the same counter");
}

/// A command with handles and an empty password, sent as anybody at the TPM could; whether it was done.
fn command(machine: &Machine, code: u32, handles: &[u32], params: &[u8]) -> bool {
    let handles: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    let password = b"\0\0\0\x09\x40\0\0\x09\0\0\x01\0\0";
    let size = (10 + handles.len() + password.len() + params.len()) as u32;
    let head = [&[0x80, 0x02][..], &size.to_be_bytes(), &code.to_be_bytes()].concat();
    let mut stream = UnixStream::connect(machine.tpm.socket()).unwrap();
    stream.write_all(&[&head, &handles, &password[..], params].concat()).unwrap();
    let mut response = [0; 10];
    stream.read_exact(&mut response).unwrap();
    response[6..] == [0; 4]
}

#[test]
fn a_tpm_that_was_cleared_says_that_it_has_no_such_device() {
    let Some(machine) = Machine::new() else { return };
    drop(machine.booted(Some(Pcrs::BOOT)));
    assert!(command(&machine, 0x126, &[0x4000_000c], &[]), "TPM2_Clear by the platform");
    let error = machine.root(None).measure(&AGENT, &CONFIGURATION).unwrap_err();
    assert_eq!(error.code(), codes::TPM_SEALED);
    assert!(error.to_string().contains("not of this TPM"), "{error}");
}

#[test]
fn r9_a_counter_that_was_removed_is_not_made_again() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    root.write_counter(0, 0, &[0; 4]).unwrap();
    drop(root);
    let removed = (0x0180_5400..0x0180_5500)
        .filter(|index| command(&machine, 0x122, &[0x4000_0001, *index], &[]))
        .count();
    assert_eq!(removed, 1, "the owner of the TPM can do that");
    let mut root = machine.booted(None);
    assert_eq!(code(root.read_counter(0, 4)), codes::TPM_UNAVAILABLE);
    assert_eq!(code(root.write_counter(0, 0, &[0; 4])), codes::TPM_UNAVAILABLE);
    assert_eq!(code(root.write_counter(1, 1, &[1; 4])), codes::TPM_UNAVAILABLE);
}

#[test]
fn a_tpm_in_lockout_still_serves_the_device() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    root.write_counter(0, 0, &[0; 4]).unwrap();
    let secret = *root.storage_secret().unwrap().expose();
    drop(root);
    // No attempt is allowed any more: anybody could bring that about by guessing at something else in the TPM.
    let parameters = [0, 1000, 1000].map(u32::to_be_bytes).concat();
    assert!(command(&machine, 0x13a, &[0x4000_000a], &parameters), "TPM2_DictionaryAttackParameters");
    let mut root = machine.booted(None);
    assert_eq!(*root.storage_secret().unwrap().expose(), secret);
    root.write_counter(1, 1, &[1; 4]).unwrap();
    root.sign(P, b"message").unwrap();
    root.quote(P, &[7; 32]).unwrap();
}

#[test]
fn a_tpm_that_goes_away_is_told_and_what_comes_late_is_not_heard() {
    let Some(machine) = Machine::new() else { return };
    let mut root = machine.booted(Some(Pcrs::BOOT));
    root.write_counter(0, 0, &[0; 4]).unwrap();
    let Machine { tpm, disk: _disk, state: _state } = machine;
    drop(tpm);
    for _ in 0..2 {
        assert_eq!(code(root.read_counter(0, 4)), codes::TPM_UNAVAILABLE);
        assert_eq!(code(root.sign(P, b"message")), codes::TPM_UNAVAILABLE);
        assert_eq!(code(root.write_counter(1, 1, &[1; 4])), codes::TPM_UNAVAILABLE);
    }
    // One that answers after its time: the answer to one command is not taken for that to the next.
    struct Late(bool);
    impl Bus for Late {
        fn transmit(&mut self, _command: &[u8]) -> std::io::Result<Vec<u8>> {
            assert!(!std::mem::replace(&mut self.0, true), "it is used after an error");
            Err(std::io::ErrorKind::TimedOut.into())
        }
    }
    Tpm::over(Late(false), provider()).map(drop).unwrap_err();
}

#[test]
fn a_tpm_that_is_not_there_or_is_in_use_fails_clean() {
    let nowhere: Address = "swtpm:path=/nonexistent/tpm".parse().unwrap();
    nowhere.open().map(drop).expect_err("nobody listens");
    // Something that listens and is no TPM.
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request");
    });
    let address = Address::Unix(path);
    let error = Tpm::open(address.open().unwrap(), provider()).map(drop).expect_err("no TPM");
    assert_eq!(error.code(), codes::TPM_UNAVAILABLE);
    server.join().unwrap();
}
