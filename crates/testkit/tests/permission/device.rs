//! Signed objects that the Agent judges: a real Agent and a real TAM, and in the place of one of them somebody with another
//! role's key.

use tamarack_agent::{AnchorChange, AnchorOrder, AnchorState, Input, Subject};
use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{Sign1, SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Sign};
use tamarack_model::permission::{Action, Place, Role};
use tamarack_owner::{Change, Effect, Order, Selector};
use tamarack_pki::{Authority, Validity, certificates_from_pem};
use tamarack_teep::{Message, SignedMessage};
use tamarack_testkit::memory_platform::ed25519;
use tamarack_testkit::otrp_pki::TestTam;
use tamarack_x509::Role as CertificateRole;

use crate::matrix::Observed;
use crate::pair::{Delivery, NOW, Pair, authority, developer, device_owner, wallet};

/// When certificates of this test are valid.
const VALIDITY: Validity = Validity { not_before: NOW - 86_400, not_after: NOW + 365 * 86_400 };

/// The key of a role. The operator's are the TAM's own, which stay where they are.
pub fn key(role: Role) -> Box<dyn Sign> {
    let crypto = tamarack_crypto_aws_lc::provider();
    match role {
        Role::Developer => developer(&crypto),
        Role::Maker => authority(&crypto),
        Role::DeviceOwner => device_owner(&crypto),
        _ => ed25519(&crypto, 100 + role as u8, b"role"),
    }
}

/// The authority that a role can certify with, and for which role: its own, or one of that name that it made itself.
pub fn certifier(
    role: Role,
    pair: &Pair,
    wanted: CertificateRole,
    name: &str,
) -> (Authority, CertificateRole) {
    let load = |authority: &Authority| Authority::load(authority.cert_pem(), authority.key_pem()).unwrap();
    match role {
        Role::TeeCa if wanted == CertificateRole::OtrpTam => (load(&pair.pki.tee), CertificateRole::OtrpTee),
        Role::TeeCa => (load(&pair.pki.tee), CertificateRole::Tee),
        Role::Operator => (load(&pair.pki.tams[0].authority), CertificateRole::Tam),
        // It certifies no Ed25519 keys.
        Role::Maker if wanted == CertificateRole::OtrpTam => {
            (load(&pair.pki.firmware), CertificateRole::Firmware)
        }
        _ => {
            let kind = if wanted == CertificateRole::OtrpTam { CertificateRole::Tam } else { wanted };
            (Authority::create(kind, name, KeyType::P256, VALIDITY).unwrap(), wanted)
        }
    }
}

pub fn try_all(observed: &mut Observed) {
    for action in Action::ALL.iter().copied().filter(|action| action.place() == Place::Device) {
        for role in Role::ALL {
            observed.note_whether(action, role, attempt(role, action));
        }
    }
}

fn attempt(role: Role, action: Action) -> bool {
    match action {
        Action::DeviceQuery => {
            let mut pair = Pair::new();
            if role != Role::Operator {
                pair.usurp(vec![key(role)], None);
            }
            pair.check_policy();
            pair.sent.iter().any(|message| {
                matches!(read(message), Some(Message::QueryResponse(response)) if response.attestation_payload.is_some())
            })
        }
        Action::DeviceInstall => {
            let mut pair = Pair::new();
            pair.publish(1, 1);
            resign_updates(&mut pair, role);
            pair.request();
            pair.installed().is_some()
        }
        Action::DeviceDelete => {
            let mut pair = Pair::new();
            pair.publish(1, 1);
            pair.request();
            assert_eq!(pair.installed(), Some(1));
            resign_updates(&mut pair, role);
            pair.now += 60;
            pair.play(Input::UnrequestTa { component: wallet("ta") });
            pair.installed().is_none()
        }
        Action::DomainMake => {
            let mut pair = Pair::otrp();
            pair.publish(1, 1);
            if role != Role::Operator {
                let crypto = tamarack_crypto_aws_lc::provider();
                let name = pair.pki.tams[0].name.clone();
                // Who is an authority, if not for TAMs, certifies what it can under that name.
                let (authority, kind) = certifier(role, &pair, CertificateRole::OtrpTam, "TAM CA 1");
                let own = Authority::create(CertificateRole::Tam, "TAM CA", KeyType::P256, VALIDITY).unwrap();
                let mut usurper = TestTam::under(&crypto, own, name.clone());
                let key_of = usurper.signer.public_key();
                let leaf = authority.issue_named(key_of, kind, &name, "test", VALIDITY).unwrap();
                usurper.chain = certificates_from_pem(&leaf).unwrap();
                usurper.chain.push(authority.cert_der().to_vec());
                usurper.authority = authority;
                pair.usurp(vec![key(role)], Some(usurper));
            }
            pair.request();
            !pair.agent.status().unwrap().domains.is_empty()
        }
        Action::ManifestSign => {
            let mut pair = Pair::new();
            // The TAM was told that this is the provider's key; the device was not.
            pair.publish_signed_by(&*key(role));
            pair.request();
            pair.installed().is_some()
        }
        Action::AnchorChange => {
            let mut pair = Pair::new();
            let change = AnchorChange::State(AnchorState::Revoked);
            let order = AnchorOrder { sequence: 2, subject: Subject::Provider("acme".into()), change };
            let signed = Sign1::sign(&*key(role), &order.to_cbor(), &[], &SignOptions::default()).unwrap();
            let before = pair.digests();
            let done = pair.agent.change_anchor(&signed).is_ok();
            assert_eq!(done, pair.digests() != before, "{}", role.name());
            done
        }
        Action::OwnerOrder => {
            let mut pair = Pair::new();
            let challenge = pair.agent.owner_challenge().unwrap();
            let selector = Selector::Provider(Some("acme".into()));
            let changes = vec![Change::Rule { selector, effect: Some(Effect::Deny) }];
            let order = Order { challenge, nonce: [1; 16], changes }.sign(&*key(role)).unwrap();
            let before = pair.digests();
            let done = pair.agent.owner_order(&order).is_ok();
            assert_eq!(done, pair.digests() != before, "{}", role.name());
            done
        }
        other => panic!("{} is not the Agent's to judge", other.id()),
    }
}

/// A message of TEEP, whoever signed it.
pub fn read(message: &[u8]) -> Option<Message> {
    SignedMessage::parse(message, &Limits::default()).ok()?.unverified().ok()
}

/// Every Update of the TAM arrives as this role has signed it, in the TAM's own words.
fn resign_updates(pair: &mut Pair, role: Role) {
    if role == Role::Operator {
        return;
    }
    pair.link = Box::new(move |_, bytes| match read(bytes) {
        Some(message @ Message::Update(_)) => {
            let key = key(role);
            let kid = thumbprint(&key.public_key(), &tamarack_crypto_aws_lc::provider());
            let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
            Delivery::Altered(tamarack_teep::sign(&message, &*key, &options).unwrap())
        }
        _ => Delivery::Intact,
    });
}
