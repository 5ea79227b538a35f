//! Install, prove, update and remove, over OTrP.

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use tamarack_broker::{Aiks, AppFlow, AppTa, HttpOptions, TamClient, TamTrust};
use tamarack_model::Protocol;
use tamarack_otrp::aik::SignedAiks;
use tamarack_otrp::ta_information::TaInformation;
use tamarack_x509::{Anchor, Name};

use crate::cmd::demo::story::Story;
use crate::cmd::demo::tas::{self, Ta, VALVE, WALLET};
use crate::cmd::demo::world::World;
use crate::keys;

pub fn request_install(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    for ta in [&WALLET, &VALVE] {
        let state = device.request(&ta.component())?;
        ensure!(state == "INSTALLED", "{} is {state}", ta.name);
        ensure!(device.sequence(&ta.manifest())? == Some(1), "{} 1 is not installed", ta.name);
    }
    let known = world.rest()?.device(&device.id()?)?;
    let installs = world.otrp_messages("request-install", 'a', "InstallTARequest").len();
    ensure!(installs == 2, "{installs} InstallTARequests went by");
    let held = known["reported"].to_string() + &known["attested"].to_string();
    ensure!(held.contains(&WALLET.manifest().to_string()), "the TAM does not know of the wallet: {known}");
    story.say("an app on device a asks its Broker for wallet and valve; the Broker only carries bytes");
    story.say(
        "TAM -> GetDeviceState with its chain and an OCSP response; TEE -> its state, encrypted to the TAM",
    );
    story.say("the TAM checks the TEE's chain, signature and Evidence, then plans one command at a time");
    story.say("TAM -> InstallTA, twice; each names the hash of the state it goes by, each answer tells the next state");
    story.fact("grade", known["grade"].clone());
    Ok(())
}

pub fn attested(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    let after = world.rest()?.device(&device.id()?)?;
    for ta in [&WALLET, &VALVE] {
        let attested = after["attested"].to_string();
        ensure!(attested.contains(&ta.manifest().to_string()), "{} is not attested: {after}", ta.name);
    }
    story.say(format!("after fresh Evidence: `attested`, grade {}", after["grade"].as_str().unwrap_or("?")));
    story.fact("grade", after["grade"].clone());
    story.fact("claims", after["claims"].clone());
    Ok(())
}

