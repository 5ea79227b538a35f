//! The commands of TPM 2.0 Library Part 3 that a root of trust needs, in their simplest use: one object or index that is
//! authorized, SHA-256, P-256, the owner's hierarchy with an empty authorization value.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use tamarack_crypto::{Provider, PublicKey, Secret};

use crate::session::{Kind, Session, attribute};
use crate::transport::{Bus, HEADER, LARGEST, Transport, size};
use crate::wire::{Reader, Writer};
use crate::{Error, Pcrs};

/// Command codes (Part 2, section 6.5.2).
pub(crate) mod cc {
    pub const NV_UNDEFINE_SPACE: u32 = 0x122;
    pub const NV_DEFINE_SPACE: u32 = 0x12a;
    pub const CREATE_PRIMARY: u32 = 0x131;
    pub const NV_INCREMENT: u32 = 0x134;
    pub const PCR_RESET: u32 = 0x13d;
    pub const SEQUENCE_COMPLETE: u32 = 0x13e;
    pub const NV_READ: u32 = 0x14e;
    pub const CREATE: u32 = 0x153;
    pub const LOAD: u32 = 0x157;
    pub const QUOTE: u32 = 0x158;
    pub const SEQUENCE_UPDATE: u32 = 0x15c;
    pub const SIGN: u32 = 0x15d;
    pub const UNSEAL: u32 = 0x15e;
    pub const CONTEXT_LOAD: u32 = 0x161;
    pub const CONTEXT_SAVE: u32 = 0x162;
    pub const FLUSH_CONTEXT: u32 = 0x165;
    pub const NV_READ_PUBLIC: u32 = 0x169;
    pub const START_AUTH_SESSION: u32 = 0x176;
    pub const GET_CAPABILITY: u32 = 0x17a;
    pub const PCR_READ: u32 = 0x17e;
    pub const POLICY_PCR: u32 = 0x17f;
    pub const PCR_EXTEND: u32 = 0x182;
    pub const HASH_SEQUENCE_START: u32 = 0x186;
}

const RH_OWNER: u32 = 0x4000_0001;
const RS_PASSWORD: u32 = 0x4000_0009;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
const ECDSA: u16 = 0x0018;
const ECC: u16 = 0x0023;
const KEYEDHASH: u16 = 0x0008;
const AES: u16 = 0x0006;
const CFB: u16 = 0x0043;
const P256: u16 = 0x0003;
/// Most bytes in one TPM2B_MAX_BUFFER.
const BLOCK: usize = 1024;

/// TPMA_OBJECT (Part 2, section 8.3).
mod object {
    pub const FIXED: u32 = 1 << 1 | 1 << 4;
    pub const ORIGIN: u32 = 1 << 5;
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    pub const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub const NO_DA: u32 = 1 << 10;
    pub const RESTRICTED: u32 = 1 << 16;
    pub const DECRYPT: u32 = 1 << 17;
    pub const SIGN: u32 = 1 << 18;
}

/// TPMA_NV of our counters (Part 2, section 13.4): TPM_NT_COUNTER, written and read with the index' own authorization, no
/// lockout; then the bit that the TPM adds at the first increment.
const NV_COUNTER: u32 = 1 << 2 | 1 << 4 | 1 << 18 | 1 << 25;
const NV_WRITTEN: u32 = 1 << 29;
/// Where the owner's indices begin and how many of them we choose from (TCG registry of reserved handles).
const NV_FIRST: u32 = 0x0180_5400;
const NV_CHOICE: u32 = 0x0100;

/// A key that is loaded.
#[derive(Debug)]
pub(crate) struct Key {
    pub handle: u32,
    pub public: PublicKey,
    name: Vec<u8>,
}

impl Key {
    /// The same key, loaded elsewhere.
    pub fn at(self, handle: u32) -> Self {
        Self { handle, ..self }
    }
}

/// The two halves of an object outside the TPM, and of no use without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub private: Vec<u8>,
    pub public: Vec<u8>,
}

/// What TPM2_Quote gives.
#[derive(Clone, Debug)]
pub(crate) struct Quoted {
    pub attest: Vec<u8>,
    pub signature: [u8; 64],
}

/// An open TPM.
pub struct Tpm {
    /// None when it failed: what comes late over it would pass for the answer to something else.
    bus: Option<Box<dyn Bus + Send>>,
    pub(crate) provider: Provider,
}

impl std::fmt::Debug for Tpm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tpm")
    }
}

