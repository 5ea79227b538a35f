//! Requests: what a TAM asks, and how a TEE comes to know it.
//!
//! A TEE goes from [`SignedRequest::parse`] by [`SignedRequest::verify`] and [`AuthenticRequest::read`] to
//! [`SealedRequest::open`]; a TAM writes with [`GetDeviceState::sign`] and [`seal`].

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_jose::json::{self, Json};
use tamarack_jose::{base64, jws};

use crate::member::{
    Context, Object, Writer, base64_list, base64_of, boolean, bytes, hash, hex_hash, hex_of, id, list, name,
    string, strings, version,
};
use crate::ta_package::EncryptedTa;
use crate::{Command, Error, MessageId, Mode, Sealing, Tolerance};

mod signed;

pub use signed::{AuthenticRequest, Request, SealedRequest, SignedRequest};

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
