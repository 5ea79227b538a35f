//! Reference values: what devices measure when they run what their makers released, from signed CoRIMs.
//!
//! [`References`] is a value: nothing here reads a file, a clock or a store. Whoever keeps it stores the signed CoRIMs, their
//! active flags and the floors, and makes it again with [`References::restore`].
//!
//! What a CoRIM may say, and how it is taken (our profile [`PROFILE`]; a CoRIM without a profile is taken in the same way):
//!
//! | in a CoMID | meaning |
//! |---|---|
//! | reference value with `digests` | a release; `svn` beside it is the release's security version |
//! | reference or endorsed value with `min-svn` only | releases of a lower security version are outdated |
//! | attest key | the public key that signs Evidence of this environment |
//! | other endorsed values | handed on with the name of who said it; they raise no grade |
//! | `tag-id`, `tag-version` | a higher version takes the place of the lower one, for good |
//! | linked tag `replaces` | the other tag is out of force, for good |
//!
//! Off-spec: Evidence of a TEE shows digests and no svn, so that a comparison by the draft's rules could never succeed on a
//! triple with both. The svn beside a digest is therefore what the provider says about that digest.
//!
//! Everything else that a CoRIM may hold is refused ([`codes::REFERENCE_UNSUPPORTED`]), because stepping over a condition would
//! be to trust more than its author did. What permits ends with its validity; what forbids (floors, `min-svn`) does not.

mod check;
mod compare;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_corim::{Comid, Corim, Environment, Id, LIMITS, SignedCorim, Signer, Tag};
use tamarack_cose::{KeyId, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{Code, UnixTime, codes};

use crate::{Grade, Refusal};

pub(crate) use compare::component;
pub use compare::{ComponentFinding, Endorsed, Finding};

/// The profile of CoRIMs that this module defines.
pub const PROFILE: &str = "urn:x-tamarack:corim:1";

/// Who gives reference values and about what. The operator says so; a signature alone says nothing.
#[derive(Clone, Debug)]
pub struct ReferenceProvider {
    /// What the operator calls it. Rollback floors belong to the name, so that a new key goes on where the old one was.
    pub name: String,
    /// What it is.
    pub role: ProviderRole,
    /// Its keys, for [`tamarack_cose::Purpose::ReferenceValues`].
    pub keys: Vec<VerificationKey>,
    /// The environments that it may speak of: all that say at least what one of these says. Empty: none.
    pub scope: Vec<Environment>,
    /// The measured elements that it may speak of, as texts or beginnings of texts up to a `:` or `/`; none means all.
    pub elements: Option<Vec<String>>,
    /// The best grade of a device whose attestation key only it vouches for.
    pub cap: Grade,
}

/// What a provider of reference values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderRole {
    /// The maker of devices: every component that it releases must be in the Evidence of its devices.
    Maker,
    /// A signer of TAs, which may or may not be on a device.
    TaSigner,
}

/// One CoRIM that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceEntry {
    /// SHA-256 of the signed CoRIM.
    pub id: [u8; 32],
    /// Name of its provider.
    pub provider: String,
    /// The key that signed.
    pub key: KeyId,
    /// What the signature says of itself.
    pub signer: Signer,
    /// What it holds.
    pub corim: Corim,
    /// Whether the operator lets it count.
    pub active: bool,
}

impl ReferenceEntry {
    /// First and last second in which it counts, by the CoRIM and by its signature.
    pub fn validity(&self) -> (UnixTime, UnixTime) {
        let validity = self.corim.validity;
        let begin = validity.and_then(|v| v.not_before).unwrap_or_default();
        let end = validity.map_or(UnixTime::MAX, |v| v.not_after);
        (
            begin.max(self.signer.not_before.unwrap_or_default()),
            end.min(self.signer.not_after.unwrap_or(UnixTime::MAX)),
        )
    }

