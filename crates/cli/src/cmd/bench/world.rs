//! The TAM that is measured: a process of its own with durable storage; and its engine in this process, to see where the
//! time goes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_cose::SignOptions;
use tamarack_crypto::{KeyType, Provider, PublicKey, Secret};
use tamarack_model::{ComponentId, Protocol, Sha256Digest, codes};
use tamarack_pki::ocsp::{Responder, Server as OcspServer};
use tamarack_pki::{Authority, Revocations, Validity, provider_certificate};
use tamarack_store::{CatalogueEntry, Domain, DomainSigner, Store, StoreOp, TenantId};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::{
    ChallengeKey, OtrpConfig, OtrpSigner, Reply, Staple, Tam, TamConfig, TamSigner, TeeRules, catalog,
};
use tamarack_tam_server::{GradeName, InitOptions, OtrpInit, Profile};
use tamarack_x509::{Anchor, Name, Role};

use super::bound::{self, CountingKey};
use super::device::Post;
use super::{device, otrp_device};
use crate::cmd::pki::pki;
use crate::fail::{self, Fail, Outcome};
use crate::keys;
use crate::rest::{Connection, Rest};

/// Bytes of the payload that every session delivers.
const PAYLOAD: usize = 1024;

/// A folder that is removed in the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn make(within: &Path) -> Outcome<Self> {
        let path = within.join(format!("tamarack-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| {
            Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot make {}: {e}", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A device of either protocol.
pub enum Device {
    Teep(device::Device),
    Otrp(Box<otrp_device::Device>),
}

impl Device {
    /// One whole session.
    pub fn session(&self, post: &mut Post<'_>, crypto: &Provider) -> Outcome {
        match self {
            Self::Teep(device) => device.session(post, crypto),
            Self::Otrp(device) => device.session(post, crypto),
        }
    }
}

/// Name of the TAM in OTrP.
const TAMID: &str = "1.3.6.1.4.1.61999.9.9";

/// Authorities of the devices and of the TAM, developer, and what is published.
pub struct World {
    pub protocol: Protocol,
    pub crypto: Provider,
    tam_ca: Authority,
    tee_ca: Authority,
    signer: Box<dyn tamarack_crypto::Sign>,
    envelope: Vec<u8>,
    wanted: ComponentId,
}

impl World {
    pub fn new(protocol: Protocol) -> Outcome<Self> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let validity = Validity::days(keys::now() - 3600, 30);
        let tee_ca = Authority::create(Role::Tee, "bench", KeyType::Ed25519, validity).map_err(pki)?;
        let tam_ca = Authority::create(Role::Tam, "bench", KeyType::P256, validity).map_err(pki)?;
        let signer = tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::Ed25519).map_err(pki)?)
            .map_err(pki)?;
        let id =
            |kind| ComponentId::tamarack("bench", [1; 16], kind).map_err(|e| Fail::new(codes::INTERNAL, e));
        let wanted = id("ta")?;
        let payload = Payload::integrated("#ta", vec![7; PAYLOAD], &crypto);
        let builder = Builder::new(id("suit")?, 1).component(Component::new(wanted.clone(), payload));
        let failed = |e: tamarack_suit::Error| Fail::new(e.code(), e);
        let unsigned = builder.build(&crypto).map_err(failed)?;
        let envelope = unsigned.sign(&*signer, &SignOptions::default()).map_err(failed)?.envelope();
        Ok(Self { protocol, crypto, tam_ca, tee_ca, signer, envelope, wanted })
    }

    /// A device of the TAM with this OTrP key, if it has one.
    pub fn device(&self, tam: Option<PublicKey>) -> Outcome<Device> {
        let wanted = self.wanted.clone();
        match tam {
            None => device::Device::new(&self.tee_ca, wanted, &self.crypto).map(Device::Teep),
            Some(tam) => {
                let device = otrp_device::Device::new(&self.tee_ca, wanted, tam, &self.crypto)?;
                Ok(Device::Otrp(Box::new(device)))
            }
        }
    }
}

