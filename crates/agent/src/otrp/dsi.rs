use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Provider, PublicKey};
use tamarack_jose::jwk::{Jwk, KeyUse};
use tamarack_model::ComponentId;
use tamarack_otrp::{
    Aik, Dsi, EXTENSION_H1, MessageId, RequestedTa, SecurityDomain, Ta, TeeState, TfwData, UnneededTa,
    WithheldTa, taid,
};
use tamarack_tee::{EvidenceRequest, OtrpIdentity, Platform};

use super::refusal::Refusal;
use crate::domains::{self, Domain};
use crate::journal::Journal;
use crate::ta::sessions::Sessions;
use crate::trust::{TamAnchor, TrustStore};
use crate::{Error, aik, notes, shown, slots};

/// Last segment of a manifest's id that has a name in OTrP.
const MANIFEST: &[u8] = b"suit";

/// What telling needs of its surroundings.
pub(crate) struct Told<'a> {
    pub journal: &'a Journal,
    pub provider: &'a Provider,
    pub platform: &'a dyn Platform,
    /// The TAs in memory.
    pub sessions: &'a Sessions,
    pub identity: &'a dyn OtrpIdentity,
    pub store: &'a TrustStore,
    pub tam: &'a TamAnchor,
    /// Where the TAM is reached in this exchange; requests to another address are not told.
    pub tam_uri: &'a str,
    /// Number of this DSI (rule R10).
    pub epoch: u64,
}

/// What the Owner may see of the device, as it will be after the journal: its own domains, TAs and keys, and nothing that
/// tells of another's.
pub(crate) fn state(told: &Told<'_>) -> Result<TeeState, Error> {
    let Told { journal, platform, identity, tam, .. } = told;
    let owner = &tam.owner;
    let mut names = BTreeMap::new();
    let mut sdlist = Vec::new();
    let manifests = slots::manifests(journal, *platform, Some(owner))?;
    for domain in domains::all(journal, *platform, owner)? {
        let tas = manifests.iter().filter(|(_, id, _)| id.domain() == domain.label);
        let tas = tas.filter_map(|(_, id, manifest)| {
            Some(Ta {
                taid: taid_of(id)?,
                taname: None,
                digest: Some(manifest.digest.0),
                seq: Some(manifest.sequence),
            })
        });
        sdlist.push(SecurityDomain {
            name: domain.name.clone(),
            spid: domain.provider.clone(),
            talist: tas.collect(),
            spcert: domain.active_signers(told.store).map(|signer| signer.digest.0).collect(),
        });
        names.insert(domain.label, domain.name);
    }
    let mut teeaiklist = Vec::new();
    for spid in aik::providers(journal, *platform, owner)? {
        let Some(keys) = aik::get(journal, *platform, owner, &spid)? else { continue };
        let both = [(keys.enc_public, KeyUse::Encryption), (keys.sig_public, KeyUse::Signature)];
        for (key, key_use) in both {
            teeaiklist.push(Aik { key: jwk(&key)?.with_use(key_use), spid: spid.clone() });
        }
    }
    let name_of = |id: &ComponentId| {
        let known = names.get(id.domain()).cloned();
        known.or_else(|| String::from_utf8(id.domain().to_vec()).ok())
    };
    let requested = notes::requested(*platform, told.tam_uri)?;
    let requested: Vec<_> = requested.into_iter().filter(|(id, _)| tam.covers(id)).collect();
    let ids: Vec<ComponentId> = requested.iter().map(|(id, _)| id.clone()).collect();
    let requested = requested.iter().filter_map(|(id, minimum)| {
        Some(RequestedTa { taid: segment_of(id)?, sdname: name_of(id)?, taname: None, seq: *minimum })
    });
    let withheld = match told.store.device_owner {
        Some(_) => crate::owner::report(journal, *platform, tam, &ids)?,
        None => Vec::new(),
    };
    let withheld = withheld.iter().filter_map(|one| {
        let (taid, sdname) = (segment_of(&one.id)?, name_of(&one.id)?);
        Some(WithheldTa { taid, sdname, why: one.why, seq: one.sequence })
    });
    let unneeded = notes::unneeded(*platform, owner)?;
    let unneeded =
        unneeded.iter().filter_map(|id| Some(UnneededTa { taid: taid_of(id)?, sdname: name_of(id)? }));
    let [cert, cacert @ ..] = identity.chain() else { return Err(Error::NoOtrp) };
    Ok(TeeState {
        name: identity.name().into(),
        ver: identity.version().into(),
        cert: cert.clone(),
        cacert: cacert.to_vec(),
        sdlist,
        teeaiklist,
        epoch: Some(told.epoch),
        ext: [EXTENSION_H1.into()].to_vec(),
        eat: None,
        requestedtalist: requested.collect(),
        unneededtalist: unneeded.collect(),
        withheldtalist: withheld.collect(),
    })
}

/// Adds what is made only when a transaction begins: what the firmware says of `tid`, and Evidence with `tid` as its nonce
/// and the TEE's OTrP key as its subject.
pub(crate) fn with_evidence(told: &Told<'_>, tee: TeeState, tid: &MessageId) -> Result<Dsi, Refusal> {
    let tid = tid.as_str().as_bytes();
    let tfwdata = if (1..=64).contains(&tid.len()) {
        let signature = told
            .identity
            .firmware_signature(tid)
            .map_err(|e| Refusal::with(tamarack_otrp::ErrorCode::TfwNotTrusted, e.code(), e))?;
        signature.map(|firmware| TfwData {
            tbs: tid.to_vec(),
            cert: firmware.certificate,
            sigalg: "ES256".into(),
            sig: firmware.signature.to_vec(),
        })
    } else {
        None
    };
    let eat = if (8..=64).contains(&tid.len()) {
        let Told { platform, provider, sessions, tam, .. } = told;
        let request = EvidenceRequest {
            nonce: tid,
            ueid: &shown::ueid(*platform, &tam.owner)?,
            trust_store_sequence: told.store.sequence,
            confirm: Some(told.identity.signer().public_key()),
            state: shown::state_root(*platform, provider, &tam.owner)?,
            components: &shown::components(*platform, sessions, &tam.owner)?,
            ta: None,
        };
        Some(platform.evidence(tam.persona, &request).map_err(Error::from)?.payload)
    } else {
        None
    };
    Ok(Dsi { tfwdata, tee: TeeState { eat, ..tee } })
}

/// A P-256 key as JOSE has it.
pub(crate) fn jwk(key: &PublicKey) -> Result<Jwk, Error> {
    Jwk::from_public_key(key).map_err(|_| Error::Signing)
}

/// The manifest that the TA `taid` in `domain` is.
pub(crate) fn manifest_of(domain: &Domain, taid: &str) -> Result<ComponentId, Refusal> {
    let segment = taid::to_segment(taid)?;
    ComponentId::new([&domain.label[..], &segment, MANIFEST]).map_err(|_| tamarack_otrp::Error::Taid.into())
}

/// The taid of a manifest, if it is of the form that OTrP has names for.
pub(crate) fn taid_of(manifest: &ComponentId) -> Option<String> {
    match manifest.segments() {
        [_, ta, last] if last == MANIFEST => taid::from_segment(ta),
        _ => None,
    }
}

/// The taid of a component or manifest of a TA.
fn segment_of(id: &ComponentId) -> Option<String> {
    id.segments().get(1).and_then(|segment| taid::from_segment(segment))
}
