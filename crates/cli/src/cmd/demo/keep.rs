//! `--keep`: everything that went over the wire and everything that is needed to check it, as files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use tamarack_cbor::Limits;
use tamarack_crypto::PublicKey;
use tamarack_model::Protocol;
use tamarack_teep::{Message, SignedMessage};

use super::otrp;
use super::relay::{Fate, Record};
use super::tas;
use super::world::World;

/// Writes the folder.
pub fn keep(world: &World, folder: &Path, results: &Json) -> Result<()> {
    for part in ["messages", "certs", "keys", "manifests", "receipts", "reports"] {
        let part = folder.join(part);
        fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    }
    let (messages, reports) = messages(world, folder)?;
    let summary = json!({
        "version": 1,
        "tam_name": tas::TAM_NAME,
        "tam_oid": tas::TAM_OID,
        "other_tam_oid": tas::OTHER_OID,
        "certs": certificates(world, folder)?,
        // A private key, of a TAM that is gone when the demo ends: without it nobody can look at the Evidence.
        "evidence_key": copy(world, folder, "tam/keys/evidence.key", "keys/tam-evidence.key")?,
        "devices": devices(world, folder)?,
        "messages": messages,
        "reports": reports,
        "manifests": manifests(world, folder)?,
        "receipts": receipts(world, folder)?,
        "results": results,
    });
    fs::write(folder.join("SUMMARY.json"), format!("{summary:#}\n"))?;
    Ok(())
}

fn messages(world: &World, folder: &Path) -> Result<(Vec<Json>, Vec<Json>)> {
    let (mut messages, mut reports) = (Vec::new(), Vec::new());
    for (number, record) in world.relay.records().iter().enumerate() {
        let direction = if record.to_tam { "to-tam" } else { "to-device" };
        let (message, kind, extension) = match record.protocol {
            Protocol::Teep => {
                let parsed = SignedMessage::parse(&record.bytes, &Limits::default());
                let message = parsed.and_then(|message| message.unverified()).ok();
                let kind = message.as_ref().map(|message| name_of(message).to_owned());
                (message, kind, "cbor")
            }
            Protocol::Otrp => (None, otrp::name_of(&record.bytes), "json"),
        };
        let kind = kind.unwrap_or_else(|| "unreadable".into());
        let kind = if record.bytes.is_empty() { "none".into() } else { kind };
        let file =
            format!("messages/{number:03}-{}-{}-{direction}-{kind}.{extension}", record.step, record.device);
        fs::write(folder.join(&file), &record.bytes)?;
        messages.push(json!({
            "file": file, "step": record.step, "device": record.device.to_string(), "exchange": record.exchange,
            "direction": direction, "author": record.author, "fate": fate(record), "status": record.status,
            "type": kind, "protocol": record.protocol.name(),
        }));
        if record.fate != Fate::Genuine {
            continue;
        }
        for report in message.iter().flat_map(reports_of) {
            let name = format!("reports/{number:03}-{}.cbor", record.device);
            fs::write(folder.join(&name), report)?;
            reports.push(json!({ "file": name, "message": file, "device": record.device.to_string() }));
        }
    }
    Ok((messages, reports))
}

fn name_of(message: &Message) -> &'static str {
    match message {
        Message::QueryRequest(_) => "query-request",
        Message::QueryResponse(_) => "query-response",
        Message::Update(_) => "update",
        Message::Success(_) => "success",
        Message::Error(_) => "error",
    }
}

fn fate(record: &Record) -> &'static str {
    match record.fate {
        Fate::Genuine => "genuine",
        Fate::Altered => "altered",
        Fate::Replayed => "replayed",
    }
}

fn reports_of(message: &Message) -> &[Vec<u8>] {
    match message {
        Message::Success(success) => &success.suit_reports,
        Message::Error(error) => &error.suit_reports,
        Message::QueryRequest(_) | Message::QueryResponse(_) | Message::Update(_) => &[],
    }
}

fn copy(world: &World, folder: &Path, from: &str, to: &str) -> Result<Json> {
    match fs::copy(world.dir.join(from), folder.join(to)) {
        Ok(_) => Ok(json!(to)),
        // A step before it failed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Json::Null),
        Err(error) => Err(error).with_context(|| format!("cannot copy {from}")),
    }
}

fn certificates(world: &World, folder: &Path) -> Result<Json> {
    let mut all = serde_json::Map::new();
    for (name, from) in [
        ("tam_ca", "tam-ca.pem"),
        ("tee_ca", "tee-ca.pem"),
        ("developer_ca", "developer-ca.pem"),
        ("tam_ed25519", "tam/keys/tam-ed25519.pem"),
        ("tam_p256", "tam/keys/tam-p256.pem"),
        ("acme", "acme.pem"),
        ("globex", "globex.pem"),
        ("rogue_ca", "rogue-ca.pem"),
        ("rogue_tee_ca", "rogue-tee-ca.pem"),
        ("tam_otrp", "tam/keys/otrp.pem"),
        ("firmware_ca", "firmware-ca.pem"),
        ("other_tam_ca", "other-tam-ca.pem"),
        ("other_tam", "other-tam.pem"),
        ("second_tee_ca", "second-tee-ca.pem"),
    ] {
        all.insert(name.into(), copy(world, folder, from, &format!("certs/{name}.pem"))?);
    }
    Ok(Json::Object(all))
}

fn write_key(folder: &Path, name: &str, key: &PublicKey) -> Result<Json> {
    let file = format!("keys/{name}.pem");
    fs::write(folder.join(&file), tamarack_pki::public_key_to_pem(key)?)?;
    Ok(json!(file))
}

fn devices(world: &World, folder: &Path) -> Result<Json> {
    let mut all = serde_json::Map::new();
    // Those of the cast, and one that joined later.
    for name in 'a'..='c' {
        let Ok(device) = world.device(name) else { continue };
        let (cert, otrp_cert) = (format!("certs/device-{name}.pem"), format!("certs/device-{name}-otrp.pem"));
        all.insert(
            name.into(),
            json!({
                "id": device.id()?,
                "protocol": device.protocol.name(),
                "tee_ca": world.cast.tee_ca(name).replace('-', "_"),
                "cert": copy(world, folder, &format!("device-{name}.pem"), &cert)?,
                "otrp_cert": copy(world, folder, &format!("device-{name}-otrp.pem"), &otrp_cert)?,
                "report_key": write_key(folder, &format!("device-{name}-report"), &device.identity()?.report_key)?,
            }),
        );
    }
    Ok(Json::Object(all))
}

fn manifests(world: &World, folder: &Path) -> Result<Vec<Json>> {
    let mut all = Vec::new();
    for name in ["wallet-v1", "wallet-v2", "valve-v1", "hello-v1"] {
        let file = copy(world, folder, &format!("{name}.suit"), &format!("manifests/{name}.suit"))?;
        if !file.is_null() {
            all.push(json!({ "file": file, "signer": "acme" }));
        }
    }
    Ok(all)
}

fn receipts(world: &World, folder: &Path) -> Result<Vec<Json>> {
    let mut all = Vec::new();
    for (number, receipt) in world.receipts.iter().enumerate() {
        let file = format!("receipts/receipt-{}.cbor", number + 1);
        fs::write(folder.join(&file), &receipt.bytes)?;
        let key: [u8; 32] = receipt.key.as_slice().try_into().context("the wallet's key is not 32 bytes")?;
        let key = write_key(folder, &format!("wallet-{}", number + 1), &PublicKey::Ed25519(key))?;
        all.push(json!({ "file": file, "key": key, "reference": hex::encode(&receipt.reference) }));
    }
    Ok(all)
}
