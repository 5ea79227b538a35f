//! The TEE as a real process, behind its walls, driven over its channel: from an empty folder to an enrolled device, over
//! restarts, and refusing what it must. The test starts itself again as the TEE.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tamarack_broker::TeeChannel;
use tamarack_channel::{
    Action, Enrolment, Failure, NameKind, OtrpProfile, OtrpSeed, PeripheralSeed, Profile, Proof, Request,
    Requests, SignerSeed, Status, TaState, TamSeed, Target, Value,
};
use tamarack_crypto::KeyType;
use tamarack_model::{Code, ComponentId, Protocol, codes};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem, generate_key, load_key};
use tamarack_tee_host::{
    AGENT_SUBCOMMAND, COUNTER_SUFFIX, Configuration, LAUNCHER_SUBCOMMAND, LaunchError, LaunchOptions,
    Measured, PanelAt, Root, RootKind, launch, measurements,
};
use tamarack_x509::{Name, Role};

const TAM_URI: &str = "https://tam.example/tam";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first() {
        Some(first) if first == LAUNCHER_SUBCOMMAND => tamarack_tee_host::launcher_main(args[1..].to_vec()),
        Some(first) if first == AGENT_SUBCOMMAND => tamarack_tee_host::agent_main(args[1..].to_vec()),
        // What cargo's test runner passes selects nothing here: there is one story.
        Some(first) if first == "--list" => ExitCode::SUCCESS,
        _ => {
            enrolment_survives_restarts();
            s2_a_copy_of_the_folder_without_the_fuse_is_useless();
            r9_an_old_copy_of_the_folder_is_refused();
            s2_the_fuse_lies_outside();
            an_otrp_identity_survives_restarts();
            a_device_without_an_identity_speaks_no_otrp();
            e2_what_runs_is_what_was_measured();
            k6_no_secret_of_the_launcher_is_in_the_agents_memory();
            a_panel_is_asked_and_a_missing_one_is_told();
            what_is_no_agent_gives_no_tee();
            an_agent_does_not_outlive_its_launcher();
            a_launcher_does_not_outlive_its_agent();
            k6_the_launcher_keeps_nothing_open_that_it_does_not_need();
            println!("process: ok");
            ExitCode::SUCCESS
        }
    }
}

struct Place {
    scratch: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("tee")
    }

    fn fuse(&self) -> PathBuf {
        self.scratch.path().join("fuse")
    }

    fn options<'a>(&self, folder: &'a Path, fuse: &'a Path) -> LaunchOptions<'a> {
        LaunchOptions {
            folder,
            root: Root::File { fuse },
            key_type: KeyType::Ed25519,
            agent: None,
            panel: None,
            create: false,
            require_sandbox: false,
        }
    }

    fn start(&self, create: bool) -> Tee {
        let (folder, fuse) = (self.folder(), self.fuse());
        Tee::start(LaunchOptions { create, ..self.options(&folder, &fuse) })
    }
}

/// A running TEE; ended when dropped.
struct Tee {
    channel: Option<TeeChannel>,
    child: std::process::Child,
}

impl Tee {
    fn start(options: LaunchOptions<'_>) -> Self {
        let launched = launch(options).unwrap();
        Self { channel: Some(TeeChannel::new(launched.channel)), child: launched.child }
    }

    fn ask(&mut self, request: Request) -> (Result<Value, Failure>, Vec<Action>) {
        let reply = self.channel.as_mut().unwrap().call(request).expect("an answer of the TEE");
        (reply.result, reply.actions)
    }

