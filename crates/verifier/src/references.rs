//! The folder of reference values: signed CoRIMs as `*.corim` files, dropped there or added over REST, and `known.toml` with what
//! must not be forgotten even if files are: floors, and what was taken out of force.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamarack_attest::{Added, ReferenceProvider, References, Refusal, StoredReference};
use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_crypto::Provider;
use tamarack_model::{UnixTime, codes};
use tamarack_service::{Error, secret_file};

/// What must not be forgotten.
const KNOWN: &str = "known.toml";
/// A file that is larger is no CoRIM of ours.
const LARGEST: u64 = 16 << 20;
/// More files are refused: each is verified when the verifier starts.
const MOST: usize = 4096;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    entry: Vec<Entry>,
    #[serde(default)]
    floor: Vec<Floor>,
}

/// What is kept of one CoRIM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// SHA-256 in hexadecimal.
    pub id: String,
    pub provider: String,
    pub name: String,
    pub added: UnixTime,
    pub deactivated: Option<UnixTime>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    provider: String,
    /// Tag id, CBOR in hexadecimal.
    tag: String,
    version: u64,
}

/// The references in force with the folder that they come from.
#[derive(Clone)]
pub(crate) struct Folder {
    folder: PathBuf,
    known: Known,
    /// Files that were refused, so that they are not tried, and logged, every minute.
    refused: Vec<[u8; 32]>,
    /// Shared with the appraisals that are under way.
    pub references: Arc<References>,
}

impl Folder {
    /// Makes a folder in which nothing was ever added. What is known in one that is there stays.
    pub fn make(folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(|e| Error::unwritable(folder, &e))?;
        match folder.join(KNOWN).exists() {
            true => Ok(()),
            false => write(folder, &Known::default()),
        }
    }

