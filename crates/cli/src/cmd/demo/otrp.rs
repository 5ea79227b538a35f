//! OTrP in the hands of people who are not the TAM: one who has stolen its key, one with keys of its own, one who is a TAM
//! of other devices.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use tamarack_crypto::{KeyAgree, Provider, Sign};
use tamarack_jose::json::{self, Json};
use tamarack_jose::{jwe, jwk::KeyUse, jws};
use tamarack_model::Protocol;
use tamarack_otrp::request::{Content, GetDeviceState};
use tamarack_otrp::response::{self, Incoming};
use tamarack_otrp::ta_package::{self, Protection, TaPackage};
use tamarack_otrp::{Common, Dsi, ErrorCode, Limits, MessageId, Mode, ResponseBody, Sealing, SignedResponse};
use tamarack_x509::unvalidated_key;

use super::relay::{Answer, Fate};
use super::world::{Digests, Refused, World};

/// The name of an OTrP message, or of another object with one member.
pub fn name_of(message: &[u8]) -> Option<String> {
    match json::parse(message, &json::Limits::default()).ok()? {
        Json::Object(mut members) if members.len() == 1 => Some(members.swap_remove(0).0),
        // The signed keys for apps are a JWS without a name.
        Json::Object(members) if members.iter().any(|(name, _)| name == "signature") => Some("JWS".into()),
        _ => None,
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Speaks OTrP as a TAM.
#[derive(Clone)]
pub struct OtrpImpostor {
    signer: Arc<dyn Sign>,
    agreement: Arc<dyn KeyAgree>,
    chain: Vec<Vec<u8>>,
    crypto: Provider,
    /// What it staples.
    pub ocsp: Vec<Vec<u8>>,
    /// How its messages are recorded.
    pub author: &'static str,
}

/// What a TEE has told an impostor.
#[derive(Clone)]
pub struct Told {
    /// Its state.
    pub dsi: Dsi,
    /// The hash of it that a command must name.
    pub hash: [u8; 32],
    /// The transaction in which it was told.
    tid: MessageId,
}

/// What a TEE made of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carried out.
    Done,
    /// Refused by the TEE, signed and encrypted.
    Refused(ErrorCode),
    /// The TEE said nothing, and the Broker this.
    Broker(ErrorCode),
}

impl OtrpImpostor {
    /// With these files of a P-256 key and its certificates.
    pub fn load(key_pem: &str, chain_pem: &str, author: &'static str, crypto: &Provider) -> Result<Self> {
        let (_, pkcs8) = pem_rfc7468::decode_vec(key_pem.as_bytes()).map_err(failed)?;
        Ok(Self {
            signer: tamarack_pki::load_key(key_pem)?.into(),
            agreement: crypto.agree.load_pkcs8(&pkcs8).map_err(failed)?.into(),
            chain: tamarack_pki::certificates_from_pem(chain_pem)?,
            crypto: *crypto,
            ocsp: Vec::new(),
            author,
        })
    }

    fn id(&self) -> Result<MessageId> {
        let mut bytes = [0; 32];
        self.crypto.random.fill(&mut bytes).map_err(failed)?;
        MessageId::new(&tamarack_jose::base64::encode_url(&bytes)).context("an id of 43 characters")
    }

    /// A GetDeviceStateRequest in a new transaction.
    pub fn get_device_state(&self) -> Result<Vec<u8>> {
        let request = GetDeviceState {
            rid: self.id()?,
            tid: self.id()?,
            ocspdat: self.ocsp.clone(),
            supportedsigalgs: Some(vec!["ES256".into()]),
        };
        let headers = jws::SignHeaders::chain(&self.chain, &self.crypto);
        request.sign(jws::Signer::Es256(&*self.signer), &headers).map_err(failed)
    }

    /// A signed command that goes by `told`; `envelope` is the TA of those that bring one.
    pub fn command(&self, told: &Told, content: &Content, envelope: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let tee = &told.dsi.tee;
        let spki = unvalidated_key(&tee.cert).map_err(failed)?.to_spki();
        let recipient = jwe::Recipient::from_spki(&spki).map_err(failed)?;
        let common = Common {
            rid: self.id()?,
            tid: told.tid.clone(),
            tee: tee.name.clone(),
            nextdsi: false,
            dsihash: told.hash,
        };
        let sealing = Sealing {
            signer: jws::Signer::Es256(&*self.signer),
            headers: jws::SignHeaders::chain(&self.chain, &self.crypto),
            recipient: &recipient,
            enc: jwe::Enc::A256Gcm,
            provider: &self.crypto,
        };
        let package = match envelope {
            Some(envelope) => {
                let aik = tee.teeaiklist.iter().find(|aik| aik.key.key_use() != Some(KeyUse::Signature));
                // One who is told no key of a provider makes one up.
                let recipient = aik.map_or_else(
                    || jwe::Recipient::from_spki(&self.signer.public_key().to_spki()),
                    |aik| jwe::Recipient::from_jwk(&aik.key),
                );
                let package = TaPackage { ta: Some(envelope), pdata: None };
                let recipient = recipient.map_err(failed)?;
                Some(
                    ta_package::seal(&package, &recipient, Protection::A256Gcm, &self.crypto)
                        .map_err(failed)?,
                )
            }
            None => None,
        };
        tamarack_otrp::request::seal(&common, content, None, package.as_ref(), &sealing).map_err(failed)
    }

    /// The state that a GetDeviceStateResponse of one TEE tells; None if it is something else.
    pub fn state(&self, message: &[u8]) -> Result<Option<Told>> {
        let parts = match response::parse(message, &Mode::Strict, &Limits::default()).map_err(failed)? {
            Incoming::DeviceStates(parts) => parts,
            Incoming::Response(_) | Incoming::BrokerError(_) => return Ok(None),
        };
        let part = parts.into_iter().next().context("no TEE in the array")?.map_err(failed)?;
        let key = jwe::DecryptionKey::Agree(&*self.agreement);
        let opened = part.open_device_state_unverified(key, &self.crypto).map_err(failed)?;
        let Some(opened) = opened else { return Ok(None) };
        let (hash, tid) = (opened.hash(&self.crypto), part.tid().clone());
        let dsi = opened.into_dsi();
        self.verify(part, &dsi.tee.cert)?;
        Ok(Some(Told { dsi, hash, tid }))
    }

    fn verify(&self, part: SignedResponse, certificate: &[u8]) -> Result<tamarack_otrp::AuthenticResponse> {
        let key = unvalidated_key(certificate).map_err(failed)?;
        let key = jws::VerificationKey::of(&key, jws::Purpose::OtrpResponse).map_err(failed)?;
        part.verify(&key, &self.crypto).map_err(failed)
    }

    /// What a TEE with this certificate made of a command; its answer must be signed by it.
    pub fn verdict(&self, message: &[u8], certificate: &[u8]) -> Result<Verdict> {
        let response = match response::parse(message, &Mode::Strict, &Limits::default()).map_err(failed)? {
            Incoming::BrokerError(error) => return Ok(Verdict::Broker(error.code)),
            Incoming::Response(response) => *response,
            Incoming::DeviceStates(_) => bail!("a GetDeviceStateResponse in answer to a command"),
        };
        let mut response = self.verify(response, certificate)?;
        if let ResponseBody::Failed { reason, .. } = response.body() {
            return Ok(Verdict::Refused(reason.code));
        }
        let key = jwe::DecryptionKey::Agree(&*self.agreement);
        let content = response.open(key, &self.crypto).map_err(failed)?.context("no content")?;
        Ok(content.reason.map_or(Verdict::Done, |reason| Verdict::Refused(reason.code)))
    }

    /// Signs anything as this TAM.
    pub fn sign_aiks(&self, aiks: &tamarack_otrp::aik::SignedAiks) -> Result<Vec<u8>> {
        let headers = jws::SignHeaders::chain(&self.chain, &self.crypto);
        aiks.sign(jws::Signer::Es256(&*self.signer), &headers).map_err(failed)
    }

    /// What a message to this TAM is encrypted to.
    pub fn recipient(&self) -> Result<jwe::Recipient> {
        jwe::Recipient::from_spki(&self.signer.public_key().to_spki()).map_err(failed)
    }
}

/// Makes the next message of an impostor of all that it was told so far.
pub type Next = Box<dyn FnOnce(&OtrpImpostor, &[Told]) -> Result<Vec<u8>> + Send>;

/// What came of an exchange with an impostor.
#[derive(Default)]
pub struct OtrpExchange {
    /// States that the TEE told.
    pub states: Vec<Told>,
    /// All else that came from the device.
    pub answers: Vec<Vec<u8>>,
    /// The digests just before the last message of the impostor.
    pub before: Option<Digests>,
    /// What the app that drove the exchange was told.
    pub told: Refused,
}

impl OtrpExchange {
    /// The last answer that is not a state.
    pub fn answer(&self) -> Result<&[u8]> {
        Ok(self.answers.last().context("the device did not answer")?)
    }
}

impl World {
    /// Device `name` checks for policy changes, and instead of the TAM the impostor answers with these messages.
    pub fn impersonate_otrp(
        &self,
        name: char,
        impostor: &OtrpImpostor,
        messages: Vec<Next>,
    ) -> Result<OtrpExchange> {
        let seen = Arc::new(Mutex::new((OtrpExchange::default(), None)));
        let (noted, impostor, prober) = (seen.clone(), impostor.clone(), self.prober()?);
        let mut messages = VecDeque::from(messages);
        let mut answer = move |body: &[u8], noted: &mut OtrpExchange| -> Result<Answer> {
            if !body.is_empty() {
                match impostor.state(body) {
                    Ok(Some(told)) => noted.states.push(told),
                    _ => noted.answers.push(body.to_vec()),
                }
            }
            let Some(next) = messages.pop_front() else { return Ok(Answer::nothing()) };
            let message = next(&impostor, &noted.states)?;
            noted.before = Some(prober.digests()?);
            Ok(Answer::message(message, impostor.author))
        };
        let handler = move |_: char, body: &[u8], _: &super::relay::Tam| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let result = answer(body, &mut noted.0);
            if let Err(error) = &result {
                noted.1 = Some(format!("{error:#}"));
            }
            result
        };
        let device = self.device(name)?;
        let told = self.relay.with(Box::new(handler), || device.policy_check())?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (exchange, error) = std::mem::take(&mut *seen);
        match error {
            Some(error) => bail!("the impostor failed: {error}"),
            None => Ok(OtrpExchange { told, ..exchange }),
        }
    }

    /// Device `name` connects to the real TAM, and gets this message in its place.
    pub fn replay_otrp_to(&self, name: char, message: Vec<u8>) -> Result<OtrpExchange> {
        let seen = Arc::new(Mutex::new(OtrpExchange::default()));
        let (noted, prober) = (seen.clone(), self.prober()?);
        let mut message = Some(message);
        let handler = move |_: char, body: &[u8], _: &super::relay::Tam| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            if !body.is_empty() {
                noted.answers.push(body.to_vec());
            }
            let Some(message) = message.take() else { return Ok(Answer::nothing()) };
            noted.before = Some(prober.digests()?);
            Ok(Answer::message(message, "tam").with(Fate::Replayed))
        };
        let device = self.device(name)?;
        let told = self.relay.with(Box::new(handler), || device.policy_check())?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(OtrpExchange { told, ..std::mem::take(&mut *seen) })
    }

    /// The messages of this name that passed the relay to or from this device in `step` (in any if it is empty), as they
    /// were made by who should make them, oldest first.
    pub fn otrp_messages(&self, step: &str, device: char, name: &str) -> Vec<Vec<u8>> {
        let records = self.relay.records().into_iter().filter(|record| {
            record.protocol == Protocol::Otrp
                && record.device == device
                && (step.is_empty() || record.step == step)
                && matches!(record.author, "tam" | "device")
                && record.fate == Fate::Genuine
        });
        records.map(|record| record.bytes).filter(|bytes| name_of(bytes).as_deref() == Some(name)).collect()
    }

    /// Certificate of the device's TEE in OTrP, DER.
    pub fn tee_certificate(&self, name: char) -> Result<Vec<u8>> {
        let pem = std::fs::read_to_string(self.dir.join(format!("device-{name}-otrp.pem")))?;
        Ok(tamarack_pki::certificates_from_pem(&pem)?.swap_remove(0))
    }

    /// The stolen OTrP key of the real TAM.
    pub fn stolen_otrp(&self) -> Result<OtrpImpostor> {
        self.stolen_otrp.clone().context("the TAM has no OTrP key yet")
    }

    /// Has `ca` say in an OCSP response how its certificate `cert` stands; both are files of the demo.
    pub fn staple(&self, ca: &str, cert: &str) -> Result<Vec<u8>> {
        let out = self.path("staple.der");
        let (ca, cert) = (self.path(ca), self.path(cert));
        self.run(&["pki", "ocsp", "--ca", &ca, "--once", "--cert", &cert, "--out", &out])?;
        Ok(std::fs::read(out)?)
    }
}
