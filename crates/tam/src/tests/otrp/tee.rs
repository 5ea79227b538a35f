//! The simulated TEE.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use tamarack_crypto::{KeyAgree, PublicKey, RsaKey, Sign};
use tamarack_eat::Confirmation;
use tamarack_jose::jwe::{DecryptionKey, Enc, Recipient};
use tamarack_jose::jwk::{Jwk, KeyUse};
use tamarack_jose::jws::{Purpose, SignHeaders, Signer, VerificationKey};
use tamarack_model::{ComponentId, DeviceId};
use tamarack_otrp::request::{Content, Request, SignedRequest};
use tamarack_otrp::response::{self, Reason};
use tamarack_otrp::{
    Aik, Command, Dsi, EXTENSION_H1, ErrorCode, Limits, MessageId, Mode, RequestedTa, Sealing,
    SecurityDomain, SerializedDsi, Ta, TeeState, TfwData, UnneededTa, broker, ta_package, taid,
};
use tamarack_suit::Envelope;
use tamarack_x509::Role;

use super::world::{TAMID, World};
use crate::Reply;
use crate::tests::world::{self as base, NOW};

/// The text that a request signs.
fn payload(message: &[u8]) -> String {
    let json = tamarack_jose::json::parse(message, &tamarack_jose::json::Limits::default()).unwrap();
    let (_, jws) = &json.as_object().unwrap()[0];
    let payload = jws.get("payload").unwrap().as_str().unwrap();
    String::from_utf8(tamarack_jose::base64::decode_url(payload).unwrap()).unwrap()
}

/// A key of a TEE.
pub enum TeeKey {
    Ec(Box<dyn Sign>, Box<dyn KeyAgree>),
    Rsa(Box<dyn RsaKey>),
}

impl TeeKey {
    pub fn load(key: &KeyPair) -> Self {
        let crypto = base::crypto();
        let der = key.serialized_der();
        match crypto.keys.load_pkcs8(der) {
            Ok(sign) => Self::Ec(sign, crypto.agree.load_pkcs8(der).unwrap()),
            Err(_) => Self::Rsa(crypto.rsa.unwrap().load_pkcs8(der).unwrap()),
        }
    }

    pub fn generate() -> Self {
        Self::load(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ec(sign, _) => sign.public_key().to_spki(),
            Self::Rsa(key) => key.spki().to_vec(),
        }
    }

    fn signer(&self) -> Signer<'_> {
        match self {
            Self::Ec(sign, _) => Signer::Es256(sign.as_ref()),
            Self::Rsa(key) => Signer::Rsa(key.as_ref(), tamarack_crypto::SignatureAlgorithm::Rs256),
        }
    }

    fn decryption(&self) -> DecryptionKey<'_> {
        match self {
            Self::Ec(_, agree) => DecryptionKey::Agree(agree.as_ref()),
            Self::Rsa(key) => DecryptionKey::Rsa(key.as_ref()),
        }
    }
}

/// A Security Domain in a simulated TEE.
pub struct Sd {
    pub spid: String,
    pub certificates: Vec<Vec<u8>>,
    /// taid -> envelope, personalization data.
    pub tas: BTreeMap<String, (Vec<u8>, Option<Vec<u8>>)>,
}

/// A TEE in memory that does what it is told and checks that it was told properly.
pub struct Tee {
    pub key: TeeKey,
    pub certificate: Vec<u8>,
    pub above: Vec<Vec<u8>>,
    pub name: String,
    /// The device whose attestation key signs its Evidence, if it has any.
    pub attested: Option<base::Device>,
    pub firmware: Option<(Vec<u8>, KeyPair)>,
    pub extended: bool,
    pub wants_status: bool,
    /// Whether responses to commands bring the next state.
    pub tells: bool,
    pub epoch: u64,
    pub sds: BTreeMap<String, Sd>,
    pub aiks: BTreeMap<String, (TeeKey, TeeKey)>,
    pub requested: Vec<ComponentId>,
    pub unneeded: Vec<ComponentId>,
    /// What every command is answered with instead of doing it.
    pub fails: Option<ErrorCode>,
    /// What it was told to do.
    pub done: Vec<Command>,
    told: Option<SerializedDsi>,
    tam_key: PublicKey,
}

impl Tee {
    pub fn new(world: &World, algorithm: &'static SignatureAlgorithm) -> Self {
        let (certificate, key) = world.tee_ca.issue(Some(Role::OtrpTee), algorithm);
        Self {
            key: TeeKey::load(&key),
            certificate,
            above: alloc::vec![world.tee_ca.der.clone()],
            name: "tee".into(),
            attested: Some(world.device()),
            firmware: None,
            extended: true,
            wants_status: false,
            tells: true,
            epoch: 0,
            sds: BTreeMap::new(),
            aiks: BTreeMap::new(),
            requested: Vec::new(),
            unneeded: Vec::new(),
            fails: None,
            done: Vec::new(),
            told: None,
            tam_key: world.tam_key,
        }
    }

