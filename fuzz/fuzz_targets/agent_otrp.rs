//! OTrP at the Agent, from a Broker that may be anybody. Some requests are signed by the TAM that it obeys and some of
//! their contents encrypted to it, so that what lies behind signature and encryption is reached.
#![no_main]

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Input, OtrpPrincipal, Output, Principal, Seed, TamAnchor,
};
use tamarack_fuzz::{NOW, envelope_around, envelopes, key, limits, provider, seeds, suit_limits};
use tamarack_jose::json::{self, Json};
use tamarack_jose::jwe::{self, DecryptionKey, Enc, Recipient};
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws::{self, SignHeaders, Signer};
use tamarack_model::{OwnerId, Protocol};
use tamarack_otrp::request::{
    self, Changes, Content, CreateSd, DeleteSd, DeleteTa, GetDeviceState, InstallTa, UpdateSd,
};
use tamarack_otrp::response::{self, Incoming};
use tamarack_otrp::ta_package::{self, Protection, TaPackage};
use tamarack_otrp::{Command, Common, Dsi, Limits, MessageId, Mode, Sealing, SerializedDsi};
use tamarack_tee::Persona;
use tamarack_testkit::memory_platform::{MemoryPlatform, OtrpDevice};
use tamarack_testkit::otrp_pki::OtrpPki;

const TAM_URI: &str = "https://tam.example/tam";
const SD: &str = "com.acme";
const TAID: &str = "11111111-1111-1111-1111-111111111111";

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    /// A message from nowhere.
    Raw(&'a [u8]),
    /// Anything as the payload of a command, signed by the TAM.
    Signed {
        command: u8,
        payload: &'a [u8],
    },
    /// Anything as the content of a command, encrypted to the TEE.
    Content {
        command: u8,
        content: &'a [u8],
    },
    /// A good question of the TAM.
    State,
    CreateSd {
        name: &'a str,
        spcert: Option<&'a [u8]>,
    },
    UpdateSd {
        newsdname: Option<&'a str>,
        newspid: Option<&'a str>,
        spcert: Option<&'a [u8]>,
        remove: bool,
        renew: bool,
    },
    DeleteSd {
        deleteta: bool,
    },
    /// A TA of the developer, or anything.
    Ta {
        update: bool,
        ta: Option<&'a [u8]>,
        ours: Option<bool>,
        pdata: Option<&'a [u8]>,
        taid: Option<&'a str>,
        cbc: bool,
    },
    DeleteTa {
        taid: Option<&'a str>,
    },
    RightChunk {
        fetch: u8,
    },
    Query(&'a [u8]),
}

struct World {
    pki: OtrpPki,
    device: OtrpDevice,
    spcert: Vec<u8>,
    staple: Vec<Vec<u8>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let pki = OtrpPki::new(&provider(), 1);
    let ca = tamarack_pki::Authority::create(
        tamarack_x509::Role::Developer,
        "Developer CA",
        tamarack_crypto::KeyType::P256,
        tamarack_pki::Validity::days(NOW - 60, 30),
    )
    .expect("a root");
    let subject = tamarack_pki::Subject { uri: "https://acme.example".into(), common_name: "SP".into() };
    let pem = ca.issue(key("signer").public_key(), subject, NOW - 60, NOW + 86_400).expect("a certificate");
    let spcert = tamarack_pki::certificates_from_pem(&pem).expect("what was just written").remove(0);
    let (device, staple) = (pki.device(&provider(), 1), pki.tams[0].staple(NOW));
    World { pki, device, spcert, staple }
});

fn device(draft: bool) -> Agent<MemoryPlatform> {
    let world = &*WORLD;
    let mut platform = MemoryPlatform::new(provider(), 1).with_otrp(1, world.device.clone());
    let tam = &world.pki.tams[0];
    let tam = TamAnchor {
        owner: OwnerId([1; 16]),
        principal: Principal::Keys(vec![]),
        otrp: Some(OtrpPrincipal { anchor: tam.root().to_vec(), name: tam.name.clone(), draft }),
        protocol: Protocol::Otrp,
        uri: Some(TAM_URI.into()),
        scopes: vec![vec![]],
        require_binding: true,
        domains: 2,
        domain_quota: 1 << 12,
        persona: Persona(0),
        state: AnchorState::Active,
    };
    let seed = Seed {
        tams: vec![tam],
        signers: vec![],
        peripherals: vec![],
        device_authority: None,
        device_owner: None,
    };
    Agent::enrol(&mut platform, &provider(), &seed).expect("an empty platform");
    let config = AgentConfig {
        message: limits(),
        manifest: suit_limits(),
        otrp: Limits { message: 1 << 16, ta_message: 1 << 18, ..Limits::default() },
        new_provider: true,
        ..AgentConfig::default()
    };
    Agent::new(platform, provider(), config)
}

