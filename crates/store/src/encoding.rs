//! The one encoding of nested values, for backends and for [`crate::registry_digest`]: deterministic CBOR.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind, Limits};
use tamarack_crypto::PublicKey;
use tamarack_model::{Code, ComponentId, HeldBack, OwnerSays, Sha256Digest, TcEntry};

use crate::release::{ReferenceScope, Withheld};
use crate::rows::{DomainSigner, HeldDomain, OtrpDevice, PendingCommand, ProviderKey};

/// Bounds of what a backend reads back; it wrote it itself, so they only stop damage from growing.
const LIMITS: Limits = Limits { bytes: 16 << 20, depth: 8, items: 1 << 20 };

/// Encodes a component id: an array of byte strings.
pub fn component(id: &ComponentId) -> Vec<u8> {
    let mut e = Encoder::new();
    write_component(&mut e, id);
    e.into_bytes()
}

/// Encodes component ids.
pub fn components(ids: &[ComponentId]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(ids.len());
    ids.iter().for_each(|id| write_component(&mut e, id));
    e.into_bytes()
}

/// Encodes what is held: an array of `[id, digest / null, size / null]`.
pub fn entries(entries: &[TcEntry]) -> Vec<u8> {
    let mut e = Encoder::new();
    write_entries(&mut e, entries);
    e.into_bytes()
}

/// Encodes what a device's owner withholds: an array of `[id, says, sequence / null]`.
pub fn held_back(entries: &[HeldBack]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(entries.len());
    for HeldBack { id, why, sequence } in entries {
        write_component(e.array(3), id);
        e.uint(why.number());
        match sequence {
            Some(sequence) => e.uint(*sequence),
            None => e.null(),
        };
    }
    e.into_bytes()
}

/// Reads what [`held_back`] wrote.
pub fn read_held_back(bytes: &[u8]) -> Result<Vec<HeldBack>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(3, "id, says and sequence")?;
            let id = take_component(&mut d)?;
            let at = d.position();
            let why = OwnerSays::of_number(d.uint()?);
            let why = why.ok_or_else(|| Error::new(at, ErrorKind::Value("1 or 2")))?;
            Ok(HeldBack { id, why, sequence: optional(&mut d, Decoder::uint)? })
        })
        .collect()
}

/// Encodes public keys, each as its point.
pub fn keys(keys: &[PublicKey]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(keys.len());
    for key in keys {
        e.bytes(&key.to_point());
    }
    e.into_bytes()
}

/// Encodes names and values: an array of `[name, value]`.
pub fn claims(claims: &[(String, String)]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(claims.len());
    for (name, value) in claims {
        e.array(2).text(name).text(value);
    }
    e.into_bytes()
}

/// Encodes the signers of a domain: an array of `[provider, certificate]`.
pub fn domain_signers(signers: &[DomainSigner]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(signers.len());
    for DomainSigner { provider, certificate } in signers {
        e.array(2).text(provider).bytes(certificate);
    }
    e.into_bytes()
}

/// Encodes what OTrP knows of a device: `[certificate, did, name, version, extended, wants status, keys,
/// domains]`.
pub fn otrp_device(row: &OtrpDevice) -> Vec<u8> {
    let OtrpDevice { certificate, did, name, version, extended, wants_status, aiks, domains } = row;
    let mut e = Encoder::new();
    e.array(8).bytes(certificate).bytes(did).text(name).text(version).bool(*extended).bool(*wants_status);
    e.array(aiks.len());
    for ProviderKey { provider, purpose, key } in aiks {
        e.array(3).text(provider);
        match purpose {
            Some(purpose) => e.text(purpose),
            None => e.null(),
        };
        e.bytes(key);
    }
    e.array(domains.len());
    domains.iter().for_each(|domain| write_held_domain(&mut e, domain));
    e.into_bytes()
}