    fn counts_at(&self, now: UnixTime) -> bool {
        let (begin, end) = self.validity();
        (begin..=end).contains(&now)
    }

    /// Its tags.
    pub fn comids(&self) -> impl Iterator<Item = &Comid> {
        self.corim.tags.iter().filter_map(|tag| match tag {
            Tag::Comid(comid) => Some(comid),
            Tag::Other(..) => None,
        })
    }
}

/// What [`References::add`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The entry's id.
    pub id: [u8; 32],
    /// Its provider.
    pub provider: String,
    /// Whether the very same signed CoRIM was there before; nothing has changed then.
    pub known: bool,
}

/// A signed CoRIM as it is stored.
#[derive(Clone, Debug)]
pub struct StoredReference {
    /// The signed CoRIM.
    pub signed: Vec<u8>,
    /// Whether it counts.
    pub active: bool,
}

/// The floor of a tag that another one replaced, and the first version that no tag may have: every store keeps it.
pub const REPLACED: u64 = i64::MAX as u64;

/// The lowest version of a tag that counts: `(provider, tag id, version)`.
pub type Floor = (String, Id, u64);

/// All reference values that one tenant appraises with.
#[derive(Clone, Debug, Default)]
pub struct References {
    providers: Vec<ReferenceProvider>,
    entries: Vec<ReferenceEntry>,
    floors: BTreeMap<(String, Id), u64>,
}

pub(crate) fn refuse(code: Code, reason: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.into() }
}

impl References {
    /// No values yet. With these every measured component is unknown, so that nothing is accepted.
    pub fn new(providers: Vec<ReferenceProvider>) -> Self {
        Self { providers, ..Self::default() }
    }

    /// Makes the set again from what was stored. What its providers do not vouch for any more, because a key or a scope was
    /// taken from them, is left out; the reasons are given.
    pub fn restore(
        providers: Vec<ReferenceProvider>,
        stored: &[StoredReference],
        floors: impl IntoIterator<Item = Floor>,
        crypto: &Provider,
    ) -> (Self, Vec<Refusal>) {
        let mut references = Self::new(providers);
        let mut left_out = Vec::new();
        for (provider, tag, version) in floors {
            references.raise_floor(&provider, &tag, version);
        }
        for row in stored {
            match references.verify(&row.signed, crypto) {
                Ok(entry) => references.put(ReferenceEntry { active: row.active, ..entry }),
                Err(refusal) => left_out.push(refusal),
            }
        }
        (references, left_out)
    }

    /// Adds a signed CoRIM. Refused, and then nothing has changed, if it is malformed, unsigned, by no provider, about
    /// what its provider may not speak of, beyond what is understood, over already, rolled back or in contradiction to others.
    pub fn add(&mut self, signed: &[u8], now: UnixTime, crypto: &Provider) -> Result<Added, Refusal> {
        let entry = self.verify(signed, crypto)?;
        let (id, provider) = (entry.id, entry.provider.clone());
        if self.entries.iter().any(|known| known.id == id) {
            return Ok(Added { id, provider, known: true });
        }
        let (_, end) = entry.validity();
        if end < now {
            return Err(refuse(codes::REFERENCE_EXPIRED, format!("CoRIM {} has ended", entry.corim.id)));
        }
        self.check_order(&entry)?;
        self.check_agreement(&entry)?;
        self.put(entry);
        Ok(Added { id, provider, known: false })
    }

    /// Takes an entry out of force; its floors stay, so that nothing older comes back. Says whether there is such an entry.
    pub fn deactivate(&mut self, id: &[u8; 32]) -> bool {
        let found = self.entries.iter_mut().find(|entry| entry.id == *id);
        found.map(|entry| entry.active = false).is_some()
    }

    /// All entries, in the order in which they were added.
    pub fn entries(&self) -> &[ReferenceEntry] {
        &self.entries
    }

    /// The providers.
    pub fn providers(&self) -> &[ReferenceProvider] {
        &self.providers
    }

