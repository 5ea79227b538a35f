//! Stands in for parts of tamarack-jose that are on their way, with their signatures.
#![allow(missing_docs, dead_code)]
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use tamarack_crypto::{KeyAgree, Provider, PublicKey, RsaKey, Secret, Sign, SignatureAlgorithm};
pub use tamarack_jose::json;
use tamarack_model::{Code, codes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Strict,
    Compat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    Interim,
}
impl Error {
    pub fn code(&self) -> Code {
        codes::JOSE_MALFORMED
    }
}
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interim")
    }
}

pub mod base64 {
    use super::*;
    pub fn encode(_: &[u8]) -> String {
        String::new()
    }
    pub fn decode(_: &str) -> Result<Vec<u8>, Error> {
        Err(Error::Interim)
    }
    pub fn decode_lenient(_: &str) -> Result<Vec<u8>, Error> {
        Err(Error::Interim)
    }
}
pub mod jwk {
    use super::*;
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Jwk {
        P256(PublicKey),
        Rsa,
    }
    impl Jwk {
        pub fn from_json(_: &json::Json) -> Result<Self, Error> {
            Err(Error::Interim)
        }
        pub fn to_json(&self) -> json::Json {
            json::Json::Null
        }
        pub fn from_spki(_: &[u8]) -> Result<Self, Error> {
            Err(Error::Interim)
        }
        pub fn to_spki(&self) -> Vec<u8> {
            Vec::new()
        }
    }
}
pub mod jws {
    use super::*;
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Purpose {
        OtrpRequest,
        OtrpResponse,
        TaInformation,
        SignedAiks,
    }
    pub struct VerificationKey {
        pub spki: Vec<u8>,
        pub algorithms: Vec<SignatureAlgorithm>,
        pub purpose: Purpose,
    }
    #[derive(Clone, Debug)]
    pub struct Unverified;
    pub struct Verified<T>(T);
    impl<T> Verified<T> {
        pub fn into_value(self) -> T {
            self.0
        }
    }
    impl Unverified {
        pub fn parse(_: &json::Json, _: &Mode) -> Result<Self, Error> {
            Err(Error::Interim)
        }
        pub fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::Es256
        }
        pub fn x5c(&self) -> &[Vec<u8>] {
            &[]
        }
        pub fn x5t_s256(&self) -> Option<&[u8; 32]> {
            None
        }
        pub fn signer_jwk(&self) -> Option<&jwk::Jwk> {
            None
        }
        pub fn signing_input(&self) -> &[u8] {
            &[]
        }
        pub fn payload_unverified(&self) -> &[u8] {
            &[]
        }
        pub fn verify(
            &self,
            _: &VerificationKey,
            _: Purpose,
            _: &Provider,
        ) -> Result<Verified<Vec<u8>>, Error> {
            Err(Error::Interim)
        }
    }
    pub enum Signer<'a> {
        Key(&'a dyn Sign),
        Rsa(&'a dyn RsaKey, SignatureAlgorithm),
    }
    #[derive(Clone, Default)]
    pub struct SignHeaders {
        pub x5c: Vec<Vec<u8>>,
        pub x5t_s256: Option<[u8; 32]>,
        pub signer: Option<jwk::Jwk>,
    }
    pub fn sign(_: &[u8], _: &Signer<'_>, _: &SignHeaders) -> Result<json::Json, Error> {
        Err(Error::Interim)
    }
}
pub mod jwe {
    use super::*;
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Enc {
        A128CbcHs256,
        A256CbcHs512,
        A256Gcm,
    }
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Form {
        General,
        Flattened,
        Compact,
    }
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Jwe;
    pub enum DecryptionKey<'a> {
        Agree(&'a dyn KeyAgree),
        Rsa(&'a dyn RsaKey),
    }
    impl Jwe {
        pub fn parse(_: &json::Json) -> Result<Self, Error> {
            Err(Error::Interim)
        }
        pub fn parse_compact(_: &str) -> Result<Self, Error> {
            Err(Error::Interim)
        }
        pub fn decrypt(&self, _: &DecryptionKey<'_>, _: &Provider) -> Result<Secret<Vec<u8>>, Error> {
            Err(Error::Interim)
        }
    }
    pub fn encrypt(_: &[u8], _: &jwk::Jwk, _: Enc, _: Form, _: &Provider) -> Result<json::Json, Error> {
        Err(Error::Interim)
    }
    #[allow(dead_code)]
    fn _b(_: Box<u8>) {}
}
