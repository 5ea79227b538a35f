//! Requests: what a TAM asks, and how a TEE comes to know it.
//!
//! A TEE goes from [`SignedRequest::parse`] by [`SignedRequest::verify`] and [`AuthenticRequest::read`] to
//! [`SealedRequest::open`]; a TAM writes with [`GetDeviceState::sign`] and [`seal`].

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Provider, SignatureAlgorithm};
use tamarack_jose::json::{self, Json};

use crate::member::{
    Context, Object, Writer, base64_list, base64_of, boolean, bytes, hash, hex_hash, hex_of, id, list, name,
    only_member, string, strings, version,
};
use crate::seal::read_jwe;
use crate::ta_package::EncryptedTa;
use crate::{Command, Error, Limits, MessageId, Mode, Sealing, Tolerance};
use tamarack_jose::{base64, jwe, jws};

/// What every request but GetDeviceState has in the clear, for routing and ordering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Id of this request.
    pub rid: MessageId,
    /// Id of the transaction.
    pub tid: MessageId,
    /// `tee.name` of the DSI: which TEE is meant.
    pub tee: String,
    /// Whether the response shall hold a DSI.
    pub nextdsi: bool,
    /// Hash of the last DSI told.
    pub dsihash: [u8; 32],
}

/// GetDeviceStateTBSRequest (section 9.1.1): signed, and not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetDeviceState {
    /// Id of this request.
    pub rid: MessageId,
    /// Id of the transaction, and the firmware's challenge: fresh and random.
    pub tid: MessageId,
    /// OCSP responses, DER, for the TAM's certificate and each CA below the root.
    pub ocspdat: Vec<Vec<u8>>,
    /// The JWS algorithms that the TAM can verify; none: those that the draft makes mandatory.
    pub supportedsigalgs: Option<Vec<String>>,
}

/// CreateSD (section 9.2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSd {
    /// The SP, in the TAM's words.
    pub spid: String,
    /// Name of the SD to be made.
    pub sdname: String,
    /// The SP's certificate, DER.
    pub spcert: Vec<u8>,
    /// Who the TAM says it is; must be what its certificate says.
    pub tamid: String,
    /// SHA-256 of the TEE's certificate.
    pub did: [u8; 32],
}

/// UpdateSD (section 9.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSd {
    /// Who the TAM says it is.
    pub tamid: String,
    /// The SP of the SD as it is now; none only in compat mode.
    pub spid: Option<String>,
    /// Name of the SD as it is now.
    pub sdname: String,
    /// What to change, all or nothing.
    pub changes: Changes,
}

/// The object `changes` of UpdateSD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New name of the SD.
    pub newsdname: Option<String>,
    /// New SP of the SD.
    pub newspid: Option<String>,
    /// SP certificates to add, DER.
    pub spcert: Vec<Vec<u8>>,
    /// SHA-256 of the SP certificates to remove.
    pub deloldspcert: Vec<[u8; 32]>,
    /// Whether to make new AIKs for the SP.
    pub renewteespaik: bool,
}

/// DeleteSD (section 9.2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSd {
    /// Who the TAM says it is.
    pub tamid: String,
    /// Name of the SD.
    pub sdname: String,
    /// Whether to delete the TAs in it first; otherwise it must be empty.
    pub deleteta: bool,
}

/// InstallTA (section 9.3.1.1), without the TA: that is [`SealedRequest::encrypted_ta`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallTa {
    /// Who the TAM says it is.
    pub tamid: String,
    /// The SP of the SD.
    pub spid: String,
    /// Name of the SD.
    pub sdname: String,
    /// An SP certificate to add to the SD, DER.
    pub spcert: Option<Vec<u8>>,
    /// The TA.
    pub taid: String,
}

/// UpdateTA (section 9.3.2.1): the same members as [`InstallTa`].
pub type UpdateTa = InstallTa;

/// DeleteTA (section 9.3.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTa {
    /// Who the TAM says it is.
    pub tamid: String,
    /// Name of the SD.
    pub sdname: String,
    /// The TA.
    pub taid: String,
}

/// The plaintext of `content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Of a CreateSDRequest.
    CreateSd(CreateSd),
    /// Of an UpdateSDRequest.
    UpdateSd(UpdateSd),
    /// Of a DeleteSDRequest.
    DeleteSd(DeleteSd),
    /// Of an InstallTARequest.
    InstallTa(InstallTa),
    /// Of an UpdateTARequest.
    UpdateTa(UpdateTa),
    /// Of a DeleteTARequest.
    DeleteTa(DeleteTa),
}

