//! The owner of the host: he has the device's socket, its folder, every process of the rich OS and all that passes between
//! vault and tenant, and wants the tenant's key.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use example_apps::cloud::{Service, Vault, vault};
use example_apps::search::Search;
use example_apps::{Place, Session};
use tamarack_cbor::{Decode, Limits};
use tamarack_cose::Encrypted;
use tamarack_crypto::{KeyAgree, PublicKey};
use tamarack_eat::{TaClaims, Token};
use tamarack_model::{Code, codes};

#[derive(Parser)]
#[command(about = "Attacks on the confidential cloud from its host; succeeds if all of them fail")]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Address of the key service, http://HOST:PORT
    service: String,
    /// Evidence that got the key before
    #[arg(long)]
    evidence: PathBuf,
    /// What to look for: the file with the data key, which the attacker would not have
    #[arg(long)]
    key: PathBuf,
    /// What else to look for: number and amount of a record, repeatable
    #[arg(long, num_args = 2, value_names = ["NUMBER", "AMOUNT"])]
    record: Vec<u32>,
    /// A process of the rich OS whose memory to look through, repeatable
    #[arg(long)]
    process: Vec<u32>,
}

fn main() -> Result<()> {
    let Args { place: Place { device, domain }, service, evidence, key, record, process } = Args::parse();
    let crypto = tamarack_crypto_aws_lc::provider();
    let service = Service(service);
    let mut vault = Vault(Session::open(&device, &vault(&domain))?);
    ensure!(vault.status()?.0, "the vault has no key yet: there is nothing to be had");

    // 1. The key for Evidence that is not this vault's answer to this question.
    let own = crypto.agree.ephemeral().map_err(|e| anyhow::anyhow!("{e}"))?;
    refused("the same Evidence again", service.release(&fs::read(&evidence)?)?, codes::EVIDENCE_STALE)?;
    let uninvited = vault.attest(&[0x61; 32])?;
    refused("Evidence over a nonce of his own", service.release(&uninvited)?, codes::EVIDENCE_STALE)?;
    let altered = with_key(&vault.attest(&service.challenge()?)?, &own.public_key())?;
    refused("Evidence with his own key in it", service.release(&altered)?, codes::EVIDENCE_UNTRUSTED)?;

    // 2. What the service does release, to the vault: the attacker carries it, and has no key that opens it.
    let release = service.release(&vault.attest(&service.challenge()?)?)?;
    let release = release.map_err(anyhow::Error::msg).context("the key service refuses the vault itself")?;
    ensure!(!opens(&release, &*own)?, "the attacker's key opens what was released");
    println!("refused: to open what is released to the vault");

    // 3. Whatever lies about.
    let text = fs::read_to_string(&key).with_context(|| key.display().to_string())?;
    let key = hex::decode(text.trim()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let records: Vec<_> = record.chunks(2).map(<[u32]>::to_vec).collect();
    let records: Vec<Vec<u8>> =
        records.iter().map(|record| record.iter().flat_map(|part| part.to_le_bytes()).collect()).collect();
    let mut secrets = vec![("the data key", &key[..])];
    secrets.extend(records.iter().map(|record| ("a record", &record[..])));
    let search = Search::new(&secrets);
    for carried in [&uninvited, &altered, &release, &vault.total()?] {
        ensure!(search.find(carried).is_none(), "a secret is in what the app carries");
    }
    search.rich_os("key and records", &device, &process)
}

fn refused(what: &str, answer: Result<Vec<u8>, String>, expected: Code) -> Result<()> {
    let why = answer.err().with_context(|| format!("{what}: the key was released"))?;
    ensure!(why.ends_with(&format!("({expected})")), "{what}: refused, but not as expected: {why}");
    println!("refused: {what}: {why}");
    Ok(())
}

/// Puts `key` in the place of the TA's own.
fn with_key(evidence: &[u8], key: &PublicKey) -> Result<Vec<u8>> {
    let limits = Limits::default();
    let claims = Token::parse(evidence, &limits).and_then(|token| token.unverified());
    let claims = claims.map_err(|e| anyhow::anyhow!("{e}"))?;
    let shown = claims.submods.get(TaClaims::SUBMODULE).context("Evidence of no TA")?;
    let shown = TaClaims::from_cbor(shown, &limits).map_err(|e| anyhow::anyhow!("{e}"))?;
    let (Some(PublicKey::P256 { x, y }), PublicKey::P256 { x: own_x, y: own_y }) = (shown.key, key) else {
        anyhow::bail!("keys of other kinds");
    };
    let mut altered = evidence.to_vec();
    for (theirs, own) in [(x, own_x), (y, own_y)] {
        let at = altered.windows(32).position(|window| window == theirs).context("no key in it")?;
        altered[at..at + 32].copy_from_slice(own);
    }
    Ok(altered)
}

fn opens(release: &[u8], key: &dyn KeyAgree) -> Result<bool> {
    let released = Encrypted::parse(release, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(released.decrypt(key, None, "TA Encryption", &tamarack_crypto_aws_lc::provider()).is_ok())
}