/// Encodes an OTrP command on its way: `[round, restarted, did, domain / null, drops, [manifest, set] / null]`.
pub fn pending_command(row: &PendingCommand) -> Vec<u8> {
    let PendingCommand { round, restarted, did, domain, drops, personalizes } = row;
    let mut e = Encoder::new();
    e.array(6).uint(*round).bool(*restarted).bytes(did);
    match domain {
        Some(domain) => write_held_domain(&mut e, domain),
        None => {
            e.null();
        }
    }
    e.bool(*drops);
    match personalizes {
        Some((manifest, set)) => {
            e.array(2);
            write_component(&mut e, manifest);
            e.uint(*set);
        }
        None => {
            e.null();
        }
    }
    e.into_bytes()
}

/// Encodes what a device was not given: an array of `[manifest, sequence, code, reason]`.
pub fn withheld(rows: &[Withheld]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(rows.len());
    for Withheld { manifest, sequence, code, reason } in rows {
        e.array(4);
        write_component(&mut e, manifest);
        e.uint(*sequence).uint(code.0.into()).text(reason);
    }
    e.into_bytes()
}

/// Encodes environments: an array of `[class-id / null, vendor / null, model / null]`.
pub fn reference_scopes(rows: &[ReferenceScope]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(rows.len());
    for ReferenceScope { class_id, vendor, model } in rows {
        e.array(3);
        match class_id {
            Some(class_id) => e.bytes(class_id),
            None => e.null(),
        };
        for text in [vendor, model] {
            match text {
                Some(text) => e.text(text),
                None => e.null(),
            };
        }
    }
    e.into_bytes()
}

/// Encodes texts.
pub fn texts(texts: &[String]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(texts.len());
    texts.iter().for_each(|text| {
        e.text(text);
    });
    e.into_bytes()
}

/// Reads what [`withheld`] wrote.
pub fn read_withheld(bytes: &[u8]) -> Result<Vec<Withheld>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(4, "manifest, sequence, code and reason")?;
            let (manifest, sequence) = (take_component(&mut d)?, d.uint()?);
            let at = d.position();
            let code = u16::try_from(d.uint()?).map_err(|_| Error::new(at, ErrorKind::Value("a code")))?;
            Ok(Withheld { manifest, sequence, code: Code(code), reason: d.text()?.into() })
        })
        .collect()
}

/// Reads what [`reference_scopes`] wrote.
pub fn read_reference_scopes(bytes: &[u8]) -> Result<Vec<ReferenceScope>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(3, "class-id, vendor and model")?;
            Ok(ReferenceScope {
                class_id: optional(&mut d, |d| Ok(d.bytes()?.to_vec()))?,
                vendor: optional(&mut d, |d| Ok(d.text()?.into()))?,
                model: optional(&mut d, |d| Ok(d.text()?.into()))?,
            })
        })
        .collect()
}

/// Reads what [`texts`] wrote.
pub fn read_texts(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?).map(|_| Ok(d.text()?.into())).collect()
}

/// Reads what [`domain_signers`] wrote.
pub fn read_domain_signers(bytes: &[u8]) -> Result<Vec<DomainSigner>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(2, "provider and certificate")?;
            Ok(DomainSigner { provider: d.text()?.into(), certificate: d.bytes()?.to_vec() })
        })
        .collect()
}

/// Reads what [`otrp_device`] wrote.
pub fn read_otrp_device(bytes: &[u8]) -> Result<OtrpDevice, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    d.array_of(8, "an OTrP device")?;
    Ok(OtrpDevice {
        certificate: d.bytes()?.to_vec(),
        did: d.byte_array("a digest of 32 bytes")?,
        name: d.text()?.into(),
        version: d.text()?.into(),
        extended: d.bool()?,
        wants_status: d.bool()?,
        aiks: (0..d.array()?)
            .map(|_| {
                d.array_of(3, "provider, purpose and key")?;
                Ok(ProviderKey {
                    provider: d.text()?.into(),
                    purpose: optional(&mut d, |d| Ok(d.text()?.into()))?,
                    key: d.bytes()?.to_vec(),
                })
            })
            .collect::<Result<_, Error>>()?,
        domains: (0..d.array()?).map(|_| take_held_domain(&mut d)).collect::<Result<_, Error>>()?,
    })
}

