//! Old messages sent again: to the TAM, to the device that they were for, and to another.

use anyhow::{Context, Result, ensure};
use tamarack_model::{Code, Protocol, codes};
use tamarack_otrp::ErrorCode;

use crate::cmd::demo::otrp::Verdict;
use crate::cmd::demo::relay::Fate;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{HELLO, WALLET};
use crate::cmd::demo::world::World;

pub fn replay(world: &mut World, story: &mut Story) -> Result<()> {
    // Something to replay: hello is removed and installed again.
    let device = world.device('a')?;
    device.app()?.unrequest_ta(&HELLO.component())?;
    ensure!(device.sequence(&HELLO.manifest())?.is_none(), "hello was not removed");
    ensure!(device.request(&HELLO.component())? == "INSTALLED", "hello was not installed again");
    ensure!(world.device('b')?.policy_check()?.is_none(), "device b could not check for policy");

    old_state(world, story)?;
    let first = |step: &str, name: &str| {
        let found = world.otrp_messages(step, 'a', name).into_iter().next();
        found.with_context(|| format!("no {name} was recorded in {step}"))
    };
    let install = first("request-install", "InstallTARequest")?;
    let delete = first("refuse-replay", "DeleteTARequest")?;
    let update = first("policy-update", "UpdateTARequest")?;
    let create = first("create-domain", "CreateSDRequest")?;
    for (name, attempt, message) in [
        ('a', "the InstallTA that once brought the wallet", install),
        ('a', "the DeleteTA that once removed hello, sent after it was installed again", delete),
        ('a', "the CreateSD that once made acme's domain", create),
        ('b', "device a's UpdateTA for wallet 2, sent to device b", update),
    ] {
        old_request(world, story, name, attempt, message)?;
    }
    ensure!(world.device('a')?.sequence(&HELLO.manifest())? == Some(1), "hello is gone");
    ensure!(world.device('a')?.sequence(&WALLET.manifest())? == Some(2), "wallet 2 is gone");
    ensure!(world.device('b')?.sequence(&WALLET.manifest())?.is_none(), "device b has the wallet");
    story.unchanged(&world.digests()?);
    Ok(())
}

/// An answer of a device, posted to the TAM once more.
fn old_state(world: &World, story: &mut Story) -> Result<()> {
    for (attempt, name) in [
        ("device a's first GetDeviceStateResponse, posted to the TAM again", "GetDeviceStateResponse"),
        ("device a's first InstallTAResponse, posted to the TAM again", "InstallTAResponse"),
    ] {
        let old = world.otrp_messages("request-install", 'a', name).into_iter().next();
        let old = old.with_context(|| format!("no {name} was recorded"))?;
        let before = world.digests()?;
        let answer = world.relay.direct_in(Protocol::Otrp, &old, "device", Fate::Replayed)?;
        ensure!(answer.body.is_empty(), "{attempt}: the TAM answered with a message");
        let code = answer.code.as_deref().and_then(Code::parse).unwrap_or(codes::EVIDENCE_STALE);
        let answer = format!("HTTP {}, it was answered before", answer.status);
        story.refused(Refusal { attempt, by: "the TAM", answer, code }, &before, &world.digests()?)?;
    }
    Ok(())
}

/// A request of the real TAM, sent to a device once more.
fn old_request(world: &World, story: &mut Story, name: char, attempt: &str, message: Vec<u8>) -> Result<()> {
    let exchange = world.replay_otrp_to(name, message)?;
    let verdict = world.stolen_otrp()?.verdict(exchange.answer()?, &world.tee_certificate(name)?)?;
    let before = exchange.before.context("nothing was sent")?;
    let code = exchange.told.with_context(|| format!("{attempt}: the app was told nothing"))?;
    let answer = match verdict {
        Verdict::Refused(error @ ErrorCode::DevStateMismatch) if name == 'a' => {
            format!("signed answer {error}")
        }
        // Another device never was in that transaction, and tells nothing.
        Verdict::Broker(error @ ErrorCode::AgentTeeFail) if name == 'b' => {
            format!("no word of the TEE; the Broker, unsigned: {error}")
        }
        other => anyhow::bail!("{attempt}: {other:?}"),
    };
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)
}