/// The TAM's process.
pub struct Server {
    child: Child,
    pub uri: String,
    /// Its OTrP key, if it speaks that.
    pub otrp_key: Option<PublicKey>,
    /// Answers for its authority, as long as the TAM runs.
    _ocsp: Option<OcspServer>,
}

impl Server {
    /// Makes a TAM as `tam init` does, starts it as `tam serve` does, and publishes.
    pub fn start(world: &World, folder: &Path) -> Outcome<Self> {
        let tee_ca = folder.join("tee-ca.pem");
        fail::write(&tee_ca, world.tee_ca.cert_pem().as_bytes())?;
        let otrp = world.protocol == Protocol::Otrp;
        let (ca, ocsp) = (folder.join("tam-ca"), if otrp { Some(start_ocsp(&world.tam_ca)?) } else { None });
        let pem = |extension| ca.with_extension(extension);
        fail::write(&pem("pem"), world.tam_ca.cert_pem().as_bytes())?;
        keys::write_secret(&pem("key"), world.tam_ca.key_pem())?;
        let made = tamarack_tam_server::init(&InitOptions {
            folder: folder.join("tam"),
            listen: ([127, 0, 0, 1], 0).into(),
            profile: Profile::Development,
            ca: otrp.then(|| (ca.clone(), "https://bench.example".into())),
            otrp: ocsp.as_ref().map(|ocsp| OtrpInit {
                name: Name::RegisteredId(TAMID.into()),
                ocsp_url: format!("http://{}", ocsp.address()),
                firmware_cas: Vec::new(),
            }),
            tee_cas: vec![(tee_ca, GradeName::Software)],
            minimum: Some(GradeName::Software),
            tls: None,
            now: keys::now(),
        })
        .map_err(|e| Fail::new(e.code(), e))?;
        // All devices have one address here.
        let text = keys::read_text(&made.config)? + "\n[limits]\nrequests_per_second = 0\n";
        fail::write(&made.config, text.as_bytes())?;

        let failed =
            |e: std::io::Error| Fail::new(codes::INTERNAL, format_args!("cannot start the TAM: {e}"));
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["tam", "serve", "--config"])
            .arg(&made.config)
            .env("TAMARACK_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        let otrp_key = otrp.then(|| keys::public_key(&folder.join("tam/keys/otrp.key"))).transpose()?;
        let mut server = Self { child, uri: String::new(), otrp_key, _ocsp: ocsp };
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let url = ready["url"].as_str().ok_or_else(|| Fail::new(codes::INTERNAL, "the TAM did not start"))?;
        server.uri = format!("{url}/tam");
        let rest = Rest::new(&Connection {
            url: Some(url.into()),
            token: Some(made.operator_token),
            token_file: None,
            root: None,
            allow_plain_http: false,
        })?;
        let signer = tamarack_pki::public_key_to_pem(&world.signer.public_key()).map_err(pki)?;
        rest.post("/providers", &json!({ "id": "bench", "prefixes": ["bench"], "signers": [signer] }))?;
        rest.post_bytes("/components?provider=bench", "application/cbor", world.envelope.clone())?;
        Ok(server)
    }

    /// CPU time that the process has used, in steps of the kernel's tick.
    pub fn cpu(&self) -> Outcome<Duration> {
        let stat = keys::read_text(Path::new(&format!("/proc/{}/stat", self.child.id())))?;
        // After the name in parentheses: utime and stime are the 12th and 13th fields (proc_pid_stat(5)).
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }
}