/// How a command is authorized.
enum Auth<'a> {
    /// An empty password.
    Empty,
    /// A session, with what it does besides and the authorization value of what it is used for.
    Session(&'a mut Session, u8, &'a [u8]),
}

/// One command: name and code, handles with their names, the parameters.
struct Call {
    name: &'static str,
    code: u32,
    handles: Vec<u32>,
    names: Vec<u8>,
    params: Vec<u8>,
}

impl Call {
    /// A command about things whose name is their handle: hierarchies, PCRs, sessions.
    fn new(name: &'static str, code: u32, handles: &[u32], params: Writer) -> Self {
        let names = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
        Self { name, code, handles: handles.to_vec(), names, params: params.done() }
    }

    fn named(self, names: &[&[u8]]) -> Self {
        Self { names: names.concat(), ..self }
    }
}

impl Tpm {
    /// Takes an open descriptor (see [`crate::Address::open`]). Whatever an earlier user without a resource manager left in
    /// the TPM is flushed: it has three places for objects and three for sessions.
    pub fn open(descriptor: std::os::fd::OwnedFd, provider: Provider) -> Result<Self, Error> {
        Self::over(Transport::new(descriptor), provider)
    }

    /// The same over any way to a TPM.
    pub fn over(bus: impl Bus + Send + 'static, provider: Provider) -> Result<Self, Error> {
        let mut tpm = Self { bus: Some(Box::new(bus)), provider };
        // Transient objects; loaded sessions are told under the number of HMAC sessions.
        for first in [0x8000_0000, 0x0200_0000] {
            for handle in tpm.handles(first)? {
                tpm.flush(handle)?;
            }
        }
        Ok(tpm)
    }

    fn transmit(&mut self, name: &'static str, command: &[u8]) -> Result<Vec<u8>, Error> {
        for _ in 0..200 {
            let mut bus = self.bus.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            let response = bus.transmit(command)?;
            self.bus = Some(bus);
            if !(HEADER..=LARGEST).contains(&response.len()) || size(&response) != response.len() {
                return Err(Error::Response(name));
            }
            match Reader::new(&response[6..], name).u32()? {
                // Where a command has sessions, so has what answers it.
                0 if response[..2] == command[..2] => return Ok(response),
                0 => return Err(Error::Response(name)),
                // TPM_RC_YIELDED, _TESTING, _NV_RATE, _RETRY: the same command again, later.
                0x908 | 0x90a | 0x920 | 0x922 => sleep(Duration::from_millis(20)),
                code => return Err(Error::Refused(name, code)),
            }
        }
        Err(Error::Refused(name, 0x922))
    }

    /// A command without authorization; gives everything behind the response's header.
    pub(crate) fn plain(&mut self, name: &'static str, code: u32, rest: &[u8]) -> Result<Vec<u8>, Error> {
        let header = Writer::default().u16(0x8001).u32(10 + rest.len() as u32).u32(code);
        self.transmit(name, &header.raw(rest).done()).map(|response| response[10..].to_vec())
    }

    /// A command with authorization; gives handle, if there is one in the response, and parameters.
    fn run(&mut self, call: Call, auth: Auth<'_>, returns_handle: bool) -> Result<(u32, Vec<u8>), Error> {
        let Call { name, code, handles, names, mut params } = call;
        let provider = self.provider;
        let mut auth = auth;
        let area = match &mut auth {
            Auth::Empty => {
                Writer::default().u32(RS_PASSWORD).sized(&[]).u8(attribute::CONTINUE).sized(&[]).done()
            }
            Auth::Session(session, attributes, value) => {
                session.authorize(&provider, (code, &names, &mut params), *attributes, value)?
            }
        };
        let body = handles.iter().fold(Writer::default(), |w, handle| w.u32(*handle));
        let body = body.u32(area.len() as u32).raw(&area).raw(&params).done();
        if 10 + body.len() > LARGEST {
            return Err(Error::Response(name));
        }
        let header = Writer::default().u16(0x8002).u32(10 + body.len() as u32).u32(code);
        let response = self.transmit(name, &header.raw(&body).done())?;
        let mut r = Reader::new(&response[10..], name);
        let handle = if returns_handle { r.u32()? } else { 0 };
        let size = r.u32()? as usize;
        let mut params = r.take(size)?.to_vec();
        if let Auth::Session(session, _, value) = auth {
            session.accept(&provider, (name, code, &mut params), r.bytes, value)?;
        }
        Ok((handle, params))
    }

