//! The same device over OTrP: it speaks for real (certified TEE key, fresh Evidence, signed and encrypted answers), keeps
//! its Security Domain from session to session, and forgets its TA after each.

use std::sync::{Mutex, PoisonError};

use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Sign};
use tamarack_jose::jwe::{DecryptionKey, Enc, Recipient};
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws::{Purpose, SignHeaders, Signer, VerificationKey};
use tamarack_jose::{Jwk, Mode};
use tamarack_model::{ComponentId, codes};
use tamarack_otrp::request::{Content, Request, SealedRequest, SignedRequest};
use tamarack_otrp::{
    Aik, Dsi, EXTENSION_H1, Limits, RequestedTa, Sealing, SecurityDomain, Ta, TeeState, broker, response,
    ta_package, taid,
};
use tamarack_pki::{Authority, Validity};
use tamarack_suit::Envelope;
use tamarack_x509::{Name, Role};

use super::device::{self, Post};
use crate::cmd::pki::pki;
use crate::fail::{Fail, Outcome};
use crate::keys;

/// Name of the TEE.
const TEE: &str = "bench";

pub struct Device {
    /// What it has in common with a device over TEEP: the Evidence.
    like: device::Device,
    signer: Box<dyn Sign>,
    agreement: Box<dyn KeyAgree>,
    /// Certificate of the TEE's key and its root, DER.
    chain: Vec<Vec<u8>>,
    /// What the TAM encrypts to.
    tam: Recipient,
    tam_key: PublicKey,
    /// Public halves of the provider's keys, and the private one that TAs are encrypted to.
    aik_sig: PublicKey,
    aik_enc: Box<dyn KeyAgree>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    domain: Option<SecurityDomain>,
    installs: u64,
    epoch: u64,
}

fn failed(error: impl std::fmt::Display) -> Fail {
    Fail::new(codes::INTERNAL, error)
}

fn key_pair(crypto: &Provider) -> Outcome<(Box<dyn Sign>, Box<dyn KeyAgree>)> {
    let pkcs8 = crypto.keys.generate_pkcs8(KeyType::P256).map_err(failed)?;
    let signer = crypto.keys.load_pkcs8(pkcs8.expose()).map_err(failed)?;
    Ok((signer, crypto.agree.load_pkcs8(pkcs8.expose()).map_err(failed)?))
}

impl Device {
    /// A device under `tee_ca` that asks the TAM with this key for `wanted` in every session.
    pub fn new(
        tee_ca: &Authority,
        wanted: ComponentId,
        tam_key: PublicKey,
        crypto: &Provider,
    ) -> Outcome<Self> {
        let (signer, agreement) = key_pair(crypto)?;
        let validity = Validity::days(keys::now() - 3600, 30);
        let name = Name::Uri("urn:x-tamarack:bench".into());
        let leaf =
            tee_ca.issue_named(signer.public_key(), Role::OtrpTee, &name, "bench", validity).map_err(pki)?;
        let mut chain = tamarack_pki::certificates_from_pem(&leaf).map_err(pki)?;
        chain.push(tee_ca.cert_der().to_vec());
        Ok(Self {
            like: device::Device::new(tee_ca, wanted, crypto)?,
            signer,
            agreement,
            chain,
            tam: Recipient::from_spki(&tam_key.to_spki()).map_err(failed)?,
            tam_key,
            aik_sig: key_pair(crypto)?.0.public_key(),
            aik_enc: key_pair(crypto)?.1,
            state: Mutex::default(),
        })
    }

    /// One whole session: empty POST, GetDeviceStateResponse with Evidence, the answer to InstallTA.
    pub fn session(&self, post: &mut Post<'_>, crypto: &Provider) -> Outcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let installs = state.installs;
        state.domain.iter_mut().for_each(|domain| domain.talist.clear());
        let mut request = post(None)?;
        while let Some(message) = request {
            let answer = self.answer(&mut state, &message, crypto)?;
            request = post(Some(&answer))?;
        }
        match state.installs - installs {
            1 => Ok(()),
            other => {
                Err(Fail::new(codes::HTTP_PEER, format_args!("the TAM installed {other} TAs in a session")))
            }
        }
    }

    fn sealing<'a>(&'a self, crypto: &'a Provider) -> Sealing<'a> {
        Sealing {
            signer: Signer::Es256(&*self.signer),
            headers: SignHeaders::default(),
            recipient: &self.tam,
            enc: Enc::A256Gcm,
            provider: crypto,
        }
    }

