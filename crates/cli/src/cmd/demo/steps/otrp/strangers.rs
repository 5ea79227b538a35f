//! TAMs that a device does not trust: it tells them nothing, and nothing of it is signed.

use anyhow::{Context, Result, ensure};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::broker::BrokerError;

use super::attacks_on_device::state;
use crate::cmd::demo::otrp::OtrpImpostor;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas;
use crate::cmd::demo::world::World;

/// The TEE says nothing to this TAM, the Broker an error that is signed by nobody, and nothing changes.
fn nothing_told(world: &World, story: &mut Story, attempt: &str, stranger: &OtrpImpostor) -> Result<()> {
    let before = world.digests()?;
    let exchange = world.impersonate_otrp('a', stranger, vec![state()])?;
    ensure!(exchange.states.is_empty(), "{attempt}: the device told its state");
    let answer = exchange.answer()?;
    let error = BrokerError::parse(answer, &tamarack_otrp::Limits::default())
        .map_err(|e| anyhow::anyhow!("{attempt}: {e}"))?;
    ensure!(error.code == ErrorCode::AgentTeeFail, "{attempt}: the Broker says {}", error.code);
    ensure!(answer.len() < 256, "{attempt}: an answer of {} bytes", answer.len());
    let code = exchange.told.with_context(|| format!("{attempt}: the app was told nothing"))?;
    let answer = format!("no word of the TEE; the Broker, unsigned: {}", error.code);
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)
}

pub fn rogue_tam(world: &mut World, story: &mut Story) -> Result<()> {
    // An authority of its own, and a certificate with the real TAM's name.
    world.run(&["pki", "ca", "--role", "tam", &world.path("rogue-ca")])?;
    let (ca, key, cert) = (world.path("rogue-ca"), world.path("rogue.key"), world.path("rogue.pem"));
    world.run(&["pki", "key", "--key-type", "p256", &key])?;
    let args = [
        "pki",
        "issue",
        "--ca",
        &ca,
        "--role",
        "otrp-tam",
        "--key",
        &key,
        "--oid",
        tas::TAM_OID,
        "--out",
        &cert,
    ];
    world.run(&args)?;
    let (key, cert) = (std::fs::read_to_string(key)?, std::fs::read_to_string(cert)?);
    let mut rogue = OtrpImpostor::load(&key, &cert, "rogue-tam", &world.crypto)?;
    rogue.ocsp = vec![world.staple("rogue-ca", "rogue.pem")?];
    let attempt = "a TAM with the real one's name, certified by an authority of its own, asks for the state";
    nothing_told(world, story, attempt, &rogue)?;
    story.unchanged(&world.digests()?);
    Ok(())
}

pub fn revoked_tam(world: &mut World, story: &mut Story) -> Result<()> {
    let mut other = world.other_tam.clone().context("there is no other TAM")?;
    let genuine = other.ocsp.clone();
    let exchange = world.impersonate_otrp('a', &other, vec![state()])?;
    ensure!(exchange.states.len() == 1, "the device did not answer while the certificate was good");

    other.ocsp = Vec::new();
    nothing_told(world, story, "a TAM that staples no OCSP response", &other)?;
    other.ocsp = world.stolen_otrp()?.ocsp;
    nothing_told(world, story, "a TAM that staples the OCSP response of another TAM", &other)?;
    let mut altered = genuine[0].clone();
    let at = altered.len() / 2;
    altered[at] ^= 1;
    other.ocsp = vec![altered];
    nothing_told(world, story, "a TAM that staples its OCSP response with one bit changed", &other)?;

    let (ca, cert) = (world.path("other-tam-ca"), world.path("other-tam.pem"));
    world.run(&["pki", "revoke", "--ca", &ca, "--cert", &cert, "--reason", "key-compromise"])?;
    other.ocsp = vec![world.staple("other-tam-ca", "other-tam.pem")?];
    nothing_told(
        world,
        story,
        "its authority revokes the TAM's certificate; it staples that response",
        &other,
    )?;
    world.other_tam = Some(other);
    story.unchanged(&world.digests()?);
    Ok(())
}