    /// Handles in use from `first` on within its range: TPM2_GetCapability.
    fn handles(&mut self, first: u32) -> Result<Vec<u32>, Error> {
        const NAME: &str = "TPM2_GetCapability";
        let params = Writer::default().u32(1).u32(first).u32(254).done();
        let response = self.plain(NAME, cc::GET_CAPABILITY, &params)?;
        let mut r = Reader::new(&response, NAME);
        let (_more, _capability, count) = (r.u8()?, r.u32()?, r.u32()?);
        (0..count).map(|_| r.u32()).collect()
    }

    /// TPM2_FlushContext.
    pub(crate) fn flush(&mut self, handle: u32) -> Result<(), Error> {
        self.plain("TPM2_FlushContext", cc::FLUSH_CONTEXT, &handle.to_be_bytes()).map(drop)
    }

    /// Uses something that is loaded, and flushes it whatever comes of it.
    pub(crate) fn flushing<T>(
        &mut self,
        handle: u32,
        body: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = body(self);
        let flushed = self.flush(handle);
        result.and_then(|value| flushed.map(|()| value))
    }

    /// TPM2_ContextSave: what [`Tpm::take_out`] takes, until the TPM's next reset. The object stays loaded; if it cannot be
    /// saved, it is flushed.
    pub(crate) fn save(&mut self, handle: u32) -> Result<Vec<u8>, Error> {
        self.plain("TPM2_ContextSave", cc::CONTEXT_SAVE, &handle.to_be_bytes())
            .or_else(|error| self.flush(handle).and(Err(error)))
    }

    /// TPM2_ContextLoad; gives the handle.
    pub(crate) fn take_out(&mut self, context: &[u8]) -> Result<u32, Error> {
        let response = self.plain("TPM2_ContextLoad", cc::CONTEXT_LOAD, context)?;
        Reader::new(&response, "TPM2_ContextLoad").u32()
    }

    /// A primary key of the owner's hierarchy. The TPM derives it from its seed and this template, so that it is the same
    /// each time and nothing is kept.
    fn primary(&mut self, attributes: u32, algorithms: &[u16], unique: &[u8]) -> Result<Key, Error> {
        const NAME: &str = "TPM2_CreatePrimary";
        let public = Writer::default()
            .u16(ECC)
            .u16(SHA256)
            .u32(attributes | object::FIXED | object::ORIGIN | object::USER_WITH_AUTH | object::NO_DA)
            .sized(&[]);
        let public = algorithms.iter().fold(public, |w, algorithm| w.u16(*algorithm));
        let public = public.sized(unique).sized(&[]).done();
        let sensitive = Writer::default().sized(&[]).sized(&[]).done();
        let params = Writer::default().sized(&sensitive).sized(&public).sized(&[]).u32(0);
        let call = Call::new(NAME, cc::CREATE_PRIMARY, &[RH_OWNER], params);
        let (handle, response) = self.run(call, Auth::Empty, true)?;
        let read = || {
            let mut r = Reader::new(&response, NAME);
            let public = point(r.sized()?, algorithms.len())?;
            let (_creation, _hash, _tag, _hierarchy, _ticket) =
                (r.sized()?, r.sized()?, r.u16()?, r.u32()?, r.sized()?);
            Ok((public, r.sized()?.to_vec()))
        };
        match read() {
            Ok((public, name)) => Ok(Key { handle, public, name }),
            Err(error) => self.flush(handle).and(Err(error)),
        }
    }

    /// The storage key: P-256, restricted, decrypting, with AES-128 CFB for what is below it.
    pub(crate) fn storage_key(&mut self) -> Result<Key, Error> {
        self.primary(object::RESTRICTED | object::DECRYPT, &[AES, 128, CFB, NULL, P256, NULL], &[])
    }

    /// An attestation key: P-256, restricted, signing with ECDSA and SHA-256; another one for each `unique`.
    pub(crate) fn attestation_key(&mut self, unique: &[u8; 32]) -> Result<Key, Error> {
        self.primary(object::RESTRICTED | object::SIGN, &[NULL, ECDSA, SHA256, P256, NULL], unique)
    }

