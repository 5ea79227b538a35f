//! The trust store: which TAMs the device obeys, whose manifests it runs, and who may change that.
//!
//! It is sealed at enrolment under keys of its own and changes afterwards only by an order that the device authority
//! signed, each in a transaction of its own (security rule R8).

mod codec;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Encode};
use tamarack_cose::{CoseKey, Purpose, Sign1, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{ComponentId, OwnerId, Protocol};
use tamarack_tee::{Persona, Platform};
use tamarack_x509::Name;

pub(crate) use codec::Number;
use codec::Tam;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, ANCHOR_AUTHORITY, ANCHOR_OWNER, ANCHOR_SEQUENCE, ANCHOR_SIGNER, ANCHOR_TAM};

/// A whole-segment prefix of component ids; the empty one covers every id.
pub type Prefix = Vec<Vec<u8>>;

/// Segment 0 of the ids that belong to the device itself; no manifest may name them (security rule R8).
pub const DEVICE_DOMAIN: &str = "tamarack-device";

/// How a principal proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// By one of these keys; no other principal has any of them (security rule K3).
    Keys(Vec<PublicKey>),
    /// By a certificate under this root that names exactly this URI (security rule K2).
    Certificate {
        /// The root, DER.
        anchor: Vec<u8>,
        /// The one subject alternative name, matched byte for byte.
        uri: String,
    },
}

/// What an anchor is good for now (security rule R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorState {
    /// Everything in its scope.
    Active,
    /// What it vouched for may still be run, but nothing is accepted any more.
    LoadOnly,
    /// Nothing.
    Revoked,
}

/// Who an OTrP TAM is. Stored as `[root, kind, name, draft]`, kind 0 for a registered id and 1 for a URI.
///
/// It is the same Owner as the TEEP principal of its [`TamAnchor`] because the anchor says so, and for no other reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtrpPrincipal {
    /// The root that its certificates chain to, DER.
    pub anchor: Vec<u8>,
    /// The one subject alternative name of its kind, matched exactly: what the draft calls tamid.
    pub name: Name,
    /// Whether the draft's plain form will do: no x5t#S256 in the protected header (security rule K4), and certificates
    /// without extended key usages.
    pub draft: bool,
}

/// A TAM that the device obeys: one Owner. Stored under its Owner id as `[state, principal, uri / null, scopes,
/// require_binding, otrp / null, protocol, domains, domain_quota, persona]`, in older stores without the last one or the last
/// five.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TamAnchor {
    /// The opaque id of this Owner on this device (security rule K1).
    pub owner: OwnerId,
    /// How it proves who it is in TEEP; with no keys it speaks OTrP only.
    pub principal: Principal,
    /// How it proves who it is in OTrP, if it speaks that.
    pub otrp: Option<OtrpPrincipal>,
    /// In which of them the device speaks to it first. It answers either.
    pub protocol: Protocol,
    /// Where to reach it when an application names no URI.
    pub uri: Option<String>,
    /// Component ids that it may install, update and delete.
    pub scopes: Vec<Prefix>,
    /// Whether its Updates must be bound to the exchange (security rule C6); on unless there is a reason.
    pub require_binding: bool,
    /// Most Security Domains that it may make. To make one is to introduce signers (security rule K7); 0 forbids it.
    pub domains: u32,
    /// Most bytes that the components in one of these domains may take.
    pub domain_quota: u64,
    /// The face that the device shows it, and no other Owner (security rule E5).
    pub persona: Persona,
    /// What it is good for now.
    pub state: AnchorState,
}

/// What a signer's manifests may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations {
    /// Install what was not there.
    pub install: bool,
    /// Supersede what is there.
    pub update: bool,
    /// Be deleted by their TAM.
    pub delete: bool,
}

impl Operations {
    /// All of them.
    pub const ALL: Self = Self { install: true, update: true, delete: true };
}

