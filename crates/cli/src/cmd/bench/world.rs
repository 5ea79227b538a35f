//! The TAM that is measured: a process of its own with durable storage; and its engine in this process, to see where the
//! time goes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_cose::SignOptions;
use tamarack_crypto::{KeyType, Provider, Secret};
use tamarack_model::{ComponentId, Sha256Digest, codes};
use tamarack_pki::{Authority, Validity};
use tamarack_store::{CatalogueEntry, Store, StoreOp, TenantId};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::{ChallengeKey, Reply, Tam, TamConfig, TamSigner, catalog};
use tamarack_tam_server::{GradeName, InitOptions, Profile};
use tamarack_x509::{Anchor, Role};

use super::bound::{self, CountingKey};
use super::device::{Device, Post};
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

/// Authority of the devices, developer, and what is published.
pub struct World {
    pub crypto: Provider,
    tee_ca: Authority,
    signer: Box<dyn tamarack_crypto::Sign>,
    envelope: Vec<u8>,
    wanted: ComponentId,
}

impl World {
    pub fn new() -> Outcome<Self> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let validity = Validity::days(keys::now() - 3600, 30);
        let tee_ca = Authority::create(Role::Tee, "bench", KeyType::Ed25519, validity).map_err(pki)?;
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
        Ok(Self { crypto, tee_ca, signer, envelope, wanted })
    }

    pub fn device(&self) -> Outcome<Device> {
        Device::new(&self.tee_ca, self.wanted.clone(), &self.crypto)
    }
}

/// The TAM's process.
pub struct Server {
    child: Child,
    pub uri: String,
}

impl Server {
    /// Makes a TAM as `tam init` does, starts it as `tam serve` does, and publishes.
    pub fn start(world: &World, folder: &Path) -> Outcome<Self> {
        let tee_ca = folder.join("tee-ca.pem");
        fail::write(&tee_ca, world.tee_ca.cert_pem().as_bytes())?;
        let made = tamarack_tam_server::init(&InitOptions {
            folder: folder.join("tam"),
            listen: ([127, 0, 0, 1], 0).into(),
            profile: Profile::Development,
            ca: None,
            otrp: None,
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
        let mut server = Self { child, uri: String::new() };
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let url = ready["url"].as_str().ok_or_else(|| Fail::new(codes::INTERNAL, "the TAM did not start"))?;
        server.uri = format!("{url}/tam");
        let rest = Rest::new(&Connection {
            url: url.into(),
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
        let tam = Tam::new(TamConfig::new(signers, policy, challenge, [3; 16]), crypto);
        let engine = Self { tam, store };
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
        self.store.apply(vec![StoreOp::Publish(entry)]).map_err(failed)
    }

    /// Answers one POST; the time it takes on `clock` is added to `spent`.
    fn post(
        &self,
        body: Option<&[u8]>,
        clock: fn() -> Duration,
        spent: &mut Duration,
    ) -> Outcome<Option<Vec<u8>>> {
        let begin = clock();
        let reply = self.tam.respond(keys::now(), &self.store, TenantId::default(), body.unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use tamarack_store::MemoryStore;

    use super::*;
    use crate::cmd::bench::bound::Counts;

    #[test]
    fn a_session_is_whole_and_its_signatures_are_counted() {
        let world = World::new().unwrap();
        let engine = Engine::new(&world, MemoryStore::new(world.crypto)).unwrap();
        let before = Counts::so_far();
        let device = world.device().unwrap();
        engine.session_micros(&device, &world.crypto, bound::thread_cpu, 2).unwrap();
        // Each time: a QueryRequest in both suites and an Update made; chain, Evidence and two messages verified.
        assert_eq!(Counts::since(before), Counts { sign: [4, 2], verify: [8, 0] });
    }
}
