//! Who has a say besides TAM and developer: the device authority, and another maker.

use anyhow::{Context, Result, ensure};
use tamarack_broker::{Client, Error, Target};
use tamarack_model::{Code, codes};
use tamarack_tee::Param;

use super::life;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{self, HELLO, VALVE};
use crate::cmd::demo::world::{Device, World};

fn position(device: &Device) -> Result<Vec<u8>> {
    let found = device.status()?.peripherals.into_iter().find(|(name, _)| name == "valve");
    Ok(found.context("the device has no valve")?.1)
}

/// Tries to open the valve in a session; the code of the refusal.
fn refused(result: Result<u32, Error>) -> Result<Code> {
    match result {
        Ok(code) => anyhow::bail!("the valve TA answered {code:#010x}"),
        Err(Error::Failed(failure)) => Ok(failure.code),
        Err(other) => Err(other.into()),
    }
}

fn open_valve(app: &mut Client, session: u32) -> Result<u32, Error> {
    app.invoke(session, 1, vec![Param::ValueOutput(0, 0)]).map(|returned| returned.code)
}

pub fn revoke_ta(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    if device.sequence(&VALVE.manifest())?.is_none() {
        ensure!(device.request(&VALVE.component())? == "INSTALLED", "the valve TA is not there");
    }
    ensure!(position(device)? == b"closed", "the valve is not closed at first");
    let mut app = device.app()?;
    let valve = || Target::Component(VALVE.component());
    let session = app.open_session(valve(), None, Vec::new())?;
    story.say("an app has a session with the valve TA; then acme's key is found to be stolen");

    // Who carries an order cannot make one.
    let forged = world.path("forged.order");
    let folder = device.dir.display().to_string();
    let acme = world.path("acme.key");
    world.run(&[
        "agent",
        "order",
        "--key",
        &acme,
        "--provider",
        tas::ACME,
        "--state",
        "load-only",
        "--sequence",
        "2",
        "--out",
        &forged,
    ])?;
    let before = world.digests()?;
    let code = match device.app()?.change_anchor(&std::fs::read(&forged)?) {
        Err(Error::Failed(failure)) => failure.code,
        other => anyhow::bail!("an order that acme signed: {other:?}"),
    };
    let attempt = "the rich OS carries an order about acme's anchor that acme itself has signed";
    let answer = "not the device authority's".to_owned();
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)?;

    let order = |state: &str| {
        let key = world.path("authority.key");
        world.run(&["agent", "order", &folder, "--key", &key, "--provider", tas::ACME, "--state", state])
    };
    order("revoked")?;
    let before = world.digests()?;
    let code = refused(open_valve(&mut app, session))?;
    let attempt = "the app opens the valve in the session that it had when the order came";
    let answer = "the session is gone".to_owned();
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)?;
    let code = refused(app.open_session(valve(), None, Vec::new()))?;
    ensure!(code == codes::TA_UNAUTHORISED, "a new session: {code}");
    let attempt = "the app asks for a new session with the revoked TA";
    let answer = "not authorised any more".to_owned();
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &world.digests()?)?;
    ensure!(position(device)? == b"closed", "the valve has moved");

    order("active")?;
    ensure!(tas::valve(device, 1)?.0, "after the order was taken back the TA does not open the valve");
    ensure!(!tas::valve(device, 2)?.0, "the TA does not close the valve");
    story.say("the authority takes it back: the TA opens and closes the valve again");
    Ok(())
}

/// A device of another maker joins.
pub fn two_makers(world: &mut World, story: &mut Story) -> Result<()> {
    world.start_device('c')?;
    let digest = |device: &Device| -> Result<String> {
        let all = device.status()?.installed;
        let found = all.into_iter().find(|one| one.manifest == HELLO.manifest());
        Ok(hex::encode(found.context("hello is not there")?.digest))
    };
    let mut installed = Vec::new();
    for name in ['a', 'c'] {
        let device = world.device(name)?;
        let state = device.request(&HELLO.component())?;
        ensure!(state == "INSTALLED", "hello on device {name} is {state}");
        ensure!(device.policy_check()?.is_none(), "device {name}: the policy check failed");
        installed.push(digest(device)?);
        let known = world.rest()?.device(&device.id()?)?;
        let attested = known["attested"].to_string();
        ensure!(attested.contains(&HELLO.manifest().to_string()), "device {name} is not attested: {known}");
        story.fact(&format!("device_{name}"), known["claims"].clone());
    }
    ensure!(installed[0] == installed[1], "the devices have different TAs");
    for name in ['a', 'c'] {
        life::learn_teep_key(world, "two-makers", name)?;
    }
    let kind = |name: char| -> Result<&'static str> {
        let key = world.device(name)?.teep_key.context("no key was seen")?;
        Ok(match key {
            tamarack_crypto::PublicKey::Ed25519(_) => "Ed25519",
            tamarack_crypto::PublicKey::P256 { .. } => "P-256",
        })
    };
    ensure!(kind('a')? != kind('c')?, "both devices have the same kind of keys");
    // What was made for the first maker's class is none of the second's business.
    let code = world.device('c')?.try_request(&VALVE.component())?;
    ensure!(code == Some(codes::SUIT_CONDITION), "the valve, made for the first maker's class: {code:?}");
    ensure!(world.device('c')?.sequence(&VALVE.manifest())?.is_none(), "the valve is installed on device c");
    story.say(format!(
        "device a: first maker's TEE CA and class, {} keys, knows the TAM by a name under a root",
        kind('a')?
    ));
    story.say(format!(
        "device c: second maker's TEE CA, vendor and class, {} keys, knows the TAM by its keys",
        kind('c')?
    ));
    story.say("one TAM serves both: hello was published once, and both have it, byte for byte");
    story.say("the valve TA names the first maker's class: device c refuses it");
    story.fact("digest", installed[0].clone());
    Ok(())
}
