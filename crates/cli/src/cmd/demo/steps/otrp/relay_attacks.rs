//! What the relay between Broker and TAM does: flips bits, and stands still while the TAM dies.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tamarack_broker::{Client, SOCKET_NAME};
use tamarack_model::Code;
use tamarack_otrp::broker::BrokerError;

use crate::cmd::demo::otrp::name_of;
use crate::cmd::demo::relay::{Answer, Fate, Tam};
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::tas::{HELLO, VALVE, WALLET};
use crate::cmd::demo::world::{Digests, World};

/// Longest time that the demo waits for a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// The message with one character changed in a member of its JWS, at so many eighths.
fn altered(bytes: &[u8], member: &str, eighth: usize) -> Result<Vec<u8>> {
    let name = format!("\"{member}\":\"");
    let start = bytes.windows(name.len()).position(|window| window == name.as_bytes());
    let start = start.with_context(|| format!("a message without {member}"))? + name.len();
    let length = bytes[start..].iter().position(|b| *b == b'"').context("a string that does not end")?;
    let mut changed = bytes.to_vec();
    let at = start + (length - 2) * eighth / 8;
    // Another letter of base64, so that what is tampered with is the value and not its encoding.
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    Ok(changed)
}

/// What the relay saw of an attack.
#[derive(Default)]
struct Seen {
    flips: usize,
    /// The digests just before the altered message went on.
    before: Option<Digests>,
    /// The TAM's answer to the altered message, or to the device's answer to it.
    status: u16,
    /// The TAM's code with it.
    code: Option<Code>,
    /// What the Broker said about it.
    broker: Option<String>,
}

/// Device b asks for the wallet while one character of one message is changed.
fn attack(world: &World, target: &'static str, place: (&'static str, usize)) -> Result<(Seen, Option<Code>)> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (noted, prober) = (seen.clone(), world.prober()?);
    let handler = move |_: char, body: &[u8], tam: &Tam| {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        let flip = |bytes: &[u8], noted: &mut Seen| -> Result<Option<Vec<u8>>> {
            if name_of(bytes).as_deref() != Some(target) || noted.flips > 0 {
                return Ok(None);
            }
            noted.flips += 1;
            noted.before = Some(prober.digests()?);
            altered(bytes, place.0, place.1).map(Some)
        };
        if let Ok(error) = BrokerError::parse(body, &tamarack_otrp::Limits::default()) {
            noted.broker = Some(error.code.to_string());
        }
        let answer = match flip(body, &mut noted)? {
            Some(changed) => tam.post(&changed, "device", Fate::Altered)?,
            None => tam.forward(body)?,
        };
        if noted.flips > 0 {
            noted.status = answer.status;
            noted.code = noted.code.or(answer.code.as_deref().and_then(Code::parse));
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
    // Something has to be asked for, and a domain has to be there, or the commands would differ from one to the next.
    ensure!(world.device('b')?.request(&VALVE.component())? == "INSTALLED", "device b did not get the valve");
    let mut flips = 0;
    for (target, by, places) in [
        (
            "GetDeviceStateRequest",
            "the TEE",
            &[("protected", 2), ("payload", 1), ("payload", 6), ("signature", 4)][..],
        ),
        ("GetDeviceStateResponse", "the TAM", &[("payload", 1), ("payload", 5), ("signature", 4)]),
        ("InstallTARequest", "the TEE", &[("payload", 1), ("payload", 5), ("payload", 7), ("signature", 4)]),
        ("InstallTAResponse", "the TAM", &[("payload", 6)]),
    ] {
        for place in places {
            let (seen, told) = attack(world, target, *place)?;
            ensure!(seen.flips == 1, "no {target} went by");
            flips += 1;
            let after = world.digests()?;
            let attempt =
                format!("one character of the {target} changed, at {}/8 of its {}", place.1, place.0);
            let before = seen.before.context("no digests were taken")?;
            let (by, answer, code) = match (by, seen.broker) {
                ("the TAM", _) => {
                    ensure!(seen.status == 400, "{attempt}: the TAM answered {}", seen.status);
                    (by, format!("HTTP {}", seen.status), seen.code.or(told))
                }
                (_, Some(said)) => (by, format!("no word of the TEE; the Broker, unsigned: {said}"), told),
                // Not even the name of the TEE can be read.
                (_, None) => ("the Broker", "the exchange is ended".into(), told),
            };
            let code = code.with_context(|| format!("{attempt}: refused without a code"))?;
            story.refused(Refusal { attempt: &attempt, by, answer, code }, &before, &after)?;
        }
    }
    // The response was lost, not the installation: the next state tells.
    let device = world.device('b')?;
    ensure!(device.policy_check()?.is_none(), "device b could not tell the TAM");
    ensure!(device.sequence(&WALLET.manifest())? == Some(2), "the wallet is not on device b");
    story.lines = vec![
        format!("{flips} messages altered, requests and responses: each refused, nothing changed"),
        "after the altered InstallTAResponse was refused, the next state told the TAM what device b holds"
            .into(),
    ];
    story.fact("flips", flips);
    Ok(())
}

pub fn tam_restart(world: &mut World, story: &mut Story) -> Result<()> {
    let (arrived, command_arrived) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let mut first = true;
    let handler = move |_: char, body: &[u8], tam: &Tam| {
        let answer = tam.forward(body)?;
        if name_of(&answer.body).as_deref() == Some("InstallTARequest") && std::mem::take(&mut first) {
            // The TAM has acknowledged the device's state; now the world changes before the command goes on.
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
        command_arrived.recv_timeout(PATIENCE).context("no InstallTARequest came")?;
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
    let held = known["reported"].to_string() + &known["attested"].to_string();
    ensure!(held.contains(&HELLO.manifest().to_string()), "the response went lost: {known}");
    story.say(
        "device b asks for hello; the TAM takes its state and sends InstallTA; then SIGKILL for the TAM",
    );
    story.say(format!(
        "started again as process {pid}, it has everything: registry digest {}..",
        &registry[..12]
    ));
    story.say("the device finishes, and the TAM knows the request that it sent before it died");
    story.fact("registry_digest", registry);
    story.fact("pid", pid);
    Ok(())
}
