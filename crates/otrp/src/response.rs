//! Responses: what a TEE answers, and how a TAM comes to know it.
//!
//! A TAM goes from [`parse`] to [`SignedResponse`]s. It first finds the outstanding request by
//! [`SignedResponse::command`], [`SignedResponse::rid`] and [`SignedResponse::tid`], and uses no private key before that.
//! Then, for a device that it knows, [`SignedResponse::verify`] and [`AuthenticResponse::open`]. With GetDeviceState the
//! certificate is inside: [`SignedResponse::open_device_state_unverified`], then `verify` with what was found there.
//!
//! A TEE writes with [`device_state`], [`seal`] and [`failure`].

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Provider, SignatureAlgorithm};
use tamarack_jose::json::{self, Json};
use tamarack_jose::{Jwk, base64, jwe, jws};

use crate::broker::BrokerError;
use crate::command::DEVICE_STATE_RESPONSE;
use crate::member::{
    Context, Object, Writer, base64_of, boolean, bytes, hash, id, list, mistyped, name, only_member, string,
    strings, text, version,
};
use crate::seal::{read_jwe, sign_named};
use crate::{
    Command, Error, ErrorCode, Limits, MessageId, Mode, Sealing, SerializedDsi, Tolerance, aik, broker,
};

/// `status` of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The command was carried out.
    Pass,
    /// It was not, and nothing changed.
    Fail,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }

    fn read(_: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        match json.as_str() {
            Some("pass") => Ok(Self::Pass),
            Some("fail") => Ok(Self::Fail),
            _ => Err(mistyped(path)),
        }
    }
}

/// `reason` of a failure (section 7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The code. What is not known is told as [`ErrorCode::TeeFail`] with the text in the message.
    pub code: ErrorCode,
    /// What it says about it.
    pub message: Option<String>,
}

impl Reason {
    /// A reason without message.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    fn to_json(&self) -> Json {
        Writer::new()
            .member("error-code", self.code.text())
            .optional("error-message", self.message.as_deref().map(string))
            .build()
    }

    /// The object of section 7.6, or the text that the templates of section 9.2 and 9.3 show.
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        if let Json::String(text) = json {
            let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
            let token = text.split(|c| !is_part(c)).find(|token| token.starts_with("ERR_"));
            return Ok(Self::of(token.unwrap_or_default(), Some(text.clone())));
        }
        let mut object = Object::of(cx, json, path)?;
        let code = object.required("error-code", text)?;
        let message = object.optional("error-message", text)?;
        object.end()?;
        Ok(Self::of(&code, message))
    }

    fn of(code: &str, message: Option<String>) -> Self {
        match ErrorCode::parse(code).filter(|code| !code.is_of_broker()) {
            Some(code) => Self { code, message },
            None => Self { code: ErrorCode::TeeFail, message: message.or_else(|| Some(code.to_owned())) },
        }
    }
}

/// The plaintext of `content` of a response to a command for SDs or TAs. Which members are there depends on the command:
///
/// | member | told |
/// |---|---|
/// | `reason` | with status fail |
/// | `did` | always |
/// | `sdname` | by CreateSD |
/// | `cert` | by UpdateSD, optional |
/// | `teespaik` | by CreateSD and UpdateSD if there is a new key and no `dsi` |
/// | `teespaiktype` | by UpdateSD along with `teespaik` |
/// | `dsi` | if `nextdsi` was true |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Why it failed.
    pub reason: Option<Reason>,
    /// SHA-256 of the TEE's certificate.
    pub did: [u8; 32],
    /// The SD that was made.
    pub sdname: Option<String>,
    /// The TEE's certificate, DER.
    pub cert: Option<Vec<u8>>,
    /// The new AIK of the SP.
    pub teespaik: Option<Jwk>,
    /// What the device is like now.
    pub dsi: Option<SerializedDsi>,
}

impl Content {
    /// Only the member that is always told.
    pub fn new(did: [u8; 32]) -> Self {
        Self { reason: None, did, sdname: None, cert: None, teespaik: None, dsi: None }
    }

