//! Bodies of POSTs to a TAM, in any order, from anybody. Some are signed by a device under the TAM's TEE CA and some carry
//! good Evidence, so that what lies behind the signatures is reached.
#![no_main]

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{Sign1, SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Secret};
use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_fuzz::{NOW, envelopes, evidence_claims, key, messages, provider, seeds, wallet};
use tamarack_model::{ComponentId, Sha256Digest, TcEntry};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_store::{CatalogueEntry, MemoryStore, Store, StoreOp, TenantId, registry_digest};
use tamarack_tam::{ChallengeKey, Reply, Tam, TamConfig, TamSigner, catalog};
use tamarack_teep::{Message, QueryResponse, RequestedTc, SignedMessage, Success, UPDATE_BINDING_EXTENSION};
use tamarack_x509::{Anchor, Role};

/// The TEE CA and the chain of the one device under it.
static CA: LazyLock<(Anchor, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let authority = Authority::create(Role::Tee, "maker", KeyType::Ed25519, Validity::days(NOW - 1, 99));
    let authority = authority.expect("an authority");
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    let leaf = authority.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
    let chain = certificates_from_pem(&leaf.expect("a certificate")).expect("PEM");
    (Anchor::from_der(authority.cert_der()).expect("an authority is an anchor"), chain)
});

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    /// From nowhere.
    Raw(&'a [u8]),
    Connect,
    /// Anything, signed by the device.
    Signed(&'a [u8]),
    /// A QueryResponse with good Evidence for the last challenge.
    Response {
        requested: bool,
        unneeded: bool,
        held: Option<bool>,
        bound: bool,
    },
    /// The same with other claims.
    Claims(&'a [u8]),
    /// For the last token.
    Success {
        reports: Vec<&'a [u8]>,
    },
    Later(u16),
}

fn tam() -> (Tam, MemoryStore) {
    let crypto = provider();
    let signers = ["tam", "tam2"].map(|label| TamSigner::new(key(label), Vec::new(), &crypto));
    let policy = Policy::new(vec![TeeCa { anchor: CA.0.clone(), cap: Grade::Software }], Grade::Software);
    let challenge = ChallengeKey { generation: 0, key: Secret::new([1; 32]) };
    let tam = Tam::new(TamConfig::new(signers.into(), policy, challenge, [3; 16]), crypto);
    let store = MemoryStore::new(crypto);
    let owner = tamarack_store::Provider {
        tenant: TenantId::default(),
        id: "acme".into(),
        name: "acme".into(),
        prefixes: vec![ComponentId::new(["com.acme"]).expect("a valid id")],
        signers: vec![key("signer").public_key()],
        enabled: true,
    };
    store.apply(vec![StoreOp::InsertProvider(owner.clone())]).expect("an empty store");
    let envelope = envelopes().swap_remove(0);
    let publication =
        catalog::check_publication(&envelope, &owner, &store, &crypto).expect("a good envelope");
    let entry = CatalogueEntry {
        tenant: owner.tenant,
        provider: owner.id,
        manifest: publication.manifest,
        sequence: publication.sequence,
        digest: publication.digest,
        components: publication.components,
        artifact: Sha256Digest(store.put_artifact(&envelope).expect("a store in memory")),
        size: envelope.len() as u64,
        published: NOW,
        withdrawn: None,
    };
    store.apply(vec![StoreOp::Publish(entry)]).expect("an empty catalogue");
    (tam, store)
}

fn by_device(payload: &[u8]) -> Vec<u8> {
    let device = key("teep");
    let kid = thumbprint(&device.public_key(), &provider());
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    Sign1::sign(&*device, payload, &[], &options).expect("the key signs")
}

fn evidence(claims: &[u8]) -> Vec<u8> {
    let options = SignOptions { x5chain: &CA.1, ..SignOptions::default() };
    Sign1::sign(&*key("attestation"), claims, &[], &options).expect("the key signs")
}

fn response(evidence: Vec<u8>) -> QueryResponse {
    let id = ComponentId::new(["tamarack", "agent"]).expect("a valid id");
    QueryResponse {
        attestation_payload_format: Some(SOFTWARE_TEE_FORMAT.into()),
        attestation_payload: Some(evidence),
        tc_list: vec![TcEntry { id, digest: Some(Sha256Digest([4; 32])), size: Some(1) }],
        ..QueryResponse::default()
    }
}

/// What the device knows.
#[derive(Default)]
struct Device {
    challenge: Vec<u8>,
    token: Option<Vec<u8>>,
}

impl Device {
    fn body(&self, act: &Act<'_>) -> Option<Vec<u8>> {
        let good = || evidence_claims_for(&self.challenge);
        Some(match act {
            Act::Raw(body) => body.to_vec(),
            Act::Connect => Vec::new(),
            Act::Signed(payload) => by_device(payload),
            Act::Claims(claims) => by_device(&Message::QueryResponse(response(evidence(claims))).to_cbor()),
            Act::Response { requested, unneeded, held, bound } => {
                let mut response = response(evidence(&good()));
                if *requested {
                    response.requested_tc_list.push(RequestedTc {
                        component_id: wallet("ta"),
                        sequence_number: None,
                        have_binary: None,
                    });
                }
                if *unneeded {
                    response.unneeded_manifest_list.push(wallet("suit"));
                }
                if let Some(known) = held {
                    let envelope =
                        tamarack_suit::Envelope::parse(&envelopes()[0], &tamarack_suit::Limits::default());
                    let digest = envelope.expect("our own").digest().bytes().try_into().expect("SHA-256");
                    let digest = if *known { digest } else { [9; 32] };
                    response.tc_list.push(TcEntry {
                        id: wallet("suit"),
                        digest: Some(Sha256Digest(digest)),
                        size: None,
                    });
                }
                if *bound {
                    response.ext_list.push(UPDATE_BINDING_EXTENSION);
                    response.agent_nonce = Some([7; 16]);
                }
                by_device(&Message::QueryResponse(response).to_cbor())
            }
            Act::Success { reports } => {
                let suit_reports = reports.iter().map(|report| report.to_vec()).collect();
                let token = self.token.clone();
                by_device(&Message::Success(Success { token, msg: None, suit_reports }).to_cbor())
            }
            Act::Later(_) => return None,
        })
    }

    fn hear(&mut self, message: &[u8]) {
        let signed =
            SignedMessage::parse(message, &Limits::default()).expect("the TAM writes what can be read");
        match signed.unverified().expect("the TAM writes what can be read") {
            Message::QueryRequest(request) => self.challenge = request.challenge.unwrap_or_default(),
            Message::Update(update) => self.token = update.token,
            Message::QueryResponse(_) | Message::Success(_) | Message::Error(_) => {}
        }
    }
}

fn evidence_claims_for(challenge: &[u8]) -> Vec<u8> {
    let mut claims = evidence_claims();
    claims.eat_nonce = vec![challenge.to_vec()];
    claims.to_cbor()
}

fn examples() -> Vec<Vec<u8>> {
    let mut examples: Vec<Vec<u8>> = (0..7u8).map(|act| vec![act.wrapping_mul(37); 64]).collect();
    examples.extend(messages().iter().map(Message::to_cbor));
    examples
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let mut u = Unstructured::new(data);
    let (tam, store) = tam();
    let (mut device, mut now) = (Device::default(), NOW);
    // A device connects before anything else it does makes sense.
    let mut acts = vec![Act::Connect];
    while let (Ok(act), 0..12) = (Act::arbitrary(&mut u), acts.len()) {
        acts.push(act);
    }
    for act in acts {
        if let Act::Later(seconds) = act {
            now += u64::from(seconds);
        }
        let Some(body) = device.body(&act) else { continue };
        let before = registry_digest(&store, &provider()).expect("a store in memory");
        let reply = tam.respond(now, &store, TenantId::default(), &body);
        if matches!(act, Act::Raw(_) | Act::Connect) {
            let after = registry_digest(&store, &provider()).expect("a store in memory");
            assert_eq!(after, before, "security rule C2: nobody's message changed something");
        }
        if let Reply::Transmit { message, .. } = &reply {
            device.hear(message);
        }
    }
});
