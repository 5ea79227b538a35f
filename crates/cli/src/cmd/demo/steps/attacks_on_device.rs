//! Attacks on the device by someone who has the TAM's keys, by a developer, and by a TAM that nobody knows.

use anyhow::{Result, ensure};
use tamarack_cbor::Limits;
use tamarack_model::{Code, codes};
use tamarack_suit::Reason;
use tamarack_teep::{ErrCode, Message, SignedMessage, Update};

use super::setup::developer;
use crate::cmd::demo::impostor::Impostor;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{self, WALLET};
use crate::cmd::demo::world::World;

/// Has the device process this envelope, sent with the TAM's real key and bound to the exchange, and checks that it answers
/// error 17 with a signed report of this code and reason.
fn refused_manifest(
    world: &World,
    story: &mut Story,
    attempt: &str,
    envelope: Vec<u8>,
    expected: (Code, Reason),
) -> Result<()> {
    let before = world.digests()?;
    let exchange = world.impersonate('a', &world.stolen()?, move |agent_nonce| Update {
        token: Some(vec![0x5a; 16]),
        manifest_list: vec![envelope],
        agent_nonce,
        ..Update::default()
    })?;
    let error = world.signed_error('a', &exchange.last)?;
    ensure!(error.err_code == ErrCode::ManifestProcessingFailed, "the answer is {}", error.err_code);
    let (code, reason) = world.signed_reason('a', &error)?;
    ensure!(
        (code, reason) == (i64::from(expected.0.0), expected.1),
        "the report gives code {code} and reason {reason:?}, expected {} and {:?}",
        expected.0,
        expected.1
    );
    let answer = format!("error 17, report: reason {} ({reason:?})", reason.number());
    let after = world.digests()?;
    story.refused(Refusal { attempt, by: "the TEE", answer, code: expected.0 }, &before, &after)?;
    story.unchanged(&after);
    Ok(())
}

pub fn downgrade(world: &mut World, story: &mut Story) -> Result<()> {
    let old = std::fs::read(world.dir.join("wallet-v1.suit"))?;
    let attempt = "with the TAM's stolen key, send wallet 1 again, which acme did sign";
    refused_manifest(world, story, attempt, old, (codes::SUIT_ROLLBACK, Reason::ConditionFailed))
}

pub fn tampered_payload(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.tampered(3, &developer(world, "acme")?, &world.crypto)?;
    let attempt = "with the TAM's key, send wallet 3, signed by acme, with one bit of its code changed";
    refused_manifest(world, story, attempt, envelope, (codes::SUIT_CONDITION, Reason::ConditionFailed))
}

pub fn wrong_signer(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = WALLET.envelope(3, &developer(world, "globex")?, &world.crypto)?;
    let attempt = "with the TAM's key, send a wallet 3 that globex signed, whose prefix is another";
    let expected = (codes::SUIT_UNAUTHORISED, Reason::Unauthorised);
    refused_manifest(world, story, attempt, envelope.clone(), expected)?;

    // The same at the TAM's own door.
    let before = world.digests()?;
    let (status, problem) = world.rest()?.try_publish(&world.tokens[1], &envelope)?;
    ensure!(
        problem["code"] == codes::PUBLISH_PREFIX.to_string().as_str(),
        "the TAM answered {status}: {problem}"
    );
    let attempt = "globex publishes into acme's prefix";
    let refusal =
        Refusal { attempt, by: "the TAM", answer: format!("HTTP {status}"), code: codes::PUBLISH_PREFIX };
    story.refused(refusal, &before, &world.digests()?)
}

pub fn rogue_tam(world: &mut World, story: &mut Story) -> Result<()> {
    // An authority of its own, and a certificate with the real TAM's name.
    world.run(&["pki", "ca", "--role", "tam", &world.path("rogue-ca")])?;
    let (key, cert) = (world.path("rogue.key"), world.path("rogue.pem"));
    world.run(&["pki", "key", &key])?;
    let ca = world.path("rogue-ca");
    world.run(&["pki", "issue", "--ca", &ca, "--key", &key, "--uri", tas::TAM_NAME, "--out", &cert])?;
    let (key, cert) = (std::fs::read_to_string(key)?, std::fs::read_to_string(cert)?);
    let rogue = Impostor::load(&key, &cert, "rogue-tam", &world.crypto)?;

    let before = world.digests()?;
    let exchange = world.impersonate('a', &rogue, |_| Update::default())?;
    ensure!(exchange.query_response.is_none(), "the device answered a stranger with a QueryResponse");
    let signed =
        SignedMessage::parse(&exchange.last, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let Message::Error(error) = signed.unverified().map_err(|e| anyhow::anyhow!("{e}"))? else {
        anyhow::bail!("the device answered a stranger with something else than an Error");
    };
    ensure!(error.err_code == ErrCode::BadCertificate, "the answer is {}", error.err_code);
    ensure!(world.signed_error('a', &exchange.last).is_err(), "the Error is signed by the device's own key");
    ensure!(error.suit_reports.is_empty() && error.err_msg.is_none(), "the Error tells more than its code");
    let id = world.device('a')?.identity()?.id.0;
    let tells = exchange.last.windows(id.len()).any(|window| window == id);
    ensure!(!tells && exchange.last.len() < 256, "the Error tells who the device is");
    let code = exchange.told.unwrap_or(codes::X509_PATH);
    let attempt = "a TAM with the real one's name, certified by an authority of its own, asks for Evidence";
    let refusal = Refusal { attempt, by: "the TEE", answer: "error 6".into(), code };
    let after = world.digests()?;
    story.refused(refusal, &before, &after)?;
    story.say(format!(
        "the answer has {} bytes: no Evidence, no component list, signed with a key made for it alone",
        exchange.last.len()
    ));
    story.unchanged(&after);
    Ok(())
}
