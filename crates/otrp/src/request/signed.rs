use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Provider, SignatureAlgorithm};
use tamarack_jose::{Json, jwe, jws};

use super::{Common, Content, GetDeviceState};
use crate::member::{Context, Object, boolean, bytes, hash, id, list, name, only_member, version};
use crate::seal::read_jwe;
use crate::ta_package::EncryptedTa;
use crate::{Command, Error, Limits, MessageId, Mode, Tolerance};

/// A request as it arrived: nothing of it is authentic yet.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    command: Command,
    jws: jws::Unverified,
    rid: Option<MessageId>,
    tid: Option<MessageId>,
    tee: Option<String>,
    cx: Context,
}

impl SignedRequest {
    /// Reads the outer layers: the name, the JWS, and that the payload is a JSON object of the name that belongs to it.
    pub fn parse(message: &[u8], mode: &Mode, limits: &Limits) -> Result<Self, Error> {
        let mut cx = Context::new(mode, limits, true);
        let (command, outer) = parse_outer(&cx, message)?;
        let jws = match jws::Unverified::parse(&outer, Mode::Strict) {
            Err(_) if *mode == Mode::Compat => {
                let jws = jws::Unverified::parse(&outer, Mode::Compat)?;
                cx.note(Tolerance::CertificateForm);
                jws
            }
            jws => jws?,
        };
        let payload = parse_payload(&cx, &jws, command)?;
        // What cannot be read here is found wrong by AuthenticRequest::read, once it is known who says so.
        let peek = |member: &str| payload.get(member).and_then(|json| id(&mut cx.clone(), json, member).ok());
        let (rid, tid) = (peek("rid"), peek("tid"));
        let tee = payload.get("tee").and_then(Json::as_str).map(String::from);
        Ok(Self { command, jws, rid, tid, tee, cx })
    }

    /// What is asked, by the outer name, which is also the inner one.
    pub fn command(&self) -> Command {
        self.command
    }

    /// The algorithm that the signature claims.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.jws.algorithm()
    }

    /// The certificates that came along, leaf first.
    pub fn x5c(&self) -> &[Vec<u8>] {
        self.jws.x5c()
    }

    /// Whether the protected thumbprint is that of the first certificate (rule K4); none if there is no thumbprint, as the
    /// draft allows.
    pub fn names_leaf(&self, provider: &Provider) -> Option<bool> {
        let told = self.jws.x5t_s256()?;
        Some(self.x5c().first().is_some_and(|leaf| provider.sha256(leaf) == *told))
    }

    /// The certificate that the protected header names: SHA-256 of its DER (`x5t#S256`). What finds the certificate of a
    /// session when none came along.
    pub fn x5t_s256(&self) -> Option<&[u8; 32]> {
        self.jws.x5t_s256()
    }

    /// SHA-256 of the JWS signing input, by which repeats are known (rule R10).
    pub fn signing_input_hash(&self, provider: &Provider) -> [u8; 32] {
        provider.sha256(self.jws.signing_input())
    }

    /// What the request says its rid is.
    pub fn rid_unverified(&self) -> Option<&MessageId> {
        self.rid.as_ref()
    }

    /// What the request says its tid is.
    pub fn tid_unverified(&self) -> Option<&MessageId> {
        self.tid.as_ref()
    }

    /// Which TEE the request says it is for.
    pub fn tee_unverified(&self) -> Option<&str> {
        self.tee.as_deref()
    }

    /// Verifies the signature with the key of a certificate that was validated before.
    pub fn verify(self, key: &jws::VerificationKey, provider: &Provider) -> Result<AuthenticRequest, Error> {
        let payload = self.jws.verify(key, jws::Purpose::OtrpRequest, provider)?.into_value();
        Ok(AuthenticRequest { command: self.command, payload, rid: self.rid, tid: self.tid, cx: self.cx })
    }
}

