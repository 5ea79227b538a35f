//! Confidential cloud: a tenant's key service gives the data key to the vault that proves itself, and to nobody else; then the
//! host looks for it everywhere.

use anyhow::{Context, Result, ensure};
use example_apps::Session;
use example_apps::cloud::{KeyService, Tenant, Total, VAULT as VAULT_UUID, Vault};
use example_apps::search::{Looked, Piece, Search, files, memory};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, References, Refusal, TeeCa};
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::KeyType;
use tamarack_eat::Manifest;
use tamarack_model::{Code, codes};
use tamarack_x509::Anchor;

use super::life::{claims, query_responses};
use super::setup::developer;
use crate::cmd::demo::story::{Refusal as Refused, Story};
use crate::cmd::demo::tas::VAULT;
use crate::cmd::demo::world::World;
use crate::keys::now;
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR, vendor_id};

/// Numbers of records that the tenant has added up.
const RECORDS: u32 = 3;

pub fn release(world: &mut World, story: &mut Story) -> Result<()> {
    let envelope = VAULT.envelope(1, &developer(world, "acme")?, &world.crypto)?;
    world.rest()?.publish(&world.tokens[0], &envelope)?;
    let state = world.device('a')?.request(&VAULT.component())?;
    ensure!(state == "INSTALLED", "the vault is {state}");
    let tenant = Tenant::generate(world.crypto)?;
    let mut service = key_service(world, &tenant)?;

    let mut vault = Vault(Session::open(&world.device('a')?.dir, &VAULT.component())?);
    let nonce = service.challenge(now())?;
    let evidence = vault.attest(&nonce)?;
    let release = service.release(now(), &evidence).map_err(anyhow::Error::msg)?;
    vault.unlock(&release)?;
    story.say("vault -> Evidence over the key service's nonce, with a key that it has just made");
    story.say("key service: fresh, TEE CA known, launcher, Agent, configuration and vault as released -> data key, to that key");
    let mut secrets = vec![("the data key", tenant.key().expose().to_vec())];
    let mut carried: Vec<Piece> =
        vec![("Evidence".into(), evidence.clone()), ("the release".into(), release)];
    let mut sum = 0;
    for number in 1..=RECORDS {
        let mut amount = [0; 4];
        world.crypto.random.fill(&mut amount).map_err(|e| anyhow::anyhow!("{e}"))?;
        secrets.push(("a record", [number.to_le_bytes(), amount].concat()));
        let amount = u32::from_le_bytes(amount);
        sum += u64::from(amount);
        let record = tenant.seal(number, amount)?;
        ensure!(vault.add(&record)? == number, "the vault counts otherwise");
        carried.push(("a sealed record".into(), record));
    }
    let sealed = vault.total()?;
    let total = tenant.open(&sealed)?;
    carried.push(("the sealed sum".into(), sealed));
    ensure!(total == Total { records: RECORDS, sum }, "the vault says {total:?}, it is {sum}");
    secrets.push(("the sum", [&RECORDS.to_le_bytes()[..], &sum.to_le_bytes()].concat()));
    story.say(format!(
        "app: carries {RECORDS} sealed records in and a sealed sum out; the tenant opens it: {sum}"
    ));

    let before = world.digests()?;
    let attempt = "the host shows the same Evidence to the key service again";
    refused(world, story, attempt, service.release(now(), &evidence), codes::EVIDENCE_STALE, &before)?;
    drop(vault);
    changed_vault(world, story, &mut service)?;
    search(world, story, &secrets, carried)
}

/// acme's key signs a vault that nobody released: the TAM installs it, and the tenant's key service does not know it.
fn changed_vault(world: &World, story: &mut Story, service: &mut KeyService) -> Result<()> {
    let device = world.device('a')?;
    let envelope = VAULT.envelope(2, &developer(world, "acme")?, &world.crypto)?;
    world.rest()?.publish(&world.tokens[0], &envelope)?;
    ensure!(device.policy_check()?.is_none(), "the policy check failed");
    ensure!(device.sequence(&VAULT.manifest())? == Some(2), "the changed vault is not installed");
    let mut vault = Vault(Session::open(&device.dir, &VAULT.component())?);
    let evidence = vault.attest(&service.challenge(now())?)?;
    let before = world.digests()?;
    let attempt = "a vault that is another in four bytes, signed by acme, asks for the key";
    refused(world, story, attempt, service.release(now(), &evidence), codes::MEASUREMENT_MISMATCH, &before)
}

fn refused(
    world: &World,
    story: &mut Story,
    attempt: &str,
    result: Result<Vec<u8>, Refusal>,
    expected: Code,
    before: &crate::cmd::demo::world::Digests,
) -> Result<()> {
    let refusal = result.err().with_context(|| format!("{attempt}: it got the key"))?;
    ensure!(refusal.code == expected, "{attempt}: refused with {refusal}, expected {expected}");
    let refused =
        Refused { attempt, by: "the tenant's key service", answer: refusal.reason, code: refusal.code };
    story.refused(refused, before, &world.digests()?)
}

