//! The Agent's inputs, in any order, from a Broker that may be anybody. Some messages are signed by the TAM that it
//! obeys and some manifests by a developer that it trusts, so that what lies behind the signatures is reached.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Input, Operations, Output, Principal, Seed, SignerAnchor, TaName,
    TamAnchor,
};
use tamarack_cose::{Sign1, SignOptions, thumbprint};
use tamarack_fuzz::{
    NOW, envelope_around, envelopes, key, limits, messages, provider, query_request, seeds, suit_limits,
    wallet,
};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_owner::{Change, Effect, Order, Selector};
use tamarack_tee::{Param, Persona};
use tamarack_teep::{Message, SignedMessage, Update};
use tamarack_testkit::memory_platform::MemoryPlatform;

const TAM_URI: &str = "https://tam.example/tam";

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    RequestTa {
        component: Component<'a>,
        tam_uri: Option<&'a str>,
    },
    UnrequestTa {
        component: Component<'a>,
    },
    RequestPolicyCheck,
    ProcessError,
    Chunk {
        fetch: u8,
        data: &'a [u8],
        last: bool,
    },
    /// The payload that our own envelopes name.
    RightChunk {
        fetch: u8,
    },
    FetchFailed {
        fetch: u8,
    },
    /// A message from nowhere.
    Raw(&'a [u8]),
    /// Anything, signed by the TAM.
    Signed(&'a [u8]),
    /// A good query of the TAM.
    Query,
    /// An Update of the TAM with a manifest that the developer signed.
    Update {
        bound: bool,
        manifests: Vec<&'a [u8]>,
        ours: Option<bool>,
        remove: bool,
    },
    Order(&'a [u8]),
    /// An order to the owner's device from nowhere.
    OwnerOrder(&'a [u8]),
    /// A good order of the owner about the developer and its TA.
    Rule {
        provider: bool,
        effect: Option<u8>,
    },
    EnsureTa {
        component: Component<'a>,
        minimum: Option<u64>,
        bundled: bool,
    },
    Call {
        command: u32,
        data: &'a [u8],
    },
}

#[derive(Arbitrary, Debug)]
enum Component<'a> {
    Wallet,
    Any(Vec<&'a [u8]>),
}

impl Component<'_> {
    fn id(&self) -> Option<ComponentId> {
        match self {
            Self::Wallet => Some(wallet("suit")),
            Self::Any(segments) => ComponentId::new(segments).ok(),
        }
    }
}

fn device() -> Agent<MemoryPlatform> {
    let mut platform = MemoryPlatform::new(provider(), 1);
    let principal = |label| Principal::Keys(vec![key(label).public_key()]);
    let tam = TamAnchor {
        owner: OwnerId([1; 16]),
        principal: principal("tam"),
        otrp: None,
        protocol: tamarack_model::Protocol::Teep,
        uri: Some(TAM_URI.into()),
        scopes: vec![vec![]],
        require_binding: true,
        domains: 0,
        domain_quota: 0,
        persona: Persona(0),
        state: AnchorState::Active,
    };
    let signer = SignerAnchor {
        provider: "acme".into(),
        principal: principal("signer"),
        prefixes: vec![vec![b"com.acme".to_vec()]],
        operations: Operations::ALL,
        quota: 1 << 16,
        epoch: 0,
        state: AnchorState::Active,
    };
    let device_authority = Some(key("authority").public_key());
    let device_owner = Some(key("device owner").public_key());
    let seed =
        Seed { tams: vec![tam], signers: vec![signer], peripherals: vec![], device_authority, device_owner };
    Agent::enrol(&mut platform, &provider(), &seed).expect("an empty platform");
    let config = AgentConfig { message: limits(), manifest: suit_limits(), ..AgentConfig::default() };
    Agent::new(platform, provider(), config)
}

fn by_tam(payload: &[u8]) -> Vec<u8> {
    let tam = key("tam");
    let kid = thumbprint(&tam.public_key(), &provider());
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    Sign1::sign(&*tam, payload, &[], &options).expect("the key signs")
}

fn input(act: &Act<'_>, nonce: Option<[u8; 16]>) -> Option<Input> {
    Some(match act {
        Act::RequestTa { component, tam_uri } => {
            Input::RequestTa { component: component.id()?, tam_uri: tam_uri.map(Into::into) }
        }
        Act::UnrequestTa { component } => Input::UnrequestTa { component: component.id()? },
        Act::RequestPolicyCheck => Input::RequestPolicyCheck,
        Act::ProcessError => Input::ProcessError,
        Act::Chunk { fetch, data, last } => {
            Input::Chunk { fetch: (*fetch).into(), data: data.to_vec(), last: *last }
        }
        Act::RightChunk { fetch } => {
            Input::Chunk { fetch: (*fetch).into(), data: b"a TA".to_vec(), last: true }
        }
        Act::FetchFailed { fetch } => Input::FetchFailed { fetch: (*fetch).into() },
        Act::Raw(bytes) => Input::ProcessTeepMessage(bytes.to_vec()),
        Act::Signed(payload) => Input::ProcessTeepMessage(by_tam(payload)),
        Act::Query => Input::ProcessTeepMessage(by_tam(&Message::QueryRequest(query_request()).to_cbor())),
        Act::Update { bound, manifests, ours, remove } => {
            let mut manifest_list: Vec<_> =
                manifests.iter().map(|manifest| envelope_around(manifest)).collect();
            if let Some(by_uri) = ours {
                manifest_list.push(envelopes().swap_remove(usize::from(*by_uri)));
            }
            let update = Update {
                token: Some(vec![1; 16]),
                manifest_list,
                unneeded_manifest_list: if *remove { vec![wallet("suit")] } else { vec![] },
                agent_nonce: nonce.filter(|_| *bound),
                ..Update::default()
            };
            Input::ProcessTeepMessage(by_tam(&Message::Update(update).to_cbor()))
        }
        Act::EnsureTa { component, minimum, bundled } => Input::EnsureTa {
            component: component.id()?,
            tam_uri: None,
            minimum: *minimum,
            bundled: *bundled,
        },
        Act::Order(_) | Act::OwnerOrder(_) | Act::Rule { .. } | Act::Call { .. } => return None,
    })
}

fn examples() -> Vec<Vec<u8>> {
    // Found acts are rare in random bytes; long runs of small numbers give most of them.
    let mut examples: Vec<Vec<u8>> = (0..=15u8).map(|act| vec![act.wrapping_mul(16); 64]).collect();
    examples.extend(messages().iter().map(Message::to_cbor));
    examples
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let mut u = Unstructured::new(data);
    let mut agent = device();
    let mut nonce = None;
    for _ in 0..12 {
        let Ok(act) = Act::arbitrary(&mut u) else { break };
        match &act {
            Act::Order(order) => {
                let _ = agent.change_anchor(order);
            }
            Act::OwnerOrder(order) => {
                let before = agent.state_root();
                assert!(agent.owner_order(order).is_err(), "an order that the owner did not sign");
                assert_eq!(agent.state_root(), before);
            }
            Act::Rule { provider, effect } => {
                let selector = match provider {
                    true => Selector::Provider(Some("acme".into())),
                    false => Selector::Component(Some(wallet("suit"))),
                };
                let effects = [Effect::Allow, Effect::Consent, Effect::Deny];
                let effect = effect.map(|effect| effects[usize::from(effect) % effects.len()]);
                let challenge = agent.owner_challenge().expect("the device has an owner");
                let changes = vec![Change::Rule { selector, effect }];
                let order = Order { challenge, nonce: [0; 16], changes };
                let order = order.sign(&*key("device owner")).expect("the key signs");
                agent.owner_order(&order).expect("a good order");
                assert!(agent.owner_order(&order).is_err(), "an order was taken twice");
            }
            Act::Call { command, data } => {
                let mut params = vec![Param::MemrefInput(data.to_vec())];
                let name = TaName::Uuid([0x11; 16]);
                if let Ok(session) = agent.open_session(NOW, &name, Some(TAM_URI), &mut params) {
                    let _ = agent.invoke(NOW, session, *command, &mut params);
                    let _ = agent.close_session(NOW, session);
                }
            }
            _ => {}
        }
        let before = agent.state_root();
        if let Some(input) = input(&act, nonce) {
            let _ = agent.handle(NOW, input);
        }
        if matches!(act, Act::Raw(_)) {
            assert_eq!(agent.state_root(), before, "a message that no TAM signed changed the device");
        }
        while let Some(output) = agent.poll_output() {
            let Output::Transmit { message, .. } = output else { continue };
            let signed = SignedMessage::parse(&message, &tamarack_cbor::Limits::default());
            let sent = signed.expect("the Agent writes what can be read").unverified();
            if let Message::QueryResponse(response) = sent.expect("the Agent writes what can be read") {
                assert!(!matches!(act, Act::Raw(_)), "a component list for nobody");
                nonce = response.agent_nonce;
            }
        }
    }
    agent.status().expect("the device is still readable");
});
