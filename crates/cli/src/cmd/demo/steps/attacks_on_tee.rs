//! Reading the TEE's memory and files, as the Broker's user would.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use crate::cmd::demo::peek;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::world::{World, is_root};

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
        let tried = match peek_as(world, uid, device.first.pid) {
            Ok(tried) => tried,
            // The Broker's user exists, the Broker runs as it. The other may be missing in a user namespace.
            Err(error) if uid == u32::try_from(broker)? => return Err(error),
            Err(error) => {
                story.say(format!("{who} (uid {uid}) was not tried: {error:#}"));
                continue;
            }
        };
        // The launcher has the root secret: it is tried as hard as the Agent.
        let launcher = peek_as(world, uid, device.first.launcher_pid)?;
        ensure!(
            tried.len().min(launcher.len()) >= peek::LEAST_ATTEMPTS,
            "only {} attempts were made",
            tried.len()
        );
        let of_launcher = |mut one: Json| {
            one["what"] = format!("launcher's {}", one["what"].as_str().unwrap_or_default()).into();
            one
        };
        let tried: Vec<Json> = tried.into_iter().chain(launcher.into_iter().map(of_launcher)).collect();
        let got = |one: &&Json| one["bytes"].as_u64() != Some(0);
        leaks.extend(tried.iter().filter(got).map(|one| format!("{who} (uid {uid}): {}", told(one))));
        story.say(format!("tried:   {who} (uid {uid}): {}", in_short(&tried)));
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
            grade == "none" && !layers.contains("own-uid"),
            "Evidence says grade {grade} with walls {layers}: {}",
            leaks.join("; ")
        );
        story.say(format!("read:    {}", leaks.join("; ")));
        story.say(
            "the TEE shares its user with the Broker here, and Evidence says so: no own-uid, grade none",
        );
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

/// All attempts, those with the same result together.
fn in_short(tried: &[Json]) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for one in tried {
        let text = told(one);
        let (what, result) = text.split_once(": ").unwrap_or((&text, ""));
        match groups.iter_mut().find(|(known, _)| known == result) {
            Some((_, whats)) => whats.push(what.to_owned()),
            None => groups.push((result.to_owned(), vec![what.to_owned()])),
        }
    }
    let groups: Vec<String> =
        groups.iter().map(|(result, whats)| format!("{}: {result}", whats.join(", "))).collect();
    groups.join("; ")
}

/// Tries to read this process of device a's TEE under this user id.
fn peek_as(world: &World, uid: u32, pid: u32) -> Result<Vec<Json>> {
    let device = world.device('a')?;
    // By this name the program can be started by users who may not enter its folder.
    let mut command = Command::new("/proc/self/exe");
    command.arg(peek::SUBCOMMAND).arg(pid.to_string());
    command.arg(device.dir.join("tee")).arg(world.dir.join("fuse-a"));
    if is_root() {
        command.uid(uid).gid(uid);
    }
    let output = command.output().with_context(|| format!("nobody can become uid {uid} here"))?;
    serde_json::from_slice(&output.stdout).context("the reader said nothing")
}
