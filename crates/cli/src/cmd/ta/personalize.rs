//! `tamarack ta personalize`: data for one TA on one device, readable by that TA alone.
//!
//! The data is encrypted here to a key of the device, signed as a SUIT manifest and handed to the TAM, which carries it. The
//! TAM names the key; with `--tee-ca` its word is not taken, but the device's Evidence is verified.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, Recipient, To, VerificationKey, thumbprint};
use tamarack_crypto::{Provider, PublicKey, Secret};
use tamarack_eat::Token;
use tamarack_model::{ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_x509::{Anchor, Role};

use crate::fail::{self, Fail, Outcome};
use crate::rest::{Connection, Rest, encode};
use crate::ta_yaml::TaYaml;
use crate::{keys, out};

/// How long `--wait` waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of data: what a device takes of one object.
const MOST: usize = 64 << 10;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The device, as the TAM names it
    #[arg(long)]
    device: String,
    /// The TA: its component id, such as com.acme/8d82573a-926d-4754-9353-32dc29997f74/ta, or its ta.yaml
    #[arg(long)]
    ta: String,
    /// The key that signs for the provider, PKCS#8 PEM
    #[arg(long)]
    key: PathBuf,
    /// The certificate chain of that key, if devices trust a CA rather than the key
    #[arg(long)]
    chain: Option<PathBuf>,
    /// The provider, if the token is an operator's
    #[arg(long)]
    provider: Option<String>,
    /// Certificate of the device maker's TEE CA, PEM: the device's key is then taken from its Evidence and not on the TAM's
    /// word; repeatable
    #[arg(long = "tee-ca")]
    tee_cas: Vec<PathBuf>,
    /// Sequence number of the manifest; the time without it
    #[arg(long)]
    sequence: Option<u64>,
    /// Wait until the device says that it has it, at most 60 seconds
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// File with what the TA will read as its object `personalization`, at most 64 KiB; - for standard input
    data: PathBuf,
}

