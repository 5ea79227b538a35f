use ed25519_dalek::{Signature, VerifyingKey};
use tamarack_cbor::{Decode as _, Limits, Value};
use tamarack_tee::{Param, Params, TaError, TaInstance, TaReturn};

use super::services::{Memory, NOW, UUID};
use super::{example, start};

const PUBLIC_KEY: u32 = 1;
const PAY: u32 = 2;
const STATUS: u32 = 3;
const LAST_RECEIPT: u32 = 4;
const LIMIT: u32 = 10_000;
const OVER_LIMIT: TaReturn = TaReturn(0x0001_0001);

struct Wallet {
    ta: Box<dyn TaInstance>,
    services: Memory,
    session: u32,
}

impl Wallet {
    fn start(version: u32, mut services: Memory) -> Self {
        let mut ta = start(&example(&format!("wallet-v{version}")), &mut services);
        let session = ta.open_session(&mut services, &mut Vec::new()).unwrap();
        Self { ta, services, session }
    }

    fn invoke(&mut self, command: u32, mut params: Params) -> Result<Params, TaError> {
        self.ta.invoke(&mut self.services, self.session, command, &mut params).map(|()| params)
    }

    fn memory(&mut self, command: u32) -> Result<Vec<u8>, TaError> {
        let params = self.invoke(command, vec![output(400)])?;
        let [Param::MemrefOutput { data, .. }] = &params[..] else { panic!("{params:?}") };
        Ok(data.clone())
    }

    fn pay(&mut self, amount: u32, reference: &[u8]) -> Result<Vec<u8>, TaError> {
        let params = self.invoke(PAY, payment(amount, b"Cafe Esplanade", reference, 400))?;
        let [_, _, _, Param::MemrefOutput { data, .. }] = &params[..] else { panic!("{params:?}") };
        Ok(data.clone())
    }

    /// Payments, version, spent, limit.
    fn status(&mut self) -> [u32; 4] {
        let params = self.invoke(STATUS, vec![Param::ValueOutput(9, 9), Param::ValueOutput(9, 9)]).unwrap();
        let [Param::ValueOutput(a, b), Param::ValueOutput(c, d)] = params[..] else { panic!("{params:?}") };
        [a, b, c, d]
    }
}

fn output(capacity: u32) -> Param {
    Param::MemrefOutput { capacity, data: Vec::new() }
}

fn payment(amount: u32, payee: &[u8], reference: &[u8], room: u32) -> Params {
    vec![
        Param::ValueInput(amount, 0),
        Param::MemrefInput(payee.into()),
        Param::MemrefInput(reference.into()),
        output(room),
    ]
}

/// Does what a merchant does: checks form and signature; gives the payload's items.
fn verify(receipt: &[u8], key: &[u8]) -> Vec<Value> {
    let items = |bytes: &[u8]| match Value::from_cbor(bytes, &Limits::default()).unwrap() {
        Value::Array(items) => items,
        other => panic!("{other:?}"),
    };
    let [Value::Bytes(payload), Value::Bytes(signature)] = &items(receipt)[..] else {
        panic!("not [payload, signature]")
    };
    let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    key.verify_strict(payload, &Signature::from_slice(signature).unwrap()).unwrap();
    items(payload)
}

