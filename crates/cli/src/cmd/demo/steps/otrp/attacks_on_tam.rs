//! Devices that cannot prove what they are, at the TAM's door.

use anyhow::{Context, Result, ensure};
use tamarack_cbor::Limits;
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_eat::{Claims, Confirmation, Token};
use tamarack_jose::{jwe, jws};
use tamarack_model::{Code, Protocol};
use tamarack_otrp::request;
use tamarack_otrp::{Dsi, MessageId, Mode, Sealing, TeeState, broker, response};

use crate::cmd::demo::relay::Fate;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::world::World;

/// A TEE that somebody made up.
struct FakeTee {
    key: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    attestation: Box<dyn Sign>,
    attestation_chain: Vec<Vec<u8>>,
    /// What a real one claimed; it is copied.
    claims: Claims,
}

/// A key and its certificates, leaf first.
type Certified = (Box<dyn Sign>, Vec<Vec<u8>>);

fn certified(world: &World, name: &str, ca: &str, kind: KeyType) -> Result<Certified> {
    let (key, cert) = (world.path(&format!("{name}.key")), world.path(&format!("{name}.pem")));
    let (issuer, uri) = (world.path(ca), format!("urn:x-tamarack:device:{name}"));
    let (type_name, role) = match kind {
        KeyType::P256 => ("p256", "otrp-tee"),
        KeyType::Ed25519 => ("ed25519", "tee"),
    };
    world.run(&["pki", "key", "--key-type", type_name, &key])?;
    let args =
        ["pki", "issue", "--ca", &issuer, "--role", role, "--key", &key, "--uri", &uri, "--out", &cert];
    world.run(&args)?;
    let mut chain = tamarack_pki::certificates_from_pem(&std::fs::read_to_string(cert)?)?;
    chain.extend(tamarack_pki::certificates_from_pem(&std::fs::read_to_string(format!("{issuer}.pem"))?)?);
    Ok((tamarack_pki::load_key(&std::fs::read_to_string(key)?)?, chain))
}

impl FakeTee {
    /// Its keys are certified by the authority `ca`.
    fn new(world: &World, name: &str, ca: &str, claims: &Claims) -> Result<Self> {
        let (key, chain) = certified(world, name, ca, KeyType::P256)?;
        let (attestation, mut attestation_chain) =
            certified(world, &format!("{name}-attestation"), ca, KeyType::Ed25519)?;
        attestation_chain.truncate(1);
        Ok(Self { key, chain, attestation, attestation_chain, claims: claims.clone() })
    }

    /// Answers a GetDeviceStateRequest, with Evidence over this nonce that vouches for this key.
    fn answer(&self, world: &World, asked: &Asked, nonce: Vec<u8>, cnf: PublicKey) -> Result<Vec<u8>> {
        let failed = |e: tamarack_otrp::Error| anyhow::anyhow!("{e}");
        let claims =
            Claims { eat_nonce: vec![nonce], cnf: Some(Confirmation::Key(cnf)), ..self.claims.clone() };
        let evidence = tamarack_eat::sign(&claims, &*self.attestation, &self.attestation_chain);
        let tee = TeeState {
            name: "Tamarack".into(),
            ver: "1".into(),
            cert: self.chain[0].clone(),
            cacert: self.chain[1..].to_vec(),
            eat: Some(evidence.map_err(|e| anyhow::anyhow!("{e}"))?),
            epoch: Some(1),
            ext: vec![tamarack_otrp::EXTENSION_H1.into()],
            ..TeeState::default()
        };
        let recipient = world.stolen_otrp()?.recipient()?;
        let sealing = Sealing {
            signer: jws::Signer::Es256(&*self.key),
            headers: jws::SignHeaders::default(),
            recipient: &recipient,
            enc: jwe::Enc::A256Gcm,
            provider: &world.crypto,
        };
        let dsi = Dsi { tfwdata: None, tee }.serialize();
        let part = response::device_state(&asked.rid, &asked.tid, false, &dsi, &sealing).map_err(failed)?;
        broker::assemble(&[part], &tamarack_otrp::Limits::default()).map_err(failed)
    }
}

