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
use tamarack_model::{ComponentId, OwnerId};
use tamarack_tee::Platform;

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

/// A TAM that the device obeys: one Owner. Stored as `[state, principal, uri / null, scopes, require_binding]` under
/// its Owner id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TamAnchor {
    /// The opaque id of this Owner on this device (security rule K1).
    pub owner: OwnerId,
    /// How it proves who it is.
    pub principal: Principal,
    /// Where to reach it when an application names no URI.
    pub uri: Option<String>,
    /// Component ids that it may install, update and delete.
    pub scopes: Vec<Prefix>,
    /// Whether its Updates must be bound to the exchange (security rule C6); on unless there is a reason.
    pub require_binding: bool,
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
            if let Principal::Certificate { anchor, uri } = &tam.principal
                && !names.insert((anchor, uri))
            {
                return Err(Error::Seed("two TAM anchors have the same root and name"));
            }
        }
        Ok(())
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
        e.array(5).item(&self.0.state).item(&self.0.principal);
        match &self.0.uri {
            Some(uri) => e.text(uri),
            None => e.null(),
        };
        encode_prefixes(e, &self.0.scopes);
        e.bool(self.0.require_binding);
    }
}

impl<'b> Decode<'b> for Tam {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(5, "a TAM anchor")?;
        Ok(Self(TamAnchor {
            owner: OwnerId([0; 16]),
            state: AnchorState::decode(d)?,
            principal: Principal::decode(d)?,
            uri: match d.peek() {
                tamarack_cbor::Kind::Null => d.null().map(|()| None)?,
                _ => Some(d.text()?.into()),
            },
            scopes: decode_prefixes(d)?,
            require_binding: d.bool()?,
        }))
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
