//! Authorities, TAM, devices, and the first version of the TAs.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::cmd::demo::impostor::Impostor;
use crate::cmd::demo::otrp::OtrpImpostor;
use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, HELLO, Signer, VALVE, WALLET};
use crate::cmd::demo::world::{Cast, World};

/// Separate authorities for TAMs, TEEs and developers, and what they certify.
pub fn pki(world: &mut World, story: &mut Story) -> Result<()> {
    let more = if world.cast.has_otrp() { &["firmware"][..] } else { &[] };
    for role in ["tam", "tee", "developer"].iter().chain(more) {
        world.run(&["pki", "ca", "--role", role, &world.path(&format!("{role}-ca"))])?;
    }
    if world.cast != Cast::Otrp {
        world.run(&["pki", "ca", "--role", "tee", &world.path("second-tee-ca")])?;
        story.say("a second maker of devices has a TEE authority of its own");
    }
    if world.cast.has_otrp() {
        other_tam(world)?;
        story.say("an authority for firmware, and another TAM under another root");
    }
    // The maker's: it alone changes the anchors of devices that are out in the world.
    world.run(&["pki", "key", &world.path("authority.key")])?;
    for (who, uri) in [("acme", tas::ACME_NAME), ("globex", tas::GLOBEX_NAME)] {
        let (key, cert) = (world.path(&format!("{who}.key")), world.path(&format!("{who}.pem")));
        world.run(&["pki", "key", &key])?;
        let ca = world.path("developer-ca");
        world.run(&["pki", "issue", "--ca", &ca, "--key", &key, "--uri", uri, "--out", &cert])?;
    }
    if world.cast == Cast::Teep {
        world.run(&["owner", "key", &world.path("owner.key")])?;
        story.say("the owner of both devices has a key");
    }
    story.say("three authorities that vouch for nothing of each other: TAMs, TEEs, developers");
    story.say("developers acme and globex have a certificate each");
    Ok(())
}

/// A TAM that is not ours, under a root of its own; the devices will trust it too.
fn other_tam(world: &mut World) -> Result<()> {
    let (ca, key, cert) = ("other-tam-ca", world.path("other-tam.key"), world.path("other-tam.pem"));
    world.run(&["pki", "ca", "--role", "tam", &world.path(ca)])?;
    world.run(&["pki", "key", "--key-type", "p256", &key])?;
    let issuer = world.path(ca);
    let args = [
        "pki",
        "issue",
        "--ca",
        &issuer,
        "--role",
        "otrp-tam",
        "--key",
        &key,
        "--oid",
        tas::OTHER_OID,
        "--out",
        &cert,
    ];
    world.run(&args)?;
    let (key, cert) = (std::fs::read_to_string(key)?, std::fs::read_to_string(cert)?);
    let mut other = OtrpImpostor::load(&key, &cert, "other-tam", &world.crypto)?;
    other.ocsp = vec![world.staple(ca, "other-tam.pem")?];
    world.other_tam = Some(other);
    Ok(())
}

