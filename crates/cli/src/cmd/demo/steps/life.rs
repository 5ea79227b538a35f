//! The life of a TA: asked for, installed, used, updated, removed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;
use tamarack_broker::SOCKET_NAME;
use tamarack_cbor::Limits;
use tamarack_channel::{Message as Frame, Request};
use tamarack_cose::Encrypted;
use tamarack_eat::{Confirmation, Token};
use tamarack_model::ComponentId;
use tamarack_teep::{EVIDENCE_CONTEXT, Message, QueryResponse, SignedMessage};

use super::setup::developer;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, VALVE, WALLET};
use crate::cmd::demo::world::{Receipt, World};

/// The device's QueryResponses of one step, oldest first.
pub fn query_responses(world: &World, step: &str, device: char) -> Vec<(Vec<u8>, QueryResponse)> {
    let mut found = Vec::new();
    for record in world.relay.records() {
        if record.step == step && record.device == device && record.to_tam {
            let parsed = SignedMessage::parse(&record.bytes, &Limits::default());
            if let Ok(Message::QueryResponse(response)) = parsed.and_then(|message| message.unverified()) {
                found.push((record.bytes, response));
            }
        }
    }
    found
}

/// The claims of the Evidence in a QueryResponse, which the caller has no need to verify: the TAM did. With the TAM's key,
/// for nobody else can read them.
pub fn claims(world: &World, response: &QueryResponse) -> Result<tamarack_eat::Claims> {
    let payload = response.attestation_payload.as_deref().context("a QueryResponse without Evidence")?;
    let failed = |e: tamarack_cose::Error| anyhow::anyhow!("{e}");
    let key = std::fs::read_to_string(world.dir.join("tam/keys/evidence.key"))?;
    let key = tamarack_pki::load_agreement_key(&key)?;
    let encrypted = Encrypted::parse(payload, &Limits::default()).map_err(failed)?;
    let plain = encrypted.decrypt(&*key, None, EVIDENCE_CONTEXT, &world.crypto).map_err(failed)?;
    let token = Token::parse(plain.expose(), &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    token.unverified().map_err(|e| anyhow::anyhow!("{e}"))
}

/// Notes the device's TEEP key: the one that its Evidence vouches for.
pub fn learn_teep_key(world: &mut World, step: &str, device: char) -> Result<()> {
    let (_, response) = query_responses(world, step, device).pop().context("no QueryResponse was seen")?;
    match claims(world, &response)?.cnf {
        Some(Confirmation::Key(key)) => world.device_mut(device)?.teep_key = Some(key),
        _ => bail!("the Evidence vouches for no TEEP key"),
    }
    Ok(())
}

fn lists(held: &Json, id: &ComponentId) -> bool {
    let id = id.to_string();
    held["components"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == id.as_str()))
}

pub fn request_install(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    for ta in [&WALLET, &VALVE] {
        let state = device.request(&ta.component())?;
        ensure!(state == "INSTALLED", "{} is {state}", ta.name);
        ensure!(device.sequence(&ta.manifest())? == Some(1), "{} 1 is not installed", ta.name);
    }
    let known = world.rest()?.device(&device.id()?)?;
    ensure!(lists(&known["reported"], &WALLET.manifest()), "the TAM does not know of the wallet: {known}");
    learn_teep_key(world, "request-install", 'a')?;
    let of_step = |record: &&super::super::relay::Record| record.step == "request-install";
    let messages = world.relay.records().iter().filter(of_step).count();
    story.say("an app on device a asks its Broker for wallet and valve; the Broker only carries bytes");
    story.say("TAM -> QueryRequest; device -> QueryResponse with Evidence; the TAM checks chain, nonce and key, plans");
    story.say("TAM -> Update with the SUIT manifest; the TEE checks TAM, binding, signer, prefix, sequence and digest");
    story.say("TEE -> Success with a signed SUIT report; the TAM has the device as `reported`");
    story.fact("messages", messages);
    story.fact("grade", known["grade"].clone());
    Ok(())
}