/// What the TAM knows.
struct Tam {
    number: u32,
    tid: MessageId,
    dsi: Option<SerializedDsi>,
}

fn id(number: u32) -> MessageId {
    MessageId::new(&format!("id-{number:029}")).expect("a short text")
}

impl Tam {
    fn headers(&self) -> SignHeaders<'static> {
        SignHeaders::chain(&WORLD.pki.tams[0].chain, &provider())
    }

    fn signer(&self) -> Signer<'static> {
        Signer::Es256(&*WORLD.pki.tams[0].signer)
    }

    fn tamid(&self) -> String {
        WORLD.pki.tams[0].name.text().into()
    }

    fn did(&self) -> [u8; 32] {
        provider().sha256(&WORLD.device.personas[0].chain[0])
    }

    fn tee(&self) -> Recipient {
        let key = tamarack_x509::unvalidated_key(&WORLD.device.personas[0].chain[0]).expect("a certificate");
        Recipient::from_spki(&key.to_spki()).expect("a P-256 key")
    }

    fn common(&mut self) -> Common {
        self.number += 1;
        Common {
            rid: id(self.number),
            tid: self.tid.clone(),
            tee: WORLD.device.name.clone(),
            nextdsi: self.number % 4 != 3,
            dsihash: self.dsi.as_ref().map_or([0; 32], |dsi| dsi.hash(&provider())),
        }
    }

    fn seal(&mut self, content: &Content, package: Option<&ta_package::EncryptedTa>) -> Option<Vec<u8>> {
        let (common, recipient, crypto) = (self.common(), self.tee(), provider());
        let sealing = Sealing {
            signer: self.signer(),
            headers: self.headers(),
            recipient: &recipient,
            enc: Enc::A128CbcHs256,
            provider: &crypto,
        };
        request::seal(&common, content, None, package, &sealing).ok()
    }

    fn signed(&self, command: Command, payload: &[u8]) -> Vec<u8> {
        let jws = jws::sign(payload, self.signer(), &self.headers()).expect("the key signs");
        json::to_vec(&json::object([(command.request(), jws)]))
    }

    fn package(&self, package: &TaPackage, cbc: bool) -> Option<ta_package::EncryptedTa> {
        let aiks = &self.dsi.as_ref()?.dsi().tee.teeaiklist;
        let aik = aiks.iter().find(|aik| aik.key.key_use() == Some(KeyUse::Encryption))?;
        let recipient = Recipient::from_jwk(&aik.key).ok()?;
        let protection = if cbc { Protection::AesCbc } else { Protection::A256Gcm };
        ta_package::seal(package, &recipient, protection, &provider()).ok()
    }

    fn message(&mut self, act: &Act<'_>) -> Option<Vec<u8>> {
        let command = |number: &u8| Command::ALL[usize::from(*number) % Command::ALL.len()];
        let (tamid, sdname) = (self.tamid(), SD.to_string());
        let spid = || "acme".to_string();
        let content = match act {
            Act::Raw(bytes) => return Some(bytes.to_vec()),
            Act::Signed { command: number, payload } => return Some(self.signed(command(number), payload)),
            Act::Content { command: number, content } => {
                let command = command(number);
                let common = self.common();
                let content = jwe::encrypt(content, &self.tee(), Enc::A128CbcHs256, &provider()).ok()?;
                let text = |text: &str| Json::String(text.into());
                let tbs = json::object([
                    ("ver", text("1.0")),
                    ("rid", text(common.rid.as_str())),
                    ("tid", text(common.tid.as_str())),
                    ("tee", text(&common.tee)),
                    ("nextdsi", Json::Bool(true)),
                    ("dsihash", text(&tamarack_otrp::hash_text(&common.dsihash))),
                    ("content", content),
                ]);
                let payload = json::to_vec(&json::object([(command.tbs_request(), tbs)]));
                return Some(self.signed(command, &payload));
            }
            Act::State => {
                self.number += 1;
                self.tid = id(self.number);
                let request = GetDeviceState {
                    rid: id(self.number),
                    tid: self.tid.clone(),
                    ocspdat: WORLD.staple.clone(),
                    supportedsigalgs: None,
                };
                return request.sign(self.signer(), &self.headers()).ok();
            }
            Act::CreateSd { name, spcert } => {
                let sdname = if name.is_empty() { sdname } else { (*name).into() };
                let spcert = spcert.map_or_else(|| WORLD.spcert.clone(), <[u8]>::to_vec);
                Content::CreateSd(CreateSd { spid: spid(), sdname, spcert, tamid, did: self.did() })
            }
            Act::UpdateSd { newsdname, newspid, spcert, remove, renew } => {
                let own = provider().sha256(&WORLD.spcert);
                let changes = Changes {
                    newsdname: newsdname.map(Into::into),
                    newspid: newspid.map(Into::into),
                    spcert: spcert.iter().map(|der| der.to_vec()).collect(),
                    deloldspcert: if *remove { vec![own] } else { vec![] },
                    renewteespaik: *renew,
                };
                Content::UpdateSd(UpdateSd { tamid, spid: Some(spid()), sdname, changes })
            }
            Act::DeleteSd { deleteta } => Content::DeleteSd(DeleteSd { tamid, sdname, deleteta: *deleteta }),
            Act::Ta { update, ta, ours, pdata, taid, cbc } => {
                let ours = ours.map(|by_uri| envelopes().swap_remove(usize::from(by_uri)));
                let ta = ours.or_else(|| ta.map(envelope_around));
                let package = TaPackage { ta, pdata: pdata.map(<[u8]>::to_vec) };
                let package = self.package(&package, *cbc)?;
                let taid = taid.unwrap_or(TAID).into();
                let content = InstallTa { tamid, spid: spid(), sdname, spcert: None, taid };
                let content = if *update { Content::UpdateTa(content) } else { Content::InstallTa(content) };
                return self.seal(&content, Some(&package));
            }
            Act::DeleteTa { taid } => {
                Content::DeleteTa(DeleteTa { tamid, sdname, taid: taid.unwrap_or(TAID).into() })
            }
            Act::RightChunk { .. } | Act::Query(_) => return None,
        };
        self.seal(&content, None)
    }

    /// Reads what the Agent answered: whatever it signs for a TAM can be read, and nothing else has a DSI.
    fn read(&mut self, message: &[u8]) -> Option<Dsi> {
        let incoming = response::parse(message, &Mode::Strict, &Limits::default());
        let key = DecryptionKey::Agree(&*WORLD.pki.tams[0].agreement);
        let dsi = match incoming.expect("the Agent writes what can be read") {
            Incoming::DeviceStates(mut parts) => {
                let part = parts.remove(0).expect("the Agent writes what can be read");
                part.open_device_state_unverified(key, &provider()).expect("encrypted to the TAM")
            }
            Incoming::Response(response) => {
                let tee = tamarack_x509::unvalidated_key(&WORLD.device.personas[0].chain[0])
                    .expect("a certificate");
                let tee = jws::VerificationKey::of(&tee, jws::Purpose::OtrpResponse).expect("P-256");
                let mut response = response.verify(&tee, &provider()).expect("signed by the TEE");
                response.open(key, &provider()).expect("encrypted to the TAM").and_then(|content| content.dsi)
            }
            Incoming::BrokerError(_) => panic!("the Agent is no Broker"),
        };
        if dsi.is_some() {
            self.dsi.clone_from(&dsi);
        }
        dsi.map(SerializedDsi::into_dsi)
    }
}

