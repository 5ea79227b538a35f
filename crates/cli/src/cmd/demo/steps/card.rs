//! Card data from the bank to one TA on one device, and a person's word for what it pays.

use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tamarack_cbor::{Decoder, Limits};
use tamarack_crypto::Provider;
use tamarack_model::codes;

use super::setup::developer;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, WALLET};
use crate::cmd::demo::world::{World, is_root};

/// The card number: a test number of the schemes.
const PAN: &str = "4012888888881881";
/// What the wallet returns if the person says no.
const NOT_CONFIRMED: u32 = 0x0001_0002;

pub fn wallet_card(world: &mut World, story: &mut Story) -> Result<()> {
    // The bank: it has the TAM's word for the device's key, and its own key for the card.
    let mut card_key = vec![0; 32];
    world.crypto.random.fill(&mut card_key).map_err(|e| anyhow::anyhow!("{e}"))?;
    let (device, rest) = (world.device('a')?, world.rest()?);
    let id = device.id()?;
    let shown = rest.get(&format!("/devices/{id}/decryption-key"))?;
    let key = tamarack_pki::public_key_from_pem(shown["key"].as_str().context("the device showed no key")?)?;
    let card = tas::card(PAN, &card_key);
    let envelope =
        tas::personalization(&WALLET, &card, Some(&key), 1, &developer(world, "acme")?, &world.crypto)?;
    // A TAM takes no data that it could read; of another card, for here it does see it.
    let other = tas::card("5105105105105100", &card_key);
    let plain = tas::personalization(&WALLET, &other, None, 1, &developer(world, "acme")?, &world.crypto)?;
    let (status, problem) = rest.personalize(&world.tokens[0], &id, &plain)?;
    ensure!(status >= 400 && problem["code"] == codes::PUBLISH_PAYLOAD.to_string(), "{status}: {problem}");
    // Nor what another provider signed.
    let globex =
        tas::personalization(&WALLET, &card, Some(&key), 1, &developer(world, "globex")?, &world.crypto)?;
    let (refused, _) = rest.personalize(&world.tokens[1], &id, &globex)?;
    ensure!(refused >= 400, "a TAM took card data that another provider signed");
    let (status, given) = rest.personalize(&world.tokens[0], &id, &envelope)?;
    ensure!(status == 201, "the TAM answered {status}: {given}");
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let rows = rest.get(&format!("/devices/{id}/personalization"))?;
    ensure!(rows["items"][0]["delivered"].is_u64(), "the device does not have the card: {rows}");
    ensure!(tas::wallet_card(device)? == "**** 1881", "the wallet has another card");
    story.say("the bank encrypts card data to the key that the device's Evidence shows, and signs it; the TAM carries it");
    story.say(
        "the wallet has the card **** 1881; the TAM refuses card data in the clear, and another provider's",
    );

    // A little goes without asking; more needs the person at the device.
    let panel = world.panel.as_ref().context("device a has no panel")?;
    let small = tas::charge(device, 450, "Corner Bakery", b"order-0001")?.map_err(returned)?;
    ensure!(panel.asked().is_empty(), "the wallet asked about 4.50");
    panel.answer(true);
    let large = tas::charge(device, 4990, "Bookshop", b"order-0002")?.map_err(returned)?;
    let asked = panel.asked();
    ensure!(
        matches!(&asked[..], [text] if text.contains("Pay 49.90 to Bookshop with card **** 1881?")
            && text.contains(&WALLET.manifest().to_string())),
        "the person was asked {asked:?}"
    );
    panel.answer(false);
    let no = tas::charge(device, 4990, "Attacker Ltd", b"order-0003")?;
    ensure!(no == Err(NOT_CONFIRMED), "the person said no, and the wallet {no:?}");
    let mut bank = Bank { key: card_key, last: 0 };
    ensure!(bank.accept(&small, &world.crypto)? == (450, false), "the bank reads another charge");
    ensure!(bank.accept(&large, &world.crypto)? == (4990, true), "the bank reads another charge");
    story.say("4.50: paid; 49.90: the panel shows \"Pay 49.90 to Bookshop with card **** 1881?\", yes, paid; no: not paid");

    // The rich OS: a charge once more, one of its own making, and a look for the number in all that it has.
    ensure!(bank.accept(&large, &world.crypto).is_err(), "the bank took a charge twice");
    let mut forged = large.clone();
    let end = forged.len() - 20;
    forged[end] ^= 1;
    ensure!(bank.accept(&forged, &world.crypto).is_err(), "the bank took a forged charge");
    story.say("the rich OS repeats a charge and forges one: the bank takes neither");
    let searched = search(world)?;
    ensure!(searched.found.is_empty(), "the card number is in {}", searched.found.join(", "));
    story.say(format!(
        "the card number is in no message, file, log or database, and in no memory of Broker or TAM: {} searched",
        searched.what
    ));
    story.fact("searched", searched.what);
    story.fact("asked", asked);
    Ok(())
}

