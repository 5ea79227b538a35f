//! Security Domains: made, with one more signer for a while, and deleted.

use anyhow::{Result, ensure};
use tamarack_model::Protocol;

use super::super::setup::developer;
use super::life::information;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, HELLO, Ta, VALVE, WALLET};
use crate::cmd::demo::world::World;

/// A TA of globex in acme's domain.
const GUEST: Ta =
    HELLO.renamed("guest", *b"\x77\x1c\x0a\x5e\x31\x44\x4f\x2d\x9c\x10\x65\x2b\x8d\xa3\x40\x01");

/// The name of every domain on a device, with the provider.
fn domains(world: &World, device: char) -> Result<Vec<(String, String)>> {
    let domains = world.device(device)?.status()?.domains;
    Ok(domains.into_iter().map(|domain| (domain.name, domain.provider)).collect())
}

pub fn create(world: &mut World, story: &mut Story) -> Result<()> {
    ensure!(domains(world, 'a')?.is_empty(), "device a has a domain before anybody asked for a TA");
    let shown = world.operate(&["domain", "show", tas::ACME, "--json"])?;
    let shown: serde_json::Value = serde_json::from_slice(&shown)?;
    story.fact("domain", shown);
    let state = world.device('a')?.request(&HELLO.component())?;
    ensure!(state == "INSTALLED", "hello is {state}");
    let made = domains(world, 'a')?;
    ensure!(made == [(tas::ACME.to_owned(), "acme".to_owned())], "{made:?}");
    let made = world.otrp_messages("create-domain", 'a', "CreateSDRequest").len();
    ensure!(made == 1, "{made} CreateSDRequests went by");
    let requests = world.otrp_messages("create-domain", 'a', "InstallTARequest").len();
    ensure!(requests == 1, "{requests} InstallTARequests went by");
    story.say("an app on device a asks for hello of acme; the TAM finds no domain of acme there");
    story.say(format!(
        "TAM -> CreateSD {}: owner is this TAM, acme's certificate is pinned, and the TEE makes acme's keys (AIK)",
        tas::ACME
    ));
    story.say("TAM -> InstallTA: a SUIT envelope, encrypted to acme's key in the TEE, which checks signer, ids and digest");
    Ok(())
}

/// Whether a device has acme's domain.
fn has_acme(world: &World, device: char) -> Result<bool> {
    Ok(domains(world, device)?.iter().any(|(name, _)| name == tas::ACME))
}

pub fn update_signer(world: &mut World, story: &mut Story) -> Result<()> {
    let globex = developer(world, "globex")?;
    let first = GUEST.envelope(1, &globex, &world.crypto)?;

    // Before: the TAM does not even take it.
    let (status, problem) = world.rest()?.try_publish(&world.tokens[1], &first)?;
    ensure!(status >= 400, "globex could publish into {}: {problem}", tas::ACME);
    story.say(format!("globex may not publish into {}: HTTP {status} {}", tas::ACME, problem["code"]));

    world.operate(&["domain", "allow", tas::ACME, "--provider", "globex"])?;
    world.rest()?.publish(&world.tokens[1], &first)?;
    let state = world.device('a')?.request(&GUEST.component())?;
    ensure!(state == "INSTALLED", "the guest is {state}");
    let updates = world.otrp_messages("update-domain-signer", 'a', "UpdateSDRequest").len();
    ensure!(updates >= 1, "no UpdateSDRequest went by");
    story.say("acme's domain is opened to globex: TAM -> UpdateSD with globex's certificate, then InstallTA of its TA");

    world.operate(&["domain", "disallow", tas::ACME, "--provider", "globex"])?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the policy check failed");
    let after = world.otrp_messages("update-domain-signer", 'a', "UpdateSDRequest").len();
    ensure!(after > updates, "no UpdateSDRequest took globex's certificate away");
    let second = GUEST.envelope(2, &globex, &world.crypto)?;
    let (status, problem) = world.rest()?.try_publish(&world.tokens[1], &second)?;
    ensure!(status >= 400, "globex could publish into {} again: {problem}", tas::ACME);
    story.say(
        "closed again: TAM -> UpdateSD without it; what is installed goes on running, nothing new comes in",
    );
    story.fact("update_sd_requests", after);
    Ok(())
}

pub fn delete(world: &mut World, story: &mut Story) -> Result<()> {
    let speaks = |name| world.cast.protocol(name) == Protocol::Otrp;
    let devices: Vec<char> = ['a', 'b'].into_iter().filter(|name| speaks(*name)).collect();
    let name = devices[0];
    ensure!(has_acme(world, name)?, "acme's domain is gone before its time");
    world.operate(&["domain", "delete", tas::ACME])?;
    for name in devices {
        let device = world.device(name)?;
        ensure!(device.policy_check()?.is_none(), "device {name}: the policy check failed");
        ensure!(!has_acme(world, name)?, "device {name} has the domain");
        for ta in [&WALLET, &VALVE, &HELLO] {
            ensure!(device.sequence(&ta.manifest())?.is_none(), "{} is still on device {name}", ta.name);
        }
        ensure!(tas::wallet_status(device).is_err(), "the wallet on device {name} still answers");
    }
    let deletes = world.otrp_messages("delete-domain", name, "DeleteSDRequest").len();
    ensure!(deletes == 1, "{deletes} DeleteSDRequests went by");
    ensure!(information(world, name, &WALLET).is_err(), "the TEE still vouches for the wallet");
    story.say(format!("the operator deletes the domain {}: TAM -> DeleteSD with its TAs", tas::ACME));
    story.say(
        "TAs, their data and acme's keys are gone from the TEE, which vouches for nothing of acme any more",
    );
    Ok(())
}
