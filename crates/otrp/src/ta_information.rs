//! What an application asks its own TEE about a TA (section 6.4.2): a local call, not a message to a TAM.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_jose::json::{self, Json};
use tamarack_jose::{Jwk, jws};

use crate::member::{
    Context, Object, Writer, base64_list, base64_of, bytes, decimal, hash, list, name, only_member, single,
    string,
};
use crate::{Error, Limits, Mode};

/// `{"TAQuery": {"spid", "taid", "nonce"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaQuery {
    /// The SP of the TA.
    pub spid: String,
    /// The TA.
    pub taid: String,
    /// Extension: text of the application's choice that comes back, so that the answer is fresh.
    pub nonce: Option<String>,
}

/// What a TEE says about a TA, signed with the SP's AIK.
///
/// | member | what it is |
/// |---|---|
/// | `taid`, `tamid`, `spid` | which TA, whose |
/// | `signercert`, `signercacerts` | the TA signer's certificate and those above it |
/// | `tamcert`, `tamcacerts` | the TAM's |
/// | `version`, `digest`, `nonce` | extensions: sequence number and digest of the manifest, what the query had |
///
/// The template's two further members `cacert` are read over: they repeat what the lists hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaInformation {
    /// The TA.
    pub taid: String,
    /// The TAM that owns its Security Domain.
    pub tamid: String,
    /// The SP.
    pub spid: String,
    /// The TA signer's certificate, DER; none if its key has no certificate.
    pub signercert: Option<Vec<u8>>,
    /// The certificates above it.
    pub signercacerts: Vec<Vec<u8>>,
    /// The TAM's certificate, DER; none if it installed the TA with a key that has none.
    pub tamcert: Option<Vec<u8>>,
    /// The certificates above it.
    pub tamcacerts: Vec<Vec<u8>>,
    /// Extension: sequence number of the TA's manifest.
    pub version: Option<u64>,
    /// Extension: SHA-256 digest of the TA's manifest.
    pub digest: Option<[u8; 32]>,
    /// Extension: the nonce of the query.
    pub nonce: Option<String>,
}

const QUERY: &str = "TAQuery";
const INFORMATION: &str = "TAInformation";
const TBS: &str = "TAInformationTBS";

impl TaQuery {
    /// The text to hand to the Broker.
    pub fn to_vec(&self) -> Vec<u8> {
        let members = Writer::new()
            .member("spid", string(&self.spid))
            .member("taid", string(&self.taid))
            .optional("nonce", self.nonce.as_deref().map(string))
            .build();
        json::to_vec(&single(QUERY, members))
    }

    /// Reads a query.
    pub fn parse(message: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut cx = Context::new(&Mode::Strict, limits, true);
        let json = cx.parse(message, limits.message)?;
        let (outer, members) = only_member(&json)?;
        if outer != QUERY {
            return Err(Error::UnknownMessage(outer.into()));
        }
        let mut object = Object::of(&mut cx, members, "")?;
        let query = Self {
            spid: object.required("spid", name)?,
            taid: object.required("taid", name)?,
            nonce: object.optional("nonce", name)?,
        };
        object.end()?;
        Ok(query)
    }
}

impl TaInformation {
    /// Signs with the AIK whose public half `aik` is; it goes along as `header.signer`.
    pub fn sign(&self, signer: jws::Signer<'_>, aik: &Jwk) -> Result<Vec<u8>, Error> {
        let members = Writer::new()
            .member("taid", string(&self.taid))
            .member("tamid", string(&self.tamid))
            .member("spid", string(&self.spid))
            .optional("signercert", self.signercert.as_ref().map(base64_of))
            .member("signercacerts", base64_list(&self.signercacerts))
            .optional("tamcert", self.tamcert.as_ref().map(base64_of))
            .member("tamcacerts", base64_list(&self.tamcacerts))
            .optional("version", self.version.map(|n| string(n.to_string())))
            .optional("digest", self.digest.map(base64_of))
            .optional("nonce", self.nonce.as_deref().map(string))
            .build();
        let headers = jws::SignHeaders { signer: Some(aik), ..Default::default() };
        crate::seal::sign_named(INFORMATION, TBS, members, signer, &headers)
    }

    /// Verifies with the AIK that the TAM vouched for ([`crate::aik::SignedAiks`]). The key in `header.signer` speaks only
    /// for itself and is not looked at.
    pub fn verify(
        message: &[u8],
        aik: &jws::VerificationKey,
        limits: &Limits,
        provider: &Provider,
    ) -> Result<Self, Error> {
        let mut cx = Context::new(&Mode::Strict, limits, false);
        let json = cx.parse(message, limits.message)?;
        let (outer, jws) = only_member(&json)?;
        if outer != INFORMATION {
            return Err(Error::UnknownMessage(outer.into()));
        }
        let jws = jws::Unverified::parse(jws, Mode::Strict)?;
        let payload = jws.verify(aik, jws::Purpose::TaInformation, provider)?.into_value();
        let json = cx.parse(&payload, payload.len())?;
        let (inner, members) = only_member(&json)?;
        if inner != TBS {
            return Err(Error::NameMismatch { outer: INFORMATION, inner: inner.into() });
        }
        Self::read(&mut cx, members)
    }

    fn read(cx: &mut Context, members: &Json) -> Result<Self, Error> {
        let mut object = Object::of(cx, members, "")?;
        let information = Self {
            taid: object.required("taid", name)?,
            tamid: object.required("tamid", name)?,
            spid: object.required("spid", name)?,
            signercert: object.optional("signercert", bytes)?,
            signercacerts: object.optional("signercacerts", list(bytes))?.unwrap_or_default(),
            tamcert: object.optional("tamcert", bytes)?,
            tamcacerts: object.optional("tamcacerts", list(bytes))?.unwrap_or_default(),
            version: object.optional("version", decimal)?,
            digest: object.optional("digest", hash)?,
            nonce: object.optional("nonce", name)?,
        };
        object.end()?;
        Ok(information)
    }
}
