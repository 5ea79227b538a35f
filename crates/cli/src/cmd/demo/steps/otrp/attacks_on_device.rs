//! Attacks with the TAM's stolen OTrP key, and by another TAM that the device trusts for its own domains.

use anyhow::{Context, Result, ensure};
use tamarack_model::Code;
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content, DeleteSd, DeleteTa, InstallTa, UpdateSd};

use super::super::setup::developer;
use crate::cmd::demo::otrp::{Next, OtrpImpostor, Verdict};
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{self, HELLO, WALLET};
use crate::cmd::demo::world::World;

/// A GetDeviceStateRequest.
pub fn state() -> Next {
    Box::new(|impostor, _| impostor.get_device_state())
}

/// A command that goes by the newest state.
fn command(content: Content, envelope: Option<Vec<u8>>) -> Next {
    Box::new(move |impostor, states| {
        let told = states.last().context("the TEE told no state")?;
        impostor.command(told, &content, envelope)
    })
}

/// Has the device process these messages and checks that it refuses the last one with this error, signed, and that
/// nothing has changed since just before.
fn refused(
    world: &World,
    story: &mut Story,
    attempt: &str,
    impostor: &OtrpImpostor,
    messages: Vec<Next>,
    expected: ErrorCode,
) -> Result<()> {
    let exchange = world.impersonate_otrp('a', impostor, messages)?;
    // Whom it told its state in this exchange it also answers: by the face that this TAM sees.
    let told = exchange.states.last().map(|told| told.dsi.tee.cert.clone());
    let certificate = told.map_or_else(|| world.tee_certificate('a'), Ok)?;
    let verdict = impostor.verdict(exchange.answer()?, &certificate)?;
    ensure!(verdict == Verdict::Refused(expected), "{attempt}: {verdict:?}, expected {expected}");
    let code = exchange.told.unwrap_or_else(|| expected.code());
    let before = exchange.before.context("the impostor sent nothing")?;
    let answer = format!("signed answer {expected}");
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)
}

/// An UpdateTA of the wallet with this envelope.
fn update_wallet(tamid: &str) -> Content {
    Content::UpdateTa(InstallTa {
        tamid: tamid.into(),
        spid: "acme".into(),
        sdname: tas::ACME.into(),
        spcert: None,
        taid: WALLET.taid(),
    })
}

fn bad_ta(world: &World, story: &mut Story, attempt: &str, envelope: Vec<u8>) -> Result<()> {
    let stolen = world.stolen_otrp()?;
    let messages = vec![state(), command(update_wallet(tas::TAM_OID), Some(envelope))];
    refused(world, story, attempt, &stolen, messages, ErrorCode::TaInvalid)?;
    story.unchanged(&world.digests()?);
    Ok(())
}

pub fn downgrade(world: &mut World, story: &mut Story) -> Result<()> {
    let old = std::fs::read(world.dir.join("wallet-v1.suit"))?;
    bad_ta(world, story, "with the TAM's stolen key, UpdateTA with wallet 1 again, which acme did sign", old)
}

pub fn tampered_payload(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.tampered(3, &developer(world, "acme")?, &world.crypto)?;
    let attempt =
        "with the TAM's key, UpdateTA with wallet 3, signed by acme, with one bit of its code changed";
    bad_ta(world, story, attempt, envelope)
}

pub fn wrong_signer(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.envelope(3, &developer(world, "globex")?, &world.crypto)?;
    let attempt =
        "with the TAM's key, UpdateTA with a wallet 3 that globex signed, whom the domain does not pin";
    bad_ta(world, story, attempt, envelope.clone())?;

    // The same at the TAM's own door.
    let before = world.digests()?;
    let (status, problem) = world.rest()?.try_publish(&world.tokens[1], &envelope)?;
    let code = problem["code"].as_str().and_then(Code::parse).context("refused without a code")?;
    ensure!(status >= 400, "the TAM answered {status}: {problem}");
    let attempt = "globex publishes into acme's prefix";
    let refusal = Refusal { attempt, by: "the TAM", answer: format!("HTTP {status}"), code };
    story.refused(refusal, &before, &world.digests()?)
}

