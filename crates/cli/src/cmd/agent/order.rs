//! `tamarack agent order`: orders of the device authority about the anchors of a device (security rule R8). The order is
//! signed where the authority's key is, and carried by whoever has the device; the TEE judges it.

use std::path::{Path, PathBuf};

use tamarack_agent::{AnchorChange, AnchorOrder, AnchorState, Subject};
use tamarack_broker::Client;
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions};

use super::usage;
use crate::cmd::app;
use crate::fail::{self, Fail, Outcome};
use crate::keys;

#[derive(clap::Args)]
pub(super) struct Order {
    /// The folder of a device that runs; not needed to write an order to a file
    dir: Option<PathBuf>,
    /// The device authority's key, which signs the order
    #[arg(long, required_unless_present = "file")]
    key: Option<PathBuf>,
    /// The provider whose signers it is about
    #[arg(long, requires = "key")]
    provider: Option<String>,
    /// What they are good for from now on
    #[arg(long, value_enum, requires = "key", conflicts_with = "new_keys")]
    state: Option<State>,
    /// Public keys that take the place of theirs, repeatable
    #[arg(long = "new-key", requires = "key")]
    new_keys: Vec<PathBuf>,
    /// Number of the order; the device says which is next without this
    #[arg(long, requires = "key")]
    sequence: Option<u64>,
    /// Write the order to this file and carry it nowhere
    #[arg(long, requires = "sequence")]
    out: Option<PathBuf>,
    /// Carry an order that was written before
    #[arg(long, conflicts_with_all = ["key", "out"])]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum State {
    /// Everything in their scope
    Active,
    /// What is installed still runs; nothing is accepted any more
    LoadOnly,
    /// Nothing: their TAs stop at once
    Revoked,
}

impl From<State> for AnchorState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::LoadOnly => Self::LoadOnly,
            State::Revoked => Self::Revoked,
        }
    }
}

pub(super) fn run(args: &Order) -> Outcome {
    let signed = match &args.file {
        Some(file) => fail::read(file)?,
        None => sign(args)?,
    };
    if let Some(out) = &args.out {
        fail::write(out, &signed)?;
        eprintln!("next: tamarack agent order DIR --file {}", out.display());
        return Ok(());
    }
    connect(args.dir.as_deref())?.change_anchor(&signed).map_err(|e| Fail::new(e.code(), e))?;
    eprintln!("the device has obeyed; its sessions with TAs have ended");
    Ok(())
}

fn connect(dir: Option<&Path>) -> Outcome<Client> {
    app::connect(dir.ok_or_else(|| usage("say which device: tamarack agent order DIR .."))?)
}

fn sign(args: &Order) -> Outcome<Vec<u8>> {
    let key = args.key.as_deref().ok_or_else(|| usage("--key is missing"))?;
    let provider = args.provider.clone().ok_or_else(|| usage("say whose anchor: --provider NAME"))?;
    let change = match (args.state, args.new_keys.as_slice()) {
        (Some(state), _) => AnchorChange::State(state.into()),
        (None, []) => return Err(usage("say --state or --new-key")),
        (None, files) => {
            AnchorChange::Keys(files.iter().map(|file| keys::public_key(file)).collect::<Outcome<_>>()?)
        }
    };
    let sequence = match args.sequence {
        Some(sequence) => sequence,
        None => {
            let status = connect(args.dir.as_deref())?.status().map_err(|e| Fail::new(e.code(), e))?;
            status.trust_store_sequence + 1
        }
    };
    let order = AnchorOrder { sequence, subject: Subject::Provider(provider), change };
    Sign1::sign(&*keys::signer(key)?, &order.to_cbor(), &[], &SignOptions::default())
        .map_err(|e| Fail::new(e.code(), e))
}