/// An OCSP responder in this process, which knows of no revocation.
fn start_ocsp(authority: &Authority) -> Outcome<OcspServer> {
    let responder = Responder::new(authority).map_err(pki)?;
    let answer = move |request: &[u8]| responder.answer(request, &Revocations::default(), keys::now());
    OcspServer::start(([127, 0, 0, 1], 0).into(), answer).map_err(pki)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engine in this process, on a store of its own.
pub struct Engine<S> {
    tam: Tam,
    store: S,
    protocol: Protocol,
    /// Its OTrP key, if it speaks that.
    pub otrp_key: Option<PublicKey>,
}

impl<S: Store> Engine<S> {
    pub fn new(world: &World, store: S) -> Outcome<Self> {
        let crypto = bound::counting(world.crypto);
        let mut signers = Vec::new();
        for key_type in [KeyType::Ed25519, KeyType::P256] {
            let key =
                tamarack_pki::load_key(&tamarack_pki::generate_key(key_type).map_err(pki)?).map_err(pki)?;
            signers.push(TamSigner::new(Box::new(CountingKey(key)), Vec::new(), &crypto));
        }
        let anchor = Anchor::from_der(world.tee_ca.cert_der()).map_err(|e| Fail::new(e.code(), e))?;
        let policy = Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software);
        let challenge = ChallengeKey { generation: 0, key: Secret::new([9; 32]) };
        let mut config = TamConfig::new(signers, policy, challenge, [3; 16]);
        let mut otrp_key = None;
        if world.protocol == Protocol::Otrp {
            let (otrp, key) = otrp(world, &crypto)?;
            (config.otrp, otrp_key) = (Some(otrp), Some(key));
        }
        let engine = Self { tam: Tam::new(config, crypto), store, protocol: world.protocol, otrp_key };
        engine.publish(world)?;
        Ok(engine)
    }

    fn publish(&self, world: &World) -> Outcome {
        let provider = tamarack_store::Provider {
            tenant: TenantId::default(),
            id: "bench".into(),
            name: "bench".into(),
            prefixes: vec![ComponentId::new(["bench"]).map_err(|e| Fail::new(codes::INTERNAL, e))?],
            signers: vec![world.signer.public_key()],
            enabled: true,
        };
        let failed = |e: tamarack_store::StoreError| Fail::new(codes::INTERNAL, format_args!("{e}"));
        self.store.apply(vec![StoreOp::InsertProvider(provider.clone())]).map_err(failed)?;
        let publication = catalog::check_publication(&world.envelope, &provider, &self.store, &world.crypto)
            .map_err(|e| Fail::new(e.code, e))?;
        let entry = CatalogueEntry {
            tenant: provider.tenant,
            provider: provider.id,
            manifest: publication.manifest,
            sequence: publication.sequence,
            digest: publication.digest,
            components: publication.components,
            artifact: Sha256Digest(self.store.put_artifact(&world.envelope).map_err(failed)?),
            size: world.envelope.len() as u64,
            published: keys::now(),
            withdrawn: None,
        };
        let mut ops = vec![StoreOp::Publish(entry)];
        if let Some(otrp) = self.tam.otrp_signer() {
            let validity = Validity::days(keys::now() - 3600, 30);
            let key = world.signer.public_key();
            let certificate = provider_certificate(otrp.leaf(), otrp.key(), key, "bench", validity);
            ops.push(StoreOp::InsertDomain(Domain {
                tenant: TenantId::default(),
                name: "bench".into(),
                provider: "bench".into(),
                signers: vec![DomainSigner {
                    provider: "bench".into(),
                    certificate: certificate.map_err(pki)?,
                }],
                quota: None,
                created: keys::now(),
                deleted: None,
            }));
        }
        self.store.apply(ops).map_err(failed)
    }

    /// Answers one POST; the time it takes on `clock` is added to `spent`.
    fn post(
        &self,
        body: Option<&[u8]>,
        clock: fn() -> Duration,
        spent: &mut Duration,
    ) -> Outcome<Option<Vec<u8>>> {
        let begin = clock();
        let (now, tenant, body) = (keys::now(), TenantId::default(), body.unwrap_or_default());
        let reply = match self.protocol {
            Protocol::Teep => self.tam.respond(now, &self.store, tenant, body),
            Protocol::Otrp => self.tam.respond_otrp(now, &self.store, tenant, body, false),
        };
        *spent += clock() - begin;
        match reply {
            Reply::Transmit { message, .. } | Reply::Keys { message, .. } => Ok(Some(message)),
            Reply::NoContent { .. } => Ok(None),
            Reply::Refuse { code, event, .. } => Err(Fail::new(code, event.text)),
        }
    }

    /// Microseconds of CPU for one session, over `rounds` of them.
    pub fn session_micros(
        &self,
        device: &Device,
        crypto: &Provider,
        clock: fn() -> Duration,
        rounds: u32,
    ) -> Outcome<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let post: &mut Post<'_> = &mut |body| self.post(body, clock, &mut spent);
            device.session(post, crypto)?;
        }
        Ok(spent.as_secs_f64() * 1e6 / f64::from(rounds))
    }

    /// Microseconds of CPU for one empty POST.
    pub fn empty_micros(&self, clock: fn() -> Duration, rounds: u32) -> Outcome<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            self.post(None, clock, &mut spent)?;
        }
        Ok(spent.as_secs_f64() * 1e6 / f64::from(rounds))
    }
}

