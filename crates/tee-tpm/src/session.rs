//! Sessions: how a command shows that it may do what it asks, and how a secret crosses the bus (TPM 2.0 Library Part 1,
//! sections 17 to 19 and 21; Part 3, section 11).
//!
//! A salted session has a key that only the TPM's storage key and this program know: with it, who listens on the bus of a
//! discrete TPM neither reads the root secret nor changes a response. Who replaces the TPM itself is not kept out.

use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey, Secret};

use crate::Error;
use crate::commands::{Key, Tpm, cc};
use crate::wire::{Reader, Writer};

const SHA256: u16 = 0x000b;
const XOR: u16 = 0x000a;
const NULL: u16 = 0x0010;
const RH_NULL: u32 = 0x4000_0007;
const NONCE: usize = 32;

/// TPMA_SESSION (Part 2, section 8.4).
pub(crate) mod attribute {
    /// The session stays after the command.
    pub const CONTINUE: u8 = 1;
    /// The first parameter of the command is encrypted.
    pub const DECRYPT: u8 = 1 << 5;
    /// The first parameter of the response is encrypted.
    pub const ENCRYPT: u8 = 1 << 6;
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Authorization by a value that both know: TPM_SE_HMAC.
    Hmac,
    /// Authorization by the state of the machine: TPM_SE_POLICY.
    Policy,
}

/// A session that is open in the TPM.
pub(crate) struct Session {
    pub handle: u32,
    kind: Kind,
    key: Secret<Vec<u8>>,
    nonce_caller: [u8; NONCE],
    nonce_tpm: Vec<u8>,
}

impl Session {
    /// TPM2_StartAuthSession; `salt` is the storage key that the session's key is agreed with.
    pub fn start(tpm: &mut Tpm, kind: Kind, salt: Option<&Key>) -> Result<Self, Error> {
        let provider = tpm.provider;
        let mut nonce_caller = [0; NONCE];
        provider.random.fill(&mut nonce_caller)?;
        let (secret, encrypted) = match salt {
            None => (None, Vec::new()),
            Some(key) => {
                let (secret, point) = agree(&key.public, &provider)?;
                (Some(secret), point)
            }
        };
        let params = Writer::default()
            .u32(salt.map_or(RH_NULL, |key| key.handle))
            .u32(RH_NULL)
            .sized(&nonce_caller)
            .sized(&encrypted)
            .u8(match kind {
                Kind::Hmac => 0,
                Kind::Policy => 1,
            });
        let params = match salt {
            Some(_) => params.u16(XOR).u16(SHA256),
            None => params.u16(NULL),
        };
        let response =
            tpm.plain("TPM2_StartAuthSession", cc::START_AUTH_SESSION, &params.u16(SHA256).done())?;
        let mut r = Reader::new(&response, "TPM2_StartAuthSession");
        let handle = r.u32()?;
        let nonce_tpm = r.sized()?.to_vec();
        let key = match secret {
            Some(secret) => kdf_a(&provider, secret.expose(), b"ATH", &nonce_tpm, &nonce_caller, 32),
            None => Secret::new(Vec::new()),
        };
        Ok(Self { handle, kind, key, nonce_caller, nonce_tpm })
    }

    /// The key for HMAC and encryption where this session authorizes the use of something with `auth_value`.
    fn combined(&self, auth_value: &[u8]) -> Secret<Vec<u8>> {
        Secret::new([self.key.expose(), without_trailing_zeros(auth_value)].concat())
    }

    /// The same for the HMAC: a policy session does without the authorization value unless the policy asks for it, and ours
    /// never do.
    fn hmac_key(&self, auth_value: &[u8]) -> Secret<Vec<u8>> {
        match self.kind {
            Kind::Hmac => self.combined(auth_value),
            Kind::Policy => self.combined(&[]),
        }
    }