pub fn attested(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    let id = device.id()?;
    let before = world.rest()?.device(&id)?;
    ensure!(lists(&before["reported"], &VALVE.manifest()), "the valve is not reported: {before}");
    ensure!(
        !lists(&before["attested"], &VALVE.manifest()),
        "attested without Evidence that shows it: {before}"
    );
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let after = world.rest()?.device(&id)?;
    for ta in [&WALLET, &VALVE] {
        ensure!(lists(&after["attested"], &ta.manifest()), "{} is not attested: {after}", ta.name);
    }
    story.say("before: the valve is `reported` by the device's word, and not attested");
    story.say(format!("after fresh Evidence: `attested`, grade {}", after["grade"].as_str().unwrap_or("?")));
    story.fact("grade", after["grade"].clone());
    story.fact("claims", after["claims"].clone());
    Ok(())
}

/// Pays as a merchant would be paid, and keeps the receipt.
pub fn pay(world: &mut World, amount: u32, payee: &str) -> Result<tas::Paid> {
    let mut reference = vec![0; 16];
    world.crypto.random.fill(&mut reference).map_err(|e| anyhow::anyhow!("{e}"))?;
    let device = world.device('a')?;
    let key = tas::wallet_key(device)?;
    let bytes = tas::pay(device, amount, payee, &reference)?;
    let receipt = Receipt { bytes, key, reference };
    let paid = tas::verify_receipt(&receipt, &world.crypto)?;
    world.receipts.push(receipt);
    Ok(paid)
}

pub fn invoke_v1(world: &mut World, story: &mut Story) -> Result<()> {
    world.wallet_key = Some(tas::wallet_key(world.device('a')?)?);
    let paid = pay(world, 1250, "Corner Bakery")?;
    ensure!(
        paid == tas::Paid { number: 1, amount: 1250, payee: "Corner Bakery".into(), spent: 1250 },
        "{paid:?}"
    );
    // One bit of the receipt changed: the merchant sees it.
    let good = world.receipts.last().context("a receipt")?;
    let mut forged =
        Receipt { bytes: good.bytes.clone(), key: good.key.clone(), reference: good.reference.clone() };
    forged.bytes[40] ^= 1;
    ensure!(tas::verify_receipt(&forged, &world.crypto).is_err(), "a forged receipt was accepted");
    story.say(
        "the wallet pays 12.50 to Corner Bakery and signs a receipt with a key that never leaves the TEE",
    );
    story.say("outside, the merchant checks it: signature, amount and its own reference hold; one bit changed, and not");
    story.fact("wallet_key", hex::encode(world.wallet_key.as_deref().unwrap_or_default()));
    story.fact("payment", paid.number);
    Ok(())
}

pub fn valve_actuate(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    let position = || -> Result<Vec<u8>> {
        let found = device.status()?.peripherals.into_iter().find(|(name, _)| name == "valve");
        Ok(found.context("the device has no valve")?.1)
    };
    ensure!(position()? == b"closed", "the valve is not closed at first");
    ensure!(tas::valve(device, 1)? == (true, 1), "the TA did not open the valve");
    ensure!(position()? == b"open", "the TA says that the valve is open, and it is not");
    story.say("the valve TA opens the valve: the device's own status shows it open");

    // The rich OS: there is no request that moves it, and those that change the device are not for apps.
    let before = world.digests()?;
    let mut refused = Vec::new();
    for (what, frames) in [
        ("a request that does not exist: move the valve", unknown_request()),
        (
            "an order that would bind the valve to something else",
            Frame { id: 1, body: Request::ChangeAnchor(b"valve=com.attacker".to_vec()) }.to_frames()?,
        ),
    ] {
        ensure!(!accepted(device, &frames)?, "{what}: accepted");
        refused.push(what);
    }
    let after = world.digests()?;
    ensure!(position()? == b"open" && before == after, "the valve or the state has changed");
    ensure!(tas::valve(device, 2)? == (false, 2), "the TA did not close the valve");
    story.say("the rich OS has no way to move it: two attempts past the TA are refused, nothing changed");
    story.say("the TA closes it again");
    story.fact("refused", refused);
    Ok(())
}

