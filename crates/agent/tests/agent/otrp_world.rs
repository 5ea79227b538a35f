//! A device that speaks OTrP too, and a small TAM for it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use tamarack_agent::{Agent, Input, OtrpPrincipal, Seed, TamAnchor};
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_jose::json::{self, Json};
use tamarack_jose::jwe::{self, DecryptionKey, Enc, Recipient};
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws::{self, Purpose, SignHeaders, Signer, VerificationKey};
use tamarack_model::{Code, Outcome, Protocol};
use tamarack_otrp::request::{
    self, Changes, Content, CreateSd, DeleteSd, DeleteTa, GetDeviceState, InstallTa, UpdateSd,
};
use tamarack_otrp::response::{self, Content as Answered, Incoming};
use tamarack_otrp::ta_package::{self, EncryptedTa, Protection, TaPackage};
use tamarack_otrp::{Common, Dsi, ErrorCode, Limits, MessageId, Mode, Sealing, SerializedDsi};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_testkit::memory_platform::MemoryStorage;
use tamarack_testkit::otrp_pki::{OtrpPki, TestTam};
use tamarack_x509::Role;

use crate::world::*;

pub const SP: &str = "acme";
pub const SD: &str = "com.acme";
pub const WALLET_TAID: &str = "11111111-1111-1111-1111-111111111111";

/// A world whose device and TAMs speak OTrP.
pub struct Otrp {
    pub world: World,
    pub pki: OtrpPki,
    /// Which TAM speaks.
    pub tam: usize,
    pub tid: MessageId,
    pub dsi: Option<SerializedDsi>,
    /// Whether the commands ask for a DSI.
    pub nextdsi: bool,
    /// Whether commands carry the TAM's certificates.
    pub x5c: bool,
    /// The face of the device that speaks, if it is not the one with the TAM's number.
    pub persona: Option<usize>,
    /// Instead of the staple of the TAM.
    pub staple: Option<Vec<Vec<u8>>>,
    number: u32,
}

impl Deref for Otrp {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Otrp {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Answer {
    pub request: Vec<u8>,
    pub reply: Reply,
    pub content: Option<Answered>,
}

impl Answer {
    pub fn outcome(&self) -> Option<&Outcome> {
        self.reply.outcome()
    }

    #[track_caller]
    pub fn expect_pass(self) -> Self {
        let content = self.content.as_ref().unwrap_or_else(|| panic!("no answer: {:?}", self.reply.finished));
        assert_eq!(content.reason, None, "{:?}", self.reply.finished);
        self
    }

    #[track_caller]
    pub fn error(&self) -> ErrorCode {
        let content = self.content.as_ref().unwrap_or_else(|| panic!("no answer: {:?}", self.reply.finished));
        content.reason.as_ref().expect("a failure").code
    }
}

fn developers() -> Authority {
    let validity = Validity::days(NOW - 86_400, 3650);
    Authority::create(Role::Developer, "Developer CA", KeyType::P256, validity).unwrap()
}

/// The certificate of the signer number `signer`.
pub fn spcert(signer: u8) -> Vec<u8> {
    static MADE: Mutex<BTreeMap<u8, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    made.entry(signer).or_insert_with(|| certificate_of(&*key(signer, "signer"))).clone()
}

pub fn certificate_of(key: &dyn Sign) -> Vec<u8> {
    let subject = Subject { uri: "https://acme.example".into(), common_name: "SP".into() };
    let pem = developers().issue(key.public_key(), subject, NOW - 60, NOW + 86_400 * 365).unwrap();
    certificates_from_pem(&pem).unwrap().swap_remove(0)
}

pub fn principal(tam: &TestTam) -> OtrpPrincipal {
    OtrpPrincipal { anchor: tam.root().to_vec(), name: tam.name.clone(), draft: false }
}

/// Both TAMs speak both protocols, and may make domains.
pub fn otrp_seed(pki: &OtrpPki) -> Seed {
    let mut seed = seed();
    for (anchor, tam) in seed.tams.iter_mut().zip(&pki.tams) {
        *anchor = TamAnchor {
            otrp: Some(principal(tam)),
            protocol: Protocol::Otrp,
            domains: 4,
            domain_quota: 1 << 16,
            ..anchor.clone()
        };
    }
    seed.signers.clear();
    seed
}

impl Otrp {
    pub fn new() -> Self {
        let pki = OtrpPki::new(&provider(), 2);
        let seed = otrp_seed(&pki);
        Self::with(pki, &seed)
    }

