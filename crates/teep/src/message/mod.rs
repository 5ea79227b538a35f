//! The messages. Each is an array of its type, its options and what else it must have.

mod error;
mod query_request;
mod query_response;
mod success;
mod update;

use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, ErrorKind, Limits};

pub use error::ErrorMessage;
pub use query_request::QueryRequest;
pub use query_response::{QueryResponse, RequestedTc};
pub use success::Success;
pub use update::Update;

use crate::{Error, MessageType};

/// A TEEP message (section 4), without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// From the TAM: what are you, what do you hold?
    QueryRequest(QueryRequest),
    /// From the Agent: the answer to that.
    QueryResponse(QueryResponse),
    /// From the TAM: install and remove this, or an error.
    Update(Update),
    /// From the Agent: done.
    Success(Success),
    /// From the Agent: not done.
    Error(ErrorMessage),
}

impl Message {
    /// Reads a message whole. Fails at the first element that is not what section 4 defines, and names it.
    pub fn from_cbor(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let in_message = Error::in_element("message");
        let mut d = Decoder::new(bytes, limits).map_err(&in_message)?;
        let at = d.position();
        let elements = d.array().map_err(&in_message)?;
        let number = d.uint().map_err(Error::in_element("message type"))?;
        let kind = MessageType::from_number(number).ok_or(Error::MessageType(number))?;
        if elements != element_count(kind) {
            let expected = match kind {
                MessageType::QueryRequest => "5 elements in a QueryRequest",
                MessageType::QueryResponse => "2 elements in a QueryResponse",
                MessageType::Update => "2 elements in an Update",
                MessageType::Success => "2 elements in a Success",
                MessageType::Error => "3 elements in an Error",
            };
            return Err(in_message(tamarack_cbor::Error::new(at, ErrorKind::Value(expected))));
        }
        Ok(match kind {
            MessageType::QueryRequest => Self::QueryRequest(QueryRequest::decode(&mut d)?),
            MessageType::QueryResponse => Self::QueryResponse(QueryResponse::decode(&mut d)?),
            MessageType::Update => Self::Update(Update::decode(&mut d)?),
            MessageType::Success => Self::Success(Success::decode(&mut d)?),
            MessageType::Error => Self::Error(ErrorMessage::decode(&mut d)?),
        })
    }

    /// Writes the message. Fields out of their bounds are written as they are; [`crate::sign`] refuses to sign them.
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.array(element_count(self.message_type())).uint(self.message_type().number().into());
        match self {
            Self::QueryRequest(message) => message.encode(&mut e),
            Self::QueryResponse(message) => message.encode(&mut e),
            Self::Update(message) => message.encode(&mut e),
            Self::Success(message) => message.encode(&mut e),
            Self::Error(message) => message.encode(&mut e),
        }
        e.into_bytes()
    }

    /// Which of the five it is.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::QueryRequest(_) => MessageType::QueryRequest,
            Self::QueryResponse(_) => MessageType::QueryResponse,
            Self::Update(_) => MessageType::Update,
            Self::Success(_) => MessageType::Success,
            Self::Error(_) => MessageType::Error,
        }
    }

    /// The token, if it has one.
    pub fn token(&self) -> Option<&[u8]> {
        match self {
            Self::QueryRequest(message) => &message.token,
            Self::QueryResponse(message) => &message.token,
            Self::Update(message) => &message.token,
            Self::Success(message) => &message.token,
            Self::Error(message) => &message.token,
        }
        .as_deref()
    }
}

fn element_count(kind: MessageType) -> usize {
    match kind {
        MessageType::QueryRequest => 5,
        MessageType::QueryResponse | MessageType::Update | MessageType::Success => 2,
        MessageType::Error => 3,
    }
}
