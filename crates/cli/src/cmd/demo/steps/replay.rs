//! Old messages sent again: to the TAM, to the device that they were for, and to another.

use anyhow::{Context, Result, ensure};
use tamarack_cbor::Limits;
use tamarack_model::{Code, codes};
use tamarack_suit::Envelope;
use tamarack_teep::{ErrCode, Message, SignedMessage, Update};

use super::life::{learn_teep_key, query_responses};
use crate::cmd::demo::relay::Fate;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{HELLO, WALLET};
use crate::cmd::demo::world::World;

/// The Updates that went to device a, with their bytes, oldest first.
fn updates(world: &World) -> Vec<(Vec<u8>, Update)> {
    let mut found = Vec::new();
    for record in world.relay.records() {
        if !record.to_tam && record.device == 'a' && record.author == "tam" && record.fate == Fate::Genuine {
            let parsed = SignedMessage::parse(&record.bytes, &Limits::default());
            if let Ok(Message::Update(update)) = parsed.and_then(|message| message.unverified()) {
                found.push((record.bytes, update));
            }
        }
    }
    found
}

/// The manifest's digest.
fn digest(envelope: &[u8]) -> Result<Vec<u8>> {
    let limits = tamarack_suit::Limits::default();
    let envelope = Envelope::parse(envelope, &limits).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(envelope.digest_bytes().to_vec())
}

/// The first Update that brings the manifest of this file.
fn update_with(world: &World, file: &str) -> Result<Vec<u8>> {
    let wanted = digest(&std::fs::read(world.dir.join(file))?)?;
    let brings = |(_, update): &(Vec<u8>, Update)| {
        update.manifest_list.iter().any(|envelope| digest(envelope).is_ok_and(|found| found == wanted))
    };
    let found = updates(world).into_iter().find(brings);
    Ok(found.with_context(|| format!("no recorded Update brings {file}"))?.0)
}

pub fn replay(world: &mut World, story: &mut Story) -> Result<()> {
    // Something to replay: hello is installed, removed and installed again.
    let device = world.device('a')?;
    ensure!(device.request(&HELLO.component())? == "INSTALLED", "hello was not installed");
    device.app()?.unrequest_ta(&HELLO.component())?;
    ensure!(device.sequence(&HELLO.manifest())?.is_none(), "hello was not removed");
    ensure!(device.request(&HELLO.component())? == "INSTALLED", "hello was not installed again");
    ensure!(world.device('b')?.policy_check()?.is_none(), "device b could not check for policy");
    learn_teep_key(world, "refuse-replay", 'b')?;

    old_query_response(world, story)?;
    let install = update_with(world, "wallet-v1.suit")?;
    let removes = |(_, update): &(Vec<u8>, Update)| update.unneeded_manifest_list.contains(&HELLO.manifest());
    let delete = updates(world).into_iter().find(removes).context("no recorded Update removes hello")?.0;
    let newest = update_with(world, "wallet-v2.suit")?;
    for (name, attempt, update, expected) in [
        ('a', "the Update that once brought wallet 1, sent after wallet 2", install, codes::TEEP_NOT_BOUND),
        (
            'a',
            "the Update that once removed hello, sent after it was installed again",
            delete,
            codes::TEEP_UNEXPECTED,
        ),
        ('b', "device a's Update for wallet 2, sent to device b", newest, codes::TEEP_NOT_BOUND),
    ] {
        old_update(world, story, name, attempt, update, expected)?;
    }
    ensure!(world.device('a')?.sequence(&HELLO.manifest())? == Some(1), "hello is gone");
    ensure!(world.device('a')?.sequence(&WALLET.manifest())? == Some(2), "wallet 2 is gone");
    ensure!(world.device('b')?.sequence(&WALLET.manifest())?.is_none(), "device b has the wallet");
    story.unchanged(&world.digests()?);
    Ok(())
}

fn old_query_response(world: &World, story: &mut Story) -> Result<()> {
    let old = query_responses(world, "request-install", 'a').into_iter().next();
    let (old, _) = old.context("no QueryResponse was recorded")?;
    let before = world.digests()?;
    let answer = world.relay.direct(&old, "device", Fate::Replayed)?;
    ensure!(answer.status == 204, "the TAM answered an old QueryResponse with HTTP {}", answer.status);
    let refusal = Refusal {
        attempt: "device a's first QueryResponse, posted to the TAM again",
        by: "the TAM",
        answer: "HTTP 204, the challenge was answered before".into(),
        code: codes::EVIDENCE_STALE,
    };
    story.refused(refusal, &before, &world.digests()?)
}

fn old_update(
    world: &World,
    story: &mut Story,
    name: char,
    attempt: &str,
    update: Vec<u8>,
    expected: Code,
) -> Result<()> {
    let before = world.digests()?;
    let exchange = world.replay_to(name, update)?;
    let error = world.signed_error(name, &exchange.last)?;
    ensure!(error.err_code == ErrCode::PermanentError, "{attempt}: the answer is {}", error.err_code);
    ensure!(
        exchange.told == Some(expected),
        "{attempt}: refused as {:?}, expected {expected}",
        exchange.told
    );
    let answer = format!("error {}", error.err_code.number());
    story.refused(Refusal { attempt, by: "the TEE", answer, code: expected }, &before, &world.digests()?)
}
