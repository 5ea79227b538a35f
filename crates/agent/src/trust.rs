//! The trust store: which TAMs the device obeys, whose manifests it runs, and who may change that.
//!
//! It is sealed at enrolment under keys of its own and changes afterwards only by an order that the device authority
//! signed, each in a transaction of its own (security rule R8).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind};
use tamarack_cose::{CoseKey, Purpose, Sign1, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{ComponentId, OwnerId, Protocol};
use tamarack_tee::Platform;
use tamarack_x509::Name;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, ANCHOR_AUTHORITY, ANCHOR_SEQUENCE, ANCHOR_SIGNER, ANCHOR_TAM};

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
/// require_binding, otrp / null, protocol, domains, domain_quota]`, in older stores without the last four.
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
        let authority = platform.get(ANCHOR_AUTHORITY)?;
        let authority = authority.map(|value| record::read(&value, "trust anchor")).transpose()?;
        Ok(Self {
            sequence: record::read::<Number>(&sequence, "trust anchor")?.0,
            tams,
            signers: signers.collect::<Result<_, _>>()?,
            authority: authority.map(|CoseKey(key)| key),
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
        Ok(())
    }

    /// One key, one purpose, one Owner (rules K3, K5); one name, one Owner (rule K2).
    fn check(&self) -> Result<(), Error> {
        if self.tams.is_empty() {
            return Err(Error::Seed("there is no TAM anchor"));
        }
        let (mut owners, mut names, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let authority = self.authority.as_slice();
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
        let revoked = self.signers.iter().any(|signer| {
            signer.state == AnchorState::Revoked && signer.principal.keys().contains(key)
        });
        of_tam || revoked || self.authority.as_ref() == Some(key)
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
/// Owner id) and 1 for a provider's signers (`anchor` is the provider's name in UTF-8); `change` is a state (0 active,
/// 1 load-only, 2 revoked) or an array of 1 to 8 COSE_Keys.
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
    }
    if found { Ok(changed) } else { Err(Error::Authority("there is no such anchor")) }
}

impl TrustStore {
    /// Whether any anchor has this key.
    fn has(&self, key: &PublicKey) -> bool {
        let tams = self.tams.iter().map(|tam| &tam.principal);
        let mut principals = tams.chain(self.signers.iter().map(|signer| &signer.principal));
        principals.any(|principal| principal.keys().contains(key)) || self.authority.as_ref() == Some(key)
    }
}

impl Encode for AnchorOrder {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(self.sequence);
        match &self.subject {
            Subject::Tam(owner) => e.uint(0).bytes(&owner.0),
            Subject::Provider(name) => e.uint(1).bytes(name.as_bytes()),
        };
        match &self.change {
            AnchorChange::State(state) => e.item(state),
            AnchorChange::Keys(keys) => e.item(&Principal::Keys(keys.clone())),
        };
    }
}

impl<'b> Decode<'b> for AnchorOrder {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "the 4 elements of an order")?;
        let sequence = d.uint()?;
        let at = d.position();
        let wrong = |expected| tamarack_cbor::Error::new(at, ErrorKind::Value(expected));
        let subject = match d.uint()? {
            0 => Subject::Tam(OwnerId(d.byte_array("an Owner id of 16 bytes")?)),
            1 => {
                let name = core::str::from_utf8(d.bytes()?).map_err(|_| wrong("a provider's name"))?;
                Subject::Provider(name.into())
            }
            _ => return Err(wrong("kind 0 or 1")),
        };
        let at = d.position();
        let change = match d.peek() {
            tamarack_cbor::Kind::Array => match Principal::decode(d)? {
                Principal::Keys(keys) if (1..=8).contains(&keys.len()) => AnchorChange::Keys(keys),
                _ => return Err(tamarack_cbor::Error::new(at, ErrorKind::Value("1 to 8 keys"))),
            },
            _ => AnchorChange::State(AnchorState::decode(d)?),
        };
        Ok(Self { sequence, subject, change })
    }
}

impl Encode for AnchorState {
    fn encode(&self, e: &mut Encoder) {
        e.uint(match self {
            Self::Active => 0,
            Self::LoadOnly => 1,
            Self::Revoked => 2,
        });
    }
}

impl<'b> Decode<'b> for AnchorState {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        match d.uint()? {
            0 => Ok(Self::Active),
            1 => Ok(Self::LoadOnly),
            2 => Ok(Self::Revoked),
            _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("an anchor state from 0 to 2"))),
        }
    }
}

/// `[* COSE_Key]`, or `[root, uri]` with the root as a byte string.
impl Encode for Principal {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Keys(keys) => {
                e.array(keys.len());
                keys.iter().fold(e, |e, key| e.item(&CoseKey(*key)));
            }
            Self::Certificate { anchor, uri } => {
                e.array(2).bytes(anchor).text(uri);
            }
        }
    }
}

