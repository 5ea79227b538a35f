//! Runs a TA outside any device, with services that live in memory: what `tamarack ta test` does.

use std::collections::BTreeMap;

use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_model::{ComponentId, UnixTime};
use tamarack_tee::{TaError, TaLimits, TaReturn, TaServices};

/// Loads the module, starts it, opens and closes a session; gives what it logged.
pub fn try_ta(module: &[u8], limits: &TaLimits) -> Result<String, TaError> {
    let mut services = Memory::new();
    let mut ta = tamarack_tee_sandbox::wasm::load(module, limits)?;
    ta.create(&mut services)?;
    let session = ta.open_session(&mut services, &mut Vec::new())?;
    ta.close_session(&mut services, session)?;
    ta.destroy(&mut services)?;
    let objects: Vec<_> =
        services.objects.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let keys: Vec<_> = services.keys.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    Ok(format!(
        "{} bytes; keeps objects [{}] and keys [{}]\n{}",
        module.len(),
        objects.join(", "),
        keys.join(", "),
        services.log
    ))
}

struct Memory {
    objects: BTreeMap<Vec<u8>, Vec<u8>>,
    keys: BTreeMap<Vec<u8>, Box<dyn Sign>>,
    log: String,
    id: ComponentId,
}

impl Memory {
    fn new() -> Self {
        // Three short segments are within the bounds of an id.
        let id = ComponentId::tamarack("local", [0; 16], "suit").expect("a valid id");
        Self { objects: BTreeMap::new(), keys: BTreeMap::new(), log: String::new(), id }
    }

    fn key(&self, name: &[u8]) -> Result<&dyn Sign, TaReturn> {
        self.keys.get(name).map(|key| &**key).ok_or(TaReturn::ITEM_NOT_FOUND)
    }
}

impl TaServices for Memory {
    fn read_object(&mut self, name: &[u8]) -> Result<Vec<u8>, TaReturn> {
        self.objects.get(name).cloned().ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn write_object(&mut self, name: &[u8], data: &[u8]) -> Result<(), TaReturn> {
        self.objects.insert(name.to_vec(), data.to_vec());
        Ok(())
    }

    fn delete_object(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.objects.remove(name).map(|_| ()).ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn generate_key(&mut self, name: &[u8], key_type: KeyType) -> Result<(), TaReturn> {
        if self.keys.contains_key(name) {
            return Err(TaReturn::ACCESS_CONFLICT);
        }
        let keys = tamarack_crypto_aws_lc::provider().keys;
        let pkcs8 = keys.generate_pkcs8(key_type).map_err(|_| TaReturn::GENERIC)?;
        let key = keys.load_pkcs8(pkcs8.expose()).map_err(|_| TaReturn::GENERIC)?;
        self.keys.insert(name.to_vec(), key);
        Ok(())
    }

    fn public_key(&mut self, name: &[u8]) -> Result<PublicKey, TaReturn> {
        self.key(name).map(|key| key.public_key())
    }

    fn sign(&mut self, name: &[u8], message: &[u8]) -> Result<[u8; 64], TaReturn> {
        self.key(name)?.sign(message).map_err(|_| TaReturn::GENERIC)
    }

    fn delete_key(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.keys.remove(name).map(|_| ()).ok_or(TaReturn::ITEM_NOT_FOUND)
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), TaReturn> {
        tamarack_crypto_aws_lc::provider().random.fill(out).map_err(|_| TaReturn::GENERIC)
    }

    fn time(&mut self) -> UnixTime {
        crate::keys::now()
    }

    fn log(&mut self, line: &str) {
        self.log += &format!("log: {line}\n");
    }

    fn peripheral(&mut self, _name: &[u8], _command: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::ACCESS_DENIED)
    }

    fn manifest_id(&self) -> &ComponentId {
        &self.id
    }
}
