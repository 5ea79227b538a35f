//! The device's owner has a say.

use anyhow::{Context, Result, bail, ensure};
use tamarack_broker::{Error as BrokerError, Target};
use tamarack_model::codes;
use tamarack_owner::{Change, Effect, Order, Selector};

use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::HELLO;
use crate::cmd::demo::world::{Device, World};
use crate::keys;

/// Runs `tamarack owner` on device b.
fn owner(world: &World, args: &[&str]) -> Result<()> {
    let (key, device) = (world.path("owner.key"), world.path("device-b"));
    let more = ["--key", &key, "--device", &device];
    world.run(&[&["owner"], args, &more[..]].concat()).map(drop)
}

/// What the TAM's record of the device says of the owner.
fn by_owner(world: &World, device: &Device) -> Result<Option<String>> {
    let known = world.rest()?.device(&device.id()?)?;
    Ok(known["by_owner"][0]["state"].as_str().map(String::from))
}

fn opens(device: &Device) -> Result<bool> {
    let mut app = device.app()?;
    match app.open_session(Target::Component(HELLO.component()), None, Vec::new()) {
        Ok(session) => app.close_session(session).map(|()| true).map_err(Into::into),
        Err(BrokerError::Failed(failure)) if failure.code == codes::OWNER_REFUSED => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub fn denies(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('b')?;
    let hello = HELLO.component();
    let prefix = HELLO.component().to_string();
    let prefix = prefix.strip_suffix("/ta").context("the id of a TA ends in ta")?;

    owner(world, &["consent", "--component", "*"])?;
    let state = device.request(&hello)?;
    ensure!(state == "DEFERRED", "hello is {state}");
    ensure!(by_owner(world, device)?.as_deref() == Some("deferred"), "the TAM does not know that it waits");
    story.say("the owner of device b wants to be asked: an app asks for hello, the TAM sends it, and it is DEFERRED");

    owner(world, &["approve", &hello.to_string()])?;
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    ensure!(device.sequence(&HELLO.manifest())? == Some(1), "hello was approved, and is not installed");
    ensure!(opens(device)?, "hello was approved, and does not run");
    story.say("the owner approves this very manifest; at the next policy check hello is installed, and runs");

    let mut app = device.app()?;
    let session = app.open_session(Target::Component(hello.clone()), None, Vec::new())?;
    owner(world, &["deny", "--component", prefix])?;
    ensure!(app.invoke(session, 0, Vec::new()).is_err(), "a session outlived the owner's no");
    ensure!(!opens(device)?, "a denied TA starts");
    ensure!(device.try_request(&hello)? == Some(codes::OWNER_REFUSED), "the app is not told why");
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let told = by_owner(world, device)?;
    ensure!(told.as_deref() == Some("refused by owner"), "the TAM says {told:?}");
    story.say("the owner denies it: its session ends at once, it does not start again, its data stays; the TAM says `refused by owner`");

    // The Broker carries the owner's orders. It can lose them.
    let key = keys::signer(&world.dir.join("owner.key")).map_err(|e| anyhow::anyhow!("{e}"))?;
    let changes = vec![Change::Rule { selector: Selector::Component(None), effect: Some(Effect::Allow) }];
    let order = Order { challenge: app.owner_challenge()?, nonce: [0; 16], changes };
    let signed = order.sign(&*key).map_err(|e| anyhow::anyhow!("{e}"))?;
    app.owner_order(&signed)?;
    owner(world, &["forget", "--component", "*"])?;
    let mut altered = signed.clone();
    altered[30] ^= 1;
    let own = Order { challenge: app.owner_challenge()?, ..order };
    let own = own.sign(world.stolen()?.key()).map_err(|e| anyhow::anyhow!("{e}"))?;
    for (attempt, at, bytes) in [
        ("the Broker sends an old order of the owner again", 'b', &signed),
        ("the Broker sends it to another device of the same owner", 'a', &signed),
        ("the Broker alters it", 'b', &altered),
        ("the TAM, with its own key, orders as the owner", 'b', &own),
    ] {
        let before = world.digests()?;
        let code = match world.device(at)?.app()?.owner_order(bytes) {
            Err(BrokerError::Failed(failure)) => failure.code,
            other => bail!("{attempt}: {other:?}"),
        };
        let answer = "in the TEE".into();
        story.refused(
            Refusal { attempt, by: &format!("device {at}"), answer, code },
            &before,
            &world.digests()?,
        )?;
    }
    owner(world, &["forget", "--component", prefix])?;
    ensure!(opens(device)?, "the rule is gone, and hello does not run");
    device.app()?.unrequest_ta(&hello)?;
    ensure!(device.sequence(&HELLO.manifest())?.is_none(), "hello is still there");
    story.say("the rule is taken away: hello runs with the data that it had; then the app gives it up");
    Ok(())
}
