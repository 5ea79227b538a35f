//! Reading the TEE's memory and files, as the Broker's user would.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use crate::cmd::demo::process::program;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::world::{World, is_root};
use crate::cmd::peek;

pub fn memory_read(world: &mut World, story: &mut Story) -> Result<()> {
    let before = world.digests()?;
    let device = world.device('a')?;
    let broker = device.broker.ready["broker"]["uid"].as_u64().context("the Broker has no uid")?;
    let mut users = vec![("the Broker's user", u32::try_from(broker)?)];
    if is_root() {
        users.push(("another user", 65_534));
    }
    let mut leaks = Vec::new();
    for (who, uid) in users {
        let Some(tried) = peek_as(world, uid)? else {
            story.say(format!("this machine lets nobody become uid {uid}, so {who} was not tried"));
            continue;
        };
        ensure!(tried.len() >= peek::LEAST_ATTEMPTS, "only {} attempts were made", tried.len());
        let got = |one: &&Json| one["bytes"].as_u64() != Some(0);
        leaks.extend(tried.iter().filter(got).map(|one| format!("{who} (uid {uid}): {}", told(one))));
        let all: Vec<String> = tried.iter().map(told).collect();
        story.say(format!("tried:   {who} (uid {uid}): {}", all.join("; ")));
        story.fact(&format!("uid_{uid}"), tried);
    }
    let known = world.rest()?.device(&device.id()?)?;
    let grade = known["grade"].as_str().unwrap_or("?").to_owned();
    let layers = known["claims"]["layers"].as_str().unwrap_or_default().to_owned();
    if leaks.is_empty() {
        story.say("refused: by the kernel: nothing was read, in no way that was tried");
    } else {
        // A wall is missing: then Evidence has to say so.
        ensure!(
            grade == "none" || !layers.contains("own-uid"),
            "Evidence claims an own user id: {}",
            leaks.join("; ")
        );
        story.say(format!("read:    {}", leaks.join("; ")));
        story.say("the TEE shares its user with the Broker here, and Evidence says so: no own-uid");
    }
    let after = world.digests()?;
    ensure!(before == after, "reading changed something");
    story.say(format!("Evidence: grade {grade}, walls {layers}"));
    story.unchanged(&after);
    story.fact("leaks", leaks);
    story.fact("grade", grade);
    story.fact("layers", layers);
    Ok(())
}

/// One attempt in words.
fn told(one: &Json) -> String {
    let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("what"), text("result").split(" (os error").next().unwrap_or_default())
}

/// Tries to read device a's TEE under this user id; None if it cannot be taken.
fn peek_as(world: &World, uid: u32) -> Result<Option<Vec<Json>>> {
    let device = world.device('a')?;
    let mut command = program()?;
    command.arg(peek::SUBCOMMAND).arg(device.first.pid.to_string());
    command.arg(device.dir.join("tee")).arg(world.dir.join("fuse-a"));
    if is_root() {
        command.uid(uid).gid(uid);
    }
    match command.output() {
        Ok(output) => Ok(Some(serde_json::from_slice(&output.stdout).context("the reader said nothing")?)),
        // The user namespace that the demo runs in has no such user.
        Err(_) if is_root() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
