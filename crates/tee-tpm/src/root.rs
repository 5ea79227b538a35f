//! [`TpmRoot`]: what a TEE's launcher asks of a TPM.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error as CborError, ErrorKind, Limits};
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey, Secret};
use tamarack_eat::{LAUNCHER_PCR, TpmQuote};
use tamarack_tee::{Error as TeeError, Persona, Quote, RootOfTrust};

use crate::commands::{Blob, Key, Tpm};
use crate::{Error, Pcrs};

/// A TPM as the root of trust, with two files that may be copied freely.
///
/// | where | what |
/// |---|---|
/// | sealed file | the root secret, the number of the counter and where it began, encrypted by the TPM to itself and to the PCRs |
/// | marks file | two slots with what the counter stood for, each under an HMAC of the root secret |
/// | TPM NV | a TPM_NT_COUNTER, whose authorization value is derived from the root secret |
/// | nowhere | the attestation keys, which the TPM derives anew from its seed |
///
/// The secret is sealed to the PCRs of the boot and to the Agent: the launcher measures the Agent, lets the TPM release the
/// secret, then measures the configuration. From then on the PCRs release nothing more, until a launcher resets its own.
///
/// A mark is written first, then the counter is raised: at any time the counter stands for one of the two marks, or for the
/// one before the last, whose raise a power cut prevented.
pub struct TpmRoot {
    tpm: Tpm,
    sealed: File,
    marks: File,
    create: Option<Pcrs>,
    opened: Option<Opened>,
    launcher: Option<[u8; 32]>,
    keys: BTreeMap<Persona, Kept>,
}

/// What the sealed file holds.
struct Opened {
    secret: Secret<[u8; 32]>,
    counter: Counter,
    pcrs: Pcrs,
}

/// The counter in the TPM.
#[derive(Clone, Copy)]
struct Counter {
    index: u32,
    /// Its value when it stood for commit 0.
    base: u64,
}

/// An attestation key outside the TPM, encrypted by it until its next reset.
struct Kept {
    context: Vec<u8>,
    key: Key,
}

impl TpmRoot {
    /// Takes a TPM and the two files, opened for reading and writing. With `create` the sealed file must be empty, and the
    /// first call of [`RootOfTrust::measure`] makes a root secret and seals it to these PCRs and [`LAUNCHER_PCR`].
    pub fn new(tpm: Tpm, sealed: File, marks: File, create: Option<Pcrs>) -> Self {
        Self { tpm, sealed, marks, create, opened: None, launcher: None, keys: BTreeMap::new() }
    }

    fn opened(&mut self) -> Result<&Opened, TeeError> {
        if self.opened.is_none() {
            let mut bytes = Vec::new();
            self.sealed.seek(SeekFrom::Start(0)).map_err(storage)?;
            Read::by_ref(&mut self.sealed).take(8192).read_to_end(&mut bytes).map_err(storage)?;
            let opened = match (self.create, bytes.is_empty()) {
                (Some(pcrs), true) => self.make(pcrs.and(Pcrs::only(LAUNCHER_PCR)))?,
                (_, true) => {
                    return Err(TeeError::Storage("the file with the sealed root secret is empty".into()));
                }
                (_, false) => self.unseal(&bytes)?,
            };
            self.opened = Some(opened);
        }
        // Filled above.
        self.opened.as_ref().ok_or(TeeError::Crypto)
    }

    fn unseal(&mut self, bytes: &[u8]) -> Result<Opened, TeeError> {
        let sealed = Sealed::from_cbor(bytes, &Limits::default())
            .map_err(|e| TeeError::Storage(format!("the file with the sealed root secret: {e}")))?;
        let parent = self.tpm.storage_key().map_err(tee)?;
        let handle = parent.handle;
        let secret = self.tpm.flushing(handle, |tpm| tpm.unseal(&parent, &sealed.blob, sealed.pcrs));
        let secret = secret.map_err(tee)?;
        Opened::read(secret.expose(), sealed.pcrs).ok_or(TeeError::NotAuthentic)
    }

