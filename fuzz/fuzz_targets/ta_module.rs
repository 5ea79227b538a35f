//! TA modules: what loads is opened, called and closed within small limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_crypto::{KeyType, PublicKey};
use tamarack_fuzz::seeds;
use tamarack_tee::{Param, TaLimits, TaReturn, TaServices};
use tamarack_tee_sandbox::wasm::load;

const LIMITS: TaLimits = TaLimits { memory: 256 << 10, fuel: 50_000, object_size: 1024, objects: 4 };

fn examples() -> Vec<Vec<u8>> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ta/built");
    let files = std::fs::read_dir(built).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read(file.path()).ok()).collect()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let Ok(mut ta) = load(data, &LIMITS) else { return };
    let mut params = vec![Param::ValueInout(1, 2), Param::MemrefInout { capacity: 64, data: vec![3; 9] }];
    if ta.create(&mut Nothing).is_err() {
        return;
    }
    if let Ok(session) = ta.open_session(&mut Nothing, &mut params) {
        for command in 0..4 {
            if ta.invoke(&mut Nothing, session, command, &mut params).is_err() {
                break;
            }
        }
        let _ = ta.close_session(&mut Nothing, session);
    }
    let _ = ta.destroy(&mut Nothing);
});

/// Services that keep nothing.
struct Nothing;

impl TaServices for Nothing {
    fn read_object(&mut self, _: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::ITEM_NOT_FOUND)
    }

    fn write_object(&mut self, _: &[u8], _: &[u8]) -> Result<(), TaReturn> {
        Ok(())
    }

    fn delete_object(&mut self, _: &[u8]) -> Result<(), TaReturn> {
        Ok(())
    }

    fn generate_key(&mut self, _: &[u8], _: KeyType) -> Result<(), TaReturn> {
        Ok(())
    }

    fn public_key(&mut self, _: &[u8]) -> Result<PublicKey, TaReturn> {
        Ok(tamarack_fuzz::key("ta").public_key())
    }

    fn sign(&mut self, _: &[u8], _: &[u8]) -> Result<[u8; 64], TaReturn> {
        Ok([7; 64])
    }

    fn delete_key(&mut self, _: &[u8]) -> Result<(), TaReturn> {
        Ok(())
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), TaReturn> {
        out.fill(4);
        Ok(())
    }

    fn time(&mut self) -> u64 {
        tamarack_fuzz::NOW
    }

    fn log(&mut self, _: &str) {}

    fn peripheral(&mut self, _: &[u8], command: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Ok(command.to_vec())
    }

    fn manifest_id(&self) -> &tamarack_model::ComponentId {
        static ID: std::sync::LazyLock<tamarack_model::ComponentId> =
            std::sync::LazyLock::new(|| tamarack_fuzz::wallet("suit"));
        &ID
    }
}