fn returned(code: u32) -> anyhow::Error {
    anyhow::anyhow!("the wallet returned {code:#010x}")
}

/// What the bank does with a charge.
struct Bank {
    key: Vec<u8>,
    last: u64,
}

impl Bank {
    /// Amount, and whether a person confirmed it; each number once.
    fn accept(&mut self, charge: &[u8], crypto: &Provider) -> Result<(u64, bool)> {
        let limits = Limits::default();
        let mut d = Decoder::new(charge, &limits)?;
        d.array_of(3, "card, number and sealed")?;
        d.text()?;
        let number = d.uint()?;
        let key: [u8; 32] = self.key.as_slice().try_into()?;
        let (nonce, sealed) = d.bytes()?.split_first_chunk::<12>().context("too short")?;
        let inside = crypto.aead.open(&key, nonce, b"tamarack-wallet-charge", sealed);
        let inside = inside.map_err(|e| anyhow::anyhow!("not of this card: {e}"))?;
        let mut d = Decoder::new(&inside, &limits)?;
        d.array_of(9, "the elements of a charge")?;
        ensure!(d.text()? == "tamarack-wallet-charge" && d.uint()? == 1, "not a charge");
        ensure!(d.text()? == PAN && d.text()? == "12/29" && d.uint()? == number, "of another card");
        if number <= self.last {
            bail!("charge {number} was taken before");
        }
        self.last = number;
        let amount = d.uint()?;
        d.text()?;
        d.bytes()?;
        Ok((amount, d.uint()? == 1))
    }
}

struct Searched {
    what: String,
    found: Vec<String>,
}

/// Looks for the card number in every message and file, and as root in the memory of Broker and TAM.
fn search(world: &World) -> Result<Searched> {
    let mut found = Vec::new();
    // The first twelve digits: nothing else looks like them.
    let needle = &PAN.as_bytes()[..12];
    let mut look = |what: &str, bytes: &[u8]| {
        if bytes.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle) {
            found.push(what.to_owned());
        }
    };
    let records = world.relay.records();
    records.iter().for_each(|record| look(&format!("a message of {}", record.step), &record.bytes));
    let mut files = Vec::new();
    list(&world.dir, &mut files);
    for file in &files {
        if let Ok(bytes) = std::fs::read(file) {
            look(&file.display().to_string(), &bytes);
        }
    }
    let mut memory = 0;
    if is_root() {
        for (who, pid) in [("the Broker", world.device('a')?.broker.pid()), ("the TAM", world.tam_pid()?)] {
            for bytes in writable_memory(pid)? {
                memory += bytes.len();
                look(&format!("the memory of {who}"), &bytes);
            }
        }
    }
    let what = format!(
        "{} messages, {} files{}",
        records.len(),
        files.len(),
        if memory > 0 { format!(", {} MiB of memory", memory >> 20) } else { String::new() }
    );
    Ok(Searched { what, found })
}

fn list(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

/// What a process can write to, as far as it can be read.
fn writable_memory(pid: u32) -> Result<Vec<Vec<u8>>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(mode)) = (words.next(), words.next()) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else {
            continue;
        };
        // Reserved and never touched address space is larger than any memory.
        if !mode.starts_with("rw") || to - from > 64 << 20 {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from)?];
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            regions.push(bytes);
        }
    }
    ensure!(!regions.is_empty(), "the memory of {pid} cannot be read even by root");
    Ok(regions)
}