#[test]
fn pays_and_signs_receipts_until_the_limit() {
    for version in [1, 2] {
        let mut wallet = Wallet::start(version, Memory::new());
        let key = wallet.memory(PUBLIC_KEY).unwrap();
        assert_eq!(key.len(), 32);
        assert_eq!(wallet.status(), [0, version, 0, LIMIT]);

        let receipt = wallet.pay(6_000, b"reference-1").unwrap();
        let expected = |number, amount, reference: &[u8], spent| {
            vec![
                Value::Text("tamarack-wallet-receipt".into()),
                Value::Uint(1),
                Value::Bytes(UUID.into()),
                Value::Uint(number),
                Value::Uint(amount),
                Value::Text("Cafe Esplanade".into()),
                Value::Bytes(reference.into()),
                Value::Uint(spent),
                Value::Uint(NOW),
            ]
        };
        assert_eq!(verify(&receipt, &key), expected(1, 6_000, b"reference-1", 6_000));

        for too_much in [4_001, u32::MAX] {
            assert_eq!(wallet.pay(too_much, b"reference-2"), Err(TaError::Returned(OVER_LIMIT)));
        }
        assert_eq!(wallet.status(), [1, version, 6_000, LIMIT]);
        let receipt = wallet.pay(4_000, b"reference-3").unwrap();
        assert_eq!(verify(&receipt, &key), expected(2, 4_000, b"reference-3", 10_000));
        assert_eq!(wallet.pay(1, b"reference-4"), Err(TaError::Returned(OVER_LIMIT)));
        assert_eq!(wallet.services.signatures, 2);
    }
}

#[test]
fn key_and_count_survive_restart_and_update() {
    let mut wallet = Wallet::start(1, Memory::new());
    let key = wallet.memory(PUBLIC_KEY).unwrap();
    wallet.pay(2_500, b"reference-1").unwrap();
    wallet.ta.close_session(&mut wallet.services, wallet.session).unwrap();
    wallet.ta.destroy(&mut wallet.services).unwrap();

    let mut wallet = Wallet::start(1, wallet.services);
    assert_eq!(wallet.status(), [1, 1, 2_500, LIMIT]);

    let mut wallet = Wallet::start(2, wallet.services);
    assert_eq!(wallet.status(), [1, 2, 2_500, LIMIT]);
    assert_eq!(wallet.memory(PUBLIC_KEY).unwrap(), key);
    assert_eq!(wallet.memory(LAST_RECEIPT), Err(TaError::Returned(TaReturn::ITEM_NOT_FOUND)));
    let receipt = wallet.pay(500, b"reference-2").unwrap();
    assert_eq!(verify(&receipt, &key)[3], Value::Uint(2));
    assert_eq!(wallet.memory(LAST_RECEIPT).unwrap(), receipt);
}

#[test]
fn version_1_has_no_last_receipt() {
    let mut wallet = Wallet::start(1, Memory::new());
    assert_eq!(wallet.memory(LAST_RECEIPT), Err(TaError::Returned(TaReturn::NOT_SUPPORTED)));
}

#[test]
fn bad_payments_spend_nothing() {
    let good = b"reference-1";
    let cases = [
        payment(0, b"payee", good, 400),
        payment(1, b"", good, 400),
        payment(1, &[b'a'; 65], good, 400),
        payment(1, b"new\nline", good, 400),
        payment(1, b"\xff", good, 400),
        payment(1, b"payee", b"shorter", 400),
        payment(1, b"payee", &[0; 65], 400),
        vec![],
        vec![Param::ValueInput(1, 0)],
    ];
    for params in cases {
        let mut wallet = Wallet::start(2, Memory::new());
        let expected = Err(TaError::Returned(TaReturn::BAD_PARAMETERS));
        assert_eq!(wallet.invoke(PAY, params.clone()), expected, "{params:?}");
        assert_eq!(wallet.status(), [0, 2, 0, LIMIT]);
        assert_eq!(wallet.services.signatures, 0);
    }
}

#[test]
fn longest_receipt_fits_and_a_short_buffer_says_what_is_needed() {
    let mut wallet = Wallet::start(2, Memory::new());
    let mut params = payment(1, &[b'p'; 64], &[7; 64], 319);
    let code = wallet.ta.invoke(&mut wallet.services, wallet.session, PAY, &mut params);
    assert_eq!(code, Err(TaError::Returned(TaReturn::SHORT_BUFFER)));
    assert_eq!(params[3], output(320));
    assert_eq!(wallet.status(), [0, 2, 0, LIMIT]);
    wallet.invoke(PAY, payment(LIMIT, &[b'p'; 64], &[7; 64], 320)).unwrap();
}

