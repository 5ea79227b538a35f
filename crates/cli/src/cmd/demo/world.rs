//! Everything that the demo has running, and what it has learned of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use example_apps::{Carrier, Session};
use tamarack_broker::{Client, Error as BrokerError, SOCKET_NAME, Status};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{Code, ComponentId, DeviceId, Protocol};
use tamarack_tee::Params;

use super::impostor::Impostor;
use super::otrp::OtrpImpostor;
use super::panel::Panel;
use super::process::{self, Process};
use super::relay::Relay;
use super::rest::Rest;
use super::tas;
use super::tpm::{Platform, Tpm};

/// User id that a Broker takes when the demo is run by root.
const BROKER_UIDS: [u32; 3] = [61_901, 61_902, 61_903];

/// Who speaks what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Cast {
    /// Two devices that speak TEEP
    #[default]
    Teep,
    /// Two devices that speak OTrP
    Otrp,
    /// One device of each, by different makers, and one that speaks both
    Both,
}

impl Cast {
    /// What this device speaks.
    pub fn protocol(self, device: char) -> Protocol {
        match (self, device) {
            (Self::Otrp, _) | (Self::Both, 'b') => Protocol::Otrp,
            (Self::Teep | Self::Both, _) => Protocol::Teep,
        }
    }

    /// Whether anybody speaks OTrP.
    pub fn has_otrp(self) -> bool {
        self != Self::Teep
    }

    /// Its devices: with both protocols also one that speaks both with the same TAM.
    pub fn devices(self) -> &'static [char] {
        if self == Self::Both { &['a', 'b', 'c'] } else { &['a', 'b'] }
    }

    /// Whether this device has keys for OTrP.
    pub fn speaks_otrp(self, device: char) -> bool {
        self.protocol(device) == Protocol::Otrp || (self == Self::Both && device == 'c')
    }

    /// The authority that certifies this device's keys.
    pub fn tee_ca(self, device: char) -> &'static str {
        match (self, device) {
            (Self::Both, 'b') | (Self::Teep, 'c') => "second-tee-ca",
            _ => "tee-ca",
        }
    }
}

/// The demo's world. Steps fill it from top to bottom.
pub struct World {
    /// Who speaks what.
    pub cast: Cast,
    /// Where the devices' roots of trust are.
    pub platform: Platform,
    /// Folder with all of it; removed at the end.
    pub dir: PathBuf,
    /// Carries and records every message.
    pub relay: Relay,
    /// Verifies what devices and TAs signed.
    pub crypto: Provider,
    tam: Option<Process>,
    rest: Option<Rest>,
    devices: Vec<Device>,
    /// Their TPMs, if they have some.
    tpms: BTreeMap<char, Tpm>,
    /// Tokens of the two providers.
    pub tokens: Vec<String>,
    /// Receipts of the wallet, with the key that must have signed them.
    pub receipts: Vec<Receipt>,
    /// What the wallet was when version 1 had paid: its public key.
    pub wallet_key: Option<Vec<u8>>,
    /// Who is attacked with whose key.
    pub stolen: Option<Impostor>,
    /// The same in OTrP.
    pub stolen_otrp: Option<OtrpImpostor>,
    /// Another TAM, which the devices trust as well.
    pub other_tam: Option<OtrpImpostor>,
    /// The keys of the providers on device a, as the TAM has signed them.
    pub aiks: Option<Vec<u8>>,
    /// Answers OCSP requests about the TAM's certificate.
    ocsp: Option<Process>,
    /// The person at the devices.
    pub panel: Option<Panel>,
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
    /// What its maker noted of it; not of those that the demo does not count among its own.
    pub identity: Option<Identity>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its TEEP key, once Evidence has shown it.
    pub teep_key: Option<PublicKey>,
}

