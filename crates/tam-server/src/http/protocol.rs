//! Which protocol a request at the one URI speaks, and what the two answer differently.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use tamarack_model::{Code, Protocol, codes};
use {tamarack_otrp as otrp, tamarack_teep as teep};

/// What the headers of a request ask for.
pub(super) struct Wanted {
    /// By the type of the body; without one by what is accepted, where OTrP must be named.
    pub protocol: Protocol,
    /// Whether the signed keys of providers may come instead of nothing at the end of an exchange of OTrP.
    pub keys: bool,
}

impl Wanted {
    pub fn of(headers: &HeaderMap) -> Self {
        let accept = value(headers, ACCEPT);
        let named = accept.is_some_and(otrp::http::names_otrp);
        let otrp = value(headers, CONTENT_TYPE).map_or(named, otrp::http::is_otrp);
        let protocol = if otrp { Protocol::Otrp } else { Protocol::Teep };
        Self { protocol, keys: accept.is_some_and(otrp::http::names_jose) }
    }
}

/// Looks at method and headers as the protocol has it; else gives status and code.
pub(super) fn check(
    protocol: Protocol,
    method: &str,
    headers: &HeaderMap,
    empty: bool,
) -> Result<(), (u16, Code)> {
    let (accept, content_type) = (value(headers, ACCEPT), value(headers, CONTENT_TYPE));
    let (status, code) = match protocol {
        Protocol::Teep => match teep::http::request(method, accept, content_type, empty) {
            Ok(_) => return Ok(()),
            Err(situation) => (situation.status(), situation.code()),
        },
        Protocol::Otrp => match otrp::http::request(method, accept, content_type, empty) {
            Ok(_) => return Ok(()),
            Err(situation) => (situation.status(), situation.code()),
        },
    };
    Err((status, code.unwrap_or(codes::INTERNAL)))
}

/// The type of the protocol's messages.
pub(super) fn media_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Teep => teep::http::MEDIA_TYPE,
        Protocol::Otrp => otrp::http::MEDIA_TYPE,
    }
}

/// What stands in every response.
pub(super) fn response_headers(protocol: Protocol) -> &'static [(&'static str, &'static str)] {
    match protocol {
        Protocol::Teep => &teep::http::RESPONSE_HEADERS,
        Protocol::Otrp => &otrp::http::RESPONSE_HEADERS,
    }
}

fn value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