impl Content {
    /// The command that it belongs to.
    pub fn command(&self) -> Command {
        match self {
            Self::CreateSd(_) => Command::CreateSd,
            Self::UpdateSd(_) => Command::UpdateSd,
            Self::DeleteSd(_) => Command::DeleteSd,
            Self::InstallTa(_) => Command::InstallTa,
            Self::UpdateTa(_) => Command::UpdateTa,
            Self::DeleteTa(_) => Command::DeleteTa,
        }
    }

    /// Who the TAM says it is.
    pub fn tamid(&self) -> &str {
        match self {
            Self::CreateSd(content) => &content.tamid,
            Self::UpdateSd(content) => &content.tamid,
            Self::DeleteSd(content) => &content.tamid,
            Self::InstallTa(content) | Self::UpdateTa(content) => &content.tamid,
            Self::DeleteTa(content) => &content.tamid,
        }
    }

    /// Name of the SD that is meant.
    pub fn sdname(&self) -> &str {
        match self {
            Self::CreateSd(content) => &content.sdname,
            Self::UpdateSd(content) => &content.sdname,
            Self::DeleteSd(content) => &content.sdname,
            Self::InstallTa(content) | Self::UpdateTa(content) => &content.sdname,
            Self::DeleteTa(content) => &content.sdname,
        }
    }

    /// The octets to encrypt.
    pub(crate) fn to_octets(&self) -> Vec<u8> {
        json::to_vec(&self.to_json())
    }

    fn to_json(&self) -> Json {
        match self {
            Self::CreateSd(content) => Writer::new()
                .member("spid", string(&content.spid))
                .member("sdname", string(&content.sdname))
                .member("spcert", base64_of(&content.spcert))
                .member("tamid", string(&content.tamid))
                .member("did", base64_of(content.did))
                .build(),
            Self::UpdateSd(content) => Writer::new()
                .member("tamid", string(&content.tamid))
                .optional("spid", content.spid.as_deref().map(string))
                .member("sdname", string(&content.sdname))
                .member("changes", content.changes.to_json())
                .build(),
            Self::DeleteSd(content) => Writer::new()
                .member("tamid", string(&content.tamid))
                .member("sdname", string(&content.sdname))
                .member("deleteta", content.deleteta)
                .build(),
            Self::InstallTa(content) | Self::UpdateTa(content) => Writer::new()
                .member("tamid", string(&content.tamid))
                .member("spid", string(&content.spid))
                .member("sdname", string(&content.sdname))
                .optional("spcert", content.spcert.as_ref().map(base64_of))
                .member("taid", string(&content.taid))
                .build(),
            Self::DeleteTa(content) => Writer::new()
                .member("tamid", string(&content.tamid))
                .member("sdname", string(&content.sdname))
                .member("taid", string(&content.taid))
                .build(),
        }
    }

    pub(crate) fn read(cx: &mut Context, command: Command, json: &Json) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, "content")?;
        let content = match command {
            // GetDeviceState has no content; what is read as one has no member that is defined.
            Command::GetDeviceState => return Err(Error::Undefined("content".into())),
            Command::CreateSd => Self::CreateSd(CreateSd {
                spid: object.required("spid", name)?,
                sdname: object.required("sdname", name)?,
                spcert: object.required("spcert", bytes)?,
                tamid: object.required("tamid", name)?,
                did: object.required("did", hash)?,
            }),
            Command::UpdateSd => Self::UpdateSd(UpdateSd {
                tamid: object.required("tamid", name)?,
                spid: match object.optional("spid", name)? {
                    None if object.cx.mode == Mode::Strict => {
                        return Err(Error::Missing("content.spid".into()));
                    }
                    None => {
                        object.cx.note(Tolerance::SpidMissing);
                        None
                    }
                    spid => spid,
                },
                sdname: object.required("sdname", name)?,
                changes: object.required("changes", Changes::read)?,
            }),
            Command::DeleteSd => Self::DeleteSd(DeleteSd {
                tamid: object.required("tamid", name)?,
                sdname: object.required("sdname", name)?,
                // "If it is present and the value is true": absent is false.
                deleteta: object.optional("deleteta", boolean)?.unwrap_or_default(),
            }),
            Command::InstallTa => Self::InstallTa(read_install(&mut object)?),
            Command::UpdateTa => Self::UpdateTa(read_install(&mut object)?),
            Command::DeleteTa => Self::DeleteTa(DeleteTa {
                tamid: object.required("tamid", name)?,
                sdname: object.required("sdname", name)?,
                taid: object.required("taid", name)?,
            }),
        };
        object.end()?;
        Ok(content)
    }
}