pub fn stale_state(world: &mut World, story: &mut Story) -> Result<()> {
    let stolen = world.stolen_otrp()?;
    let delete = || {
        Content::DeleteTa(DeleteTa {
            tamid: tas::TAM_OID.into(),
            sdname: tas::ACME.into(),
            taid: HELLO.taid(),
        })
    };
    let by_older: Next = Box::new(move |impostor, states| {
        let older = states.first().context("the TEE told no state")?;
        ensure!(states.len() == 2, "the TEE told {} states", states.len());
        // In the newest transaction, and yet by the state before.
        let mut told = states[1].clone();
        told.hash = older.hash;
        impostor.command(&told, &delete(), None)
    });
    let attempt = "with the TAM's key, DeleteTA by the state that was told before the newest one";
    refused(world, story, attempt, &stolen, vec![state(), state(), by_older], ErrorCode::DevStateMismatch)?;
    let by_none: Next = Box::new(move |impostor, states| {
        let mut told = states.last().context("the TEE told no state")?.clone();
        told.hash = [0x5a; 32];
        impostor.command(&told, &delete(), None)
    });
    let attempt = "with the TAM's key, DeleteTA by a state that never was";
    refused(world, story, attempt, &stolen, vec![state(), by_none], ErrorCode::DevStateMismatch)?;
    ensure!(world.device('a')?.sequence(&HELLO.manifest())? == Some(1), "hello is gone");
    story.unchanged(&world.digests()?);
    Ok(())
}

pub fn other_tam(world: &mut World, story: &mut Story) -> Result<()> {
    let other = world.other_tam.clone().context("there is no other TAM")?;
    let exchange = world.impersonate_otrp('a', &other, vec![state()])?;
    let told = exchange.states.last().context("the device did not answer a TAM that it trusts")?;
    ensure!(told.dsi.tee.sdlist.is_empty(), "it sees domains of another TAM: {:?}", told.dsi.tee.sdlist);
    ensure!(told.dsi.tee.teeaiklist.is_empty(), "it sees keys of another TAM's providers");
    ensure!(told.dsi.tee.requestedtalist.is_empty(), "it sees what apps asked another TAM for");
    ensure!(told.dsi.tee.cert != world.tee_certificate('a')?, "both TAMs see the same certificate");
    story.say(
        "another TAM, certified and trusted by the device, asks for its state: it sees nothing of this TAM, and another key and certificate of the device",
    );

    let own = || tas::OTHER_OID.to_owned();
    let sdname = || tas::ACME.to_owned();
    let renew = |tamid: String| {
        let changes = Changes { renewteespaik: true, ..Changes::default() };
        Content::UpdateSd(UpdateSd { tamid, spid: Some("acme".into()), sdname: sdname(), changes })
    };
    let envelope = std::fs::read(world.dir.join("wallet-v2.suit"))?;
    for (attempt, content, envelope, expected) in [
        (
            "the other TAM: DeleteSD of acme's domain with its TAs",
            Content::DeleteSd(DeleteSd { tamid: own(), sdname: sdname(), deleteta: true }),
            None,
            ErrorCode::SdNotFound,
        ),
        (
            "the other TAM: DeleteTA of the wallet",
            Content::DeleteTa(DeleteTa { tamid: own(), sdname: sdname(), taid: WALLET.taid() }),
            None,
            ErrorCode::SdNotFound,
        ),
        ("the other TAM: new keys for acme", renew(own()), None, ErrorCode::SdNotFound),
        (
            "the other TAM: UpdateTA of the wallet",
            update_wallet(tas::OTHER_OID),
            Some(envelope),
            ErrorCode::SdNotFound,
        ),
        (
            "the other TAM, in this TAM's name: new keys for acme",
            renew(tas::TAM_OID.to_owned()),
            None,
            ErrorCode::TamNotAuthorized,
        ),
    ] {
        refused(world, story, attempt, &other, vec![state(), command(content, envelope)], expected)?;
    }
    ensure!(world.device('a')?.sequence(&WALLET.manifest())? == Some(2), "the wallet is gone");
    story.unchanged(&world.digests()?);
    Ok(())
}
