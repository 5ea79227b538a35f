//! `tamarack demo`: the whole story on one machine, with separate processes for TAM, Brokers and TEEs, and somebody in
//! between who attacks.

mod impostor;
mod keep;
mod otrp;
mod panel;
pub mod peek;
mod process;
mod relay;
mod rest;
mod steps;
mod story;
mod tas;
mod tpm;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value as Json, json};
use tamarack_model::codes;

use self::steps::{Step, steps};
use self::story::Story;
use self::tpm::Platform;
use self::world::{Cast, World};
use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    /// What the devices speak
    #[arg(long, value_enum, default_value_t)]
    protocol: Cast,
    /// Where the devices keep their root of trust
    #[arg(long, value_enum, default_value_t)]
    platform: Platform,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Leave every message, public key, certificate, receipt and report in this folder, which must not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Leave it running, and print commands to attack it with
    #[arg(long, conflicts_with = "json")]
    serve: bool,
}

pub fn run(args: Args) -> Outcome {
    let begun = Instant::now();
    if let Some(keep) = &args.keep
        && keep.exists()
    {
        let message = format_args!("--keep {}: it exists already; nothing was done", keep.display());
        return Err(Fail::input(codes::FILE_UNWRITABLE, message));
    }
    let failed = |e: anyhow::Error| Fail::new(codes::INTERNAL, format_args!("{e:#}"));
    let mut world = World::new(args.protocol, args.platform).map_err(failed)?;
    let mut results = Vec::new();
    for step in steps(args.protocol) {
        let (line, result) = play(step, &mut world);
        if !args.json {
            out::lines(&line)?;
        }
        results.push(result);
    }
    let ok = results.iter().all(|result| result["ok"] == true);
    let total_ms = begun.elapsed().as_millis() as u64;
    let protocol = match args.protocol {
        Cast::Teep => "teep",
        Cast::Otrp => "otrp",
        Cast::Both => "both",
    };
    let platform = match args.platform {
        Platform::Sandbox => "sandbox",
        Platform::Tpm => "tpm",
    };
    let summary = json!({ "protocol": protocol, "platform": platform, "ok": ok, "total_ms": total_ms, "steps": results });
    if let Some(folder) = &args.keep {
        keep::keep(&world, folder, &summary).map_err(failed)?;
    }
    if args.json {
        out::json(&summary)?;
    } else {
        let good = results.iter().filter(|result| result["ok"] == true).count();
        out::lines(&format!("\n{good} of {} steps as they should be, in {total_ms} ms", results.len()))?;
        if let Some(folder) = &args.keep {
            let folder = folder.display();
            out::lines(&format!(
                "kept in {folder}; check it with: python3 examples/verify-demo.py {folder}"
            ))?;
        }
    }
    if args.serve {
        serve(&world).map_err(failed)?;
    }
    drop(world);
    if ok { Ok(()) } else { Err(Fail::new(codes::INTERNAL, "the demo did not go as it should")) }
}

/// Does one step; gives what the screen shows and what `--json` tells.
fn play(step: &Step, world: &mut World) -> (String, Json) {
    world.relay.set_step(step.id);
    let begun = Instant::now();
    let mut story = Story::default();
    let result = (step.run)(world, &mut story);
    let ms = begun.elapsed().as_micros() as f64 / 1000.0;
    let ok = result.is_ok();
    let error = result.err().map(|e| format!("{e:#}"));
    let mut line = format!("{} {:<24} {}", if ok { "ok  " } else { "FAIL" }, step.id, step.title);
    if step.shown || !ok {
        for said in &story.lines {
            line += &format!("\n       {said}");
        }
    }
    if let Some(error) = &error {
        line += &format!("\n       {error}");
    }
    (line, json!({ "id": step.id, "ok": ok, "ms": ms, "detail": story.detail(error) }))
}

/// Waits for the end of standard input or an interrupt, with everything running.
fn serve(world: &World) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    let this = this.display();
    let device = world.device('a')?;
    let (folder, tee) = (device.dir.display(), device.first.pid);
    let base = world.rest()?.base().to_owned();
    let wallet = tas::WALLET.component();
    out::lines(&format!(
        "\nIt runs until you press Enter. Attack it:\n\
         1. {this} app --device {folder} invoke {wallet} 2 value:999999 text:me hex:0011223344556677 out:320\n   \
         (spend more than the wallet's limit)\n\
         2. {this} app --device {folder} invoke {wallet} 9\n   (call what the TA does not have)\n\
         3. head -c 64 /proc/{tee}/mem\n   (read the TEE's memory; try it as another user than root)\n\
         4. head -c 200 /dev/urandom | curl -si --data-binary @- -H 'Accept: application/teep+cbor' \
         -H 'Content-Type: application/teep+cbor' {base}/tam\n   (send the TAM garbage)\n\
         5. curl -si {base}/api/v1/devices -H 'Authorization: Bearer guess'\n   (ask the TAM without a token)"
    ))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}