fn examples() -> Vec<Vec<u8>> {
    (0..=10u8).map(|act| vec![act.wrapping_mul(23); 96]).collect()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let mut u = Unstructured::new(data);
    let mut agent = device(bool::arbitrary(&mut u).unwrap_or_default());
    let mut tam = Tam { number: 0, tid: id(0), dsi: None };
    for _ in 0..10 {
        let Ok(act) = Act::arbitrary(&mut u) else { break };
        let before = agent.state_root();
        let input = match &act {
            Act::RightChunk { fetch } => {
                Some(Input::Chunk { fetch: (*fetch).into(), data: b"a TA".to_vec(), last: true })
            }
            Act::Query(query) => {
                let _ = agent.ta_information(query, None);
                None
            }
            _ => tam.message(&act).map(Input::ProcessOtrpMessage),
        };
        if let Some(input) = input {
            let _ = agent.handle(NOW, input);
        }
        if matches!(act, Act::Raw(_)) {
            assert_eq!(agent.state_root(), before, "a message that no TAM signed changed the device");
        }
        while let Some(output) = agent.poll_output() {
            let Output::Transmit { message, .. } = output else { continue };
            assert!(!matches!(act, Act::Raw(_)), "an answer for nobody");
            tam.read(&message);
        }
    }
    agent.status().expect("the device is still readable");
});
