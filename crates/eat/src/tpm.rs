use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Limits};
use tamarack_cose::thumbprint;
use tamarack_crypto::{Provider, PublicKey};

/// The PCR that the launcher extends with the Agent's digest, then with that of its configuration. It is one of the two
/// that an operating system may reset (PC Client Platform TPM Profile): what it holds is what the launcher of the running
/// system says, and an operating system that lies can say the same.
pub const LAUNCHER_PCR: u8 = 23;

/// Number of PCRs of a bank.
const PCRS: u8 = 24;
/// Label of a quote in the submodule, in the registry's range for private use.
const QUOTE: i64 = -77_062;

/// A quote of a TPM 2.0 by the attestation key, in the claims that the same key signs: submodule `tpm`, a Claims-Set with
/// the one private claim -77062, a map:
///
/// | label | field | type |
/// |---|---|---|
/// | 1 | `attest` | bytes: TPMS_ATTEST as the TPM signed it |
/// | 2 | `signature` | bytes, 64: `r \|\| s` of ECDSA P-256 with SHA-256 |
/// | 3 | `pcrs` | map of PCR number (0 to 23) to bytes, 32: the values of the SHA-256 bank that were quoted |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmQuote {
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// `r || s`.
    pub signature: [u8; 64],
    /// Number and value of each quoted PCR, ascending.
    pub pcrs: Vec<(u8, [u8; 32])>,
}

impl TpmQuote {
    /// Name of the submodule.
    pub const SUBMODULE: &'static str = "tpm";

    /// The quote in the submodules of claims, if there is one.
    pub fn of(submods: &BTreeMap<String, Vec<u8>>) -> Result<Option<Self>, Error> {
        let limits = Limits { bytes: 4096, depth: 6, items: 128 };
        submods.get(Self::SUBMODULE).map(|bytes| Self::from_cbor(bytes, &limits)).transpose()
    }

    /// The submodules of claims that have this quote and nothing else.
    pub fn into_submods(self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(Self::SUBMODULE.into(), self.to_cbor())])
    }

    /// The qualifying data that binds a quote to the claims around it: SHA-256 of "Tamarack quote", the nonce's length in
    /// one byte, the nonce, and the thumbprint of the key in cnf if there is one. `nonce` has at most 64 bytes.
    pub fn qualifying_data(nonce: &[u8], confirmed: Option<&PublicKey>, provider: &Provider) -> [u8; 32] {
        let length = [u8::try_from(nonce.len()).unwrap_or(u8::MAX)];
        let key = confirmed.map(|key| thumbprint(key, provider).0);
        provider.sha256_parts(&[b"Tamarack quote", &length, nonce, key.as_ref().map_or(&[], |key| &key[..])])
    }

    /// What [`LAUNCHER_PCR`] holds after the launcher has measured an Agent, and nothing else yet.
    pub fn measured_agent(agent: &[u8; 32], provider: &Provider) -> [u8; 32] {
        provider.sha256_parts(&[&[0; 32], agent])
    }

    /// What [`LAUNCHER_PCR`] holds after the launcher has measured an Agent and its configuration into it.
    pub fn launcher_pcr(agent: &[u8; 32], configuration: &[u8; 32], provider: &Provider) -> [u8; 32] {
        provider.sha256_parts(&[&Self::measured_agent(agent, provider), configuration])
    }
}

impl<'b> Decode<'b> for TpmQuote {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        if d.map()? != 1 || d.int()? != QUOTE {
            return Err(Error::new(at, ErrorKind::Value("a quote alone")));
        }
        let (mut attest, mut signature, mut pcrs) = (None, None, None);
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                1 => attest = Some(d.bytes()?.to_vec()),
                2 => signature = Some(d.byte_array("a signature of 64 bytes")?),
                3 => pcrs = Some(decode_pcrs(d)?),
                other => return Err(Error::new(at, ErrorKind::UnknownKey(other))),
            }
        }
        let missing = |name| Error::new(at, ErrorKind::Missing(name));
        Ok(Self {
            attest: attest.ok_or(missing("attest"))?,
            signature: signature.ok_or(missing("signature"))?,
            pcrs: pcrs.ok_or(missing("pcrs"))?,
        })
    }
}

impl Encode for TpmQuote {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(QUOTE, |e| {
                e.map_with(|map| {
                    map.int(1, |e| e.bytes(&self.attest))
                        .int(2, |e| e.bytes(&self.signature))
                        .int(3, |e| encode_pcrs(e, &self.pcrs));
                })
            });
        });
    }
}

/// Reads a map of PCR number to value, ascending by the numbers.
pub fn decode_pcrs(d: &mut Decoder<'_>) -> Result<Vec<(u8, [u8; 32])>, Error> {
    let mut pcrs: Vec<(u8, [u8; 32])> = Vec::new();
    for _ in 0..d.map()? {
        let at = d.position();
        let number = u8::try_from(d.uint()?).ok().filter(|number| *number < PCRS);
        let number = number.ok_or(Error::new(at, ErrorKind::Value("a PCR number of 0 to 23")))?;
        if pcrs.last().is_some_and(|(last, _)| *last >= number) {
            return Err(Error::new(at, ErrorKind::Value("PCRs in ascending order")));
        }
        pcrs.push((number, d.byte_array("a PCR value of 32 bytes")?));
    }
    Ok(pcrs)
}

/// Writes what [`decode_pcrs`] reads.
pub fn encode_pcrs<'e>(e: &'e mut Encoder, pcrs: &[(u8, [u8; 32])]) -> &'e mut Encoder {
    e.map_with(|map| {
        for (number, value) in pcrs {
            map.int(i64::from(*number), |e| e.bytes(value));
        }
    })
}
