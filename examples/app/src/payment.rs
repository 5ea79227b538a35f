//! Payment: a bank's card in a phone that the bank does not own.
//!
//! | part | where it runs | sees the card number |
//! |---|---|---|
//! | [`Bank`] | with the bank | yes |
//! | the normal app and its [`Wallet`] | on the phone, in the rich OS | no |
//! | the TA `wallet` | in the phone's TEE | yes, once the bank has put it in |
//! | the panel | on the phone, driven by the TEE | the last four digits |
//!
//! 1. The bank makes a card, encrypts it to the key that the device's Evidence shows and signs it (`tamarack ta
//!    personalize`). The TAM carries it.
//! 2. The app asks the wallet for a charge. For more than a little the wallet asks the person, on the device's own panel.
//! 3. The charge is sealed for the bank. The app carries it; altering it spoils it, and the bank takes each number once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{Provider, Secret};
use tamarack_model::ComponentId;
use tamarack_tee::Param;

use crate::Carrier;
use crate::session::memory;

/// The UUID of the wallet: 8d82573a-926d-4754-9353-32dc29997f74.
pub const WALLET: [u8; 16] = *b"\x8d\x82\x57\x3a\x92\x6d\x47\x54\x93\x53\x32\xdc\x29\x99\x7f\x74";
/// Commands of the wallet (`examples/ta/wallet/wallet.h`).
pub const CARD: u32 = 5;
/// See [`CARD`].
pub const CHARGE: u32 = 6;
/// What the wallet returns if the person says no.
pub const NOT_CONFIRMED: u32 = 0x0001_0002;
/// What the wallet returns if there is nobody to ask.
pub const NOT_SUPPORTED: u32 = 0xffff_000a;
/// What a charge is sealed for.
const SEALED_FOR: &[u8] = b"tamarack-wallet-charge";

/// The component id of the wallet in the domain of its provider.
///
/// # Panics
/// If `domain` is empty or longer than 64 bytes.
pub fn wallet(domain: &str) -> ComponentId {
    ComponentId::tamarack(domain, WALLET, "ta").expect("a domain of 1 to 64 bytes")
}

/// A card, as the bank keeps it.
pub struct Card {
    pan: String,
    expiry: String,
    key: Secret<[u8; 32]>,
    last: u64,
}

/// What the bank reads in a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Number of the charge of this card, from 1.
    pub number: u64,
    /// Minor units.
    pub amount: u64,
    /// To whom.
    pub payee: String,
    /// What the merchant gave.
    pub reference: Vec<u8>,
    /// Whether a person said yes at the device.
    pub confirmed: bool,
}

/// A bank: it makes cards and takes charges.
pub struct Bank {
    crypto: Provider,
    cards: BTreeMap<String, Card>,
}

impl Bank {
    /// Without cards.
    pub fn new(crypto: Provider) -> Self {
        Self { crypto, cards: BTreeMap::new() }
    }

    /// Makes a card, and gives what a wallet is personalized with: whoever has it can pay.
    ///
    /// # Errors
    /// If the number has not 12 to 19 digits or the expiry not 5 characters, or there is no randomness.
    pub fn issue(&mut self, pan: &str, expiry: &str) -> Result<Secret<Vec<u8>>> {
        let digits = pan.bytes().all(|b| b.is_ascii_digit());
        ensure!(
            digits && (12..=19).contains(&pan.len()) && expiry.len() == 5,
            "not a card: digits, and MM/YY"
        );
        let mut key = Secret::new([0; 32]);
        self.crypto.random.fill(key.expose_mut()).map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut e = Encoder::new();
        e.array(5).text("tamarack-wallet-card").uint(1).text(pan).text(expiry).bytes(key.expose());
        let card = Card { pan: pan.into(), expiry: expiry.into(), key, last: 0 };
        self.cards.insert(masked(pan), card);
        Ok(Secret::new(e.into_bytes()))
    }

