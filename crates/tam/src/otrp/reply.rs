//! What goes back: signed requests, and the providers' keys for applications.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::SignatureAlgorithm;
use tamarack_jose::jwe::{Enc, Recipient};
use tamarack_jose::jwk::{Jwk, KeyUse};
use tamarack_jose::jws::{SignHeaders, Signer};
use tamarack_model::UnixTime;
use tamarack_otrp::aik::{SignedAiks, SpAik};
use tamarack_otrp::request::{
    self, Changes, Common, Content, CreateSd, DeleteSd, DeleteTa, GetDeviceState, InstallTa, UpdateSd,
};
use tamarack_otrp::ta_package::{self, EncryptedTa, Protection, TaPackage};
use tamarack_otrp::{Command, Error, MessageId, Sealing};
use tamarack_store::{OtrpDevice, ProviderKey};

use super::plan::Step;
use crate::Tam;
use crate::config::OtrpConfig;

/// What an answer may be signed with, by the names of RFC 7518.
const ALGORITHMS: [SignatureAlgorithm; 4] = SignatureAlgorithm::ALL;

fn headers(otrp: &OtrpConfig) -> SignHeaders<'_> {
    let leaf = (!otrp.signer.chain.is_empty()).then_some(otrp.signer.leaf_hash);
    SignHeaders { x5c: &otrp.signer.chain, x5t_s256: leaf, signer: None }
}

fn id(text: &str) -> Result<MessageId, Error> {
    // Ids are of this TAM's making, or came in as ids.
    MessageId::new(text).ok_or_else(|| Error::Mistyped("rid".into()))
}

/// The request that begins an exchange.
pub(crate) fn get_device_state(
    otrp: &OtrpConfig,
    rid: &str,
    tid: &str,
    ocspdat: Vec<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let algorithms: Vec<String> = ALGORITHMS.iter().map(|a| a.name().into()).collect();
    let request =
        GetDeviceState { rid: id(rid)?, tid: id(tid)?, ocspdat, supportedsigalgs: Some(algorithms) };
    request.sign(Signer::Es256(otrp.signer.sign.as_ref()), &headers(otrp))
}

/// A command on its way.
pub(crate) struct Request<'a> {
    pub rid: &'a str,
    pub tid: &'a MessageId,
    pub dsihash: [u8; 32],
    pub device: &'a OtrpDevice,
    /// The TEE's key, DER SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    /// OCSP responses, for a TEE that wants them with every request.
    pub ocspdat: Option<&'a [Vec<u8>]>,
    /// The key of the domain's provider, for a step that carries a TA.
    pub provider_key: Option<&'a [u8]>,
    /// The envelope, for a step that brings one.
    pub envelope: Option<Vec<u8>>,
}

/// The command that a step is.
pub(crate) fn command_of(step: &Step) -> Command {
    match step {
        Step::CreateDomain { .. } => Command::CreateSd,
        Step::UpdateDomain { .. } => Command::UpdateSd,
        Step::DropDomain { .. } => Command::DeleteSd,
        Step::Install { update: false, .. } => Command::InstallTa,
        Step::Install { update: true, .. } | Step::Personalize { .. } => Command::UpdateTa,
        Step::Remove { .. } => Command::DeleteTa,
    }
}

/// Encrypts and signs the request that a step is.
pub(crate) fn command(
    tam: &Tam,
    otrp: &OtrpConfig,
    step: &Step,
    request: Request<'_>,
) -> Result<Vec<u8>, Error> {
    let content = content(otrp, step, &request);
    let common = Common {
        rid: id(request.rid)?,
        tid: request.tid.clone(),
        tee: request.device.name.clone(),
        nextdsi: true,
        dsihash: request.dsihash,
    };
    let recipient = Recipient::from_spki(request.spki)?;
    let sealing = Sealing {
        signer: Signer::Es256(otrp.signer.sign.as_ref()),
        headers: headers(otrp),
        recipient: &recipient,
        enc: Enc::A128CbcHs256,
        provider: &tam.crypto,
    };
    let ocspdat = request.ocspdat;
    let package = package(tam, step, request)?;
    request::seal(&common, &content, ocspdat, package.as_ref(), &sealing)
}

