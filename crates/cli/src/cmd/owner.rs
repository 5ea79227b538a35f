//! `tamarack owner`: what the owner of a device lets in. The orders are signed here and obeyed in the TEE; the Broker in
//! between carries them.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tamarack_broker::Client;
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_model::{ComponentId, OwnerSays, codes};
use tamarack_owner::{CHALLENGE_SIZE, Change, Effect, Order, Selector, Statement, Waiting};

use super::app;
use super::pki::pki;
use crate::fail::{self, Fail, Outcome};
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make an owner's key: FILE, and FILE.pub for `agent init --owner`; or give a device to another owner
    Key {
        /// Where to write it; with --device, the new owner's public key
        file: PathBuf,
        /// The device to give away
        #[arg(long, requires = "key")]
        device: Option<PathBuf>,
        /// The key of its owner until now
        #[arg(long, requires = "device")]
        key: Option<PathBuf>,
    },
    /// Show the rules in force, and what waits or was refused
    Show(Place),
    /// Allow what a more general rule denies or defers
    Allow(Rules),
    /// Deny TAMs, providers or components: nothing new comes in, and what is there stops at once
    Deny(Rules),
    /// Want to be asked before anything of this is installed or updated
    Consent(Rules),
    /// Take rules away
    Forget(Rules),
    /// Approve what waits; it is installed when its TAM sends it again, at the next policy check
    Approve {
        /// Component ids of what waits, as `show` has them; all of it without any
        components: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Which device, and by which key.
#[derive(clap::Args)]
struct Place {
    /// The device folder
    #[arg(long, default_value = "device")]
    device: PathBuf,
    /// The owner's key
    #[arg(long)]
    key: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What rules are about.
#[derive(clap::Args)]
struct Rules {
    /// A TAM, by its address or the name in its certificates, repeatable; '*' for every one without a rule of its own
    #[arg(long = "tam", value_name = "NAME")]
    tams: Vec<String>,
    /// A service provider, repeatable; '*' likewise
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// Components whose ids begin with this, in whole segments, repeatable; '*' likewise
    #[arg(long = "component", value_name = "PREFIX")]
    components: Vec<String>,
    #[command(flatten)]
    place: Place,
}

impl Rules {
    fn selectors(&self) -> Outcome<Vec<Selector>> {
        let all_or = |text: &String| (text != "*").then(|| text.clone());
        let name = |option: &str, text: &String| match text.is_empty() {
            true => Err(Fail::input(codes::USAGE, format_args!("{option}: the name is empty"))),
            false => Ok(all_or(text)),
        };
        let tams = self.tams.iter().map(|text| Ok(Selector::Tam(name("--tam", text)?)));
        let providers = self.providers.iter().map(|text| Ok(Selector::Provider(name("--provider", text)?)));
        let components = self
            .components
            .iter()
            .map(|text| Ok(Selector::Component(all_or(text).map(|text| component(&text)).transpose()?)));
        let selectors: Vec<Selector> = tams.chain(providers).chain(components).collect::<Outcome<_>>()?;
        match selectors.is_empty() {
            true => Err(Fail::input(codes::USAGE, "say --tam, --provider or --component")),
            false => Ok(selectors),
        }
    }
}

fn component(text: &str) -> Outcome<ComponentId> {
    ComponentId::parse_text(text).map_err(|e| Fail::input(codes::USAGE, format_args!("{text}: {e}")))
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Key { file, device: None, .. } => make_key(&file),
        Action::Key { file, device: Some(device), key } => {
            let new = keys::public_key(&file)?;
            let place = Place { device, key: key.unwrap_or_default(), json: false };
            let mut owner = Owner::new(&place)?;
            owner.order(vec![Change::Key(new)])?;
            eprintln!("{} belongs to the key in {} from now on", place.device.display(), file.display());
            Ok(())
        }
        Action::Show(place) => show(&Owner::new(&place)?.order(Vec::new())?, place.json),
        Action::Allow(rules) => set(&rules, Some(Effect::Allow)),
        Action::Deny(rules) => set(&rules, Some(Effect::Deny)),
        Action::Consent(rules) => set(&rules, Some(Effect::Consent)),
        Action::Forget(rules) => set(&rules, None),
        Action::Approve { components, place } => approve(&components, &place),
    }
}

fn make_key(file: &Path) -> Outcome {
    let mut public_file = file.as_os_str().to_owned();
    public_file.push(".pub");
    if Path::new(&public_file).exists() {
        let text = format!("{}: it exists already; nothing was written", public_file.display());
        return Err(Fail::input(codes::FILE_UNWRITABLE, text));
    }
    let pem = tamarack_pki::generate_key(KeyType::Ed25519).map_err(pki)?;
    let public = tamarack_pki::load_key(&pem).map_err(pki)?.public_key();
    keys::write_secret(file, &pem)?;
    let text = tamarack_pki::public_key_to_pem(&public).map_err(pki)?;
    fail::write(Path::new(&public_file), text.as_bytes())?;
    eprintln!("next: tamarack agent init --owner {}", public_file.display());
    Ok(())
}

fn set(rules: &Rules, effect: Option<Effect>) -> Outcome {
    let changes = rules.selectors()?.into_iter().map(|selector| Change::Rule { selector, effect }).collect();
    let statement = Owner::new(&rules.place)?.order(changes)?;
    show(&statement, rules.place.json)
}

fn approve(components: &[String], place: &Place) -> Outcome {
    let wanted: Vec<ComponentId> = components.iter().map(|text| component(text)).collect::<Outcome<_>>()?;
    let mut owner = Owner::new(place)?;
    let before = owner.order(Vec::new())?;
    let deferred = before.waiting.iter().filter(|one| one.says == Some(OwnerSays::Deferred));
    let chosen: Vec<&Waiting> =
        deferred.filter(|one| wanted.is_empty() || wanted.iter().any(|id| is_of(one, id))).collect();
    if let Some(missing) = wanted.iter().find(|id| !chosen.iter().any(|one| is_of(one, id))) {
        return Err(Fail::new(codes::API_NOT_FOUND, format_args!("{missing} does not wait for consent")));
    }
    for one in &chosen {
        eprintln!("approving {} {} of {} from {}", one.manifest, one.sequence, one.provider, one.tam);
    }
    let changes = chosen.iter().map(|one| Change::Approve {
        tam: one.tam.clone(),
        manifest: one.manifest.clone(),
        digest: one.digest,
    });
    let changes: Vec<Change> = changes.collect();
    let statement = if changes.is_empty() { before } else { owner.order(changes)? };
    show(&statement, place.json)
}

/// Whether the owner means this manifest by an id: its own, or that of the TA (`domain/uuid/ta`) that it is about. Of other
/// shapes nobody knows what belongs together.
fn is_of(waiting: &Waiting, id: &ComponentId) -> bool {
    let same_ta = |a: &ComponentId, b: &ComponentId| {
        a.ta_uuid().is_some() && a.ta_uuid() == b.ta_uuid() && a.domain() == b.domain()
    };
    waiting.manifest == *id || same_ta(&waiting.manifest, id)
}

/// A device as its owner reaches it.
struct Owner {
    client: Client,
    key: Box<dyn Sign>,
    /// File of the keys that devices tell their owner by.
    known: PathBuf,
    device: String,
}

impl Owner {
    fn new(place: &Place) -> Outcome<Self> {
        let key = keys::signer(&place.key)?;
        let client = app::connect(&place.device)?;
        let mut known = place.key.as_os_str().to_owned();
        known.push(".devices");
        let device = place.device.canonicalize().unwrap_or_else(|_| place.device.clone());
        Ok(Self { client, key, known: known.into(), device: device.display().to_string() })
    }

    /// Orders, and reads what the device says of it. Who carries both cannot give the answer to another order, nor that of
    /// another device once this one is known.
    fn order(&mut self, changes: Vec<Change>) -> Outcome<Statement> {
        let failed = |e: tamarack_broker::Error| Fail::new(e.code(), e);
        let crypto = tamarack_crypto_aws_lc::provider();
        // Before the device obeys: an answer that cannot be judged is no answer.
        let known = self.known()?;
        let challenge = self.client.owner_challenge().map_err(failed)?;
        let mut nonce = [0; CHALLENGE_SIZE];
        crypto.random.fill(&mut nonce).map_err(|e| Fail::new(codes::INTERNAL, e))?;
        let order = Order { challenge, nonce, changes };
        let order = order.sign(&*self.key).map_err(|e| Fail::new(e.code(), e))?;
        let answer = self.client.owner_order(&order).map_err(failed)?;
        let digest = crypto.sha256(&order);
        let statement = Statement::verify(&answer, &digest, known.as_ref(), &crypto).map_err(|e| {
            let text = format!(
                "what came back is not the answer of this device to this order, so nobody knows whether it was obeyed: {e} \
                 (if the device has a new owner's key, remove its line from {})",
                self.known.display()
            );
            Fail::new(e.code(), text)
        })?;
        if known.is_none() {
            self.remember(&statement.key)?;
        }
        Ok(statement)
    }

    /// The key that this device told its owner by before. Only where there is no file, or none of its lines is about the
    /// device, is it new.
    fn known(&self) -> Outcome<Option<PublicKey>> {
        if !self.known.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        let damaged = || {
            let text = "expected lines of a device folder, a tab and a key; remove the line of this device if it is to be \
                        believed anew";
            Fail::input(codes::CONFIG_INVALID, format_args!("{}: {text}", self.known.display()))
        };
        let text = String::from_utf8(fail::read(&self.known)?).map_err(|_| damaged())?;
        let of_device =
            text.lines().find_map(|line| line.strip_prefix(self.device.as_str())?.strip_prefix('\t'));
        let Some(key) = of_device else { return Ok(None) };
        let spki = hex::decode(key.trim()).ok().and_then(|spki| PublicKey::from_spki(&spki).ok());
        spki.map(Some).ok_or_else(damaged)
    }

    fn remember(&self, key: &PublicKey) -> Outcome {
        use std::io::Write;
        let line = format!("{}\t{}\n", self.device, hex::encode(key.to_spki()));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.known);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|e| {
            Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {e}", self.known.display()))
        })?;
        eprintln!("the device is new to this key; it is known by the line in {} now", self.known.display());
        Ok(())
    }
}

