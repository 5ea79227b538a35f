//! Tokens, roles, paging, idempotency and the audit log.

use serde_json::json;
use tamarack_tam_server::{NewToken, Role, TenantId, add_token};

use crate::support::{TEEP, World, signer};

/// Method, path, body, and what operator, provider and auditor get.
type Row = (&'static str, &'static str, &'static str, [u16; 3]);

const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn each_role_may_do_what_is_its_own() {
    let world = World::new();
    assert_eq!(world.provider("acme", "acme", &*signer()).status, 201);
    let tokens =
        [world.operator.clone(), world.token(Role::Provider, Some("acme")), world.token(Role::Auditor, None)];
    let rows: &[Row] = &[
        ("GET", "/providers", "", [200, 200, 200]),
        ("GET", "/providers/acme", "", [200, 200, 200]),
        ("GET", "/providers/nobody", "", [404, 404, 404]),
        ("POST", "/providers", "{}", [400, 403, 403]),
        ("PUT", "/providers/acme", "{}", [400, 403, 403]),
        ("GET", "/components", "", [200, 200, 200]),
        ("POST", "/components?provider=acme", "x", [422, 422, 403]),
        ("GET", "/components/{}", "", [404, 404, 404]),
        ("DELETE", "/components/{}", "", [404, 404, 403]),
        ("GET", "/domains", "", [200, 200, 200]),
        ("POST", "/domains", "{}", [400, 403, 403]),
        ("GET", "/domains/acme", "", [404, 404, 404]),
        ("DELETE", "/domains/acme", "", [404, 403, 403]),
        ("POST", "/domains/acme/providers", "{}", [404, 403, 403]),
        ("DELETE", "/domains/acme/providers/acme", "", [404, 403, 403]),
        ("POST", "/artifacts", "x", [201, 201, 403]),
        ("GET", "/policies", "", [200, 403, 200]),
        ("PUT", "/policies/acme%2Fx", "", [200, 403, 403]),
        ("DELETE", "/policies/acme%2Fy", "", [404, 403, 403]),
        ("GET", "/references", "", [200, 403, 200]),
        ("POST", "/references", "x", [422, 403, 403]),
        ("GET", "/references/{}", "", [404, 403, 404]),
        ("DELETE", "/references/{}", "", [404, 403, 403]),
        ("GET", "/devices", "", [200, 403, 200]),
        ("GET", "/devices/{}", "", [404, 403, 404]),
        ("POST", "/devices/{}/release", "", [404, 403, 403]),
        ("GET", "/devices/{}/personalization", "", [404, 403, 404]),
        ("PUT", "/devices/{}/personalization/acme%2Fx", "x", [404, 403, 403]),
        ("GET", "/sessions", "", [200, 403, 200]),
        ("GET", "/sessions/00000000000000000000000000000000", "", [404, 403, 404]),
        ("GET", "/audit", "", [200, 403, 200]),
        ("GET", "/tokens", "", [200, 403, 403]),
        ("POST", "/tokens", "{}", [400, 403, 403]),
        ("DELETE", "/tokens/{}", "", [404, 403, 403]),
        ("GET", "/registry-digest", "", [200, 403, 403]),
        ("PATCH", "/providers", "", [405, 405, 405]),
        ("GET", "/nothing", "", [404, 404, 404]),
    ];
    for (method, path, body, expected) in rows {
        let path = path.replace("{}", NOBODY);
        for (token, expected) in tokens.iter().zip(expected) {
            let reply = world.api(token, method, &path, body.as_bytes());
            assert_eq!(reply.status, *expected, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
            if reply.status == 403 {
                reply.assert_problem(403, "TMK-4002");
            }
        }
    }
}

#[test]
fn without_a_valid_token_there_is_nothing() {
    let world = World::new();
    let headers: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer tmk_unknown")],
        &[("authorization", "Basic b3BlcmF0b3I6")],
    ];
    for headers in headers {
        let reply = world.send("GET", "/api/v1/providers", headers, b"");
        reply.assert_problem(401, "TMK-4001");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn a_revoked_token_is_dead_at_once() {
    let world = World::new();
    let made =
        world.api_json(&world.operator, "POST", "/tokens", &json!({ "role": "auditor", "label": "a" }));
    let (token, hash) = (made.json()["token"].clone(), made.json()["hash"].clone());
    let token = token.as_str().unwrap();
    assert_eq!(world.api(token, "GET", "/devices", b"").status, 200);
    let path = format!("/tokens/{}", hash.as_str().unwrap());
    assert_eq!(world.api(&world.operator, "DELETE", &path, b"").status, 204);
    world.api(token, "GET", "/devices", b"").assert_problem(401, "TMK-4001");
}

#[test]
fn a_provider_sees_only_itself() {
    let world = World::new();
    world.provider("acme", "acme", &*signer());
    world.provider("other", "other", &*signer());
    let token = world.token(Role::Provider, Some("acme"));
    let list = world.api(&token, "GET", "/providers", b"").json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    world.api(&token, "GET", "/providers/other", b"").assert_problem(404, "TMK-4004");
}

#[test]
fn lists_are_paged_by_a_cursor() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        assert_eq!(world.provider(id, id, &*signer()).status, 201);
    }
    let first = world.api(&world.operator, "GET", "/providers?limit=2", b"");
    assert_eq!(first.header("link"), Some("</api/v1/providers?after=b&limit=2>; rel=\"next\""));
    assert_eq!(first.json()["next"], "b");
    let second = world.api(&world.operator, "GET", "/providers?after=b&limit=2", b"");
    assert_eq!((second.json()["items"][0]["id"].as_str(), second.header("link")), (Some("c"), None));
    for bad in ["/providers?limit=0", "/providers?limit=501", "/providers?limit=x", "/devices?after=x"] {
        world.api(&world.operator, "GET", bad, b"").assert_problem(400, "TMK-4003");
    }
}

#[test]
fn wrong_bodies_name_the_field() {
    let world = World::new();
    let pem = tamarack_pki::public_key_to_pem(&signer().public_key()).unwrap();
    let rows = [
        (json!({ "prefixes": ["a"], "signers": [] }), "id"),
        (json!({ "id": "A b", "prefixes": ["a"], "signers": [] }), "id"),
        (json!({ "id": "a", "prefixes": [], "signers": [] }), "prefixes"),
        (json!({ "id": "a", "prefixes": ["a//b"], "signers": [pem] }), "prefixes"),
        (json!({ "id": "a", "prefixes": ["a"], "signers": ["x"] }), "signers"),
        (json!({ "id": "a", "prefixes": ["a"], "signers": [], "extra": 1 }), "extra"),
    ];
    for (body, field) in rows {
        let reply = world.api_json(&world.operator, "POST", "/providers", &body);
        reply.assert_problem(400, "TMK-4003");
        let detail = reply.json()["detail"].as_str().unwrap().to_string();
        assert!(detail.contains(field), "{detail}");
    }
}

#[test]
fn overlapping_prefixes_are_refused() {
    let world = World::new();
    assert_eq!(world.provider("acme", "acme", &*signer()).status, 201);
    world.provider("acme", "zzz", &*signer()).assert_problem(409, "TMK-4005");
    world.provider("thief", "acme/wallet", &*signer()).assert_problem(409, "TMK-4005");
}

#[test]
fn a_repeated_idempotency_key_does_nothing_twice() {
    let world = World::new();
    let bearer = format!("Bearer {}", world.operator);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k1")];
    let body = json!({ "role": "auditor", "label": "x" }).to_string();
    let first = world.send("POST", "/api/v1/tokens", &headers, body.as_bytes());
    let records = world.audit().len();
    let second = world.send("POST", "/api/v1/tokens", &headers, body.as_bytes());
    assert_eq!((first.status, &first.body), (201, &second.body));
    assert_eq!(world.audit().len(), records);
    let other = json!({ "role": "auditor", "label": "y" }).to_string();
    world.send("POST", "/api/v1/tokens", &headers, other.as_bytes()).assert_problem(422, "TMK-4005");
}

#[test]
fn every_change_is_in_the_audit_log() {
    let world = World::new();
    world.provider("acme", "acme", &*signer());
    world.api(&world.operator, "PUT", "/policies/acme%2Fx", b"");
    world.api(&world.operator, "DELETE", "/policies/acme%2Fx", b"");
    let records = world.audit();
    let actions: Vec<&str> = records.iter().filter_map(|record| record["action"].as_str()).collect();
    assert_eq!(actions, ["token.create", "provider.register", "policy.set", "policy.clear"]);
    assert!(records[1..].iter().all(|record| record["actor"] == "operator"));
}

#[test]
fn a_payload_is_served_by_its_digest() {
    let world = World::new();
    let stored = world.api(&world.operator, "POST", "/artifacts", b"a payload").json();
    let reply = world.send("GET", stored["path"].as_str().unwrap(), &[], b"");
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"a payload"[..]));
    assert_eq!(world.send("GET", &format!("/artifacts/{NOBODY}"), &[], b"").status, 404);
    assert_eq!(world.send("GET", "/artifacts/x", &[], b"").status, 404);
}

#[test]
fn c5_a_token_of_one_tenant_sees_nothing_of_another() {
    let world = World::new();
    world.provider("acme", "acme", &*signer());
    let new = NewToken {
        tenant: TenantId::new("east").unwrap(),
        role: Role::Operator,
        provider: None,
        label: "operator of east".into(),
    };
    let east = add_token(&world.config, &new).unwrap();
    assert_eq!(world.api(&east, "GET", "/providers", b"").json()["items"], json!([]));
    world.api(&east, "GET", "/providers/acme", b"").assert_problem(404, "TMK-4004");
    assert_eq!(world.send("POST", "/t/east/tam", &[("accept", TEEP)], b"").status, 200);
}