/// Finds the command by the outer name, within the size for it.
fn parse_outer(cx: &Context, message: &[u8]) -> Result<(Command, Json), Error> {
    let limit = if message.len() > cx.limits.message { cx.limits.ta_message } else { cx.limits.message };
    if message.len() > limit {
        return Err(Error::TooLarge(limit));
    }
    if message.len() > cx.limits.message {
        // Only a message with a TA may be that long; its name stands at the front.
        let front = &message[..message.len().min(64)];
        let ta = [Command::InstallTa, Command::UpdateTa];
        if !ta.iter().any(|c| contains(front, c.request().as_bytes())) {
            return Err(Error::TooLarge(cx.limits.message));
        }
    }
    let json = cx.parse(message, limit)?;
    let (name, outer) = only_member(&json)?;
    match Command::of_request(name) {
        Some(command) => Ok((command, outer.clone())),
        None => Err(Error::UnknownMessage(name.into())),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The object inside the payload, if its name fits the outer one (section 7.4).
fn parse_payload(cx: &Context, jws: &jws::Unverified, command: Command) -> Result<Json, Error> {
    let text = jws.payload_unverified();
    let json = cx.parse(text, text.len())?;
    let (inner, members) = only_member(&json)?;
    if inner != command.tbs_request() {
        return Err(Error::NameMismatch { outer: command.request(), inner: inner.into() });
    }
    Ok(members.clone())
}

/// A request whose signature holds. Its members are not read yet, so that an error about them can be answered.
#[derive(Clone, Debug)]
pub struct AuthenticRequest {
    command: Command,
    payload: Vec<u8>,
    rid: Option<MessageId>,
    tid: Option<MessageId>,
    cx: Context,
}

impl AuthenticRequest {
    /// What is asked.
    pub fn command(&self) -> Command {
        self.command
    }

    /// The rid to repeat in the answer, if the request has one that can be repeated.
    pub fn rid(&self) -> Option<&MessageId> {
        self.rid.as_ref()
    }

    /// The tid to repeat in the answer.
    pub fn tid(&self) -> Option<&MessageId> {
        self.tid.as_ref()
    }

    /// Reads the clear members: every one that the draft does not mark optional, and no other.
    pub fn read(self) -> Result<Request, Error> {
        let Self { command, payload, mut cx, .. } = self;
        let json = cx.parse(&payload, payload.len())?;
        let (_, members) = only_member(&json)?;
        if command == Command::GetDeviceState {
            let request = GetDeviceState::read(&mut cx, members)?;
            return Ok(Request::GetDeviceState { request, tolerances: cx.tolerances });
        }
        let mut object = Object::of(&mut cx, members, "")?;
        object.required("ver", version)?;
        let common = Common {
            rid: object.required("rid", id)?,
            tid: object.required("tid", id)?,
            tee: object.required("tee", name)?,
            nextdsi: object.required("nextdsi", boolean)?,
            dsihash: object.required("dsihash", hash)?,
        };
        let ocspdat = object.optional("ocspdat", list(bytes))?;
        let content = object.required("content", read_jwe)?;
        let encrypted_ta = match command.carries_ta() {
            true => Some(EncryptedTa::read(&mut object, command)?),
            false => None,
        };
        let ta = encrypted_ta.as_ref().map_or(0, EncryptedTa::text_length);
        if payload.len().saturating_sub(ta) > object.cx.limits.message {
            return Err(Error::TooLarge(object.cx.limits.message));
        }
        object.end()?;
        Ok(Request::Sealed(Box::new(SealedRequest { command, common, ocspdat, encrypted_ta, content, cx })))
    }
}

/// A request whose clear members are read.
#[derive(Clone, Debug)]
pub enum Request {
    /// Nothing of it is encrypted.
    GetDeviceState {
        /// The request.
        request: GetDeviceState,
        /// What was tolerated in it.
        tolerances: Vec<Tolerance>,
    },
    /// The content is encrypted.
    Sealed(Box<SealedRequest>),
}

/// A request of one of the commands for SDs and TAs, its content still encrypted.
#[derive(Clone, Debug)]
pub struct SealedRequest {
    command: Command,
    common: Common,
    ocspdat: Option<Vec<Vec<u8>>>,
    encrypted_ta: Option<EncryptedTa>,
    content: jwe::Jwe,
    cx: Context,
}

impl SealedRequest {
    /// What is asked.
    pub fn command(&self) -> Command {
        self.command
    }

    /// The clear members.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// OCSP responses, which the draft asks for here without giving them a member.
    pub fn ocspdat(&self) -> Option<&[Vec<u8>]> {
        self.ocspdat.as_deref()
    }

    /// The TA, encrypted to the AIK: always there with InstallTA and UpdateTA.
    pub fn encrypted_ta(&self) -> Option<&EncryptedTa> {
        self.encrypted_ta.as_ref()
    }

    /// What was tolerated so far.
    pub fn tolerances(&self) -> &[Tolerance] {
        &self.cx.tolerances
    }

    /// Decrypts and reads the content.
    pub fn open(&mut self, key: jwe::DecryptionKey<'_>, provider: &Provider) -> Result<Content, Error> {
        let plaintext = self.content.decrypt(key, provider)?;
        let json = self.cx.parse(plaintext.expose(), self.cx.limits.message)?;
        Content::read(&mut self.cx, self.command, &json)
    }
}