    /// What the bank writes down of its cards; it holds their keys.
    pub fn save(&self) -> Secret<Vec<u8>> {
        let mut e = Encoder::new();
        e.array(self.cards.len());
        for Card { pan, expiry, key, last } in self.cards.values() {
            e.array(4).text(pan).text(expiry).bytes(key.expose()).uint(*last);
        }
        Secret::new(e.into_bytes())
    }

    /// Reads what [`Bank::save`] gave.
    ///
    /// # Errors
    /// If it is something else.
    pub fn load(crypto: Provider, saved: &[u8]) -> Result<Self> {
        let limits = Limits::default();
        let mut d = Decoder::new(saved, &limits)?;
        let mut cards = BTreeMap::new();
        for _ in 0..d.array()? {
            d.array_of(4, "a card")?;
            let (pan, expiry) = (d.text()?.to_owned(), d.text()?.to_owned());
            let key = Secret::new(d.byte_array("a key of 32 bytes")?);
            cards.insert(masked(&pan), Card { pan, expiry, key, last: d.uint()? });
        }
        Ok(Self { crypto, cards })
    }

    /// Takes a charge: it was sealed with the card's key, and its number is higher than all before.
    ///
    /// # Errors
    /// Why it is not taken; nothing is booked then.
    pub fn take(&mut self, charge: &[u8]) -> Result<Charge> {
        let limits = Limits::default();
        let mut d = Decoder::new(charge, &limits)?;
        d.array_of(3, "card, number and sealed")?;
        let (shown, number) = (d.text()?, d.uint()?);
        let card = self.cards.get_mut(shown).context("not a card of this bank")?;
        let (nonce, sealed) = d.bytes()?.split_first_chunk::<12>().context("too short")?;
        let inside = self.crypto.aead.open(card.key.expose(), nonce, SEALED_FOR, sealed);
        let inside = Secret::new(inside.map_err(|_| anyhow::anyhow!("the card did not make this"))?);
        let mut d = Decoder::new(inside.expose(), &limits)?;
        d.array_of(9, "the elements of a charge")?;
        ensure!(d.text()? == "tamarack-wallet-charge" && d.uint()? == 1, "not a charge");
        ensure!(d.text()? == card.pan && d.text()? == card.expiry, "of another card");
        ensure!(d.uint()? == number, "the number was altered");
        if number <= card.last {
            bail!("charge {number} of this card was taken before");
        }
        let (amount, payee) = (d.uint()?, d.text()?.to_owned());
        let (reference, confirmed) = (d.bytes()?.to_vec(), d.uint()? == 1);
        card.last = number;
        Ok(Charge { number, amount, payee, reference, confirmed })
    }
}

fn masked(pan: &str) -> String {
    format!("**** {}", &pan[pan.len().saturating_sub(4)..])
}

/// The wallet, as its normal app has it.
pub struct Wallet<C>(pub C);

impl<C: Carrier> Wallet<C> {
    /// What people may see of the card.
    ///
    /// # Errors
    /// If the wallet cannot be asked; inside, what it returned.
    pub fn card(&mut self) -> Result<Result<String, u32>> {
        let params = vec![Param::MemrefOutput { capacity: 16, data: Vec::new() }];
        self.0
            .invoke(CARD, params)?
            .map_or_else(|code| Ok(Err(code)), |params| Ok(Ok(String::from_utf8(memory(params, 0)?)?)))
    }

    /// Charges the card; gives the charge for the bank.
    ///
    /// # Errors
    /// If the wallet cannot be asked; inside, what it returned.
    pub fn charge(&mut self, amount: u32, payee: &str, reference: &[u8]) -> Result<Result<Vec<u8>, u32>> {
        let params = vec![
            Param::ValueInput(amount, 0),
            Param::MemrefInput(payee.into()),
            Param::MemrefInput(reference.into()),
            Param::MemrefOutput { capacity: 320, data: Vec::new() },
        ];
        self.0.invoke(CHARGE, params)?.map_or_else(|code| Ok(Err(code)), |params| memory(params, 3).map(Ok))
    }
}
