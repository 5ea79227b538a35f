//! How the names of OTrP and component ids are one thing.
//!
//! | OTrP | component id |
//! |---|---|
//! | sdname | segment 0, as UTF-8 |
//! | taid that is a UUID in text | a segment of 16 bytes |
//! | any other taid | a segment of its UTF-8 bytes, which then are not 16 |
//! | the TA `taid` in `sdname` | the manifest `[sdname, taid, "suit"]` with all components under `[sdname, taid]` |
//!
//! The mapping is one to one. Manifests of another shape, which TEEP may install, have no name in OTrP.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_model::{ComponentId, Hex};

use crate::Error;
use crate::member::from_hex;

/// Last segment of a manifest's id.
const MANIFEST: &[u8] = b"suit";

/// The segment for `taid`.
pub fn to_segment(taid: &str) -> Result<Vec<u8>, Error> {
    if let Some(uuid) = uuid(taid) {
        return Ok(uuid);
    }
    match taid.len() {
        16 => Err(Error::Taid),
        1..=ComponentId::MAX_SEGMENT_LENGTH => Ok(taid.as_bytes().to_vec()),
        _ => Err(Error::Taid),
    }
}

/// The taid for a segment; none if it is neither 16 bytes nor text.
pub fn from_segment(segment: &[u8]) -> Option<String> {
    if segment.len() == 16 {
        let hex = Hex(segment).to_string();
        return Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"));
    }
    printable(segment).filter(|text| uuid(text).is_none())
}

/// The id of the manifest that the TA `taid` in the Security Domain `sdname` is.
pub fn to_manifest(sdname: &str, taid: &str) -> Result<ComponentId, Error> {
    let segments = [sdname.as_bytes(), &to_segment(taid)?, MANIFEST];
    ComponentId::new(segments).map_err(|_| Error::Taid)
}

/// sdname and taid of a manifest; none if it has no name in OTrP.
pub fn from_manifest(manifest: &ComponentId) -> Option<(String, String)> {
    match manifest.segments() {
        [label, ta, last] if last == MANIFEST => Some((printable(label)?, from_segment(ta)?)),
        _ => None,
    }
}

/// What the ids of all components of a TA begin with.
pub fn prefix(sdname: &str, taid: &str) -> Result<[Vec<u8>; 2], Error> {
    Ok([sdname.as_bytes().to_vec(), to_segment(taid)?])
}

fn printable(segment: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(segment).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn uuid(text: &str) -> Option<Vec<u8>> {
    let groups = || text.split('-');
    let well_formed = groups().map(str::len).eq([8, 4, 4, 4, 12]);
    well_formed.then(|| from_hex(&groups().collect::<String>())).flatten()
}
