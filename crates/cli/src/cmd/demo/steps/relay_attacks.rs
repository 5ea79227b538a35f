//! What the relay between Broker and TAM does: flips bits, and stands still while the TAM dies.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tamarack_broker::{Client, SOCKET_NAME};
use tamarack_cbor::Limits;
use tamarack_cose::{Sign, Sign1};
use tamarack_model::Code;
use tamarack_teep::{ErrCode, Message, MessageType, SignedMessage};

use crate::cmd::demo::relay::{Answer, Fate, Tam};
use crate::cmd::demo::rest::Rest;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{HELLO, WALLET};
use crate::cmd::demo::world::{Digests, World};

/// Longest time that the demo waits for a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where to flip a bit: a quarter of the payload, or the last byte, which belongs to a signature.
#[derive(Clone, Copy, Debug)]
enum Place {
    Quarter(usize),
    Signature,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarter(quarter) => write!(f, "{quarter}/4 of the payload"),
            Self::Signature => f.write_str("its signature"),
        }
    }
}

/// The message with one bit flipped.
fn flipped(bytes: &[u8], place: Place) -> Result<Vec<u8>> {
    let limits = Limits::default();
    let payload = match Sign1::parse(bytes, &limits) {
        Ok(one) => one.unverified_payload().map(<[u8]>::to_vec),
        Err(_) => Sign::parse(bytes, &limits)
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .unverified_payload()
            .map(<[u8]>::to_vec),
    };
    let payload = payload.context("a message without payload")?;
    let from = bytes.windows(payload.len()).position(|window| window == payload);
    let mut changed = bytes.to_vec();
    let at = match place {
        Place::Quarter(quarter) => from.context("no payload")? + (payload.len() - 1) * quarter / 4,
        Place::Signature => bytes.len() - 1,
    };
    changed[at] ^= 1;
    Ok(changed)
}

fn kind(bytes: &[u8]) -> Option<u8> {
    SignedMessage::parse(bytes, &Limits::default()).ok()?.message_type_unverified()
}

fn error_in(bytes: &[u8]) -> Option<ErrCode> {
    match SignedMessage::parse(bytes, &Limits::default()).ok()?.unverified().ok()? {
        Message::Error(error) => Some(error.err_code),
        _ => None,
    }
}

/// The code in an Update that brings no manifest but asks for Evidence again: how the TAM answers Evidence that it cannot
/// decrypt.
fn refusal_in(bytes: &[u8]) -> Option<Code> {
    match SignedMessage::parse(bytes, &Limits::default()).ok()?.unverified().ok()? {
        Message::Update(update) if update.err_code.is_some() && update.manifest_list.is_empty() => {
            Code::parse(update.err_msg?.get(..8)?)
        }
        _ => None,
    }
}

/// What the relay saw of an attack.
#[derive(Default)]
struct Seen {
    flips: usize,
    /// Registry digest just before the flipped message went on.
    registry: String,
    /// The TAM's answer to the flipped message, or to the device's answer to it.
    status: u16,
    /// The TAM's code with it.
    code: Option<Code>,
    /// The code in its answer, where that is an Update that refuses.
    refusal: Option<Code>,
    /// The device's Error about it.
    error: Option<ErrCode>,
}

/// Device b asks for the wallet while one bit of one message is flipped.
fn attack(world: &World, target: MessageType, place: Place) -> Result<(Seen, Option<Code>)> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = seen.clone();
    let rest: Rest = world.rest()?.clone();
    let handler = move |_: char, body: &[u8], tam: &Tam| {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        let flip = |bytes: &[u8], noted: &mut Seen| -> Result<Option<Vec<u8>>> {
            if kind(bytes) != Some(target.number()) || noted.flips > 0 {
                return Ok(None);
            }
            noted.flips += 1;
            noted.registry = rest.registry_digest()?;
            flipped(bytes, place).map(Some)
        };
        let answer = match flip(body, &mut noted)? {
            Some(changed) => tam.post(&changed, "device", Fate::Altered)?,
            None => tam.forward(body)?,
        };
        if noted.flips > 0 {
            noted.status = answer.status;
            noted.code = answer.code.as_deref().and_then(Code::parse);
            noted.refusal = refusal_in(&answer.body);
            noted.error = noted.error.or(error_in(body));
        }
        match flip(&answer.body, &mut noted)? {
            Some(body) => Ok(Answer { body, ..answer }.with(Fate::Altered)),
            None => Ok(answer),
        }
    };
    let device = world.device('b')?;
    let told = world.relay.with(Box::new(handler), || device.try_request(&WALLET.component()))?;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((std::mem::take(&mut *seen), told))
}