    fn make(&mut self, pcrs: Pcrs) -> Result<Opened, TeeError> {
        let provider = self.tpm.provider;
        let mut secret = Secret::new([0; 32]);
        provider.random.fill(secret.expose_mut()).map_err(|_| TeeError::Crypto)?;
        let auth = derive(&provider, &secret, b"tamarack tpm counter")?;
        let parent = self.tpm.storage_key().map_err(tee)?;
        let counter = self.tpm.flushing(parent.handle, |tpm| {
            let index = tpm.free_index()?;
            tpm.define_counter(&parent, index, auth.expose())?;
            Ok(Counter { index, base: tpm.read_counter(index, auth.expose())? })
        });
        let opened = Opened { secret, counter: counter.map_err(tee)?, pcrs };
        let values = self.tpm.pcr_values(pcrs).map_err(tee)?;
        let written = self.seal(&opened, &values).and_then(|bytes| {
            let write = self.sealed.write_all_at(&bytes, 0).and_then(|()| self.sealed.sync_all());
            write.map_err(storage)
        });
        if let Err(error) = written {
            // Nothing refers to it any more.
            let _ = self.tpm.undefine_counter(opened.counter.index);
            return Err(error);
        }
        Ok(opened)
    }

    /// The content of a sealed file that opens only when the PCRs have these values.
    fn seal(&mut self, opened: &Opened, values: &[(u8, [u8; 32])]) -> Result<Vec<u8>, TeeError> {
        let policy = opened.pcrs.policy(values, &self.tpm.provider);
        let parent = self.tpm.storage_key().map_err(tee)?;
        let content = opened.write();
        let blob = self.tpm.flushing(parent.handle, |tpm| tpm.seal(&parent, content.expose(), &policy));
        Ok(Sealed { pcrs: opened.pcrs, blob: blob.map_err(tee)? }.to_cbor())
    }

    /// Seals the root secret anew, to the PCRs as they are and to the Agent that is to run next time. Gives the content of
    /// the sealed file from then on; the caller puts it in the place of the old one, whose Agent loses its access with that.
    pub fn reseal(&mut self, agent: &[u8; 32]) -> Result<Vec<u8>, TeeError> {
        self.opened()?;
        let opened = self.opened.take().ok_or(TeeError::Crypto)?;
        let next = TpmQuote::measured_agent(agent, &self.tpm.provider);
        let values = self.tpm.pcr_values(opened.pcrs).map_err(tee).map(|values| {
            let changed = |(number, value)| (number, if number == LAUNCHER_PCR { next } else { value });
            values.into_iter().map(changed).collect::<Vec<_>>()
        });
        let sealed = values.and_then(|values| self.seal(&opened, &values));
        self.opened = Some(opened);
        sealed
    }

    /// The value of the counter in commits, and the keys for it and for the marks.
    fn counted(&mut self) -> Result<(Counter, Keys, u64), TeeError> {
        let opened = self.opened()?;
        let counter = opened.counter;
        let secret = Secret::new(*opened.secret.expose());
        let provider = self.tpm.provider;
        let keys = Keys {
            counter: derive(&provider, &secret, b"tamarack tpm counter")?,
            marks: derive(&provider, &secret, b"tamarack tpm marks")?,
        };
        let value = self.tpm.read_counter(counter.index, keys.counter.expose()).map_err(tee)?;
        let commits = value.checked_sub(counter.base).ok_or(TeeError::RolledBack)?;
        Ok((counter, keys, commits))
    }

    /// Raises the counter until it stands for `commit`.
    fn raise(&mut self, counter: Counter, keys: &Keys, from: u64, commit: u64) -> Result<(), TeeError> {
        for _ in from..commit {
            self.tpm.increment(counter.index, keys.counter.expose()).map_err(tee)?;
        }
        Ok(())
    }

    /// The marks that are authentic, by slot.
    fn read_marks(&self, keys: &Keys) -> Result<[Option<Mark>; 2], TeeError> {
        let mut marks = [None, None];
        for (slot, mark) in marks.iter_mut().enumerate() {
            let mut bytes = vec![0; SLOT];
            let mut filled = 0;
            loop {
                match self.marks.read_at(&mut bytes[filled..], STRIDE * slot as u64 + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) => return Err(storage(error)),
                }
            }
            bytes.truncate(filled);
            *mark = Mark::read(&bytes, slot, keys, &self.tpm.provider);
        }
        Ok(marks)
    }

    /// Lends the attestation key of a persona, loaded.
    fn with_key<T>(
        &mut self,
        persona: Persona,
        body: impl FnOnce(&mut Tpm, &Key) -> Result<T, Error>,
    ) -> Result<T, TeeError> {
        let mut kept = self.keys.remove(&persona);
        // A context is of no use after a reset of the TPM; the template always is.
        let loaded = kept.as_ref().and_then(|kept| self.tpm.take_out(&kept.context).ok());
        if loaded.is_none() {
            kept = None;
        }
        let (handle, kept) = match (loaded, kept) {
            (Some(handle), Some(kept)) => (handle, Kept { key: kept.key.at(handle), ..kept }),
            _ => {
                let provider = self.tpm.provider;
                let unique = provider.sha256_parts(&[b"Tamarack attestation key", &persona.0.to_be_bytes()]);
                let key = self.tpm.attestation_key(&unique).map_err(tee)?;
                let context = self.tpm.save(key.handle).map_err(tee)?;
                (key.handle, Kept { context, key })
            }
        };
        let result = self.tpm.flushing(handle, |tpm| body(tpm, &kept.key)).map_err(tee);
        self.keys.insert(persona, kept);
        result
    }
}

