//! OTrP over HTTP as data, for whatever HTTP library a program uses. The draft leaves the transport open (section 8);
//! this is the binding of draft-ietf-teep-otrp-over-http, with OTrP's media type (section 13).
//!
//! | direction | request or response |
//! |---|---|
//! | Broker to TAM | `POST`, `Accept: application/otrp+json`, empty body: connect |
//! | Broker to TAM | `POST`, `Accept` and `Content-Type: application/otrp+json`, the response as body |
//! | TAM to Broker | 200 with `Content-Type: application/otrp+json` and a request |
//! | TAM to Broker | 204: nothing more to say |
//! | TAM to Broker | instead of 204, if `Accept` names `application/jose+json` too: 200 with that type and the signed AIKs |
//! | TAM to Broker | a status of [`Situation`] with an empty body and [`ERROR_HEADER`] |
//!
//! No redirects and no cookies. rid and tid in the messages tell what belongs together.

use tamarack_model::{Code, codes};

/// Media type of OTrP messages.
pub const MEDIA_TYPE: &str = "application/otrp+json";
/// Media type of a JWS: the signed AIKs for the application ([`crate::aik::SignedAiks`]).
pub const JOSE_MEDIA_TYPE: &str = "application/jose+json";
/// The only method.
pub const METHOD: &str = "POST";
/// Name of the header that names the sender's wish.
pub const ACCEPT: &str = "accept";
/// Name of the header that names the body's type.
pub const CONTENT_TYPE: &str = "content-type";
/// Name of the header in which our TAM tells the code (`TMK-nnnn`) of an error; the body of an error is empty.
pub const ERROR_HEADER: &str = "tamarack-error";
/// Name of the header that says when to try again, in seconds, with [`Situation::Overloaded`].
pub const RETRY_AFTER: &str = "retry-after";
/// Headers of every response with a message, against caches and against browsers that would interpret it.
pub const RESPONSE_HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'"),
    ("referrer-policy", "no-referrer"),
];

/// What a request is, once it is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An empty body: a device wants to talk.
    Connect,
    /// The body is a response of the device.
    Message,
}

/// How a TAM answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// There is a request for the TEE.
    Message,
    /// The exchange has ended, and the signed AIKs go to the application.
    Aiks,
    /// There is none, and the exchange has ended well or was silently dropped.
    NoMessage,
    /// The body is not an OTrP message, or its signature does not hold.
    Malformed,
    /// Another method than POST.
    Method,
    /// The sender does not accept OTrP messages.
    NotAcceptable,
    /// The body exceeds the limit.
    TooLarge,
    /// There is a body, and it has another type or none.
    MediaType,
    /// The TAM sheds load; [`RETRY_AFTER`] says for how long.
    Overloaded,
    /// The TAM failed.
    Failed,
    /// The TAM has no good OCSP responses for its own certificates, without which no TEE would believe it.
    NoStaple,
}

/// Every situation with its status.
pub const STATUS: [(Situation, u16); 11] = [
    (Situation::Message, 200),
    (Situation::Aiks, 200),
    (Situation::NoMessage, 204),
    (Situation::Malformed, 400),
    (Situation::Method, 405),
    (Situation::NotAcceptable, 406),
    (Situation::TooLarge, 413),
    (Situation::MediaType, 415),
    (Situation::Overloaded, 429),
    (Situation::Failed, 500),
    (Situation::NoStaple, 503),
];

impl Situation {
    /// Its HTTP status.
    pub fn status(self) -> u16 {
        // The table has a row for each, which a test asserts.
        STATUS.iter().find(|(situation, _)| *situation == self).map_or(500, |(_, status)| *status)
    }

    /// The code for [`ERROR_HEADER`] if nothing more specific is known; none if it is no error.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::Message | Self::Aiks | Self::NoMessage => None,
            Self::Malformed => Some(codes::OTRP_MALFORMED),
            Self::Method | Self::NotAcceptable | Self::MediaType => Some(codes::HTTP_BAD_REQUEST),
            Self::TooLarge => Some(codes::HTTP_TOO_LARGE),
            Self::Overloaded => Some(codes::OVERLOADED),
            Self::Failed => Some(codes::INTERNAL),
            Self::NoStaple => Some(codes::OTRP_TAM_NOT_TRUSTED),
        }
    }
}

/// What a TAM makes of a request before it looks into the body.
pub fn request(
    method: &str,
    accept: Option<&str>,
    content_type: Option<&str>,
    body_is_empty: bool,
) -> Result<Request, Situation> {
    if method != METHOD {
        Err(Situation::Method)
    } else if !accept.is_some_and(accepts) {
        Err(Situation::NotAcceptable)
    } else if body_is_empty {
        Ok(Request::Connect)
    } else if content_type.is_some_and(is_otrp) {
        Ok(Request::Message)
    } else {
        Err(Situation::MediaType)
    }
}

/// Whether a Content-Type is that of OTrP messages, whatever its case and parameters.
pub fn is_otrp(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Whether an Accept header allows an OTrP message: one of its ranges covers the type and has no zero weight.
pub fn accepts(accept: &str) -> bool {
    covers(accept, &["*/*", "application/*", MEDIA_TYPE])
}

/// Whether an Accept header names the type of an OTrP message itself, and not only a range that covers it: by this a URL
/// that serves two protocols knows which is meant.
pub fn names_otrp(accept: &str) -> bool {
    covers(accept, &[MEDIA_TYPE])
}

/// Whether an Accept header asks for the signed AIKs by name.
pub fn names_jose(accept: &str) -> bool {
    covers(accept, &[JOSE_MEDIA_TYPE])
}

fn covers(accept: &str, types: &[&str]) -> bool {
    accept.split(',').any(|range| {
        let essence = essence(range);
        let covers = types.iter().any(|r| essence.eq_ignore_ascii_case(r));
        covers && !range.split(';').skip(1).any(is_zero_weight)
    })
}

fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

fn is_zero_weight(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) => {
            let value = value.trim();
            let zero = value.starts_with('0') && value.bytes().all(|b| matches!(b, b'0' | b'.'));
            name.trim().eq_ignore_ascii_case("q") && zero
        }
        None => false,
    }
}
