//! The file of the challenge keys (security rule C1): outside the database, readable by its owner only, rotated daily.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tamarack_crypto::{Provider, Secret};
use tamarack_model::UnixTime;
use tamarack_tam::{ChallengeKey, ChallengeKeys};

use crate::{Error, secret_file};

/// Seconds after which a new key is made.
pub(crate) const ROTATION: u64 = 24 * 3600;

/// Generations that a challenge can name.
const GENERATIONS: u8 = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    replay_group: String,
    current: Key,
    previous: Option<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    generation: u8,
    created: UnixTime,
    key: String,
}

/// The keys with the id of the group of TAM instances that share them.
pub(crate) struct ChallengeFile {
    pub replay_group: [u8; 16],
    pub current: Dated,
    pub previous: Option<Dated>,
}

pub(crate) struct Dated {
    pub generation: u8,
    pub created: UnixTime,
    pub key: Secret<[u8; 32]>,
}

impl Dated {
    fn generate(generation: u8, now: UnixTime, crypto: &Provider) -> Result<Self, Error> {
        let mut key = Secret::new([0; 32]);
        random(crypto, key.expose_mut())?;
        Ok(Self { generation, created: now, key })
    }

    fn to_key(&self) -> ChallengeKey {
        ChallengeKey { generation: self.generation, key: Secret::new(*self.key.expose()) }
    }

    fn section(&self, name: &str) -> String {
        let Self { generation, created, key } = self;
        let key = hex::encode(key.expose());
        format!("\n[{name}]\ngeneration = {generation}\ncreated = {created}\nkey = \"{key}\"\n")
    }
}

pub(crate) fn random(crypto: &Provider, out: &mut [u8]) -> Result<(), Error> {
    crypto
        .random
        .fill(out)
        .map_err(|e| Error::new(tamarack_model::codes::INTERNAL, format_args!("no random bytes: {e:?}")))
}

impl ChallengeFile {
    /// A new group with a new key.
    pub fn generate(now: UnixTime, crypto: &Provider) -> Result<Self, Error> {
        let mut replay_group = [0; 16];
        random(crypto, &mut replay_group)?;
        Ok(Self { replay_group, current: Dated::generate(0, now, crypto)?, previous: None })
    }

    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|e| Error::unreadable(path, &e))?;
        let wrong = |what: &str| {
            Error::config(format_args!(
                "{}: {what}; remove the file and run `tamarack tam restore`, or copy it from a backup of yours",
                path.display()
            ))
        };
        let file: File = toml::from_str(&text).map_err(|_| wrong("not a challenge key file"))?;
        let dated = |key: Key| {
            let mut bytes = Secret::new([0; 32]);
            hex::decode_to_slice(&key.key, bytes.expose_mut())
                .map_err(|_| wrong("key: not 64 hex digits"))?;
            if key.generation >= GENERATIONS {
                return Err(wrong("generation: above 15"));
            }
            Ok(Dated { generation: key.generation, created: key.created, key: bytes })
        };
        let mut replay_group = [0; 16];
        hex::decode_to_slice(&file.replay_group, &mut replay_group)
            .map_err(|_| wrong("replay_group: not 32 hex digits"))?;
        Ok(Self {
            replay_group,
            current: dated(file.current)?,
            previous: file.previous.map(dated).transpose()?,
        })
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "# Keys of the TAM's challenges. Keep them secret; they belong into no database and no backup of it.\n\
             replay_group = \"{}\"\n",
            hex::encode(self.replay_group)
        );
        text.push_str(&self.current.section("current"));
        if let Some(previous) = &self.previous {
            text.push_str(&previous.section("previous"));
        }
        text
    }

    pub fn keys(&self) -> ChallengeKeys {
        ChallengeKeys { current: self.current.to_key(), previous: self.previous.as_ref().map(Dated::to_key) }
    }

    /// If the current key is a day old: makes a new one, writes the file and gives the new key.
    pub fn rotate_if_due(
        &mut self,
        path: &Path,
        now: UnixTime,
        crypto: &Provider,
    ) -> Result<Option<ChallengeKey>, Error> {
        if now < self.current.created.saturating_add(ROTATION) {
            return Ok(None);
        }
        let next = Dated::generate((self.current.generation + 1) % GENERATIONS, now, crypto)?;
        self.previous = Some(std::mem::replace(&mut self.current, next));
        secret_file::replace(path, self.text())?;
        Ok(Some(self.current.to_key()))
    }
}