    fn answer(&self, state: &mut State, message: &[u8], crypto: &Provider) -> Outcome<Vec<u8>> {
        let otrp = |e: tamarack_otrp::Error| Fail::new(e.code(), e);
        let key = VerificationKey::of(&self.tam_key, Purpose::OtrpRequest).map_err(failed)?;
        let request = SignedRequest::parse(message, &Mode::Strict, &Limits::default()).map_err(otrp)?;
        match request.verify(&key, crypto).and_then(|request| request.read()).map_err(otrp)? {
            Request::GetDeviceState { request, .. } => {
                let tid = request.tid.as_str().as_bytes();
                let dsi = self.dsi(state, Some(tid))?.serialize();
                let sealing = self.sealing(crypto);
                let part = response::device_state(&request.rid, &request.tid, false, &dsi, &sealing)
                    .map_err(otrp)?;
                broker::assemble(&[part], &Limits::default()).map_err(otrp)
            }
            Request::Sealed(request) => self.command(state, *request, crypto),
        }
    }

    fn command(&self, state: &mut State, mut request: SealedRequest, crypto: &Provider) -> Outcome<Vec<u8>> {
        let otrp = |e: tamarack_otrp::Error| Fail::new(e.code(), e);
        let content = request.open(DecryptionKey::Agree(&*self.agreement), crypto).map_err(otrp)?;
        match (&content, state.domain.as_mut()) {
            (Content::CreateSd(create), None) => {
                state.domain = Some(SecurityDomain {
                    name: create.sdname.clone(),
                    spid: create.spid.clone(),
                    talist: Vec::new(),
                    spcert: vec![crypto.sha256(&create.spcert)],
                });
            }
            (Content::InstallTa(install), Some(domain)) => {
                let package = request.encrypted_ta().ok_or_else(|| failed("an InstallTA without a TA"))?;
                let key = DecryptionKey::Agree(&*self.aik_enc);
                let package = ta_package::open(package, key, crypto).map_err(otrp)?;
                let envelope = package.ta.ok_or_else(|| failed("a package without a TA"))?;
                let envelope =
                    Envelope::parse(&envelope, &tamarack_suit::Limits::default()).map_err(failed)?;
                let digest = envelope.digest().bytes().try_into().ok();
                // The bench publishes one version.
                domain.talist.push(Ta { taid: install.taid.clone(), taname: None, digest, seq: Some(1) });
                state.installs += 1;
            }
            (other, _) => {
                return Err(Fail::new(codes::HTTP_PEER, format_args!("the TAM sent {:?}", other.command())));
            }
        }
        let mut answer = response::Content::new(crypto.sha256(&self.chain[0]));
        if let Content::CreateSd(create) = &content {
            answer.sdname = Some(create.sdname.clone());
        }
        let common = request.common().clone();
        if common.nextdsi {
            answer.dsi = Some(self.dsi(state, None)?.serialize());
        }
        let sealing = self.sealing(crypto);
        response::seal(request.command(), &common.rid, &common.tid, &answer, &sealing).map_err(otrp)
    }

    /// Its state; with Evidence in the answer to `tid`.
    fn dsi(&self, state: &mut State, tid: Option<&[u8]>) -> Outcome<Dsi> {
        state.epoch += 1;
        let eat = tid.map(|tid| self.like.evidence(tid, self.signer.public_key())).transpose()?;
        let domain = state.domain.clone();
        let wanted = self.like.wanted();
        let requested = match (wanted.segments(), domain.as_ref().is_some_and(|d| !d.talist.is_empty())) {
            ([label, ta, ..], false) => {
                let sdname = String::from_utf8_lossy(label).into_owned();
                let taid = taid::from_segment(ta).ok_or_else(|| failed("a TA without a name in OTrP"))?;
                vec![RequestedTa { taid, sdname, ..RequestedTa::default() }]
            }
            _ => Vec::new(),
        };
        let aik = |key: &PublicKey, key_use, spid: &str| -> Outcome<Aik> {
            let key = Jwk::from_public_key(key).map_err(failed)?.with_use(key_use);
            Ok(Aik { key, spid: spid.to_owned() })
        };
        let mut teeaiklist = Vec::new();
        if let Some(domain) = &domain {
            teeaiklist.push(aik(&self.aik_enc.public_key(), KeyUse::Encryption, &domain.spid)?);
            teeaiklist.push(aik(&self.aik_sig, KeyUse::Signature, &domain.spid)?);
        }
        let tee = TeeState {
            name: TEE.into(),
            ver: "1".into(),
            cert: self.chain[0].clone(),
            cacert: self.chain[1..].to_vec(),
            sdlist: domain.into_iter().collect(),
            teeaiklist,
            epoch: Some(state.epoch),
            ext: vec![EXTENSION_H1.into()],
            eat,
            requestedtalist: requested,
            unneededtalist: Vec::new(),
            withheldtalist: Vec::new(),
        };
        Ok(Dsi { tfwdata: None, tee })
    }
}
