//! Wrong configuration names file, key and fix; nothing panics.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tamarack_crypto::KeyType;
use tamarack_model::codes;
use tamarack_pki::{Authority, Kind, Validity, generate_key, load_key};
use tamarack_tam_server::{Config, GradeName, Profile, init, start};
use tamarack_x509::Role;
use tempfile::TempDir;

use crate::support::options;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tam.toml");
    fs::write(&file, text).unwrap();
    let error = Config::read(&file).unwrap_err();
    assert_eq!(error.code(), codes::CONFIG_INVALID, "{error}");
    let message = error.to_string();
    for part in expected.iter().chain([&"tam.toml"]) {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

const BASE: &str =
    "profile = \"production\"\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\nchallenge_key = \"c.key\"\n";
const SIGNER: &str = "[[signer]]\nkey = \"a.key\"\n";

#[test]
fn wrong_keys_are_named_with_their_line() {
    check(&format!("{BASE}colour = 1\n{SIGNER}"), &["tam.toml:5:", "colour"]);
    check(&BASE.replace("127.0.0.1:0", "here"), &["tam.toml:2:"]);
    check(&BASE.replace("production", "prod"), &["tam.toml:1:", "prod"]);
    check(&BASE.replace("data = \"data\"\n", ""), &["data"]);
    check(BASE, &["signer", "[[signer]]"]);
    check(
        &format!("{BASE}{SIGNER}[evidence]\nchallenge_ttl = 10\n"),
        &["tam.toml:8:", "challenge_ttl", "30 to 3600"],
    );
    check(&format!("{BASE}{SIGNER}[limits]\nbody = 1\n"), &["limits.body"]);
    check(&format!("{BASE}{SIGNER}").replace("c.key", "data/c.key"), &["challenge_key", "outside"]);
}

#[test]
fn who_appraises_evidence_over_otrp_is_said_and_not_guessed() {
    let otrp = "[otrp]\nkey = \"o.key\"\nchain = \"o.pem\"\nocsp_url = \"http://o.example\"\n";
    let verifier = "[verifier]\nurl = \"https://v.example\"\n";
    check(&format!("{BASE}{SIGNER}{otrp}{verifier}"), &["tam.toml:12:", "teep_only", "OTrP"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tam.toml");
    fs::write(&file, format!("{BASE}{SIGNER}{otrp}{verifier}teep_only = true\n")).unwrap();
    Config::read(&file).unwrap();
}

#[test]
fn plain_http_is_for_loopback() {
    let open = BASE.replace("127.0.0.1:0", "0.0.0.0:0");
    check(&format!("{open}{SIGNER}"), &["listen", "[tls]", "allow_plain_http"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tam.toml");
    fs::write(&file, format!("allow_plain_http = true\n{open}{SIGNER}")).unwrap();
    Config::read(&file).unwrap();
}

#[test]
fn production_refuses_software_tees_unless_told() {
    let software = format!("{BASE}{SIGNER}[evidence]\nminimum = \"software\"\n");
    check(&software, &["evidence.minimum", "allow_software_tee"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tam.toml");
    fs::write(&file, format!("{software}allow_software_tee = true\n")).unwrap();
    Config::read(&file).unwrap();
}

fn authority(role: Role, folder: &Path) -> std::path::PathBuf {
    let authority =
        Authority::create(role, "test", KeyType::P256, Validity::days(1_760_000_000, 3650)).unwrap();
    let prefix = folder.join("ca");
    fs::write(prefix.with_extension("pem"), authority.cert_pem()).unwrap();
    fs::write(prefix.with_extension("key"), authority.key_pem()).unwrap();
    prefix
}

#[test]
fn production_refuses_development_certificates() {
    let folder = TempDir::new().unwrap();
    let prefix = authority(Role::Tee, folder.path());
    let mut options = options(&folder);
    options.tee_cas = vec![(prefix.with_extension("pem"), GradeName::Hardware)];
    options.minimum = None;
    let made = init(&options).unwrap();
    let development = Config::read(&made.config).unwrap();
    start(&development).unwrap().stop().unwrap();
    let text = fs::read_to_string(&made.config).unwrap();
    fs::write(&made.config, text.replace("\"development\"", "\"production\"")).unwrap();
    let error = start(&Config::read(&made.config).unwrap()).err().unwrap();
    assert!(error.to_string().contains("tee_ca.file: is a development certificate"), "{error}");
}

#[test]
fn a_tam_with_certificates_starts() {
    let folder = TempDir::new().unwrap();
    let prefix = authority(Role::Tam, folder.path());
    let mut options = options(&folder);
    options.ca = Some((prefix, "https://tam.example".into()));
    let made = init(&options).unwrap();
    start(&Config::read(&made.config).unwrap()).unwrap().stop().unwrap();
    let error = init(&options).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
}

#[test]
fn secrets_are_readable_by_their_owner_only() {
    let folder = TempDir::new().unwrap();
    init(&options(&folder)).unwrap();
    for name in ["challenge.key", "keys/tam-ed25519.key", "keys/tam-p256.key"] {
        let mode = fs::metadata(folder.path().join("tam").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn missing_files_and_busy_ports_are_sentences() {
    let folder = TempDir::new().unwrap();
    let made = init(&options(&folder)).unwrap();
    let mut config = Config::read(&made.config).unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = busy.local_addr().unwrap();
    let error = start(&config).err().unwrap();
    assert_eq!(error.code(), codes::PORT_IN_USE, "{error}");
    assert!(error.to_string().contains("another process listens there"), "{error}");

    config.listen = "127.0.0.1:0".parse().unwrap();
    fs::remove_file(folder.path().join("tam/keys/tam-p256.key")).unwrap();
    let error = start(&config).err().unwrap();
    assert!(error.to_string().contains("signer.key: cannot read"), "{error}");

    let error = Config::read(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(error.code(), codes::FILE_UNREADABLE);
    // A file where a folder should be is unwritable for every user.
    let mut options = options(&folder);
    fs::write(folder.path().join("file"), b"").unwrap();
    options.folder = folder.path().join("file/tam");
    assert_eq!(init(&options).unwrap_err().code(), codes::FILE_UNWRITABLE);
}

#[test]
fn https_is_served_with_the_certificate() {
    let folder = TempDir::new().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ca = Authority::create(Kind::Tls, "TLS", KeyType::P256, Validity::days(now - 60, 10)).unwrap();
    let key = generate_key(KeyType::P256).unwrap();
    let public = load_key(&key).unwrap().public_key();
    let cert = ca.issue_tls(public, &["127.0.0.1"], Validity::days(now - 60, 5)).unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("tls.pem"), cert).unwrap();
    fs::write(path("tls.key"), key).unwrap();
    let mut options = options(&folder);
    options.tls = Some((path("tls.pem"), path("tls.key")));
    assert_eq!(options.profile, Profile::Development);
    let running = start(&Config::read(&init(&options).unwrap().config).unwrap()).unwrap();

    let get = |roots: ureq::tls::RootCerts| {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ureq::tls::TlsConfig::builder()
            .provider(ureq::tls::TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(roots)
            .build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).proxy(None).build().into();
        agent
            .get(format!("https://{}/livez", running.address()))
            .call()
            .map(|response| response.status().as_u16())
    };
    let root = ureq::tls::Certificate::from_der(ca.cert_der()).to_owned();
    assert_eq!(get(ureq::tls::RootCerts::from(vec![root])).unwrap(), 200);
    assert!(get(ureq::tls::RootCerts::from(vec![])).is_err(), "an unknown root is refused");
}