/// A frame with an operation that the channel does not have.
fn unknown_request() -> Vec<u8> {
    // [version 1, id 1, op 99, ["valve", "open"]]
    let body = b"\x84\x01\x01\x18\x63\x82\x65valve\x64open";
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// Sends frames to the apps' socket; whether anything but a refusal came back.
fn accepted(device: &crate::cmd::demo::world::Device, frames: &[u8]) -> Result<bool> {
    let mut stream = UnixStream::connect(device.dir.join(SOCKET_NAME))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(frames)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let answer = tamarack_channel::receive::<tamarack_channel::Reply, std::io::Error>(|buffer| {
        stream.read_exact(buffer)
    });
    Ok(match answer {
        // The connection was closed on it.
        Err(_) => false,
        Ok(Ok(reply)) => reply.body.result.is_ok(),
        Ok(Err(_)) => true,
    })
}

pub fn publish_v2(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.envelope(2, &developer(world, "acme")?, &world.crypto)?;
    let entry = world.rest()?.publish(&world.tokens[0], &envelope)?;
    ensure!(entry["sequence"] == 2, "the catalogue has {entry}");
    std::fs::write(world.dir.join("wallet-v2.suit"), &envelope)?;
    story.say(format!("acme published wallet 2, {} bytes", envelope.len()));
    // The same sequence number with other content is no new version.
    let again = WALLET.tampered(2, &developer(world, "acme")?, &world.crypto)?;
    let (status, problem) = world.rest()?.try_publish(&world.tokens[0], &again)?;
    ensure!(status >= 400, "the TAM took a second wallet 2 with a changed payload: {problem}");
    story.say(format!("a wallet 2 with a changed payload is refused: HTTP {status} {}", problem["code"]));
    Ok(())
}

pub fn policy_update(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let sequence = device.sequence(&WALLET.manifest())?;
    ensure!(sequence == Some(2), "the device has wallet {sequence:?}");
    ensure!(device.policy_check()?.is_none(), "the second policy check failed");
    story.say("a policy check brings wallet 2, staged beside wallet 1 and swapped in one commit");
    Ok(())
}

pub fn state_survived(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    let key = tas::wallet_key(device)?;
    ensure!(Some(&key) == world.wallet_key.as_ref(), "the update made a new key");
    let status = tas::wallet_status(device)?;
    ensure!(status.version == 2 && status.payments == 1 && status.spent == 1250, "{status:?}");
    let paid = pay(world, 750, "Bookshop")?;
    ensure!(paid.number == 2 && paid.spent == 2000, "{paid:?}");
    story.say("wallet 2 has the key of wallet 1 and remembers payment 1");
    story.say(
        "payment 2 of 7.50: its receipt says number 2, 20.00 spent in all, and the merchant can check it",
    );
    story.fact("wallet_key", hex::encode(&key));
    story.fact("spent", paid.spent);
    Ok(())
}

pub fn unrequest_delete(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    let before = tas::wallet_status(device)?;
    ensure!(before.payments > 0, "the wallet was not used");
    device.app()?.unrequest_ta(&WALLET.component())?;
    ensure!(device.sequence(&WALLET.manifest())?.is_none(), "the wallet is still installed");
    ensure!(tas::wallet_status(device).is_err(), "the wallet still answers");
    story.say("the app does not need the wallet any more: the TAM has it removed, with key and counter");
    let state = device.request(&WALLET.component())?;
    ensure!(state == "INSTALLED", "the reinstalled wallet is {state}");
    let (key, after) = (tas::wallet_key(device)?, tas::wallet_status(device)?);
    ensure!(Some(&key) != world.wallet_key.as_ref(), "the key came back");
    ensure!(after.payments == 0 && after.spent == 0, "the counter came back: {after:?}");
    story.say("installed again, in an Update bound to this exchange: a new key, nothing spent; the old data is gone");
    story.fact("new_wallet_key", hex::encode(&key));
    Ok(())
}
