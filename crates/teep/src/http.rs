//! TEEP over HTTP (draft-ietf-teep-otrp-over-http-15) as data, for whatever HTTP library a program uses.
//!
//! | direction | request or response |
//! |---|---|
//! | Broker to TAM | `POST`, `Accept: application/teep+cbor`, empty body: connect |
//! | Broker to TAM | `POST`, `Accept` and `Content-Type: application/teep+cbor`, the message as body |
//! | TAM to Broker | 200 with `Content-Type: application/teep+cbor` and a message |
//! | TAM to Broker | 204: nothing more to say |
//! | TAM to Broker | a status of [`Situation`] with an empty body and [`ERROR_HEADER`] |
//!
//! No redirects, no cookies, no `Cache-Control`.

use tamarack_model::{Code, codes};

/// Media type of TEEP messages.
pub const MEDIA_TYPE: &str = "application/teep+cbor";
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
/// Headers of every response with a message, against browsers that would interpret it.
pub const RESPONSE_HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'"),
    ("referrer-policy", "no-referrer"),
];

/// What a request is, once it is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An empty body: a device wants to talk ("ProcessConnect").
    Connect,
    /// The body is a message ("ProcessTeepMessage").
    Message,
}

/// How a TAM answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// There is a message for the Agent.
    Message,
    /// There is none, and the exchange has ended well or was silently dropped.
    NoMessage,
    /// The body is not a TEEP message, or its signature does not hold.
    Malformed,
    /// Another method than POST.
    Method,
    /// The sender does not accept TEEP messages.
    NotAcceptable,
    /// The body exceeds the limit.
    TooLarge,
    /// There is a body, and it has another type or none.
    MediaType,
    /// The TAM sheds load; [`RETRY_AFTER`] says for how long.
    Overloaded,
    /// The TAM failed.
    Failed,
}

/// Every situation with its status.
pub const STATUS: [(Situation, u16); 9] = [
    (Situation::Message, 200),
    (Situation::NoMessage, 204),
    (Situation::Malformed, 400),
    (Situation::Method, 405),
    (Situation::NotAcceptable, 406),
    (Situation::TooLarge, 413),
    (Situation::MediaType, 415),
    (Situation::Overloaded, 429),
    (Situation::Failed, 500),
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
            Self::Message | Self::NoMessage => None,
            Self::Malformed => Some(codes::TEEP_MALFORMED),
            Self::Method | Self::NotAcceptable | Self::MediaType => Some(codes::HTTP_BAD_REQUEST),
            Self::TooLarge => Some(codes::HTTP_TOO_LARGE),
            Self::Overloaded => Some(codes::OVERLOADED),
            Self::Failed => Some(codes::INTERNAL),
        }
    }
}

/// What a TAM makes of a request before it looks into the body. An empty body needs no Content-Type: demanding one would
/// break clients that follow section 5.1 of the draft to the letter.
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
    } else if content_type.is_some_and(is_teep) {
        Ok(Request::Message)
    } else {
        Err(Situation::MediaType)
    }
}

/// Whether a Content-Type is that of TEEP messages, whatever its case and parameters.
pub fn is_teep(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Whether an Accept header allows a TEEP message: one of its ranges covers the type and has no zero weight.
pub fn accepts(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let essence = essence(range);
        let covers = ["*/*", "application/*", MEDIA_TYPE].iter().any(|r| essence.eq_ignore_ascii_case(r));
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