/// The tenant's key service. Its maker has released what devices of the demo run, acme the vault.
fn key_service(world: &World, tenant: &Tenant) -> Result<KeyService> {
    let class = Class {
        class_id: Some(ClassId::Uuid(vendor_id(DEFAULT_VENDOR))),
        vendor: Some(hex::encode(vendor_id(DEFAULT_VENDOR))),
        model: Some(DEFAULT_CLASS.into()),
        ..Class::default()
    };
    let (_, response) = query_responses(world, "request-install", 'a').pop().context("no QueryResponse")?;
    let mut firmware: Vec<(String, String)> = claims(world, &response)?
        .manifests
        .iter()
        .filter_map(|manifest| match manifest {
            Manifest::SuitReference { uri, digest } => Some((uri.clone(), hex::encode(&digest.bytes))),
            Manifest::Other { .. } => None,
        })
        .collect();
    // What is released is this program; only the configuration is taken from what the device was started with.
    let this = hex::encode(world.crypto.sha256(&std::fs::read("/proc/self/exe")?));
    for name in ["agent", "launcher"] {
        let shown = firmware.iter().find(|(uri, _)| uri.ends_with(name));
        ensure!(
            shown.is_some_and(|(_, digest)| *digest == this),
            "the {name} is {shown:?}, released is {this}"
        );
    }
    firmware.extend(super::measured::boot_registers(world));
    let maker = Environment { class: Some(class), ..Environment::default() };
    let vault = VAULT.component();
    let ta = tamarack_attest::ta_environment(&vault);
    let released = [(vault.to_string(), VAULT.digest(&world.crypto))];
    let (maker, maker_values) = values(world, "maker", ProviderRole::Maker, maker, &firmware)?;
    let (signer, vault_values) = values(world, "ta-signer", ProviderRole::TaSigner, ta, &released)?;
    let mut references = References::new(vec![maker, signer]);
    for signed in [maker_values, vault_values] {
        references.add(&signed, now(), &world.crypto).map_err(anyhow::Error::msg)?;
    }
    let ca = std::fs::read_to_string(world.dir.join("tee-ca.pem"))?;
    let ca = tamarack_pki::certificates_from_pem(&ca)?.into_iter().next().context("no TEE CA")?;
    let anchor = Anchor::from_der(&ca).map_err(|e| anyhow::anyhow!("{e}"))?;
    // As the TAM of the demo: the grade that this machine gives is shown, not demanded.
    let policy = Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::None);
    let tenant = Tenant::new(*tenant.key().expose(), world.crypto);
    Ok(KeyService::new(tenant, policy, references, vault))
}

/// A provider of reference values with a new key, and what it signs.
fn values(
    world: &World,
    name: &str,
    role: ProviderRole,
    environment: Environment,
    components: &[(String, String)],
) -> Result<(ReferenceProvider, Vec<u8>)> {
    use tamarack_corim::{
        Comid, Corim, Digest, Id, MeasuredElement, Measurement, MeasurementValues, Profile, Signer, Triple,
    };
    let key = tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::Ed25519)?)?;
    let mut comid = Comid::new(Id::Text(format!("demo-{name}")), 1);
    for (component, digest) in components {
        let digest: [u8; 32] = hex::decode(digest)
            .ok()
            .and_then(|digest| digest.try_into().ok())
            .with_context(|| format!("the digest of {component} is {digest}"))?;
        let values =
            MeasurementValues { digests: vec![Digest::sha256(digest)], ..MeasurementValues::default() };
        let element = Some(MeasuredElement::Text(component.clone()));
        let measurement = Measurement { element, values, authorized_by: Vec::new() };
        comid
            .reference_values
            .push(Triple { environment: environment.clone(), measurements: vec![measurement] });
    }
    let corim = Corim {
        profile: Some(Profile::Uri(tamarack_attest::REFERENCE_PROFILE.into())),
        ..Corim::new(Id::Text(format!("demo-{name}/1")), comid)
    };
    let signed = tamarack_corim::sign(&corim, &Signer::new(name), &*key, None);
    let provider = ReferenceProvider {
        name: name.into(),
        role,
        keys: vec![VerificationKey::new(key.public_key(), Purpose::ReferenceValues, &world.crypto)],
        scope: vec![environment],
        elements: None,
        cap: Grade::Hardware,
    };
    Ok((provider, signed.map_err(|e| anyhow::anyhow!("{e}"))?))
}

/// Looks for the secrets where the host can look: every file, everything that went over the wire and through the app, the
/// Broker's memory.
fn search(world: &World, story: &mut Story, secrets: &[(&str, Vec<u8>)], carried: Vec<Piece>) -> Result<()> {
    let secrets: Vec<_> = secrets.iter().map(|(what, secret)| (*what, &secret[..])).collect();
    let search = Search::new(&secrets);
    let records =
        world.relay.records().into_iter().map(|record| (format!("of {}", record.step), record.bytes));
    let device = world.device('a')?;
    // What must be there is found: the vault's name, and the folder that the Broker was started with.
    let mut places = vec![
        ("its files", search.through("its files", &VAULT_UUID, files(&world.dir))?),
        ("the traffic", search.through("the traffic", &VAULT_UUID, records.chain(carried))?),
    ];
    match memory(device.broker.pid()) {
        Ok(regions) => {
            let folder = device.dir.display().to_string();
            let place = "the Broker's memory";
            places.push((place, search.through(place, folder.as_bytes(), regions)?));
        }
        Err(error) => story.say(format!("the Broker's memory cannot be read here: {error}")),
    }
    let size = |(place, looked): &(&str, Looked)| format!("{place} ({} KiB)", looked.bytes / 1024);
    let searched = places.iter().map(size).collect::<Vec<_>>().join(", ");
    story.say(format!("searched: {searched}: neither the key nor a record nor the sum is there"));
    story.fact("searched", places.iter().map(|(place, _)| *place).collect::<Vec<_>>());
    Ok(())
}
