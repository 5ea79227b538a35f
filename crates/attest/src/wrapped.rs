//! Claims for which only the Agent's signature stands (UCCS, RFC 9781), around evidence of a root of trust that can do no
//! more than sign a hash (security rule C3).
//!
//! | label | claim |
//! |---|---|
//! | 8 | cnf: the TEEP key as a COSE_Key |
//! | 10 | eat_nonce: the challenge |
//! | 265 | eat_profile: [`Wrapping::profile`] |
//! | 266 | submods: one, `{`[`Wrapping::submodule`]`: bytes}` |
//!
//! What the root of trust signs is the SHA-256 of these claims without the submods: that ties challenge and key to it.

use alloc::format;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encoder, Error as CborError, ErrorKind, Limits};
use tamarack_cose::{CoseKey, KeyId, thumbprint};
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey};
use tamarack_eat::{Confirmation, label};
use tamarack_model::codes;

use crate::{Expectations, Hints, Refusal};

/// CBOR tag of unsigned claims.
const TAG_UCCS: u64 = 601;

/// One kind of such claims.
pub(crate) struct Wrapping {
    /// What errors call it.
    pub name: &'static str,
    /// Its eat_profile.
    pub profile: &'static str,
    /// Name of its only submodule.
    pub submodule: &'static str,
}

/// What [`Wrapping::wrap`] writes.
#[derive(Clone, Copy)]
pub(crate) struct Wrapped<'b> {
    pub challenge: &'b [u8],
    pub teep_key: PublicKey,
    pub evidence: &'b [u8],
}

impl Wrapping {
    /// What the root of trust is asked to sign.
    pub fn binding(&self, challenge: &[u8], teep_key: &PublicKey, provider: &Provider) -> [u8; 32] {
        provider.sha256(&self.around(challenge, teep_key, None))
    }

    /// The claims with what the root of trust gave.
    pub fn wrap(&self, challenge: &[u8], teep_key: &PublicKey, evidence: &[u8]) -> Vec<u8> {
        self.around(challenge, teep_key, Some(evidence))
    }

    fn around(&self, challenge: &[u8], teep_key: &PublicKey, evidence: Option<&[u8]>) -> Vec<u8> {
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.int(label::CNF, |e| e.item(&Confirmation::Key(*teep_key)))
                .int(label::EAT_NONCE, |e| e.bytes(challenge))
                .int(label::EAT_PROFILE, |e| e.text(self.profile))
                .optional(label::SUBMODS, evidence, |e, evidence| {
                    e.map_with(|map| {
                        map.text(self.submodule, |e| e.bytes(evidence));
                    })
                });
        });
        e.into_bytes()
    }

    /// What it says of its nonce and key.
    pub fn hints(&self, evidence: &[u8], limits: &Limits) -> Result<Hints, Refusal> {
        let wrapped = self.read(evidence, limits).map_err(|e| self.malformed(e))?;
        Ok(Hints { nonce: wrapped.challenge.to_vec(), teep_key: Some(wrapped.teep_key) })
    }

    /// Reads it, and holds it to the nonce that was asked for and the key that signed the message around it. Gives the
    /// thumbprint of its key too. Whether the root of trust vouches for them, [`Wrapping::binding`] shows.
    pub fn expect<'b>(
        &self,
        evidence: &'b [u8],
        expected: &Expectations<'_>,
        limits: &Limits,
        provider: &Provider,
    ) -> Result<(Wrapped<'b>, KeyId), Refusal> {
        let wrapped = self.read(evidence, limits).map_err(|e| self.malformed(e))?;
        if !bool::from(wrapped.challenge.ct_eq(expected.nonce)) {
            let reason = "the nonce is not the one that was asked for".into();
            return Err(Refusal { code: codes::EVIDENCE_STALE, reason });
        }
        let teep_key = thumbprint(&wrapped.teep_key, provider);
        if let Some(expected) = expected.teep_key.filter(|expected| *expected != teep_key) {
            let reason = format!("the Evidence vouches for another key than {expected}");
            return Err(Refusal { code: codes::EVIDENCE_KEY_BINDING, reason });
        }
        Ok((wrapped, teep_key))
    }

    /// The refusal of what cannot be read.
    pub fn malformed(&self, error: CborError) -> Refusal {
        Refusal { code: codes::EAT_MALFORMED, reason: format!("{}: {error}", self.name) }
    }

    /// Reads what [`Wrapping::wrap`] writes, with or without the tag of unsigned claims.
    pub fn read<'b>(&self, bytes: &'b [u8], limits: &Limits) -> Result<Wrapped<'b>, CborError> {
        let d = &mut Decoder::new(bytes, limits)?;
        let at = d.position();
        let (mut challenge, mut teep_key, mut profile, mut evidence) = (None, None, false, None);
        d.optional_tag(TAG_UCCS);
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                label::CNF => teep_key = Some(confirmation_key(d)?),
                label::EAT_NONCE => {
                    let nonce = d.bytes()?;
                    if !(8..=64).contains(&nonce.len()) {
                        return Err(CborError::new(at, ErrorKind::Value("a nonce of 8 to 64 bytes")));
                    }
                    challenge = Some(nonce);
                }
                label::EAT_PROFILE => {
                    if d.text()? != self.profile {
                        return Err(CborError::new(
                            at,
                            ErrorKind::Value("the profile that the format names"),
                        ));
                    }
                    profile = true;
                }
                label::SUBMODS => evidence = Some(self.only_submodule(d)?),
                // The signed hash covers what is here; what is not understood would be vouched for unseen.
                other => return Err(CborError::new(at, ErrorKind::UnknownKey(other))),
            }
        }
        let missing = |name| CborError::new(at, ErrorKind::Missing(name));
        if !profile {
            return Err(missing("eat_profile"));
        }
        Ok(Wrapped {
            challenge: challenge.ok_or(missing("eat_nonce"))?,
            teep_key: teep_key.ok_or(missing("cnf"))?,
            evidence: evidence.ok_or(missing("submods"))?,
        })
    }

    fn only_submodule<'b>(&self, d: &mut Decoder<'b>) -> Result<&'b [u8], CborError> {
        let at = d.position();
        if d.map()? != 1 || d.text()? != self.submodule {
            return Err(CborError::new(at, ErrorKind::Value("the submodule of this profile alone")));
        }
        d.bytes()
    }
}

/// `{1: COSE_Key}` and nothing else: the binding is computed over exactly that.
fn confirmation_key(d: &mut Decoder<'_>) -> Result<PublicKey, CborError> {
    let at = d.position();
    if d.map()? != 1 || d.int()? != 1 {
        return Err(CborError::new(at, ErrorKind::Value("a COSE_Key alone")));
    }
    CoseKey::decode(d).map(|CoseKey(key)| key)
}
