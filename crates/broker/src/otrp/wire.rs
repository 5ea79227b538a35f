//! Stands in for `tamarack_otrp::{broker, http}`.
use tamarack_jose::json::{self, Json, Limits};

pub const MEDIA_TYPE: &str = "application/otrp+json";
pub const AIKS_MEDIA_TYPE: &str = "application/jose+json";

pub struct Routed { pub tee: Option<String>, pub rid: String, pub tid: String }

pub fn target_of(message: &[u8]) -> Result<Routed, json::Error> {
    let value = json::parse(message, &Limits::default())?;
    let bad = json::Error { at: 0, kind: json::ErrorKind::Expected("an OTrP request") };
    let [(name, jws)] = value.as_object().ok_or(bad)? else { return Err(bad) };
    let payload = jws.get("payload").and_then(Json::as_str).ok_or(bad)?;
    let payload = decode(payload).ok_or(bad)?;
    let payload = json::parse(&payload, &Limits::default())?;
    let [(_, tbs)] = payload.as_object().ok_or(bad)? else { return Err(bad) };
    let text = |name: &str| tbs.get(name).and_then(Json::as_str).map(String::from);
    let tee = text("tee");
    if tee.is_none() && name != "GetDeviceStateRequest" { return Err(bad); }
    Ok(Routed { tee, rid: text("rid").unwrap_or_default(), tid: text("tid").unwrap_or_default() })
}
fn decode(_: &str) -> Option<Vec<u8>> { None }