/// Reads what [`pending_command`] wrote.
pub fn read_pending_command(bytes: &[u8]) -> Result<PendingCommand, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    d.array_of(6, "a command")?;
    Ok(PendingCommand {
        round: d.uint()?,
        restarted: d.bool()?,
        did: d.byte_array("a digest of 32 bytes")?,
        domain: optional(&mut d, take_held_domain)?,
        drops: d.bool()?,
        personalizes: optional(&mut d, |d| {
            d.array_of(2, "manifest and time")?;
            Ok((take_component(d)?, d.uint()?))
        })?,
    })
}

/// Reads what [`component`] wrote.
pub fn read_component(bytes: &[u8]) -> Result<ComponentId, Error> {
    take_component(&mut Decoder::new(bytes, &LIMITS)?)
}

/// Reads what [`components`] wrote.
pub fn read_components(bytes: &[u8]) -> Result<Vec<ComponentId>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?).map(|_| take_component(&mut d)).collect()
}

/// Reads what [`entries`] wrote.
pub fn read_entries(bytes: &[u8]) -> Result<Vec<TcEntry>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(3, "id, digest and size")?;
            Ok(TcEntry {
                id: take_component(&mut d)?,
                digest: optional(&mut d, |d| Ok(Sha256Digest(d.byte_array("a digest of 32 bytes")?)))?,
                size: optional(&mut d, Decoder::uint)?,
            })
        })
        .collect()
}

/// Reads what [`keys`] wrote.
pub fn read_keys(bytes: &[u8]) -> Result<Vec<PublicKey>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            let at = d.position();
            PublicKey::from_point(d.bytes()?).map_err(|_| Error::new(at, ErrorKind::Value("a public key")))
        })
        .collect()
}

/// Reads what [`claims`] wrote.
pub fn read_claims(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(2, "name and value")?;
            Ok((d.text()?.into(), d.text()?.into()))
        })
        .collect()
}

pub(crate) fn write_component(e: &mut Encoder, id: &ComponentId) {
    e.array(id.segments().len());
    for segment in id.segments() {
        e.bytes(segment);
    }
}

pub(crate) fn write_entries(e: &mut Encoder, entries: &[TcEntry]) {
    e.array(entries.len());
    for entry in entries {
        e.array(3);
        write_component(e, &entry.id);
        match &entry.digest {
            Some(digest) => e.bytes(&digest.0),
            None => e.null(),
        };
        match entry.size {
            Some(size) => e.uint(size),
            None => e.null(),
        };
    }
}

fn write_held_domain(e: &mut Encoder, domain: &HeldDomain) {
    let HeldDomain { name, provider, signers } = domain;
    e.array(3).text(name).text(provider).array(signers.len());
    for digest in signers {
        e.bytes(digest);
    }
}

fn take_held_domain(d: &mut Decoder<'_>) -> Result<HeldDomain, Error> {
    d.array_of(3, "name, provider and signers")?;
    Ok(HeldDomain {
        name: d.text()?.into(),
        provider: d.text()?.into(),
        signers: (0..d.array()?).map(|_| d.byte_array("a digest of 32 bytes")).collect::<Result<_, _>>()?,
    })
}

fn take_component(d: &mut Decoder<'_>) -> Result<ComponentId, Error> {
    let at = d.position();
    let segments = (0..d.array()?).map(|_| d.bytes()).collect::<Result<Vec<_>, _>>()?;
    ComponentId::new(segments).map_err(|_| Error::new(at, ErrorKind::Value("a component id")))
}

fn optional<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match d.peek() {
        tamarack_cbor::Kind::Null => d.null().map(|()| None),
        _ => read(d).map(Some),
    }
}
