use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_jose::json::{self, Json};
use tamarack_jose::{jwe, jws};

use crate::member::{Context, single};
use crate::{Error, Tolerance};

/// What it takes to encrypt to one side and sign for the other.
pub struct Sealing<'a> {
    /// The sender's key: the TAM's for requests, the TEE's for responses.
    pub signer: jws::Signer<'a>,
    /// Headers of the signature: the certificates of a TAM, none of a TEE, whose certificate nobody else may see.
    pub headers: jws::SignHeaders<'a>,
    /// The receiver's public key.
    pub recipient: &'a jwe::Recipient,
    /// How the content is encrypted.
    pub enc: jwe::Enc,
    /// Cryptography.
    pub provider: &'a Provider,
}

impl Sealing<'_> {
    /// Encrypts `plaintext` in the general JSON serialization.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Result<Json, Error> {
        Ok(jwe::encrypt(plaintext, self.recipient, self.enc, self.provider)?)
    }

    /// Signs `{inner: tbs}` and names the signature `outer`.
    pub(crate) fn sign(&self, outer: &str, inner: &str, tbs: Json) -> Result<Vec<u8>, Error> {
        sign_named(outer, inner, tbs, self.signer, &self.headers)
    }
}

/// Signs `{inner: tbs}` and names the signature `outer`.
pub(crate) fn sign_named(
    outer: &str,
    inner: &str,
    tbs: Json,
    signer: jws::Signer<'_>,
    headers: &jws::SignHeaders<'_>,
) -> Result<Vec<u8>, Error> {
    let payload = json::to_vec(&single(inner, tbs));
    Ok(json::to_vec(&single(outer, jws::sign(&payload, signer, headers)?)))
}

/// Reads a JWE in general serialization; flattened only in compat mode.
pub(crate) fn read_jwe(cx: &mut Context, json: &Json, path: &str) -> Result<jwe::Jwe, Error> {
    if json.get("recipients").is_none() {
        cx.tolerate(Tolerance::FlattenedJwe, path)?;
    }
    Ok(jwe::Jwe::parse(json)?)
}