    fn to_json(&self, command: Command) -> Json {
        let key_type = self.teespaik.as_ref().filter(|_| command == Command::UpdateSd).map(aik::type_text);
        Writer::new()
            .optional("reason", self.reason.as_ref().map(Reason::to_json))
            .member("did", string(base64::encode(&self.did)))
            .optional("sdname", self.sdname.as_deref().map(string))
            .optional("cert", self.cert.as_ref().map(base64_of))
            .optional("teespaik", self.teespaik.as_ref().map(|key| base64_of(aik::encode(key))))
            .optional("teespaiktype", key_type)
            .optional("dsi", self.dsi.as_ref().map(SerializedDsi::to_json))
            .build()
    }

    fn read(cx: &mut Context, json: &Json) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, "content")?;
        let content = Self {
            reason: object.optional("reason", Reason::read)?,
            did: object.required("did", hash)?,
            sdname: object.optional("sdname", name)?,
            cert: object.optional("cert", bytes)?,
            teespaik: object.optional("teespaik", aik::read_key)?,
            dsi: object.optional("dsi", SerializedDsi::read)?,
        };
        object.end()?;
        Ok(content)
    }
}

/// Answers GetDeviceState: encrypts the DSI to the TAM and signs. Gives the part for one TEE, which the Broker puts into
/// the array ([`broker::assemble`]). `signerreq` says that the TAM must send its certificates with every request.
pub fn device_state(
    rid: &MessageId,
    tid: &MessageId,
    signerreq: bool,
    dsi: &SerializedDsi,
    sealing: &Sealing<'_>,
) -> Result<Vec<u8>, Error> {
    let tbs = head(Status::Pass, rid, tid)
        .member("signerreq", signerreq)
        .member("edsi", sealing.encrypt(&dsi.octets())?)
        .build();
    let command = Command::GetDeviceState;
    sealing.sign(command.response(), command.tbs_response(), tbs)
}

/// Answers a command for SDs or TAs: encrypts the content to the TAM and signs. The status is pass unless the content
/// has a reason.
pub fn seal(
    command: Command,
    rid: &MessageId,
    tid: &MessageId,
    content: &Content,
    sealing: &Sealing<'_>,
) -> Result<Vec<u8>, Error> {
    let status = if content.reason.is_some() { Status::Fail } else { Status::Pass };
    let plaintext = json::to_vec(&content.to_json(command));
    let tbs = head(status, rid, tid).member("content", sealing.encrypt(&plaintext)?).build();
    sealing.sign(command.response(), command.tbs_response(), tbs)
}

/// Says that a request failed, to whoever reads it: signed, not encrypted, without did. For GetDeviceState (section
/// 9.1.6), and for any command where the request cannot be answered to the TAM alone, such as with
/// [`ErrorCode::UnsupportedCryptoAlg`] and the algorithms that the TEE can verify.
pub fn failure(
    command: Command,
    rid: &MessageId,
    tid: &MessageId,
    reason: &Reason,
    supportedsigalgs: Option<&[SignatureAlgorithm]>,
    signer: jws::Signer<'_>,
) -> Result<Vec<u8>, Error> {
    let names = |list: &[SignatureAlgorithm]| strings(&list.iter().map(|a| a.name()).collect::<Vec<_>>());
    let tbs = head(Status::Fail, rid, tid)
        .member("reason", reason.to_json())
        .optional("supportedsigalgs", supportedsigalgs.map(names))
        .build();
    sign_named(command.response(), command.tbs_response(), tbs, signer, &jws::SignHeaders::default())
}

fn head(status: Status, rid: &MessageId, tid: &MessageId) -> Writer {
    Writer::new()
        .member("ver", crate::VERSION)
        .member("status", status.text())
        .member("rid", rid.to_json())
        .member("tid", tid.to_json())
}

/// What may arrive at a TAM (section 10).
#[derive(Debug)]
pub enum Incoming {
    /// A GetDeviceStateResponse, TEE by TEE; each stands for itself.
    DeviceStates(Vec<Result<SignedResponse, Error>>),
    /// The response to another command.
    Response(Box<SignedResponse>),
    /// What a Broker says on its own, which proves nothing.
    BrokerError(BrokerError),
}

