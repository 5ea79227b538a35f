//! Everything that the demo has running, and what it has learned of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tamarack_broker::{Client, Error as BrokerError, SOCKET_NAME, Status, Target};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{Code, ComponentId};
use tamarack_tee::Params;

use super::impostor::Impostor;
use super::process::{self, Process};
use super::relay::Relay;
use super::rest::Rest;
use super::tas;

/// User id that a Broker takes when the demo is run by root.
const BROKER_UIDS: [u32; 2] = [61_901, 61_902];

/// The demo's world. Steps fill it from top to bottom.
pub struct World {
    /// Folder with all of it; removed at the end.
    pub dir: PathBuf,
    /// Carries and records every message.
    pub relay: Relay,
    /// Verifies what devices and TAs signed.
    pub crypto: Provider,
    tam: Option<Process>,
    rest: Option<Rest>,
    devices: Vec<Device>,
    /// Tokens of the two providers.
    pub tokens: Vec<String>,
    /// Receipts of the wallet, with the key that must have signed them.
    pub receipts: Vec<Receipt>,
    /// What the wallet was when version 1 had paid: its public key.
    pub wallet_key: Option<Vec<u8>>,
    /// Who is attacked with whose key.
    pub stolen: Option<Impostor>,
}

/// A receipt, as a merchant keeps it.
pub struct Receipt {
    /// The receipt: CBOR of payload and signature.
    pub bytes: Vec<u8>,
    /// The wallet's public key, Ed25519.
    pub key: Vec<u8>,
    /// The reference that the merchant gave.
    pub reference: Vec<u8>,
}

/// A device: its Broker and, behind it, its TEE.
pub struct Device {
    /// `a` or `b`.
    pub name: char,
    /// Its folder.
    pub dir: PathBuf,
    /// Its Broker.
    pub broker: Process,
    /// How it was when it was ready.
    pub first: Status,
    /// Its TEEP key, once Evidence has shown it.
    pub teep_key: Option<PublicKey>,
}

/// The digests that a refused attempt must leave alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// The devices' state digests, taken inside their TEEs.
    pub devices: Vec<String>,
    /// The TAM's registry digest.
    pub registry: String,
}

