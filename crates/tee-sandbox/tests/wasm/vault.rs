//! The vault: a data key for the nonce it asked for, records in their order, and nothing in the clear.
use tamarack_tee::{Param, TaError, TaInstance, TaReturn};

use super::services::Memory;
use super::{example, start};

const ATTEST: u32 = 0;
const UNLOCK: u32 = 1;
const ADD: u32 = 2;
const TOTAL: u32 = 3;
const STATUS: u32 = 4;
const OUT_OF_ORDER: TaReturn = TaReturn(1);
const LOCKED: TaReturn = TaReturn(2);
const NONCE: [u8; 32] = [b'n'; 32];
const KEY: [u8; 32] = [b'k'; 32];

struct Vault {
    ta: Box<dyn TaInstance>,
    services: Memory,
}

impl Vault {
    fn new() -> Self {
        let mut services = Memory::new();
        Self { ta: start(&example("vault"), &mut services), services }
    }

    fn call(&mut self, command: u32, mut params: Vec<Param>) -> Result<Vec<Param>, TaReturn> {
        match self.ta.invoke(&mut self.services, 0, command, &mut params) {
            Ok(()) => Ok(params),
            Err(TaError::Returned(code)) => Err(code),
            Err(e) => panic!("{e}"),
        }
    }

    fn attest(&mut self, nonce: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let out = Param::MemrefOutput { capacity: 100, data: vec![] };
        let params = self.call(ATTEST, vec![Param::MemrefInput(nonce.to_vec()), out])?;
        let [_, Param::MemrefOutput { data, .. }] = &params[..] else { panic!("{params:?}") };
        Ok(data.clone())
    }

    /// These services take a leading 0 for a message that decrypts.
    fn unlock(&mut self, nonce: &[u8], key: &[u8]) -> Result<(), TaReturn> {
        self.call(UNLOCK, vec![Param::MemrefInput([b"0", nonce, key].concat())]).map(drop)
    }

    fn add(&mut self, number: u32, amount: u32) -> Result<u32, TaReturn> {
        let record = [&KEY[..], b"|vault record|", &number.to_le_bytes(), &amount.to_le_bytes()].concat();
        let params = self.call(ADD, vec![Param::MemrefInput(record), Param::ValueOutput(0, 0)])?;
        let [_, Param::ValueOutput(records, 0)] = params[..] else { panic!("{params:?}") };
        Ok(records)
    }

    fn total(&mut self) -> Result<Vec<u8>, TaReturn> {
        let params = self.call(TOTAL, vec![Param::MemrefOutput { capacity: 100, data: vec![] }])?;
        let [Param::MemrefOutput { data, .. }] = &params[..] else { panic!("{params:?}") };
        Ok(data.clone())
    }

    fn status(&mut self) -> (u32, u32) {
        let params = self.call(STATUS, vec![Param::ValueOutput(0, 0)]).unwrap();
        let [Param::ValueOutput(unlocked, records)] = params[..] else { panic!("{params:?}") };
        (unlocked, records)
    }
}

#[test]
fn the_vault_adds_up_sealed_records() {
    let mut vault = Vault::new();
    assert_eq!(vault.status(), (0, 0));
    assert_eq!(vault.add(1, 5), Err(LOCKED));
    assert_eq!(vault.total(), Err(LOCKED));
    assert_eq!(vault.attest(&NONCE[1..]), Err(TaReturn::BAD_PARAMETERS));
    // These services make Evidence of nonce and key name.
    assert_eq!(vault.attest(&NONCE).unwrap(), [&NONCE[..], b"|release"].concat());
    vault.unlock(&NONCE, &KEY).unwrap();
    assert_eq!(vault.add(1, 40), Ok(1));
    assert_eq!(vault.add(1, 40), Err(OUT_OF_ORDER), "a record that is played again");
    assert_eq!(vault.add(3, 1), Err(OUT_OF_ORDER), "a record that is left out");
    assert_eq!(vault.add(2, u32::MAX), Ok(2));
    let sum = 40 + u64::from(u32::MAX);
    let expected = [&KEY[..], b"|vault total|", &2_u32.to_le_bytes(), &sum.to_le_bytes()].concat();
    assert_eq!(vault.total().unwrap(), expected);
    assert_eq!(vault.status(), (1, 2));
    let stranger = vec![Param::MemrefInput(b"sealed by nobody".to_vec()), Param::ValueOutput(0, 0)];
    assert_eq!(vault.call(ADD, stranger), Err(TaReturn::MAC_INVALID));
}

#[test]
fn a_data_key_is_taken_once_and_for_the_nonce_that_was_attested() {
    let mut vault = Vault::new();
    assert_eq!(vault.unlock(&NONCE, &KEY), Err(OUT_OF_ORDER));
    vault.attest(&NONCE).unwrap();
    assert_eq!(vault.unlock(&[b'x'; 32], &KEY), Err(OUT_OF_ORDER));
    assert_eq!(vault.unlock(&NONCE, &KEY[1..]), Err(OUT_OF_ORDER));
    assert_eq!(vault.unlock(&NONCE, &[&KEY[..], b"!"].concat()), Err(TaReturn::BAD_PARAMETERS));
    let wrong = vec![Param::MemrefInput(b"not for this key".to_vec())];
    assert_eq!(vault.call(UNLOCK, wrong), Err(TaReturn::MAC_INVALID));
    vault.unlock(&NONCE, &KEY).unwrap();
    assert_eq!(vault.unlock(&NONCE, &KEY), Err(OUT_OF_ORDER), "it came again");
    // The host's own key gets at nothing that the tenant's key was for.
    vault.add(1, 1000).unwrap();
    vault.attest(&NONCE).unwrap();
    vault.unlock(&NONCE, &[b'h'; 32]).unwrap();
    assert_eq!(vault.status(), (1, 0));
    assert!(vault.total().unwrap().ends_with(&[0; 12]));
    assert_eq!(vault.add(2, 1), Err(TaReturn::MAC_INVALID));
}