/// Reads what arrived at a TAM, up to and with the clear members. Members that the draft does not define are ignored.
pub fn parse(message: &[u8], mode: &Mode, limits: &Limits) -> Result<Incoming, Error> {
    let cx = Context::new(mode, limits, false);
    if message.len() > limits.message {
        return Err(Error::TooLarge(limits.message));
    }
    let json = cx.parse(message, limits.message)?;
    let (name, outer) = only_member(&json)?;
    match name {
        DEVICE_STATE_RESPONSE => {
            let parts = outer.as_array().ok_or_else(|| mistyped(name))?;
            if parts.len() > limits.array {
                return Err(mistyped(name));
            }
            let part = |json: &Json| match only_member(json)? {
                (name, jws) if name == Command::GetDeviceState.response() => {
                    SignedResponse::read(cx.clone(), Command::GetDeviceState, jws)
                }
                (name, _) => Err(Error::UnknownMessage(name.to_owned())),
            };
            Ok(Incoming::DeviceStates(parts.iter().map(part).collect()))
        }
        broker::ERROR | broker::STATUS => Ok(Incoming::BrokerError(BrokerError::read(cx, &json)?)),
        // One TEE's part alone is what the Broker should have put into the array.
        _ => match Command::of_response(name) {
            Some(Command::GetDeviceState) => Ok(Incoming::DeviceStates(alloc::vec![SignedResponse::read(
                cx,
                Command::GetDeviceState,
                outer
            )])),
            Some(command) => Ok(Incoming::Response(Box::new(SignedResponse::read(cx, command, outer)?))),
            None => Err(Error::UnknownMessage(name.to_owned())),
        },
    }
}

/// A response of one TEE as it arrived: nothing of it is authentic yet.
#[derive(Clone, Debug)]
pub struct SignedResponse {
    command: Command,
    jws: jws::Unverified,
    status: Status,
    rid: MessageId,
    tid: MessageId,
    body: ResponseBody,
    cx: Context,
}

/// What a response says in the clear.
#[derive(Clone, Debug)]
pub enum ResponseBody {
    /// GetDeviceState was carried out.
    DeviceState {
        /// Whether the TAM must send its certificates with every request.
        signerreq: bool,
        /// The encrypted DSI.
        edsi: jwe::Jwe,
    },
    /// Another command was answered, well or not.
    Content(jwe::Jwe),
    /// The request failed.
    Failed {
        /// Why.
        reason: Reason,
        /// The JWS algorithms that the TEE can verify.
        supportedsigalgs: Option<Vec<String>>,
    },
}

impl SignedResponse {
    fn read(mut cx: Context, command: Command, outer: &Json) -> Result<Self, Error> {
        let mode = cx.mode;
        let jws = jws::Unverified::parse(outer, mode)?;
        let payload = jws.payload_unverified();
        let json = cx.parse(payload, payload.len())?;
        let (inner, members) = only_member(&json)?;
        if inner != command.tbs_response() {
            return Err(Error::NameMismatch { outer: command.response(), inner: inner.to_owned() });
        }
        let mut object = Object::of(&mut cx, members, "")?;
        object.required("ver", version)?;
        let status = object.required("status", Status::read)?;
        let rid = object.required("rid", id)?;
        let tid = object.required("tid", id)?;
        let body = ResponseBody::read(&mut object, command, status)?;
        object.end()?;
        Ok(Self { command, jws, status, rid, tid, body, cx })
    }

    /// What it answers, by the outer name, which is also the inner one.
    pub fn command(&self) -> Command {
        self.command
    }

    /// Which request it says it answers.
    pub fn rid(&self) -> &MessageId {
        &self.rid
    }

    /// Which transaction it says it belongs to.
    pub fn tid(&self) -> &MessageId {
        &self.tid
    }