    pub fn did(&self) -> [u8; 32] {
        base::crypto().sha256(&self.certificate)
    }

    /// Its id at the TAM.
    pub fn id(&self) -> DeviceId {
        let crypto = base::crypto();
        match (&self.attested, &self.key) {
            (Some(device), _) => device.id(&crypto),
            (None, TeeKey::Ec(sign, _)) => DeviceId(tamarack_cose::thumbprint(&sign.public_key(), &crypto).0),
            (None, TeeKey::Rsa(key)) => DeviceId(crypto.sha256(key.spki())),
        }
    }

    pub fn digest_of(envelope: &[u8]) -> [u8; 32] {
        let envelope = Envelope::parse(envelope, &tamarack_suit::Limits::default()).unwrap();
        envelope.digest().bytes().try_into().unwrap()
    }

    /// The envelope that it holds of a TA.
    pub fn ta(&self, sdname: &str, taid: &str) -> Option<&Vec<u8>> {
        Some(&self.sds.get(sdname)?.tas.get(taid)?.0)
    }

    /// Its state as it would tell it in answer to `tid`.
    pub fn dsi(&mut self, tid: Option<&str>) -> Dsi {
        let crypto = base::crypto();
        self.epoch += 1;
        let ours = self.extended;
        let sd = |(name, sd): (&String, &Sd)| SecurityDomain {
            name: name.clone(),
            spid: sd.spid.clone(),
            talist: sd
                .tas
                .iter()
                .map(|(taid, (envelope, _))| Ta {
                    taid: taid.clone(),
                    taname: None,
                    digest: ours.then(|| Self::digest_of(envelope)),
                    seq: None,
                })
                .collect(),
            spcert: match ours {
                true => sd.certificates.iter().map(|der| crypto.sha256(der)).collect(),
                false => Vec::new(),
            },
        };
        let sdlist = self.sds.iter().map(sd).collect();
        let mut teeaiklist = Vec::new();
        for (spid, (sig, enc)) in &self.aiks {
            let key = |key: &TeeKey| Jwk::from_spki(&key.spki()).unwrap();
            match ours {
                true => {
                    let uses = [(sig, KeyUse::Signature), (enc, KeyUse::Encryption)];
                    let aiks = uses.map(|(k, u)| Aik { key: key(k).with_use(u), spid: spid.clone() });
                    teeaiklist.extend(aiks);
                }
                false => teeaiklist.push(Aik { key: key(enc), spid: spid.clone() }),
            }
        }
        let names = |ids: &[ComponentId]| -> Vec<(String, String)> {
            ids.iter().map(|id| taid::from_manifest(id).unwrap()).collect()
        };
        let eat = tid.zip(self.attested.as_ref()).map(|(tid, device)| {
            let mut claims = device.claims(tid.as_bytes());
            if let TeeKey::Ec(sign, _) = &self.key {
                claims.cnf = Some(Confirmation::Key(sign.public_key()));
            }
            device.evidence(&claims)
        });
        let tfwdata = tid.zip(self.firmware.as_ref()).map(|(tid, (cert, key))| {
            let key = crypto.keys.load_pkcs8(key.serialized_der()).unwrap();
            TfwData {
                tbs: tid.as_bytes().to_vec(),
                cert: cert.clone(),
                sigalg: "ES256".into(),
                sig: key.sign(tid.as_bytes()).unwrap().to_vec(),
            }
        });
        let tee = TeeState {
            name: self.name.clone(),
            ver: "1".into(),
            cert: self.certificate.clone(),
            cacert: self.above.clone(),
            sdlist,
            teeaiklist,
            epoch: ours.then_some(self.epoch),
            ext: if ours { alloc::vec![EXTENSION_H1.into()] } else { Vec::new() },
            eat,
            requestedtalist: names(&self.requested)
                .into_iter()
                .map(|(sdname, taid)| RequestedTa { taid, sdname, taname: None, seq: None })
                .collect(),
            withheldtalist: Vec::new(),
            unneededtalist: names(&self.unneeded)
                .into_iter()
                .map(|(sdname, taid)| UnneededTa { taid, sdname })
                .collect(),
        };
        Dsi { tfwdata, tee }
    }