/// The TAM starts, and the operator registers two service providers.
pub fn tam_up(world: &mut World, story: &mut Story) -> Result<()> {
    let mut args = vec![
        "tam",
        "init",
        "--listen",
        "127.0.0.1:0",
        "--uri",
        tas::TAM_NAME,
        // The demo shows the grade that this machine gives, rather than refuse a machine with fewer layers.
        "--minimum",
        "none",
        "--json",
    ];
    let (folder, ca, tee) = (world.path("tam"), world.path("tam-ca"), world.path("tee-ca.pem"));
    let (tee, second) = (format!("{tee}=software"), format!("{}=software", world.path("second-tee-ca.pem")));
    args.extend([&folder, "--ca", &ca, "--tee-ca", &tee]);
    let (ocsp, firmware);
    if world.cast.has_otrp() {
        (ocsp, firmware) = (world.start_ocsp()?, world.path("firmware-ca.pem"));
        args.extend(["--otrp-oid", tas::TAM_OID, "--ocsp-url", &ocsp, "--firmware-ca", &firmware]);
    }
    if world.cast != Cast::Otrp {
        args.extend(["--tee-ca", &second]);
    }
    let init = world.run(&args)?;
    let init: serde_json::Value = serde_json::from_slice(&init)?;
    let token = init["operator_token"].as_str().context("tam init made no operator token")?;
    std::fs::write(world.dir.join("operator.token"), token)?;
    let pid = world.start_tam()?;
    let keys = world.dir.join("tam/keys");
    let read = |name: &str| std::fs::read_to_string(keys.join(name));
    let stolen = Impostor::load(
        &read("tam-ed25519.key")?,
        &read("tam-ed25519.pem")?,
        "stolen-tam-key",
        &world.crypto,
    )?;
    world.stolen = Some(stolen);
    if world.cast.has_otrp() {
        let (key, chain) = (read("otrp.key")?, read("otrp.pem")?);
        let mut stolen = OtrpImpostor::load(&key, &chain, "stolen-tam-key", &world.crypto)?;
        stolen.ocsp = vec![world.staple("tam-ca", "tam/keys/otrp.pem")?];
        world.stolen_otrp = Some(stolen);
        story.say(
            "it speaks OTrP too, under another key, and staples what its authority's OCSP responder says",
        );
    }
    for (who, prefix) in [("acme", tas::ACME), ("globex", tas::GLOBEX)] {
        let cert = std::fs::read_to_string(world.dir.join(format!("{who}.pem")))?;
        let token = world.rest()?.register(who, prefix, &cert)?;
        world.tokens.push(token);
    }
    story.say(format!(
        "TAM runs as process {pid}; acme may publish under {}, globex under {}",
        tas::ACME,
        tas::GLOBEX
    ));
    story.fact("pid", pid);
    Ok(())
}

/// Two devices: for each a Broker's process and, behind walls, a TEE's process.
pub fn tee_up(world: &mut World, story: &mut Story) -> Result<()> {
    for &name in world.cast.devices() {
        world.start_device(name)?;
        let device = world.device(name)?;
        let (ready, status) = (&device.broker.ready, &device.first);
        let (pid, uid) = (device.broker.pid(), ready["broker"]["uid"].clone());
        ensure!(status.pid != pid && status.pid != std::process::id(), "the TEE has no process of its own");
        story.say(format!(
            "device {name}: Broker is process {pid} (uid {uid}); TEE: launcher {} and Agent {} (uid {})",
            status.launcher_pid, status.pid, status.uid
        ));
        story.fact(
            &format!("device_{name}"),
            json!({ "broker": ready["broker"], "tee": ready["tee"], "id": device.id()? }),
        );
    }
    let status = &world.device('a')?.first;
    story.say(format!("walls around each TEE: {}", tamarack_tee_sandbox::Layers::from_bits(status.layers)));
    for missing in &status.missing_layers {
        story.say(format!("missing: {missing}; Evidence says so"));
    }
    Ok(())
}

/// Developer `who`.
pub fn developer(world: &World, who: &str) -> Result<Signer> {
    let read = |extension: &str| std::fs::read_to_string(world.dir.join(format!("{who}.{extension}")));
    Signer::load(&read("key")?, &read("pem")?, &world.crypto)
}

/// acme publishes three TAs.
pub fn publish_v1(world: &mut World, story: &mut Story) -> Result<()> {
    let acme = developer(world, "acme")?;
    for ta in [&WALLET, &VALVE, &HELLO] {
        // hello is for the devices of any maker.
        let one_maker = world.cast != Cast::Both && ta.name != HELLO.name;
        let envelope = ta.envelope_for(one_maker, 1, &acme, &world.crypto)?;
        let entry = world.rest()?.publish(&world.tokens[0], &envelope)?;
        ensure!(entry["sequence"] == 1, "the catalogue has {entry}");
        story.say(format!(
            "acme published {} 1, {} bytes, signed by acme: {}",
            ta.name,
            envelope.len(),
            ta.manifest()
        ));
        std::fs::write(world.dir.join(format!("{}-v1.suit", ta.name)), &envelope)?;
    }
    Ok(())
}