    fn status(&mut self) -> Status {
        match self.ask(Request::Status).0 {
            Ok(Value::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&mut self, request: Request) -> Code {
        self.ask(request).0.unwrap_err().code
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        drop(self.channel.take());
        assert!(self.child.wait().unwrap().success(), "the TEE ends with its channel");
    }
}

fn profile() -> Profile {
    Profile {
        common_name: "test device".into(),
        vendor_id: [1; 16],
        class_id: [2; 16],
        oemid: [3; 16],
        hwmodel: b"model".to_vec(),
        hwversion: "1".into(),
        key_type: KeyType::Ed25519,
        personas: 3,
        otrp: None,
    }
}

fn valve() -> ComponentId {
    ComponentId::parse_text("com.acme/valve/suit").unwrap()
}

fn enrolment(csr: &Requests) -> Enrolment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity::days(now - 60, 30);
    let ca = |role, name: &str| Authority::create(role, name, KeyType::Ed25519, validity).unwrap();
    let (tee, tam) = (ca(Role::Tee, "TEE CA"), ca(Role::Tam, "TAM CA"));
    let subject = Subject { uri: "urn:device:1".into(), common_name: "test device".into() };
    let leaves =
        tee.issue_from_csr(&csr.attestation, subject, validity.not_before, validity.not_after).unwrap();
    let leaves = certificates_from_pem(&leaves).unwrap().into_iter();
    let chains = leaves.map(|leaf| vec![leaf, tee.cert_der().to_vec()]).collect();
    let signer = load_key(&generate_key(KeyType::Ed25519).unwrap()).unwrap();
    Enrolment {
        chains,
        otrp_chains: Vec::new(),
        firmware_chains: Vec::new(),
        tams: vec![TamSeed {
            proof: Some(Proof::Certificate { root: tam.cert_der().to_vec(), uri: TAM_URI.into() }),
            otrp: None,
            protocol: Protocol::Teep,
            domains: 0,
            domain_quota: 0,
            uri: Some(TAM_URI.into()),
            scopes: vec![Vec::new()],
            require_binding: true,
        }],
        signers: vec![SignerSeed {
            provider: "acme".into(),
            proof: Proof::Keys(vec![signer.public_key().to_spki()]),
            prefixes: vec![vec![b"com.acme".to_vec()]],
            quota: 1 << 20,
        }],
        peripherals: vec![PeripheralSeed { name: "valve".into(), tam: 0, manifest: valve() }],
        authority: None,
        owner: None,
    }
}

fn enrolled(place: &Place) -> Tee {
    made_and_enrolled(place).1
}

/// What the TEE told its maker, and it as it runs from then on.
fn made_and_enrolled(place: &Place) -> (Status, Tee) {
    let mut tee = place.start(true);
    let Ok(Value::Csr(csr)) = tee.ask(Request::Csr(profile())).0 else { panic!("no request") };
    let made = tee.status();
    assert_eq!(tee.ask(Request::Enrol(enrolment(&csr))).0, Ok(Value::Done));
    (made, tee)
}

fn enrolment_survives_restarts() {
    let place = Place::new();
    let begun = Instant::now();
    let mut tee = place.start(true);
    let blank = tee.status();
    let layers = tamarack_tee_sandbox::Layers::from_bits(blank.layers);
    println!("TEE answers after {:?}; layers {layers}; missing {:?}", begun.elapsed(), blank.missing_layers);
    assert!(!blank.enrolled && blank.device_id.is_none());
    assert_eq!(blank.launcher_pid, tee.child.id());
    assert_ne!(blank.pid, blank.launcher_pid);
    let component = valve();
    for request in [
        Request::RequestTa { component: component.clone(), tam_uri: None },
        Request::OpenSession { target: Target::Uuid([0; 16]), tam_uri: None, params: Vec::new() },
        Request::ProcessOtrpMessage(b"{}".to_vec()),
        Request::GetTaInformation { query: b"{}".to_vec(), tam_uri: None },
        Request::Enrol(Enrolment {
            chains: Vec::new(),
            otrp_chains: Vec::new(),
            firmware_chains: Vec::new(),
            tams: Vec::new(),
            signers: Vec::new(),
            peripherals: Vec::new(),
            authority: None,
            owner: None,
        }),
    ] {
        assert_eq!(tee.refused(request), codes::CONFIG_INVALID, "nothing goes before there are keys");
    }

    let Ok(Value::Csr(csr)) = tee.ask(Request::Csr(profile())).0 else { panic!("no request") };
    let made = tee.status();
    assert!(made.device_id.is_some() && !made.enrolled);
    drop(tee);

    // The same keys after a restart, and no second device in the same place.
    let mut tee = place.start(false);
    assert_eq!(tee.status().device_id, made.device_id);
    let foreign = load_key(&generate_key(KeyType::Ed25519).unwrap()).unwrap();
    let foreign = tamarack_pki::csr(&*foreign, "x").unwrap();
    let foreign = enrolment(&Requests { attestation: foreign, ..Requests::default() });
    assert_eq!(tee.refused(Request::Enrol(foreign)), codes::X509_MALFORMED, "a certificate of another key");
    let good = enrolment(&csr);
    let nameless = Enrolment {
        peripherals: vec![PeripheralSeed { name: "valve".into(), tam: 7, manifest: valve() }],
        ..good.clone()
    };
    assert_eq!(tee.refused(Request::Enrol(nameless)), codes::CONFIG_INVALID);
    assert_eq!(tee.ask(Request::Enrol(good)).0, Ok(Value::Done));
    let sealed = tee.status();
    assert!(sealed.enrolled && sealed.state_epoch > made.state_epoch);
    assert!(made.report_key.is_some(), "for its maker's records");
    assert_eq!(
        (sealed.device_id, &sealed.report_key),
        (None, &None),
        "e5: a Broker learns no name of the device"
    );
    assert_eq!(sealed.peripherals.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["valve"]);
    drop(tee);

    let mut tee = place.start(false);
    let again = tee.status();
    assert_eq!(
        (again.state_digest, again.state_epoch, again.enrolled),
        (sealed.state_digest, sealed.state_epoch, true)
    );
    assert_eq!((again.device_id, again.report_key), (None, None), "nor later");
    assert_eq!(tee.refused(Request::Enrol(enrolment(&csr))), codes::NOT_PERMITTED, "anchors are sealed once");

    let (result, actions) = tee.ask(Request::RequestTa { component: component.clone(), tam_uri: None });
    assert_eq!(result, Ok(Value::Done));
    let pending = Action::Progress { component, state: TaState::Pending, received: 0, total: None };
    assert_eq!(actions, [pending, Action::Connect { tam_uri: TAM_URI.into(), protocol: Protocol::Teep }]);
    let (_, actions) = tee.ask(Request::ProcessTeepMessage(b"not a message".to_vec()));
    assert!(
        actions.iter().any(|a| matches!(a, Action::Finished { failure: Some(_) })),
        "garbage is refused: {actions:?}"
    );
    assert_eq!(tee.status().state_digest, sealed.state_digest, "and changes nothing");
    let target = Target::Component(valve());
    assert_eq!(
        tee.refused(Request::OpenSession { target, tam_uri: None, params: Vec::new() }),
        codes::TA_NOT_FOUND
    );
    assert_eq!(tee.refused(Request::Chunk { fetch: 3, data: vec![1], last: true }), codes::TEEP_UNEXPECTED);
}

fn s2_a_copy_of_the_folder_without_the_fuse_is_useless() {
    let place = Place::new();
    drop(enrolled(&place));
    let other = place.scratch.path().join("other-fuse");
    fs::write(&other, [9; 32]).unwrap();
    let folder = place.folder();
    let mut tee = Tee::start(LaunchOptions { create: true, ..place.options(&folder, &other) });
    assert_eq!(tee.refused(Request::Status), codes::TEE_STORAGE);
    assert_eq!(tee.refused(Request::Csr(profile())), codes::TEE_STORAGE, "nor is a new device made over it");
}

fn r9_an_old_copy_of_the_folder_is_refused() {
    let place = Place::new();
    let mut tee = place.start(true);
    let Ok(Value::Csr(csr)) = tee.ask(Request::Csr(profile())).0 else { panic!("no request") };
    drop(tee);
    let old = place.scratch.path().join("old");
    copy(&place.folder(), &old);
    let mut tee = place.start(false);
    assert_eq!(tee.ask(Request::Enrol(enrolment(&csr))).0, Ok(Value::Done));
    drop(tee);
    let fuse = place.fuse();
    let mut tee = Tee::start(place.options(&old, &fuse));
    assert_eq!(tee.refused(Request::Status), codes::TEE_STORAGE);
    drop(tee);
    assert!(place.start(false).status().enrolled, "the current one still opens");
}

fn s2_the_fuse_lies_outside() {
    let place = Place::new();
    let folder = place.folder();
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("fuse");
    let result = launch(LaunchOptions { create: true, ..place.options(&folder, &inside) });
    assert!(matches!(result, Err(LaunchError::FuseInside(_))), "{result:?}");
    let fuse = place.fuse();
    let result = launch(place.options(&folder, &fuse));
    assert!(matches!(result, Err(LaunchError::Fuse(..))), "no fuse is made unless asked for: {result:?}");
    assert!(!place.scratch.path().join(format!("fuse{COUNTER_SUFFIX}")).exists());
}

fn otrp_profile() -> Profile {
    let otrp = OtrpProfile { tee_name: "valve-tee".into(), tee_version: "1".into() };
    Profile { otrp: Some(otrp), ..profile() }
}

/// Adds OTrP to an enrolment: the one TAM has a principal in it, and the requests for it are certified.
fn with_otrp(enrolment: Enrolment, requests: &Requests) -> Enrolment {
    let validity = Validity::days(UNIX_EPOCH.elapsed().unwrap().as_secs() - 60, 30);
    let chain = |ca, role, request: &str| {
        let authority = Authority::create(ca, "CA", KeyType::P256, validity).unwrap();
        let name = Name::Uri("urn:device:1".into());
        let leaves = authority.issue_named_from_csr(request, role, &name, "device", validity).unwrap();
        let leaves = certificates_from_pem(&leaves).unwrap().into_iter();
        leaves.map(|leaf| vec![leaf, authority.cert_der().to_vec()]).collect()
    };
    let mut tams = enrolment.tams;
    let Some(Proof::Certificate { root, .. }) = &tams[0].proof else { panic!("a certificate") };
    tams[0].otrp = Some(OtrpSeed {
        root: root.clone(),
        name: "1.3.6.1.4.1.61999.2.1".into(),
        kind: NameKind::RegisteredId,
        draft: false,
    });
    (tams[0].domains, tams[0].domain_quota) = (4, 1 << 20);
    Enrolment {
        otrp_chains: chain(Role::Tee, Role::OtrpTee, &requests.tee),
        firmware_chains: chain(Role::Firmware, Role::Firmware, &requests.firmware),
        tams,
        ..enrolment
    }
}

fn an_otrp_identity_survives_restarts() {
    let place = Place::new();
    let mut tee = place.start(true);
    let Ok(Value::Csr(csr)) = tee.ask(Request::Csr(otrp_profile())).0 else { panic!("no request") };
    for requests in [&csr.attestation, &csr.tee, &csr.firmware] {
        assert_eq!(requests.matches("-----BEGIN").count(), 3, "one for each persona");
    }
    let made = tee.status();
    assert_eq!((made.otrp_name.as_deref(), made.otrp_ready), (Some("valve-tee"), false));
    drop(tee);

    let mut tee = place.start(false);
    let Ok(Value::Csr(again)) = tee.ask(Request::Csr(profile())).0 else { panic!("no request") };
    assert_eq!(again.tee.matches("-----BEGIN").count(), 3, "a device stays what it was made as");
    let good = with_otrp(enrolment(&csr), &csr);
    let swapped = Enrolment {
        otrp_chains: good.firmware_chains.clone(),
        firmware_chains: good.otrp_chains.clone(),
        ..good.clone()
    };
    assert_eq!(tee.refused(Request::Enrol(swapped)), codes::X509_MALFORMED);
    let status = tee.status();
    assert!(!status.otrp_ready && !status.enrolled, "a refused enrolment leaves nothing");
    assert_eq!(tee.ask(Request::Enrol(good)).0, Ok(Value::Done));
    let sealed = tee.status();
    assert!(sealed.otrp_ready && sealed.enrolled && sealed.domains.is_empty());
    drop(tee);

    let mut tee = place.start(false);
    let again = tee.status();
    assert_eq!((again.state_digest, again.otrp_ready), (sealed.state_digest, true));
    let (_, actions) = tee.ask(Request::ProcessOtrpMessage(b"{\"not\": \"a message\"}".to_vec()));
    assert!(
        actions.iter().any(|a| matches!(a, Action::Finished { failure: Some(_) })),
        "garbage is refused: {actions:?}"
    );
    assert!(!actions.iter().any(|a| matches!(a, Action::Send { .. })), "and not answered: {actions:?}");
    tee.ask(Request::GetTaInformation { query: b"{}".to_vec(), tam_uri: None }).0.unwrap_err();
    assert_eq!(tee.status().state_digest, sealed.state_digest, "and changes nothing");
}

fn a_device_without_an_identity_speaks_no_otrp() {
    let place = Place::new();
    let mut tee = place.start(true);
    let Ok(Value::Csr(csr)) = tee.ask(Request::Csr(profile())).0 else { panic!("no request") };
    assert_eq!(tee.status().otrp_name, None);
    let other = Place::new();
    let Ok(Value::Csr(requests)) = other.start(true).ask(Request::Csr(otrp_profile())).0 else {
        panic!("no request")
    };
    let mixed = with_otrp(enrolment(&csr), &requests);
    assert_eq!(tee.refused(Request::Enrol(mixed)), codes::CONFIG_INVALID);
    assert_eq!(tee.ask(Request::Enrol(enrolment(&csr))).0, Ok(Value::Done));
    let (_, actions) = tee.ask(Request::ProcessOtrpMessage(b"{}".to_vec()));
    assert!(!actions.iter().any(|a| matches!(a, Action::Send { .. })), "{actions:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The launcher's digests are those that a maker computes beforehand; an Agent with one byte more runs, opens the same
/// storage, and has another digest that it cannot do anything about.
fn e2_what_runs_is_what_was_measured() {
    let place = Place::new();
    drop(enrolled(&place));
    let configuration = Configuration {
        root: RootKind::File,
        key_type: KeyType::Ed25519,
        panel: false,
        require_sandbox: false,
    };
    let digests = |Measured { agent, launcher, configuration }| [agent, launcher, configuration];
    let begun = Instant::now();
    let released = digests(measurements(None, &configuration).unwrap());
    let size = fs::metadata("/proc/self/exe").unwrap().len();
    println!("measuring {size} bytes took {:?}", begun.elapsed());
    let genuine = place.start(false).status();
    assert_eq!(genuine.measured, released);

    let modified = place.scratch.path().join("agent");
    let mut code = fs::read("/proc/self/exe").unwrap();
    code.push(0);
    fs::write(&modified, code).unwrap();
    fs::set_permissions(&modified, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (folder, fuse) = (place.folder(), place.fuse());
    let begun = Instant::now();
    let options = LaunchOptions { agent: Some(&modified), ..place.options(&folder, &fuse) };
    let mut tee = Tee::start(options);
    let status = tee.status();
    println!("a TEE with an Agent in a file of its own answers after {:?}", begun.elapsed());
    assert!(status.enrolled && status.state_digest == genuine.state_digest, "it opens the same storage");
    assert_eq!(status.measured, digests(measurements(Some(&modified), &configuration).unwrap()));
    assert_ne!(status.measured[0], released[0]);
    assert_eq!(status.measured[1..], released[1..]);
    // The file may go away or change: what runs is the copy that was measured.
    fs::write(&modified, b"#!/bin/false\n").unwrap();
    assert_eq!(tee.status().measured, status.measured);
    drop(tee);

    let mut tee = Tee::start(LaunchOptions { key_type: KeyType::P256, ..place.options(&folder, &fuse) });
    assert_ne!(tee.status().measured[2], released[2], "another configuration is another device");
}

fn a_panel_is_asked_and_a_missing_one_is_told() {
    let place = Place::new();
    let (folder, fuse, socket) = (place.folder(), place.fuse(), place.scratch.path().join("panel"));
    // This test is at the panel, and the rich OS is somebody else.
    let own = fs::metadata(place.scratch.path()).unwrap().uid();
    let panel = Some(PanelAt { socket: &socket, rich_os: own + 1 });
    let options = LaunchOptions { create: true, panel, ..place.options(&folder, &fuse) };
    assert_eq!(Tee::start(options).refused(Request::Status), codes::TEE_NO_PANEL);
    let listener = UnixListener::bind(&socket).unwrap();
    let status = Tee::start(options).status();
    assert!(!status.enrolled);
    // It was connected by the launcher, and closed when the TEE ended.
    let (mut connection, _) = listener.accept().unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    // Where the TEE has a user of its own, the rich OS is turned away; elsewhere nobody can be told apart.
    let panel = Some(PanelAt { socket: &socket, rich_os: own });
    let mut tee = Tee::start(LaunchOptions { panel, ..options });
    match status.uid != own {
        true => assert_eq!(tee.refused(Request::Status), codes::TEE_NO_PANEL),
        false => assert!(!tee.status().enrolled),
    }
}

fn what_is_no_agent_gives_no_tee() {
    let place = Place::new();
    let (folder, fuse) = (place.folder(), place.fuse());
    let options = LaunchOptions { create: true, ..place.options(&folder, &fuse) };
    let missing = place.scratch.path().join("missing");
    let result = launch(LaunchOptions { agent: Some(&missing), ..options });
    assert!(matches!(result, Err(LaunchError::Agent(..))), "{result:?}");
    let text = place.scratch.path().join("text");
    fs::write(&text, "not a program").unwrap();
    let mut tee = Tee::start(LaunchOptions { agent: Some(&text), ..options });
    assert_eq!(tee.refused(Request::Status), codes::TEE_LAUNCHER);
    drop(tee);
    // A program that is something else ends at once, and the channel with it.
    let launched = launch(LaunchOptions { agent: Some(Path::new("/bin/true")), ..options }).unwrap();
    let mut channel = TeeChannel::new(launched.channel);
    channel.call(Request::Status).unwrap_err();
    let mut child = launched.child;
    child.wait().unwrap();
}

/// Only root can look; what it finds in the Agent's memory is what whoever broke the Agent would find.
fn k6_no_secret_of_the_launcher_is_in_the_agents_memory() {
    let place = Place::new();
    let (made, mut tee) = made_and_enrolled(&place);
    let status = tee.status();
    // The Agent has made its Evidence, its requests and its reports, as far as it can.
    tee.ask(Request::RequestTa { component: valve(), tam_uri: None }).0.unwrap();
    let Some(agent) = memory(status.pid) else {
        println!("skipped: this user cannot look into the Agent's memory");
        return;
    };
    let has = |memory: &[u8], secret: &[u8]| memory.windows(secret.len()).any(|window| window == secret);
    // The search finds what is there: the Agent knows the public half of its own key.
    let report_key = made.report_key.unwrap();
    assert!(has(&agent, &report_key[report_key.len() - 32..]), "the search finds nothing");
    let fuse = fs::read(place.fuse()).unwrap();
    let derive = |info: &[&[u8]]| {
        let mut key = [0; 32];
        let provider = tamarack_crypto_rustcrypto::provider();
        provider.hkdf.derive(b"", &fuse, &info.concat(), &mut key).unwrap();
        key
    };
    let seed = derive(&[b"tamarack attestation key", b"Ed25519", &[0; 4], &[0]]);
    // The derivation above is the launcher's: its public half is the device's id.
    let pkcs8 = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &seed].concat();
    let provider = tamarack_crypto_rustcrypto::provider();
    let public = provider.keys.load_pkcs8(&pkcs8).unwrap().public_key();
    assert_eq!(made.device_id, Some(tamarack_cose::thumbprint(&public, &provider).0));
    for (what, secret) in [
        ("the root secret", &fuse[..]),
        ("the attestation key", &seed),
        ("the root's storage secret", &derive(&[b"tamarack storage secret"])),
    ] {
        assert!(!has(&agent, secret), "{what} is in the Agent's memory");
        for half in secret.chunks(16) {
            assert!(!has(&agent, half), "half of {what} is in the Agent's memory");
        }
    }
}

/// All that can be read of a process; None if nothing can.
fn memory(pid: u32) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        // Code and constants are those of the program; what a process learns is where it can write.
        if !permissions.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let mut part = vec![0; (u64::from_str_radix(end, 16).ok()? - start) as usize];
        // Secret memory cannot be read by anybody, which is what it is for.
        if file.read_exact_at(&mut part, start).is_ok() {
            all.extend_from_slice(&part);
        }
    }
    (!all.is_empty()).then_some(all)
}

fn an_agent_does_not_outlive_its_launcher() {
    let place = Place::new();
    let (folder, fuse) = (place.folder(), place.fuse());
    let options = LaunchOptions { create: true, ..place.options(&folder, &fuse) };
    let launched = launch(options).unwrap();
    let mut channel = TeeChannel::new(launched.channel);
    let Ok(Value::Status(status)) = channel.call(Request::Status).unwrap().result else { panic!("a status") };
    let mut launcher = launched.child;
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    channel.call(Request::Status).unwrap_err();
    // What has ended and was not waited for has no command line any more.
    let alive = || fs::read(format!("/proc/{}/cmdline", status.pid)).is_ok_and(|line| !line.is_empty());
    let begun = Instant::now();
    while alive() {
        assert!(begun.elapsed().as_secs() < 5, "the Agent goes on without its launcher");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    place.start(false).status();
}

fn a_launcher_does_not_outlive_its_agent() {
    let place = Place::new();
    drop(place.start(true));
    let (folder, fuse) = (place.folder(), place.fuse());
    let launched = launch(place.options(&folder, &fuse)).unwrap();
    let mut channel = TeeChannel::new(launched.channel);
    let Ok(Value::Status(status)) = channel.call(Request::Status).unwrap().result else { panic!("a status") };
    let killed = std::process::Command::new("kill").args(["-KILL", &status.pid.to_string()]).status();
    if !killed.is_ok_and(|status| status.success()) {
        println!("skipped: this user cannot end the Agent");
        return;
    }
    // It ends, with the channel still open at this end, and says that not all went well.
    let mut launcher = launched.child;
    assert!(!launcher.wait().unwrap().success());
    channel.call(Request::Status).unwrap_err();
    place.start(false).status();
}

/// Standard input and output, standard error, the socket to the Agent and the counter; the root secret is in memory, and
/// channel and storage folder are the Agent's.
fn k6_the_launcher_keeps_nothing_open_that_it_does_not_need() {
    let place = Place::new();
    let mut tee = place.start(true);
    let status = tee.status();
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", status.launcher_pid)) else {
        println!("skipped: this user cannot look at the launcher's descriptors");
        return;
    };
    let open: Vec<_> = open.map(|entry| fs::read_link(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(open.len(), 5, "{open:?}");
    let counter = format!("{}{COUNTER_SUFFIX}", place.fuse().display());
    assert_eq!(open.iter().filter(|path| **path == Path::new(&counter)).count(), 1, "{open:?}");
}
