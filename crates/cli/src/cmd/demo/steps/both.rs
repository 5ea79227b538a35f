//! Two makers' devices, one that speaks TEEP and one that speaks OTrP, and one TAM for both.

use anyhow::{Context, Result, ensure};
use tamarack_model::Protocol;
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Content, DeleteTa};
use tamarack_tee::Params;

use super::setup::developer;
use crate::cmd::demo::otrp::{Verdict, name_of};
use crate::cmd::demo::relay::{Answer, Fate};
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{self, HELLO, VALVE, WALLET};
use crate::cmd::demo::world::{Receipt, World};

const DEVICES: [char; 2] = ['a', 'b'];

pub fn request_install(world: &mut World, story: &mut Story) -> Result<()> {
    for name in DEVICES {
        let device = world.device(name)?;
        let state = device.request(&WALLET.component())?;
        ensure!(state == "INSTALLED", "the wallet on device {name} is {state}");
        ensure!(device.sequence(&WALLET.manifest())? == Some(1), "device {name} has no wallet 1");
        let known = world.rest()?.device(&device.id()?)?;
        let held = known["reported"].to_string() + &known["attested"].to_string();
        ensure!(held.contains(&WALLET.manifest().to_string()), "the TAM does not know of it: {known}");
        let spoken = world
            .relay
            .records()
            .into_iter()
            .filter(|r| r.device == name)
            .all(|r| r.protocol == device.protocol);
        ensure!(spoken, "device {name} spoke another protocol than {}", device.protocol);
    }
    let installed = |name: char| -> Result<[u8; 32]> {
        let all = world.device(name)?.status()?.installed;
        let found = all.into_iter().find(|one| one.manifest == WALLET.manifest());
        Ok(found.context("the wallet is not there")?.digest)
    };
    ensure!(installed('a')? == installed('b')?, "the devices have different wallets");
    story.say(
        "device a, of the first maker: QueryRequest, QueryResponse, Update, Success (TEEP: CBOR and COSE)",
    );
    story.say("device b, of the second maker: GetDeviceState, CreateSD, InstallTA (OTrP: JSON and JOSE)");
    story.say("both have the same wallet, byte for byte: it was published once, signed once, by acme");
    story.fact("digest", hex::encode(installed('a')?));
    Ok(())
}

pub fn attested(world: &mut World, story: &mut Story) -> Result<()> {
    for name in DEVICES {
        let device = world.device(name)?;
        ensure!(device.policy_check()?.is_none(), "device {name}: the policy check failed");
        let known = world.rest()?.device(&device.id()?)?;
        let attested = known["attested"].to_string();
        ensure!(attested.contains(&WALLET.manifest().to_string()), "device {name} is not attested: {known}");
        story.say(format!(
            "device {name} ({}): attested, grade {}",
            device.protocol,
            known["grade"].as_str().unwrap_or("?")
        ));
        story.fact(&format!("device_{name}"), known["grade"].clone());
    }
    Ok(())
}

/// Pays on a device, as a merchant would be paid, and keeps the receipt.
fn pay(world: &mut World, name: char, amount: u32) -> Result<tas::Paid> {
    let mut reference = vec![0; 16];
    world.crypto.random.fill(&mut reference).map_err(|e| anyhow::anyhow!("{e}"))?;
    let device = world.device(name)?;
    let key = tas::wallet_key(device)?;
    let bytes = tas::pay(device, amount, "Corner Bakery", &reference)?;
    let receipt = Receipt { bytes, key, reference };
    let paid = tas::verify_receipt(&receipt, &world.crypto)?;
    world.receipts.push(receipt);
    Ok(paid)
}

pub fn invoke_v1(world: &mut World, story: &mut Story) -> Result<()> {
    for name in DEVICES {
        let paid = pay(world, name, 1250)?;
        ensure!(paid.number == 1 && paid.spent == 1250, "device {name}: {paid:?}");
    }
    let keys: Vec<_> = world.receipts.iter().map(|receipt| receipt.key.clone()).collect();
    ensure!(keys[0] != keys[1], "two devices have one wallet key");
    story.say("the wallet pays 12.50 on each device, and signs with a key of its own there; the merchant can check both");
    Ok(())
}

pub fn publish_v2(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.envelope_for(false, 2, &developer(world, "acme")?, &world.crypto)?;
    let entry = world.rest()?.publish(&world.tokens[0], &envelope)?;
    ensure!(entry["sequence"] == 2, "the catalogue has {entry}");
    std::fs::write(world.dir.join("wallet-v2.suit"), &envelope)?;
    story.say(format!("acme published wallet 2, {} bytes, for the devices of any maker", envelope.len()));
    Ok(())
}

