//! Publishing over REST, and its refusals, which change nothing.

use tamarack_tam_server::Role;

use crate::support::{World, envelope, signer};

#[test]
fn a_signed_envelope_is_published_listed_and_withdrawn() {
    let (world, key) = (World::new(), signer());
    world.provider("acme", "acme", &*key);
    let token = world.token(Role::Provider, Some("acme"));
    let reply = world.api(&token, "POST", "/components", &envelope("acme", 1, &*key));
    assert_eq!(reply.status, 201, "{reply:?}");
    let entry = reply.json();
    assert_eq!((entry["manifest"].as_str(), entry["sequence"].as_u64()), (Some("acme/wallet/suit"), Some(1)));
    let path = format!("/components/{}", entry["digest"].as_str().unwrap());
    assert_eq!(world.api(&token, "GET", &path, b"").json(), entry);
    assert_eq!(world.api(&token, "GET", "/components", b"").json()["items"][0], entry);
    assert_eq!(world.api(&token, "DELETE", &path, b"").status, 204);
    assert!(world.api(&token, "GET", &path, b"").json()["withdrawn"].is_u64());
    let actions: Vec<_> = world.audit().iter().map(|record| record["action"].clone()).collect();
    assert!(actions.ends_with(&["component.publish".into(), "component.withdraw".into()]), "{actions:?}");
}

/// What is wrong, the caller's token, the envelope, and the answer.
type Row<'a> = (&'a str, &'a str, Vec<u8>, (u16, &'a str));

#[test]
fn refusals_change_nothing() {
    let world = World::new();
    let (acme, other, stranger) = (signer(), signer(), signer());
    world.provider("acme", "acme", &*acme);
    world.provider("other", "other", &*other);
    let token = world.token(Role::Provider, Some("acme"));
    let foreign = world.token(Role::Provider, Some("other"));
    assert_eq!(world.api(&token, "POST", "/components", &envelope("acme", 5, &*acme)).status, 201);

    let next = envelope("acme", 6, &*acme);
    let at = next.windows(21).position(|w| w == b"the payload of a test").unwrap();
    let mut tampered_payload = next.clone();
    tampered_payload[at] ^= 1;
    let at = next.windows(4).position(|w| w == b"suit").unwrap();
    let mut tampered_manifest = next.clone();
    tampered_manifest[at] ^= 1;

    let rows: &[Row<'_>] = &[
        ("wrong signer", &token, envelope("acme", 6, &*stranger), (403, "TMK-4006")),
        ("signer of another provider", &token, envelope("acme", 6, &*other), (403, "TMK-4006")),
        ("foreign prefix", &foreign, envelope("acme", 6, &*other), (403, "TMK-4007")),
        ("own key, foreign prefix", &token, envelope("other", 6, &*acme), (403, "TMK-4007")),
        ("lower sequence", &token, envelope("acme", 4, &*acme), (409, "TMK-4008")),
        ("equal sequence", &token, envelope("acme", 5, &*acme), (409, "TMK-4008")),
        ("tampered payload", &token, tampered_payload, (422, "TMK-4009")),
        ("tampered manifest", &token, tampered_manifest, (422, "TMK-2002")),
        ("no CBOR", &token, b"hello".to_vec(), (422, "TMK-2001")),
        ("cut", &token, next[..next.len() - 1].to_vec(), (422, "TMK-2001")),
        ("too large", &token, vec![0; world.config.limits.body + 1], (413, "TMK-1402")),
    ];
    // A refusal changes nothing, though the log tells that there was one.
    let changes = |world: &World| {
        world.audit().into_iter().filter(|record| record["action"] != "refused").collect::<Vec<_>>()
    };
    let (digest, audit) = (world.digest(), changes(&world));
    for (name, token, body, (status, code)) in rows {
        let reply = world.api(token, "POST", "/components", body);
        assert_eq!((*name, reply.status), (*name, *status), "{}", String::from_utf8_lossy(&reply.body));
        reply.assert_problem(*status, code);
        assert_eq!(world.digest(), digest, "{name}");
        assert_eq!(changes(&world), audit, "{name}");
    }
    assert!(
        world
            .audit()
            .iter()
            .any(|record| record["subject"] == "component.publish" && record["action"] == "refused")
    );
    assert_eq!(world.api(&token, "POST", "/components", &next).status, 201, "the untouched one is taken");
}

#[test]
fn an_operator_says_for_whom_it_publishes() {
    let (world, key) = (World::new(), signer());
    world.provider("acme", "acme", &*key);
    let body = envelope("acme", 1, &*key);
    world.api(&world.operator, "POST", "/components", &body).assert_problem(400, "TMK-4003");
    world.api(&world.operator, "POST", "/components?provider=x", &body).assert_problem(404, "TMK-4004");
    assert_eq!(world.api(&world.operator, "POST", "/components?provider=acme", &body).status, 201);
}