/// A Trusted Component Signer. Stored as `[state, principal, provider, prefixes, install, update, delete, quota, epoch]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerAnchor {
    /// The service provider that it belongs to.
    pub provider: String,
    /// How it proves who it is.
    pub principal: Principal,
    /// Component ids that its manifests may name, themselves included (security rule K7).
    pub prefixes: Vec<Prefix>,
    /// What its manifests may do.
    pub operations: Operations,
    /// Most bytes that the provider's components may take with one Owner.
    pub quota: u64,
    /// Signer epoch: how often the device authority gave it other keys. It stands before the sequence number in every
    /// rollback counter, so that a number which a stolen key used up binds nobody any more (security rule R2).
    pub epoch: u64,
    /// What it is good for now.
    pub state: AnchorState,
}

impl TamAnchor {
    /// Whether `id` lies in its scopes.
    pub fn covers(&self, id: &ComponentId) -> bool {
        covers(&self.scopes, id)
    }
}

impl TamAnchor {
    /// Whether all ids of a Security Domain lie in its scopes, and it may make domains.
    pub(crate) fn may_make_domain(&self, label: &[u8]) -> bool {
        let whole = |scope: &Prefix| scope.is_empty() || *scope == [label.to_vec()];
        self.domains > 0 && label != DEVICE_DOMAIN.as_bytes() && self.scopes.iter().any(whole)
    }
}

impl SignerAnchor {
    /// Whether `id` lies under one of its prefixes.
    pub fn covers(&self, id: &ComponentId) -> bool {
        covers(&self.prefixes, id)
    }
}

fn covers(prefixes: &[Prefix], id: &ComponentId) -> bool {
    id.domain() != DEVICE_DOMAIN.as_bytes() && prefixes.iter().any(|prefix| id.starts_with(prefix))
}

/// The anchors as they are sealed now.
#[derive(Clone, Debug)]
pub(crate) struct TrustStore {
    /// Number of the last change; 1 after enrolment.
    pub sequence: u64,
    pub tams: Vec<TamAnchor>,
    pub signers: Vec<SignerAnchor>,
    pub authority: Option<PublicKey>,
    /// The key of the device's owner, whose rules stand beside the anchors.
    pub device_owner: Option<PublicKey>,
}

impl TrustStore {
    pub fn load(platform: &dyn Platform) -> Result<Self, Error> {
        let sequence = platform.get(ANCHOR_SEQUENCE)?.ok_or(Error::NotEnrolled)?;
        let mut tams = Vec::new();
        for (key, value) in platform.scan(ANCHOR_TAM)? {
            let owner = key[ANCHOR_TAM.len()..].try_into().map_err(|_| Error::Corrupt("trust anchor"))?;
            let Tam(tam) = record::read(&value, "trust anchor")?;
            tams.push(TamAnchor { owner: OwnerId(owner), ..tam });
        }
        let signers = platform.scan(ANCHOR_SIGNER)?;
        let signers = signers.iter().map(|(_, value)| record::read(value, "trust anchor"));
        let key = |name: &[u8]| -> Result<Option<PublicKey>, Error> {
            let key = platform.get(name)?.map(|value| record::read(&value, "trust anchor")).transpose()?;
            Ok(key.map(|CoseKey(key)| key))
        };
        Ok(Self {
            sequence: record::read::<Number>(&sequence, "trust anchor")?.0,
            tams,
            signers: signers.collect::<Result<_, _>>()?,
            authority: key(ANCHOR_AUTHORITY)?,
            device_owner: key(ANCHOR_OWNER)?,
        })
    }

    /// Checks the rules that bind anchors to each other, then writes all of them.
    pub fn seal(&self, journal: &mut Journal) -> Result<(), Error> {
        self.check()?;
        journal.put(ANCHOR_SEQUENCE.to_vec(), Number(self.sequence).to_cbor());
        for tam in &self.tams {
            journal.put(record::owned(ANCHOR_TAM, &tam.owner), Tam(tam.clone()).to_cbor());
        }
        for (i, signer) in self.signers.iter().enumerate() {
            journal.put([ANCHOR_SIGNER, &(i as u32).to_be_bytes()].concat(), signer.to_cbor());
        }
        if let Some(key) = self.authority {
            journal.put(ANCHOR_AUTHORITY.to_vec(), CoseKey(key).to_cbor());
        }
        if let Some(key) = self.device_owner {
            journal.put(ANCHOR_OWNER.to_vec(), CoseKey(key).to_cbor());
        }
        Ok(())
    }