    pub fn with(pki: OtrpPki, seed: &Seed) -> Self {
        let device = pki.device(&provider(), 1);
        let mut platform = platform(1, MemoryStorage::default()).with_otrp(1, device.clone());
        Agent::enrol(&mut platform, &provider(), seed).unwrap();
        let mut world = World::on(1, platform);
        world.otrp = Some(device);
        Self {
            world,
            pki,
            tam: 0,
            tid: MessageId::new("no transaction").unwrap(),
            dsi: None,
            nextdsi: true,
            x5c: true,
            persona: None,
            staple: None,
            number: 0,
        }
    }

    /// With a domain for acme.
    pub fn with_domain() -> Self {
        let mut otrp = Self::new();
        otrp.state();
        otrp.create_sd(SD, SP).expect_pass();
        otrp
    }

    /// With a wallet in it.
    pub fn with_wallet(sequence: u64) -> Self {
        let mut otrp = Self::with_domain();
        otrp.install_ta(wallet_envelope(sequence)).expect_pass();
        otrp
    }

    pub fn tam(&self) -> &TestTam {
        &self.pki.tams[self.tam]
    }

    pub fn tamid(&self) -> String {
        self.tam().name.text().into()
    }

    pub fn new_id(&mut self, what: &str) -> MessageId {
        self.number += 1;
        MessageId::new(&format!("{what}-{:030}", self.number)).unwrap()
    }

    pub fn state_request(&mut self) -> GetDeviceState {
        self.tid = self.new_id("tid");
        GetDeviceState {
            rid: self.new_id("rid"),
            tid: self.tid.clone(),
            ocspdat: self.staple.clone().unwrap_or_else(|| self.tam().staple(self.now - 60)),
            supportedsigalgs: Some(vec!["ES256".into()]),
        }
    }

    pub fn sign_state(&self, request: &GetDeviceState) -> Vec<u8> {
        let tam = self.tam();
        request.sign(Signer::Es256(&*tam.signer), &SignHeaders::chain(&tam.chain, &provider())).unwrap()
    }

    pub fn send_otrp(&mut self, message: Vec<u8>) -> Reply {
        self.drive(Input::ProcessOtrpMessage(message))
    }

    /// GetDeviceState; what it tells is the base of the commands that follow.
    #[track_caller]
    pub fn state(&mut self) -> Dsi {
        let request = self.state_request();
        let message = self.sign_state(&request);
        let reply = self.send_otrp(message);
        assert!(!reply.bytes.is_empty(), "no answer: {:?}", reply.finished);
        self.read_state(&reply.bytes)
    }

    #[track_caller]
    pub fn read_state(&mut self, message: &[u8]) -> Dsi {
        let part = self.read_part(message);
        let key = DecryptionKey::Agree(&*self.tam().agreement);
        let dsi = part.open_device_state_unverified(key, &provider()).unwrap().expect("a DSI");
        let tee = tamarack_x509::unvalidated_key(&dsi.dsi().tee.cert).unwrap();
        let tee = VerificationKey::of(&tee, Purpose::OtrpResponse).unwrap();
        assert_eq!(part.tid(), &self.tid);
        part.verify(&tee, &provider()).expect("the TEE's signature");
        self.dsi = Some(dsi.clone());
        dsi.into_dsi()
    }

    #[track_caller]
    pub fn read_part(&self, message: &[u8]) -> tamarack_otrp::SignedResponse {
        let parsed = response::parse(message, &Mode::Strict, &Limits::default()).unwrap();
        let Incoming::DeviceStates(mut parts) = parsed else { panic!("not a state") };
        parts.remove(0).unwrap()
    }

    pub fn common(&mut self) -> Common {
        let dsihash = self.dsi.as_ref().map_or([0; 32], |dsi| dsi.hash(&provider()));
        Common {
            rid: self.new_id("rid"),
            tid: self.tid.clone(),
            tee: "test TEE".into(),
            nextdsi: self.nextdsi,
            dsihash,
        }
    }

    pub fn tee_key(&self) -> Recipient {
        Recipient::from_spki(&self.tee_public_key().to_spki()).unwrap()
    }

    pub fn tee_public_key(&self) -> PublicKey {
        tamarack_x509::unvalidated_key(self.tee_certificate()).unwrap()
    }

    /// The certificate of the TEE as the TAM that speaks knows it.
    fn tee_certificate(&self) -> &[u8] {
        &self.world.otrp.as_ref().unwrap().personas[self.persona.unwrap_or(self.tam)].chain[0]
    }

    pub fn did(&self) -> [u8; 32] {
        provider().sha256(self.tee_certificate())
    }

    /// The request that carries `content`, signed.
    pub fn seal(&self, common: &Common, content: &Content, package: Option<&EncryptedTa>) -> Vec<u8> {
        self.seal_to(&self.tee_key(), common, content, package, None)
    }

