//! Reading the TEE's memory and files, as the Broker's user would.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use crate::cmd::demo::process::program;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::world::{World, is_root};
use crate::cmd::peek;
use tamarack_model::codes;

pub fn memory_read(world: &mut World, story: &mut Story) -> Result<()> {
    let before = world.digests()?;
    let device = world.device('a')?;
    let broker = device.broker.ready["broker"]["uid"].as_u64().context("the Broker has no uid")?;
    let storage = device.dir.join("tee");
    let mut users = vec![("the Broker's user", u32::try_from(broker)?)];
    if is_root() {
        users.push(("another user", 65_534));
    }
    let mut leaks = Vec::new();
    for (who, uid) in users {
        let mut command = program()?;
        command.arg(peek::SUBCOMMAND).arg(device.first.pid.to_string()).arg(&storage);
        if is_root() {
            command.uid(uid).gid(uid);
        }
        let output = command.output()?;
        let tried: Json = serde_json::from_slice(&output.stdout).context("the reader said nothing")?;
        let tried = tried.as_array().context("the reader said nothing")?;
        ensure!(tried.len() >= peek::LEAST_ATTEMPTS, "only {} attempts were made", tried.len());
        for one in tried {
            if one["bytes"].as_u64() != Some(0) {
                leaks.push(format!("{who} (uid {uid}): {} gave {} bytes", one["what"], one["bytes"]));
            }
        }
        let all: Vec<String> = tried.iter().map(|one| format!("{}: {}", one["what"], one["result"])).collect();
        story.say(format!("tried:   {who} (uid {uid}): {}", all.join("; ").replace('"', "")));
        story.fact(&format!("uid_{uid}"), tried.clone());
    }
    let known = world.rest()?.device(&device.id()?)?;
    let grade = known["grade"].as_str().unwrap_or("?").to_owned();
    let missing = &device.first.missing_layers;
    if leaks.is_empty() {
        let refusal = Refusal {
            attempt: "read memory and files of the TEE's process",
            by: "the kernel",
            answer: "nothing was read".into(),
            code: codes::TEE_SANDBOX,
        };
        let after = world.digests()?;
        story.refused(refusal, &before, &after)?;
        story.lines.retain(|line| !line.starts_with("refused:") && line != "tried:   read memory and files of the TEE's process");
        story.say("refused: by the kernel, each time: nothing was read");
    } else {
        // Walls are missing: then Evidence has to say so.
        ensure!(grade == "none" && !missing.is_empty(), "grade {grade}, and yet: {}", leaks.join("; "));
        story.say(format!("read:    {}", leaks.join("; ")));
        story.say(format!("this machine lacks walls ({}); Evidence says so", missing.join("; ")));
    }
    story.say(format!("grade in Evidence: {grade}; root could read more, and the grade never claims otherwise"));
    story.fact("grade", grade);
    Ok(())
}