    /// The algorithm that the signature claims.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.jws.algorithm()
    }

    /// What was tolerated so far.
    pub fn tolerances(&self) -> &[Tolerance] {
        &self.cx.tolerances
    }

    /// What it says, before anyone vouches for it: enough to log a failure, never to act on.
    pub fn body_unverified(&self) -> &ResponseBody {
        &self.body
    }

    /// Decrypts the DSI before the signature can be verified, for `tee.cert` in it is needed for that (section 9.1.7).
    /// Nothing else of it may be used before [`SignedResponse::verify`] held with that certificate's key. None if there
    /// is no DSI in it.
    pub fn open_device_state_unverified(
        &self,
        key: jwe::DecryptionKey<'_>,
        provider: &Provider,
    ) -> Result<Option<SerializedDsi>, Error> {
        let ResponseBody::DeviceState { edsi, .. } = &self.body else { return Ok(None) };
        let plaintext = edsi.decrypt(key, provider)?;
        SerializedDsi::from_octets(&mut self.cx.clone(), plaintext.expose()).map(Some)
    }

    /// Verifies the signature with the TEE's key.
    pub fn verify(self, key: &jws::VerificationKey, provider: &Provider) -> Result<AuthenticResponse, Error> {
        self.jws.verify(key, jws::Purpose::OtrpResponse, provider)?;
        let Self { command, status, rid, tid, body, cx, .. } = self;
        Ok(AuthenticResponse { command, status, rid, tid, body, cx })
    }
}

impl ResponseBody {
    fn read(object: &mut Object<'_, '_>, command: Command, status: Status) -> Result<Self, Error> {
        let reason = object.optional("reason", Reason::read)?;
        let supportedsigalgs = object.optional("supportedsigalgs", list(name))?;
        let signerreq = object.optional("signerreq", boolean)?;
        let content = match command {
            Command::GetDeviceState => None,
            _ => object.optional("content", read_jwe)?,
        };
        match (command, status, content) {
            (Command::GetDeviceState, Status::Pass, _) => {
                let signerreq = signerreq.ok_or_else(|| Error::Missing("signerreq".into()))?;
                Ok(Self::DeviceState { signerreq, edsi: object.required("edsi", read_jwe)? })
            }
            (_, _, Some(content)) => Ok(Self::Content(content)),
            (_, Status::Pass, None) => Err(Error::Missing("content".into())),
            (_, Status::Fail, None) => {
                let reason = reason.ok_or_else(|| Error::Missing("reason".into()))?;
                Ok(Self::Failed { reason, supportedsigalgs })
            }
        }
    }
}

/// A response whose signature holds.
#[derive(Clone, Debug)]
pub struct AuthenticResponse {
    command: Command,
    status: Status,
    rid: MessageId,
    tid: MessageId,
    body: ResponseBody,
    cx: Context,
}

impl AuthenticResponse {
    /// What it answers.
    pub fn command(&self) -> Command {
        self.command
    }

    /// Whether the command was carried out.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Which request it answers.
    pub fn rid(&self) -> &MessageId {
        &self.rid
    }

    /// Which transaction it belongs to.
    pub fn tid(&self) -> &MessageId {
        &self.tid
    }

    /// What it says in the clear.
    pub fn body(&self) -> &ResponseBody {
        &self.body
    }

    /// What was tolerated so far.
    pub fn tolerances(&self) -> &[Tolerance] {
        &self.cx.tolerances
    }

    /// Decrypts and reads the content. None if there is none: a GetDeviceState, or a failure in the clear.
    pub fn open(
        &mut self,
        key: jwe::DecryptionKey<'_>,
        provider: &Provider,
    ) -> Result<Option<Content>, Error> {
        let ResponseBody::Content(jwe) = &self.body else { return Ok(None) };
        let plaintext = jwe.decrypt(key, provider)?;
        let json = self.cx.parse(plaintext.expose(), self.cx.limits.message)?;
        let content = Content::read(&mut self.cx, &json)?;
        if self.status == Status::Fail && content.reason.is_none() {
            return Err(Error::Missing("content.reason".into()));
        }
        Ok(Some(content))
    }
}