    pub fn seal_to(
        &self,
        recipient: &Recipient,
        common: &Common,
        content: &Content,
        package: Option<&EncryptedTa>,
        ocspdat: Option<&[Vec<u8>]>,
    ) -> Vec<u8> {
        let tam = self.tam();
        let crypto = provider();
        let mut headers = SignHeaders::chain(&tam.chain, &crypto);
        if !self.x5c {
            headers.x5c = &[];
        }
        let signer = Signer::Es256(&*tam.signer);
        let sealing = Sealing { signer, headers, recipient, enc: Enc::A128CbcHs256, provider: &crypto };
        request::seal(common, content, ocspdat, package, &sealing).unwrap()
    }

    pub fn command(&mut self, content: Content, package: Option<&EncryptedTa>) -> Answer {
        let common = self.common();
        let request = self.seal(&common, &content, package);
        self.send_command(request)
    }

    pub fn send_command(&mut self, request: Vec<u8>) -> Answer {
        let reply = self.send_otrp(request.clone());
        let content = (!reply.bytes.is_empty()).then(|| self.read_answer(&reply.bytes));
        if let Some(dsi) = content.as_ref().and_then(|content| content.dsi.clone()) {
            self.dsi = Some(dsi);
        }
        Answer { request, reply, content }
    }

    #[track_caller]
    pub fn read_answer(&self, message: &[u8]) -> Answered {
        let parsed = response::parse(message, &Mode::Strict, &Limits::default()).unwrap();
        let Incoming::Response(signed) = parsed else { panic!("not an answer to a command") };
        let tee = VerificationKey::of(&self.tee_public_key(), Purpose::OtrpResponse).unwrap();
        let mut authentic = signed.verify(&tee, &provider()).expect("the TEE's signature");
        let key = DecryptionKey::Agree(&*self.tam().agreement);
        let content = authentic.open(key, &provider()).unwrap().expect("content");
        assert_eq!(content.did, self.did());
        content
    }

    /// Sends a command and checks that it is refused with `error` and changes nothing.
    #[track_caller]
    pub fn refused(&mut self, content: Content, package: Option<&EncryptedTa>, error: ErrorCode) -> Code {
        let common = self.common();
        let request = self.seal(&common, &content, package);
        self.refused_command(request, error)
    }

    #[track_caller]
    pub fn refused_command(&mut self, request: Vec<u8>, error: ErrorCode) -> Code {
        let before = (self.digest(), self.storage().blobs());
        let answer = self.send_command(request);
        assert_eq!(answer.error(), error, "{:?}", answer.reply.finished);
        assert_eq!((self.digest(), self.storage().blobs()), before, "a refusal changed the device");
        refusal(&answer.reply)
    }

    /// Sends something and checks that nobody answers, nothing is stored, and why.
    #[track_caller]
    pub fn silent(&mut self, message: Vec<u8>, error: ErrorCode, code: Code) {
        let before = (self.storage().pairs(), self.storage().blobs());
        let reply = self.send_otrp(message);
        assert!(reply.bytes.is_empty(), "somebody who is not authentic got an answer");
        let detail = &reply.finished.as_ref().expect("an end").detail;
        assert!(detail.starts_with(error.text()), "{detail}, not {error}");
        assert_eq!(refusal(&reply), code, "{detail}");
        assert_eq!((self.storage().pairs(), self.storage().blobs()), before, "something was stored");
    }

    pub fn create(&self, sdname: &str, spid: &str) -> CreateSd {
        let (spid, sdname, tamid) = (spid.into(), sdname.into(), self.tamid());
        CreateSd { spid, sdname, spcert: spcert(1), tamid, did: self.did() }
    }

    pub fn create_sd(&mut self, sdname: &str, spid: &str) -> Answer {
        let content = self.create(sdname, spid);
        self.command(Content::CreateSd(content), None)
    }

    pub fn update_of(&self, changes: Changes) -> Content {
        let (tamid, spid, sdname) = (self.tamid(), Some(SP.into()), SD.into());
        Content::UpdateSd(UpdateSd { tamid, spid, sdname, changes })
    }

    pub fn update_sd(&mut self, changes: Changes) -> Answer {
        let content = self.update_of(changes);
        self.command(content, None)
    }

    pub fn delete_of(&self, sdname: &str, deleteta: bool) -> Content {
        Content::DeleteSd(DeleteSd { tamid: self.tamid(), sdname: sdname.into(), deleteta })
    }

    pub fn delete_sd(&mut self, sdname: &str, deleteta: bool) -> Answer {
        let content = self.delete_of(sdname, deleteta);
        self.command(content, None)
    }