pub fn tampered_relay(world: &mut World, story: &mut Story) -> Result<()> {
    use Place::{Quarter, Signature};
    let mut flips = 0;
    for (target, name, by, places) in [
        (
            MessageType::QueryRequest,
            "QueryRequest",
            "the TEE",
            &[Quarter(0), Quarter(1), Quarter(2), Quarter(4)][..],
        ),
        (
            MessageType::QueryResponse,
            "QueryResponse",
            "the TAM",
            &[Quarter(0), Quarter(1), Quarter(2), Signature],
        ),
        (MessageType::Update, "Update", "the TEE", &[Quarter(1), Quarter(3), Signature]),
        (MessageType::Success, "Success", "the TAM", &[Quarter(2)]),
    ] {
        for place in places {
            let before = world.digests()?;
            let (seen, told) = attack(world, target, *place)?;
            ensure!(seen.flips == 1, "no {name} went by");
            flips += 1;
            let mut after = world.digests()?;
            let success = target == MessageType::Success;
            ensure!(success || told.is_some(), "{name} {place:?}: the device noticed nothing");
            if success {
                // The Update before it was carried out, rightly; what counts is that the TAM believes nothing of it.
                after.devices = before.devices.clone();
            }
            // What the TAM learned from the untouched messages before the flipped one is no effect of it.
            let before = Digests { registry: seen.registry, ..before };
            let attempt = format!("one bit of the {name} flipped, at {place}");
            let (answer, code) = match by {
                "the TAM" if seen.refusal.is_some() => {
                    ("Update with error 7, no manifest".to_owned(), seen.refusal)
                }
                "the TAM" => {
                    ensure!(seen.status == 400, "{attempt}: the TAM answered {}", seen.status);
                    (format!("HTTP {}", seen.status), seen.code)
                }
                _ => {
                    let error = seen.error.with_context(|| format!("{attempt}: the device sent no Error"))?;
                    (format!("error {}", error.number()), told)
                }
            };
            let code = code.with_context(|| format!("{attempt}: refused without a code"))?;
            story.refused(Refusal { attempt: &attempt, by, answer, code }, &before, &after)?;
        }
    }
    // The Success was lost, not the installation: the next Evidence tells.
    let device = world.device('b')?;
    ensure!(device.sequence(&WALLET.manifest())? == Some(2), "the wallet is not on device b");
    ensure!(device.policy_check()?.is_none(), "device b could not tell the TAM");
    story.lines = vec![
        format!(
            "{flips} bits flipped, in QueryRequest, QueryResponse, Update and Success: each refused, nothing changed"
        ),
        "after the altered Success was refused, the next Evidence told the TAM what device b holds".into(),
    ];
    story.fact("flips", flips);
    Ok(())
}

pub fn tam_restart(world: &mut World, story: &mut Story) -> Result<()> {
    let (arrived, update_arrived) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let handler = move |_: char, body: &[u8], tam: &Tam| {
        let answer = tam.forward(body)?;
        if kind(&answer.body) == Some(MessageType::Update.number()) {
            // The TAM has acknowledged the device's QueryResponse; now the world changes before the Update goes on.
            arrived.send(())?;
            may_go.recv_timeout(PATIENCE)?;
        }
        Ok(answer)
    };
    let socket = world.device('b')?.dir.join(SOCKET_NAME);
    let relay = world.relay.clone();
    let (registry, pid) = relay.with(Box::new(handler), || -> Result<_> {
        let app = std::thread::spawn(move || -> Result<()> {
            let mut app = Client::connect(socket)?;
            let hello = HELLO.component();
            let mut following = app.request_ta(&hello, None)?;
            following.try_for_each(|progress| progress.map(drop))?;
            Ok(())
        });
        update_arrived.recv_timeout(PATIENCE).context("no Update came")?;
        let acknowledged = world.rest()?.registry_digest()?;
        world.kill_tam()?;
        let pid = world.start_tam()?;
        ensure!(
            world.rest()?.registry_digest()? == acknowledged,
            "the registry is another after the restart"
        );
        go.send(())?;
        app.join().map_err(|_| anyhow::anyhow!("the app panicked"))??;
        Ok((acknowledged, pid))
    })?;
    let device = world.device('b')?;
    ensure!(device.sequence(&HELLO.manifest())? == Some(1), "hello is not installed on device b");
    let known = world.rest()?.device(&device.id()?)?;
    let reported = known["reported"].to_string();
    ensure!(reported.contains(&HELLO.manifest().to_string()), "the Success went lost: {known}");
    let sessions = world.rest()?.get("/sessions?limit=5")?;
    let sessions = sessions.as_array().or(sessions["items"].as_array()).cloned().unwrap_or_default();
    let updated = sessions.iter().any(|s| s["outcome"] == "updated" && s["device"] == known["id"]);
    ensure!(updated, "the session did not end as updated: {sessions:?}");
    story.say("device b asks for hello; the TAM acknowledges its Evidence and sends an Update; then SIGKILL for the TAM");
    story.say(format!(
        "started again as process {pid}, it has everything: registry digest {}..",
        &registry[..12]
    ));
    story.say("the device finishes, and the TAM knows the token of the Update that it sent before it died");
    story.fact("registry_digest", registry);
    story.fact("pid", pid);
    Ok(())
}
