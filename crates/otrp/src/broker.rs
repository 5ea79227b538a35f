//! What a Broker does with messages: it finds out which TEE a request is for, puts the answers of TEEs into one message,
//! and speaks for a TEE that does not. It reads nothing else and verifies nothing.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_jose::base64;
use tamarack_jose::json::{self, Json};

use crate::command::DEVICE_STATE_RESPONSE;
use crate::member::{Context, Object, Writer, only_member, single, string, text};
use crate::{Command, Error, ErrorCode, Limits, Mode};

/// What a Broker says on its own (section 10, type 2): unsigned, so that it proves nothing.
///
/// Emitted as `{"OTrPBrokerError": {"ver", "rid", "tid", "errcode"}}`. Draft-02 also had
/// `{"status": {"result": "fail", "error-code", "error-message"}}`, which is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerError {
    /// One of the three codes of a Broker.
    pub code: ErrorCode,
    /// rid of the request, or empty.
    pub rid: String,
    /// tid of the request, or empty.
    pub tid: String,
    /// What draft-02's shape says about it.
    pub message: Option<String>,
}

pub(crate) const ERROR: &str = "OTrPBrokerError";
pub(crate) const STATUS: &str = "status";

impl BrokerError {
    /// An error about a request that the Broker did not look into.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, rid: String::new(), tid: String::new(), message: None }
    }

    /// The message.
    pub fn to_vec(&self) -> Vec<u8> {
        let members = Writer::new()
            .member("ver", crate::VERSION)
            .member("rid", string(&self.rid))
            .member("tid", string(&self.tid))
            .member("errcode", self.code.text())
            .build();
        json::to_vec(&single(ERROR, members))
    }

    /// Reads either shape.
    pub fn parse(message: &[u8], limits: &Limits) -> Result<Self, Error> {
        let cx = Context::new(&Mode::Strict, limits, false);
        let json = cx.parse(message, limits.message)?;
        Self::read(cx, &json)
    }

    pub(crate) fn read(mut cx: Context, json: &Json) -> Result<Self, Error> {
        let (name, members) = only_member(json)?;
        let mut object = Object::of(&mut cx, members, "")?;
        let error = match name {
            ERROR => Self {
                code: object.required("errcode", code)?,
                rid: object.optional("rid", text)?.unwrap_or_default(),
                tid: object.optional("tid", text)?.unwrap_or_default(),
                message: None,
            },
            STATUS => Self {
                code: object.required("error-code", code)?,
                rid: String::new(),
                tid: String::new(),
                message: object.optional("error-message", text)?,
            },
            _ => return Err(Error::UnknownMessage(name.to_owned())),
        };
        object.end()?;
        Ok(error)
    }
}

/// The code of a Broker; what is not one of the three means that the TEE did not answer.
fn code(cx: &mut Context, json: &Json, path: &str) -> Result<ErrorCode, Error> {
    let known = ErrorCode::parse(&text(cx, json, path)?).filter(|code| code.is_of_broker());
    Ok(known.unwrap_or(ErrorCode::AgentTeeFail))
}

/// Which TEE a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is asked.
    pub command: Command,
    /// Name of the TEE; none with GetDeviceState, which is for every active TEE.
    pub tee: Option<String>,
    /// rid of the request, for [`BrokerError::rid`].
    pub rid: Option<String>,
    /// tid of the request.
    pub tid: Option<String>,
}

/// Finds out which TEE a request is for, without verifying anything.
pub fn target_of(message: &[u8], limits: &Limits) -> Result<Target, Error> {
    let cx = Context::new(&Mode::Compat, limits, false);
    let json = cx.parse(message, limits.ta_message)?;
    let (name, outer) = only_member(&json)?;
    let command = Command::of_request(name).ok_or_else(|| Error::UnknownMessage(name.to_owned()))?;
    // Not even the algorithm: what the TEE does not know, it shall say itself.
    let payload = outer.get("payload").and_then(Json::as_str).and_then(|text| base64::decode_url(text).ok());
    let payload = payload.ok_or_else(|| Error::Mistyped("payload".into()))?;
    let payload = cx.parse(&payload, limits.ta_message)?;
    let (_, members) = only_member(&payload)?;
    let member = |name: &str| members.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    Ok(Target { command, tee: member("tee"), rid: member("rid"), tid: member("tid") })
}

/// Puts the parts of TEEs, `{"GetDeviceTEEStateResponse": ..}` each, into the one GetDeviceStateResponse of the device.
pub fn assemble<P: AsRef<[u8]>>(parts: &[P], limits: &Limits) -> Result<Vec<u8>, Error> {
    let cx = Context::new(&Mode::Strict, limits, false);
    let part = |part: &P| {
        let json = cx.parse(part.as_ref(), limits.message)?;
        match only_member(&json)?.0 {
            name if name == Command::GetDeviceState.response() => Ok(json),
            name => Err(Error::UnknownMessage(name.to_owned())),
        }
    };
    let parts: Result<Vec<Json>, Error> = parts.iter().map(part).collect();
    Ok(json::to_vec(&single(DEVICE_STATE_RESPONSE, Json::Array(parts?))))
}