    /// Reads the folder, which is made if there is none. One that has lost what is known is refused: what was taken out of
    /// force would count again.
    pub fn open(folder: &Path, providers: Vec<ReferenceProvider>, crypto: &Provider) -> Result<Self, Error> {
        if !folder.exists() {
            Self::make(folder)?;
        }
        let path = folder.join(KNOWN);
        let known: Known = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| {
                Error::config(format_args!(
                    "{}: {}; without it nothing older would be refused",
                    path.display(),
                    e.message()
                ))
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::config(format_args!(
                    "{} is lost, and without it nothing older would be refused; bring it back, or make an empty file if \
                     nothing was ever taken out of force here",
                    path.display()
                )));
            }
            Err(e) => return Err(Error::unreadable(&path, &e)),
        };
        let wrong = |what: &str| Error::config(format_args!("{}: {what}", path.display()));
        let floors = known.floor.iter().map(|floor| {
            let tag = hex::decode(&floor.tag).map_err(|_| wrong("floor.tag: no hexadecimal digits"))?;
            let tag = tamarack_corim_id(&tag).ok_or_else(|| wrong("floor.tag: no tag id"))?;
            Ok((floor.provider.clone(), tag, floor.version))
        });
        let floors = floors.collect::<Result<Vec<_>, Error>>()?;
        let mut there = BTreeSet::new();
        let stored: Vec<StoredReference> = read_files(folder)?
            .into_iter()
            .filter_map(|signed| {
                let id = hex::encode(crypto.sha256(&signed));
                let entry = known.entry.iter().find(|entry| entry.id == id)?;
                there.insert(id);
                Some(StoredReference { active: entry.deactivated.is_none(), signed })
            })
            .collect();
        // What it permitted is gone with it, and what it forbade too.
        for Entry { id, provider, name, .. } in known.entry.iter().filter(|entry| !there.contains(&entry.id))
        {
            tracing::warn!(id, provider, "reference values are lost: {name}");
        }
        let (references, left_out) = References::restore(providers, &stored, floors, crypto);
        for refusal in left_out {
            tracing::warn!(code = %refusal.code, "reference values that nobody vouches for any more: {refusal}");
        }
        let references = Arc::new(references);
        Ok(Self { folder: folder.into(), known, refused: Vec::new(), references })
    }

    /// Adds files that were dropped since the last look. What is refused is logged and left alone.
    pub fn look(&mut self, now: UnixTime, crypto: &Provider) -> Result<(), Error> {
        for signed in read_files(&self.folder)? {
            let id = crypto.sha256(&signed);
            if self.entry(&id).is_some() || self.refused.contains(&id) {
                continue;
            }
            match self.add(&signed, now, crypto) {
                Ok(added) => tracing::info!(
                    id = hex::encode(id),
                    provider = added.provider,
                    "took new reference values"
                ),
                Err(refusal) => {
                    tracing::warn!(id = hex::encode(id), code = %refusal.code, "refused reference values: {refusal}");
                    // A disk that is full says nothing about the values.
                    if refusal.code != codes::FILE_UNWRITABLE {
                        self.refused.push(id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a signed CoRIM; it counts once it is on disk.
    pub fn add(&mut self, signed: &[u8], now: UnixTime, crypto: &Provider) -> Result<Added, Refusal> {
        let mut next = References::clone(&self.references);
        let added = next.add(signed, now, crypto)?;
        let id = hex::encode(added.id);
        let mut known = self.known.clone();
        match self.entry(&added.id) {
            Some(_) if added.known => return Ok(added),
            // Its file was lost. Found again it counts as it did.
            Some(entry) => {
                if entry.deactivated.is_some() {
                    next.deactivate(&added.id);
                }
            }
            None => {
                let entry = next.entries().iter().find(|entry| entry.id == added.id);
                let name = entry.map(|entry| entry.corim.id.to_string()).unwrap_or_default();
                let provider = added.provider.clone();
                known.entry.push(Entry { id: id.clone(), provider, name, added: now, deactivated: None });
            }
        }
        known.floor = next
            .floors()
            .map(|(provider, tag, version)| Floor { provider, tag: hex::encode(tag.to_cbor()), version })
            .collect();
        let path = self.folder.join(format!("{id}.corim"));
        let there = read_files(&self.folder).is_ok_and(|files| files.iter().any(|file| file == signed));
        let written = match there {
            true => Ok(()),
            false => secret_file::replace(&path, signed),
        };
        written.and_then(|()| write(&self.folder, &known)).map_err(failed)?;
        (self.references, self.known) = (Arc::new(next), known);
        Ok(added)
    }

    /// Takes one out of force. None if there is none, false if it was so before.
    pub fn deactivate(&mut self, id: &[u8; 32], now: UnixTime) -> Result<Option<bool>, Refusal> {
        let mut known = self.known.clone();
        let text = hex::encode(id);
        let Some(entry) = known.entry.iter_mut().find(|entry| entry.id == text) else { return Ok(None) };
        if entry.deactivated.is_some() {
            return Ok(Some(false));
        }
        entry.deactivated = Some(now);
        write(&self.folder, &known).map_err(failed)?;
        Arc::make_mut(&mut self.references).deactivate(id);
        self.known = known;
        Ok(Some(true))
    }

    /// All that were ever added, in that order.
    pub fn entries(&self) -> &[Entry] {
        &self.known.entry
    }

    pub fn entry(&self, id: &[u8; 32]) -> Option<&Entry> {
        let text = hex::encode(id);
        self.known.entry.iter().find(|entry| entry.id == text)
    }
}

fn write(folder: &Path, known: &Known) -> Result<(), Error> {
    let text = toml::to_string(known).map_err(|e| Error::new(codes::INTERNAL, e))?;
    let head =
        "# Which reference values were added, which are out of force, and below what nothing comes back.\n";
    secret_file::replace(&folder.join(KNOWN), format!("{head}{text}"))
}

fn failed(error: Error) -> Refusal {
    Refusal { code: error.code(), reason: error.to_string() }
}

fn tamarack_corim_id(tag: &[u8]) -> Option<tamarack_corim::Id> {
    tamarack_corim::Id::from_cbor(tag, &Limits::default()).ok()
}

/// All `*.corim` files, in the order of their names.
fn read_files(folder: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let unreadable = |e: std::io::Error| Error::unreadable(folder, &e);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "corim") {
            paths.push(path);
        }
    }
    if paths.len() > MOST {
        let message = format_args!("{} holds {} CoRIMs, {MOST} are read", folder.display(), paths.len());
        return Err(Error::new(codes::FILE_UNREADABLE, message));
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let metadata = fs::metadata(&path).map_err(|e| Error::unreadable(&path, &e))?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            tracing::warn!(file = %path.display(), "is no file, or too large; left alone");
            continue;
        }
        files.push(fs::read(&path).map_err(|e| Error::unreadable(&path, &e))?);
    }
    Ok(files)
}
