//! `tamarack bench`: what a TAM can do on this machine, beside what its signatures and key agreements alone allow in the
//! same run.

mod bound;
mod device;
mod otrp_device;
mod world;

use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamarack_broker::{HttpOptions, TamClient};
use tamarack_model::{Protocol, codes};
use tamarack_store::MemoryStore;
use tamarack_store_sqlite::SqliteStore;

use bound::{Counts, KEY_TYPES, Speed};
use world::{Device, Engine, Folder, Server, World};

use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Complete attested sessions, and empty POSTs, over real HTTP with durable storage
    Session {
        /// Seconds to measure sessions for; empty POSTs take half as long
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Devices that talk to the TAM at the same time
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
        devices: u16,
        /// What they speak
        #[arg(long, value_enum, default_value_t)]
        protocol: Spoken,
        /// Folder on the disk that the TAM's store shall be on
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Spoken {
    /// The IETF's protocol
    #[default]
    Teep,
    /// Its predecessor
    Otrp,
}

impl From<Spoken> for Protocol {
    fn from(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Teep => Self::Teep,
            Spoken::Otrp => Self::Otrp,
        }
    }
}

/// Rounds of the engine in this process.
const ROUNDS: u32 = 300;

pub fn run(args: Args) -> Outcome {
    let Action::Session { seconds, devices, protocol, dir, json } = args.action;
    let protocol = Protocol::from(protocol);
    let folder = Folder::make(&dir)?;
    let world = World::new(protocol)?;
    let server = Server::start(&world, &folder.0)?;
    let seconds = Duration::from_secs(seconds);
    let sessions = load(&world, &server, devices, seconds, |client, device| {
        device.session(&mut |body| send(client, &server.uri, protocol, body), &world.crypto)
    })?;
    let empty = load(&world, &server, devices, seconds / 2, |client, _| {
        send(client, &server.uri, protocol, None).map(drop)
    })?;
    drop(server);

    // Alone on the machine now: what the same costs without HTTP, without a disk, and what the signatures cost.
    let speed = Speed::measure(&world.crypto)?;
    let memory = Engine::new(&world, MemoryStore::new(world.crypto))?;
    let device = world.device(memory.otrp_key)?;
    let failed = |e: tamarack_store::StoreError| Fail::new(codes::INTERNAL, format_args!("{e}"));
    let durable = SqliteStore::open(&folder.0.join("engine"), world.crypto).map_err(failed)?;
    let durable = Engine::new(&world, durable)?;

    let durable_device = world.device(durable.otrp_key)?;

    // The first session of a device may do more, such as make its Security Domain.
    memory.session_micros(&device, &world.crypto, bound::thread_cpu, 1)?;
    durable.session_micros(&durable_device, &world.crypto, bound::process_cpu, 1)?;
    let before = Counts::so_far();
    memory.session_micros(&device, &world.crypto, bound::thread_cpu, 1)?;
    let session_counts = Counts::since(before);
    let before = Counts::so_far();
    memory.empty_micros(bound::thread_cpu, 1)?;
    let empty_counts = Counts::since(before);

    let session = Row {
        load: sessions,
        counts: session_counts,
        engine: memory.session_micros(&device, &world.crypto, bound::thread_cpu, ROUNDS)?,
        durable: durable.session_micros(&durable_device, &world.crypto, bound::process_cpu, ROUNDS)?,
    };
    let empty = Row {
        load: empty,
        counts: empty_counts,
        engine: memory.empty_micros(bound::thread_cpu, ROUNDS)?,
        durable: durable.empty_micros(bound::process_cpu, ROUNDS)?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if json {
        let crypto: serde_json::Map<String, Value> = KEY_TYPES
            .iter()
            .enumerate()
            .map(|(i, (_, name))| {
                (name.to_string(), json!({ "sign_us": speed.sign[i], "verify_us": speed.verify[i] }))
            })
            .collect();
        return out::json(&json!({
            "protocol": protocol.name(), "cores": cores, "devices": devices, "crypto": crypto,
            "agreement": { "ephemeral_us": speed.ephemeral, "agree_us": speed.agree },
            "session": session.json(&speed), "empty_post": empty.json(&speed),
        }));
    }
    let question = match protocol {
        Protocol::Teep => "QueryRequest",
        Protocol::Otrp => "GetDeviceStateRequest",
    };
    let [ed25519, p256] =
        [0, 1].map(|i| format!("sign {:.1} µs, verify {:.1} µs", speed.sign[i], speed.verify[i]));
    out::lines(&format!(
        "{cores} cores, shared by the TAM and {devices} simulated devices; durable SQLite store in {}\n\
         aws-lc in this run: Ed25519 {ed25519}; P-256 {p256}, make a key {:.1} µs, agree {:.1} µs\n\n{}\n\n{}",
        dir.display(),
        speed.ephemeral,
        speed.agree,
        session.text(&format!("complete attested session over {protocol} (3 POSTs)"), &speed),
        empty.text(&format!("empty POST -> signed {question}"), &speed),
    ))
}

/// What came of a load.
struct Load {
    count: u64,
    elapsed: Duration,
    /// CPU time of the TAM's process.
    cpu: Duration,
}

/// Lets so many devices, each with a thread and a connection, repeat `once` for `seconds`.
fn load(
    world: &World,
    server: &Server,
    devices: u16,
    seconds: Duration,
    once: impl Fn(&TamClient, &Device) -> Outcome + Sync,
) -> Outcome<Load> {
    let mut pairs = Vec::new();
    for _ in 0..devices {
        let client = TamClient::new(HttpOptions::default()).map_err(|e| Fail::new(e.code(), e))?;
        pairs.push((client, world.device(server.otrp_key)?));
    }
    let barrier = Barrier::new(pairs.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = pairs
            .iter()
            .map(|(client, device)| {
                scope.spawn(|| {
                    // The first one opens the connection and registers the device.
                    let first = once(client, device);
                    barrier.wait();
                    first?;
                    let (begin, mut count) = (Instant::now(), 0u64);
                    while begin.elapsed() < seconds {
                        once(client, device)?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        barrier.wait();
        let (begin, cpu) = (Instant::now(), server.cpu()?);
        let mut count = 0;
        for thread in threads {
            let joined = thread.join().map_err(|_| Fail::new(codes::INTERNAL, "a device panicked"))?;
            count += joined?;
        }
        Ok(Load { count, elapsed: begin.elapsed(), cpu: server.cpu()?.saturating_sub(cpu) })
    })
}

fn send(client: &TamClient, uri: &str, protocol: Protocol, body: Option<&[u8]>) -> Outcome<Option<Vec<u8>>> {
    let answer = match body {
        None => client.connect(uri, protocol),
        Some(message) => client.send(uri, protocol, message),
    };
    answer.map_err(|e| Fail::new(e.code(), e))
}

/// One thing that was measured.
struct Row {
    load: Load,
    counts: Counts,
    /// Microseconds of CPU for one, in the engine with a store in memory.
    engine: f64,
    /// The same with the durable store.
    durable: f64,
}

/// Parts of the microseconds of CPU that one takes.
type Parts = [(&'static str, f64); 3];

impl Row {
    fn per_second(&self) -> f64 {
        self.load.count as f64 / self.load.elapsed.as_secs_f64()
    }

    fn micros(&self) -> f64 {
        self.load.cpu.as_secs_f64() * 1e6 / self.load.count.max(1) as f64
    }

    fn parts(&self, speed: &Speed) -> Parts {
        let signatures = self.counts.micros(speed);
        [
            ("signatures and agreements", signatures),
            ("engine", self.engine - signatures),
            ("store, http and kernel", self.micros() - self.engine),
        ]
    }

    /// Microseconds that the store takes when one comes at a time; under load many share a commit, so this is not a part of
    /// the sum above.
    fn store_alone(&self) -> f64 {
        self.durable - self.engine
    }

    fn json(&self, speed: &Speed) -> Value {
        let (micros, bound) = (self.micros(), self.counts.micros(speed));
        let counts = |counts: [u64; 2]| json!({ "ed25519": counts[0], "p256": counts[1] });
        let parts: serde_json::Map<String, Value> = self
            .parts(speed)
            .iter()
            .map(|(name, micros)| ((*name).replace(", ", "_").replace(' ', "_"), json!(micros)))
            .collect();
        json!({
            "count": self.load.count, "seconds": self.load.elapsed.as_secs_f64(),
            "per_second": self.per_second(), "cpu_us": micros, "per_second_and_core": 1e6 / micros,
            "signs": counts(self.counts.sign), "verifies": counts(self.counts.verify),
            "ephemeral_keys": self.counts.ephemeral, "agreements": self.counts.agree,
            "signatures_us": bound, "bound_per_second_and_core": 1e6 / bound, "ratio": bound / micros,
            "parts_us": parts, "store_alone_us": self.store_alone(),
        })
    }

    fn text(&self, title: &str, speed: &Speed) -> String {
        let (micros, bound) = (self.micros(), self.counts.micros(speed));
        let Counts { sign, verify, ephemeral, agree } = self.counts;
        let agreed = match agree {
            0 => String::new(),
            _ => format!(", {ephemeral} keys made for a message, {agree} agreements"),
        };
        let only = if agree == 0 { "signatures" } else { "signatures and key agreements" };
        let parts: Vec<String> =
            self.parts(speed).iter().map(|(name, micros)| format!("{name} {micros:.0}")).collect();
        format!(
            "{title}\n  {:>8.0} per second, {:.0} per second and core ({micros:.0} µs of the TAM's CPU each)\n  \
             {:>8.0} per second and core if only {only} took time ({bound:.0} µs: {} Ed25519 and {} P-256 made, {} \
             and {} verified{agreed})\n  {:>8.2} is the ratio\n  where the time goes, µs: {} (the store alone, one at a time: {:.0})",
            self.per_second(),
            1e6 / micros,
            1e6 / bound,
            sign[0],
            sign[1],
            verify[0],
            verify[1],
            bound / micros,
            parts.join(", "),
            self.store_alone(),
        )
    }
}
