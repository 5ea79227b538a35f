//! Header parameters, from the protected header and the unprotected ones together.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{self, Json, Limits};
use crate::{Error, base64};

/// Parameters that extend what an object means (crit, b64, zip) or say where its key is to be had from (jwk, jku, x5u).
const REFUSED: [&str; 6] = ["crit", "b64", "zip", "jwk", "jku", "x5u"];

/// What a protected header may have at most.
const LIMITS: Limits = Limits { bytes: 64 << 10, depth: 4, members: 64, string: 16 << 10 };

/// The JOSE header: the union of disjoint headers.
pub(crate) struct Header {
    protected: Vec<(String, Json)>,
    unprotected: Vec<(String, Json)>,
}

impl Header {
    /// Reads the protected header from its base64url text, and adds the unprotected ones.
    pub(crate) fn read(protected: &str, unprotected: &[Option<&Json>]) -> Result<Self, Error> {
        let protected = match protected {
            "" => Vec::new(),
            text => {
                let text = base64::decode_url(text).map_err(|_| Error::Member("protected"))?;
                match json::parse(&text, &LIMITS)? {
                    Json::Object(members) => members,
                    _ => return Err(Error::Member("protected")),
                }
            }
        };
        let mut header = Self { protected, unprotected: Vec::new() };
        for object in unprotected.iter().copied().flatten() {
            header.unprotected.extend_from_slice(object.as_object().ok_or(Error::Member("header"))?);
        }
        let mut names: Vec<&str> =
            header.protected.iter().chain(&header.unprotected).map(|member| member.0.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::RepeatedHeader(pair[0].chars().take(32).collect()));
        }
        match REFUSED.into_iter().find(|name| names.binary_search(name).is_ok()) {
            Some(name) => Err(Error::Header(name)),
            None => Ok(header),
        }
    }

    /// A parameter of the protected header.
    pub(crate) fn protected(&self, name: &str) -> Option<&Json> {
        find(&self.protected, name)
    }

    /// A parameter, wherever it stands.
    pub(crate) fn any(&self, name: &str) -> Option<&Json> {
        self.protected(name).or_else(|| find(&self.unprotected, name))
    }
}

fn find<'j>(members: &'j [(String, Json)], name: &str) -> Option<&'j Json> {
    members.iter().find(|member| member.0 == name).map(|member| &member.1)
}

/// The text of a string member that must be there.
pub(crate) fn text<'j>(object: &'j Json, name: &'static str) -> Result<&'j str, Error> {
    object.get(name).and_then(Json::as_str).ok_or(Error::Member(name))
}

/// The bytes of a base64url value.
pub(crate) fn url_bytes(value: &str, name: &'static str) -> Result<Vec<u8>, Error> {
    base64::decode_url(value).map_err(|_| Error::Member(name))
}
