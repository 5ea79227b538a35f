//! What a TAM needs for OTrP, read from the files that `tam.toml` names.

use std::fs;
use std::path::PathBuf;

use tamarack_crypto::{KeyType, Provider};
use tamarack_model::UnixTime;
use tamarack_pki::{certificates_from_pem, load_agreement_key, load_key};
use tamarack_tam::{OtrpConfig, OtrpSigner, TeeRules};
use tamarack_x509::{Anchor, AnyChain, NameKind, PathOptions, Role, validate_any};
use toml::Spanned;

use crate::Error;
use crate::config::{Config, FirmwareCaFile, OtrpFiles};
use crate::lists::{self, Lists};
use crate::staple::Staples;
use tamarack_service::refuse_development;

/// What was read.
pub(crate) struct Opened {
    pub config: OtrpConfig,
    pub staples: Staples,
    pub firmware_lists: Lists,
}

/// Reads the key, its chain and the authorities; nothing is fetched yet.
pub(crate) fn open(
    config: &Config,
    tee_rules: Vec<TeeRules>,
    now: UnixTime,
    crypto: &Provider,
) -> Result<Option<Opened>, Error> {
    let Some(files) = &config.otrp else { return Ok(None) };
    let key_pem = read(config, &files.key, "otrp.key")?;
    let wrong = |e| config.wrong(files.key.span(), "otrp.key", e);
    let sign = load_key(&key_pem).map_err(|e| wrong(e.to_string()))?;
    let public = sign.public_key();
    if public.key_type() != KeyType::P256 {
        return Err(wrong("OTrP needs a P-256 key".into()));
    }
    let agree = load_agreement_key(&key_pem).map_err(|e| wrong(e.to_string()))?;
    for signer in &config.signers {
        // Those that cannot be read are somebody else's error.
        let other = fs::read_to_string(config.path(signer.key.get_ref())).ok();
        if other.and_then(|pem| load_key(&pem).ok()).is_some_and(|other| other.public_key() == public) {
            return Err(wrong("this key signs TEEP messages; OTrP needs one of its own".into()));
        }
    }
    let valid = chain(config, files, now, crypto)?;
    let wrong = |e: &str| config.wrong(files.chain.span(), "otrp.chain", e);
    if valid.key() != Some(&public) {
        return Err(wrong("the first certificate is for another key"));
    }
    if !valid.may_agree() {
        return Err(wrong("the first certificate lacks keyAgreement, so no answer could be encrypted to it"));
    }
    let tamid = valid.name(NameKind::RegisteredId).or_else(|_| valid.name(NameKind::Uri));
    let tamid =
        tamid.map_err(|_| wrong("the first certificate must name one object identifier or one URI"))?;
    let path = valid.path();
    let sent = path[..path.len() - 1].iter().map(|der| der.to_vec()).collect();
    let signer = OtrpSigner::new(sign, agree, sent, tamid.into(), crypto);
    let mut otrp = OtrpConfig::new(signer);
    otrp.tee_rules = tee_rules;
    let mut firmware_lists = Lists::default();
    for FirmwareCaFile { file, crl } in &config.firmware_cas {
        let wrong = |e: String| config.wrong(file.span(), "firmware_ca.file", e);
        let pem = read(config, file, "firmware_ca.file")?;
        let certificates = certificates_from_pem(&pem).map_err(|e| wrong(e.to_string()))?;
        refuse_development(config.profile, &certificates).map_err(wrong)?;
        let (list_file, crls) = lists::named(config.document(), crl.as_ref(), "firmware_ca.crl")?;
        for der in certificates {
            otrp.firmware_cas.push(Anchor::from_der(&der).map_err(|e| wrong(e.to_string()))?);
            firmware_lists.add(list_file.clone(), crls.clone());
        }
    }
    otrp.firmware_crls = firmware_lists.current();
    let staples = Staples::new(config, files, &valid, *crypto);
    Ok(Some(Opened { config: otrp, staples, firmware_lists }))
}

/// The TAM's own chain, which must be one that devices can accept. That it has expired is found when its status is renewed:
/// it keeps nobody from TEEP.
fn chain(config: &Config, files: &OtrpFiles, now: UnixTime, crypto: &Provider) -> Result<AnyChain, Error> {
    let wrong = |e: String| config.wrong(files.chain.span(), "otrp.chain", e);
    let pem = read(config, &files.chain, "otrp.chain")?;
    let chain = certificates_from_pem(&pem).map_err(|e| wrong(e.to_string()))?;
    refuse_development(config.profile, &chain).map_err(wrong)?;
    let [below @ .., root] = &chain[..] else { return Err(wrong("it is empty".into())) };
    if below.is_empty() {
        return Err(wrong(
            "give the leaf first and the root last: the root's key verifies OCSP responses".into(),
        ));
    }
    let root = Anchor::from_der(root).map_err(|e| wrong(format!("the last certificate is no root: {e}")))?;
    // An authority of the draft's kind has no extended key usages; devices decide what they take.
    let options = PathOptions { require_role: false };
    let anchors = [root];
    let validate = |at| validate_any(below, &anchors, Role::OtrpTam, at, &options, crypto);
    let valid = match validate(now) {
        Err(tamarack_x509::Error::Expired { not_after }) => validate(not_after),
        result => result,
    };
    valid.map_err(|e| wrong(e.to_string()))
}

fn read(config: &Config, file: &Spanned<PathBuf>, key: &str) -> Result<String, Error> {
    let path = config.path(file.get_ref());
    fs::read_to_string(&path).map_err(|e| config.wrong(file.span(), key, Error::unreadable(&path, &e)))
}