    /// One key, one purpose, one Owner (rules K3, K5); one name, one Owner (rule K2).
    fn check(&self) -> Result<(), Error> {
        if self.tams.is_empty() {
            return Err(Error::Seed("there is no TAM anchor"));
        }
        let (mut owners, mut names, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut personas = BTreeSet::new();
        let authority = self.authority.iter().chain(&self.device_owner);
        let tam_keys = self.tams.iter().flat_map(|tam| tam.principal.keys());
        let signer_keys: BTreeSet<_> = self.signers.iter().flat_map(|s| s.principal.keys()).collect();
        for key in tam_keys.chain(authority).chain(signer_keys) {
            if !keys.insert(*key) {
                return Err(Error::Seed("a key serves two TAMs or two purposes"));
            }
        }
        for tam in &self.tams {
            if !owners.insert(tam.owner) {
                return Err(Error::Seed("two TAM anchors have the same Owner id"));
            }
            if !personas.insert(tam.persona) {
                return Err(Error::Seed("two TAM anchors have the same persona"));
            }
            // One name under one root is one principal, and so one anchor, whichever protocol it speaks.
            let mut own = BTreeSet::new();
            if let Principal::Certificate { anchor, uri } = &tam.principal {
                own.insert((anchor, 1, uri));
            }
            if let Some(OtrpPrincipal { anchor, name, .. }) = &tam.otrp {
                let (kind, text) = name_parts(name)?;
                own.insert((anchor, kind, text));
            }
            if own.is_empty() && tam.principal.keys().is_empty() {
                return Err(Error::Seed("a TAM anchor has no principal"));
            }
            if tam.protocol == Protocol::Otrp && tam.otrp.is_none() {
                return Err(Error::Seed("a TAM anchor prefers OTrP without a principal for it"));
            }
            if own.into_iter().any(|name| !names.insert(name)) {
                return Err(Error::Seed("two TAM anchors have the same root and name"));
            }
        }
        Ok(())
    }

    /// Whether `key` can be no signer's that a TAM introduces: it has another purpose (rule K5), or its anchor was revoked.
    pub fn denies(&self, key: &PublicKey) -> bool {
        let of_tam = self.tams.iter().any(|tam| tam.principal.keys().contains(key));
        let revoked = self
            .signers
            .iter()
            .any(|signer| signer.state == AnchorState::Revoked && signer.principal.keys().contains(key));
        of_tam || revoked || [&self.authority, &self.device_owner].contains(&&Some(*key))
    }

    /// Whether any OTrP anchor takes the draft's plain form.
    pub fn has_draft(&self) -> bool {
        self.tams.iter().any(|tam| tam.otrp.as_ref().is_some_and(|otrp| otrp.draft))
    }

    /// Which protocol the TAM at `tam_uri` is spoken to in; TEEP if none is known there.
    pub fn protocol_at(&self, tam_uri: &str) -> Protocol {
        let known = self.tams.iter().find(|tam| tam.uri.as_deref() == Some(tam_uri));
        known.map_or(Protocol::Teep, |tam| tam.protocol)
    }
}

/// A name as it is stored and compared: kind and text.
fn name_parts(name: &Name) -> Result<(u64, &String), Error> {
    match name {
        Name::RegisteredId(text) => Ok((0, text)),
        Name::Uri(text) => Ok((1, text)),
        Name::Dns(_) => Err(Error::Seed("an OTrP TAM is named by a registered id or a URI")),
    }
}

impl Principal {
    /// Its raw keys, if that is how it proves who it is.
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Self::Keys(keys) => keys,
            Self::Certificate { .. } => &[],
        }
    }
}