/// How often a quote is taken of PCRs that somebody changes meanwhile.
const ATTEMPTS: u32 = 8;

impl RootOfTrust for TpmRoot {
    fn protection(&self) -> &'static str {
        "tpm"
    }

    fn counter_quality(&self) -> &'static str {
        "tpm"
    }

    fn measure(&mut self, agent: &[u8; 32], configuration: &[u8; 32]) -> Result<(), TeeError> {
        let begin = |tpm: &mut Tpm| {
            tpm.pcr_reset(LAUNCHER_PCR)?;
            tpm.pcr_extend(LAUNCHER_PCR, agent)
        };
        begin(&mut self.tpm).map_err(tee)?;
        self.opened = None;
        let opened = self.opened().map(drop);
        // Whatever came of that: what is measured is all that runs.
        self.tpm.pcr_extend(LAUNCHER_PCR, configuration).map_err(tee)?;
        self.launcher = Some(TpmQuote::launcher_pcr(agent, configuration, &self.tpm.provider));
        opened
    }

    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, TeeError> {
        self.opened().map(|opened| Secret::new(*opened.secret.expose()))
    }

    fn read_counter(&mut self, slot: usize, length: usize) -> Result<Vec<u8>, TeeError> {
        let (counter, keys, commits) = self.counted()?;
        let mut marks = self.read_marks(&keys)?;
        let last = marks.iter().flatten().map(|mark| mark.commit).max();
        match last {
            // Nothing was ever written.
            None if commits == 0 => return Ok(Vec::new()),
            Some(last) if last == commits => {}
            Some(last) if last.checked_sub(1) == Some(commits) => {
                self.raise(counter, &keys, commits, last)?
            }
            // Marks of another time, or none although the counter has counted.
            Some(_) | None => return Err(TeeError::RolledBack),
        }
        let mark = marks.get_mut(slot).and_then(Option::take);
        Ok(mark.map(|mark| mark.data).filter(|data| data.len() == length).unwrap_or_default())
    }

    fn write_counter(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), TeeError> {
        let (counter, keys, commits) = self.counted()?;
        // One commit, one raise: anything else would wear the TPM out, or go back.
        if ![Some(0), Some(1)].contains(&commit.checked_sub(commits)) || slot > 1 || data.len() > MARK {
            return Err(TeeError::RolledBack);
        }
        let mark = Mark { commit, data: data.to_vec() }.write(slot, &keys, &self.tpm.provider);
        self.marks
            .write_all_at(&mark, STRIDE * slot as u64)
            .and_then(|()| self.marks.sync_data())
            .map_err(storage)?;
        self.raise(counter, &keys, commits, commit)
    }

    fn attestation_key(&mut self, persona: Persona) -> Result<PublicKey, TeeError> {
        self.with_key(persona, |_, key| Ok(key.public))
    }

    fn sign(&mut self, persona: Persona, message: &[u8]) -> Result<[u8; 64], TeeError> {
        self.with_key(persona, |tpm, key| tpm.sign(key, message))
    }

    fn quote(&mut self, persona: Persona, qualifying: &[u8; 32]) -> Result<Option<Quote>, TeeError> {
        let pcrs = self.opened()?.pcrs;
        let launcher = self.launcher;
        let quoted = self.with_key(persona, |tpm, key| {
            let mut before = tpm.pcr_values(pcrs)?;
            for _ in 0..ATTEMPTS {
                let quoted = tpm.quote(key, qualifying, pcrs)?;
                let after = tpm.pcr_values(pcrs)?;
                if before == after {
                    return Ok(Some((quoted, after)));
                }
                before = after;
            }
            Ok(None)
        })?;
        let measured = |values: &[(u8, [u8; 32])]| {
            values.iter().find(|(number, _)| *number == LAUNCHER_PCR).map(|(_, value)| *value)
        };
        match quoted {
            Some((quoted, pcrs)) if launcher.is_some() && measured(&pcrs) == launcher => {
                Ok(Some(Quote { attest: quoted.attest, signature: quoted.signature, pcrs }))
            }
            _ => {
                let why =
                    "another process measures into the launcher's PCR; one TPM serves one device at a time";
                Err(TeeError::RootOfTrust { code: tamarack_model::codes::TPM_UNAVAILABLE, why: why.into() })
            }
        }
    }
}