    /// All floors.
    pub fn floors(&self) -> impl Iterator<Item = Floor> + '_ {
        self.floors.iter().map(|((provider, tag), version)| (provider.clone(), tag.clone(), *version))
    }

    /// Raises the floor of a tag; it never falls.
    pub fn raise_floor(&mut self, provider: &str, tag: &Id, version: u64) {
        let floor = self.floors.entry((provider.into(), tag.clone())).or_default();
        *floor = version.max(*floor);
    }

    /// The keys that sign Evidence of environments which `shown` belongs to, each with the best grade that they give. Only
    /// active entries within their validity count.
    pub fn attest_keys(&self, shown: &Environment, now: UnixTime) -> Vec<(PublicKey, Grade)> {
        let valid = self.tags().filter(|(entry, _)| entry.counts_at(now));
        let records = valid.flat_map(|(entry, tag)| tag.attest_keys.iter().map(move |keys| (entry, keys)));
        records
            .filter(|(_, record)| record.environment.includes(shown))
            .flat_map(|(entry, record)| {
                let cap = self.provider(&entry.provider).map_or(Grade::None, |provider| provider.cap);
                record.keys.iter().filter_map(move |key| key.public_key().map(|key| (key, cap)))
            })
            .collect()
    }

    fn provider(&self, name: &str) -> Option<&ReferenceProvider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Tags in force: of active entries, not below their floors. Validity is for the caller to see.
    fn tags(&self) -> impl Iterator<Item = (&ReferenceEntry, &Comid)> {
        self.entries.iter().filter(|entry| entry.active).flat_map(move |entry| {
            entry
                .comids()
                .filter(|tag| tag.tag_version >= self.floor(entry, &tag.tag_id))
                .map(move |tag| (entry, tag))
        })
    }

    fn floor(&self, entry: &ReferenceEntry, tag: &Id) -> u64 {
        self.floors.get(&(entry.provider.clone(), tag.clone())).copied().unwrap_or_default()
    }

    fn verify(&self, signed: &[u8], crypto: &Provider) -> Result<ReferenceEntry, Refusal> {
        let object = SignedCorim::parse(signed, &LIMITS).map_err(malformed)?;
        // Each provider is asked apart: a signature is one provider's, never "somebody's".
        let mut error = None;
        for provider in &self.providers {
            match object.verify(&provider.keys, crypto) {
                Ok(verified) => {
                    let key = *verified.key();
                    let (signer, corim) = verified.into_value();
                    let id = crypto.sha256(signed);
                    let entry = ReferenceEntry {
                        id,
                        provider: provider.name.clone(),
                        key,
                        signer,
                        corim,
                        active: true,
                    };
                    check::content(&entry, provider)?;
                    return Ok(entry);
                }
                Err(e @ tamarack_corim::Error::Cbor(_)) => return Err(malformed(e)),
                Err(e) => error = Some(e),
            }
        }
        let why = error.map_or(String::from("no provider is configured"), |e| format!("{e}"));
        Err(refuse(codes::REFERENCE_UNTRUSTED, format!("no provider of reference values signed this: {why}")))
    }

    fn put(&mut self, entry: ReferenceEntry) {
        let provider = entry.provider.clone();
        let floors: Vec<(Id, u64)> = entry.comids().flat_map(check::floors).collect();
        for (tag, version) in floors {
            self.raise_floor(&provider, &tag, version);
        }
        self.entries.push(entry);
    }
}

/// A fault of the file: whatever the layer that found it, it is the reference values that are malformed or too large.
fn malformed(error: tamarack_corim::Error) -> Refusal {
    let code = match error.code() {
        code @ (codes::REFERENCE_UNSIGNED | codes::CBOR_LIMIT) => code,
        _ => codes::REFERENCE_MALFORMED,
    };
    refuse(code, format!("{error}"))
}

#[cfg(test)]
pub(crate) mod tests;