/// An order of the device authority about one anchor. It travels as the payload of a COSE_Sign1 and reads
/// `[sequence, kind, anchor, change]`: `sequence` is one more than the trust store's, `kind` 0 for a TAM (`anchor` is its
/// Owner id), 1 for a provider's signers (`anchor` is the provider's name in UTF-8) and 2 for the device's owner (`anchor`
/// is empty); `change` is a state (0 active, 1 load-only, 2 revoked) or an array of 1 to 8 COSE_Keys. The device's owner
/// has one key, which can be given or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorOrder {
    /// The trust store's sequence number after this order.
    pub sequence: u64,
    /// Whose anchor it is.
    pub subject: Subject,
    /// What becomes of it.
    pub change: AnchorChange,
}

/// What an [`AnchorOrder`] does to an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorChange {
    /// From now on it is good for so much.
    State(AnchorState),
    /// From now on it has these keys and no others (security rule K3). A provider's signer epoch rises by one (R2).
    Keys(Vec<PublicKey>),
}

/// Whose anchor an [`AnchorOrder`] changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The TAM with this Owner id.
    Tam(OwnerId),
    /// All signers of this provider.
    Provider(String),
    /// The owner of the device.
    DeviceOwner,
}

/// Verifies an order and gives the trust store as it will be.
pub(crate) fn apply_order(
    store: &TrustStore,
    signed: &[u8],
    provider: &Provider,
) -> Result<TrustStore, Error> {
    let key =
        store.authority.ok_or(Error::Authority("the device was enrolled without a device authority"))?;
    let key = VerificationKey::new(key, Purpose::DeviceAuthority, provider);
    let order = Sign1::parse(signed, &record::limits())
        .and_then(|signed| signed.verify(&[key], Purpose::DeviceAuthority, None, &[], provider))
        .map_err(|_| Error::Authority("it is not signed by the device authority"))?;
    let order = AnchorOrder::from_cbor(order.value(), &record::limits())
        .map_err(|_| Error::Authority("it is malformed"))?;
    if order.sequence != store.sequence + 1 {
        return Err(Error::Authority("its sequence number is not the next one"));
    }
    let mut changed = store.clone();
    changed.sequence = order.sequence;
    if let AnchorChange::Keys(keys) = &order.change
        && keys.iter().any(|key| store.has(key))
    {
        return Err(Error::Authority("a key belongs to an anchor already"));
    }
    let mut found = false;
    match &order.subject {
        Subject::Tam(owner) => {
            for tam in changed.tams.iter_mut().filter(|tam| tam.owner == *owner) {
                found = true;
                match &order.change {
                    AnchorChange::State(state) => tam.state = *state,
                    AnchorChange::Keys(keys) => tam.principal = Principal::Keys(keys.clone()),
                }
            }
        }
        Subject::Provider(name) => {
            for signer in changed.signers.iter_mut().filter(|signer| signer.provider == *name) {
                found = true;
                match &order.change {
                    AnchorChange::State(state) => signer.state = *state,
                    AnchorChange::Keys(keys) => {
                        signer.principal = Principal::Keys(keys.clone());
                        signer.epoch += 1;
                    }
                }
            }
        }
        Subject::DeviceOwner => {
            found = true;
            changed.device_owner = match &order.change {
                AnchorChange::Keys(keys) if keys.len() == 1 => Some(keys[0]),
                AnchorChange::State(AnchorState::Revoked) => None,
                AnchorChange::Keys(_) | AnchorChange::State(_) => {
                    return Err(Error::Authority("a device owner has one key, or is revoked"));
                }
            };
        }
    }
    if found { Ok(changed) } else { Err(Error::Authority("there is no such anchor")) }
}

impl TrustStore {
    /// Whether any anchor has this key.
    pub fn has(&self, key: &PublicKey) -> bool {
        let tams = self.tams.iter().map(|tam| &tam.principal);
        let mut principals = tams.chain(self.signers.iter().map(|signer| &signer.principal));
        principals.any(|principal| principal.keys().contains(key))
            || [&self.authority, &self.device_owner].contains(&&Some(*key))
    }
}