impl<'b> Decode<'b> for Principal {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let count = d.array()?;
        if d.peek() == tamarack_cbor::Kind::Bytes {
            return Ok(Self::Certificate { anchor: d.bytes()?.to_vec(), uri: d.text()?.into() });
        }
        let keys = (0..count).map(|_| CoseKey::decode(d).map(|CoseKey(key)| key));
        Ok(Self::Keys(keys.collect::<Result<_, _>>()?))
    }
}

fn encode_prefixes(e: &mut Encoder, prefixes: &[Prefix]) {
    e.array(prefixes.len());
    prefixes.iter().fold(e, |e, prefix| record::encode_prefix(e, prefix));
}

fn decode_prefixes(d: &mut Decoder<'_>) -> Result<Vec<Prefix>, tamarack_cbor::Error> {
    (0..d.array()?).map(|_| record::decode_prefix(d)).collect()
}

/// A [`TamAnchor`] without its Owner id, which is in the key.
struct Tam(TamAnchor);

impl Encode for Tam {
    fn encode(&self, e: &mut Encoder) {
        let tam = &self.0;
        e.array(9).item(&tam.state).item(&tam.principal);
        match &tam.uri {
            Some(uri) => e.text(uri),
            None => e.null(),
        };
        encode_prefixes(e, &tam.scopes);
        e.bool(tam.require_binding);
        match &tam.otrp {
            Some(otrp) => e.item(otrp),
            None => e.null(),
        };
        e.uint(match tam.protocol {
            Protocol::Teep => 0,
            Protocol::Otrp => 1,
        });
        e.uint(tam.domains.into()).uint(tam.domain_quota);
    }
}

impl<'b> Decode<'b> for Tam {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let wrong = |expected| tamarack_cbor::Error::new(at, ErrorKind::Value(expected));
        let count = d.array()?;
        let mut tam = TamAnchor {
            owner: OwnerId([0; 16]),
            state: AnchorState::decode(d)?,
            principal: Principal::decode(d)?,
            uri: match d.peek() {
                tamarack_cbor::Kind::Null => d.null().map(|()| None)?,
                _ => Some(d.text()?.into()),
            },
            scopes: decode_prefixes(d)?,
            require_binding: d.bool()?,
            otrp: None,
            protocol: Protocol::Teep,
            domains: 0,
            domain_quota: 0,
        };
        match count {
            5 => {}
            9 => {
                tam.otrp = match d.peek() {
                    tamarack_cbor::Kind::Null => d.null().map(|()| None)?,
                    _ => Some(OtrpPrincipal::decode(d)?),
                };
                tam.protocol = match d.uint()? {
                    0 => Protocol::Teep,
                    1 => Protocol::Otrp,
                    _ => return Err(wrong("protocol 0 or 1")),
                };
                tam.domains = u32::try_from(d.uint()?).map_err(|_| wrong("a number of domains"))?;
                tam.domain_quota = d.uint()?;
            }
            _ => return Err(wrong("a TAM anchor")),
        }
        Ok(Self(tam))
    }
}

impl Encode for OtrpPrincipal {
    fn encode(&self, e: &mut Encoder) {
        let (kind, text) = match &self.name {
            Name::RegisteredId(text) => (0, text),
            Name::Uri(text) => (1, text),
            Name::Dns(text) => (2, text),
        };
        e.array(4).bytes(&self.anchor).uint(kind).text(text).bool(self.draft);
    }
}

impl<'b> Decode<'b> for OtrpPrincipal {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "an OTrP principal")?;
        let anchor = d.bytes()?.to_vec();
        let at = d.position();
        let name = match d.uint()? {
            0 => Name::RegisteredId(d.text()?.into()),
            1 => Name::Uri(d.text()?.into()),
            _ => return Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a name of kind 0 or 1"))),
        };
        Ok(Self { anchor, name, draft: d.bool()? })
    }
}

impl Encode for SignerAnchor {
    fn encode(&self, e: &mut Encoder) {
        e.array(9).item(&self.state).item(&self.principal).text(&self.provider);
        encode_prefixes(e, &self.prefixes);
        let Operations { install, update, delete } = self.operations;
        e.bool(install).bool(update).bool(delete).uint(self.quota).uint(self.epoch);
    }
}

impl<'b> Decode<'b> for SignerAnchor {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(9, "a signer anchor")?;
        Ok(Self {
            state: AnchorState::decode(d)?,
            principal: Principal::decode(d)?,
            provider: d.text()?.into(),
            prefixes: decode_prefixes(d)?,
            operations: Operations { install: d.bool()?, update: d.bool()?, delete: d.bool()? },
            quota: d.uint()?,
            epoch: d.uint()?,
        })
    }
}

/// One number as a record.
pub(crate) struct Number(pub u64);

impl Encode for Number {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.0);
    }
}

impl<'b> Decode<'b> for Number {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.uint().map(Self)
    }
}
