//! The services of one TA, in memory.
use std::collections::BTreeMap;

use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use tamarack_crypto::{KeyType, PublicKey};
use tamarack_model::{ComponentId, UnixTime};
use tamarack_tee::{TaReturn, TaServices};

pub const UUID: [u8; 16] = *b"0123456789abcdef";
pub const NOW: UnixTime = 1_800_000_000;

pub struct Memory {
    pub objects: BTreeMap<Vec<u8>, Vec<u8>>,
    pub keys: BTreeMap<Vec<u8>, (KeyType, [u8; 32])>,
    pub lines: Vec<String>,
    /// Whether the valve is open; None if this TA is not bound to it.
    pub valve: Option<bool>,
    pub valve_commands: Vec<String>,
    pub signatures: usize,
    pub random_works: bool,
    pub id: ComponentId,
    /// What the person at the device answers; None without a panel.
    pub answer: Option<bool>,
    /// What was asked.
    pub asked: Vec<String>,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            keys: BTreeMap::new(),
            lines: Vec::new(),
            valve: None,
            valve_commands: Vec::new(),
            signatures: 0,
            random_works: true,
            id: ComponentId::tamarack("acme", UUID, "suit").unwrap(),
            answer: None,
            asked: Vec::new(),
        }
    }

    fn key(&self, name: &[u8]) -> Result<(KeyType, [u8; 32]), TaReturn> {
        self.keys.get(name).copied().ok_or(TaReturn::ITEM_NOT_FOUND)
    }
}

fn p256(seed: &[u8; 32]) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(seed).unwrap()
}

impl TaServices for Memory {
    fn read_object(&mut self, name: &[u8]) -> Result<Vec<u8>, TaReturn> {
        self.objects.get(name).cloned().ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn write_object(&mut self, name: &[u8], data: &[u8]) -> Result<(), TaReturn> {
        self.objects.insert(name.into(), data.into());
        Ok(())
    }

    fn delete_object(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.objects.remove(name).map(drop).ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn generate_key(&mut self, name: &[u8], key_type: KeyType) -> Result<(), TaReturn> {
        if self.keys.contains_key(name) {
            return Err(TaReturn::ACCESS_CONFLICT);
        }
        self.keys.insert(name.into(), (key_type, Sha256::digest(name).into()));
        Ok(())
    }

    fn public_key(&mut self, name: &[u8]) -> Result<PublicKey, TaReturn> {
        let (key_type, seed) = self.key(name)?;
        Ok(match key_type {
            KeyType::Ed25519 => {
                PublicKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes())
            }
            KeyType::P256 => {
                PublicKey::from_point(p256(&seed).verifying_key().to_sec1_point(false).as_bytes()).unwrap()
            }
        })
    }

    fn sign(&mut self, name: &[u8], message: &[u8]) -> Result<[u8; 64], TaReturn> {
        let (key_type, seed) = self.key(name)?;
        self.signatures += 1;
        Ok(match key_type {
            KeyType::Ed25519 => ed25519_dalek::SigningKey::from_bytes(&seed).sign(message).to_bytes(),
            KeyType::P256 => {
                let signature: p256::ecdsa::Signature = p256(&seed).sign(message);
                signature.to_bytes().into()
            }
        })
    }

    fn generate_agreement_key(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.generate_key(name, KeyType::P256)
    }

    /// Not encryption: what is given back shows that each argument arrived where it belongs.
    fn decrypt(&mut self, name: &[u8], message: &[u8]) -> Result<Vec<u8>, TaReturn> {
        self.key(name)?;
        message.strip_prefix(b"0").map(<[u8]>::to_vec).ok_or(TaReturn::MAC_INVALID)
    }

    fn seal(&mut self, name: &[u8], context: &[u8], data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let key = self.read_object(name)?;
        Ok([&key[..], b"|", context, b"|", data].concat())
    }

    fn unseal(&mut self, name: &[u8], context: &[u8], data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let sealed = self.seal(name, context, b"")?;
        data.strip_prefix(&sealed[..]).map(<[u8]>::to_vec).ok_or(TaReturn::MAC_INVALID)
    }

    fn attest(&mut self, nonce: &[u8], key: Option<&[u8]>) -> Result<Vec<u8>, TaReturn> {
        if let Some(name) = key {
            self.key(name)?;
        }
        Ok([nonce, b"|", key.unwrap_or_default()].concat())
    }

    fn confirm(&mut self, text: &str) -> Result<bool, TaReturn> {
        self.asked.push(text.into());
        self.answer.ok_or(TaReturn::NOT_SUPPORTED)
    }

    fn delete_key(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.keys.remove(name).map(drop).ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), TaReturn> {
        out.fill(0xa5);
        if self.random_works { Ok(()) } else { Err(TaReturn::GENERIC) }
    }

    fn time(&mut self) -> UnixTime {
        NOW
    }

    fn log(&mut self, line: &str) {
        self.lines.push(line.into());
    }

    fn peripheral(&mut self, name: &[u8], command: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let (b"valve", Some(open)) = (name, &mut self.valve) else {
            return Err(TaReturn::ACCESS_DENIED);
        };
        self.valve_commands.push(String::from_utf8_lossy(command).into());
        match command {
            b"open" => *open = true,
            b"close" => *open = false,
            b"status" => {}
            _ => return Err(TaReturn::BAD_PARAMETERS),
        }
        Ok(if *open { b"open".to_vec() } else { b"closed".to_vec() })
    }

    fn manifest_id(&self) -> &ComponentId {
        &self.id
    }
}