fn show(statement: &Statement, json: bool) -> Outcome {
    if json {
        return out::json(&as_json(statement));
    }
    let mut text = String::new();
    for tam in &statement.tams {
        let state = if tam.active { "" } else { ", not trusted by the device authority" };
        text += &format!("TAM {}: {}{state}\n", tam.names.join(", "), tam.effect);
    }
    for rule in statement.rules.iter() {
        text += &format!("{}: {}\n", rule.effect, rule.selector);
    }
    if statement.rules.is_empty() {
        text += "no rules: everything that the trust anchors allow is allowed\n";
    }
    for one in &statement.waiting {
        text += &format!(
            "{}: {} {} of {} from {}\n",
            says(one),
            one.manifest,
            one.sequence,
            one.provider,
            one.tam
        );
    }
    for (tam, manifest) in &statement.stopped {
        text += &format!("stopped: {manifest} from {tam}\n");
    }
    out::lines(&text)
}

fn says(one: &Waiting) -> &'static str {
    match (one.says, one.approved) {
        (Some(says), _) => match says {
            OwnerSays::Refused => "refused",
            OwnerSays::Deferred => "pending",
        },
        (None, true) => "approved",
        (None, false) => "allowed",
    }
}

fn as_json(statement: &Statement) -> Json {
    let rule = |selector: &Selector| match selector {
        Selector::Tam(name) => json!({ "tam": name.as_deref().unwrap_or("*") }),
        Selector::Provider(name) => json!({ "provider": name.as_deref().unwrap_or("*") }),
        Selector::Component(prefix) => {
            json!({ "component": prefix.as_ref().map_or("*".into(), ToString::to_string) })
        }
    };
    json!({
        "sequence": statement.sequence,
        "tams": statement.tams.iter().map(|tam| json!({
            "names": tam.names, "active": tam.active, "effect": tam.effect.as_str(),
        })).collect::<Vec<_>>(),
        "rules": statement.rules.iter().map(|one| json!({
            "of": rule(&one.selector), "effect": one.effect.as_str(),
        })).collect::<Vec<_>>(),
        "pending": statement.waiting.iter().map(|one| json!({
            "state": says(one), "tam": one.tam, "manifest": one.manifest.to_string(),
            "sequence": one.sequence, "digest": hex::encode(one.digest.0), "provider": one.provider,
            "since": one.since,
        })).collect::<Vec<_>>(),
        "stopped": statement.stopped.iter().map(|(tam, manifest)| json!({
            "tam": tam, "manifest": manifest.to_string(),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use tamarack_model::Sha256Digest;

    use super::*;

    #[test]
    fn an_approval_is_for_what_was_named_and_its_ta() {
        const TA: &str = "com.acme/8d82573a-926d-4754-9353-32dc29997f74";
        let is_of = |manifest: &str, named: &str| {
            let waiting = Waiting {
                tam: "https://tam.example/tam".into(),
                manifest: component(manifest).unwrap(),
                sequence: 1,
                digest: Sha256Digest([1; 32]),
                provider: "acme".into(),
                since: 1,
                says: Some(OwnerSays::Deferred),
                approved: false,
            };
            is_of(&waiting, &component(named).unwrap())
        };
        assert!(is_of(&format!("{TA}/suit"), &format!("{TA}/ta")));
        assert!(is_of(&format!("{TA}/data.suit"), &format!("{TA}/ta")));
        assert!(is_of("acme/purse", "acme/purse"));
        assert!(!is_of(&format!("{TA}/suit"), &format!("{}/ta", TA.replace("8d82", "8d83"))));
        assert!(!is_of(&format!("{TA}/suit"), &format!("{}/ta", TA.replace("acme", "isv"))));
        // Ids of other shapes that have a domain in common, or nothing at all, are about different things.
        assert!(!is_of("acme/valve", "acme/purse"));
        assert!(!is_of("valve", "purse"));
    }
}
