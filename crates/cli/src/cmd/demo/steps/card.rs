//! Card data from the bank to one TA on one device, and a person's word for what it pays.

use anyhow::{Context, Result, ensure};
use example_apps::Session;
use example_apps::payment::{Bank, NOT_CONFIRMED, Wallet};
use example_apps::search::{Search, files, memory};
use tamarack_model::codes;

use super::setup::developer;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, WALLET};
use crate::cmd::demo::world::{World, is_root};

/// The card number: a test number of the schemes.
const PAN: &str = "4012888888881881";

pub fn wallet_card(world: &mut World, story: &mut Story) -> Result<()> {
    // The bank: it has the TAM's word for the device's key, and its own key for the card.
    let mut bank = Bank::new(world.crypto);
    let card = bank.issue(PAN, "12/29")?;
    let (device, rest) = (world.device('a')?, world.rest()?);
    let id = device.id()?;
    let shown = rest.get(&format!("/devices/{id}/decryption-key"))?;
    let key = tamarack_pki::public_key_from_pem(shown["key"].as_str().context("the device showed no key")?)?;
    let card = card.expose();
    let envelope =
        tas::personalization(&WALLET, card, Some(&key), 1, &developer(world, "acme")?, &world.crypto)?;
    // A TAM takes no data that it could read; of another card, for here it does see it.
    let other = Bank::new(world.crypto).issue("5105105105105100", "12/29")?;
    let plain =
        tas::personalization(&WALLET, other.expose(), None, 1, &developer(world, "acme")?, &world.crypto)?;
    let (status, problem) = rest.personalize(&world.tokens[0], &id, &plain)?;
    ensure!(status >= 400 && problem["code"] == codes::PUBLISH_PAYLOAD.to_string(), "{status}: {problem}");
    // Nor what another provider signed.
    let globex =
        tas::personalization(&WALLET, card, Some(&key), 1, &developer(world, "globex")?, &world.crypto)?;
    let (refused, _) = rest.personalize(&world.tokens[1], &id, &globex)?;
    ensure!(refused >= 400, "a TAM took card data that another provider signed");
    let (status, given) = rest.personalize(&world.tokens[0], &id, &envelope)?;
    ensure!(status == 201, "the TAM answered {status}: {given}");
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let rows = rest.get(&format!("/devices/{id}/personalization"))?;
    ensure!(rows["items"][0]["delivered"].is_u64(), "the device does not have the card: {rows}");
    let mut wallet = Wallet(Session::open(&device.dir, &WALLET.component())?);
    ensure!(wallet.card()?.as_deref() == Ok("**** 1881"), "the wallet has another card");
    story.say("the bank encrypts card data to the key that the device's Evidence shows, and signs it; the TAM carries it");
    story.say(
        "the wallet has the card **** 1881; the TAM refuses card data in the clear, and another provider's",
    );

    // A little goes without asking; more needs the person at the device.
    let panel = world.panel.as_ref().context("device a has no panel")?;
    let small = wallet.charge(450, "Corner Bakery", b"order-0001")?.map_err(returned)?;
    ensure!(panel.asked().is_empty(), "the wallet asked about 4.50");
    panel.answer(true);
    let large = wallet.charge(4990, "Bookshop", b"order-0002")?.map_err(returned)?;
    let asked = panel.asked();
    ensure!(
        matches!(&asked[..], [text] if text.contains("Pay 49.90 to Bookshop with card **** 1881?")
            && text.contains(&WALLET.manifest().to_string())),
        "the person was asked {asked:?}"
    );
    panel.answer(false);
    let no = wallet.charge(4990, "Attacker Ltd", b"order-0003")?;
    ensure!(no == Err(NOT_CONFIRMED), "the person said no, and the wallet {no:?}");
    for (charge, amount, payee, confirmed) in
        [(&small, 450, "Corner Bakery", false), (&large, 4990, "Bookshop", true)]
    {
        let taken = bank.take(charge)?;
        ensure!(
            (taken.amount, &*taken.payee, taken.confirmed) == (amount, payee, confirmed),
            "the bank reads another charge than was asked for: {taken:?}"
        );
    }
    story.say("4.50: paid; 49.90: the panel shows \"Pay 49.90 to Bookshop with card **** 1881?\", yes, paid; no: not paid");

    // The rich OS: a charge once more, one of its own making, and a look for the number in all that it has.
    ensure!(bank.take(&large).is_err(), "the bank took a charge twice");
    let mut forged = large.clone();
    let end = forged.len() - 20;
    forged[end] ^= 1;
    ensure!(bank.take(&forged).is_err(), "the bank took a forged charge");
    story.say("the rich OS repeats a charge and forges one: the bank takes neither");
    // Of the ciphertext.
    let searched = search(world, card, &envelope[envelope.len() - 64..envelope.len() - 32])?;
    story.say(format!(
        "the card number is in no message, file, log or database, and in no memory of Broker or TAM: {} searched",
        searched
    ));
    story.fact("searched", searched);
    story.fact("asked", asked);
    Ok(())
}

fn returned(code: u32) -> anyhow::Error {
    anyhow::anyhow!("the wallet returned {code:#010x}")
}

/// Looks for number and key of the card in every message and file, and as root in the memory of Broker and TAM. `carried` is
/// part of what the TAM was given for the device, which must be found.
fn search(world: &World, card: &[u8], carried: &[u8]) -> Result<String> {
    // The first twelve digits: nothing else looks like them. The key ends what the bank makes.
    let key = &card[card.len() - 32..];
    let search = Search::new(&[("the card number", &PAN.as_bytes()[..12]), ("the card's key", key)]);
    let records = world.relay.records().into_iter();
    let messages = search.through(
        "the messages",
        carried,
        records.map(|record| (format!("of {}", record.step), record.bytes)),
    )?;
    let files = search.through("the files", carried, files(&world.dir))?;
    let mut bytes = 0;
    if is_root() {
        // Each was started with a path, which lies on its stack.
        let device = world.device('a')?;
        let broker = (device.broker.pid(), device.dir.display().to_string());
        for (who, (pid, path)) in
            [("the Broker", broker), ("the TAM", (world.tam_pid()?, world.path("tam/tam.toml")))]
        {
            let place = format!("the memory of {who}");
            bytes += search.through(&place, path.as_bytes(), memory(pid)?)?.bytes;
        }
    }
    let memory = if bytes > 0 { format!(", {} MiB of memory", bytes >> 20) } else { String::new() };
    Ok(format!("{} messages, {} files{memory}", messages.pieces, files.pieces))
}