#[test]
fn a_broken_state_is_not_overwritten() {
    let mut services = Memory::new();
    services.objects.insert(b"state".to_vec(), vec![2, 0, 0, 0]);
    let mut ta = tamarack_tee_sandbox::wasm::load(&example("wallet-v1"), &super::limits()).unwrap();
    assert_eq!(ta.create(&mut services), Err(TaError::Returned(TaReturn(0xffff_0007))));
    assert_eq!(services.objects[&b"state"[..]], [2, 0, 0, 0]);
}

#[test]
fn other_commands_are_not_supported() {
    let mut wallet = Wallet::start(2, Memory::new());
    for command in [0, 7, u32::MAX] {
        let expected = Err(TaError::Returned(TaReturn::NOT_SUPPORTED));
        assert_eq!(wallet.invoke(command, vec![]), expected);
    }
}

const CARD: u32 = 5;
const CHARGE: u32 = 6;
const NOT_CONFIRMED: TaReturn = TaReturn(0x0001_0002);
const PAN: &str = "4012888888881881";
const CARD_KEY: [u8; 32] = [0x5a; 32];

/// What the bank personalizes a wallet with.
fn card(pan: &str, key: &[u8]) -> Vec<u8> {
    let mut e = tamarack_cbor::Encoder::new();
    e.array(5).text("tamarack-wallet-card").uint(1).text(pan).text("12/29").bytes(key);
    e.into_bytes()
}

fn with_card(answer: Option<bool>) -> Wallet {
    let mut services = Memory::new();
    services.answer = answer;
    services.objects.insert(b"personalization".to_vec(), card(PAN, &CARD_KEY));
    Wallet::start(2, services)
}

impl Wallet {
    fn charge(&mut self, amount: u32) -> Result<Vec<u8>, TaError> {
        let params = self.invoke(CHARGE, payment(amount, b"Cafe Esplanade", b"reference", 320))?;
        let [_, _, _, Param::MemrefOutput { data, .. }] = &params[..] else { panic!("{params:?}") };
        Ok(data.clone())
    }
}

fn items(bytes: &[u8]) -> Vec<Value> {
    match Value::from_cbor(bytes, &Limits::default()).unwrap() {
        Value::Array(items) => items,
        other => panic!("{other:?}"),
    }
}

/// Does what the bank does: opens the charge with the card's key. The services of this test join what they would encrypt.
fn open_charge(charge: &[u8]) -> Vec<Value> {
    let [Value::Text(masked), Value::Uint(number), Value::Bytes(sealed)] = &items(charge)[..] else {
        panic!("not [card, number, sealed]")
    };
    assert_eq!(masked, "**** 1881");
    let context = [&CARD_KEY[..], b"|tamarack-wallet-charge|"].concat();
    let inside = items(sealed.strip_prefix(&context[..]).expect("the card's key and the use"));
    assert_eq!(inside[4], Value::Uint(*number));
    inside
}

#[test]
fn charges_a_card_that_only_its_bank_can_read() {
    let mut wallet = with_card(None);
    assert_eq!(wallet.memory(CARD).unwrap(), b"**** 1881");
    for number in 1..=3 {
        let charge = wallet.charge(600).unwrap();
        let expected = [
            Value::Text("tamarack-wallet-charge".into()),
            Value::Uint(1),
            Value::Text(PAN.into()),
            Value::Text("12/29".into()),
            Value::Uint(number),
            Value::Uint(600),
            Value::Text("Cafe Esplanade".into()),
            Value::Bytes(b"reference".to_vec()),
            Value::Uint(0),
        ];
        assert_eq!(open_charge(&charge), expected);
    }
    assert!(wallet.services.asked.is_empty());
    // Another card counts from one.
    wallet.services.objects.insert(b"personalization".to_vec(), card(PAN, &[7; 32]));
    assert_eq!(items(&wallet.charge(1).unwrap())[1], Value::Uint(1));
}