    fn sealing<'a>(&'a self, recipient: &'a Recipient, crypto: &'a tamarack_crypto::Provider) -> Sealing<'a> {
        Sealing {
            signer: self.key.signer(),
            headers: SignHeaders::default(),
            recipient,
            enc: Enc::A128CbcHs256,
            provider: crypto,
        }
    }

    /// The part of a GetDeviceStateResponse for this DSI.
    pub fn state(&mut self, rid: &MessageId, tid: &MessageId, dsi: &Dsi) -> Vec<u8> {
        let (crypto, serialized) = (base::crypto(), dsi.serialize());
        let recipient = Recipient::from_spki(&self.tam_key.to_spki()).unwrap();
        let part = response::device_state(
            rid,
            tid,
            self.wants_status,
            &serialized,
            &self.sealing(&recipient, &crypto),
        );
        self.told = Some(serialized);
        part.unwrap()
    }

    /// The same encrypted to someone else.
    pub fn state_to(&self, to: &TeeKey, rid: &MessageId, tid: &MessageId, dsi: &Dsi) -> Vec<u8> {
        let crypto = base::crypto();
        let recipient = Recipient::from_spki(&to.spki()).unwrap();
        let sealing = self.sealing(&recipient, &crypto);
        response::device_state(rid, tid, self.wants_status, &dsi.serialize(), &sealing).unwrap()
    }

    /// An answer to a command.
    pub fn content(
        &self,
        command: Command,
        (rid, tid): (&MessageId, &MessageId),
        content: &response::Content,
    ) -> Vec<u8> {
        self.seal(&self.tam_key.to_spki(), command, (rid, tid), content)
    }

    /// The same encrypted to someone else.
    pub fn content_to(
        &self,
        to: &TeeKey,
        command: Command,
        ids: (&MessageId, &MessageId),
        content: &response::Content,
    ) -> Vec<u8> {
        self.seal(&to.spki(), command, ids, content)
    }

    fn seal(
        &self,
        spki: &[u8],
        command: Command,
        (rid, tid): (&MessageId, &MessageId),
        content: &response::Content,
    ) -> Vec<u8> {
        let crypto = base::crypto();
        let recipient = Recipient::from_spki(spki).unwrap();
        response::seal(command, rid, tid, content, &self.sealing(&recipient, &crypto)).unwrap()
    }

    /// Does what a request asks for and answers, as a device with one TEE.
    pub fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        match self.read(message) {
            Request::GetDeviceState { request, .. } => {
                let dsi = self.dsi(Some(request.tid.as_str()));
                let part = self.state(&request.rid, &request.tid, &dsi);
                broker::assemble(&[part], &Limits::default()).unwrap()
            }
            Request::Sealed(mut request) => {
                let crypto = base::crypto();
                let common = request.common().clone();
                assert_eq!(common.tee, self.name);
                assert_eq!(request.ocspdat().is_some(), self.wants_status);
                if request.encrypted_ta().is_some() {
                    let protection = if self.extended { "A256GCM" } else { "AESCBC" };
                    assert!(payload(message).contains(protection));
                }
                let content = request.open(self.key.decryption(), &crypto).unwrap();
                assert_eq!(content.tamid(), TAMID);
                self.done.push(request.command());
                let known =
                    self.told.take().is_some_and(|told| told.hashes(&crypto).matches(&common.dsihash));
                let done = match self.fails {
                    Some(code) => Err(code),
                    None if !known => Err(ErrorCode::DevStateMismatch),
                    None => self.carry_out(&content, request.encrypted_ta()),
                };
                let mut answer = response::Content::new(self.did());
                answer.reason = done.err().map(Reason::new);
                if common.nextdsi && self.tells {
                    let dsi = self.dsi(None).serialize();
                    self.told = Some(dsi.clone());
                    answer.dsi = Some(dsi);
                }
                self.content(request.command(), (&common.rid, &common.tid), &answer)
            }
        }
    }

    /// Reads a request as a TEE does, with the TAM's signature checked.
    pub fn read(&self, request: &[u8]) -> Request {
        let request = SignedRequest::parse(request, &Mode::Strict, &Limits::default()).unwrap();
        let crypto = base::crypto();
        assert_eq!(request.names_leaf(&crypto), Some(true), "rule K4");
        let key = VerificationKey::of(&self.tam_key, Purpose::OtrpRequest).unwrap();
        request.verify(&key, &crypto).unwrap().read().unwrap()
    }

    fn carry_out(
        &mut self,
        content: &Content,
        package: Option<&ta_package::EncryptedTa>,
    ) -> Result<(), ErrorCode> {
        let crypto = base::crypto();
        if let Content::CreateSd(content) = content {
            assert_eq!(content.did, self.did());
            if self.sds.contains_key(&content.sdname) {
                return Err(ErrorCode::SdAlreadyExists);
            }
            let certificates = alloc::vec![content.spcert.clone()];
            let sd = Sd { spid: content.spid.clone(), certificates, tas: BTreeMap::new() };
            self.sds.insert(content.sdname.clone(), sd);
            let keys = || (TeeKey::generate(), TeeKey::generate());
            self.aiks.entry(content.spid.clone()).or_insert_with(keys);
            return Ok(());
        }
        let sd = self.sds.get_mut(content.sdname()).ok_or(ErrorCode::SdNotFound)?;
        match content {
            Content::CreateSd(_) => unreachable!(),
            Content::UpdateSd(content) => {
                assert_eq!(content.spid.as_ref(), Some(&sd.spid));
                let changes = &content.changes;
                sd.certificates.retain(|der| !changes.deloldspcert.contains(&crypto.sha256(der)));
                for certificate in &changes.spcert {
                    if !sd.certificates.contains(certificate) {
                        sd.certificates.push(certificate.clone());
                    }
                }
            }
            Content::DeleteSd(content) => {
                assert!(content.deleteta);
                let sd = self.sds.remove(&content.sdname).unwrap();
                if !self.sds.values().any(|other| other.spid == sd.spid) {
                    self.aiks.remove(&sd.spid);
                }
            }
            Content::InstallTa(ta) | Content::UpdateTa(ta) => {
                assert_eq!(ta.spid, sd.spid);
                let key = &self.aiks[&ta.spid].1;
                let package = ta_package::open(package.unwrap(), key.decryption(), &crypto).unwrap();
                let installed = sd.tas.contains_key(&ta.taid);
                match (matches!(content, Content::InstallTa(_)), installed) {
                    (true, true) => return Err(ErrorCode::TaAlreadyInstalled),
                    (false, false) => return Err(ErrorCode::TaNotFound),
                    _ => {}
                }
                let entry = sd.tas.entry(ta.taid.clone()).or_default();
                if let Some(envelope) = package.ta {
                    entry.0 = envelope;
                    self.requested.retain(|id| *id != taid::to_manifest(&ta.sdname, &ta.taid).unwrap());
                }
                entry.1 = package.pdata.or(entry.1.take());
            }
            Content::DeleteTa(content) => {
                sd.tas.remove(&content.taid).ok_or(ErrorCode::TaNotFound)?;
                self.unneeded.clear();
            }
        }
        Ok(())
    }

    /// rid and tid of a request.
    pub fn ids(&self, request: &[u8]) -> (MessageId, MessageId) {
        match self.read(request) {
            Request::GetDeviceState { request, .. } => (request.rid, request.tid),
            Request::Sealed(request) => (request.common().rid.clone(), request.common().tid.clone()),
        }
    }

    /// The answer to a GetDeviceStateRequest with a change to what it tells.
    pub fn answer_with(&mut self, request: &[u8], change: impl FnOnce(&mut Dsi)) -> Vec<u8> {
        let (rid, tid) = self.ids(request);
        let mut dsi = self.dsi(Some(tid.as_str()));
        change(&mut dsi);
        let part = self.state(&rid, &tid, &dsi);
        broker::assemble(&[part], &Limits::default()).unwrap()
    }

    /// The answer to a GetDeviceStateRequest with a text replaced in what is signed.
    pub fn answer_resigned(&mut self, request: &[u8], from: &str, to: &str) -> Vec<u8> {
        let answer = self.answer(request);
        let json = tamarack_jose::json::parse(&answer, &tamarack_jose::json::Limits::default()).unwrap();
        let parts = json.get("GetDeviceStateResponse").unwrap().as_array().unwrap();
        let jws = parts[0].get("GetDeviceTEEStateResponse").unwrap();
        let payload = jws.get("payload").unwrap().as_str().unwrap();
        let text = String::from_utf8(tamarack_jose::base64::decode_url(payload).unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        let payload = text.replacen(from, to, 1);
        let signed = tamarack_jose::jws::sign(payload.as_bytes(), self.key.signer(), &SignHeaders::default());
        let part = tamarack_jose::json::object([("GetDeviceTEEStateResponse", signed.unwrap())]);
        broker::assemble(&[tamarack_jose::json::to_vec(&part)], &Limits::default()).unwrap()
    }

    /// The keys for applications in a reply, verified with the TAM's key.
    #[track_caller]
    pub fn keys(&self, reply: &Reply) -> Vec<(String, Option<KeyUse>)> {
        let Reply::Keys { message, .. } = reply else { panic!("no keys: {reply:?}") };
        let signed = tamarack_otrp::aik::SignedAiks::parse(message, &Limits::default()).unwrap();
        let key = VerificationKey::of(&self.tam_key, Purpose::AttestationKeys).unwrap();
        let keys = signed.verify(&key, &base::crypto()).unwrap();
        assert_eq!((keys.tamid.as_str(), keys.iat, keys.exp), (TAMID, NOW, NOW + 86_400));
        keys.aiks.iter().map(|aik| (aik.spid.to_string(), aik.key.key_use())).collect()
    }
}