    pub fn wallet_of(&self) -> InstallTa {
        let (tamid, spid, sdname) = (self.tamid(), SP.into(), SD.into());
        InstallTa { tamid, spid, sdname, spcert: None, taid: WALLET_TAID.into() }
    }

    /// The key that the DSI has for this SP and use.
    #[track_caller]
    pub fn aik(&self, spid: &str, key_use: KeyUse) -> tamarack_jose::jwk::Jwk {
        let dsi = self.dsi.as_ref().expect("a DSI").dsi();
        let of_sp = |aik: &&tamarack_otrp::Aik| aik.spid == spid && aik.key.key_use() == Some(key_use);
        dsi.tee.teeaiklist.iter().find(of_sp).expect("a key of the SP").key.clone()
    }

    pub fn package(&self, ta: Option<Vec<u8>>, pdata: Option<&[u8]>) -> EncryptedTa {
        let recipient = Recipient::from_jwk(&self.aik(SP, KeyUse::Encryption)).unwrap();
        let package = TaPackage { ta, pdata: pdata.map(<[u8]>::to_vec) };
        ta_package::seal(&package, &recipient, Protection::A256Gcm, &provider()).unwrap()
    }

    pub fn install_ta(&mut self, envelope: Vec<u8>) -> Answer {
        let package = self.package(Some(envelope), None);
        let content = Content::InstallTa(self.wallet_of());
        self.command(content, Some(&package))
    }

    pub fn update_ta(&mut self, envelope: Option<Vec<u8>>, pdata: Option<&[u8]>) -> Answer {
        let package = self.package(envelope, pdata);
        let content = Content::UpdateTa(self.wallet_of());
        self.command(content, Some(&package))
    }

    pub fn delete_wallet(&self) -> Content {
        let (tamid, sdname, taid) = (self.tamid(), SD.into(), WALLET_TAID.into());
        Content::DeleteTa(DeleteTa { tamid, sdname, taid })
    }

    pub fn delete_ta(&mut self) -> Answer {
        let content = self.delete_wallet();
        self.command(content, None)
    }
}

#[track_caller]
pub fn refusal(reply: &Reply) -> Code {
    match reply.outcome() {
        Some(Outcome::Refused(code)) => *code,
        other => panic!("not refused: {other:?}"),
    }
}

/// A JSON text as the tests take it apart.
pub fn parse_json(text: &[u8]) -> Json {
    json::parse(text, &json::Limits::default()).unwrap()
}

/// Sets, or with `None` removes, a member of an object.
pub fn set(object: &mut Json, name: &str, value: Option<Json>) {
    let Json::Object(members) = object else { panic!("not an object") };
    members.retain(|(member, _)| member != name);
    members.extend(value.map(|value| (name.into(), value)));
}

/// The member `name` of an object, to be changed.
pub fn member<'j>(object: &'j mut Json, name: &str) -> &'j mut Json {
    let Json::Object(members) = object else { panic!("not an object") };
    &mut members.iter_mut().find(|(member, _)| member == name).expect("the member").1
}

impl Otrp {
    /// The request with its payload changed, signed anew by the TAM.
    pub fn resigned(&self, request: &[u8], change: impl FnOnce(&mut Json)) -> Vec<u8> {
        let tam = self.tam();
        self.resigned_with(request, &SignHeaders::chain(&tam.chain, &provider()), change)
    }

    pub fn resigned_with(
        &self,
        request: &[u8],
        headers: &SignHeaders<'_>,
        change: impl FnOnce(&mut Json),
    ) -> Vec<u8> {
        let mut outer = parse_json(request);
        let Json::Object(members) = &mut outer else { panic!("not an object") };
        let payload = members[0].1.get("payload").and_then(Json::as_str).unwrap();
        let mut payload = parse_json(&tamarack_jose::base64::decode_url(payload).unwrap());
        {
            let Json::Object(inner) = &mut payload else { panic!("not an object") };
            change(&mut inner[0].1);
        }
        let signer = Signer::Es256(&*self.tam().signer);
        members[0].1 = jws::sign(&json::to_vec(&payload), signer, headers).unwrap();
        json::to_vec(&outer)
    }

    /// The request with its outer layer changed.
    pub fn tampered(&self, request: &[u8], change: impl FnOnce(&mut Json)) -> Vec<u8> {
        let mut outer = parse_json(request);
        let Json::Object(members) = &mut outer else { panic!("not an object") };
        change(&mut members[0].1);
        json::to_vec(&outer)
    }

    /// Any text, encrypted to the TEE as a content.
    pub fn content(&self, text: &[u8]) -> Json {
        jwe::encrypt(text, &self.tee_key(), Enc::A128CbcHs256, &provider()).unwrap()
    }
}