#[test]
fn asks_the_person_for_more_than_a_little() {
    let mut wallet = with_card(Some(true));
    let charge = wallet.charge(2_001).unwrap();
    assert_eq!(wallet.services.asked, ["Pay 20.01 to Cafe Esplanade with card **** 1881?"]);
    // What was shown is what is charged.
    let inside = open_charge(&charge);
    assert_eq!(inside[5..7], [Value::Uint(2_001), Value::Text("Cafe Esplanade".into())]);
    assert_eq!(inside[8], Value::Uint(1));
    wallet.charge(100_000).unwrap();
    assert_eq!(wallet.services.asked[1], "Pay 1000.00 to Cafe Esplanade with card **** 1881?");
    assert_eq!(wallet.charge(100_001), Err(TaError::Returned(OVER_LIMIT)));

    for (answer, expected) in [(Some(false), NOT_CONFIRMED), (None, TaReturn::NOT_SUPPORTED)] {
        let mut wallet = with_card(answer);
        assert_eq!(wallet.charge(2_001), Err(TaError::Returned(expected)));
        // Nothing was counted.
        assert_eq!(items(&wallet.charge(1).unwrap())[1], Value::Uint(1));
    }
}

#[test]
fn many_small_charges_are_one_large_one() {
    let mut wallet = with_card(Some(false));
    for amount in [900, 900] {
        wallet.charge(amount).unwrap();
    }
    assert_eq!(wallet.charge(201), Err(TaError::Returned(NOT_CONFIRMED)));
    let third = items(&wallet.charge(200).unwrap());
    assert_eq!(third[1], Value::Uint(3), "what was refused has no number");
    assert_eq!(wallet.charge(1), Err(TaError::Returned(NOT_CONFIRMED)));
    assert_eq!(wallet.services.asked.len(), 2);
    // A yes begins anew; so does another card.
    wallet.services.answer = Some(true);
    assert_eq!(open_charge(&wallet.charge(1).unwrap())[8], Value::Uint(1));
    assert_eq!(open_charge(&wallet.charge(2_000).unwrap())[8], Value::Uint(0));
    assert_eq!(open_charge(&wallet.charge(1).unwrap())[8], Value::Uint(1));
    wallet.services.answer = None;
    wallet.charge(2_000).unwrap();
    wallet.services.objects.insert(b"personalization".to_vec(), card(PAN, &[7; 32]));
    wallet.charge(2_000).unwrap();
    assert_eq!(wallet.charge(1), Err(TaError::Returned(TaReturn::NOT_SUPPORTED)));
    // A state that this wallet did not write is not charged on.
    wallet.services.objects.insert(b"charges".to_vec(), vec![0; 4]);
    assert_eq!(wallet.charge(1), Err(TaError::Returned(TaReturn(0xFFFF_0007))));
}

#[test]
fn takes_no_card_that_is_not_one() {
    let mut wallet = Wallet::start(2, Memory::new());
    for command in [CARD, CHARGE] {
        let params = if command == CARD { vec![output(9)] } else { payment(1, b"p", b"reference", 320) };
        assert_eq!(wallet.invoke(command, params), Err(TaError::Returned(TaReturn::ITEM_NOT_FOUND)));
    }
    let good = card(PAN, &CARD_KEY);
    let mut bad = vec![Vec::new(), good[..good.len() - 1].to_vec(), [&good[..], b"x"].concat(), vec![0; 400]];
    bad.push(card("4012888888881881x", &CARD_KEY));
    bad.push(card("40128888888", &CARD_KEY));
    bad.push(card("40128888888818811881", &CARD_KEY));
    bad.push(card(PAN, &CARD_KEY[1..]));
    bad.extend((0..good.len()).map(|length| good[..length].to_vec()));
    for card in bad {
        wallet.services.objects.insert(b"personalization".to_vec(), card);
        assert_eq!(wallet.charge(1), Err(TaError::Returned(TaReturn(0xFFFF_0007))));
    }
    let mut wallet = Wallet::start(1, Memory::new());
    assert_eq!(wallet.memory(CARD), Err(TaError::Returned(TaReturn::NOT_SUPPORTED)));
}