/// An app on this device that has its TAM's root, and carries OTrP itself.
fn as_app<T>(
    world: &World,
    name: char,
    act: impl FnOnce(&mut AppFlow<'_>) -> Result<T, tamarack_broker::Error>,
) -> Result<T> {
    let mut client = world.device(name)?.app()?;
    let http = TamClient::new(HttpOptions::default())?;
    let root = std::fs::read_to_string(world.dir.join("tam-ca.pem"))?;
    let root = tamarack_pki::certificates_from_pem(&root)?.swap_remove(0);
    let anchors = [Anchor::from_der(&root).map_err(|e| anyhow::anyhow!("{e}"))?];
    let tam = Name::RegisteredId(tas::TAM_OID.into());
    let trust = TamTrust { anchors: &anchors, name: &tam, draft: false, provider: &world.crypto };
    let uri = world.relay.uri(name);
    let mut flow = AppFlow { client: &mut client, http: &http, tam_uri: &uri, trust };
    act(&mut flow).map_err(|e| anyhow::anyhow!("{}: {e}", e.code()))
}

fn app_ta(ta: &Ta) -> Result<AppTa> {
    AppTa::new(&ta.component(), "acme").context("the TA has no name in OTrP")
}

/// What the TEE says of a TA, verified with the keys that the app has.
pub fn information(world: &World, name: char, ta: &Ta) -> Result<TaInformation> {
    let ta = app_ta(ta)?;
    let kept = world.aiks.clone().context("the app has no keys of its TAM yet")?;
    as_app(world, name, |flow| {
        let aiks = Aiks::verify(&kept, &flow.trust, keys::now())?;
        flow.information(&ta, &aiks)
    })
}

pub fn get_ta_information(world: &mut World, story: &mut Story) -> Result<()> {
    let name = if world.cast.protocol('a') == Protocol::Otrp { 'a' } else { 'b' };
    let talked = as_app(world, name, |flow| flow.talk(keys::now()))?;
    let aiks = talked.aiks.context("the TAM gave the app no keys")?;
    story.say(
        "an app that carries the messages itself gets from its TAM the keys of acme in this TEE, signed",
    );
    let told = aiks.as_jws().to_vec();
    let id = world.device(name)?.identity()?.id.0.to_vec();
    for secret in [world.tee_certificate(name)?, id] {
        let text = tamarack_jose::base64::encode(&secret);
        let tells = told.windows(text.len()).any(|window| window == text.as_bytes());
        ensure!(!tells, "the signed keys tell the app which device this is");
    }
    world.aiks = Some(told.clone());
    let said = information(world, name, &WALLET)?;
    ensure!(said.taid == WALLET.taid() && said.spid == "acme" && said.tamid == tas::TAM_OID, "{said:?}");
    ensure!(said.version == Some(1), "the TEE says version {:?}", said.version);
    story.say("with them it verifies what the TEE says of the wallet: acme's, by this TAM, version 1, to a nonce of its own");

    // Keys that another TAM has signed, although the devices trust that TAM; and one bit of the right ones.
    let other = world.other_tam.clone().context("there is no other TAM")?;
    let forged = other.sign_aiks(&SignedAiks { tamid: tas::TAM_OID.into(), ..aiks.signed().clone() })?;
    let mut flipped = told;
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    for (what, keys) in [("another TAM's", forged), ("altered", flipped)] {
        let taken = as_app(world, name, |flow| Aiks::verify(&keys, &flow.trust, keys::now()));
        ensure!(taken.is_err(), "{what} keys were taken");
    }
    story.say("keys signed by another TAM, or with one bit changed, are not taken");
    by_command(world, name)?;
    story.fact("rounds", talked.rounds);
    story.fact("keys", aiks.signed().aiks.len());
    Ok(())
}

/// The same by the commands of a normal app: one fetches the keys, the other asks the TEE with them and no TAM.
fn by_command(world: &World, name: char) -> Result<()> {
    let (device, keys) = (world.device(name)?.dir.display().to_string(), world.path("app.aiks"));
    let (component, root) = (WALLET.component().to_string(), world.path("tam-ca.pem"));
    let uri = world.relay.uri(name);
    let app = ["app", "--device", &device, "--json"];
    let trust = ["--tam-root", &root, "--tam-name", tas::TAM_OID, "--aiks", &keys];
    let request = ["request", &component, "--carry", "--tam-uri", &uri];
    let said: Json = serde_json::from_slice(&world.run(&[&app[..], &request, &trust].concat())?)?;
    ensure!(said["state"] == "INSTALLED" && said["aiks"][0]["provider"] == "acme", "{said}");
    let information = ["information", &component, "--provider", "acme"];
    let said: Json = serde_json::from_slice(&world.run(&[&app[..], &information, &trust].concat())?)?;
    let expected = WALLET.taid();
    ensure!(
        said["taid"] == expected.as_str() && said["version"] == 1 && said["asked_tam"] == false,
        "{said}"
    );
    Ok(())
}

pub fn unrequest_delete(world: &mut World, story: &mut Story) -> Result<()> {
    let device = world.device('a')?;
    let before = tas::wallet_status(device)?;
    ensure!(before.payments > 0, "the wallet was not used");
    device.app()?.unrequest_ta(&WALLET.component())?;
    ensure!(device.sequence(&WALLET.manifest())?.is_none(), "the wallet is still installed");
    ensure!(tas::wallet_status(device).is_err(), "the wallet still answers");
    let deletes = world.otrp_messages("unrequest-delete", 'a', "DeleteTARequest").len();
    ensure!(deletes == 1, "{deletes} DeleteTARequests went by");
    story.say("the app does not need the wallet any more: TAM -> DeleteTA; it is gone, with key and counter");
    let state = device.request(&WALLET.component())?;
    ensure!(state == "INSTALLED", "the reinstalled wallet is {state}");
    let (key, after) = (tas::wallet_key(device)?, tas::wallet_status(device)?);
    ensure!(Some(&key) != world.wallet_key.as_ref(), "the key came back");
    ensure!(after.payments == 0 && after.spent == 0, "the counter came back: {after:?}");
    story.say("installed again: a new key, nothing spent; the old data is gone");
    story.fact("new_wallet_key", hex::encode(&key));
    Ok(())
}