pub fn policy_update(world: &mut World, story: &mut Story) -> Result<()> {
    for name in DEVICES {
        ensure!(world.device(name)?.policy_check()?.is_none(), "device {name}: the policy check failed");
        let sequence = world.device(name)?.sequence(&WALLET.manifest())?;
        ensure!(sequence == Some(2), "device {name} has wallet {sequence:?}");
        let status = tas::wallet_status(world.device(name)?)?;
        ensure!(status.version == 2 && status.payments == 1, "device {name}: {status:?}");
        let paid = pay(world, name, 750)?;
        ensure!(paid.number == 2 && paid.spent == 2000, "device {name}: {paid:?}");
    }
    story.say("a policy check brings wallet 2 to each: an Update over TEEP, an UpdateTA over OTrP");
    story.say("keys and counters of both wallets live on: payment 2, 20.00 spent in all");
    Ok(())
}

/// Device c speaks TEEP with this TAM, and knows its OTrP name to be the same Owner. The stolen OTrP key is used through an
/// app's socket, which is open to any app.
pub fn stale_state(world: &mut World, story: &mut Story) -> Result<()> {
    let (stolen, device) = (world.stolen_otrp()?, world.device('c')?);
    ensure!(device.request(&HELLO.component())? == "INSTALLED", "device c did not get hello");
    let told = device.app()?.process_otrp_message(&stolen.get_device_state()?)?;
    let told = stolen.state(&told.response)?.context("device c told no state")?;
    let listed = |taid: &str| told.dsi.tee.sdlist.iter().flat_map(|sd| &sd.talist).any(|ta| ta.taid == taid);
    ensure!(listed(&HELLO.taid()), "OTrP does not see what TEEP has installed: {:?}", told.dsi.tee.sdlist);
    story.say("device c is bound to the TAM in both protocols: OTrP shows what came over TEEP");

    ensure!(device.request(&VALVE.component())? == "INSTALLED", "device c did not get the valve");
    let before = world.digests()?;
    let delete = DeleteTa { tamid: tas::TAM_OID.into(), sdname: tas::ACME.into(), taid: HELLO.taid() };
    let command = stolen.command(&told, &Content::DeleteTa(delete), None)?;
    let processed = device.app()?.process_otrp_message(&command)?;
    let verdict = stolen.verdict(&processed.response, &world.tee_certificate('c')?)?;
    ensure!(verdict == Verdict::Refused(ErrorCode::DevStateMismatch), "{verdict:?}");
    let code = processed.failure.map_or(ErrorCode::DevStateMismatch.code(), |failure| failure.code);
    let refusal = Refusal {
        attempt: "with the TAM's key, DeleteTA over OTrP by the state that was told before an Update over TEEP",
        by: "the TEE",
        answer: format!("signed answer {}", ErrorCode::DevStateMismatch),
        code,
    };
    let after = world.digests()?;
    story.refused(refusal, &before, &after)?;
    ensure!(device.sequence(&HELLO.manifest())? == Some(1), "hello is gone");
    story.unchanged(&after);
    Ok(())
}

/// A message that the real TAM made for the other device, in the other protocol, and what came back.
pub fn wrong_protocol(world: &mut World, story: &mut Story) -> Result<()> {
    for (name, other) in [('a', 'b'), ('b', 'a')] {
        let theirs = world.relay.records().into_iter().rfind(|record| {
            let of_tam = !record.to_tam && record.author == "tam" && record.fate == Fate::Genuine;
            record.device == other && of_tam && !record.bytes.is_empty()
        });
        let theirs = theirs.context("nothing was recorded")?.bytes;
        let kind = name_of(&theirs).unwrap_or_else(|| "TEEP Update".into());
        let mut message = Some(theirs);
        let handler = move |_: char, _: &[u8], _: &crate::cmd::demo::relay::Tam| {
            Ok(message
                .take()
                .map_or_else(Answer::nothing, |m| Answer::message(m, "tam").with(Fate::Replayed)))
        };
        let before = world.digests()?;
        let device = world.device(name)?;
        let told = world.relay.with(Box::new(handler), || device.policy_check())?;
        let attempt =
            format!("device {other}'s last {kind}, sent to device {name}, which speaks {}", device.protocol);
        let code = told.with_context(|| format!("{attempt}: accepted"))?;
        let by = if device.protocol == Protocol::Otrp { "the Broker" } else { "the TEE" };
        let answer = "not a message of its protocol".to_owned();
        story.refused(Refusal { attempt: &attempt, by, answer, code }, &before, &world.digests()?)?;
    }
    story.unchanged(&world.digests()?);
    Ok(())
}

pub fn unrequest_delete(world: &mut World, story: &mut Story) -> Result<()> {
    for name in DEVICES {
        let device = world.device(name)?;
        device.app()?.unrequest_ta(&WALLET.component())?;
        ensure!(device.sequence(&WALLET.manifest())?.is_none(), "the wallet is still on device {name}");
        ensure!(device.invoke(&WALLET.component(), 1, Params::new()).is_err(), "it still answers");
    }
    story.say("an Update with an unneeded manifest over TEEP, a DeleteTA over OTrP: gone from both, with keys and counters");
    let state = world.device('b')?.request(&WALLET.component())?;
    ensure!(state == "INSTALLED", "the wallet, asked for again, is {state}");
    Ok(())
}
