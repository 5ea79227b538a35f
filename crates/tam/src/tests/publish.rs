use tamarack_cose::SignOptions;
use tamarack_crypto::KeyType;
use tamarack_suit::SuitDigest;
use tamarack_suit::author::{Builder, Component, Payload};

use super::world::{id, key};
use super::*;
use crate::catalog::check_publication;

fn check(world: &World, envelope: &[u8]) -> Result<crate::catalog::Publication, Code> {
    check_publication(envelope, &world.provider(), &world.store, &world.crypto).map_err(|e| {
        assert!(!e.reason.is_empty());
        e.code
    })
}

fn signed(world: &World, builder: &Builder, signer: &dyn Sign) -> Vec<u8> {
    builder.build(&world.crypto).unwrap().sign(signer, &SignOptions::default()).unwrap().envelope()
}

fn wallet(world: &World) -> Builder {
    let mut builder = Builder::new(id("acme/wallet/suit"), 4);
    let payload = Payload::integrated("#ta", b"wasm".to_vec(), &world.crypto);
    builder.components.push(Component::new(id("acme/wallet/ta"), payload));
    builder.components.push(Component::new(id("acme/wallet/data"), Payload::Inline(b"seed".to_vec())));
    let by_uri = Payload::by_uri("https://acme.example/map", b"map", &world.crypto);
    builder.components.push(Component::new(id("acme/wallet/map"), by_uri));
    builder
}

#[test]
fn a_good_envelope_is_described() {
    let world = World::new();
    let envelope = signed(&world, &wallet(&world), world.signer.as_ref());
    let publication = check(&world, &envelope).unwrap();
    assert_eq!((publication.manifest, publication.sequence), (id("acme/wallet/suit"), 4));
    let components: Vec<_> =
        publication.components.iter().map(|c| (c.id.clone(), c.digest.map(|d| d.0), c.size)).collect();
    let digest = |content: &[u8]| Some(world.crypto.sha256(content));
    assert_eq!(
        components,
        [
            (id("acme/wallet/ta"), digest(b"wasm"), Some(4)),
            (id("acme/wallet/data"), digest(b"seed"), Some(4)),
            (id("acme/wallet/map"), digest(b"map"), Some(3)),
        ]
    );
}

#[test]
fn bad_envelopes_are_refused() {
    let world = World::new();
    let signer = world.signer.as_ref();
    let changed = |change: fn(&mut Builder)| signed(&world, &with(&wallet(&world), change), signer);
    let wrong_payload = |digest: &[u8], size: u64| {
        let mut builder = wallet(&world);
        let digest = SuitDigest::sha256(digest, &world.crypto);
        let (key, content) = ("#ta".into(), b"wasm".to_vec());
        builder.components[0].payload = Payload::Integrated { key, content, digest, size };
        signed(&world, &builder, signer)
    };
    let unsigned = wallet(&world).build(&world.crypto).unwrap().envelope();
    let mut tampered = signed(&world, &wallet(&world), signer);
    let at = tampered.windows(4).rposition(|w| w == b"wasm").unwrap();
    tampered[at] ^= 1;
    let cases = [
        ("not an envelope", b"hello".to_vec(), None),
        ("unsigned", unsigned, Some(codes::PUBLISH_UNSIGNED)),
        (
            "another signer",
            signed(&world, &wallet(&world), key(KeyType::Ed25519).as_ref()),
            Some(codes::PUBLISH_UNSIGNED),
        ),
        ("no manifest id", changed(|b| b.manifest_component_id = None), Some(codes::SUIT_NO_MANIFEST_ID)),
        (
            "manifest id of another provider",
            changed(|b| b.manifest_component_id = Some(id("evil/wallet/suit"))),
            Some(codes::PUBLISH_PREFIX),
        ),
        (
            "component of another provider",
            changed(|b| b.components[1].id = id("acmee/wallet/data")),
            Some(codes::PUBLISH_PREFIX),
        ),
        ("wrong digest", wrong_payload(b"other", 4), Some(codes::PUBLISH_PAYLOAD)),
        ("wrong size", wrong_payload(b"wasm", 5), Some(codes::PUBLISH_PAYLOAD)),
        ("payload changed on the way", tampered, Some(codes::PUBLISH_PAYLOAD)),
        (
            "payload missing",
            changed(|b| {
                if let Payload::Integrated { digest, size, .. } = b.components[0].payload.clone() {
                    b.components[0].payload = Payload::Uri { uri: "#gone".into(), digest, size };
                }
            }),
            Some(codes::PUBLISH_PAYLOAD),
        ),
    ];
    for (what, envelope, expected) in cases {
        let code = check(&world, &envelope).expect_err(what);
        assert!(expected.is_none_or(|expected| code == expected), "{what}: {code}");
    }
}

#[test]
fn sequence_numbers_only_rise() {
    let world = World::new();
    world.publish(5);
    for low in [4, 5] {
        assert_eq!(check(&world, &world.wallet(low)), Err(codes::PUBLISH_ROLLBACK));
    }
    assert!(check(&world, &world.wallet(6)).is_ok());
}
