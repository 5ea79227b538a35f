//! Devices that run something else than their maker released.

use anyhow::{Context, Result, bail, ensure};
use tamarack_cbor::Limits;
use tamarack_model::codes;
use tamarack_teep::{ErrCode, Message, SignedMessage};

use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tpm::Platform;
use crate::cmd::demo::world::{Digests, World};
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR};

/// A text of the program, of which one letter is changed.
const TEXT: &[u8] = b"this command is for the launcher of the TEE only";

/// The maker says what it released: by the digests that a launcher measures.
fn release(world: &World, story: &mut Story) -> Result<()> {
    let (key, corim) = (world.path("maker.key"), world.path("maker.corim"));
    world.run(&["pki", "key", &key])?;
    let measured =
        String::from_utf8(world.run(&["agent", "measure", &world.path("device-a"), "--panel"])?)?;
    let mut args = vec!["reference", "make", "--key", &key, "--signer", "the maker", "--tag", "demo-tee"];
    args.extend(["--vendor", DEFAULT_VENDOR, "--class", DEFAULT_CLASS, "--days", "30", "--out", &corim]);
    args.extend(measured.lines().flat_map(|line| ["--component", line]));
    let boot: Vec<String> =
        boot_registers(world).iter().map(|(name, digest)| format!("{name}=sha256:{digest}")).collect();
    args.extend(boot.iter().flat_map(|line| ["--component", line]));
    world.run(&args)?;
    let scope = format!("/{DEFAULT_CLASS}");
    world.operate(&["reference", "provider", "add", "maker", "--key", &key, "--scope", &scope])?;
    world.operate(&["reference", "add", &corim])?;
    story.say("the maker signs a CoRIM with the digests of launcher, Agent and configuration; the TAM appraises by it");
    story.fact("released", measured.lines().collect::<Vec<_>>());
    Ok(())
}

/// The boot that the quotes of the demo's devices show, as names and digests in hexadecimal; none without TPMs. Nothing is
/// booted on an emulated TPM, so that its registers are as they are after a reset.
pub fn boot_registers(world: &World) -> Vec<(String, String)> {
    match world.platform {
        Platform::Sandbox => Vec::new(),
        Platform::Tpm => {
            [0, 2, 4, 7].map(|pcr| (format!("urn:x-tamarack:tpm:pcr:{pcr}"), "00".repeat(32))).to_vec()
        }
    }
}

/// The Agent's program with one letter changed.
fn modify(world: &World) -> Result<String> {
    let mut code = std::fs::read(std::env::current_exe()?)?;
    let at = code.windows(TEXT.len()).position(|window| window == TEXT);
    code[at.context("the program has not the text that was to be changed")?] ^= 0x20;
    let file = world.path("modified-agent");
    std::fs::write(&file, code)?;
    Ok(file)
}

/// What the TAM answered device a last in this step.
fn last_answer(world: &World) -> Result<tamarack_teep::Update> {
    let records = world.relay.records();
    let answers = records.iter().rev().filter(|r| r.step == STEP && r.device == 'a' && !r.to_tam);
    for record in answers {
        let parsed = SignedMessage::parse(&record.bytes, &Limits::default());
        if let Ok(Message::Update(update)) = parsed.and_then(|message| message.unverified()) {
            return Ok(update);
        }
    }
    bail!("the TAM answered device a by no Update")
}

/// Id of the step.
pub const STEP: &str = "refuse-modified-agent";

pub fn modified_agent(world: &mut World, story: &mut Story) -> Result<()> {
    release(world, story)?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the released device is refused");
    let genuine = world.device('a')?.status()?;
    story.say("device a runs what was released, and gets through");

    let modified = modify(world)?;
    let before = world.digests()?;
    if world.platform == Platform::Tpm {
        return refused_by_tpm(world, story, &modified, before);
    }
    world.restart_device('a', &["--agent", &modified])?;
    let status = world.device('a')?.status()?;
    ensure!(status.state_digest == genuine.state_digest, "the modified Agent has not the device's storage");
    ensure!(status.measured[0] != genuine.measured[0], "the launcher measures nothing");
    ensure!(status.measured[1..] == genuine.measured[1..], "the launcher changed");
    world.device('a')?.policy_check()?;
    let answer = last_answer(world)?;
    ensure!(answer.err_code == Some(ErrCode::AttestationRequired), "the TAM says {:?}", answer.err_code);
    ensure!(answer.manifest_list.is_empty(), "the Update carries a manifest");
    let (text, expected) = (answer.err_msg.unwrap_or_default(), codes::MEASUREMENT_MISMATCH);
    ensure!(text.starts_with(&expected.to_string()), "the TAM says {text}, expected {expected}");
    let attempt = "device a starts an Agent with one letter changed: its launcher measures it before it runs";
    let refusal =
        Refusal { attempt, by: "the TAM", answer: "Update with error 7, no manifest".into(), code: expected };
    story.refused(refusal, &before, &world.digests()?)?;
    story.say(format!(
        "the Agent's digest is {} and not {}; it holds no key to say otherwise",
        hex::encode(&status.measured[0][..6]),
        hex::encode(&genuine.measured[0][..6])
    ));

    world.restart_device('a', &[])?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the genuine Agent is refused");
    story.say("the genuine Agent starts again, and gets through");
    // The values stay in force: whatever follows has to run what was released, or be released too.
    story.unchanged(&world.digests()?);
    Ok(())
}

/// A TPM does not let it come that far.
fn refused_by_tpm(world: &mut World, story: &mut Story, modified: &str, before: Digests) -> Result<()> {
    let Err(error) = world.restart_device('a', &["--agent", modified]) else {
        bail!("the TPM releases the device's secret to a modified Agent");
    };
    let code = codes::TPM_SEALED;
    ensure!(
        error.to_string().contains(&code.to_string()),
        "the modified Agent does not start, but why: {error}"
    );
    world.restart_device('a', &[])?;
    let attempt = "device a starts an Agent with one letter changed: its launcher measures it into the TPM";
    let answer = "the root secret stays sealed".into();
    let after = world.digests()?;
    story.refused(Refusal { attempt, by: "the TPM", answer, code }, &before, &after)?;
    ensure!(world.device('a')?.policy_check()?.is_none(), "the genuine Agent is refused");
    story.say("the genuine Agent starts again, and gets through");
    story.unchanged(&after);
    Ok(())
}