/// A TAM's OTrP key with its certificate and a good status of that; and its public half.
fn otrp(world: &World, crypto: &Provider) -> Outcome<(OtrpConfig, PublicKey)> {
    let failed = |e: tamarack_crypto::Error| Fail::new(codes::INTERNAL, e);
    let pkcs8 = crypto.keys.generate_pkcs8(KeyType::P256).map_err(failed)?;
    let sign = crypto.keys.load_pkcs8(pkcs8.expose()).map_err(failed)?;
    let agree = crypto.agree.load_pkcs8(pkcs8.expose()).map_err(failed)?;
    let (key, name) = (sign.public_key(), Name::RegisteredId(TAMID.into()));
    let validity = Validity::days(keys::now() - 3600, 30);
    let leaf = world.tam_ca.issue_named(key, Role::OtrpTam, &name, "bench", validity).map_err(pki)?;
    let mut chain = tamarack_pki::certificates_from_pem(&leaf).map_err(pki)?;
    let responder = Responder::new(&world.tam_ca).map_err(pki)?;
    let status = responder.status(&chain[0], &Revocations::default(), keys::now()).map_err(pki)?;
    chain.push(world.tam_ca.cert_der().to_vec());
    let signer = OtrpSigner::new(Box::new(CountingKey(sign)), agree, chain, TAMID.into(), crypto);
    let mut config = OtrpConfig::new(signer);
    config.staple = Some(Staple { responses: vec![status], until: keys::now() + 3600 });
    config.tee_rules = vec![TeeRules::default()];
    Ok((config, key))
}

#[cfg(test)]
mod tests {
    use tamarack_store::MemoryStore;

    use super::*;
    use crate::cmd::bench::bound::Counts;

    #[test]
    fn a_session_is_whole_and_its_signatures_are_counted() {
        let world = World::new(Protocol::Teep).unwrap();
        let engine = Engine::new(&world, MemoryStore::new(world.crypto)).unwrap();
        let before = Counts::so_far();
        let device = world.device(engine.otrp_key).unwrap();
        engine.session_micros(&device, &world.crypto, bound::thread_cpu, 2).unwrap();
        // Each time: a QueryRequest in both suites and an Update made; chain, Evidence and two messages verified.
        let teep = Counts { sign: [4, 2], verify: [8, 0], ephemeral: 0, agree: 0 };
        assert_eq!(Counts::since(before), teep);

        let world = World::new(Protocol::Otrp).unwrap();
        let engine = Engine::new(&world, MemoryStore::new(world.crypto)).unwrap();
        let device = world.device(engine.otrp_key).unwrap();
        // The first one makes the domain.
        engine.session_micros(&device, &world.crypto, bound::thread_cpu, 1).unwrap();
        let before = Counts::so_far();
        engine.session_micros(&device, &world.crypto, bound::thread_cpu, 2).unwrap();
        // Each time: two requests made, each answer verified and decrypted, two chains and the Evidence verified, content
        // and TA encrypted with a new key each.
        let otrp = Counts { sign: [0, 4], verify: [6, 4], ephemeral: 4, agree: 8 };
        assert_eq!(Counts::since(before), otrp);
    }
}