/// What a TEE tells its maker, and no Broker.
pub struct Identity {
    /// Its id at its first TAM.
    pub id: DeviceId,
    /// The key that signs its SUIT reports there.
    pub report_key: PublicKey,
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
    pub fn new(cast: Cast, platform: Platform) -> Result<Self> {
        let mut random = [0; 8];
        let crypto = tamarack_crypto_aws_lc::provider();
        crypto.random.fill(&mut random).map_err(|e| anyhow::anyhow!("{e}"))?;
        let dir = std::env::temp_dir().join(format!("tamarack-demo-{}", hex::encode(random)));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        // Others may pass through: the Broker has its own user id if that can be had. They cannot list it.
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711))?;
        Ok(Self {
            cast,
            platform,
            tpms: BTreeMap::new(),
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
            stolen_otrp: None,
            other_tam: None,
            aiks: None,
            ocsp: None,
            panel: None,
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

    /// Process id of the TAM.
    pub fn tam_pid(&self) -> Result<u32> {
        Ok(self.tam.as_ref().context("the TAM is not running")?.pid())
    }

    /// SIGKILL for the TAM.
    pub fn kill_tam(&mut self) -> Result<()> {
        self.tam.take().context("the TAM is not running")?.kill()
    }

    /// The TAM's REST interface.
    pub fn rest(&self) -> Result<&Rest> {
        self.rest.as_ref().context("the TAM is not running")
    }

    /// Starts the OCSP responder of the TAM's authority; gives its address.
    pub fn start_ocsp(&mut self) -> Result<String> {
        let args = ["pki", "ocsp", "--ca", &self.path("tam-ca"), "--listen", "127.0.0.1:0", "--json"];
        let responder = Process::start(&args, &self.log("ocsp"))?;
        let url = responder.ready["url"].as_str().context("the responder did not say where it listens")?;
        let url = url.to_owned();
        self.ocsp = Some(responder);
        Ok(url)
    }

    /// Runs a command that asks the TAM as its operator.
    pub fn operate(&self, args: &[&str]) -> Result<Vec<u8>> {
        let token = std::fs::read_to_string(self.dir.join("operator.token"))?;
        let base = self.rest()?.base().to_owned();
        self.run(&[args, &["--url", &base, "--token", token.trim()]].concat())
    }

    /// Makes, certifies and starts a device.
    pub fn start_device(&mut self, name: char) -> Result<()> {
        let folder = self.path(&format!("device-{name}"));
        let protocol = self.cast.protocol(name);
        if self.platform == Platform::Tpm {
            self.tpms.insert(name, Tpm::start(&self.dir.join(format!("tpm-{name}")))?);
        }
        self.make_device(name, protocol, &folder)?;
        let identity = Some(self.certify_device(name, &folder)?);
        if self.panel.is_none() {
            self.panel = Some(Panel::open(&self.path("panel"))?);
        }
        let (broker, first) = self.run_device(name, &[])?;
        let dir = PathBuf::from(folder);
        self.devices.push(Device { name, dir, broker, first, identity, protocol, teep_key: None });
        Ok(())
    }

    /// Stops a device, if it runs.
    pub fn stop_device(&mut self, name: char) -> Result<()> {
        let device = self.device_mut(name)?;
        device.broker.kill()?;
        process::wait_for_end(device.first.pid)
    }

    /// Stops a device and starts it again with these arguments of `agent run`.
    pub fn restart_device(&mut self, name: char, more: &[&str]) -> Result<()> {
        self.stop_device(name)?;
        let (broker, first) = self.run_device(name, more)?;
        let device = self.device_mut(name)?;
        (device.broker, device.first) = (broker, first);
        Ok(())
    }

    fn run_device(&self, name: char, more: &[&str]) -> Result<(Process, Status)> {
        let folder = self.path(&format!("device-{name}"));
        let number = usize::from(name as u8 - b'a') % BROKER_UIDS.len();
        let uid = BROKER_UIDS[number].to_string();
        let panel = self.path("panel");
        let mut args = vec!["agent", "run", &folder];
        // All alike: whether there is a panel is measured.
        args.extend(["--panel", &panel]);
        args.extend(more);
        let without_uid = args.len();
        if is_root() {
            args.extend(["--uid", &uid]);
        }
        let log = self.log(&format!("device-{name}"));
        // In a user namespace that has no such user, the Broker stays who it is; what does not start then either was not kept
        // from it by that.
        let broker = Process::start(&args, &log)
            .or_else(|error| Process::start(&args[..without_uid], &log).map_err(|_| error))?;
        let first = connect(Path::new(&folder))?.status()?;
        ensure!(first.enrolled, "device {name} says that it is not enrolled");
        Ok((broker, first))
    }

    fn make_device(&self, name: char, protocol: Protocol, folder: &str) -> Result<()> {
        let (tam, acme) = (self.path("tam-ca.pem"), self.path("developer-ca.pem"));
        let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let mut args = texts(&["agent", "init", folder]);
        match self.tpms.get(&name) {
            None => args.extend(texts(&["--fuse", &self.path(&format!("fuse-{name}"))])),
            Some(tpm) => args.extend(texts(&["--root", &tpm.root()])),
        }
        match protocol {
            Protocol::Teep => {
                // The second maker's devices know the TAM by its keys, those of the first by a name under a root.
                let anchor = match self.cast.tee_ca(name) {
                    "tee-ca" => format!("{tam}={}", tas::TAM_NAME),
                    _ => self.path("tam/keys/tam-p256.pub"),
                };
                args.extend(texts(&["--tam-anchor", &anchor]));
                for (signer, prefix) in [(tas::ACME_NAME, tas::ACME), (tas::GLOBEX_NAME, tas::GLOBEX)] {
                    args.extend(texts(&["--signer-anchor", &format!("{acme}={signer}:{prefix}")]));
                }
                if self.cast.speaks_otrp(name) {
                    // The first anchor of each protocol: one Owner by either.
                    let anchor = format!("{tam}={}", tas::TAM_OID);
                    args.extend(texts(&["--protocol", "both", "--otrp-anchor", &anchor]));
                }
            }
            // No signers: those come with the domains that the TAM makes.
            Protocol::Otrp => {
                let other = self.path("other-tam-ca.pem");
                args.extend(texts(&[
                    "--protocol",
                    "otrp",
                    "--otrp-anchor",
                    &format!("{tam}={}", tas::TAM_OID),
                    "--otrp-anchor",
                    &format!("{other}={}", tas::OTHER_OID),
                ]));
            }
        }
        if self.cast == Cast::Teep {
            args.extend(texts(&["--owner", &self.path("owner.key.pub")]));
        }
        if self.cast.tee_ca(name) != "tee-ca" {
            args.extend(texts(&["--vendor", tas::SECOND_VENDOR, "--class", tas::SECOND_CLASS]));
            args.extend(texts(&["--key-type", "p256"]));
        }
        args.extend(texts(&[
            "--tam-uri",
            &self.relay.uri(name),
            "--peripheral",
            &format!("valve={}", tas::VALVE.manifest()),
            "--authority",
            &self.path("authority.key"),
            "--name",
            &format!("demo device {name}"),
        ]));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.run(&args).map(drop)
    }

    fn certify_device(&self, name: char, folder: &str) -> Result<Identity> {
        // The same for all devices of a kind: a name of its own would tell TAMs which faces are one device.
        let uri = "urn:x-tamarack:demo:device".to_owned();
        let tee_ca = self.cast.tee_ca(name);
        let certificate = |ca: &str, role: Option<&str>, request: &str, out: &str| -> Result<String> {
            let (ca, request, out) = (self.path(ca), format!("{folder}/{request}"), self.path(out));
            let mut args = vec!["pki", "issue", "--ca", &ca, "--csr", &request, "--uri", &uri, "--out", &out];
            args.extend(role.iter().flat_map(|role| ["--role", role]));
            self.run(&args)?;
            if role.is_some() {
                // OTrP tells whole chains.
                let root = std::fs::read_to_string(format!("{ca}.pem"))?;
                std::fs::write(&out, std::fs::read_to_string(&out)? + &root)?;
            }
            Ok(out)
        };
        let cert = certificate(tee_ca, None, "device.csr", &format!("device-{name}.pem"))?;
        let mut args = vec!["agent", "certify", folder, "--json", "--cert", &cert];
        let (otrp, firmware);
        if self.cast.speaks_otrp(name) {
            otrp = certificate(tee_ca, Some("otrp-tee"), "otrp.csr", &format!("device-{name}-otrp.pem"))?;
            let file = format!("device-{name}-firmware.pem");
            firmware = certificate("firmware-ca", Some("firmware"), "firmware.csr", &file)?;
            args.extend(["--otrp-cert", &otrp, "--firmware-cert", &firmware]);
        }
        let told: serde_json::Value = serde_json::from_slice(&self.run(&args)?)?;
        let told =
            |what: &str| hex::decode(told[what].as_str().unwrap_or_default()).map_err(anyhow::Error::msg);
        let id = told("device")?.try_into().ok().context("the device told its maker no id")?;
        let report_key = PublicKey::from_spki(&told("report_key")?).map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(Identity { id: DeviceId(id), report_key })
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
        self.prober()?.digests()
    }

    /// Takes digests, also from another thread.
    pub fn prober(&self) -> Result<Prober> {
        let devices = self.devices.iter().map(|device| device.dir.clone()).collect();
        Ok(Prober { devices, rest: self.rest()?.clone() })
    }

    /// The stolen key of the real TAM.
    pub fn stolen(&self) -> Result<Impostor> {
        self.stolen.clone().context("the TAM has no key yet")
    }
}

/// Takes digests.
pub struct Prober {
    devices: Vec<PathBuf>,
    rest: Rest,
}

impl Prober {
    /// The devices' and the TAM's digests.
    pub fn digests(&self) -> Result<Digests> {
        let state = |dir: &PathBuf| Ok(hex::encode(connect(dir)?.status()?.state_digest));
        Ok(Digests {
            devices: self.devices.iter().map(state).collect::<Result<_>>()?,
            registry: self.rest.registry_digest()?,
        })
    }
}

impl Drop for World {
    /// Ends all processes, then removes the folder.
    fn drop(&mut self) {
        self.devices.clear();
        self.tam = None;
        self.ocsp = None;
        self.tpms.clear();
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
    /// A device in this folder that the demo does not count among its own.
    pub fn of(dir: PathBuf, broker: Process) -> Result<Self> {
        let first = connect(&dir)?.status()?;
        Ok(Self { name: '?', dir, broker, first, identity: None, protocol: Protocol::Teep, teep_key: None })
    }

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
        Ok(hex::encode(self.identity()?.id.0))
    }

    /// What its maker noted of it.
    pub fn identity(&self) -> Result<&Identity> {
        self.identity.as_ref().context("nobody noted who this device is")
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
        let returned = Session::open(&self.dir, ta)?.invoke(command, params)?;
        returned.map_err(|code| anyhow::anyhow!("the TA returned {code:#010x}"))
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