/// The content of the sealed file.
///
/// | element of the array | type |
/// |---|---|
/// | version | 1 |
/// | PCRs, as bits | unsigned |
/// | TPM2B_PRIVATE and TPM2B_PUBLIC, without their sizes | bytes, bytes |
struct Sealed {
    pcrs: Pcrs,
    blob: Blob,
}

impl Encode for Sealed {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(1).uint(self.pcrs.bits().into()).bytes(&self.blob.private).bytes(&self.blob.public);
    }
}

impl<'b> Decode<'b> for Sealed {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        d.array_of(4, "[version, PCRs, private, public]")?;
        let at = d.position();
        if d.uint()? != 1 {
            return Err(CborError::new(at, ErrorKind::Value("version 1")));
        }
        let at = d.position();
        let pcrs = u32::try_from(d.uint()?).ok().and_then(Pcrs::from_bits);
        let pcrs = pcrs.ok_or(CborError::new(at, ErrorKind::Value("a set of PCRs")))?;
        Ok(Self { pcrs, blob: Blob { private: d.bytes()?.to_vec(), public: d.bytes()?.to_vec() } })
    }
}

impl Opened {
    /// What is sealed: the secret, the index of the counter (u32), its first value (u64).
    fn write(&self) -> Secret<Vec<u8>> {
        let Counter { index, base } = self.counter;
        Secret::new([&self.secret.expose()[..], &index.to_be_bytes(), &base.to_be_bytes()].concat())
    }

    fn read(content: &[u8], pcrs: Pcrs) -> Option<Self> {
        let (secret, rest) = content.split_first_chunk::<32>()?;
        let (index, base) = rest.split_first_chunk::<4>()?;
        let counter =
            Counter { index: u32::from_be_bytes(*index), base: u64::from_be_bytes(base.try_into().ok()?) };
        Some(Self { secret: Secret::new(*secret), counter, pcrs })
    }
}

struct Keys {
    counter: Secret<[u8; 32]>,
    marks: Secret<[u8; 32]>,
}

/// What the counter stood for at a commit: number (u64), size (u16) and data, HMAC-SHA-256 over slot and all of it.
struct Mark {
    commit: u64,
    data: Vec<u8>,
}

/// Most bytes of data in a mark.
const MARK: usize = 1024;
/// Size of a slot, and the distance of the two: no write touches both.
const SLOT: usize = 8 + 2 + MARK + 32;
const STRIDE: u64 = 4096;

impl Mark {
    fn write(&self, slot: usize, keys: &Keys, provider: &Provider) -> Vec<u8> {
        let body =
            [&self.commit.to_be_bytes()[..], &(self.data.len() as u16).to_be_bytes(), &self.data].concat();
        let tag = provider.hmac.tag(keys.marks.expose(), &[&[slot as u8], &body]);
        [&body[..], &tag].concat()
    }

    fn read(bytes: &[u8], slot: usize, keys: &Keys, provider: &Provider) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let (body, rest) = bytes.split_at_checked(10 + length)?;
        let tag = provider.hmac.tag(keys.marks.expose(), &[&[slot as u8], body]);
        if !bool::from(tag[..].ct_eq(rest.get(..32)?)) {
            return None;
        }
        let commit = body.first_chunk::<8>().map(|commit| u64::from_be_bytes(*commit))?;
        Some(Self { commit, data: body[10..].to_vec() })
    }
}

fn derive(provider: &Provider, secret: &Secret<[u8; 32]>, use_: &[u8]) -> Result<Secret<[u8; 32]>, TeeError> {
    let mut key = Secret::new([0; 32]);
    provider.hkdf.derive(b"", secret.expose(), use_, key.expose_mut()).map_err(|_| TeeError::Crypto)?;
    Ok(key)
}

fn storage(error: io::Error) -> TeeError {
    TeeError::Storage(format!("files of the TPM: {error}"))
}

fn tee(error: Error) -> TeeError {
    TeeError::RootOfTrust { code: error.code(), why: error.to_string() }
}