fn content(otrp: &OtrpConfig, step: &Step, request: &Request<'_>) -> Content {
    let tamid = || otrp.signer.tamid.clone();
    let ta = |(sdname, taid): &(String, String), spid: &String| InstallTa {
        tamid: tamid(),
        spid: spid.clone(),
        sdname: sdname.clone(),
        spcert: None,
        taid: taid.clone(),
    };
    match step {
        Step::CreateDomain { domain, certificate } => Content::CreateSd(CreateSd {
            spid: domain.provider.clone(),
            sdname: domain.name.clone(),
            spcert: certificate.clone(),
            tamid: tamid(),
            did: request.device.did,
        }),
        Step::UpdateDomain { domain, add, remove } => Content::UpdateSd(UpdateSd {
            tamid: tamid(),
            spid: Some(domain.provider.clone()),
            sdname: domain.name.clone(),
            changes: Changes { spcert: add.clone(), deloldspcert: remove.clone(), ..Changes::default() },
        }),
        Step::DropDomain { domain, .. } => {
            Content::DeleteSd(DeleteSd { tamid: tamid(), sdname: domain.name.clone(), deleteta: true })
        }
        Step::Install { name, provider, update: false, .. } => Content::InstallTa(ta(name, provider)),
        Step::Install { name, provider, update: true, .. } | Step::Personalize { name, provider, .. } => {
            Content::UpdateTa(ta(name, provider))
        }
        Step::Remove { name: (sdname, taid), .. } => {
            Content::DeleteTa(DeleteTa { tamid: tamid(), sdname: sdname.clone(), taid: taid.clone() })
        }
    }
}

/// A TA, or data for one, encrypted to the provider's key on the device. One text at a time: two of them under one key and
/// IV, as the draft has it, would tell whether they begin alike.
fn package(tam: &Tam, step: &Step, request: Request<'_>) -> Result<Option<EncryptedTa>, Error> {
    let package = match step {
        Step::Install { .. } => TaPackage { ta: request.envelope, pdata: None },
        Step::Personalize { data, .. } => TaPackage { ta: None, pdata: Some(data.clone()) },
        Step::CreateDomain { .. }
        | Step::UpdateDomain { .. }
        | Step::DropDomain { .. }
        | Step::Remove { .. } => return Ok(None),
    };
    let recipient = Recipient::from_spki(request.provider_key.unwrap_or_default())?;
    let protection = if request.device.extended { Protection::A256Gcm } else { Protection::AesCbc };
    ta_package::seal(&package, &recipient, protection, &tam.crypto).map(Some)
}

/// The providers' keys on a device, vouched for to its applications; they say nothing of the device.
pub(crate) fn signed_keys(otrp: &OtrpConfig, now: UnixTime, keys: &[ProviderKey]) -> Result<Vec<u8>, Error> {
    let aik = |aik: &ProviderKey| -> Result<SpAik, Error> {
        let key = Jwk::from_spki(&aik.key)?;
        let key = match aik.purpose.as_deref() {
            Some("sig") => key.with_use(KeyUse::Signature),
            Some("enc") => key.with_use(KeyUse::Encryption),
            _ => key,
        };
        Ok(SpAik { spid: aik.provider.clone(), key })
    };
    let statement = SignedAiks {
        tamid: otrp.signer.tamid.clone(),
        iat: now,
        exp: now + otrp.keys_ttl,
        aiks: keys.iter().map(aik).collect::<Result<_, _>>()?,
    };
    statement.sign(Signer::Es256(otrp.signer.sign.as_ref()), &headers(otrp))
}