pub fn run(args: Args) -> Outcome {
    let provider = tamarack_crypto_aws_lc::provider();
    let ta = ta(&args.ta)?;
    let data = read(&args.data)?;
    let rest = Rest::new(&args.connection)?;
    let path = format!("/devices/{}", encode(&args.device));
    let shown = rest.get(&format!("{path}/decryption-key"))?;
    let key = match args.tee_cas.as_slice() {
        [] => told(&shown)?,
        anchors => proved(&shown, anchors, &provider)?,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let envelope = seal(&ta, &data, &key, args.sequence.unwrap_or(now), &args, &provider)?;
    drop(data);
    let size = envelope.len();
    let query = args.provider.as_ref().map(|id| format!("?provider={}", encode(id))).unwrap_or_default();
    let given = rest.post_bytes(&format!("{path}/personalization{query}"), "application/cbor", envelope)?;
    if args.wait {
        wait(&rest, &path, &given)?;
    }
    let proved = !args.tee_cas.is_empty();
    if args.json {
        return out::json(&json!({
            "device": args.device, "ta": ta.to_string(), "manifest": given["manifest"],
            "sequence": given["sequence"], "digest": given["digest"], "bytes": size,
            "kid": thumbprint(&key, &provider).to_string(), "evidence_verified": proved,
        }));
    }
    let how = if proved { "proved by its Evidence" } else { "by the TAM's word" };
    let what = if args.wait { "has" } else { "will be given" };
    out::lines(&format!(
        "device {:.16}.. {what} {} for {ta}: {size} bytes, encrypted to key {:.16}.. ({how})",
        args.device,
        given["manifest"].as_str().unwrap_or("it"),
        thumbprint(&key, &provider).to_string(),
    ))
}

/// The TA's component id, given as such or by its ta.yaml.
fn ta(text: &str) -> Outcome<ComponentId> {
    let bad = |e: &dyn std::fmt::Display| Fail::input(codes::USAGE, format_args!("--ta {text}: {e}"));
    if Path::new(text).is_file() {
        return TaYaml::read(Path::new(text))?.component_id().map_err(|e| bad(&e));
    }
    let id = ComponentId::parse_text(text).map_err(|e| bad(&e))?;
    match id.ta_uuid() {
        Some(_) => Ok(id),
        None => Err(bad(&"a TA is named domain/uuid/ta")),
    }
}

fn read(path: &Path) -> Outcome<Secret<Vec<u8>>> {
    let mut data = Vec::new();
    if path == Path::new("-") {
        use std::io::Read as _;
        let read = std::io::stdin().lock().take(MOST as u64 + 1).read_to_end(&mut data);
        read.map_err(|e| Fail::input(codes::FILE_UNREADABLE, format_args!("standard input: {e}")))?;
    } else {
        data = fail::read(path)?;
    }
    let data = Secret::new(data);
    if data.expose().is_empty() || data.expose().len() > MOST {
        return Err(Fail::input(codes::USAGE, format_args!("the data: give 1 to {MOST} bytes")));
    }
    Ok(data)
}

/// The signed manifest `domain/uuid/data.suit`, whose one component is `domain/uuid/data`.
fn seal(
    ta: &ComponentId,
    data: &Secret<Vec<u8>>,
    key: &PublicKey,
    sequence: u64,
    args: &Args,
    provider: &Provider,
) -> Outcome<Vec<u8>> {
    let failed = |e: tamarack_suit::Error| Fail::new(e.code(), e);
    let named = |last: &str| {
        let segments = ta.segments()[..2].iter().map(Vec::as_slice).chain([last.as_bytes()]);
        ComponentId::new(segments.collect::<Vec<_>>()).map_err(|e| Fail::input(codes::USAGE, e))
    };
    let kid = thumbprint(key, provider);
    let to = [To::Key(Recipient { key, kid: Some(&kid.0) })];
    let payload = Payload::sealed(data.expose(), &to, provider).map_err(failed)?;
    let component = Component::new(named(ComponentId::PERSONALIZATION)?, payload);
    let builder = Builder::new(named("data.suit")?, sequence).component(component);
    let unsigned = builder.build(provider).map_err(failed)?;
    Ok(super::sign_with(unsigned, &args.key, args.chain.as_deref())?.envelope())
}

/// The key as the TAM tells it.
fn told(shown: &Value) -> Outcome<PublicKey> {
    let pem = shown["key"].as_str().ok_or_else(|| Fail::new(codes::HTTP_PEER, "the TAM told no key"))?;
    tamarack_pki::public_key_from_pem(pem).map_err(crate::cmd::pki::pki)
}

/// The key in the device's Evidence, which a TEE CA vouches for. That it is fresh only the TAM has checked; a key that was
/// the device's is still no one else's.
fn proved(shown: &Value, anchors: &[PathBuf], provider: &Provider) -> Outcome<PublicKey> {
    let refused = |e: &dyn std::fmt::Display| {
        Fail::new(codes::EVIDENCE_KEY_BINDING, format_args!("the Evidence that the TAM gave: {e}"))
    };
    let payload = shown["evidence"]["payload"].as_str();
    let payload = payload.and_then(|text| hex::decode(text).ok());
    let payload = payload.ok_or_else(|| refused(&"there is none, or it is not kept"))?;
    let mut trusted = Vec::new();
    for path in anchors {
        for der in
            tamarack_pki::certificates_from_pem(&keys::read_text(path)?).map_err(crate::cmd::pki::pki)?
        {
            trusted.push(Anchor::from_der(&der).map_err(|e| Fail::input(e.code(), e))?);
        }
    }
    let token = Token::parse(&payload, &Limits::default()).map_err(|e| refused(&e))?;
    let at = shown["evidence"]["at"].as_u64().unwrap_or_default();
    let chain = tamarack_x509::validate(token.x5chain(), &trusted, Role::Tee, at, provider)
        .map_err(|e| refused(&e))?;
    let trusted = VerificationKey::new(*chain.leaf_key(), Purpose::Evidence, provider);
    let claims = token.verify(&[trusted], Purpose::Evidence, provider).map_err(|e| refused(&e))?;
    let device = thumbprint(chain.leaf_key(), provider).to_string();
    if shown["device"].as_str() != Some(&device) {
        return Err(refused(&"it is another device's"));
    }
    let key = claims.value().platform.as_ref().and_then(|platform| platform.decryption_key);
    key.ok_or_else(|| refused(&"it shows no key to encrypt to"))
}

/// Until the device has it.
fn wait(rest: &Rest, path: &str, given: &Value) -> Outcome {
    let began = Instant::now();
    loop {
        let rows = rest.get(&format!("{path}/personalization"))?;
        let mut rows = rows["items"].as_array().into_iter().flatten();
        if rows.any(|row| row["manifest"] == given["manifest"] && row["delivered"].is_u64()) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let message = "the device has not taken it yet; it gets it at its next exchange with the TAM";
            return Err(Fail::new(codes::TEE_CHANNEL, message));
        }
        std::thread::sleep(PAUSE);
    }
}
