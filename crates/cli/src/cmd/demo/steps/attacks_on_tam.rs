//! Devices that cannot prove what they are, at the TAM's door.

use anyhow::{Context, Result, bail, ensure};
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, PublicKey, Sign};
use tamarack_eat::{Claims, Confirmation};
use tamarack_model::{Code, codes};
use tamarack_teep::{ErrCode, Message, QueryResponse, SignedMessage};

use super::life::{claims, query_responses};
use crate::cmd::demo::relay::Fate;
use crate::cmd::demo::story::{Refusal, Story};
use crate::cmd::demo::world::World;

/// A device that somebody made up.
struct FakeDevice {
    attestation: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    teep: Box<dyn Sign>,
    /// What a real device said; it is copied.
    like: QueryResponse,
}

fn new_key() -> Result<Box<dyn Sign>> {
    Ok(tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::Ed25519)?)?)
}

impl FakeDevice {
    /// Its attestation key is certified by the authority `ca`.
    fn new(world: &World, name: &str, ca: &str) -> Result<Self> {
        let (key, cert) = (world.path(&format!("{name}.key")), world.path(&format!("{name}.pem")));
        world.run(&["pki", "key", &key])?;
        let (ca, uri) = (world.path(ca), format!("urn:x-tamarack:device:{name}"));
        world.run(&["pki", "issue", "--ca", &ca, "--key", &key, "--uri", &uri, "--out", &cert])?;
        Ok(Self {
            attestation: tamarack_pki::load_key(&std::fs::read_to_string(key)?)?,
            chain: tamarack_pki::certificates_from_pem(&std::fs::read_to_string(cert)?)?,
            teep: new_key()?,
            like: query_responses(world, "request-install", 'a').pop().context("no QueryResponse to copy")?.1,
        })
    }

    /// A QueryResponse with Evidence over this nonce that vouches for this key; without Evidence if there is no nonce.
    fn query_response(&self, world: &World, nonce: Option<Vec<u8>>, cnf: PublicKey) -> Result<Vec<u8>> {
        let evidence = match nonce {
            Some(nonce) => {
                let claims = Claims {
                    eat_nonce: vec![nonce],
                    cnf: Some(Confirmation::Key(cnf)),
                    ..claims(world, &self.like)?
                };
                let signed = tamarack_eat::sign(&claims, &*self.attestation, &self.chain);
                Some(signed.map_err(|e| anyhow::anyhow!("{e}"))?)
            }
            None => None,
        };
        let response = QueryResponse {
            attestation_payload_format: self
                .like
                .attestation_payload_format
                .clone()
                .filter(|_| evidence.is_some()),
            attestation_payload: evidence,
            agent_nonce: Some([7; 16]),
            ..self.like.clone()
        };
        let kid = thumbprint(&self.teep.public_key(), &world.crypto).0;
        let options = SignOptions { kid: Some(&kid), ..SignOptions::default() };
        let message = Message::QueryResponse(response);
        tamarack_teep::sign(&message, &*self.teep, &options).map_err(|e| anyhow::anyhow!("{e}"))
    }
}

/// A fresh challenge of the TAM.
fn challenge(world: &World) -> Result<Vec<u8>> {
    let answer = world.relay.direct(&[], "fake-device", Fate::Genuine)?;
    let signed =
        SignedMessage::parse(&answer.body, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    match signed.unverified().map_err(|e| anyhow::anyhow!("{e}"))? {
        Message::QueryRequest(query) => query.challenge.context("a QueryRequest without challenge"),
        _ => bail!("an empty POST was not answered by a QueryRequest"),
    }
}

fn refused(
    world: &World,
    story: &mut Story,
    attempt: &str,
    message: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
    expected: Code,
) -> Result<()> {
    let before = world.digests()?;
    let message = message(challenge(world)?)?;
    let answer = world.relay.direct(&message, "fake-device", Fate::Genuine)?;
    ensure!(answer.status == 200, "{attempt}: HTTP {} {:?}", answer.status, answer.code);
    let tam = VerificationKey::new(world.stolen()?.public_key(), Purpose::TeepMessage, &world.crypto);
    let signed =
        SignedMessage::parse(&answer.body, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let verified = signed.verify(&[tam], &world.crypto).map_err(|e| anyhow::anyhow!("{e}"))?;
    let Message::Update(update) = verified.into_value() else {
        bail!("{attempt}: not answered by an Update")
    };
    ensure!(update.err_code == Some(ErrCode::AttestationRequired), "{attempt}: {:?}", update.err_code);
    ensure!(update.manifest_list.is_empty(), "{attempt}: the Update carries a manifest");
    let text = update.err_msg.unwrap_or_default();
    ensure!(text.starts_with(&expected.to_string()), "{attempt}: {text}, expected {expected}");
    let refusal =
        Refusal { attempt, by: "the TAM", answer: "Update with error 7, no manifest".into(), code: expected };
    story.refused(refusal, &before, &world.digests()?)
}

pub fn unattested(world: &mut World, story: &mut Story) -> Result<()> {
    world.run(&["pki", "ca", "--role", "tee", &world.path("rogue-tee-ca")])?;
    let stranger = FakeDevice::new(world, "stranger", "rogue-tee-ca")?;
    let known = FakeDevice::new(world, "impostor", "tee-ca")?;
    let own = |device: &FakeDevice| device.teep.public_key();
    let mut stale = vec![0; 32];
    world.crypto.random.fill(&mut stale).map_err(|e| anyhow::anyhow!("{e}"))?;

    refused(
        world,
        story,
        "Evidence under an authority of its own",
        |nonce| stranger.query_response(world, Some(nonce), own(&stranger)),
        codes::EVIDENCE_UNTRUSTED,
    )?;
    refused(
        world,
        story,
        "certified Evidence, made for another question",
        |_| known.query_response(world, Some(stale), own(&known)),
        codes::EVIDENCE_STALE,
    )?;
    refused(
        world,
        story,
        "certified Evidence that vouches for the TEEP key of another device",
        |nonce| {
            let other = world.device('a')?.teep_key.context("device a has shown no key")?;
            known.query_response(world, Some(nonce), other)
        },
        codes::EVIDENCE_KEY_BINDING,
    )?;
    refused(
        world,
        story,
        "no Evidence at all",
        |_| known.query_response(world, None, own(&known)),
        codes::EVIDENCE_MISSING,
    )?;
    story.unchanged(&world.digests()?);
    Ok(())
}
