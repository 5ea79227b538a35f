//! How anchors lie in sealed storage and how orders about them travel.

use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind};
use tamarack_cose::CoseKey;
use tamarack_model::{OwnerId, Protocol};
use tamarack_tee::Persona;
use tamarack_x509::Name;

use super::{
    AnchorChange, AnchorOrder, AnchorState, Operations, OtrpPrincipal, Prefix, Principal, SignerAnchor,
    Subject, TamAnchor,
};
use crate::record;

impl Encode for AnchorOrder {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(self.sequence);
        match &self.subject {
            Subject::Tam(owner) => e.uint(0).bytes(&owner.0),
            Subject::Provider(name) => e.uint(1).bytes(name.as_bytes()),
            Subject::DeviceOwner => e.uint(2).bytes(&[]),
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
            2 if d.bytes()?.is_empty() => Subject::DeviceOwner,
            _ => return Err(wrong("kind 0 to 2")),
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
pub(super) struct Tam(pub TamAnchor);

impl Encode for Tam {
    fn encode(&self, e: &mut Encoder) {
        let tam = &self.0;
        e.array(10).item(&tam.state).item(&tam.principal);
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
        e.uint(tam.domains.into()).uint(tam.domain_quota).uint(tam.persona.0.into());
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
            persona: Persona(0),
        };
        match count {
            5 => {}
            9 | 10 => {
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
                if count == 10 {
                    tam.persona = Persona(u32::try_from(d.uint()?).map_err(|_| wrong("a persona"))?);
                }
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