    /// TPM2_Create: seals `data` below the storage key, to be unsealed under `policy` only. It crosses the bus encrypted.
    pub(crate) fn seal(&mut self, parent: &Key, data: &[u8], policy: &[u8; 32]) -> Result<Blob, Error> {
        const NAME: &str = "TPM2_Create";
        let mut session = Session::start(self, Kind::Hmac, Some(parent))?;
        let data = Secret::new(data.to_vec());
        let sensitive = Secret::new(Writer::default().sized(&[]).sized(data.expose()).done());
        let public = Writer::default()
            .u16(KEYEDHASH)
            .u16(SHA256)
            .u32(object::FIXED | object::ADMIN_WITH_POLICY | object::NO_DA)
            .sized(policy)
            .u16(NULL)
            .sized(&[])
            .done();
        let params = Writer::default().sized(sensitive.expose()).sized(&public).sized(&[]).u32(0);
        let call = Call::new(NAME, cc::CREATE, &[parent.handle], params).named(&[&parent.name]);
        let (_, response) = self.closing(&mut session, |tpm, session| {
            tpm.run(call, Auth::Session(session, attribute::DECRYPT, &[]), false)
        })?;
        let mut r = Reader::new(&response, NAME);
        Ok(Blob { private: r.sized()?.to_vec(), public: r.sized()?.to_vec() })
    }

