//! Stands in for `tamarack_otrp`.
use tamarack_channel::Failure;
use tamarack_jose::json::{self, Json, Limits};
use tamarack_model::{Code, codes};

pub const MEDIA_TYPE: &str = "application/otrp+json";
pub const AIKS_MEDIA_TYPE: &str = "application/jose+json";

#[derive(Debug)]
pub struct OtrpError(pub String);
impl OtrpError { pub fn code(&self) -> Code { codes::JSON_MALFORMED } }
impl std::fmt::Display for OtrpError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) } }
impl From<json::Error> for OtrpError { fn from(e: json::Error) -> Self { Self(e.to_string()) } }

pub struct Routed { pub tee: Option<String>, pub rid: String, pub tid: String }

pub fn target_of(message: &[u8]) -> Result<Routed, OtrpError> {
    let value = json::parse(message, &Limits::default())?;
    let bad = || OtrpError("not an OTrP request".into());
    let [(name, jws)] = value.as_object().ok_or_else(bad)? else { return Err(bad()) };
    let payload = jws.get("payload").and_then(Json::as_str).ok_or_else(bad)?;
    let payload = decode(payload).ok_or_else(bad)?;
    let payload = json::parse(&payload, &Limits::default())?;
    let [(_, tbs)] = payload.as_object().ok_or_else(bad)? else { return Err(bad()) };
    let text = |name: &str| tbs.get(name).and_then(Json::as_str).map(String::from);
    let tee = text("tee");
    if tee.is_none() && name != "GetDeviceStateRequest" { return Err(bad()); }
    Ok(Routed { tee, rid: text("rid").unwrap_or_default(), tid: text("tid").unwrap_or_default() })
}
fn decode(_: &str) -> Option<Vec<u8>> { None }
pub enum BrokerErrorCode { Busy, Unknown, Failed }
impl Routed {
    pub fn read(message: &[u8]) -> Result<Self, crate::Error> { target_of(message).map_err(crate::Error::Otrp) }
    pub fn error(&self, _: BrokerErrorCode, failure: Failure) -> super::Processed { super::Processed { response: Vec::new(), failure: Some(failure) } }
}
pub fn read_part(_: &[u8]) -> Result<Json, Failure> { Ok(Json::Null) }
pub fn assemble(_: Vec<Json>) -> Vec<u8> { Vec::new() }
