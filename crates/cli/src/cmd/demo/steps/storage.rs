//! Copies of a device: of its disk alone, and of everything that can be copied.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;
use tamarack_model::{Code, codes};

use super::life::pay;
use crate::cmd::demo::process::{self, Process};
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas;
use crate::cmd::demo::tpm::{Platform, Tpm};
use crate::cmd::demo::world::{Device, World};

/// Copies the folder of device a to `to`, as a thief would take the disk out.
fn copy(world: &World, to: &str) -> Result<()> {
    fn all(from: &Path, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_dir() {
                all(&entry.path(), &to)?;
            } else if kind.is_file() {
                std::fs::copy(entry.path(), to)?;
            }
        }
        Ok(())
    }
    all(&world.dir.join("device-a"), &world.dir.join(to))
}

/// Changes `device.json` of a copy.
fn adjust(world: &World, copy: &str, key: &str, value: String) -> Result<()> {
    let file = world.dir.join(copy).join("device.json");
    let mut settings: Json = serde_json::from_slice(&std::fs::read(&file)?)?;
    settings[key] = value.into();
    std::fs::write(&file, serde_json::to_vec(&settings)?)?;
    Ok(())
}

/// Starts a copy, which must fail; gives the code.
fn refused_start(world: &World, copy: &str) -> Result<Code> {
    let log = world.dir.join(format!("{copy}.log"));
    match Process::start(&["agent", "run", &world.path(copy)], &log) {
        Ok(_) => bail!("the copy runs"),
        Err(error) => {
            let text = error.to_string();
            let code = text.find("TMK-").and_then(|at| text.get(at..at + 8)).and_then(Code::parse);
            code.with_context(|| format!("the copy does not run, but why: {text}"))
        }
    }
}

pub fn stolen_storage(world: &mut World, story: &mut Story) -> Result<()> {
    let before = world.digests()?;
    copy(world, "stolen")?;
    let (missing, expected) = match world.platform {
        Platform::Sandbox => {
            // The thief has a fuse of his own, and not the one of the device.
            let (fuse, counter) = (world.path("stolen-fuse"), world.path("stolen-fuse.counter"));
            let mut secret = [0; 32];
            world.crypto.random.fill(&mut secret).map_err(|e| anyhow::anyhow!("{e}"))?;
            std::fs::write(&fuse, secret)?;
            std::fs::copy(world.dir.join("fuse-a.counter"), counter)?;
            adjust(world, "stolen", "fuse", fuse)?;
            ("its fuse file", codes::TEE_STORAGE)
        }
        Platform::Tpm => ("its TPM", codes::TPM_SEALED),
    };
    let thief = match world.platform {
        Platform::Sandbox => None,
        Platform::Tpm => {
            let tpm = Tpm::start(&world.dir.join("tpm-thief"))?;
            adjust(world, "stolen", "tpm", tpm.root())?;
            adjust(world, "stolen", "fuse", world.path("stolen/root.sealed"))?;
            Some(tpm)
        }
    };
    let code = refused_start(world, "stolen")?;
    drop(thief);
    ensure!(code == expected, "the copy is refused with {code}, expected {expected}");
    let attempt = format!("copy everything of device a but {missing}, and start it on another machine");
    let by = if world.platform == Platform::Tpm { "the TPM" } else { "the TEE" };
    let after = world.digests()?;
    story.refused(
        Refusal { attempt: &attempt, by, answer: "nothing opens".into(), code },
        &before,
        &after,
    )?;
    story.unchanged(&after);
    Ok(())
}

pub fn clone(world: &mut World, story: &mut Story) -> Result<()> {
    copy(world, "clone")?;
    match world.platform {
        Platform::Sandbox => clone_of_files(world, story),
        Platform::Tpm => clone_beside_tpm(world, story),
    }
}

/// A copy of everything is the device: only the TAM, which has seen more of its life, can tell.
fn clone_of_files(world: &mut World, story: &mut Story) -> Result<()> {
    let fuse = world.path("clone-fuse");
    for suffix in ["", ".counter"] {
        std::fs::copy(world.path(&format!("fuse-a{suffix}")), format!("{fuse}{suffix}"))?;
    }
    adjust(world, "clone", "fuse", fuse)?;
    pay(world, 100, "Kiosk")?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the device itself is refused");
    let id = world.device('a')?.id()?;

    let before = world.digests()?;
    let clone = Process::start(&["agent", "run", &world.path("clone")], &world.dir.join("clone.log"))?;
    let clone = Device::of(world.dir.join("clone"), clone)?;
    let spent = tas::wallet_key(&clone)?;
    clone.policy_check()?;
    let known = world.rest()?.device(&id)?;
    let reason = known["quarantine"].as_str().unwrap_or_default().to_owned();
    ensure!(!reason.is_empty(), "the TAM has not noticed: {known}");
    let attempt =
        "copy everything of device a, root secret included, before a payment; start the copy after it";
    let answer = "the device is put into quarantine".into();
    let refusal = Refusal { attempt, by: "the TAM", answer, code: codes::EVIDENCE_ROLLED_BACK };
    let (mut after, tee) = (world.digests()?, before.devices.clone());
    ensure!(after.devices == tee, "the clone changed the device");
    // The quarantine is what the TAM was to note, and all.
    after.registry.clone_from(&before.registry);
    story.refused(refusal, &before, &after)?;
    ensure!(Some(&spent) == world.wallet_key.as_ref(), "the clone has another wallet");
    story.say(format!("the TAM: {reason}"));
    story.say("on the device nothing can tell: the copy has the same keys, and its wallet knows nothing of the payment");
    story.say("that is all that a root of trust in files can do; with --platform tpm the copy does not open");
    let launched = clone.first.pid;
    drop(clone);
    process::wait_for_end(launched)?;
    world.operate(&["tam", "release", &id])?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the released device is refused");
    story.say("the operator looks, and lets the device itself go on");
    Ok(())
}

/// The old disk beside the device's own TPM: its counter has gone on.
fn clone_beside_tpm(world: &mut World, story: &mut Story) -> Result<()> {
    adjust(world, "clone", "fuse", world.path("clone/root.sealed"))?;
    pay(world, 100, "Kiosk")?;
    let before = world.digests()?;
    world.stop_device('a')?;
    let code = refused_start(world, "clone")?;
    world.restart_device('a', &[])?;
    ensure!(code == codes::TEE_STORAGE, "the copy is refused with {code}");
    let attempt =
        "copy the disk of device a before a payment, and put the copy back after it, with its own TPM";
    let after = world.digests()?;
    let answer = "the counter in the TPM has gone on".into();
    story.refused(Refusal { attempt, by: "the TEE", answer, code }, &before, &after)?;
    story
        .say("a copy without the TPM does not open at all; beside the TPM an old one is seen before it runs");
    story.unchanged(&after);
    Ok(())
}