    /// Encrypts the first parameter of a command in place, if `attributes` ask for it, and gives the authorization.
    pub fn authorize(
        &mut self,
        provider: &Provider,
        (code, names, params): (u32, &[u8], &mut [u8]),
        attributes: u8,
        auth_value: &[u8],
    ) -> Result<Vec<u8>, Error> {
        provider.random.fill(&mut self.nonce_caller)?;
        if attributes & attribute::DECRYPT != 0 {
            self.mask(provider, params, auth_value, (&self.nonce_caller, &self.nonce_tpm));
        }
        let hash = provider.sha256_parts(&[&code.to_be_bytes(), names, params]);
        let key = self.hmac_key(auth_value);
        let hmac = match key.expose().is_empty() {
            // A policy session without a key of its own is its own proof.
            true if self.kind == Kind::Policy => Vec::new(),
            _ => provider
                .hmac
                .tag(key.expose(), &[&hash, &self.nonce_caller, &self.nonce_tpm, &[attributes]])
                .to_vec(),
        };
        let area = Writer::default().u32(self.handle).sized(&self.nonce_caller).u8(attributes).sized(&hmac);
        Ok(area.done())
    }

    /// Checks the authorization of a response and decrypts its first parameter in place.
    pub fn accept(
        &mut self,
        provider: &Provider,
        (name, code, params): (&'static str, u32, &mut [u8]),
        area: &[u8],
        auth_value: &[u8],
    ) -> Result<(), Error> {
        let mut r = Reader::new(area, name);
        let nonce_tpm = r.sized()?.to_vec();
        let attributes = r.u8()?;
        let hmac = r.sized()?;
        if !r.bytes.is_empty() {
            return Err(Error::Response(name));
        }
        self.nonce_tpm = nonce_tpm;
        let key = self.hmac_key(auth_value);
        if !key.expose().is_empty() {
            // The response code is 0, or this would not be looked at.
            let hash = provider.sha256_parts(&[&[0; 4], &code.to_be_bytes(), params]);
            let parts: [&[u8]; 4] = [&hash, &self.nonce_tpm, &self.nonce_caller, &[attributes]];
            if !bool::from(provider.hmac.tag(key.expose(), &parts)[..].ct_eq(hmac)) {
                return Err(Error::NotAuthentic(name));
            }
        }
        if attributes & attribute::ENCRYPT != 0 {
            self.mask(provider, params, auth_value, (&self.nonce_tpm, &self.nonce_caller));
        }
        Ok(())
    }

    /// XOR obfuscation of the first parameter, a TPM2B, without its size (Part 1, section 21.2).
    fn mask(&self, provider: &Provider, params: &mut [u8], auth_value: &[u8], nonces: (&[u8], &[u8])) {
        let Some((size, rest)) = params.split_first_chunk::<2>() else { return };
        let size = usize::from(u16::from_be_bytes(*size)).min(rest.len());
        let mask = kdf_a(provider, self.combined(auth_value).expose(), b"XOR", nonces.0, nonces.1, size);
        params[2..2 + size].iter_mut().zip(mask.expose()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// An authorization value as the TPM keeps it.
fn without_trailing_zeros(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &value[..end]
}

/// A fresh salt: the shared secret, and the point that lets the TPM compute it (Part 1, appendix C.6.1).
fn agree(public: &PublicKey, provider: &Provider) -> Result<(Secret<[u8; 32]>, Vec<u8>), Error> {
    let ephemeral = provider.agree.ephemeral()?;
    let shared = ephemeral.agree(public)?;
    let (PublicKey::P256 { x, y }, PublicKey::P256 { x: static_x, .. }) = (ephemeral.public_key(), public)
    else {
        return Err(Error::Crypto);
    };
    // KDFe with one round: SHA-256 gives all 256 bits (Part 1, section 11.4.10.3).
    let parts: [&[u8]; 5] = [&1_u32.to_be_bytes(), shared.expose(), b"SECRET\0", &x, static_x];
    let secret = Secret::new(provider.sha256_parts(&parts));
    Ok((secret, Writer::default().sized(&x).sized(&y).done()))
}

/// KDFa with HMAC-SHA-256 (Part 1, section 11.4.10.2): `length` bytes.
fn kdf_a(
    provider: &Provider,
    key: &[u8],
    label: &[u8],
    newer: &[u8],
    older: &[u8],
    length: usize,
) -> Secret<Vec<u8>> {
    let bits = (length as u32 * 8).to_be_bytes();
    let mut out = Secret::new(Vec::with_capacity(length.next_multiple_of(32)));
    for counter in 1..=length.div_ceil(32) as u32 {
        let parts: [&[u8]; 6] = [&counter.to_be_bytes(), label, &[0], newer, older, &bits];
        out.expose_mut().extend(provider.hmac.tag(key, &parts));
    }
    out.expose_mut().truncate(length);
    out
}