/// What the TAM asks for the state in.
struct Asked {
    rid: MessageId,
    tid: MessageId,
}

/// A fresh GetDeviceStateRequest of the TAM.
fn ask(world: &World) -> Result<Asked> {
    let answer = world.relay.direct_in(Protocol::Otrp, &[], "fake-device", Fate::Genuine)?;
    let asked = request::SignedRequest::parse(&answer.body, &Mode::Strict, &tamarack_otrp::Limits::default())
        .map_err(|e| anyhow::anyhow!("an empty POST was not answered by a request: {e}"))?;
    let (rid, tid) = (asked.rid_unverified().cloned(), asked.tid_unverified().cloned());
    Ok(Asked { rid: rid.context("no rid")?, tid: tid.context("no tid")? })
}

fn refused(
    world: &World,
    story: &mut Story,
    attempt: &str,
    answer: impl FnOnce(&Asked) -> Result<Vec<u8>>,
) -> Result<()> {
    let before = world.digests()?;
    let message = answer(&ask(world)?)?;
    let answer = world.relay.direct_in(Protocol::Otrp, &message, "fake-device", Fate::Genuine)?;
    ensure!(answer.body.is_empty(), "{attempt}: the TAM sent it a command");
    ensure!(answer.status >= 400, "{attempt}: the TAM answered with HTTP {}", answer.status);
    let code = answer.code.as_deref().and_then(Code::parse).context("refused without a code")?;
    let answer = format!("HTTP {}, no command", answer.status);
    story.refused(Refusal { attempt, by: "the TAM", answer, code }, &before, &world.digests()?)
}

pub fn unattested(world: &mut World, story: &mut Story) -> Result<()> {
    // What a real device claims, seen with the stolen key.
    let seen = world.otrp_messages("request-install", 'a', "GetDeviceStateResponse");
    let told = world.stolen_otrp()?.state(seen.first().context("no state was recorded")?)?;
    let evidence = told.and_then(|told| told.dsi.tee.eat).context("a state without Evidence")?;
    let token = Token::parse(&evidence, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let claims = token.unverified().map_err(|e| anyhow::anyhow!("{e}"))?;

    world.run(&["pki", "ca", "--role", "tee", &world.path("rogue-tee-ca")])?;
    let stranger = FakeTee::new(world, "stranger", "rogue-tee-ca", &claims)?;
    let known = FakeTee::new(world, "impostor", "tee-ca", &claims)?;
    let own = |tee: &FakeTee| tee.key.public_key();
    let nonce = |asked: &Asked| asked.tid.as_str().as_bytes().to_vec();

    refused(world, story, "a TEE under an authority of its own", |asked| {
        stranger.answer(world, asked, nonce(asked), own(&stranger))
    })?;
    refused(world, story, "a certified TEE, with Evidence made for another question", |asked| {
        known.answer(world, asked, vec![0x5a; 43], own(&known))
    })?;
    refused(world, story, "a certified TEE, with Evidence that vouches for another device's key", |asked| {
        let other = tamarack_x509::unvalidated_key(&world.tee_certificate('a')?);
        known.answer(world, asked, nonce(asked), other.map_err(|e| anyhow::anyhow!("{e}"))?)
    })?;
    refused(world, story, "a certified TEE, with Evidence under an authority of its own", |asked| {
        let (attestation, _) = certified(world, "self-made", "rogue-tee-ca", KeyType::Ed25519)?;
        let lying = FakeTee {
            attestation,
            attestation_chain: stranger.attestation_chain.clone(),
            key: tamarack_pki::load_key(&std::fs::read_to_string(world.path("impostor.key"))?)?,
            chain: known.chain.clone(),
            claims: claims.clone(),
        };
        lying.answer(world, asked, nonce(asked), own(&known))
    })?;
    story.unchanged(&world.digests()?);
    Ok(())
}