    /// Runs a command that ends the session; if it failed, the session is flushed.
    fn closing<T>(
        &mut self,
        session: &mut Session,
        body: impl FnOnce(&mut Self, &mut Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = body(self, session);
        if matches!(result, Err(Error::Refused(..))) {
            // What stays in the TPM after this would only be in its own way.
            let _ = self.flush(session.handle);
        }
        result
    }

    /// TPM2_Load, TPM2_PolicyPCR, TPM2_Unseal: gives what was sealed if the PCRs are as they were. It crosses the bus encrypted.
    pub(crate) fn unseal(&mut self, parent: &Key, blob: &Blob, pcrs: Pcrs) -> Result<Secret<Vec<u8>>, Error> {
        let params = Writer::default().sized(&blob.private).sized(&blob.public);
        let call = Call::new("TPM2_Load", cc::LOAD, &[parent.handle], params).named(&[&parent.name]);
        let (handle, response) = self.run(call, Auth::Empty, true)?;
        let name = Reader::new(&response, "TPM2_Load").sized().map(<[u8]>::to_vec);
        self.flushing(handle, |tpm| {
            let name = name?;
            let mut session = Session::start(tpm, Kind::Policy, Some(parent))?;
            tpm.closing(&mut session, |tpm, session| {
                let policy = Writer::default().u32(session.handle).sized(&[]).raw(&pcrs.selection());
                tpm.plain("TPM2_PolicyPCR", cc::POLICY_PCR, &policy.done())?;
                let call = Call::new("TPM2_Unseal", cc::UNSEAL, &[handle], Writer::default());
                let auth = Auth::Session(session, attribute::ENCRYPT, &[]);
                let (_, response) = tpm.run(call.named(&[&name]), auth, false)?;
                let response = Secret::new(response);
                let data = Reader::new(response.expose(), "TPM2_Unseal").sized()?;
                Ok(Secret::new(data.to_vec()))
            })
        })
    }

    /// TPM2_PCR_Read: the values, ascending.
    pub fn pcr_values(&mut self, pcrs: Pcrs) -> Result<Vec<(u8, [u8; 32])>, Error> {
        const NAME: &str = "TPM2_PCR_Read";
        let mut values: Vec<(u8, [u8; 32])> = Vec::new();
        let numbers: Vec<u8> = pcrs.numbers().collect();
        // One response holds eight.
        for some in numbers.chunks(8) {
            let selection = some.iter().fold(0, |bits, number| bits | 1 << number);
            let selection = Pcrs::from_bits(selection).ok_or(Error::Response(NAME))?.selection();
            let response = self.plain(NAME, cc::PCR_READ, &selection)?;
            let mut r = Reader::new(&response, NAME);
            let _update_counter = r.u32()?;
            if r.take(selection.len())? != selection || r.u32()? as usize != some.len() {
                return Err(Error::Response(NAME));
            }
            for number in some {
                let value = r.sized()?.try_into().map_err(|_| Error::Response(NAME))?;
                values.push((*number, value));
            }
        }
        Ok(values)
    }

    /// TPM2_PCR_Extend in the SHA-256 bank.
    pub fn pcr_extend(&mut self, number: u8, digest: &[u8; 32]) -> Result<(), Error> {
        let params = Writer::default().u32(1).u16(SHA256).raw(digest);
        let handles = [u32::from(number)];
        let call = Call::new("TPM2_PCR_Extend", cc::PCR_EXTEND, &handles, params);
        self.run(call, Auth::Empty, false).map(drop)
    }

    /// TPM2_PCR_Reset; software may do it to PCR 16 and 23 only.
    pub fn pcr_reset(&mut self, number: u8) -> Result<(), Error> {
        let handles = [u32::from(number)];
        let call = Call::new("TPM2_PCR_Reset", cc::PCR_RESET, &handles, Writer::default());
        self.run(call, Auth::Empty, false).map(drop)
    }

    /// Signs a message with a restricted key. The TPM hashes it itself, so that it sees that the message does not pass for
    /// something that a TPM says: TPM2_HashSequenceStart and following, TPM2_Sign. To see that, it wants four bytes at least.
    pub(crate) fn sign(&mut self, key: &Key, message: &[u8]) -> Result<[u8; 64], Error> {
        const NAME: &str = "TPM2_SequenceComplete";
        let params = Writer::default().sized(&[]).u16(SHA256).done();
        let response = self.plain("TPM2_HashSequenceStart", cc::HASH_SEQUENCE_START, &params)?;
        let sequence = Reader::new(&response, "TPM2_HashSequenceStart").u32()?;
        let handles = [sequence];
        // All but the last block, which is never empty.
        let last = message.len().saturating_sub(1) / BLOCK * BLOCK;
        for block in message[..last].chunks(BLOCK) {
            let params = Writer::default().sized(block);
            let call = Call::new("TPM2_SequenceUpdate", cc::SEQUENCE_UPDATE, &handles, params);
            if let Err(error) = self.run(call, Auth::Empty, false) {
                return self.flush(sequence).and(Err(error));
            }
        }
        let params = Writer::default().sized(&message[last..]).u32(RH_OWNER);
        let call = Call::new(NAME, cc::SEQUENCE_COMPLETE, &handles, params);
        let (_, response) = match self.run(call, Auth::Empty, false) {
            Ok(response) => response,
            Err(error) => return self.flush(sequence).and(Err(error)),
        };
        let mut r = Reader::new(&response, NAME);
        let digest = r.sized()?;
        // TPMT_TK_HASHCHECK follows as it is to be given back.
        let params = Writer::default().sized(digest).u16(NULL).raw(r.bytes);
        let call = Call::new("TPM2_Sign", cc::SIGN, &[key.handle], params).named(&[&key.name]);
        let (_, response) = self.run(call, Auth::Empty, false)?;
        signature(&mut Reader::new(&response, "TPM2_Sign"))
    }

    /// TPM2_Quote.
    pub(crate) fn quote(&mut self, key: &Key, qualifying: &[u8; 32], pcrs: Pcrs) -> Result<Quoted, Error> {
        const NAME: &str = "TPM2_Quote";
        let params = Writer::default().sized(qualifying).u16(NULL).raw(&pcrs.selection());
        let call = Call::new(NAME, cc::QUOTE, &[key.handle], params).named(&[&key.name]);
        let (_, response) = self.run(call, Auth::Empty, false)?;
        let mut r = Reader::new(&response, NAME);
        let attest = r.sized()?.to_vec();
        Ok(Quoted { attest, signature: signature(&mut r)? })
    }

    /// An index for a counter that is not in use.
    pub(crate) fn free_index(&mut self) -> Result<u32, Error> {
        let taken = self.handles(NV_FIRST)?;
        let mut random = [0; 4];
        self.provider.random.fill(&mut random)?;
        let offset = u32::from_be_bytes(random) % NV_CHOICE;
        let mut free = (0..NV_CHOICE).map(|i| NV_FIRST + (offset + i) % NV_CHOICE);
        free.find(|index| !taken.contains(index)).ok_or(Error::Refused("TPM2_NV_DefineSpace", 0x14b))
    }

    /// TPM2_NV_DefineSpace of a counter. A new one begins above all that this TPM ever had, so that none comes back.
    pub(crate) fn define_counter(&mut self, parent: &Key, index: u32, auth: &[u8; 32]) -> Result<(), Error> {
        let public = nv_public(index, NV_COUNTER);
        let params = Writer::default().sized(auth).sized(&public);
        let call = Call::new("TPM2_NV_DefineSpace", cc::NV_DEFINE_SPACE, &[RH_OWNER], params);
        let mut session = Session::start(self, Kind::Hmac, Some(parent))?;
        self.closing(&mut session, |tpm, session| {
            tpm.run(call, Auth::Session(session, attribute::DECRYPT, &[]), false)
        })?;
        self.nv_command(("TPM2_NV_Increment", cc::NV_INCREMENT), index, false, auth, Writer::default())
            .map(drop)
    }

    /// TPM2_NV_UndefineSpace, by the owner.
    pub(crate) fn undefine_counter(&mut self, index: u32) -> Result<(), Error> {
        let name = self.nv_name(index)?;
        let handles = [RH_OWNER, index];
        let call = Call::new("TPM2_NV_UndefineSpace", cc::NV_UNDEFINE_SPACE, &handles, Writer::default());
        self.run(call.named(&[&RH_OWNER.to_be_bytes(), &name]), Auth::Empty, false).map(drop)
    }

    fn nv_name(&mut self, index: u32) -> Result<Vec<u8>, Error> {
        const NAME: &str = "TPM2_NV_ReadPublic";
        let response = self.plain(NAME, cc::NV_READ_PUBLIC, &index.to_be_bytes())?;
        let mut r = Reader::new(&response, NAME);
        let _public = r.sized()?;
        Ok(r.sized()?.to_vec())
    }

    /// TPM2_NV_Increment.
    pub(crate) fn increment(&mut self, index: u32, auth: &[u8; 32]) -> Result<(), Error> {
        self.nv_command(("TPM2_NV_Increment", cc::NV_INCREMENT), index, true, auth, Writer::default())
            .map(drop)
    }

    /// TPM2_NV_Read of a counter. Only who knows `auth` could have answered.
    pub(crate) fn read_counter(&mut self, index: u32, auth: &[u8; 32]) -> Result<u64, Error> {
        const NAME: &str = "TPM2_NV_Read";
        let params = Writer::default().u16(8).u16(0);
        let response = self.nv_command((NAME, cc::NV_READ), index, true, auth, params)?;
        let value = Reader::new(&response, NAME).sized()?;
        Ok(u64::from_be_bytes(value.try_into().map_err(|_| Error::Response(NAME))?))
    }

    /// A command on an index, with an HMAC that is keyed by its authorization value; the name says what the index must be.
    fn nv_command(
        &mut self,
        (name, code): (&'static str, u32),
        index: u32,
        written: bool,
        auth: &[u8; 32],
        params: Writer,
    ) -> Result<Vec<u8>, Error> {
        let attributes = if written { NV_COUNTER | NV_WRITTEN } else { NV_COUNTER };
        let hash = self.provider.sha256(&nv_public(index, attributes));
        let object = [&SHA256.to_be_bytes()[..], &hash].concat();
        let handles = [index, index];
        let call = Call::new(name, code, &handles, params).named(&[&object, &object]);
        let mut session = Session::start(self, Kind::Hmac, None)?;
        let (_, response) =
            self.closing(&mut session, |tpm, session| tpm.run(call, Auth::Session(session, 0, auth), false))?;
        Ok(response)
    }
}

/// TPMS_NV_PUBLIC of a counter.
fn nv_public(index: u32, attributes: u32) -> Vec<u8> {
    Writer::default().u32(index).u16(SHA256).u32(attributes).sized(&[]).u16(8).done()
}

/// The point of a TPMT_PUBLIC for an ECC key with this many words of algorithms.
fn point(public: &[u8], algorithms: usize) -> Result<PublicKey, Error> {
    const NAME: &str = "TPM2_CreatePrimary";
    let mut r = Reader::new(public, NAME);
    r.take(2 + 2 + 4)?;
    let _policy = r.sized()?;
    r.take(2 * algorithms)?;
    let (x, y) = (coordinate(r.sized()?), coordinate(r.sized()?));
    match (x, y) {
        (Some(x), Some(y)) if r.bytes.is_empty() => Ok(PublicKey::P256 { x, y }),
        _ => Err(Error::Response(NAME)),
    }
}

/// A TPMT_SIGNATURE of ECDSA with SHA-256 as `r || s`.
fn signature(r: &mut Reader<'_>) -> Result<[u8; 64], Error> {
    let wrong = Error::Response(r.command);
    if (r.u16()?, r.u16()?) != (ECDSA, SHA256) {
        return Err(wrong);
    }
    let (Some(a), Some(b)) = (coordinate(r.sized()?), coordinate(r.sized()?)) else { return Err(wrong) };
    let mut raw = [0; 64];
    raw[..32].copy_from_slice(&a);
    raw[32..].copy_from_slice(&b);
    Ok(raw)
}

/// A number of at most 32 bytes; TPMs may leave out leading zeros.
fn coordinate(bytes: &[u8]) -> Option<[u8; 32]> {
    let mut full = [0; 32];
    full.get_mut(32_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(full)
}