impl World {
    /// A new folder, and a relay without a TAM behind it.
    pub fn new() -> Result<Self> {
        let mut random = [0; 8];
        let crypto = tamarack_crypto_aws_lc::provider();
        crypto.random.fill(&mut random).map_err(|e| anyhow::anyhow!("{e}"))?;
        let dir = std::env::temp_dir().join(format!("tamarack-demo-{}", hex::encode(random)));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        // Others may pass through: the Broker has its own user id if that can be had. They cannot list it.
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711))?;
        Ok(Self {
            dir,
            relay: Relay::start()?,
            crypto,
            tam: None,
            rest: None,
            devices: Vec::new(),
            tokens: Vec::new(),
            receipts: Vec::new(),
            wallet_key: None,
            stolen: None,
        })
    }

    /// A file or folder of the demo as text, for command lines.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Runs this program to its end.
    pub fn run(&self, args: &[&str]) -> Result<Vec<u8>> {
        process::run(args, &self.log("commands"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Starts the TAM of the folder `tam`, on any port; the relay and the REST client learn where it is.
    pub fn start_tam(&mut self) -> Result<u32> {
        let config = self.path("tam/tam.toml");
        let args = ["tam", "serve", "--config", &config];
        let tam = Process::start(&args, &self.log("tam"))?;
        let address = tam.ready["listen"].as_str().or(tam.ready["address"].as_str());
        let base = format!("http://{}", address.context("the TAM did not say where it listens")?);
        self.relay.set_upstream(&base);
        match &mut self.rest {
            Some(rest) => rest.set_base(&base),
            None => {
                let token = std::fs::read_to_string(self.dir.join("operator.token"))?;
                self.rest = Some(Rest::new(&base, token.trim()));
            }
        }
        let pid = tam.pid();
        self.tam = Some(tam);
        Ok(pid)
    }

    /// SIGKILL for the TAM.
    pub fn kill_tam(&mut self) -> Result<()> {
        self.tam.take().context("the TAM is not running")?.kill()
    }

    /// The TAM's REST interface.
    pub fn rest(&self) -> Result<&Rest> {
        self.rest.as_ref().context("the TAM is not running")
    }

    /// Makes, certifies and starts a device.
    pub fn start_device(&mut self, name: char) -> Result<()> {
        let (folder, fuse) = (self.path(&format!("device-{name}")), self.path(&format!("fuse-{name}")));
        let (tam, acme) = (self.path("tam-ca.pem"), self.path("developer-ca.pem"));
        self.run(&[
            "agent",
            "init",
            &folder,
            "--fuse",
            &fuse,
            "--tam-anchor",
            &format!("{tam}={}", tas::TAM_NAME),
            "--tam-uri",
            &self.relay.uri(name),
            "--signer-anchor",
            &format!("{acme}={}:{}", tas::ACME_NAME, tas::ACME),
            "--signer-anchor",
            &format!("{acme}={}:{}", tas::GLOBEX_NAME, tas::GLOBEX),
            "--peripheral",
            &format!("valve={}", tas::VALVE.manifest()),
            "--name",
            &format!("demo device {name}"),
        ])?;
        let cert = self.path(&format!("device-{name}.pem"));
        let request = format!("{folder}/device.csr");
        let uri = format!("urn:x-tamarack:device:{name}");
        self.run(&[
            "pki",
            "issue",
            "--ca",
            &self.path("tee-ca"),
            "--csr",
            &request,
            "--uri",
            &uri,
            "--out",
            &cert,
        ])?;
        self.run(&["agent", "certify", &folder, "--cert", &cert])?;
        let uid = BROKER_UIDS[usize::from(name == 'b')].to_string();
        let mut args = vec!["agent", "run", &folder];
        if is_root() {
            args.extend(["--uid", &uid]);
        }
        let log = self.log(&format!("device-{name}"));
        // In a user namespace that has no such user, the Broker stays who it is.
        let broker = Process::start(&args, &log).or_else(|_| Process::start(&args[..3], &log))?;
        let dir = PathBuf::from(folder);
        let first = connect(&dir)?.status()?;
        ensure!(first.enrolled, "device {name} says that it is not enrolled");
        self.devices.push(Device { name, dir, broker, first, teep_key: None });
        Ok(())
    }

    /// A device that was started.
    pub fn device(&self, name: char) -> Result<&Device> {
        let found = self.devices.iter().find(|device| device.name == name);
        found.with_context(|| format!("device {name} is not running"))
    }

    /// The same, to note something about it.
    pub fn device_mut(&mut self, name: char) -> Result<&mut Device> {
        let found = self.devices.iter_mut().find(|device| device.name == name);
        found.with_context(|| format!("device {name} is not running"))
    }

    /// The devices' and the TAM's digests.
    pub fn digests(&self) -> Result<Digests> {
        let state = |device: &Device| Ok(hex::encode(device.status()?.state_digest));
        Ok(Digests {
            devices: self.devices.iter().map(state).collect::<Result<_>>()?,
            registry: self.rest()?.registry_digest()?,
        })
    }

    /// The stolen key of the real TAM.
    pub fn stolen(&self) -> Result<Impostor> {
        self.stolen.clone().context("the TAM has no key yet")
    }
}

impl Drop for World {
    /// Ends all processes, then removes the folder.
    fn drop(&mut self) {
        self.devices.clear();
        self.tam = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Whether the demo may give processes user ids of their own.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn connect(dir: &Path) -> Result<Client> {
    Ok(Client::connect(dir.join(SOCKET_NAME))?)
}

/// What a device did about a request: the code of its refusal, if it refused.
pub type Refused = Option<Code>;

impl Device {
    /// A normal app's connection.
    pub fn app(&self) -> Result<Client> {
        connect(&self.dir)
    }

    /// How it is now.
    pub fn status(&self) -> Result<Status> {
        Ok(self.app()?.status()?)
    }

    /// Its id as the TAM knows it, in hexadecimal.
    pub fn id(&self) -> Result<String> {
        Ok(hex::encode(self.first.device_id.context("the device has no id")?))
    }

    /// RequestTA as an app; gives the last state.
    pub fn request(&self, component: &ComponentId) -> Result<String> {
        let mut app = self.app()?;
        let mut last = "PENDING".to_owned();
        for progress in app.request_ta(component, None)? {
            last = progress?.state.to_string();
        }
        Ok(last)
    }

    /// RequestPolicyCheck; gives the code if the exchange ended badly.
    pub fn policy_check(&self) -> Result<Refused> {
        refused(self.app()?.policy_check())
    }

    /// RequestTA, of which something bad is expected.
    pub fn try_request(&self, component: &ComponentId) -> Result<Refused> {
        let mut app = self.app()?;
        let mut following = app.request_ta(component, None)?;
        let end = following.try_for_each(|progress| progress.map(drop));
        refused(end)
    }

    /// Invokes one command in a session of its own.
    pub fn invoke(&self, ta: &ComponentId, command: u32, params: Params) -> Result<Params> {
        let mut app = self.app()?;
        let session = app.open_session(Target::Component(ta.clone()), None, Vec::new())?;
        let returned = app.invoke(session, command, params)?;
        app.close_session(session)?;
        ensure!(returned.code == 0, "the TA returned {:#010x}", returned.code);
        Ok(returned.params)
    }

    /// Sequence number of an installed manifest.
    pub fn sequence(&self, manifest: &ComponentId) -> Result<Option<u64>> {
        let installed = self.status()?.installed;
        Ok(installed.iter().find(|one| one.manifest == *manifest).map(|one| one.sequence_number))
    }
}

fn refused(end: Result<(), BrokerError>) -> Result<Refused> {
    match end {
        Ok(()) => Ok(None),
        Err(BrokerError::Failed(failure)) => Ok(Some(failure.code)),
        Err(BrokerError::Http(error)) => Ok(Some(error.code())),
        Err(other) => Err(other.into()),
    }
}
