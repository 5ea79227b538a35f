//! Card data from the bank, a person's word, and who gets neither.

use example_apps::Carrier;
use example_apps::payment::{Bank, CARD, Charge, NOT_CONFIRMED, NOT_SUPPORTED, WALLET, Wallet};
use example_apps::search::Search;
use tamarack_cose::{Recipient, To};
use tamarack_model::ComponentId;
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tee::{Param, Persona, Platform};
use tamarack_testkit::memory_platform::MemoryPlatform;

use crate::support::{DOMAIN, Device, built, crypto};

const PAN: &str = "4012888888881881";

fn id(kind: &str) -> ComponentId {
    ComponentId::tamarack(DOMAIN, WALLET, kind).unwrap()
}

/// A phone with the wallet.
struct Phone(Device);

impl Phone {
    /// With a person who answers so; none without a panel.
    fn new(device: u8, answer: Option<bool>) -> Self {
        let mut platform = MemoryPlatform::new(crypto(), device);
        if let Some(answer) = answer {
            platform = platform.with_answer(answer);
        }
        Self(Device::new(platform, WALLET, built("wallet-v2")))
    }

    /// What `tamarack ta personalize` makes of a card for this phone's key.
    fn card_for(&self, card: &[u8], sequence: u64) -> Builder {
        let key = self.0.agent.platform().decryption_key(Persona(0)).unwrap().public_key();
        let to = [To::Key(Recipient { key: &key, kid: None })];
        let payload = Payload::sealed(card, &to, &crypto()).unwrap();
        Builder::new(id("data.suit"), sequence)
            .component(Component::new(id(ComponentId::PERSONALIZATION), payload))
    }

    fn update(&mut self, manifest: &Builder) -> bool {
        self.0.update(manifest)
    }

    fn wallet(&mut self) -> Wallet<&mut Device> {
        Wallet(&mut self.0)
    }
}

/// Looks for what of the card nobody outside may have.
fn search(card: &[u8]) -> Search {
    // The card's key stands at the end of what the bank makes.
    Search::new(&[("the number", &PAN.as_bytes()[..12]), ("the key", &card[card.len() - 32..])])
}

fn bank() -> (Bank, Vec<u8>) {
    let mut bank = Bank::new(crypto());
    let card = bank.issue(PAN, "12/29").unwrap().expose().clone();
    (bank, card)
}

#[test]
fn a_card_pays_and_its_number_stays_inside() {
    let (mut bank, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.wallet().card().unwrap().is_err());
    assert!(phone.update(&phone.card_for(&card, 1)));
    assert_eq!(phone.wallet().card().unwrap().unwrap(), "**** 1881");
    for (number, amount, confirmed) in [(1, 450, false), (2, 4_990, true)] {
        let charge = phone.wallet().charge(amount, "Bookshop", b"order-0001").unwrap().unwrap();
        let expected = Charge {
            number,
            amount: amount.into(),
            payee: "Bookshop".into(),
            reference: b"order-0001".to_vec(),
            confirmed,
        };
        assert_eq!(bank.take(&charge).unwrap(), expected);
    }
    assert_eq!(search(&card).find(&phone.0.said), None);
    // The same search finds both in the same place.
    let leaks = [&phone.0.said[..], format!("{card:?}").as_bytes()].concat();
    assert_eq!(search(&card).find(&leaks), Some("the number"));
    assert_eq!(search(&card).find(&[&phone.0.said[..], &card[card.len() - 32..]].concat()), Some("the key"));
}

#[test]
fn the_rich_os_cannot_confirm_in_the_persons_place() {
    let (_, card) = bank();
    for (answer, expected) in [(Some(false), NOT_CONFIRMED), (None, NOT_SUPPORTED)] {
        let mut phone = Phone::new(1, answer);
        assert!(phone.update(&phone.card_for(&card, 1)));
        assert_eq!(phone.wallet().charge(2_001, "Attacker Ltd", b"reference").unwrap(), Err(expected));
        // Splitting it up helps as far as the limit, and no further.
        for (amount, expected) in [(1_500, Ok(())), (501, Err(expected)), (500, Ok(())), (1, Err(expected))] {
            let charged = phone.wallet().charge(amount, "Attacker Ltd", b"reference").unwrap();
            assert_eq!(charged.map(drop), expected, "{amount}");
        }
    }
}

#[test]
fn no_command_gives_the_card_away() {
    let (_, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.update(&phone.card_for(&card, 1)));
    let output = || Param::MemrefOutput { capacity: 4096, data: Vec::new() };
    for command in 0..64 {
        for params in [vec![], vec![output()], vec![output(); 4]] {
            let _ = (&mut phone.0).invoke(command, params);
        }
    }
    assert_eq!(phone.wallet().card().unwrap().unwrap(), "**** 1881");
    assert!(!phone.0.said.windows(5).any(|window| window == &PAN.as_bytes()[..5]));
    assert_eq!(search(&card).find(&phone.0.said), None);
    assert_eq!(CARD, 5);
}

#[test]
fn the_bank_takes_no_charge_twice_and_none_that_was_altered() {
    let (mut bank, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.update(&phone.card_for(&card, 1)));
    let first = phone.wallet().charge(100, "Bookshop", b"order-0001").unwrap().unwrap();
    let second = phone.wallet().charge(200, "Bookshop", b"order-0002").unwrap().unwrap();
    for at in 0..first.len() {
        let mut altered = first.clone();
        altered[at] ^= 1;
        assert!(bank.take(&altered).is_err(), "byte {at}");
    }
    assert_eq!(bank.take(&second).unwrap().number, 2);
    // Also after a restart of the bank.
    let mut bank = Bank::load(crypto(), bank.save().expose()).unwrap();
    for charge in [&second, &first] {
        assert!(bank.take(charge).unwrap_err().to_string().contains("taken before"));
    }
}

#[test]
fn a_card_for_one_phone_is_nothing_on_another() {
    let (_, card) = bank();
    let (phone, mut other) = (Phone::new(1, None), Phone::new(2, None));
    assert!(!other.update(&phone.card_for(&card, 1)));
    assert!(other.wallet().card().unwrap().is_err());
}