fn read_install(object: &mut Object<'_, '_>) -> Result<InstallTa, Error> {
    Ok(InstallTa {
        tamid: object.required("tamid", name)?,
        spid: object.required("spid", name)?,
        sdname: object.required("sdname", name)?,
        spcert: object.optional("spcert", bytes)?,
        taid: object.required("taid", name)?,
    })
}

impl Changes {
    fn to_json(&self) -> Json {
        let old = (!self.deloldspcert.is_empty())
            .then(|| Json::Array(self.deloldspcert.iter().map(|hash| hex_of(hash)).collect()));
        Writer::new()
            .optional("newsdname", self.newsdname.as_deref().map(string))
            .optional("newspid", self.newspid.as_deref().map(string))
            .optional("spcert", (!self.spcert.is_empty()).then(|| base64_list(&self.spcert)))
            .optional("deloldspcert", old)
            .member("renewteespaik", self.renewteespaik)
            .build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let changes = Self {
            newsdname: object.optional("newsdname", name)?,
            newspid: object.optional("newspid", name)?,
            spcert: object.optional("spcert", list(bytes))?.unwrap_or_default(),
            deloldspcert: object.optional("deloldspcert", list(hex_hash))?.unwrap_or_default(),
            // "If it is present and the value is true": absent is false.
            renewteespaik: object.optional("renewteespaik", boolean)?.unwrap_or_default(),
        };
        object.end()?;
        Ok(changes)
    }
}

impl GetDeviceState {
    /// Signs the request.
    pub fn sign(&self, signer: jws::Signer<'_>, headers: &jws::SignHeaders<'_>) -> Result<Vec<u8>, Error> {
        let tbs = Writer::new()
            .member("ver", crate::VERSION)
            .member("rid", self.rid.to_json())
            .member("tid", self.tid.to_json())
            .member("ocspdat", base64_list(&self.ocspdat))
            .optional("supportedsigalgs", self.supportedsigalgs.as_deref().map(strings))
            .build();
        crate::seal::sign_named(
            Command::GetDeviceState.request(),
            Command::GetDeviceState.tbs_request(),
            tbs,
            signer,
            headers,
        )
    }

    fn read(cx: &mut Context, json: &Json) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, "")?;
        object.required("ver", version)?;
        let request = Self {
            rid: object.required("rid", id)?,
            tid: object.required("tid", id)?,
            ocspdat: object.required("ocspdat", list(bytes))?,
            supportedsigalgs: object.optional("supportedsigalgs", list(name))?,
        };
        object.end()?;
        Ok(request)
    }
}

/// Encrypts `content` to the TEE and signs the request around it. `ocspdat` is for a TEE that said `signerreq`;
/// `encrypted_ta` is what InstallTA and UpdateTA need and no other command may have.
pub fn seal(
    common: &Common,
    content: &Content,
    ocspdat: Option<&[Vec<u8>]>,
    encrypted_ta: Option<&EncryptedTa>,
    sealing: &Sealing<'_>,
) -> Result<Vec<u8>, Error> {
    let command = content.command();
    if command.carries_ta() != encrypted_ta.is_some() {
        return Err(Error::Missing("encrypted_ta".into()));
    }
    let mut tbs = Writer::new()
        .member("ver", crate::VERSION)
        .member("rid", common.rid.to_json())
        .member("tid", common.tid.to_json())
        .member("tee", string(&common.tee))
        .member("nextdsi", common.nextdsi)
        .member("dsihash", string(base64::encode(&common.dsihash)))
        .optional("ocspdat", ocspdat.map(base64_list))
        .member("content", sealing.encrypt(&content.to_octets())?);
    if let Some(package) = encrypted_ta {
        tbs = package.write(command, tbs);
    }
    sealing.sign(command.request(), command.tbs_request(), tbs.build())
}

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
        let cx = Context::new(mode, limits, true);
        let (command, outer) = parse_outer(&cx, message)?;
        let jws = jws::Unverified::parse(&outer, *mode)?;
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
        object.end()?;
        Ok(Request::Sealed(SealedRequest { command, common, ocspdat, encrypted_ta, content, cx }))
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
    Sealed(SealedRequest),
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
